"""Footnotes to the printed numbers: slips of the paper, computed from its tables where they can be.

Everything here speaks of published tables, by their number; it knows no dataset and no method
beyond what the tables print.
"""

from dataclasses import dataclass
from math import floor

from mtut_bench.report.published import PublishedRow, PublishedTable

__all__ = ["Footnote", "footnotes"]


@dataclass(frozen=True)
class Footnote:
    """One remark on a printed table.

    Attributes:
        text: a sentence.
        places: (index of the line, index of the column) of the figures it is about; empty where it
            is about the whole table.
    """

    text: str
    places: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class _TestSet:
    """What the accuracies of a table are shares of."""

    num_clips: int
    num_folds: int


@dataclass(frozen=True)
class _StatedGain:
    """A difference that the paper's text gives: ``above`` minus ``below`` (or the best other)."""

    section: str
    above: str
    below: str | None
    gains: tuple[float, ...]


_TEST_SETS = {
    "1": _TestSet(885, 8),
    "2": _TestSet(4977, 1),
    "3": _TestSet(482, 1),
    "4": _TestSet(885, 8),
    "5": _TestSet(4977, 1),
    "6": _TestSet(482, 1),
    "7": _TestSet(885, 8),
}

_STATED_GAINS = {
    "1": _StatedGain("4.1", "MTUT", "I3D", (3.08, 6.85)),
    "2": _StatedGain("4.2", "MTUT", None, (2.15, 1.09)),
}

_ORDER = (
    "Which column is rgb and which is depth is inferred from the extracted text (most lines print "
    "depth first)."
)
_NOTES = {
    "1": (_ORDER,),
    "2": (_ORDER,),
    "3": ("The paper states 20 subjects; the dataset's lists hold 18.",),
    "7": (_ORDER,),
}
_MARKED = {
    "6": {
        "R3DCNN": "Quoted elsewhere as the result of five sensors; 81.5 is quoted for "
        "rgb+depth+flow."
    },
}


def footnotes(table: PublishedTable) -> list[Footnote]:
    """Return the remarks on a printed table, those on single figures first.

    Args:
        table: as printed.
    """
    remarks = _no_multiples(table) + _marked(table) + _overtaken(table)
    remarks += _gains(table) + [Footnote(text) for text in _NOTES.get(table.number, ())]
    if table.note:
        remarks.append(Footnote(f"{table.note[0].upper()}{table.note[1:]}."))
    if table.human is not None:
        remarks.append(Footnote(f"Persons reach {table.human:.1f} %, as printed."))
    return remarks


def _is_share(percent: float, digits: int, num_clips: int) -> bool:
    # The paper both rounds and cuts off, so a share may lie up to one unit of the last digit away.
    unit = 10.0**-digits
    nearest = floor(percent * num_clips / 100.0 + 0.5)
    return abs(100.0 * nearest / num_clips - percent) < unit


def _digits(row: PublishedRow) -> int:
    """Return the digits after the point of a line; the file drops zeros at the end of a figure."""
    printed = [str(value) for value in row.values if value is not None]
    return max(len(text.partition(".")[2]) for text in printed)


def _no_multiples(table: PublishedTable) -> list[Footnote]:
    tests = _TEST_SETS[table.number]
    precise = [
        (line, column, value)
        for line, row in enumerate(table.rows)
        for column, value in enumerate(row.values)
        if value is not None and _digits(row) >= 2
    ]
    odd = [(line, column) for line, column, v in precise if not _is_share(v, 2, tests.num_clips)]
    if not odd:
        return []
    if tests.num_folds == 1:
        return [Footnote(f"No multiple of 1/{tests.num_clips}, the test clips.", tuple(odd))]
    text = (
        f"No multiple of 1/{tests.num_clips}: {len(odd)} of {len(precise)} figures with two "
        f"decimals. A cell is the mean of {tests.num_folds} fold accuracies."
    )
    return [Footnote(text)]


def _marked(table: PublishedTable) -> list[Footnote]:
    remarks = _MARKED.get(table.number, {})
    return [
        Footnote(remarks[row.method], ((line, 0),))
        for line, row in enumerate(table.rows)
        if row.method in remarks
    ]


def _overtaken(table: PublishedTable) -> list[Footnote]:
    """Compare lines that name what they were trained on with all that do not."""
    if len(table.columns) > 1 or not any(row.trained_on for row in table.rows):
        return []
    others = [row for row in table.rows if not row.trained_on]
    best = max(others, key=lambda row: row.values[0] or 0.0)
    limit = best.values[0] or 0.0
    below = [
        line
        for line, row in enumerate(table.rows)
        if row.trained_on and (row.values[0] or 0.0) < limit
    ]
    if not below:
        return []
    text = (
        f"Below {best.method} {table.tested_on(best, 0)} ({limit:.2f}): 'all versions of our "
        "method outperform the other multimodal fusion methods' (4.4) does not hold across "
        "modality sets."
    )
    return [Footnote(text, tuple((line, 0) for line in below))]


def _gains(table: PublishedTable) -> list[Footnote]:
    stated = _STATED_GAINS.get(table.number)
    if stated is None:
        return []
    in_text, in_table = [], []
    for column, name in enumerate(table.columns):
        figures = {row.method: row.values[column] or 0.0 for row in table.rows}
        above = figures.pop(stated.above)
        below = figures[stated.below] if stated.below else max(figures.values())
        in_text.append(f"{stated.gains[column]:.2f} ({name})")
        in_table.append(f"{above - below:.2f}")
    return [
        Footnote(
            f"Section {stated.section} gives the gain of {stated.above} over "
            f"{stated.below or 'the best other'} as {' and '.join(in_text)}; the table gives "
            f"{' and '.join(in_table)}."
        )
    ]
