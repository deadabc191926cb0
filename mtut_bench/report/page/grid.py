"""Tables as the page shows them: cells that know how to sort, marks that lead to their notes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mtut_bench.report.tables.published_tables import NOTHING, Table

__all__ = ["Column", "Grid", "GridCell", "Note", "grid", "plain_grid", "sort_number"]

# What may stand before and after a number that a column sorts by; a date or an id is no number.
_NUMBER = re.compile(
    r"\s*[\[(<]?\s*(?P<value>[+\-\u2212]?\d[\d,]*(?:\.\d+)?(?:[eE][+-]?\d+)?)(?=$|[\s/%,\])])"
)
_MARKS = re.compile(r"(?: \(\d+\))+$")
# A number and what follows it; an interval alone, which starts with a bracket, stays whole.
_DOUBT = re.compile(r"^([+\-\u2212]?\d[\d,.]*)( .+)$")
_NOTE = re.compile(r"^\((\d+)\) (.*)$", re.DOTALL)


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: its head.
        numeric: whether every cell that is not empty starts with a number.
        num_marks: largest number of marks in a cell, for which all cells leave room.
    """

    name: str
    numeric: bool
    num_marks: int


@dataclass(frozen=True)
class GridCell:
    """One cell.

    Attributes:
        text: what stands there first; the number, in a numeric column.
        doubt: what follows a number: spread, interval, folds done; or "".
        marks: numbers of the notes it refers to.
        key: what it sorts by, "" for last.
        again: whether the line above says the same, so that it shows only where lines are sorted.
    """

    text: str
    doubt: str
    marks: tuple[str, ...]
    key: str
    again: bool


@dataclass(frozen=True)
class Note:
    """A line below a table: its number (or "") and its text."""

    number: str
    text: str


@dataclass(frozen=True)
class Grid:
    """A table as the page shows it; ``id`` is unique on the page."""

    id: str
    heading: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[GridCell, ...], ...]
    notes: tuple[Note, ...]


def grid(table: Table, identifier: str) -> Grid:
    """Return a table with sort keys, every line naming its method.

    Args:
        table: as it is printed; a line whose first cell is empty continues the line above.
        identifier: unique on the page.
    """
    notes = tuple(_note(text) for text in table.notes)
    numbers = {note.number for note in notes if note.number}
    texts = _filled(table)
    split = [[_without_marks(text, numbers) for text, _ in row] for row in texts]
    columns = tuple(
        Column(
            name=name,
            numeric=_is_numeric([row[index][0] for row in split], index >= table.num_labels),
            num_marks=max((len(row[index][1]) for row in split), default=0),
        )
        for index, name in enumerate(table.columns)
    )
    rows = tuple(
        tuple(
            _cell(text, marks, numeric=column.numeric, again=again)
            for (text, marks), (_, again), column in zip(cells, row, columns, strict=True)
        )
        for cells, row in zip(split, texts, strict=True)
    )
    return Grid(identifier, table.heading, columns, rows, notes)


def sort_number(text: str) -> float | None:
    """Return the number that a text starts with, or None.

    Args:
        text: of a cell, as '71.2 \u00b1 3.1', '7/8', '1,234', '< 0.001'.
    """
    found = _NUMBER.match(text)
    if not found:
        return None
    return float(found["value"].replace(",", "").replace("\u2212", "-"))


def _note(text: str) -> Note:
    found = _NOTE.match(text)
    return Note(found[1], found[2]) if found else Note("", text)


def _filled(table: Table) -> list[list[tuple[str, bool]]]:
    """Return the cells of each line, and whether they repeat what the line above says."""
    filled: list[list[tuple[str, bool]]] = []
    for row in table.rows:
        continued = bool(filled) and bool(table.num_labels) and not row[0]
        filled.append(
            [
                (filled[-1][index][0], True)
                if continued and index < table.num_labels and not text
                else (text, False)
                for index, text in enumerate(row)
            ]
        )
    return filled


def _without_marks(text: str, numbers: set[str]) -> tuple[str, tuple[str, ...]]:
    found = _MARKS.search(text)
    marks = tuple(re.findall(r"\d+", found[0])) if found else ()
    if not found or not set(marks) <= numbers:
        return text, ()
    return text[: found.start()], marks


def _is_numeric(texts: Sequence[str], measures: bool) -> bool:
    said = [text for text in texts if text not in ("", NOTHING)]
    return all(sort_number(text) is not None for text in said) and (bool(said) or measures)


def _cell(text: str, marks: tuple[str, ...], *, numeric: bool, again: bool) -> GridCell:
    if text in ("", NOTHING):
        return GridCell(text, "", marks, "", again)
    if not numeric:
        return GridCell(text, "", marks, text, again)
    found = _DOUBT.match(text)
    first, doubt = (found[1], found[2]) if found else (text, "")
    return GridCell(first, doubt, marks, _key(text), again)


def _key(text: str) -> str:
    number = sort_number(text)
    return "" if number is None else repr(number)


def plain_grid(identifier: str, heading: str, rows: Sequence[Mapping[str, str]]) -> Grid:
    """Return a grid of texts; the first column names the lines and is never a number.

    Args:
        identifier: unique on the page.
        heading: what it shows.
        rows: texts under the names of their columns, which are alike in all of them.
    """
    names = tuple(rows[0]) if rows else ()
    texts = tuple(tuple(row.values()) for row in rows)
    found = grid(Table(identifier, heading, names, texts, (), len(names), ()), identifier)
    # An id of a run may look like a number, and '123e456' like a very large one.
    columns = tuple(replace(column, numeric=False) for column in found.columns[:1])
    lines = tuple(
        (replace(line[0], text=texts[n][0], doubt="", key=texts[n][0]), *line[1:])
        for n, line in enumerate(found.rows)
    )
    return replace(found, columns=columns + found.columns[1:], rows=lines)
