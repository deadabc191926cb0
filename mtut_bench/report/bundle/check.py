"""Whether a folder holds a whole report whose tables are what its rows give.

Reads no run, writes nothing. Figures and page come from runs: they are compared with the record.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mtut_bench.errors import ReportError
from mtut_bench.files import StrPath
from mtut_bench.report.bundle.contents import contents_of
from mtut_bench.report.bundle.differences import first_difference
from mtut_bench.report.bundle.folder import is_illustration
from mtut_bench.report.bundle.record import RECORD, Record, digest_of, read_record, rows_digest
from mtut_bench.report.bundle.row_files import FOLDER, read_rows, row_files

__all__ = ["Checked", "check_report"]

_ROWS = "Restore the file, or write the report anew from its runs."
_ILLUSTRATED = "Write it anew from the runs; or delete it and write the tables anew from the rows."


@dataclass(frozen=True)
class Checked:
    """What was found to be as it should.

    Attributes:
        num_rows: numbers that were read.
        names: files that are what the rows give.
    """

    num_rows: int
    names: tuple[str, ...]


def check_report(out: StrPath) -> Checked:
    """Ensure that a report is whole, and its tables, byte for byte, what its rows give.

    Args:
        out: folder of a report.

    Raises:
        ReportError: the record, a table, a figure or the page is missing, differs or is one too
            many, or the rows are damaged; names file, line and hint.
    """
    out = Path(out)
    hint = (
        f"Write it anew: `mtut-bench report --out {shlex.quote(str(out))}`; where there are no "
        "runs, it takes the rows that the folder holds."
    )
    record = _complete_record(out, hint)
    rows = read_rows(out / FOLDER)
    files = contents_of(rows).files
    for name, expected in files.items():
        path = out / name
        if not path.is_file():
            raise ReportError(f"{path} is missing.", hint)
        difference = first_difference(path.read_bytes(), expected)
        if difference:
            raise ReportError(f"{path} is not what its rows give: {difference}.", hint)
    _check_recorded(out, record, {**row_files(rows), **files}, hint)
    return Checked(len(rows), tuple(files))


def _complete_record(out: Path, hint: str) -> Record:
    """Return the record of a report whose rows are all there."""
    record = read_record(out)
    if record is None:
        raise ReportError(
            f"{out / RECORD}, which every report writes last, is missing: there is no whole report "
            "here.",
            hint,
        )
    if not record.complete:
        raise ReportError(f"The report in {out} was stopped while it was written.", hint)
    for name in record.files:
        if name.startswith(f"{FOLDER}/") and not (out / name).is_file():
            raise ReportError(f"{out / name} is missing: rows from which the tables follow.", _ROWS)
    return record


def _check_recorded(out: Path, record: Record, files: Mapping[str, bytes], hint: str) -> None:
    """Refuse a report whose record tells of other rows, or of files that are not there."""
    if record.rows != rows_digest(files):
        raise ReportError(f"{out / RECORD} was written for other rows than {out / FOLDER}.", hint)
    for name, content in files.items():
        if record.files.get(name) != digest_of(content):
            raise ReportError(f"{out / RECORD} does not list {name} as it is.", hint)
    for name, digest in record.files.items():
        path = out / name
        if name in files:
            continue
        if not is_illustration(name):
            raise ReportError(f"{path} belongs to no table of this report.", hint)
        if not path.is_file():
            raise ReportError(f"{path} is missing.", _ILLUSTRATED)
        if digest_of(path.read_bytes()) != digest:
            raise ReportError(f"{path} is not as it was written.", _ILLUSTRATED)
