"""The command that trains and tests: run."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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
    readers,
    say,
    store_path,
)
from mtut_bench.errors import UsageError
from mtut_bench.progress import Reporter

if TYPE_CHECKING:
    from mtut_bench.identity import RunPlan
    from mtut_bench.planning import Request
    from mtut_bench.precision import PrecisionChecks
    from mtut_bench.study import Block, Study

__all__ = ["run"]


def run(
    method: Annotated[
        str, typer.Option("--method", help="See `list methods`; or your own: file.py:build.")
    ] = "mtut",
    dataset: Annotated[str | None, typer.Option("--dataset", help="Default viva.")] = None,
    fold: Annotated[
        str, typer.Option("--fold", help="Name of a fold, or several: 1,2; or all.")
    ] = "all",
    fold_unit: Annotated[
        FoldUnit,
        typer.Option("--fold-unit", help="Who is left out; user: a marked variant."),
    ] = FoldUnit.PERSON,
    modalities: Annotated[
        str, typer.Option("--modalities", help="Such as rgb,depth; default: all of the store's.")
    ] = "",
    protocol: Annotated[
        str | None, typer.Option("--protocol", help="See `list protocols`. Default paper.")
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
    from mtut_bench.machine import Machine, choose_device
    from mtut_bench.planning import describe_plans, measured_rate, plan_fold_by_fold
    from mtut_bench.study import read_study

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
    plans = plan_fold_by_fold(groups)
    if dry_run or table or study:
        for text in describe_plans(plans, clips_per_second or measured_rate(plans)):
            say(text)
    if dry_run:
        if table:
            _say_tables(table, dataset, protocol, common, clips_per_second)
        return
    from mtut_bench.precision import PrecisionChecks
    from mtut_bench.resident import Residence
    from mtut_bench.runs import command_line, execute

    reporter = Reporter(console)
    residence = Residence(resident.value, chosen, reporter.line)
    machine = Machine(chosen, readers(workers, chosen.type), command_line(), recompute, residence)
    checks = PrecisionChecks(machine)
    if precision is Precision.AUTO:
        plans = _right_precision(plans, groups, checks)
    execute(plans, machine, reporter, checks)
    text = f"tables: mtut-bench report --runs {runs}"
    say(text)


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


def _request(
    method: str, dataset: str | None, protocol: str, modalities: str, common: _Choice
) -> "Request":
    from mtut_baselines import METHODS
    from mtut_bench.method_file import load_method
    from mtut_bench.planning import Request
    from mtut_bench.protocol import PROTOCOLS

    # A store that is named says itself what it holds; a dataset that is named as well must agree.
    wanted = dataset or ("" if common.store else "viva")
    chosen = find_dataset(wanted or "viva")
    if protocol not in PROTOCOLS:
        known = ", ".join(PROTOCOLS)
        raise UsageError(f"there is no protocol {protocol!r}", f"Choose one of: {known}.")
    return Request(
        store=store_path(common.data, common.store, chosen.name, common.size),
        method=load_method(method, METHODS),
        protocol=PROTOCOLS[protocol],
        fold=common.fold,
        modalities=tuple(part.strip() for part in modalities.split(",")) if modalities else (),
        dataset=wanted,
        seed=common.seed,
        runs=common.runs,
        store_cure=f"Make it: mtut-bench prepare DATASET --store {common.store}."
        if common.store
        else f"Make it: mtut-bench prepare {chosen.name} (recordings: {chosen.how_to_get}).",
        weights=common.data / "weights",
        settings=common.settings,
        precision=common.precision,
        fold_unit=common.fold_unit,
    )


def _table_requests(
    table: str, dataset: str | None, protocol: str | None, common: _Choice
) -> list["Request"]:
    from mtut_baselines import METHODS
    from mtut_bench.protocol import PROTOCOLS
    from mtut_bench.table_plan import choose_tables, needed_runs

    needs = needed_runs(
        choose_tables(table), METHODS, PROTOCOLS, dataset=dataset, protocol=protocol
    )
    return [
        _request(need.method, need.dataset, need.protocol, ",".join(need.modalities), common)
        for need in needs
    ]


def _study_requests(study: "Study", common: _Choice) -> list[list["Request"]]:
    """Return the requests of each block and seed, whose runs share first stages."""
    return [
        [
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
            )
            for fold in _folds_of(block, common.fold)
            for method in block.methods
        ]
        for block in study.blocks
        for seed in block.seeds
    ]


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
    from mtut_bench.planning import plan_runs
    from mtut_bench.table_plan import choose_tables, describe_tables

    plans = {
        number: plan_runs(_table_requests(number, dataset, protocol, common))
        for number in choose_tables(table)
    }
    for text in describe_tables(plans, clips_per_second):
        say(text)


def _right_precision(
    plans: "list[RunPlan]", groups: "Sequence[Sequence[Request]]", checks: "PrecisionChecks"
) -> "list[RunPlan]":
    """Return the plans, in fp32 where this device is wrong in the precision that 'auto' chose."""
    from mtut_bench.errors import PrecisionError
    from mtut_bench.planning import plan_fold_by_fold

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
