"""The report: from saved predictions to rows to tables; the only place that rounds."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from mtut_bench.errors import MtutBenchError, ReportError
from mtut_bench.files import StrPath
from mtut_bench.progress import counted
from mtut_bench.report.bundle.contents import contents_of
from mtut_bench.report.bundle.folder import (
    FIGURES,
    PAGE,
    ensure_ours,
    ensure_writable,
    illustrations_that_stay,
    replace_files,
)
from mtut_bench.report.bundle.illustrated import Illustration, illustrated_files
from mtut_bench.report.bundle.record import RECORD, Record, read_record, rows_digest
from mtut_bench.report.bundle.row_files import FOLDER, check_rows, read_rows, row_files
from mtut_bench.report.formats.render import print_table
from mtut_bench.report.tables.table import Table
from mtut_bench.runs.finished import Found, find_runs
from mtut_bench.statistics.ensembles import ensemble_rows, is_ensemble
from mtut_bench.statistics.rows import ResultRow, result_rows

__all__ = ["Illustration", "Report", "write_report"]


@dataclass(frozen=True)
class Report:
    """What a report says and where it was written.

    Attributes:
        tables: all of them, as written: those of their own, then the published ones.
        rows: every number behind them.
        remarks: sentences about the whole: what was found, what is missing.
        out: folder written to.
        paths: files written; none where nothing was measured.
        removed: files of an earlier report that this one no longer gives.
    """

    tables: tuple[Table, ...]
    rows: tuple[ResultRow, ...]
    remarks: tuple[str, ...]
    out: Path
    paths: tuple[Path, ...]
    removed: tuple[Path, ...] = ()

    def print(self, console: Console, published: Sequence[str] | None = None) -> None:
        """Print what was measured first, then published tables, remarks and paths.

        Args:
            console: a terminal or a file.
            published: numbers of the published tables to print; default: those that show a
                measured number.
        """
        own = [table for table in self.tables if table.own]
        others = [table for table in self.tables if not table.own]
        chosen = [
            table
            for table in others
            if (table.measured if published is None else table.key in published)
        ]
        for table in (*own, *chosen):
            print_table(table, console)
        for remark in (*self.remarks, *_not_printed(others, chosen)):
            console.print(remark, markup=False, highlight=False)
        lines = [f"removed {path}" for path in self.removed]
        if self.paths:
            lines.append(f"wrote {counted(len(self.paths), 'file')} to {self.out}")
        if self.out / PAGE in self.paths:
            lines.append(f"page: {self.out / PAGE}")
        for line in lines:
            console.print(line, markup=False, highlight=False, soft_wrap=True)


def _not_printed(others: Sequence[Table], chosen: Sequence[Table]) -> list[str]:
    """Return which published tables were passed over, those with a measured number apart."""
    left = [table for table in others if table not in chosen]
    measured = [table for table in left if table.measured]
    remarks = [f"Measured, not printed here: {_named(measured)}."] if measured else []
    empty = [table for table in left if not table.measured]
    if empty:
        remarks.append(
            f"Nothing measured stands in the paper's {_named(empty)}; --published prints all."
        )
    return remarks


def _named(tables: Sequence[Table]) -> str:
    return f"Table{'s' if len(tables) > 1 else ''} {', '.join(table.key for table in tables)}"


def write_report(runs: StrPath, out: StrPath, illustration: Illustration | None = None) -> Report:
    """Write the rows and all that follows from them; trains nothing.

    Where no run is found, the rows that ``out`` holds are taken instead: a report that was kept can
    be written anew without its runs; where it holds none, nothing is written. Otherwise ``out``
    holds what the runs give: files of an earlier report that they no longer give are removed, and
    of nobody else. All tables are written, whichever are printed then.

    Args:
        runs: folder of runs; may be absent or empty.
        out: folder to write to; made if absent.
        illustration: what figures and page need; None: tables alone.

    Returns:
        The report, for a terminal.

    Raises:
        RunError: a run that cannot be read; names it and the hint.
        PredictionError: predictions that are corrupt or belong to other clips.
        ReportError: ``out`` cannot be written to, holds files that no report wrote where this one
            has its own, or rows that are needed and damaged.
    """
    runs, out = Path(runs), Path(out)
    ensure_writable(out)
    before = read_record(out)
    found = find_runs(runs)
    rows = _measured(found) if found.runs else _kept_rows(out, before)
    contents = contents_of(rows)
    # What a page may keep names no folder of a machine.
    lasting = (*contents.remarks, *_not_counted(found, runs))
    if not rows:
        nothing = (
            f"No finished run in {runs}, no rows of an earlier report in {out}: nothing to write."
        )
        return Report(contents.tables, rows, (*lasting, nothing), out, ())
    remarks = (*lasting, _about_runs(found, runs), *_about_kept(found, rows, out))
    files = {**row_files(rows), **contents.files}
    drawing = illustration if found.runs else None
    # Drawing takes a while: what can be refused is refused before.
    ensure_ours(out, {**files, **({PAGE: None} if drawing else {})}, before)
    if drawing:
        files |= illustrated_files(found.runs, contents.tables, lasting, drawing)
        ensure_ours(out, files, before)
    kept = () if drawing else illustrations_that_stay(out, before)
    replaced = replace_files(out, files, before, kept)
    remarks += tuple(f"Changed since it was written, so it stays: {p}" for p in replaced.changed)
    paths = tuple(out / name for name in (*files, RECORD))
    return Report(contents.tables, rows, remarks, out, paths, replaced.removed)


def _measured(found: Found) -> tuple[ResultRow, ...]:
    """Return the rows of runs; ones that contradict each other are not written."""
    rows = result_rows(found.runs)
    rows += ensemble_rows(found.runs, rows)
    check_rows(rows, [f"store {row['store']}" for row in rows])
    return rows


def _about_runs(found: Found, runs: Path) -> str:
    if found.runs:
        return f"{counted(len(found.runs), 'finished run')} in {runs}."
    return f"There is no finished run in {runs}."


def _kept_rows(out: Path, before: Record | None) -> tuple[ResultRow, ...]:
    """Return the rows that a folder holds, unless they may be of two reports."""
    rows = read_rows(out / FOLDER)
    if before and not before.complete and before.rows != rows_digest(row_files(rows)):
        raise ReportError(
            f"The report in {out} was stopped while it was written, and there are no runs.",
            "Write it from its runs: name their folder with --runs.",
        )
    return rows


def _not_counted(found: Found, runs: Path) -> list[str]:
    number = found.num_in_progress
    remarks = [f"Not finished, not counted: {counted(number, 'run')}."] if number else []
    if found.copies:
        places = ", ".join(path.relative_to(runs).as_posix() for path in found.copies)
        remarks.append(f"There twice, counted once; passed over: {places}.")
    return remarks


def _about_kept(found: Found, rows: Sequence[ResultRow], out: Path) -> list[str]:
    """Return what became of the rows that the folder held before."""
    if not found.runs:
        return [
            f"All numbers are from the rows kept in {out / FOLDER}; {FIGURES}/ and {PAGE} need the "
            "runs: if they are there, an earlier report wrote them."
        ]
    try:
        before = _run_ids(read_rows(out / FOLDER))
    except MtutBenchError:
        return [f"The rows in {out / FOLDER} could not be read; they were written anew."]
    lost = len(before - _run_ids(rows))
    return [f"No longer in {out}: {counted(lost, 'run')} of an earlier report."] if lost else []


def _run_ids(rows: Sequence[ResultRow]) -> set[str]:
    """Return the runs of some rows; an ensemble is none."""
    return {row["run"] for row in rows if not is_ensemble(row)}
