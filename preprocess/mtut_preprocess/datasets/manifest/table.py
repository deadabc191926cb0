"""The CSV file and the JSON file beside it: what can be checked before a recording is opened."""

import csv
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from mtut_bench.contract.types import behaves_like, is_modality_name, sort_modalities
from mtut_bench.errors import DatasetError, did_you_mean
from mtut_bench.files import StrPath
from mtut_preprocess.datasets.settings import Text, read_typed

__all__ = [
    "FIXED_COLUMNS",
    "WINDOW_ENDS",
    "Fault",
    "Line",
    "Settings",
    "alike_faults",
    "cell_faults",
    "find_mirror",
    "fold_rule",
    "natural_order",
    "read_settings",
    "read_table",
    "refuse",
]

_REQUIRED = ("clip", "subject", "label")
FIXED_COLUMNS = (*_REQUIRED, "split", "fps")
WINDOW_ENDS = ("_start", "_end")
_SPLITS = ("train", "val", "test")
_LISTED_FAULTS = 10


@dataclass(frozen=True)
class Line:
    """A row of the table: its line in the file, its cells by column."""

    number: int
    cells: Mapping[str, str]


Fault = tuple[Line, str, str]
"""Where, what, hint."""


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The JSON file beside a table.

    Attributes:
        classes: in their order; None: the labels, sorted.
        mirror: class that each becomes in a mirror, each pair once; a class that stays itself is
            its own.
        no_mirror: classes that must not be flipped.
        depth_polarity, source, licence: in words.
        subjects_are: 'user' if one person may have several names.
    """

    classes: Annotated[tuple[Text, ...], Meta(min_length=1)] | None = None
    mirror: dict[str, str] | None = None
    no_mirror: tuple[Text, ...] | None = None
    depth_polarity: str = "not stated"
    source: str = ""
    licence: str = ""
    subjects_are: Literal["person", "user"] = "person"

    def __post_init__(self) -> None:
        """Check the classes.

        Raises:
            ValueError: one is there twice.
        """
        if self.classes and len(set(self.classes)) < len(self.classes):
            raise ValueError("'classes' must be different")


def read_settings(path: StrPath) -> Settings:
    """Return the settings beside a table; the defaults where there are none.

    Raises:
        DatasetError: malformed, an unknown key or a wrong value.
    """
    path = Path(path)
    if not path.exists():
        return Settings()
    keys = ", ".join(Settings.__struct_fields__)
    return read_typed(path, Settings, f"Keys are {keys}; one that begins with '_' is a remark.")


def find_mirror(
    settings: Settings, classes: Sequence[str], path: StrPath
) -> tuple[tuple[int, ...] | None, tuple[str, ...]]:
    """Return the class that each becomes in a mirror (None: unknown), and classes left unsaid.

    Raises:
        DatasetError: a name that is not a class, or a class with two mirrors.
    """
    if settings.mirror is None and settings.no_mirror is None:
        return None, ()
    hint = "Name each pair once; a class that looks the same in a mirror is its own mirror."
    pairs = (settings.mirror or {}).items()
    apart = ((name, "") for name in settings.no_mirror or ())
    said: dict[str, str] = {}
    for name, other in (*pairs, *((b, a) for a, b in pairs), *apart):
        if name not in classes:
            raise DatasetError(f"{path}: the mirror of {name!r}, which is not a class", hint)
        if (first := said.setdefault(name, other)) != other:
            both = f"{first or 'none'!r} and {other or 'none'!r}"
            raise DatasetError(f"{path}: {name!r} has two mirrors, {both}", hint)
    positions = {name: index for index, name in enumerate(classes)}
    mirror = tuple(positions.get(said.get(name, ""), -1) for name in classes)
    return mirror, tuple(name for name in classes if name not in said)


def refuse(table: StrPath, faults: Sequence[Fault]) -> None:
    """Raise the faults of a table, if any.

    Raises:
        DatasetError: the fault, or their number and the first ten.
    """
    table = Path(table)
    if not faults:
        return
    ordered = sorted(faults, key=lambda fault: fault[0].number)
    line, what, hint = ordered[0]
    if len(faults) == 1:
        raise DatasetError(f"{table}:{line.number}: {what}", hint)
    listed = ordered[:_LISTED_FAULTS]
    texts = [f"{table.name}:{line.number}: {what}" for line, what, _ in listed]
    texts += ["..."] if len(ordered) > len(listed) else []
    raise DatasetError(
        "\n  ".join([f"{table} has {len(faults)} faults:", *texts]),
        "\n  ".join(dict.fromkeys(hint for _, _, hint in listed)),
    )


def read_table(path: StrPath) -> tuple[tuple[str, ...], list[Line]]:
    """Return the modalities, in the project's order, and the rows of a table.

    Raises:
        DatasetError: it is missing, empty, not UTF-8, no CSV, or its header is malformed.
    """
    path = Path(path)
    (number, header), *records = _read_records(path)
    for what, hint in _header_faults(header):
        raise DatasetError(f"{path}:{number}: {what}", hint)
    if not records:
        raise DatasetError(f"{path} lists no clip", "Add a row for each clip.")
    lines = [Line(n, dict(zip(header, cells, strict=False))) for n, cells in records]
    hint = 'Put a cell that holds a comma in quotes: "push, then pull".'
    faults = [
        (line, f"{len(cells)} cells for {len(header)} columns", hint)
        for line, (_, cells) in zip(lines, records, strict=True)
        if len(cells) != len(header)
    ]
    refuse(path, faults)
    return sort_modalities(_modalities(header)), lines


def _read_records(path: Path) -> list[tuple[int, list[str]]]:
    """Return (first line, cells) of the header and of each row that is not blank.

    Raises:
        DatasetError: missing, empty, not UTF-8, no CSV.
    """
    hint = "Save the table as CSV, separated by commas, in UTF-8."
    try:
        data = path.read_bytes()
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise DatasetError(
            f"{path} cannot be read: {error.strerror}", "Name your table with --table."
        ) from error
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise DatasetError(f"{path}:{number}: not UTF-8 text", hint) from error
    records: list[tuple[int, list[str]]] = []
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True)
    start = 1
    try:
        for record in reader:
            cells = [cell.strip() for cell in record]
            if any(cells):
                records.append((start, cells))
            start = reader.line_num + 1
    except csv.Error as error:
        raise DatasetError(f"{path}:{start}: invalid CSV: {error}", hint) from error
    if not records:
        raise DatasetError(f"{path} is empty", "Write a header and a row for each clip.")
    return records


def _modalities(header: Iterable[str]) -> list[str]:
    return [
        name
        for name in header
        if name not in FIXED_COLUMNS and not name.startswith("_") and not name.endswith(WINDOW_ENDS)
    ]


def _header_faults(header: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield (what, hint) for columns that are missing, doubled, nameless or stand for nothing."""
    for name, count in Counter(header).items():
        if not name:
            yield f"column {header.index(name) + 1} has no name", "Name it, or remove it."
        elif count > 1:
            yield f"column {name!r} is there {count} times", "Keep one of them."
    for name in _REQUIRED:
        if name not in header:
            others = [other for other in header if other not in FIXED_COLUMNS]
            yield (
                f"column {name!r} is missing; there are {', '.join(map(repr, header))}",
                f"{did_you_mean(name, others)}A table has {', '.join(_REQUIRED)} and a column for"
                " each modality, separated by commas.",
            )
    modalities = _modalities(header)
    for name in header:
        owner = name.rpartition("_")[0]
        if name.endswith(WINDOW_ENDS) and not name.startswith("_") and owner not in modalities:
            yield (
                f"column {name!r} is a window of {owner!r}, which is not a modality",
                f"Add {owner!r} with its files, or remove {name!r}.",
            )
    for name in modalities:
        if behaves_like(name) == "flow":
            yield (
                f"column {name!r}: optical flow is computed from rgb, not read from files",
                "Remove the column and give --flow farneback.",
            )
        elif not is_modality_name(name):
            yield (
                f"column {name!r} cannot name a modality",
                "Use small letters, digits and single underscores (rgb, ir_left); begin the name"
                " of a remark with '_'.",
            )
    if not modalities:
        yield "no column names recordings", "Add a column for each modality, such as rgb or depth."


def cell_faults(
    lines: Sequence[Line], modalities: Sequence[str], classes: Sequence[str]
) -> Iterator[Fault]:
    """Yield what is wrong with single cells, paths and windows aside."""
    first: dict[str, Line] = {}
    with_split = any(line.cells.get("split") for line in lines)
    fps = lines[0].cells.get("fps", "")
    for line in lines:
        cells = line.cells
        for column in (*_REQUIRED, *modalities):
            if not cells[column]:
                yield line, f"{column} is empty", "Fill it in, or remove the row or column."
        for column, text in cells.items():
            # Line breaks in quotes; zeros, which numpy drops at the end of a text.
            if not column.startswith("_") and any(unicodedata.category(c) == "Cc" for c in text):
                yield line, f"{column}: {text!r} has a control character", "Remove it."
        earlier = first.setdefault(cells["clip"], line)
        if cells["clip"] and earlier is not line:
            what = f"clip {cells['clip']!r} is in line {earlier.number} already"
            yield line, what, "Give each clip its own id."
        if cells["label"] and cells["label"] not in classes:
            what = f"label {cells['label']!r} is not in 'classes' of the .json file"
            yield line, what, f"{did_you_mean(cells['label'], classes)}Correct one of them."
        if with_split and cells["split"] not in _SPLITS:
            what = f"split {cells['split']!r} is not one of {', '.join(_SPLITS)}"
            yield line, what, "Fill in every row, or leave the whole column empty."
        if cells.get("fps", "") != fps:
            what = f"fps {cells['fps']!r} differs from {fps!r} in line {lines[0].number}"
            yield line, what, "A dataset has one frame rate: convert the other recordings."
        elif line is lines[0] and fps and not _is_rate(fps):
            yield line, f"fps {fps!r} is not a frame rate", "Write a number, such as 30 or 29.97."


def _is_rate(text: str) -> bool:
    try:
        return isfinite(float(text)) and float(text) > 0
    except ValueError:
        return False


def alike_faults(lines: Sequence[Line]) -> Iterator[Fault]:
    """Yield names spelt in two ways: one person on both sides, or one class that counts as two."""
    for column in ("subject", "label"):
        first: dict[str, Line] = {}
        for line in lines:
            first.setdefault(line.cells[column], line)
        known: dict[Any, str] = {}
        for text, line in first.items():
            other = known.setdefault(natural_order(text), text)
            if other != text:
                yield (
                    line,
                    f"{column}s {other!r} (line {first[other].number}) and {text!r} look like one",
                    "Write a name in one way; different names differ in more than case, spaces and"
                    " leading zeros.",
                )


def natural_order(text: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key: numbers by value and before words; equal for one name written in two ways."""
    plain = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    parts = re.split(r"([0-9]{1,18})", plain)
    return tuple((0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts if p)


def fold_rule(lines: Sequence[Line], table: StrPath) -> str:
    """Return 'split' or 'subject'; refuse a table from which no fold could be made.

    Raises:
        DatasetError: a person on two sides, or a side without clips.
    """
    first = {line.cells["subject"]: line for line in reversed(lines)}
    splits = {line.cells.get("split", "") for line in lines}
    what, hint = "", "A person is either trained on or tested: name persons in 'subject'."
    if splits != {""}:
        both = [(line, first[line.cells["subject"]]) for line in lines]
        refuse(
            table,
            [
                (
                    line,
                    f"subject {line.cells['subject']!r} is in {line.cells['split']}, and in"
                    f" {other.cells['split']} (line {other.number})",
                    f"{hint} With an empty 'split' one is left out.",
                )
                for line, other in both
                if line.cells["split"] != other.cells["split"]
            ],
        )
        lacking = [split for split in ("train", "test") if split not in splits]
        what = f"no clip has the split {lacking[0]!r}" if lacking else ""
    elif "all" in first:
        what = "a subject is called 'all', the word for all folds"
    elif len(first) == 1:
        what = f"all clips are of subject {min(first)!r}, so none can be left out"
    if what:
        raise DatasetError(f"{table}: {what}", hint)
    return "subject" if splits == {""} else "split"
