"""The published tables with measured numbers beside the printed ones, where they may stand there.

A measured number may stand beside a printed one only if it comes from the complete recorded
dataset of that table, under a protocol that may fill it, with nothing overridden: see :func:`fits`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from mtut_bench.contract.published import Published, PublishedRow, PublishedTable
from mtut_bench.progress import counted
from mtut_bench.report.tables.slips import footnotes
from mtut_bench.report.tables.table import Number, Table, TableCell, number_of
from mtut_bench.statistics import comparable
from mtut_bench.statistics.cells import (
    Cell,
    CellRow,
    aggregate,
    cell_row,
    legend,
    not_mixed,
    seeds_left_out,
)
from mtut_bench.statistics.notes import fit_notes, setting_notes, source_notes
from mtut_bench.statistics.rows import ResultRow

__all__ = [
    "answers",
    "fits",
    "placed",
    "published_table",
]

_DIGITS = 2
_HEADS = (
    "Method",
    "Trained on",
    "Tested on",
    "Published",
    "Measured",
    "Difference",
    "Folds",
    "Seeds",
)


def fits(row: ResultRow, table: PublishedTable) -> bool:
    """Return whether a measured number may stand in a published table at all.

    Args:
        row: the measured number.
        table: the published table.
    """
    return (
        row["origin"] == "recorded"
        and row["complete"]
        and row["dataset"] == table.dataset
        and table.number in row["tables"].split()
        and row["overrides"] == "{}"
    )


def answers(
    row: ResultRow,
    table: PublishedTable,
    *,
    printed: PublishedRow,
    column: int,
    published: Published,
) -> bool:
    """Return whether a measured number is the same quantity as a printed figure.

    A line that names what its networks were trained on wants exactly that. Where it does not, a
    system whose networks are trained alone may come from a run of any modalities; any other must
    have been trained on exactly the modalities of the table.

    Args:
        row: the measured number.
        table: the published table.
        printed: a line of it.
        column: index of its column.
        published: all tables, for what they say about training alone.
    """
    if row["printed_as"] != printed.method or row["tested_on"] != table.tested_on(printed, column):
        return False
    if printed.trained_on is None and printed.method in published.trained_alone:
        return True
    return set(row["modalities"].split("+")) == set(printed.trained_on or table.modalities)


def placed(row: ResultRow, published: Published) -> tuple[str, ...]:
    """Return the numbers of the published tables in which a measured number has its place.

    Args:
        row: the measured number.
        published: all tables.
    """
    return tuple(
        table.number
        for table in published.tables.values()
        if fits(row, table)
        and any(
            answers(row, table, printed=printed, column=column, published=published)
            for printed in table.rows
            for column in range(len(table.columns))
        )
    )


@dataclass
class _Notes:
    """Notes of one table that marks refer to."""

    numbered: list[str] = field(default_factory=list)

    def marks(self, *texts: str) -> tuple[int, ...]:
        """Return the numbers of notes, the same for the same words."""
        self.numbered += [text for text in dict.fromkeys(texts) if text not in self.numbered]
        return tuple(self.numbered.index(text) + 1 for text in texts)


def published_table(
    table: PublishedTable, rows: Sequence[ResultRow], published: Published
) -> Table:
    """Return a published table, line for line as printed, with measured numbers beside it.

    Args:
        table: as printed.
        rows: all measured numbers; those that do not belong here are passed over.
        published: all tables.
    """
    candidates = [row for row in rows if fits(row, table)]
    notes, remarks = _Notes(), footnotes(table)
    lines: list[tuple[TableCell, ...]] = []
    cells: list[CellRow] = []
    used: list[ResultRow] = []
    shown: list[Cell] = []
    for line, printed in enumerate(table.rows):
        for column in range(len(table.columns)):
            found = [
                row
                for row in candidates
                if answers(row, table, printed=printed, column=column, published=published)
            ]
            cell, remark = _measured(found)
            if cell:
                used += found
                shown.append(cell)
            cells.append(_raw(table, line, column, cell=cell, found=found, remark=remark))
            slips = [note.text for note in remarks if (line, column) in note.places]
            beside = Number(printed.values[column], printed.digits, marks=notes.marks(*slips))
            shown_cell = number_of(cell, _DIGITS, notes.marks(*filter(None, [remark])))
            lines.append(_line(cells[-1], cell, beside, shown_cell, first=column == 0))
    keep = _columns(table, shown)
    plain = [note.text for note in remarks if not note.places]
    behind = [*_unlike(used), *_legend(shown)]
    behind += [*setting_notes(used), *fit_notes(used), *source_notes(used)]
    return Table(
        key=table.number,
        heading=f"Table {table.number}. {table.title}",
        columns=tuple(_HEADS[i] for i in keep),
        rows=tuple(tuple(line[i] for i in keep) for line in lines),
        notes=(*plain, *behind),
        num_labels=keep.index(_HEADS.index("Published")),
        cells=tuple(cells),
        numbered=tuple(notes.numbered),
    )


def _columns(table: PublishedTable, shown: Sequence[Cell]) -> list[int]:
    """Return which heads say something: a column of equal cells would only cost width."""
    methods = [printed.method for printed in table.rows]
    silent = {
        "Trained on": len(set(methods)) == len(methods),
        "Folds": all(cell.num_folds == 1 for cell in shown),
        "Seeds": all(len(cell.seeds) == 1 for cell in shown),
    }
    return [index for index, head in enumerate(_HEADS) if not silent.get(head, False)]


def _unlike(rows: Sequence[ResultRow]) -> list[str]:
    """Return a note on measured numbers that answer their printed ones, but not each other."""
    names = comparable.differing(rows, "published")
    if not names:
        return []
    return [
        f"Measured numbers differ in {comparable.by_method(rows, names)}: each is to be compared "
        "with its printed number, not with the others."
    ]


def _legend(shown: Sequence[Cell]) -> list[str]:
    if not shown:
        return []
    seeds = ", ".join(str(seed) for seed in sorted({s for cell in shown for s in cell.seeds}))
    return [f"Measured: {legend(shown)}; seed {seeds}."]


def _measured(rows: Sequence[ResultRow]) -> tuple[Cell | None, str]:
    """Return the cell that may be shown, and a remark on it or on why there is none."""
    if not rows:
        return None, ""
    mixed = not_mixed(rows)
    if mixed:
        return None, mixed
    cell = aggregate(rows)
    if not cell.complete:
        return None, (
            f"Done: {len(cell.folds)} of {counted(cell.num_folds, 'fold')}; a mean stands here"
            " when all are."
        )
    missing = _not_all_clips(cell, rows[0])
    if missing:
        return None, missing
    return cell, seeds_left_out(cell)


def _not_all_clips(cell: Cell, row: ResultRow) -> str:
    """Return how many clips folds that leave someone out have tested, if not all; "" if all."""
    # One fold is the dataset's own split: its test clips are a part by intention.
    if cell.num_folds == 1 or cell.total == row["num_clips"]:
        return ""
    return (
        f"All folds are done and together test {cell.total:,} of the store's "
        f"{row['num_clips']:,} clips, where each clip belongs to one fold: the runs are not of "
        "whole folds."
    )


def _raw(
    table: PublishedTable,
    line: int,
    column: int,
    *,
    cell: Cell | None,
    found: Sequence[ResultRow],
    remark: str,
) -> CellRow:
    printed = table.rows[line]
    value = printed.values[column]
    raw = cell_row(table.number, f"Table {table.number}", cell, found)
    raw["method"], raw["tested_on"] = printed.method, table.tested_on(printed, column)
    raw["trained_on"] = "+".join(printed.trained_on) if printed.trained_on else ""
    raw["published"] = "" if value is None else value
    raw["difference"] = "" if cell is None or value is None else cell.mean - value
    raw["note"] = remark
    return raw


def _line(
    raw: CellRow, cell: Cell | None, published: Number, measured: Number, *, first: bool
) -> tuple[TableCell, ...]:
    difference = raw["difference"]
    return (
        raw["method"] if first else "",
        raw["trained_on"] if first else "",
        raw["tested_on"],
        published,
        measured,
        Number(None if isinstance(difference, str) else difference, _DIGITS, "+"),
        Number(len(cell.folds), of=cell.num_folds) if cell else Number(None),
        Number(len(cell.seeds) if cell else None),
    )
