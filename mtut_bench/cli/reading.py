"""Commands that read results: report, list."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from mtut_bench.cli.options import (
    DATA,
    RUNS,
    DataOption,
    RunsOption,
    Subject,
    console,
    folder_to_write,
    refuse_missing_runs,
    say,
)

__all__ = ["list_", "report"]


def report(
    context: typer.Context,
    runs: RunsOption = RUNS,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            parser=folder_to_write,
            metavar="DIRECTORY",
            help="Where to write; default <runs>/report.",
        ),
    ] = None,
    tables: Annotated[
        str,
        typer.Option("--tables", "--table", help="Published tables to show: 7, or 1,4, or all."),
    ] = "all",
    data: DataOption = DATA,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Write nothing: fail if the tables in --out are not what its rows/*.csv give.",
        ),
    ] = False,
) -> None:
    """Print the paper's tables beside what was measured; write them, figures and a page.

    Trains nothing.
    """
    if context.invoked_subcommand:
        return
    from mtut_bench.cli.figures import focal_weight
    from mtut_bench.progress import Reporter
    from mtut_bench.report import Illustration, write_report
    from mtut_bench.report.check import check_report
    from mtut_bench.table_plan import choose_tables

    folder, numbers = out or runs / "report", choose_tables(tables)
    _refuse_misspelt(context, runs, out)
    if check:
        checked = check_report(folder, numbers)
        say(f"{folder}: {len(checked.names)} files are what its {checked.num_rows} rows give")
    else:
        with Reporter(console).ticker("draw", unit="figures") as ticker:
            means = Illustration(focal_weight(), data / "stores", ticker)
            result = write_report(runs, folder, numbers, means)
        result.print(console)


def _refuse_misspelt(context: typer.Context, runs: Path, out: Path | None) -> None:
    """Refuse a folder of runs that somebody named and that is not there, without `--out`.

    Without runs a report can be of the rows in `--out`; the default folder may be absent, and then
    the tables hold the printed numbers alone.
    """
    if runs.exists() or (out is None and not _is_default(context, "runs")):
        refuse_missing_runs(runs)


def _is_default(context: typer.Context, name: str) -> bool:
    """Return whether the user, or the environment, gave no value for an option."""
    source = context.get_parameter_source(name)
    return source is None or source.name == "DEFAULT"


def list_(
    context: typer.Context,
    subject: Annotated[Subject, typer.Argument()],
    data: DataOption = DATA,
    runs: RunsOption = RUNS,
) -> None:
    """List datasets, methods, protocols, runs or stores."""
    from mtut_bench.listing import list_protocols, list_runs, list_stores

    if subject is Subject.DATASETS:
        from mtut_preprocess import DATASETS

        lines = [(d.name, f"{d.summary}; {d.how_to_get}") for d in DATASETS.values()]
    elif subject is Subject.METHODS:
        from mtut_baselines import METHODS

        kinds = {True: "trained together", False: "each trained alone"}
        lines = [
            (m.name, f"{m.title}: one {m.network} per modality, {kinds[m.min_modalities > 1]}")
            for m in METHODS.values()
        ]
    elif subject is Subject.PROTOCOLS:
        lines = list_protocols()
    else:
        if subject is Subject.RUNS and not _is_default(context, "runs"):
            refuse_missing_runs(runs)
        lines = list_runs(runs) if subject is Subject.RUNS else list_stores(data / "stores")
    table = Table(subject.value, "", show_edge=False)
    for name, text in lines:
        table.add_row(escape(name), escape(text))
    console.print(table)
