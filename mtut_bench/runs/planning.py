"""From what a user asked for to plans of runs, or one message with everything that is missing."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from msgspec.structs import replace as changed

from mtut_bench.contract.folds import choose_folds, inner_fold, with_validation
from mtut_bench.contract.method import Method
from mtut_bench.contract.method_file import LoadedMethod, load_method
from mtut_bench.contract.overrides import prescribe
from mtut_bench.contract.protocol import PROTOCOLS, Protocol
from mtut_bench.contract.types import MODALITIES, NOT_STORES, Fold, behaves_like, sort_modalities
from mtut_bench.errors import FoldError, RunError, StoreError, UsageError, did_you_mean
from mtut_bench.runs.plan import RunPlan, Weights, make_plan
from mtut_bench.runs.spec import RunSpec
from mtut_bench.store.expected import ExpectedStore, UnmadeStore
from mtut_bench.store.reader import StoreReader, list_stores

__all__ = ["Planner", "StoreHint", "describe_missing"]


@dataclass(frozen=True)
class StoreHint:
    """What is known of a store that may be missing.

    Attributes:
        hint: how to get it.
        expected: what it will hold, to plan without it; None: it must be there.
    """

    hint: str
    expected: ExpectedStore | None = None


@dataclass
class Planner:
    """Makes plans of runs; opens each store and reads each method's file once.

    Attributes:
        methods: by name.
        protocols: by name.
        hints: on stores, by path.
        loaded: methods that are open already, by their texts.
    """

    methods: Mapping[str, Method]
    protocols: Mapping[str, Protocol] = field(default_factory=lambda: PROTOCOLS)
    hints: Mapping[str, StoreHint] = field(default_factory=dict)
    loaded: dict[str, LoadedMethod] = field(default_factory=dict)
    _opened: dict[str, StoreReader] = field(default_factory=dict)

    def runs(self, specs: Sequence[RunSpec], without: list[str] | None = None) -> list[RunPlan]:
        """Return one plan per spec and fold, none twice; arguments and errors as `fold_by_fold`."""
        return self.fold_by_fold([[spec] for spec in specs], without)

    def fold_by_fold(
        self, groups: Sequence[Sequence[RunSpec]], without: list[str] | None = None
    ) -> list[RunPlan]:
        """Return one plan per spec and fold, none twice; each group is sorted by fold.

        Args:
            groups: specs that are run together, such as those that share stage one.
            without: collects what is missing, a text each: the runs are planned nevertheless, and
                have no id yet where it depends on that. None: nothing may be missing.

        Raises:
            UsageError: method, protocol, setting, seed, fold or modalities do not exist or fit.
            StoreError: the store is damaged or empty.
            RunError: store, weights or person table are missing; lists all of them at once.
        """
        missing: dict[str, None] = {}
        plans: dict[str, RunPlan] = {}
        unknown = False
        for group in groups:
            planned: list[RunPlan] = []
            for spec in group:
                found = self._plan(spec, missing)
                unknown = unknown or not found
                planned += found
            names = list(dict.fromkeys(plan.fold.name for plan in planned))
            for plan in sorted(planned, key=lambda plan: names.index(plan.fold.name)):
                plans.setdefault(plan.run_id, plan)
        if without is not None and not unknown:
            without += missing
        elif missing:
            raise RunError(
                "the run cannot start: " + "\n".join(describe_missing(list(missing))),
                "Without recordings: `mtut-bench prepare viva-synthetic --size tiny`, then"
                " `mtut-bench run --dataset viva-synthetic --size tiny --protocol demo`",
            )
        return list(plans.values())

    def method(self, text: str) -> LoadedMethod:
        """Return the method that a text names; errors as `load_method`."""
        if text not in self.loaded:
            self.loaded[text] = load_method(text, self.methods)
        return self.loaded[text]

    def _plan(self, spec: RunSpec, missing: dict[str, None]) -> list[RunPlan]:
        loaded = self.method(spec.method)
        if spec.protocol not in self.protocols:
            near = did_you_mean(spec.protocol, self.protocols)
            raise UsageError(
                f"unknown protocol {spec.protocol!r}",
                f"{near}Choose one of: {', '.join(self.protocols)}.",
            )
        protocol = self.protocols[spec.protocol]
        _check_seed(spec, protocol)
        reader, folds = self._open(spec, missing)
        method, protocol, overrides = prescribe(loaded.method, protocol, spec.settings)
        loaded = replace(loaded, method=method)
        if spec.precision not in method.precisions:
            spec = changed(spec, precision=method.precisions[0])
        if reader is not None:
            spec = changed(spec, modalities=self._choose_modalities(spec, method, reader))
            folds = _as_prescribed(folds, protocol, reader)
        weights = _find_weights(spec, method, protocol, missing)
        if reader is None or not folds:
            return []
        return [
            make_plan(
                changed(spec, fold=fold.name), reader, fold, loaded, protocol, overrides, weights
            )
            for fold in choose_folds(folds, spec.fold)
        ]

    def _reader(self, path: str) -> StoreReader:
        if path not in self._opened:
            reader = StoreReader(path)
            reader.check_files()
            self._opened[path] = reader
        return self._opened[path]

    def _open(
        self, spec: RunSpec, missing: dict[str, None]
    ) -> tuple[StoreReader | None, list[Fold]]:
        name, hint = Path(spec.store).stem, self.hints.get(spec.store, StoreHint(""))
        if name in NOT_STORES:
            raise UsageError(
                f"the store {spec.store} cannot be used: the name {name!r} is reserved",
                "Rename its folder.",
            )
        if not Path(spec.store).exists():
            known = [path.stem for path in list_stores(Path(spec.store).parent)]
            there = ", ".join(known) if known else "none"
            missing[
                f"store: {spec.store} does not exist (stores there: {there}).\n"
                f"    {did_you_mean(Path(spec.store).stem, known)}{hint.hint}"
                f"{_stand_in(hint.expected)}"
            ] = None
            if hint.expected is None:
                return None, []
            unmade = UnmadeStore(Path(spec.store), hint.expected, spec.modalities)
            for name in unmade.added:
                how = "prepare --flow farneback" if name == "flow" else "derive"
                missing[
                    f"modality: {unmade.name} will have {name} only after `mtut-bench {how}`."
                ] = None
            reader: StoreReader = unmade
        else:
            reader = self._reader(spec.store)
        if not reader.table.rows:
            raise StoreError(f"{spec.store} has no clips", "Prepare it again.")
        attributes = reader.attributes
        if spec.dataset and attributes.dataset != spec.dataset:
            raise UsageError(
                f"the store {reader.name} holds {attributes.dataset}, not {spec.dataset}",
                f"Give --dataset {attributes.dataset}, or another --store.",
            )
        try:
            folds = reader.folds(spec.fold_unit)
        except FoldError as error:
            stand_in = hint.expected
            if stand_in and stand_in.subject_unit == attributes.subject_unit:
                # Unknown persons are not the reason.
                stand_in = None
            missing[f"folds: {error.what}.\n    {error.hint}{_stand_in(stand_in)}"] = None
            if stand_in is None:
                return reader, []
            stand_in = replace(stand_in, modalities=reader.modalities)
            reader = UnmadeStore(Path(spec.store), stand_in)
            folds = reader.folds(spec.fold_unit)
        return reader, folds

    def _choose_modalities(
        self, spec: RunSpec, method: Method, reader: StoreReader
    ) -> tuple[str, ...]:
        asked = spec.modalities or reader.modalities
        unknown = [name for name in asked if name not in reader.modalities]
        if unknown:
            raise UsageError(
                f"the store {reader.name} has no modality {unknown[0]!r}",
                f"{did_you_mean(unknown[0], reader.modalities)}It has:"
                f" {', '.join(reader.modalities)}.",
            )
        chosen = sort_modalities(set(asked))
        if len(chosen) < method.min_modalities:
            raise _too_few(method, self._alone(method), chosen, reader)
        return chosen

    def _alone(self, method: Method) -> str:
        """Return a method of one modality to suggest instead of another."""
        single = [one for one in self.methods.values() if one.min_modalities == 1]
        alike = [one.name for one in single if one.network == method.network]
        return next(iter([*alike, *(one.name for one in single)]), "")


def describe_missing(texts: Sequence[str]) -> list[str]:
    """Return a heading and one entry for each text."""
    count = "one thing is" if len(texts) == 1 else f"{len(texts)} things are"
    return [f"{count} missing", *(f"  - {text}" for text in texts)]


def _check_seed(spec: RunSpec, protocol: Protocol) -> None:
    seeds = protocol.seeds
    if spec.seed not in seeds:
        raise UsageError(
            f"seed {spec.seed} is not one of protocol {protocol.name}'s",
            f"Choose one of {seeds[0]}..{seeds[-1]}.",
        )


def _as_prescribed(folds: list[Fold], protocol: Protocol, reader: StoreReader) -> list[Fold]:
    """Return folds with the training side of a protocol."""
    rows = reader.table.rows
    if protocol.train_on == "train+val":
        return [with_validation(fold, rows) for fold in folds]
    if protocol.train_on == "inner":
        return [inner_fold(fold, rows, reader.attributes.fold_rule) for fold in folds]
    return folds


def _find_weights(
    spec: RunSpec, method: Method, protocol: Protocol, missing: dict[str, None]
) -> dict[str, Weights]:
    """Return the weights of the modalities; without a store, of all that the method has."""
    if protocol.initialisation == "scratch" or method.weights is None:
        return {}
    found: dict[str, Weights] = {}
    chosen = spec.modalities
    wanted = [m for m in (chosen or MODALITIES) if _weights_name(method, m) or chosen]
    absent: set[Path] = set()
    for modality in wanted:
        name = _weights_name(method, modality)
        if name is None:
            missing[f"weights: method {method.name} has none for {modality}."] = None
            continue
        path = Path(spec.weights) / f"{name}.safetensors"
        if path.is_file():
            found[modality] = Weights(path, hashlib.sha256(path.read_bytes()).hexdigest())
        else:
            absent.add(path)
    if absent:
        names = ", ".join(str(path) for path in sorted(absent))
        files = " ".join(sorted(path.stem for path in absent))
        missing[
            f"weights: protocol {protocol.name} starts from published weights: {names}.\n"
            f"    Download them: `mtut-bench weights fetch {files}`; or "
            "convert your own files: `mtut-bench weights convert --help`;\n"
            "    or use --protocol paper-scratch (random weights, Table 7)."
        ] = None
    return found


def _weights_name(method: Method, modality: str) -> str | None:
    """Return the weights of a modality, or of the modality that it is a copy of."""
    names = method.weights or {}
    return names.get(modality) or names.get(behaves_like(modality))


def _stand_in(expected: ExpectedStore | None) -> str:
    if expected is None:
        return ""
    return (
        f"\n    Planned as {expected.dataset}, {'+'.join(expected.modalities)}: {expected.counts}."
    )


def _too_few(
    method: Method, alone: str, chosen: tuple[str, ...], reader: StoreReader
) -> UsageError:
    """Return the error of too few modalities for a method."""
    there = reader.modalities
    needed = {2: "two"}.get(method.min_modalities, str(method.min_modalities))
    only = " and ".join(chosen)
    hints = [f"use --method {alone}"] if alone else []
    if len(there) >= method.min_modalities:
        has = f"--modalities names only {only}"
        hints.insert(0, f"choose {needed} or more of {', '.join(there)}")
    else:
        has = f"store {reader.name!r} has only {only}"
        if "rgb" in there and "flow" not in there:
            hints.append("prepare the store again with --flow farneback --overwrite")
    hint = ", or ".join(hints)
    return UsageError(
        f"{method.name} needs {needed} modalities, {has}", f"{hint[:1].upper()}{hint[1:]}."
    )
