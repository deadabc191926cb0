"""The command that prints what was measured: report; and report compare."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mtut_bench.cli.options import DATA, RUNS, DataOption, RunsOption, folder_to_write, is_default
from mtut_bench.cli.paths import refuse_missing_runs
from mtut_bench.cli.printing import console, examples, say, say_how_to_start
from mtut_bench.cli.report import compare
from mtut_bench.errors import UsageError

if TYPE_CHECKING:
    from mtut_bench.report.figures import FocalWeight

__all__ = ["focal_weight", "report", "report_app"]


def report(
    context: typer.Context,
    runs: RunsOption = RUNS,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            parser=folder_to_write,
            metavar="DIRECTORY",
            help="Output folder; default <runs>/report.",
        ),
    ] = None,
    tables: Annotated[
        str | None,
        typer.Option(
            "--tables",
            "--table",
            help="Published tables to print: 7, or 1,4, or all; default: "
            "those with measured numbers. Files always contain all tables.",
        ),
    ] = None,
    data: DataOption = DATA,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Write nothing; exit with 1 if a table in --out does not match its rows/*.csv.",
        ),
    ] = False,
) -> None:
    """Print measured results next to the paper's; write tables, figures and a web page.

    Trains nothing.
    """
    if context.invoked_subcommand:
        return
    from mtut_bench.progress import Reporter, counted
    from mtut_bench.report import Illustration, write_report
    from mtut_bench.report.bundle.folder import check_report
    from mtut_bench.runs.table_plan import choose_tables

    folder = out or runs / "report"
    if check and tables is not None:
        raise UsageError(
            "--tables cannot be combined with --check.",
            "--tables chooses what is printed; --check always checks all tables.",
        )
    numbers = None if tables is None else choose_tables(tables)
    _refuse_misspelt(context, runs, out)
    if check:
        checked = check_report(folder)
        files, rows = counted(len(checked.names), "file"), counted(checked.num_rows, "row")
        say(f"{folder}: {files} match {rows}")
        return
    with Reporter(console).ticker("draw", unit="figures") as ticker:
        means = Illustration(focal_weight(), data / "stores", ticker)
        result = write_report(runs, folder, means)
    result.print(console, numbers)
    if not result.rows:
        say_how_to_start(context, data, runs)


def _refuse_misspelt(context: typer.Context, runs: Path, out: Path | None) -> None:
    """Refuse a named folder of runs that is absent; with `--out` a report needs only its rows."""
    if runs.exists() or (out is None and not is_default(context, "runs")):
        refuse_missing_runs(runs)


def focal_weight() -> "FocalWeight":
    """Return equation 3 as the methods train with it, for arrays, at the paper's beta."""
    import numpy as np
    import torch

    from mtut_baselines.objectives.alignment import focal_weight as weight
    from mtut_bench.report.figures import BETA

    def of_arrays(
        loss_m: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]",
        loss_n: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]",
    ) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
        return weight(torch.from_numpy(loss_m), torch.from_numpy(loss_n), BETA).numpy()

    return of_arrays


report_app = typer.Typer(rich_markup_mode="rich")
report_app.callback(
    invoke_without_command=True,
    epilog=examples("report --runs runs", "report compare mtut i3d --dataset viva"),
)(report)
report_app.command(epilog=examples("report compare mtut i3d --dataset nvgesture --protocol paper"))(
    compare.compare
)
