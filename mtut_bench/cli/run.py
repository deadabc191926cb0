"""The command that trains and tests: run."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from msgspec.structs import replace

from mtut_bench.cli.finding import find_dataset
from mtut_bench.cli.options import (
    DATA,
    RUNS,
    ClipsPerSecondOption,
    DataOption,
    DatasetOption,
    DeviceCacheMode,
    DeviceCacheOption,
    DeviceOption,
    DryRunOption,
    FoldsOption,
    FoldUnit,
    FoldUnitOption,
    MethodOption,
    ModalitiesOption,
    Precision,
    PrecisionOption,
    ProtocolOption,
    PublishedTablesOption,
    RecomputeOption,
    RunsOption,
    SeedOption,
    SetOption,
    Size,
    SizeOption,
    StoreOption,
    StudyOption,
    WorkersOption,
    is_default,
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
    method: MethodOption = "mtut",
    protocol: ProtocolOption = "",
    modalities: ModalitiesOption = "",
    study: StudyOption = None,
    table: PublishedTablesOption = "",
    seed: SeedOption = 0,
    settings: SetOption = None,
    dataset: DatasetOption = None,
    store: StoreOption = None,
    size: SizeOption = Size.TINY,
    fold: FoldsOption = "all",
    fold_unit: FoldUnitOption = FoldUnit.PERSON,
    data: DataOption = DATA,
    runs: RunsOption = RUNS,
    device: DeviceOption = "auto",
    precision: PrecisionOption = Precision.AUTO,
    recompute: RecomputeOption = False,
    device_cache: DeviceCacheOption = DeviceCacheMode.AUTO,
    workers: WorkersOption = None,
    dry_run: DryRunOption = False,
    clips_per_second: ClipsPerSecondOption = None,
) -> None:
    """Train and test methods on a prepared store. Skips finished runs, resumes interrupted ones."""
    from mtut_baselines import METHODS
    from mtut_bench.loading.device_cache import DeviceCache
    from mtut_bench.runs.execute import execute
    from mtut_bench.runs.machine import Machine, choose_device
    from mtut_bench.runs.planning import Planner
    from mtut_bench.runs.precision import PrecisionChecks
    from mtut_bench.runs.provenance import command_line
    from mtut_bench.runs.spec import RunSpec
    from mtut_bench.runs.workload import describe_plans, measured_rate

    if clips_per_second and not dry_run:
        raise UsageError(
            "--clips-per-second only affects the time estimate", "Give it with --dry-run."
        )
    chosen = choose_device(device)
    common = RunSpec(
        method=method,
        store=store or "",
        protocol=protocol,
        dataset=dataset or "",
        fold=fold,
        fold_unit=fold_unit.value,
        modalities=tuple(part.strip() for part in modalities.split(",")) if modalities else (),
        seed=seed,
        settings=tuple(settings or ()),
        precision=_precision(precision, chosen.type),
        runs=str(runs),
        weights=str(data / "weights"),
    )
    stores = _Stores(data, size, not is_default(context, "size"), dry_run)
    groups = _choose_runs(common, stores, study, table)
    planner = Planner(METHODS, hints=stores.hints)
    if dry_run:
        _say_plan(groups, _each_table(table, common, stores), planner, runs, clips_per_second)
        return
    plans = planner.fold_by_fold(groups)
    if table or study:
        for text in describe_plans(plans, measured_rate(plans)):
            say(text)
    reporter = Reporter(console)
    cache = DeviceCache(device_cache.value, chosen, reporter.line)
    machine = Machine(chosen, readers(workers, chosen.type), command_line(), recompute, cache)
    checks = PrecisionChecks(machine, reporter.line)
    if precision is Precision.AUTO:
        plans = _right_precision(plans, groups, planner, checks)
    execute(plans, machine, reporter, checks)
    say(f"tables: {suggest('report')}")


@dataclass
class _Stores:
    """Where stores lie, and what is known of missing ones.

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


def _choose_runs(
    common: "RunSpec", stores: _Stores, study: Path | None, table: str
) -> "list[list[RunSpec]]":
    """Return the runs that were asked for, in groups that share stage one."""
    if study:
        from mtut_bench.runs.study import read_study

        options = (common.dataset, common.modalities, common.protocol, common.settings)
        if common.method != "mtut" or any((*options, common.store, common.seed, table)):
            raise UsageError(
                f"the study {study} defines the runs",
                "With --study, choose only folds and folders.",
            )
        return _of_study(read_study(study), common, stores)
    if table:
        if common.method != "mtut" or common.modalities:
            raise UsageError("--table chooses methods and modalities", "Leave those options out.")
        return [[spec] for spec in _of_tables(table, common, stores)]
    return [[stores.fill_in(replace(common, protocol=common.protocol or "paper"))]]


def _of_tables(table: str, common: "RunSpec", stores: _Stores) -> "list[RunSpec]":
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
        stores.fill_in(
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


def _of_study(study: "Study", common: "RunSpec", stores: _Stores) -> "list[list[RunSpec]]":
    """Return the runs of each block and seed, which share stage one."""
    _check_folds(study, common.fold)
    return [
        [
            stores.fill_in(
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
            f"the study {study.title!r} has no fold {unknown[0]!r}",
            f"{did_you_mean(unknown[0], known)}Choose from: {', '.join(known)}, or all.",
        )


def _folds_of(block: "Block", chosen: str) -> list[str]:
    """Return the folds of a block that the user chose."""
    if chosen == "all" or not block.folds:
        return list(block.folds) or [chosen]
    wanted = [part.strip() for part in chosen.split(",")]
    return [fold for fold in block.folds if fold in wanted]


def _each_table(table: str, common: "RunSpec", stores: _Stores) -> "dict[str, list[RunSpec]]":
    """Return the runs that each table needs by itself, by its number."""
    from mtut_bench.runs.table_plan import choose_tables

    numbers = choose_tables(table) if table else []
    return {number: _of_tables(number, common, stores) for number in numbers}


def _say_plan(
    groups: "list[list[RunSpec]]",
    tables: "dict[str, list[RunSpec]]",
    planner: "Planner",
    runs: Path,
    clips_per_second: float | None,
) -> None:
    """Print what would be done, in all and for each table, and what is missing."""
    from mtut_bench.runs.planning import describe_missing
    from mtut_bench.runs.table_plan import describe_tables
    from mtut_bench.runs.workload import describe_plans, measured_rate

    missing: list[str] = []
    plans = planner.fold_by_fold(groups, missing)
    rate = clips_per_second or measured_rate(plans)
    by_table = {number: planner.runs(specs, []) for number, specs in tables.items()}
    for text in (*describe_plans(plans, rate), *describe_tables(by_table, clips_per_second)):
        say(text)
    if rate is None:
        say(f"no speed measured in {runs} yet: give --clips-per-second for a time estimate")
    if missing:
        heading, *texts = describe_missing(missing)
        them = "it" if len(texts) == 1 else "them"
        say(f"{heading}; planned without {them}; runs that need {them} count as not done")
        for text in texts:
            say(text)


def _right_precision(
    plans: "list[RunPlan]",
    groups: "Sequence[Sequence[RunSpec]]",
    planner: "Planner",
    checks: "PrecisionChecks",
) -> "list[RunPlan]":
    """Return the plans, in fp32 where this device miscomputes the precision of 'auto'."""
    from mtut_bench.errors import PrecisionError

    try:
        checks.check(plan for plan in plans if not plan.done())
    except PrecisionError as error:
        say(f"--precision auto falls back to fp32: {error.what}")
        exact = [[replace(spec, precision="fp32") for spec in group] for group in groups]
        return planner.fold_by_fold(exact)
    return plans


def _precision(precision: Precision, device: str) -> str:
    if precision is Precision.AUTO:
        return "bf16" if device == "cuda" else "fp32"
    return precision.value
