"""What all figures share: their look, their colours, and their files, which have constant bytes."""

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure as Canvas
from matplotlib.layout_engine import ConstrainedLayoutEngine

from mtut_bench.report.figures.figure import Figure

__all__ = [
    "COLOURS",
    "DIFFERENCE",
    "GREY",
    "MAGNITUDE",
    "MARKERS",
    "SHARE",
    "WIDTH_IN",
    "add_bar",
    "blank_ticks",
    "clean",
    "finish",
    "legend_columns",
    "new_canvas",
    "style",
]

WIDTH_IN = 7.2
"""Width of a figure: two columns of a paper, 7 pt text at least."""

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000")
"""Okabe and Ito's colours, told apart by colour-blind readers; for methods, in order."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
"""A second way to tell methods apart; not as many as colours, so no pair comes back soon."""

GREY = "#666666"
MAGNITUDE = "cividis"
SHARE = "Blues"
DIFFERENCE = "PuOr_r"

# What fits side by side at the legend's size, a line or marker being as wide as so many letters.
_LEGEND_CHARS, _HANDLE_CHARS = 108, 7
_DPI = 200
_LAYOUT_PASSES = 2
_PAD_IN = 0.06
_SETTINGS: dict[str, Any] = {
    # Names of classes may hold '$' and '_': nothing is a formula.
    "text.parse_math": False,
    "font.family": ["DejaVu Sans"],
    "font.size": 8.0,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8.0,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "legend.fontsize": 7.5,
    "figure.titlesize": 9.5,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.2,
    "grid.linewidth": 0.4,
    "grid.color": "#dddddd",
    "legend.frameon": False,
    "image.interpolation": "nearest",
    # Ids inside the SVG are digests with this salt; without it they are random.
    "svg.hashsalt": "mtut-bench",
    "svg.fonttype": "path",
}


@contextmanager
def style() -> Iterator[None]:
    """Hold the look of the figures for a block; whatever the user has set is put back."""
    with rc_context(), warnings.catch_warnings():
        # Own settings would change the look, and so the bytes.
        _reset()
        # A name in another script is drawn as boxes rather than not at all.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def _reset() -> None:
    from matplotlib import rcdefaults, rcParams

    rcdefaults()
    rcParams.update(_SETTINGS)


def new_canvas(height_in: float, width_in: float = WIDTH_IN) -> Canvas:
    """Return an empty figure whose parts are kept apart.

    Args:
        height_in: height in inches.
        width_in: width in inches.
    """
    engine = ConstrainedLayoutEngine(w_pad=_PAD_IN, h_pad=_PAD_IN)
    return Canvas(figsize=(width_in, height_in), layout=engine)


def finish(canvas: Canvas, key: str, *, title: str, caption: str, alt: str) -> Figure:
    """Return a drawing as SVG and PNG; equal drawings give equal bytes.

    Args:
        canvas: what was drawn.
        key: stem of its files.
        title: a few words.
        caption: see :class:`~mtut_bench.report.figures.figure.Figure`.
        alt: as above.
    """
    svg, png = io.BytesIO(), io.BytesIO()
    if canvas.get_constrained_layout():
        # One pass leaves long labels beside square panels a little outside of the figure.
        for _ in range(_LAYOUT_PASSES):
            canvas.draw_without_rendering()
    FigureCanvasAgg(canvas).print_figure(png, dpi=_DPI, format="png", metadata={"Software": None})
    # Both files in one layout, computed once.
    canvas.set_layout_engine("none")
    FigureCanvasSVG(canvas).print_figure(
        svg, dpi=_DPI, format="svg", metadata={"Date": None, "Creator": None}
    )
    return Figure(key, title, caption, alt, svg.getvalue(), png.getvalue())


def legend_columns(labels: Sequence[str]) -> int:
    """Return how many columns a legend of some labels may have and stay within the figure.

    Args:
        labels: of the legend, at least one; a column is as wide as the longest.
    """
    return max(1, min(len(labels), _LEGEND_CHARS // (max(map(len, labels)) + _HANDLE_CHARS)))


def clean(text: str, length: int = 28) -> str:
    """Return a name from outside as one line that can be drawn and stand in XML.

    Args:
        text: any text.
        length: the most characters; a longer text ends in an ellipsis.
    """
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "\u2026"


def add_bar(axes: Axes, image: ScalarMappable, label: str, **options: Any) -> None:  # noqa: ANN401
    """Put the scale of a picture to its right, exactly as high as the picture.

    Args:
        axes: of the picture.
        image: what was drawn there.
        label: of the scale.
        **options: of matplotlib's ``colorbar``.
    """
    place = axes.inset_axes((1.04, 0.0, 0.05, 1.0))
    bar = axes.figure.colorbar(image, cax=place, label=label, **options)
    bar.outline.set_linewidth(0.6)


def blank_ticks(axes: Axes) -> None:
    """Take ticks and their labels away, as a picture has none."""
    axes.set_xticks([])
    axes.set_yticks([])
