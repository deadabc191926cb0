"""From what a user asked for to runs that can start, or one message with all that is missing."""

import hashlib
import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch
from torch import nn

from mtut_bench.contract.folds import (
    FOLD_UNIT,
    choose_folds,
    inner_fold,
    make_folds,
    with_validation,
)
from mtut_bench.contract.method import Method, NetworkSpec
from mtut_bench.contract.overrides import apply_overrides
from mtut_bench.contract.protocol import Protocol
from mtut_bench.contract.types import MODALITIES, NOT_STORES, Fold, behaves_like, sort_modalities
from mtut_bench.errors import FoldError, RunError, StoreError, UsageError, did_you_mean
from mtut_bench.files import StrPath, read_json
from mtut_bench.progress import counted, format_duration
from mtut_bench.runs.spec import Arm, RunPlan, Weights, plan_run
from mtut_bench.store.expected import UNMADE, ExpectedStore, UnmadeStore
from mtut_bench.store.reader import StoreReader, list_stores
from mtut_bench.training.train_state import network_spec

__all__ = [
    "Request",
    "Workload",
    "describe_missing",
    "describe_plans",
    "measured_rate",
    "plan_fold_by_fold",
    "plan_runs",
]


@dataclass(frozen=True)
class Request:
    """What a user asked for: one method on one store.

    Attributes:
        store: path of the store.
        method: the player.
        protocol: the rules, before they are narrowed to the method's network.
        settings: ``name=value`` texts that change settings of the protocol.
        fold: name of a fold, or several joined by commas, or 'all'.
        modalities: which networks; empty for all of the store's.
        seed: of every draw.
        runs: root folder of runs.
        store_cure: how to get the store, for the message.
        dataset: that the store must hold; "" for any.
        weights: folder of pretrained weights.
        precision: 'fp32' or 'bf16'.
        fold_unit: who is left out, 'person' or 'user'; 'user' is a marked variant.
        expected: what the store will hold, to plan without it; None: it must be there.
        alone: name of a method that needs one modality, to suggest where there are too few; "" for
            none.
    """

    store: StrPath
    method: Method
    protocol: Protocol
    fold: str
    modalities: tuple[str, ...]
    seed: int
    runs: StrPath
    store_cure: str
    dataset: str = ""
    weights: StrPath = "weights"
    settings: tuple[str, ...] = ()
    precision: str = "fp32"
    fold_unit: str = "person"
    expected: ExpectedStore | None = None
    alone: str = ""


def plan_runs(requests: Sequence[Request], without: list[str] | None = None) -> list[RunPlan]:
    """Return one plan per request and fold, none twice, request by request.

    Args:
        requests: what is asked for.
        without: as :func:`plan_fold_by_fold` takes it.

    Raises:
        MtutBenchError: as :func:`plan_fold_by_fold`.
    """
    return plan_fold_by_fold([[request] for request in requests], without)


def plan_fold_by_fold(
    groups: Sequence[Sequence[Request]], without: list[str] | None = None
) -> list[RunPlan]:
    """Return one plan per request and fold, none twice: of each group all that is on one fold.

    Args:
        groups: requests that are run together; those that share first stages are best in one.
        without: gets what is missing, one text each; the runs are planned without it, though they
            could not start, and a run whose identity depends on it has no id yet. None: all must
            be there.

    Raises:
        UsageError: seed, fold or modalities do not exist or fit.
        StoreError: the store is damaged or empty.
        RunError: store, weights or person table are missing and runs cannot be planned without
            them; lists all of them at once.
    """
    missing: dict[str, None] = {}
    plans: dict[str, RunPlan] = {}
    unknown = False
    for group in groups:
        planned: list[RunPlan] = []
        for request in group:
            _check_seed(request)
            found = _plan_request(request, missing)
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
            "Without any recordings: `mtut-bench prepare viva-synthetic --size tiny`, then"
            " `mtut-bench run --dataset viva-synthetic --size tiny --protocol demo`",
        )
    return list(plans.values())


def describe_missing(texts: Sequence[str]) -> list[str]:
    """Return what runs lack, one entry each below a heading."""
    count = "one thing is" if len(texts) == 1 else f"{len(texts)} things are"
    return [f"{count} missing", *(f"  - {text}" for text in texts)]


def _check_seed(request: Request) -> None:
    seeds = request.protocol.seeds
    if request.seed not in seeds:
        raise UsageError(
            f"seed {request.seed} is not one of protocol {request.protocol.name}'s",
            f"Choose one of {seeds[0]}..{seeds[-1]}.",
        )


def _plan_request(request: Request, missing: dict[str, None]) -> list[RunPlan]:
    reader, folds = _open(request, missing)
    modalities = _choose_modalities(request, reader) if reader else ()
    narrowed = request.protocol.for_network(request.method.network)
    protocol, overrides = apply_overrides(narrowed, request.settings)
    if request.fold_unit != "person":
        overrides[FOLD_UNIT] = request.fold_unit
    if reader and protocol.train_on == "train+val":
        folds = [with_validation(fold, reader.table.rows) for fold in folds]
    if reader and protocol.train_on == "inner":
        rule = reader.attributes.fold_rule
        folds = [inner_fold(fold, reader.table.rows, rule) for fold in folds]
    weights = _find_weights(request, protocol, modalities, missing)
    if reader is None or not folds:
        return []
    arm = Arm(request.method, protocol, request.seed, overrides, request.precision, weights)
    return [
        plan_run(reader, fold, arm, modalities, request.runs)
        for fold in choose_folds(folds, request.fold)
    ]


def _find_weights(
    request: Request, protocol: Protocol, modalities: tuple[str, ...], missing: dict[str, None]
) -> dict[str, Weights]:
    """Return the weights of each modality; without a store, of all that the method knows."""
    if protocol.initialisation == "scratch":
        return {}
    method, found = request.method, {}
    wanted = [m for m in (modalities or MODALITIES) if _weights_name(method, m) or modalities]
    absent: set[Path] = set()
    for modality in wanted:
        name = _weights_name(method, modality)
        if name is None:
            missing[f"weights: method {method.name} has none for {modality}."] = None
            continue
        path = Path(request.weights) / f"{name}.safetensors"
        if path.is_file():
            found[modality] = Weights(path, hashlib.sha256(path.read_bytes()).hexdigest())
        else:
            absent.add(path)
    if absent:
        names = ", ".join(str(path) for path in sorted(absent))
        files = " ".join(sorted(path.stem for path in absent))
        missing[
            f"weights: protocol {protocol.name} starts from published weights: {names}.\n"
            f"    Get them: `mtut-bench weights fetch {files}`; or convert files that you have:"
            " `mtut-bench weights convert --help`;\n"
            "    or use --protocol paper-scratch (random weights, Table 7)."
        ] = None
    return found


def _weights_name(method: Method, modality: str) -> str | None:
    """Return the weights that a modality starts from: its own, or those of the kind it is."""
    return method.weights.get(modality) or method.weights.get(behaves_like(modality))


def _open(request: Request, missing: dict[str, None]) -> tuple[StoreReader | None, list[Fold]]:
    name = Path(request.store).stem
    if name in NOT_STORES:
        raise UsageError(
            f"the store {request.store} cannot be run: a folder of runs keeps something else under"
            f" {name!r}",
            "Rename its folder.",
        )
    if not Path(request.store).exists():
        known = [path.stem for path in list_stores(Path(request.store).parent)]
        there = ", ".join(known) if known else "none"
        missing[
            f"store: {request.store} does not exist (stores there: {there}).\n"
            f"    {did_you_mean(Path(request.store).stem, known)}{request.store_cure}"
            f"{_stand_in(request.expected)}"
        ] = None
        if request.expected is None:
            return None, []
        unmade = UnmadeStore(Path(request.store), request.expected, request.modalities)
        for name in unmade.added:
            how = "prepare --flow farneback" if name == "flow" else "derive"
            missing[
                f"modality: {unmade.name} will hold {name} only if `mtut-bench {how}` puts it in."
            ] = None
        reader: StoreReader = unmade
    else:
        reader = StoreReader(request.store)
        reader.check_files()
    if not reader.table.rows:
        raise StoreError(f"{request.store} holds no clip", "Prepare it again.")
    attributes = reader.attributes
    if request.dataset and attributes.dataset != request.dataset:
        raise UsageError(
            f"the store {reader.name} holds {attributes.dataset}, not {request.dataset}",
            f"Give --dataset {attributes.dataset}, or another --store.",
        )
    try:
        folds = make_folds(
            reader.table.rows,
            attributes.fold_rule,
            attributes.subject_unit,
            request.fold_unit,
            store=reader.name,
        )
    except FoldError as error:
        stand_in = request.expected
        if stand_in and stand_in.subject_unit == attributes.subject_unit:
            # It is not for a lack of persons.
            stand_in = None
        missing[f"folds: {error.what}.\n    {error.cure}{_stand_in(stand_in)}"] = None
        if stand_in is None:
            return reader, []
        stand_in = replace(stand_in, modalities=reader.modalities)
        reader = UnmadeStore(Path(request.store), stand_in)
        folds = make_folds(reader.table.rows, stand_in.fold_rule, stand_in.subject_unit)
    return reader, folds


def _stand_in(expected: ExpectedStore | None) -> str:
    if expected is None:
        return ""
    return (
        f"\n    Planned as {expected.dataset}, {'+'.join(expected.modalities)}: {expected.counts}."
    )


def _choose_modalities(request: Request, reader: StoreReader) -> tuple[str, ...]:
    asked = request.modalities or reader.modalities
    unknown = [name for name in asked if name not in reader.modalities]
    if unknown:
        raise UsageError(
            f"the store {reader.name} has no modality {unknown[0]!r}",
            f"{did_you_mean(unknown[0], reader.modalities)}It has: {', '.join(reader.modalities)}.",
        )
    chosen = sort_modalities(set(asked))
    if len(chosen) < request.method.min_modalities:
        raise _too_few(request, chosen, reader)
    return chosen


def _too_few(request: Request, chosen: tuple[str, ...], reader: StoreReader) -> UsageError:
    """Return the error of a method that trains more modalities together than there are."""
    method, there = request.method, reader.modalities
    needed = {2: "two"}.get(method.min_modalities, str(method.min_modalities))
    only = " and ".join(chosen)
    cures = [f"use --method {request.alone}"] if request.alone else []
    if len(there) >= method.min_modalities:
        has = f"--modalities names only {only}"
        cures.insert(0, f"choose {needed} or more of {', '.join(there)}")
    else:
        has = f"store {reader.name!r} has only {only}"
        if "rgb" in there and "flow" not in there:
            cures.append("prepare the store again with --flow farneback --overwrite")
    cure = ", or ".join(cures)
    return UsageError(
        f"{method.name} needs {needed} modalities, {has}", f"{cure[:1].upper()}{cure[1:]}."
    )


def describe_plans(plans: Sequence[RunPlan], clips_per_s: float | None = None) -> list[str]:
    """Return what a run would do, one line each: runs, shared stages, steps, disk, hours.

    Args:
        plans: the runs.
        clips_per_s: clips that one network trains on per second, given or measured; None: no
            hours are forecast.
    """
    work = Workload.of(plans)
    lines = [_describe_plan(plan) for plan in plans]
    lines.append(
        f"{counted(work.num_runs, 'run')} to do: {counted(work.alone_steps, 'network step')} in"
        f" {counted(work.num_stages, 'first stage')}, {work.joint_steps:,} in joint stages;"
        f" {counted(work.test_clips, 'clip')} to test"
    )
    lines.append(
        f"clip passes: {work.clip_passes:,}; without shared first stages {work.unshared:,}"
        f" ({work.saved:.0%} saved)"
    )
    if clips_per_s:
        duration = format_duration(work.clip_passes / clips_per_s)
        lines.append(f"about {duration} of training at {clips_per_s:,.2f} clips/s")
    lines.append(
        f"disk: {work.kept_bytes / 1e6:,.0f} MB to keep, up to {work.extra_bytes / 1e6:,.0f} MB"
        " more while it trains"
    )
    return lines


def _describe_plan(plan: RunPlan) -> str:
    fold = plan.fold
    return (
        f"{plan.run_id[:12] if _has_id(plan) else 'no id yet   '}  {plan.method.name},"
        f" {plan.fold_title}, {'+'.join(plan.modalities)}, seed {plan.seed}: {len(fold.train)}"
        " train,"
        + (f" {len(fold.val)} val," if fold.val else "")
        + f" {len(fold.test)} test clip{'' if len(fold.test) == 1 else 's'},"
        f" {'done' if plan.done() else 'to do'}"
    )


def _has_id(plan: RunPlan) -> bool:
    """Return whether all that the run's identity is made of is there."""
    scratch = plan.protocol.initialisation == "scratch"
    ready = scratch or plan.arm.weights.keys() >= set(plan.modalities)
    return ready and not str(plan.identity["store_digest"]).startswith(UNMADE)


def measured_rate(plans: Sequence[RunPlan]) -> float | None:
    """Return clips per second of one network, from first stages of the same protocol and network.

    Args:
        plans: runs whose folder of runs is searched.

    Returns:
        The median over all logged epochs; None where nothing was measured yet.
    """
    wanted = {(plan.protocol.name, plan.method.network) for plan in plans}
    rates: list[float] = []
    cure = "Delete its folder."
    for folder in {plan.runs / "stages" for plan in plans}:
        for path in sorted(folder.glob("*/manifest.json")):
            manifest, log = read_json(path, RunError, cure), path.with_name("log.jsonl")
            try:
                identity = manifest["identity"]
                kind = (identity["protocol"]["name"], identity["network"])
                if kind in wanted and log.is_file():
                    entries = [json.loads(line) for line in log.read_text().splitlines()]
                    rates += [entry["clips_per_s"] for entry in entries]
            except (KeyError, TypeError, ValueError) as error:
                raise RunError(f"{path} or its log is damaged: {error}", cure) from error
    return statistics.median(rates) if rates else None


@dataclass
class Workload:
    """What is left to do for some runs.

    Attributes:
        num_runs: runs to do.
        num_stages: first stages to train.
        alone_steps, joint_steps: updates of one network.
        clip_passes: forward and backward passes of one clip through one network.
        unshared: the same if every run trained its own first stages.
        test_clips: clips to predict, of the validation split too, counted per modality.
        kept_bytes, extra_bytes: disk for results, and more while it trains.
    """

    num_runs: int = 0
    num_stages: int = 0
    alone_steps: int = 0
    joint_steps: int = 0
    clip_passes: int = 0
    unshared: int = 0
    test_clips: int = 0
    kept_bytes: int = 0
    extra_bytes: int = 0

    @property
    def saved(self) -> float:
        """Share of the unshared clip passes that need not be done, 0..1."""
        return 1 - self.clip_passes / self.unshared if self.unshared else 0.0

    @classmethod
    def of(cls, plans: Sequence[RunPlan]) -> "Workload":
        """Return the work of runs that are not done."""
        work, stages = cls(), set()
        for plan in plans:
            if plan.done():
                continue
            work.num_runs += 1
            protocol, num_train = plan.protocol, len(plan.fold.train)
            per_epoch = -(-num_train // protocol.batch_size)
            sizes = {modality: _network_bytes(plan, modality) for modality in plan.modalities}
            for modality, size in sizes.items():
                work.unshared += num_train * (protocol.epochs_alone + protocol.epochs_joint)
                if plan.stage_done(modality) or plan.stage_id(modality) in stages:
                    continue
                stages.add(plan.stage_id(modality))
                work.alone_steps += per_epoch * protocol.epochs_alone
                work.clip_passes += num_train * protocol.epochs_alone
                # A checkpoint holds a momentum beside every weight.
                work.kept_bytes += 2 * size
            work.joint_steps += per_epoch * protocol.epochs_joint * len(sizes)
            work.clip_passes += num_train * protocol.epochs_joint * len(sizes)
            work.test_clips += (len(plan.fold.test) + len(plan.fold.val)) * len(sizes)
            work.kept_bytes += sum(sizes.values())
            # The new checkpoint is whole before the old one goes.
            work.extra_bytes = max(work.extra_bytes, 4 * sum(sizes.values()))
        work.num_stages = len(stages)
        return work


def _network_bytes(plan: RunPlan, modality: str) -> int:
    spec = network_spec(modality, plan.identity["num_classes"], plan.protocol)
    return _bytes_of(plan.method.build_network, spec)


@cache
def _bytes_of(build_network: Callable[[NetworkSpec], nn.Module], spec: NetworkSpec) -> int:
    """Return the size of a network's state, bytes; a table asks for the same few many times."""
    with torch.device("meta"):
        network = build_network(spec)
    return sum(tensor.nbytes for tensor in network.state_dict().values())
