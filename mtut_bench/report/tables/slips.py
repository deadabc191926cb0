"""Footnotes to the printed numbers: slips of the paper, computed from its tables where they can be.

Everything here speaks of published tables, by their number; it knows no dataset and no method
beyond what the tables print.
"""

from dataclasses import dataclass
from math import floor

from mtut_bench.contract.published import PublishedTable

__all__ = ["Footnote", "figure_note", "figure_notes", "footnotes"]


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
    "Which column is rgb and which is depth is inferred: the extracted text has depth first in "
    "most lines, rgb in some; "
)
_SUBJECTS = "The paper states 20 subjects; the dataset's lists hold 18."
_NOTES = {
    "1": (f"{_ORDER}the gains in section 4.1 confirm I3D and MTUT.",),
    "2": (
        f"{_ORDER}the rgb gain in section 4.2 confirms I3D and MTUT.",
        "C3D+LSTM+RSTTM is called C3D+LSTM+RSTMM in section 4.2.",
    ),
    "3": (_SUBJECTS,),
    "5": ("The caption cites the paper of NVGesture [26] for EgoGesture.",),
    "6": (_SUBJECTS, "The caption cites a paper on EgoGesture [8] for NVGesture."),
    "7": (
        f"{_ORDER}section 4.5 (+SSA improves rgb, not depth) confirms C3D, I3D and their +SSA "
        "versions.",
    ),
}
_FIGURE_NOTES = {
    "6": "Its caption swaps (a) and (b): the panels and section 4.2 have MTUT in (a) and I3D in "
    "(b), the caption I3D in (a) and MTUT in (b)."
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
        remarks.append(Footnote(f"Human labeling accuracy, as printed: {table.human:.1f} %."))
    return remarks


def figure_note(number: str) -> str:
    """Return what is wrong with a figure of the paper, as sentences of its own, or "".

    Args:
        number: of the figure, as printed.
    """
    return _FIGURE_NOTES.get(number, "")


def figure_notes() -> list[str]:
    """Return the remark on each figure of the paper that has one."""
    return [f"The paper's Figure {number}: {text}" for number, text in _FIGURE_NOTES.items()]


def _is_share(percent: float, digits: int, num_clips: int) -> bool:
    # The paper both rounds and cuts off, so a share may lie up to one unit of the last digit away.
    unit = 10.0**-digits
    nearest = floor(percent * num_clips / 100.0 + 0.5)
    return abs(100.0 * nearest / num_clips - percent) < unit


def _no_multiples(table: PublishedTable) -> list[Footnote]:
    tests = _TEST_SETS[table.number]
    precise = [
        (line, column, value)
        for line, row in enumerate(table.rows)
        for column, value in enumerate(row.values)
        if value is not None and row.digits >= 2
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
    pairs = zip(stated.gains, in_table, strict=True)
    agrees = all(f"{gain:.2f}" == computed for gain, computed in pairs)
    verdict = "the table agrees" if agrees else f"the table gives {' and '.join(in_table)}"
    return [
        Footnote(
            f"Section {stated.section} gives the gain of {stated.above} over "
            f"{stated.below or 'the best other'} as {' and '.join(in_text)}; {verdict}."
        )
    ]
