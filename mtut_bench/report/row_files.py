"""Rows as CSV files, one for each store and protocol, and read back as strictly.

Columns and their types are those of :class:`ResultRow`, whatever it has. What is read is what was
written: floats are written with all their digits.
"""

import csv
import io
import json
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast, get_type_hints

from mtut_bench.errors import ReportError
from mtut_bench.report.render import to_csv
from mtut_bench.report.rows import ResultRow, modality_order

__all__ = ["FOLDER", "ROW_COLUMNS", "read_rows", "row_files", "sort_rows"]

FOLDER = "rows"
"""Folder of the files, below that of the report."""

ROW_COLUMNS = tuple(ResultRow.__annotations__)
"""Columns of every file, in order."""

_CURE = "Restore the file as it was written, or write it anew from the runs: mtut-bench report."
# One number of one run: no two rows may agree in all of these.
_KEY = ("store", "run", "tested_on", "metric")
_SHARES = ("value", "ci_low", "ci_high", "macro")
_JSON_OBJECTS = ("overrides", "settings", "per_subject")
_AT_LEAST_ONE = ("num_clips", "expected_clips", "num_classes", "num_folds", "total")
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


def read_rows(folder: Path) -> tuple[ResultRow, ...]:
    """Return the rows of every CSV file in a folder, in their order.

    Args:
        folder: ``rows`` of a report; may be absent, which is the same as empty.

    Raises:
        ReportError: a file with other columns, a value of another type or out of its range, or a
            number that is there twice; names file and line.
    """
    rows: list[ResultRow] = []
    seen: dict[tuple[object, ...], str] = {}
    for path in sorted(folder.glob("*.csv")):
        for line, row in _read_file(path):
            where = f"{path}, line {line}"
            key = tuple(dict(row)[name] for name in _KEY)
            if key in seen:
                raise ReportError(
                    f"{where}: {row['metric']} of run {row['run']} on {row['tested_on']} is also "
                    f"in {seen[key]}.",
                    "Delete one of them; a number may count only once.",
                )
            seen[key] = where
            rows.append(row)
    return sort_rows(rows)


def _read_file(path: Path) -> list[tuple[int, ResultRow]]:
    """Return each row with the number of the line it ends on."""
    try:
        # Not read_text: newlines inside a value stay what they were.
        text = path.read_bytes().decode()
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        lines = [(reader.line_num, fields) for fields in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as fault:
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
    complaint = _out_of_range(row)
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


def _out_of_range(row: Mapping[str, Any]) -> str:
    """Return what no run could have given, or ""."""
    for name in _SHARES:
        if not 0.0 <= row[name] <= 1.0:
            return f"{name} is {row[name]}, outside 0..1"
    for name in _AT_LEAST_ONE:
        if row[name] < 1:
            return f"{name} is {row[name]}, less than 1"
    for name in _JSON_OBJECTS:
        if not _is_json_object(row[name]):
            return f"{name} is {row[name]!r}, no JSON object"
    if not 0 <= row["correct"] <= row["total"]:
        return f"correct is {row['correct']} of total {row['total']}"
    if row["metric"] == "accuracy" and row["value"] != row["correct"] / row["total"]:
        return f"value is {row['value']}, not {row['correct']} / {row['total']}"
    if not _adds_up(json.loads(row["per_subject"]), row["correct"], row["total"]):
        return f"per_subject does not add up to {row['correct']} of {row['total']}"
    if not set(row["tested_on"].split("+")) <= set(row["modalities"].split("+")):
        return f"tested on {row['tested_on']}, trained on {row['modalities']} only"
    return ""


def _adds_up(counts: Mapping[str, Any], correct: int, total: int) -> bool:
    """Return whether [right, tested] of each person give the numbers of all clips."""
    try:
        pairs = [(int(right), int(tested)) for right, tested in counts.values()]
    except (TypeError, ValueError):
        return False
    sums = [sum(column) for column in zip(*pairs, strict=True)]
    return sums == [correct, total] and all(0 <= right <= tested for right, tested in pairs)


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False
