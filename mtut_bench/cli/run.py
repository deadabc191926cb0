"""The command that trains and tests: run."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec.structs import replace

from mtut_bench.cli import completing
from mtut_bench.cli.finding import find_dataset
from mtut_bench.cli.options import (
    DATA,
    RUNS,
    DataOption,
    DeviceCacheMode,
    DeviceCacheOption,
    DryRunOption,
    FoldUnit,
    Precision,
    RunsOption,
    Size,
    SizeOption,
    StoreOption,
    WorkersOption,
    readers,
)
from mtut_bench.cli.paths import store_hint, store_path
from mtut_bench.cli.printing import console, say
from mtut_bench.cli.suggesting import suggest
from mtut_bench.errors import UsageError, did_you_mean
from mtut_bench.progress import Reporter

if TYPE_CHECKING:
    from mtut_bench.runs.plan import RunPlan
    from mtut_bench.runs.planning import Planner, StoreHint
    from mtut_bench.runs.precision import PrecisionChecks
    from mtut_bench.runs.spec import RunSpec
    from mtut_bench.runs.study import Block, Study
    from mtut_bench.store.expected import ExpectedStore

__all__ = ["run"]


def run(
    context: typer.Context,
    method: Annotated[
        str,
        typer.Option(
            "--method",
            help="See `list methods`; or your own: file.py:build.",
            autocompletion=completing.methods,
        ),
    ] = "mtut",
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", help="Default viva.", autocompletion=completing.datasets),
    ] = None,
    fold: Annotated[
        str,
        typer.Option(
            "--fold",
            help="Name of a fold, or several: 1,2; or all.",
            autocompletion=completing.folds,
        ),
    ] = "all",
    fold_unit: Annotated[
        FoldUnit,
        typer.Option("--fold-unit", help="Who is left out; user: a marked variant."),
    ] = FoldUnit.PERSON,
    modalities: Annotated[
        str,
        typer.Option(
            "--modalities",
            help="Such as rgb,depth; default: all of the store's.",
            autocompletion=completing.modalities,
        ),
    ] = "",
    protocol: Annotated[
        str | None,
        typer.Option(
            "--protocol",
            help="See `list protocols`. Default paper.",
            autocompletion=completing.protocols,
        ),
    ] = None,
    study: Annotated[
        Path | None, typer.Option("--study", help="All runs of a study: its TOML file.")
    ] = None,
    table: Annotated[
        str, typer.Option("--table", "--tables", help="All that tables need: 7, or 1,4, or all.")
    ] = "",
    seed: Annotated[int, typer.Option("--seed", help="One of the protocol's.")] = 0,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="name=value: a marked variant of the protocol; repeatable."),
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N.")] = "auto",
    precision: Annotated[
        Precision,
        typer.Option(
            "--precision", help="auto: bf16 on a GPU that computes it rightly, else fp32."
        ),
    ] = Precision.AUTO,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Less memory, more time, the same numbers.")
    ] = False,
    device_cache: DeviceCacheOption = DeviceCacheMode.AUTO,
    data: DataOption = DATA,
    runs: RunsOption = RUNS,
    store: StoreOption = None,
    size: SizeOption = Size.TINY,
    workers: WorkersOption = None,
    dry_run: DryRunOption = False,
    clips_per_second: Annotated[
        float | None,
        typer.Option("--clips-per-second", min=0.001, help="For --dry-run's hours."),
    ] = None,
) -> None:
    """Train and test methods on a prepared store. Skips what is done, resumes what was killed."""
    from mtut_baselines import METHODS
    from mtut_bench.runs.machine import Machine, choose_device
    from mtut_bench.runs.planning import Planner, describe_missing
    from mtut_bench.runs.spec import RunSpec
    from mtut_bench.runs.study import read_study
    from mtut_bench.runs.workload import describe_plans, measured_rate

    if clips_per_second and not dry_run:
        raise UsageError("--clips-per-second forecasts hours", "Give it with --dry-run.")
    chosen = choose_device(device)
    # Of all that is asked for; store and dataset are filled in by `places`.
    common = RunSpec(
        method=method,
        store=store or "",
        protocol=protocol or "",
        dataset=dataset or "",
        fold=fold,
        fold_unit=fold_unit.value,
        modalities=_names(modalities),
        seed=seed,
        settings=tuple(settings or ()),
        precision=_precision(precision, chosen.type),
        runs=str(runs),
        weights=str(data / "weights"),
    )
    places = _Places(data, size, size_given=_is_given(context, "size"), dry_run=dry_run)
    if study:
        named = (method != "mtut", dataset, modalities, protocol, table, seed, settings, store)
        if any(named):
            raise UsageError(
                f"the study {study} says what is run", "Beside it, choose folds and places alone."
            )
        groups = _of_study(read_study(study), common, places)
    elif table:
        if method != "mtut" or modalities:
            raise UsageError("--table chooses methods and modalities", "Leave those options out.")
        groups = [[spec] for spec in _of_tables(table, common, places)]
    else:
        default = replace(common, protocol=common.protocol or "paper")
        groups = [[places.fill_in(default)]]
    planner = Planner(METHODS, hints=places.hints)
    missing: list[str] = []
    plans = planner.fold_by_fold(groups, missing if dry_run else None)
    if dry_run or table or study:
        rate = clips_per_second or measured_rate(plans)
        for text in describe_plans(plans, rate):
            say(text)
    if dry_run:
        if table:
            _say_tables(table, common, places, planner, clips_per_second)
        if rate is None:
            say(f"no rate was measured in {runs} yet: --clips-per-second forecasts the hours")
        if missing:
            heading, *texts = describe_missing(missing)
            them = "it" if len(texts) == 1 else "them"
            say(f"{heading}; planned without {them}, as if no run that needs {them} were done")
            for text in texts:
                say(text)
        return
    from mtut_bench.loading.device_cache import DeviceCache
    from mtut_bench.runs.execute import execute
    from mtut_bench.runs.precision import PrecisionChecks
    from mtut_bench.runs.provenance import command_line

    reporter = Reporter(console)
    cache = DeviceCache(device_cache.value, chosen, reporter.line)
    machine = Machine(chosen, readers(workers, chosen.type), command_line(), recompute, cache)
    checks = PrecisionChecks(machine, reporter.line)
    if precision is Precision.AUTO:
        plans = _right_precision(plans, groups, planner, checks)
    execute(plans, machine, reporter, checks)
    say(f"tables: {suggest('report')}")


def _is_given(context: typer.Context, name: str) -> bool:
    """Return whether the user gave an option, be it with the value that it has by default."""
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",")) if text else ()


@dataclass
class _Places:
    """Where stores lie, and what is known of those that may not be there.

    Attributes:
        data: root folder.
        size: of a synthetic dataset.
        size_given: whether the user named it.
        dry_run: whether runs are planned without stores that are missing.
        hints: on the stores that were asked for, by path.
    """

    data: Path
    size: Size
    size_given: bool
    dry_run: bool
    hints: "dict[str, StoreHint]" = field(default_factory=dict)

    def fill_in(self, spec: "RunSpec", *, hint_dataset: str | None = None) -> "RunSpec":
        """Return a run's text with the path of its store and the dataset that it must hold.

        Args:
            spec: with the name of a store, or a dataset, or neither: then it is viva.
            hint_dataset: for the hint where the store is missing, instead of the dataset.
        """
        from mtut_bench.runs.planning import StoreHint

        # A store that is named says itself what it holds; a dataset named as well must agree.
        name = spec.store or None
        wanted = spec.dataset or ("" if name else "viva")
        path = str(store_path(self.data, name, find_dataset(wanted or "viva").name, self.size))
        hint = store_hint(wanted if hint_dataset is None else hint_dataset, name, self.size)
        expected = self._expected(wanted, name, spec.fold_unit) if self.dry_run else None
        self.hints[path] = StoreHint(hint, expected)
        return replace(spec, store=path, dataset=wanted)

    def _expected(self, dataset: str, store: str | None, fold_unit: str) -> "ExpectedStore | None":
        """Return what a store will hold; None where no name says of which dataset it is."""
        from mtut_preprocess import DATASETS
        from mtut_preprocess.expected import expected_store

        if store is None:
            return expected_store(dataset, self.size.value, fold_unit)
        for name in [dataset] if dataset else DATASETS:
            for size in Size:
                if store_path(self.data, None, name, size).stem == store:
                    return expected_store(name, size.value, fold_unit)
        return expected_store(dataset, self.size.value if self.size_given else None, fold_unit)


def _of_tables(table: str, common: "RunSpec", places: _Places) -> "list[RunSpec]":
    from mtut_baselines import METHODS
    from mtut_bench.contract.protocol import PROTOCOLS
    from mtut_bench.runs.table_plan import choose_tables, needed_runs

    needs = needed_runs(
        choose_tables(table),
        METHODS,
        PROTOCOLS,
        dataset=common.dataset or None,
        protocol=common.protocol or None,
    )
    return [
        places.fill_in(
            replace(
                common,
                method=need.method,
                dataset=need.dataset,
                protocol=need.protocol,
                modalities=need.modalities,
            )
        )
        for need in needs
    ]


def _of_study(study: "Study", common: "RunSpec", places: _Places) -> "list[list[RunSpec]]":
    """Return the runs of each block and seed, which share first stages."""
    _check_folds(study, common.fold)
    return [
        [
            places.fill_in(
                replace(
                    common,
                    method=method,
                    dataset=study.dataset,
                    protocol=study.protocol,
                    store=block.store,
                    modalities=block.modalities,
                    fold=fold,
                    seed=seed,
                    settings=block.settings,
                ),
                # A study names no size of a synthetic dataset.
                hint_dataset="",
            )
            for fold in _folds_of(block, common.fold)
            for method in block.methods
        ]
        for block in study.blocks
        for seed in block.seeds
    ]


def _check_folds(study: "Study", chosen: str) -> None:
    """Refuse a fold that no block has; the folds of a block that names none are its store's."""
    if chosen == "all" or not all(block.folds for block in study.blocks):
        return
    known = list(dict.fromkeys(fold for block in study.blocks for fold in block.folds))
    unknown = [fold for part in chosen.split(",") if (fold := part.strip()) not in known]
    if unknown:
        raise UsageError(
            f"no block of the study {study.title!r} has a fold {unknown[0]!r}",
            f"{did_you_mean(unknown[0], known)}Choose from: {', '.join(known)}, or all.",
        )


def _folds_of(block: "Block", chosen: str) -> list[str]:
    """Return the folds of a block that the user chose; the block's own for all of them."""
    if chosen == "all" or not block.folds:
        return list(block.folds) or [chosen]
    wanted = [part.strip() for part in chosen.split(",")]
    return [fold for fold in block.folds if fold in wanted]


def _say_tables(
    table: str,
    common: "RunSpec",
    places: _Places,
    planner: "Planner",
    clips_per_second: float | None,
) -> None:
    from mtut_bench.runs.table_plan import choose_tables, describe_tables

    plans = {
        number: planner.runs(_of_tables(number, common, places), [])
        for number in choose_tables(table)
    }
    for text in describe_tables(plans, clips_per_second):
        say(text)


def _right_precision(
    plans: "list[RunPlan]",
    groups: "Sequence[Sequence[RunSpec]]",
    planner: "Planner",
    checks: "PrecisionChecks",
) -> "list[RunPlan]":
    """Return the plans, in fp32 where this device is wrong in the precision that 'auto' chose."""
    from mtut_bench.errors import PrecisionError

    try:
        checks.check(plan for plan in plans if not plan.done())
    except PrecisionError as error:
        say(f"--precision auto takes fp32: {error.what}")
        exact = [[replace(spec, precision="fp32") for spec in group] for group in groups]
        return planner.fold_by_fold(exact)
    return plans


def _precision(precision: Precision, device: str) -> str:
    if precision is Precision.AUTO:
        return "bf16" if device == "cuda" else "fp32"
    return precision.value
