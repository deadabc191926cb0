"""Errata of the paper: footnotes to its printed tables and figures.

Where a footnote follows from the printed numbers, tests compute it from them.
"""

from dataclasses import dataclass

from mtut_bench.contract.published import PublishedTable

__all__ = ["FIGURE_ERRATA", "Erratum", "errata"]


@dataclass(frozen=True)
class Erratum:
    """One footnote to a printed table.

    Attributes:
        text: a sentence.
        places: (index of the line, index of the column) of the figures it is about; empty where it
            is about the whole table.
    """

    text: str
    places: tuple[tuple[int, int], ...] = ()


FIGURE_ERRATA = (
    "The paper's Figure 6: Its caption swaps (a) and (b): the panels and section 4.2 have MTUT in "
    "(a) and I3D in (b), the caption I3D in (a) and MTUT in (b).",
)
"""Remarks on figures of the paper."""

_COLUMNS = (
    "Which column is rgb and which is depth is inferred: the extracted text has depth first in "
    "most lines, rgb in some; "
)
_FOLDS = (
    "{} values with two decimals are not multiples of 1/885; a cell is the mean of 8 "
    "fold accuracies."
)
_SUBJECTS = Erratum("The paper states 20 subjects; the dataset's lists hold 18.")
_ERRATA = {
    "1": (
        Erratum(_FOLDS.format("5 of 6")),
        Erratum(
            "Section 4.1 gives the gain of MTUT over I3D as 3.08 (rgb) and 6.85 (depth); the table "
            "agrees."
        ),
        Erratum(f"{_COLUMNS}the gains in section 4.1 confirm I3D and MTUT."),
    ),
    "2": (
        Erratum(
            "Section 4.2 gives the gain of MTUT over the best other as 2.15 (rgb) and 1.09 "
            "(depth); the table gives 2.15 and 1.36."
        ),
        Erratum(f"{_COLUMNS}the rgb gain in section 4.2 confirms I3D and MTUT."),
        Erratum("C3D+LSTM+RSTTM is called C3D+LSTM+RSTMM in section 4.2."),
    ),
    "3": (Erratum("Not a multiple of 1/482 (there are 482 test clips).", ((5, 1),)), _SUBJECTS),
    "4": (Erratum(_FOLDS.format("2 of 2")),),
    "5": (Erratum("The caption cites the paper of NVGesture [26] for EgoGesture."),),
    "6": (
        Erratum(
            "Quoted elsewhere as the result of five sensors; 81.5 is quoted for rgb+depth+flow.",
            ((9, 0),),
        ),
        Erratum(
            "Below I3D rgb+depth+flow (85.68): 'all versions of our method outperform the other "
            "multimodal fusion methods' (4.4) does not hold across modality sets.",
            ((2, 0), (7, 0), (8, 0)),
        ),
        _SUBJECTS,
        Erratum("The caption cites a paper on EgoGesture [8] for NVGesture."),
    ),
    "7": (
        Erratum(_FOLDS.format("12 of 12")),
        Erratum(
            f"{_COLUMNS}section 4.5 (+SSA improves rgb, not depth) confirms C3D, I3D and their "
            "+SSA versions."
        ),
    ),
}


def errata(table: PublishedTable) -> tuple[Erratum, ...]:
    """Return the footnotes to a printed table."""
    remarks = _ERRATA[table.number]
    if table.note:
        remarks += (Erratum(f"{table.note[0].upper()}{table.note[1:]}."),)
    if table.human is not None:
        remarks += (Erratum(f"Human labeling accuracy, as printed: {table.human:.1f} %."),)
    return remarks
