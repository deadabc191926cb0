"""A table of any kind: a measured value stays a number in it until a format prints it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from mtut_bench.statistics.cells import (
    PLUS_MINUS,
    Cell,
    CellRow,
    aggregate,
    not_mixed,
    seeds_left_out,
)
from mtut_bench.statistics.rows import ResultRow

__all__ = ["Number", "Table", "TableCell", "measure", "number_of"]

# Shown where there is no number, as in the paper.
_NOTHING = "-"


@dataclass(frozen=True)
class Number:
    """A number as a table shows it, with what qualifies it; rounded where it is printed.

    Attributes:
        value: the number; None: a dash is shown, or the interval alone.
        digits: of value and spread after the point; ends of an interval have one.
        form: '+' for a sign before it, ',' between its thousands.
        below: whether the value is a bound above the number: '< 0.001'.
        of: what it is a part of: the 8 of '7/8'; None where it is none.
        interval: lower and upper end.
        spread: standard deviation over folds.
        folds: folds done and folds in all, of a mean of some of them.
        marks: numbers of the notes that it refers to.
        raw: of a measured cell, all of it as unrounded numbers, for CSV.
    """

    value: float | None
    digits: int = 0
    form: str = ""
    below: bool = False
    of: int | None = None
    interval: tuple[float, float] | None = None
    spread: float | None = None
    folds: tuple[int, int] | None = None
    marks: tuple[int, ...] = ()
    raw: CellRow | None = field(default=None, compare=False, repr=False)

    @property
    def text(self) -> str:
        """The number, a dash, or an interval without a number."""
        if self.value is None:
            return self._interval or _NOTHING
        text = f"{self.value:{self.form}.{self.digits}f}"
        return f"< {text}" if self.below else text if self.of is None else f"{text}/{self.of}"

    @property
    def qualifier(self) -> str:
        """What follows the number: interval, spread, folds done; each after a space."""
        text = "" if self.value is None or self.interval is None else f" {self._interval}"
        if self.spread is not None:
            text += f" {PLUS_MINUS} {self.spread:.{self.digits}f}"
        return f"{text} ({self.folds[0]} of {self.folds[1]} folds)" if self.folds else text

    @property
    def sort(self) -> float | None:
        """Sort key: the number as printed, so that what looks equal is; None for a dash."""
        if self.value is not None:
            return round(float(self.value), self.digits)
        return round(self.interval[0], 1) if self.interval else None

    @property
    def tail(self) -> int | None:
        """Characters from the decimal point on; None unless it is a bare number."""
        if self.value is None or self.below or self.of is not None or self.qualifier:
            return None
        return self.digits + 1 if self.digits else 0

    @property
    def _interval(self) -> str:
        return f"[{self.interval[0]:.1f}, {self.interval[1]:.1f}]" if self.interval else ""

    @property
    def marked(self) -> str:
        """The marks as printed after all else: '(1) (2)'."""
        return " ".join(f"({mark})" for mark in self.marks)

    def __str__(self) -> str:
        """Return all of it: number, qualifier and marks."""
        return f"{self.text}{self.qualifier} {self.marked}".rstrip()


TableCell = str | Number
"""Words, "" for an empty cell, or a number."""


def measure(rows: Sequence[ResultRow]) -> tuple[Cell | None, str]:
    """Return the cell that rows give together, and a note on it or on why there is none."""
    if not rows:
        return None, ""
    mixed = not_mixed(rows)
    if mixed:
        return None, mixed
    cell = aggregate(rows)
    return cell, seeds_left_out(cell)


def number_of(
    cell: Cell | None, digits: int, marks: tuple[int, ...] = (), raw: CellRow | None = None
) -> Number:
    """Return what was measured as a table shows it: mean, interval and spread."""
    if cell is None:
        return Number(None, marks=marks, raw=raw)
    if not cell.complete:
        # An interval would make a mean of some of the folds look like the whole.
        done = len(cell.folds), cell.num_folds
        return Number(cell.mean, digits, folds=done, marks=marks, raw=raw)
    return Number(
        cell.mean, digits, interval=cell.interval, spread=cell.spread, marks=marks, raw=raw
    )


@dataclass(frozen=True)
class Table:
    """A table ready to be printed in any format.

    Attributes:
        key: number of the published table, or 'own-<n>' of a local one.
        heading: what it is and what it is worth.
        columns: heads.
        rows: as many cells as columns; a line whose first is empty continues the line above.
        notes: lines below the table, after the numbered ones.
        num_labels: leading columns that name a row rather than measure it.
        numbered: notes that marks refer to, from 1 on.
        at_chance: whether the interval of every cell of a local table contains chance.
    """

    key: str
    heading: str
    columns: tuple[str, ...]
    rows: tuple[tuple[TableCell, ...], ...]
    notes: tuple[str, ...] = ()
    num_labels: int = 1
    numbered: tuple[str, ...] = ()
    at_chance: bool = False

    @property
    def cells(self) -> list[CellRow]:
        """What was measured, line by line, as raw numbers."""
        numbers = (cell for row in self.rows for cell in row if isinstance(cell, Number))
        return [number.raw for number in numbers if number.raw is not None]

    @property
    def local(self) -> bool:
        """Whether its numbers have no published counterpart."""
        return self.key.startswith("own")

    @property
    def measured(self) -> bool:
        """Whether it shows a measured number, or says why one does not count yet."""
        return any(cell["measured"] != "" or cell["note"] for cell in self.cells)

    @property
    def lines(self) -> tuple[str, ...]:
        """All lines below it, a numbered note after its mark."""
        return (
            *(f"({number}) {text}" for number, text in enumerate(self.numbered, 1)),
            *self.notes,
        )
