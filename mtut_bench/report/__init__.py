"""The report: from saved predictions to rows to tables; the only place that rounds."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from mtut_bench.errors import UsageError
from mtut_bench.files import write_atomic
from mtut_bench.report.cells import CellRow
from mtut_bench.report.finished import Found, find_runs
from mtut_bench.report.own import own_tables
from mtut_bench.report.published import load_published
from mtut_bench.report.render import escape, print_table, to_csv, to_markdown
from mtut_bench.report.rows import ResultRow, result_rows
from mtut_bench.report.tables import Table, placed, published_table

__all__ = ["Report", "write_report"]

_ROW_COLUMNS = tuple(ResultRow.__annotations__)
_CELL_COLUMNS = tuple(CellRow.__annotations__)


@dataclass(frozen=True)
class Report:
    """What a report says and where it was written.

    Attributes:
        tables: published ones first, then those of their own.
        rows: every number behind them.
        remarks: sentences about the whole: what was found, what is missing.
        paths: files written.
    """

    tables: tuple[Table, ...]
    rows: tuple[ResultRow, ...]
    remarks: tuple[str, ...]
    paths: tuple[Path, ...]

    def print(self, console: Console) -> None:
        """Print tables, remarks and paths.

        Args:
            console: a terminal or a file.
        """
        for table in self.tables:
            print_table(table, console)
        for remark in self.remarks:
            console.print(remark, markup=False, highlight=False)
        for path in self.paths:
            console.print(f"wrote {path}", markup=False, highlight=False, soft_wrap=True)


def write_report(
    runs: Path, out: Path, tables: Sequence[str] = ("1", "3", "4", "6", "7")
) -> Report:
    """Write ``tables.md``, ``table-<n>.csv``, ``own.csv`` and ``rows.csv``; trains nothing.

    Args:
        runs: folder of runs; may be absent or empty, then only the printed numbers are shown.
        out: folder to write to; made if absent.
        tables: numbers of the published tables to show, in this order.

    Returns:
        The report, for a terminal.

    Raises:
        UsageError: there is no published table of such a number.
        RunError: a run that cannot be read; names it and the cure.
        PredictionError: predictions that are corrupt or belong to other clips.
    """
    published = load_published()
    unknown = [number for number in tables if number not in published.tables]
    if unknown:
        raise UsageError(
            f"There is no published table {', '.join(unknown)}.",
            f"Choose from {', '.join(published.tables)}.",
        )
    found = find_runs(runs)
    rows = result_rows(found.runs)
    places = [placed(row, published) for row in rows]
    printed = [published_table(published.tables[n], rows, published) for n in tables]
    own = own_tables([row for row, to in zip(rows, places, strict=True) if not to])
    elsewhere = {number for to in places for number in to if not set(to) & set(tables)}
    remarks = _remarks(found, len(rows), runs, sorted(elsewhere))
    paths = _write(out, printed, own, rows, [published.source, *remarks])
    return Report((*printed, *own), rows, tuple(remarks), tuple(paths))


def _remarks(found: Found, num_rows: int, runs: Path, elsewhere: Sequence[str]) -> list[str]:
    remarks = []
    if found.runs:
        remarks.append(f"{_count(len(found.runs))} in {runs}, {num_rows} numbers.")
    else:
        remarks.append(f"No runs were found in {runs}. How to make one: mtut-bench run --help")
    if found.num_in_progress:
        remarks.append(f"Not finished, not counted: {_count(found.num_in_progress)} in {runs}.")
    if elsewhere:
        remarks.append(f"Measured but not shown here: Table {', '.join(elsewhere)}.")
    return remarks


def _count(number: int) -> str:
    return f"{number} run{'' if number == 1 else 's'}"


def _write(
    out: Path,
    printed: Sequence[Table],
    own: Sequence[Table],
    rows: Sequence[ResultRow],
    remarks: Sequence[str],
) -> list[Path]:
    introduction = "# Results\n\nAccuracy in percent; a dash where there is no number.\n\n"
    introduction += "".join(f"- {escape(remark)}\n" for remark in remarks)
    text = "\n".join([introduction, *(to_markdown(table) for table in (*printed, *own))])
    contents = {"tables.md": text.encode()}
    for table in printed:
        contents[f"table-{table.key}.csv"] = to_csv(_CELL_COLUMNS, table.cells)
    own_cells = [cell for table in own for cell in table.cells]
    contents["own.csv"] = to_csv(_CELL_COLUMNS, own_cells)
    contents["rows.csv"] = to_csv(_ROW_COLUMNS, rows)
    for name, content in contents.items():
        write_atomic(out / name, content)
    return [out / name for name in contents]
