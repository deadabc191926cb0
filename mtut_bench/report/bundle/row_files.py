"""Rows as CSV files, one for each store and protocol, and read back as strictly.

Columns and their types are those of :class:`ResultRow`, whatever it has. What is read is what was
written: floats are written with all their digits.
"""

import csv
import io
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast, get_type_hints

from mtut_bench.errors import ReportError
from mtut_bench.files import StrPath
from mtut_bench.report.bundle.differences import first_difference
from mtut_bench.report.formats.render import to_csv
from mtut_bench.statistics.row_checks import disagreement, implausible
from mtut_bench.statistics.rows import COLUMNS, ResultRow, modality_order

__all__ = ["FOLDER", "ROW_COLUMNS", "check_rows", "read_rows", "row_files", "sort_rows"]

FOLDER = "rows"
"""Folder of the files, below that of the report."""

ROW_COLUMNS = COLUMNS
"""Columns of every file, in order."""

_CURE = "Restore the file as it was written, or write the report anew from its runs."
# One number of one run: no two rows may agree in all of these.
_KEY = ("store", "run", "tested_on", "metric")
_INTEGER = re.compile(r"-?\d+")


def sort_rows(rows: Iterable[ResultRow]) -> tuple[ResultRow, ...]:
    """Return rows in the order of the files, in which a reader finds them.

    Args:
        rows: in any order.
    """
    return tuple(sorted(rows, key=_place))


def _place(row: ResultRow) -> tuple[object, ...]:
    return (
        _file_name(row),
        row["store"],
        row["protocol"],
        row["method"],
        modality_order(row["modalities"]),
        row["seed"],
        row["fold"],
        row["run"],
        modality_order(row["tested_on"]),
        row["metric"],
    )


def row_files(rows: Iterable[ResultRow]) -> dict[str, bytes]:
    """Return the content of each file by its name below the report's folder.

    Args:
        rows: in any order; equal rows give equal bytes.
    """
    files: dict[str, list[ResultRow]] = defaultdict(list)
    for row in sort_rows(rows):
        files[_file_name(row)].append(row)
    return {f"{FOLDER}/{name}": to_csv(ROW_COLUMNS, some) for name, some in files.items()}


def _file_name(row: ResultRow) -> str:
    """Return a name that every file system takes; rows of two stores may share one."""
    plain = re.sub(r"[^a-z0-9_-]+", "-", f"{row['store']}-{row['protocol']}".lower())
    return f"{plain}.csv"


def read_rows(folder: StrPath) -> tuple[ResultRow, ...]:
    """Return the rows of every CSV file in a folder, in their order.

    Args:
        folder: ``rows`` of a report; may be absent, which is the same as empty.

    Raises:
        ReportError: a file with other columns, a value of another type or that no run could have
            given, a number that is there twice, or a file that is not as it was written; names
            file and line.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ReportError(f"{folder} is a file, no folder of rows.", _CURE)
    contents: dict[Path, bytes] = {}
    for path in sorted(folder.glob("*.csv")):
        try:
            contents[path] = path.read_bytes()
        except OSError as fault:
            raise ReportError(f"{path} cannot be read: {fault.strerror or fault}.", _CURE) from None
    found = [
        (f"{path}, line {line}", row)
        for path, content in contents.items()
        for line, row in _parse(path, content)
    ]
    rows = [row for _, row in found]
    check_rows(rows, [where for where, _ in found])
    _check_bytes(contents, row_files(rows))
    return sort_rows(rows)


def check_rows(rows: Sequence[ResultRow], places: Sequence[str]) -> None:
    """Refuse rows that contradict each other, each being plausible alone.

    Args:
        rows: in any order.
        places: where each is from, for messages.

    Raises:
        ReportError: a number that is there twice, or runs that differ in a store's folds.
    """
    seen: dict[tuple[object, ...], str] = {}
    for where, row in zip(places, rows, strict=True):
        key = tuple(dict(row)[name] for name in _KEY)
        if key in seen:
            raise ReportError(
                f"{where}: {row['metric']} of run {row['run']} on {row['tested_on']} is also in "
                f"{seen[key]}.",
                "Delete one of them; a number may count only once.",
            )
        seen[key] = where
    contradiction = disagreement(rows)
    if contradiction:
        raise ReportError(
            f"{contradiction}.",
            "Leave out the runs that are not of this store: move their folders out of the runs.",
        )


def _check_bytes(contents: Mapping[Path, bytes], expected: Mapping[str, bytes]) -> None:
    """Refuse what says the same in other bytes, as an editor or a spreadsheet writes it."""
    for path, content in contents.items():
        wanted = expected.get(f"{FOLDER}/{path.name}")
        if wanted is None:
            raise ReportError(f"{path} holds no rows that belong under its name.", _CURE)
        difference = first_difference(content, wanted)
        if difference:
            raise ReportError(f"{path} is not as it was written: {difference}.", _CURE)


def _parse(path: Path, content: bytes) -> list[tuple[int, ResultRow]]:
    """Return each row with the number of the line it ends on."""
    try:
        # Decoded, not read as text: newlines inside a value stay what they were.
        text = content.decode()
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        lines = [(reader.line_num, fields) for fields in reader]
    except (UnicodeDecodeError, csv.Error) as fault:
        raise ReportError(f"{path} cannot be read as CSV: {fault}.", _CURE) from fault
    if not lines or tuple(lines[0][1]) != ROW_COLUMNS:
        raise ReportError(f"{path}, line 1: {_wrong_columns(lines)}.", _CURE)
    if not text.endswith("\n"):
        raise ReportError(f"{path}, line {lines[-1][0]}: the file ends inside a line.", _CURE)
    return [(number, _row(f"{path}, line {number}", fields)) for number, fields in lines[1:]]


def _wrong_columns(lines: Sequence[tuple[int, list[str]]]) -> str:
    found = lines[0][1] if lines else []
    missing = [name for name in ROW_COLUMNS if name not in found]
    foreign = [name for name in found if name not in ROW_COLUMNS]
    parts = [f"without {', '.join(missing)}"] if missing else []
    parts += [f"with {', '.join(map(repr, foreign))}"] if foreign else []
    return f"the columns are not those of this release: {'; '.join(parts) or 'another order'}"


def _row(where: str, fields: Sequence[str]) -> ResultRow:
    if len(fields) != len(ROW_COLUMNS):
        raise ReportError(f"{where}: {len(fields)} values for {len(ROW_COLUMNS)} columns.", _CURE)
    kinds = get_type_hints(ResultRow)
    row: dict[str, Any] = {}
    for name, text in zip(ROW_COLUMNS, fields, strict=True):
        try:
            row[name] = _READERS[kinds[name]](text)
        except ValueError as fault:
            raise ReportError(f"{where}: {name} is {text!r}; {fault}.", _CURE) from None
    complaint = implausible(row)
    if complaint:
        raise ReportError(f"{where}: {complaint}.", _CURE)
    return cast("ResultRow", row)


def _boolean(text: str) -> bool:
    if text not in ("True", "False"):
        raise ValueError("True or False is wanted")
    return text == "True"


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise ValueError("a whole number is wanted")
    return int(text)


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError("a number is wanted") from None
    if not math.isfinite(value):
        raise ValueError("a finite number is wanted")
    return value


_READERS: dict[type, Callable[[str], object]] = {
    bool: _boolean,
    int: _integer,
    float: _number,
    str: str,
}
