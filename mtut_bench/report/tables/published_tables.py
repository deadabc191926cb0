"""The published tables with measured numbers beside the printed ones.

A measured number stands beside a printed one only if it comes from the complete recorded dataset of
that table, under a protocol that may fill it, with nothing overridden.
"""

from collections.abc import Sequence

from mtut_bench.contract.published import Published, PublishedRow, PublishedTable
from mtut_bench.progress import counted
from mtut_bench.report.tables.errata import errata
from mtut_bench.report.tables.table import Number, Table, TableCell, measure, number_of
from mtut_bench.statistics import comparable
from mtut_bench.statistics.cells import Cell, CellRow, cell_row, legend
from mtut_bench.statistics.notes import fit_notes, setting_notes, source_notes
from mtut_bench.statistics.rows import ResultRow

__all__ = ["has_counterpart", "published_table"]

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


def _fits(row: ResultRow, table: PublishedTable) -> bool:
    """Return whether a measured number may stand in a published table at all."""
    return (
        row["origin"] == "recorded"
        and row["complete"]
        and row["dataset"] == table.dataset
        and table.number in row["tables"].split()
        and row["overrides"] == "{}"
    )


def _answers(
    row: ResultRow,
    table: PublishedTable,
    printed: PublishedRow,
    column: int,
    published: Published,
) -> bool:
    """Return whether a measured number is the same quantity as a printed figure.

    A line that names what its networks were trained on needs exactly that. Where it does not, a
    system whose networks are trained alone may come from a run of any modalities; any other must
    have been trained on exactly the modalities of the table.
    """
    if row["printed_as"] != printed.method or row["tested_on"] != table.tested_on(printed, column):
        return False
    if printed.trained_on is None and printed.method in published.trained_alone:
        return True
    return set(row["modalities"].split("+")) == set(printed.trained_on or table.modalities)


def has_counterpart(row: ResultRow, published: Published) -> bool:
    """Return whether a measured number stands beside a printed one."""
    return any(
        _fits(row, table) and _answers(row, table, printed, column, published)
        for table in published.tables.values()
        for printed in table.rows
        for column in range(len(table.columns))
    )


def published_table(
    table: PublishedTable, rows: Sequence[ResultRow], published: Published
) -> Table:
    """Return a published table, line for line as printed, with measured numbers beside it."""
    candidates = [row for row in rows if _fits(row, table)]
    remarks = errata(table)
    numbered: list[str] = []
    lines: list[tuple[TableCell, ...]] = []
    used: list[ResultRow] = []
    shown: list[Cell] = []
    for index, printed in enumerate(table.rows):
        for column, value in enumerate(printed.values):
            found = [row for row in candidates if _answers(row, table, printed, column, published)]
            cell, remark = _measured(found)
            if cell:
                used += found
                shown.append(cell)
            texts = [note.text for note in remarks if (index, column) in note.places]
            beside = Number(value, printed.digits, marks=_marks(numbered, texts))
            raw = _raw(table, printed, column, cell=cell, found=found, remark=remark)
            measured = number_of(cell, _DIGITS, _marks(numbered, [remark] if remark else []), raw)
            lines.append(_line(raw, cell, beside, measured, first=column == 0))
    keep = _columns(table, shown)
    plain = [note.text for note in remarks if not note.places]
    sources = [*_unlike(used), *_legend(shown)]
    sources += [*setting_notes(used), *fit_notes(used), *source_notes(used)]
    return Table(
        key=table.number,
        heading=f"Table {table.number}. {table.title}",
        columns=tuple(_HEADS[i] for i in keep),
        rows=tuple(tuple(line[i] for i in keep) for line in lines),
        notes=(*plain, *sources),
        num_labels=keep.index(_HEADS.index("Published")),
        numbered=tuple(numbered),
    )


def _marks(numbered: list[str], texts: Sequence[str]) -> tuple[int, ...]:
    """Return the numbers of some notes, the same for the same words; new ones are appended."""
    numbered += [text for text in texts if text not in numbered]
    return tuple(numbered.index(text) + 1 for text in texts)


def _columns(table: PublishedTable, shown: Sequence[Cell]) -> list[int]:
    """Return the heads to show: a column of equal cells would only cost width."""
    methods = [printed.method for printed in table.rows]
    silent = {
        "Trained on": len(set(methods)) == len(methods),
        "Folds": all(cell.num_folds == 1 for cell in shown),
        "Seeds": all(len(cell.seeds) == 1 for cell in shown),
    }
    return [index for index, head in enumerate(_HEADS) if not silent.get(head, False)]


def _unlike(rows: Sequence[ResultRow]) -> list[str]:
    """Return a note on measured numbers that are not comparable with each other."""
    names = comparable.differing(rows, "published")
    if not names:
        return []
    return [
        f"Measured numbers differ in {comparable.by_method(rows, names)}: compare each with its "
        "printed number, not with the others."
    ]


def _legend(shown: Sequence[Cell]) -> list[str]:
    if not shown:
        return []
    seeds = ", ".join(str(seed) for seed in sorted({s for cell in shown for s in cell.seeds}))
    return [f"Measured: {legend(shown)}; seed {seeds}."]


def _measured(rows: Sequence[ResultRow]) -> tuple[Cell | None, str]:
    """Return the cell that may be shown, and a remark on it or on why there is none."""
    cell, note = measure(rows)
    if cell and not cell.complete:
        note = (
            f"Done: {len(cell.folds)} of {counted(cell.num_folds, 'fold')}; the mean is shown"
            " once all are done."
        )
        return None, note
    missing = _not_all_clips(cell, rows[0]) if cell else ""
    return (None, missing) if missing else (cell, note)


def _not_all_clips(cell: Cell, row: ResultRow) -> str:
    """Return how many clips folds that leave someone out have tested, if not all; "" if all."""
    # One fold is the dataset's own split: its test clips are a subset by design.
    if cell.num_folds == 1 or cell.total == row["num_clips"]:
        return ""
    return (
        f"All folds are done and test {cell.total:,} clips, but the store has "
        f"{row['num_clips']:,}: the runs do not cover whole folds."
    )


def _raw(
    table: PublishedTable,
    printed: PublishedRow,
    column: int,
    *,
    cell: Cell | None,
    found: Sequence[ResultRow],
    remark: str,
) -> CellRow:
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
