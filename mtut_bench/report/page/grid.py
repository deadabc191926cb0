"""Tables as the page shows them: cells that know how to sort, lines that all name their method."""

from collections.abc import Sequence
from dataclasses import dataclass

from mtut_bench.report.tables.table import Number, Table, TableCell

__all__ = ["Column", "Grid", "GridCell", "grid"]


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: its head.
        numeric: whether every cell that is not empty is a number.
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
    marks: tuple[int, ...]
    key: str
    again: bool


@dataclass(frozen=True)
class Grid:
    """A table as the page shows it; ``id`` is unique on the page; notes are those of the table."""

    id: str
    heading: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[GridCell, ...], ...]
    numbered: tuple[str, ...]
    notes: tuple[str, ...]


def grid(table: Table, identifier: str) -> Grid:
    """Return a table with sort keys, every line naming its method.

    Args:
        table: what to show.
        identifier: unique on the page.
    """
    lines = _filled(table)
    columns = tuple(
        _column(name, [line[index][0] for line in lines], index >= table.num_labels)
        for index, name in enumerate(table.columns)
    )
    rows = tuple(
        tuple(
            _cell(cell, numeric=column.numeric, again=again)
            for (cell, again), column in zip(line, columns, strict=True)
        )
        for line in lines
    )
    return Grid(identifier, table.heading, columns, rows, table.numbered, table.notes)


def _filled(table: Table) -> list[list[tuple[TableCell, bool]]]:
    """Return the cells of each line, and whether they repeat what the line above says."""
    filled: list[list[tuple[TableCell, bool]]] = []
    for row in table.rows:
        continued = bool(filled) and bool(table.num_labels) and not row[0]
        filled.append(
            [
                (filled[-1][index][0], True)
                if continued and index < table.num_labels and not cell
                else (cell, False)
                for index, cell in enumerate(row)
            ]
        )
    return filled


def _column(name: str, cells: Sequence[TableCell], measures: bool) -> Column:
    numbers = [cell for cell in cells if isinstance(cell, Number)]
    said = any(number.sort is not None for number in numbers)
    return Column(
        name=name,
        numeric=not any(isinstance(cell, str) and cell for cell in cells) and (said or measures),
        num_marks=max((len(number.marks) for number in numbers), default=0),
    )


def _cell(cell: TableCell, *, numeric: bool, again: bool) -> GridCell:
    if isinstance(cell, str):
        return GridCell(cell, "", (), cell, again)
    text, doubt = (cell.text, cell.doubt) if numeric else (f"{cell.text}{cell.doubt}", "")
    key = repr(cell.sort) if numeric else text
    return GridCell(text, doubt, cell.marks, "" if cell.sort is None else key, again)
