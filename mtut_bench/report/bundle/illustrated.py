"""Figures and page of a report: what runs show beyond the numbers of their rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mtut_bench.files import StrPath
from mtut_bench.report.bundle.folder import FIGURES, PAGE
from mtut_bench.report.comparisons.compare import all_comparisons
from mtut_bench.report.comparisons.confused import most_confused
from mtut_bench.report.figures import FocalWeight, draw_figures
from mtut_bench.report.figures.curves import training_csv
from mtut_bench.report.page import render_page
from mtut_bench.report.tables.table import Table
from mtut_bench.runs.finished import FinishedRun

__all__ = ["Illustration", "illustrated_files"]

_TRAINING = f"{FIGURES}/stage-two.csv"
"""What all methods logged in stage two, as numbers."""


@dataclass(frozen=True)
class Illustration:
    """What figures and page need that no run holds.

    Attributes:
        focal_weight: the methods' own function of equation 3, see ``draw_figures``.
        stores: folder of stores, for thumbnails of clips.
        progress: called with (figures drawn, figures in all).
    """

    focal_weight: FocalWeight
    stores: StrPath
    progress: Callable[[int, int], object] | None = None


def illustrated_files(
    runs: Sequence[FinishedRun],
    tables: Sequence[Table],
    remarks: Sequence[str],
    means: Illustration,
) -> dict[str, bytes]:
    """Return the figures (SVG and PNG), the log of stage two as numbers, and the page, by names.

    Raises:
        RunError: a run that cannot be read; names it and the hint.
    """
    drawn = draw_figures(runs, focal_weight=means.focal_weight, progress=means.progress)
    page = render_page(
        remarks=[*remarks, *drawn.remarks],
        tables=tables,
        figures=drawn.figures,
        comparisons=all_comparisons(runs),
        runs=runs,
        confused=most_confused(runs, means.stores),
    )
    files: dict[str, bytes] = {}
    for figure in drawn.figures:
        files |= {f"{FIGURES}/{figure.key}.svg": figure.svg}
        files |= {f"{FIGURES}/{figure.key}.png": figure.png}
    if training := training_csv(runs):
        files[_TRAINING] = training
    return files | {PAGE: page.encode()}
