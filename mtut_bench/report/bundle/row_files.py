"""Rows as CSV files, one for each store and protocol, with all digits; and read back."""

import csv
import io
import math
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from mtut_bench.contract.metrics import wilson_interval
from mtut_bench.errors import ReportError
from mtut_bench.files import StrPath
from mtut_bench.report.formats.render import to_csv
from mtut_bench.statistics.rows import COLUMNS, ResultRow, modality_order

__all__ = ["FOLDER", "parse_rows", "read_rows", "row_files", "sort_rows"]

FOLDER = "rows"
"""Folder of the files, below that of the report."""

_HINT = "Restore the file, or write the report again from its runs."
_JSON = {
    "overrides": dict,
    "settings": dict,
    "fit": dict,
    "per_subject": dict[str, tuple[int, int]],
}
# Releases of scipy may differ in the last digits of a root.
_TOLERANCE = 1e-9


def sort_rows(rows: Iterable[ResultRow]) -> tuple[ResultRow, ...]:
    """Return rows in the order of the files."""
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
    """Return the content of each file by its name; equal rows in any order give equal bytes."""
    files: dict[str, list[ResultRow]] = defaultdict(list)
    for row in sort_rows(rows):
        files[_file_name(row)].append(row)
    return {f"{FOLDER}/{name}": to_csv(COLUMNS, some) for name, some in files.items()}


def _file_name(row: ResultRow) -> str:
    """Return a name that every file system takes; rows of two stores may share one."""
    plain = re.sub(r"[^a-z0-9_-]+", "-", f"{row['store']}-{row['protocol']}".lower())
    return f"{plain}.csv"


def read_rows(folder: StrPath) -> tuple[ResultRow, ...]:
    """Return the rows of every CSV file in a folder, which may be absent, in order.

    Raises:
        ReportError: a file with other columns, a value of another type or that contradicts its
            row, or a number that is there twice; names file and line.
    """
    found: dict[tuple[str, ...], tuple[ResultRow, str]] = {}
    for path in sorted(Path(folder).glob("*.csv")):
        try:
            content = path.read_bytes()
        except OSError as fault:
            raise ReportError(f"{path} cannot be read: {fault.strerror or fault}.", _HINT) from None
        for line, row in parse_rows(path, content):
            where = f"{path}, line {line}"
            key = row["store"], row["run"], row["tested_on"], row["metric"]
            _, other = found.setdefault(key, (row, where))
            if other != where:
                raise ReportError(
                    f"{where}: {row['metric']} of run {row['run']} on {row['tested_on']} is also "
                    f"in {other}.",
                    "Delete one of them; each result may appear only once.",
                )
    return sort_rows(row for row, _ in found.values())


def parse_rows(path: StrPath, content: bytes) -> list[tuple[int, ResultRow]]:
    """Return each row of a file with the number of the line it ends on.

    Raises:
        ReportError: as ``read_rows``, but for a number that is there twice.
    """
    try:
        # Decoded, not read as text: newlines inside a value stay what they were.
        reader = csv.reader(io.StringIO(content.decode(), newline=""), strict=True)
        lines = [(reader.line_num, fields) for fields in reader]
    except (ValueError, csv.Error) as fault:
        raise ReportError(f"{path} cannot be read as CSV: {fault}.", _HINT) from fault
    columns = lines[0][1] if lines else []
    if tuple(columns) != COLUMNS:
        wrong = sorted(set(COLUMNS) ^ set(columns))
        raise ReportError(
            f"{path}, line 1: missing, unknown or misplaced columns ({', '.join(wrong)}).", _HINT
        )
    rows = []
    for number, fields in lines[1:]:
        try:
            rows.append((number, _row(fields)))
        except ValueError as fault:
            raise ReportError(f"{path}, line {number}: {fault}.", _HINT) from fault
    return rows


def _row(fields: list[str]) -> ResultRow:
    if len(fields) != len(COLUMNS):
        raise ValueError(f"{len(fields)} values for {len(COLUMNS)} columns")
    texts = dict(zip(COLUMNS, fields, strict=True))
    try:
        row = msgspec.convert(texts, ResultRow, strict=False)
    except msgspec.ValidationError as fault:
        reason, _, name = str(fault).rstrip("`").partition(" - at `$.")
        raise ValueError(f"{name} is {texts[name]!r}; {reason}") from None
    _check(row)
    return row


def _check(row: ResultRow) -> None:
    """Refuse a row of which no table can be made, or whose values do not follow from its clips."""
    values: dict[str, Any] = dict(row)
    parsed: dict[str, Any] = {}
    for name, kind in _JSON.items():
        try:
            parsed[name] = msgspec.json.decode(values[name], type=kind)
        except ValueError as fault:
            raise ValueError(f"{name} is {values[name]!r}; {fault}") from None
    correct, total = row["correct"], row["total"]
    if not 0 <= correct <= total:
        raise ValueError(f"correct is {correct} of total {total}")
    for name in ("total", "num_classes", "num_folds"):
        if values[name] < 1:
            raise ValueError(f"{name} is {values[name]}, less than 1")
    counts = parsed["per_subject"].values()
    if [sum(column) for column in zip(*counts, strict=True)] != [correct, total]:
        raise ValueError(f"per_subject does not add up to {correct} of {total}")
    low, high = wilson_interval(correct, total)
    for name, expected in (("value", correct / total), ("ci_low", low), ("ci_high", high)):
        if not math.isclose(values[name], expected, abs_tol=_TOLERANCE):
            raise ValueError(f"{name} is {values[name]}; {correct} of {total} give {expected}")
