"""The report: from saved predictions to rows to tables; the only place that rounds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from mtut_bench.errors import ReportError
from mtut_bench.files import StrPath
from mtut_bench.progress import counted
from mtut_bench.report.bundle.contents import contents_of
from mtut_bench.report.bundle.folder import (
    FIGURES,
    PAGE,
    RECORD,
    FileList,
    illustrations,
    open_folder,
    replace_files,
)
from mtut_bench.report.bundle.illustrated import Illustration, illustrated_files
from mtut_bench.report.bundle.row_files import FOLDER, parse_rows, read_rows, row_files
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
        tables: all of them, as written: local tables, then the published ones.
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
        """Print local tables, then published tables, remarks and paths.

        Args:
            console: a terminal or a file.
            published: numbers of the published tables to print; default: those that show a
                measured number.
        """
        others = [table for table in self.tables if not table.local]
        chosen = [
            table
            for table in others
            if (table.measured if published is None else table.key in published)
        ]
        for table in self.tables:
            if table.local or table in chosen:
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
    """Return which published tables were not printed, those with a measured number first."""
    left = [table for table in others if table not in chosen]
    measured = [table.key for table in left if table.measured]
    empty = [table.key for table in left if not table.measured]
    remarks = [f"Measured but not printed here: Table {', '.join(measured)}."] if measured else []
    if empty:
        remarks.append(
            f"No measurements yet for Table {', '.join(empty)} "
            "of the paper; `--tables all` prints all tables."
        )
    return remarks


def write_report(runs: StrPath, out: StrPath, illustration: Illustration | None = None) -> Report:
    """Write the rows and all that follows from them; trains nothing.

    Without a finished run, the tables are made again from the rows that ``out`` holds; without
    rows, nothing is written. Files of an earlier report that the runs no longer give are removed.
    All tables are written, whichever are printed then.

    Args:
        runs: folder of runs; may be absent or empty.
        out: folder to write to: absent, empty, or that of an earlier report.
        illustration: what figures and page need; None: tables alone.

    Returns:
        The report, for a terminal.

    Raises:
        RunError: a run that cannot be read; names it and the hint.
        PredictionError: predictions that are corrupt or belong to other clips.
        ReportError: ``out`` cannot be written to or is another folder, or rows that are needed are
            damaged.
    """
    runs, out = Path(runs), Path(out)
    before = open_folder(out)
    found = find_runs(runs)
    if found.runs:
        rows = result_rows(found.runs)
        rows += ensemble_rows(found.runs, rows)
    else:
        rows = _saved_rows(out, before)
    contents = contents_of(rows)
    # What the page keeps names no folder of this machine.
    lasting = (*contents.remarks, *_not_counted(found, runs))
    if not rows:
        nothing = f"Nothing to write: no finished runs in {runs}, no rows in {out}."
        return Report(contents.tables, rows, (*lasting, nothing), out, ())
    remarks = (*lasting, *_about_runs(found, runs, rows, out))
    files = row_files(rows)
    for name, content in files.items():
        # What is written can be read again: a title may hold what no CSV file gives back.
        parse_rows(out / name, content)
    files |= contents.files
    drawing = illustration if found.runs else None
    if drawing:
        files |= illustrated_files(found.runs, contents.tables, lasting, drawing)
    kept = {} if drawing else illustrations(out, before)
    removed = replace_files(out, files, before, kept)
    paths = tuple(out / name for name in (*files, RECORD))
    return Report(contents.tables, rows, remarks, out, paths, removed)


def _saved_rows(out: Path, before: FileList) -> tuple[ResultRow, ...]:
    """Return the rows that a folder holds, unless they may be of two reports."""
    if not before.complete:
        raise ReportError(
            f"The report in {out} is incomplete: writing was interrupted, and there are no runs.",
            "Write it again from its runs: give their folder with --runs.",
        )
    return read_rows(out / FOLDER)


def _not_counted(found: Found, runs: Path) -> list[str]:
    number = found.num_in_progress
    remarks = [f"Unfinished and not counted: {counted(number, 'run')}."] if number else []
    if found.copies:
        places = ", ".join(path.relative_to(runs).as_posix() for path in found.copies)
        remarks.append(f"Duplicate runs are counted once; skipped: {places}.")
    return remarks


def _about_runs(found: Found, runs: Path, rows: Sequence[ResultRow], out: Path) -> Iterator[str]:
    """Yield where the rows are from, and how many runs of the earlier report are gone."""
    if not found.runs:
        yield f"There are no finished runs in {runs}."
        yield (
            f"All numbers are from the rows in {out / FOLDER}; "
            f"{FIGURES}/ and {PAGE} are not updated."
        )
        return
    yield f"{counted(len(found.runs), 'finished run')} in {runs}."
    try:
        lost = _run_ids(read_rows(out / FOLDER)) - _run_ids(rows)
    except ReportError:
        yield f"The rows in {out / FOLDER} were damaged and are replaced."
        return
    if lost:
        yield f"No longer in {out}: {counted(len(lost), 'run')} of an earlier report."


def _run_ids(rows: Sequence[ResultRow]) -> set[str]:
    return {row["run"] for row in rows if not is_ensemble(row)}
