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
            help="Where to write; default <runs>/report.",
        ),
    ] = None,
    tables: Annotated[
        str | None,
        typer.Option(
            "--tables",
            "--table",
            help="Published tables to print: 7, or 1,4; default those with a measured number. All"
            " of them are written.",
        ),
    ] = None,
    published: Annotated[
        bool, typer.Option("--published", help="Print all published tables.")
    ] = False,
    data: DataOption = DATA,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Write nothing: fail if the tables in --out are not what its rows/*.csv give.",
        ),
    ] = False,
) -> None:
    """Print what was measured, beside the paper's numbers; write all tables, figures and a page.

    Trains nothing.
    """
    if context.invoked_subcommand:
        return
    from mtut_bench.progress import Reporter, counted
    from mtut_bench.report import Illustration, write_report
    from mtut_bench.report.bundle.check import check_report
    from mtut_bench.runs.table_plan import choose_tables

    folder = out or runs / "report"
    if published + check + (tables is not None) > 1:
        raise UsageError(
            "--tables, --published and --check do not go together.",
            "--tables and --published choose what is printed; --check always checks all tables.",
        )
    chosen = "all" if published else tables
    numbers = None if chosen is None else choose_tables(chosen)
    _refuse_misspelt(context, runs, out)
    if check:
        checked = check_report(folder)
        rows = counted(checked.num_rows, "row")
        say(f"{folder}: {len(checked.names)} files are what its {rows} give")
        return
    with Reporter(console).ticker("draw", unit="figures") as ticker:
        means = Illustration(focal_weight(), data / "stores", ticker)
        result = write_report(runs, folder, means)
    result.print(console, numbers)
    if not result.rows:
        say_how_to_start(context, data, runs)


def _refuse_misspelt(context: typer.Context, runs: Path, out: Path | None) -> None:
    """Refuse a folder of runs that somebody named and that is not there, without `--out`.

    Without runs a report can be of the rows in `--out`; the default folder may be absent.
    """
    if runs.exists() or (out is None and not is_default(context, "runs")):
        refuse_missing_runs(runs)


def focal_weight() -> "FocalWeight":
    """Return equation 3 as the players train with it, for arrays, at the paper's beta."""
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
