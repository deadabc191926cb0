"""The command that trains and tests: run."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mtut_bench.cli import completing
from mtut_bench.cli.options import (
    DATA,
    RUNS,
    DataOption,
    DryRunOption,
    FoldUnit,
    Precision,
    Resident,
    ResidentOption,
    RunsOption,
    Size,
    SizeOption,
    StoreOption,
    WorkersOption,
    console,
    find_dataset,
    find_protocol,
    readers,
    say,
    store_cure,
    store_path,
    trained_alone,
)
from mtut_bench.cli.suggesting import suggest
from mtut_bench.errors import UsageError, did_you_mean
from mtut_bench.progress import Reporter

if TYPE_CHECKING:
    from mtut_bench.runs.planning import Request
    from mtut_bench.runs.precision import PrecisionChecks
    from mtut_bench.runs.spec import RunPlan
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
    resident: ResidentOption = Resident.AUTO,
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
    from mtut_bench.runs.machine import Machine, choose_device
    from mtut_bench.runs.planning import (
        describe_missing,
        describe_plans,
        measured_rate,
        plan_fold_by_fold,
    )
    from mtut_bench.runs.study import read_study

    if clips_per_second and not dry_run:
        raise UsageError("--clips-per-second forecasts hours", "Give it with --dry-run.")
    chosen = choose_device(device)
    common = _Choice(
        fold=fold,
        seed=seed,
        data=data,
        runs=runs,
        store=store,
        size=size,
        settings=tuple(settings or ()),
        precision=_precision(precision, chosen.type),
        fold_unit=fold_unit.value,
        dry_run=dry_run,
        size_given=_is_given(context, "size"),
    )
    if study:
        named = (method != "mtut", dataset, modalities, protocol, table, seed, settings, store)
        if any(named):
            raise UsageError(
                f"the study {study} says what is run", "Beside it, choose folds and places alone."
            )
        groups = _study_requests(read_study(study), common)
    elif table:
        if method != "mtut" or modalities:
            raise UsageError("--table chooses methods and modalities", "Leave those options out.")
        groups = [[request] for request in _table_requests(table, dataset, protocol, common)]
    else:
        groups = [[_request(method, dataset, protocol or "paper", modalities, common)]]
    missing: list[str] = []
    plans = plan_fold_by_fold(groups, missing if dry_run else None)
    if dry_run or table or study:
        rate = clips_per_second or measured_rate(plans)
        for text in describe_plans(plans, rate):
            say(text)
    if dry_run:
        if table:
            _say_tables(table, dataset, protocol, common, clips_per_second)
        if rate is None:
            say(f"no rate was measured in {runs} yet: --clips-per-second forecasts the hours")
        if missing:
            heading, *texts = describe_missing(missing)
            them = "it" if len(texts) == 1 else "them"
            say(f"{heading}; planned without {them}, as if no run that needs {them} were done")
            for text in texts:
                say(text)
        return
    from mtut_bench.loading.device_cache import Residence
    from mtut_bench.runs.execute import command_line, execute
    from mtut_bench.runs.precision import PrecisionChecks

    reporter = Reporter(console)
    residence = Residence(resident.value, chosen, reporter.line)
    machine = Machine(chosen, readers(workers, chosen.type), command_line(), recompute, residence)
    checks = PrecisionChecks(machine, reporter.line)
    if precision is Precision.AUTO:
        plans = _right_precision(plans, groups, checks)
    execute(plans, machine, reporter, checks)
    say(f"tables: {suggest('report')}")


def _is_given(context: typer.Context, name: str) -> bool:
    """Return whether the user gave an option, be it with the value that it has by default."""
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


@dataclass(frozen=True)
class _Choice:
    """What all methods of one `run` have in common."""

    fold: str
    seed: int
    data: Path
    runs: Path
    store: str | None
    size: Size
    settings: tuple[str, ...]
    precision: str
    fold_unit: str
    dry_run: bool
    size_given: bool


def _request(
    method: str, dataset: str | None, protocol: str, modalities: str, common: _Choice
) -> "Request":
    from mtut_baselines import METHODS
    from mtut_bench.contract.method_file import load_method
    from mtut_bench.runs.planning import Request

    # A store that is named says itself what it holds; a dataset that is named as well must agree.
    wanted = dataset or ("" if common.store else "viva")
    chosen = find_dataset(wanted or "viva")
    player = load_method(method, METHODS)
    return Request(
        store=store_path(common.data, common.store, chosen.name, common.size),
        method=player,
        protocol=find_protocol(protocol),
        fold=common.fold,
        modalities=tuple(part.strip() for part in modalities.split(",")) if modalities else (),
        dataset=wanted,
        seed=common.seed,
        runs=common.runs,
        store_cure=store_cure(wanted, common.store, common.size),
        weights=common.data / "weights",
        settings=common.settings,
        precision=common.precision,
        fold_unit=common.fold_unit,
        expected=_expected(wanted, common) if common.dry_run else None,
        alone=trained_alone(player, METHODS),
    )


def _expected(dataset: str, common: _Choice) -> "ExpectedStore | None":
    """Return what the store will hold; None where no name says of which dataset it is.

    Args:
        dataset: whose store it is; "" if only the store was named.
        common: its name and size.
    """
    from mtut_preprocess import DATASETS
    from mtut_preprocess.expected import expected_store

    if common.store is None:
        return expected_store(dataset, common.size.value, common.fold_unit)
    for name in [dataset] if dataset else DATASETS:
        for size in Size:
            if store_path(common.data, None, name, size).stem == common.store:
                return expected_store(name, size.value, common.fold_unit)
    return expected_store(
        dataset, common.size.value if common.size_given else None, common.fold_unit
    )


def _table_requests(
    table: str, dataset: str | None, protocol: str | None, common: _Choice
) -> list["Request"]:
    from mtut_baselines import METHODS
    from mtut_bench.contract.protocol import PROTOCOLS
    from mtut_bench.runs.table_plan import choose_tables, needed_runs

    needs = needed_runs(
        choose_tables(table), METHODS, PROTOCOLS, dataset=dataset, protocol=protocol
    )
    return [
        _request(need.method, need.dataset, need.protocol, ",".join(need.modalities), common)
        for need in needs
    ]


def _study_requests(study: "Study", common: _Choice) -> list[list["Request"]]:
    """Return the requests of each block and seed, whose runs share first stages."""
    _check_folds(study, common.fold)
    return [
        [
            replace(
                _request(
                    method,
                    study.dataset or None,
                    study.protocol,
                    ",".join(block.modalities),
                    replace(
                        common,
                        fold=fold,
                        seed=seed,
                        store=block.store,
                        settings=block.settings,
                    ),
                ),
                # A study names no size of a twin.
                store_cure=store_cure("", block.store, common.size),
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
    dataset: str | None,
    protocol: str | None,
    common: _Choice,
    clips_per_second: float | None,
) -> None:
    from mtut_bench.runs.planning import plan_runs
    from mtut_bench.runs.table_plan import choose_tables, describe_tables

    plans = {
        number: plan_runs(_table_requests(number, dataset, protocol, common), [])
        for number in choose_tables(table)
    }
    for text in describe_tables(plans, clips_per_second):
        say(text)


def _right_precision(
    plans: "list[RunPlan]", groups: "Sequence[Sequence[Request]]", checks: "PrecisionChecks"
) -> "list[RunPlan]":
    """Return the plans, in fp32 where this device is wrong in the precision that 'auto' chose."""
    from mtut_bench.errors import PrecisionError
    from mtut_bench.runs.planning import plan_fold_by_fold

    try:
        checks.check(plan for plan in plans if not plan.done())
    except PrecisionError as error:
        say(f"--precision auto takes fp32: {error.what}")
        exact = [[replace(request, precision="fp32") for request in group] for group in groups]
        return plan_fold_by_fold(exact)
    return plans


def _precision(precision: Precision, device: str) -> str:
    if precision is Precision.AUTO:
        return "bf16" if device == "cuda" else "fp32"
    return precision.value
