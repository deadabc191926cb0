"""What all figures share: their look, their colours, and their files, which have constant bytes."""

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from matplotlib import rc_context, rcdefaults, rcParams
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure as Canvas
from matplotlib.layout_engine import ConstrainedLayoutEngine

__all__ = [
    "COLOURS",
    "DIFFERENCE",
    "GREY",
    "MAGNITUDE",
    "MARKERS",
    "SHARE",
    "WIDTH_IN",
    "Figure",
    "add_axes_in",
    "add_bar",
    "add_legend",
    "clean",
    "finish",
    "frameless",
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


@dataclass(frozen=True)
class Figure:
    """A drawn figure.

    Attributes:
        key: stem of its files; letters, digits and '-'.
        title: a few words.
        caption: what is shown, and of which runs.
        alt: text for a reader who cannot see it.
        svg: the drawing as SVG.
        png: the drawing as PNG.
    """

    key: str
    title: str
    caption: str
    alt: str
    svg: bytes
    png: bytes


@contextmanager
def style() -> Iterator[None]:
    """Set the look of the figures for a block, whatever the user has set."""
    with rc_context(), warnings.catch_warnings():
        # A user's settings would change the look, and so the bytes.
        rcdefaults()
        rcParams.update(_SETTINGS)
        # A name in another script is drawn as boxes rather than not at all.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def new_canvas(height_in: float) -> Canvas:
    """Return an empty figure of a height in inches, whose parts are kept apart."""
    engine = ConstrainedLayoutEngine(w_pad=_PAD_IN, h_pad=_PAD_IN)
    return Canvas(figsize=(WIDTH_IN, height_in), layout=engine)


def finish(canvas: Canvas, key: str, *, title: str, caption: str, alt: str) -> Figure:
    """Return a drawing as SVG and PNG; equal drawings give equal bytes."""
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
    """Return how many columns a legend may have; a column is as wide as the longest label."""
    return max(1, min(len(labels), _LEGEND_CHARS // (max(map(len, labels)) + _HANDLE_CHARS)))


def add_legend(canvas: Canvas, axes: Axes) -> None:
    """Draw the legend of some axes above the figure."""
    handles, labels = axes.get_legend_handles_labels()
    canvas.legend(handles, labels, loc="outside upper center", ncols=legend_columns(labels))


def add_axes_in(canvas: Canvas, place_in: tuple[float, float, float, float]) -> Axes:
    """Return axes at left, bottom, width and height in inches."""
    whole = (*canvas.get_size_inches(), *canvas.get_size_inches())
    left, bottom, width, height = (part / size for part, size in zip(place_in, whole, strict=True))
    return canvas.add_axes((left, bottom, width, height))


def clean(text: str, length: int = 28) -> str:
    """Return any text as one printable line of at most so many characters, with an ellipsis."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "\u2026"


def add_bar(axes: Axes, image: ScalarMappable, label: str, **options: Any) -> None:  # noqa: ANN401
    """Draw the colour bar of a picture to its right, exactly as high as the picture."""
    place = axes.inset_axes((1.04, 0.0, 0.05, 1.0))
    bar = axes.figure.colorbar(image, cax=place, label=label, **options)
    bar.outline.set_linewidth(0.6)


def frameless(axes: Axes) -> None:
    """Remove ticks and frame, as of a picture."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
