"""The published tables as the paper prints them, read from ``published.json``."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

__all__ = ["Published", "PublishedRow", "PublishedTable", "load_published"]

# (table, index of the line) of figures printed with a zero at their end, which JSON drops and no
# other figure of the line gives away: 83.10 and 86.10.
_PRINTED_WITH_ZERO = {("4", 4), ("6", 3)}


@dataclass(frozen=True)
class PublishedRow:
    """One printed line.

    Attributes:
        method: the system's name as printed.
        values: accuracy in percent per column; None where the paper prints a dash.
        trained_on: modalities its networks were trained on; None where not stated.
        fused: modalities whose predictions are averaged; None where the column says it.
        digits: digits after the point, as printed.
    """

    method: str
    values: tuple[float | None, ...]
    trained_on: tuple[str, ...] | None
    fused: tuple[str, ...] | None
    digits: int


@dataclass(frozen=True)
class PublishedTable:
    """One printed table.

    Attributes:
        number: as printed ('1' to '7').
        title: the caption.
        dataset: name of the dataset it is about.
        columns: what each value of a row was tested on ('rgb', 'rgb+depth'), or 'accuracy' where
            each row names its own modalities.
        rows: lines in printed order.
        human: accuracy of persons in percent, where printed.
        note: an open question of the transcription, or "".
    """

    number: str
    title: str
    dataset: str
    columns: tuple[str, ...]
    rows: tuple[PublishedRow, ...]
    human: float | None
    note: str

    @property
    def modalities(self) -> frozenset[str]:
        """Every modality that some cell of the table was tested on."""
        return frozenset(
            name
            for row in self.rows
            for column in range(len(self.columns))
            for name in self.tested_on(row, column).split("+")
        )

    def tested_on(self, row: PublishedRow, column: int) -> str:
        """Return the modalities behind the cell of a row and a column (by index), joined by '+'."""
        return "+".join(row.fused) if row.fused else self.columns[column]


@dataclass(frozen=True)
class Published:
    """All printed tables.

    Attributes:
        source: the paper.
        tables: by number, in printed order.
        trained_alone: systems whose networks are trained one by one: their lines state no training
            set of modalities, although their table does for others.
    """

    source: str
    tables: dict[str, PublishedTable]
    trained_alone: frozenset[str]


@cache
def load_published() -> Published:
    """Return the published tables; the file is part of the package."""
    text = resources.files(__package__).joinpath("published.json").read_text(encoding="utf-8")
    content = json.loads(text)
    lines = [line for table in content["tables"].values() for line in table["rows"]]
    together = {line["method"] for line in lines if line.get("trained_on")}
    alone = {line["method"] for line in lines if line.get("trained_on", ()) is None}
    return Published(
        source=content["source"],
        tables={number: _table(number, table) for number, table in content["tables"].items()},
        trained_alone=frozenset(alone - together),
    )


def _table(number: str, table: dict[str, Any]) -> PublishedTable:
    return PublishedTable(
        number=number,
        title=table["title"],
        dataset=table["dataset"],
        columns=tuple(table["columns"]),
        rows=tuple(
            _row(row, 2 if (number, line) in _PRINTED_WITH_ZERO else _digits(row["values"]))
            for line, row in enumerate(table["rows"])
        ),
        human=table.get("human"),
        note=table.get("note", ""),
    )


def _digits(values: Sequence[float | None]) -> int:
    """Return the digits after the point of a row's longest figure."""
    return max(len(str(value).partition(".")[2]) for value in values if value is not None)


def _row(row: dict[str, Any], digits: int) -> PublishedRow:
    return PublishedRow(
        method=row["method"],
        values=tuple(row["values"]),
        trained_on=tuple(row["trained_on"]) if row.get("trained_on") else None,
        fused=tuple(row["fused"]) if row.get("fused") else None,
        digits=digits,
    )
