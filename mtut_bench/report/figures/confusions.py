"""Figure 7 of the paper: the confusion matrices of two methods, and their difference."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from mtut_bench.progress import counted
from mtut_bench.report.figures.canvas import (
    COLOURS,
    DIFFERENCE,
    SHARE,
    Figure,
    add_bar,
    clean,
    finish,
    new_canvas,
)
from mtut_bench.report.figures.evidence import mean_confusion, row_shares
from mtut_bench.report.figures.groups import Group, describe, pair, scope

__all__ = ["CALLED_OUT", "called_out", "confusion_figure"]

CALLED_OUT = 6
"""Section 4.3: the improvement "is better observed in the first six classes"."""

_MAX_NAMED = 30
_MAX_TICKS = 13
_NAME_LENGTH = 16
# Longer counts take two lines of a cell.
_ONE_LINE = 6
_FRAME = COLOURS[4]
_MAPS = (SHARE, DIFFERENCE)


def confusion_figure(group: Group, modality: str) -> Figure | str:
    """Return the confusion matrices of two methods and their difference, or why not."""
    two = pair(group.configs)
    if two is None:
        return f"No confusion matrices (group {group.number}): they compare two methods."
    # A class without clips is grey.
    share_map, gap_map = (colormaps[name].with_extremes(bad="#cccccc") for name in _MAPS)
    labels = [config.name for config in two]
    counts = [mean_confusion(config, modality) for config in two]
    shares = [row_shares(counts_KK) for counts_KK in counts]
    canvas = new_canvas(6.4)
    panels = canvas.subplots(2, 2)
    for axes, share_KK, label, letter in zip(panels[0], shares, labels, "ab", strict=True):
        image = axes.imshow(share_KK, cmap=share_map, vmin=0.0, vmax=1.0)
        axes.set_title(f"({letter}) {label}")
    add_bar(panels[0, 1], image, "share of the true class")
    gap_KK = shares[1] - shares[0]
    limit = max(float(np.nanmax(np.abs(gap_KK))), 0.01)
    panels[1, 0].imshow(gap_KK, cmap=gap_map, vmin=-limit, vmax=limit)
    panels[1, 0].set_title(f"(c) {labels[1]} minus {labels[0]}")
    for axes in (*panels[0], panels[1, 0]):
        _name_axes(axes, group.classes)
        _frame_first(axes, len(group.classes))
    _draw_called_out(panels[1, 1], counts, gap_KK, group.classes, gap_map, limit)
    return finish(
        canvas,
        f"confusion-{group.number}-{modality.replace('_', '-')}",
        title=f"Confusion of {labels[0]} and {labels[1]}, {modality} (as figure 7)",
        caption=(
            f"{modality} network: rows are true classes, columns predicted ones, numbered from 1 "
            f"in the store's order. (a) {labels[0]}, (b) {labels[1]}: shares of the clips of each "
            f"true class; (c) their difference: on the diagonal positive is better, elsewhere "
            f"worse. (d) {_first_words(len(group.classes))}: numbers of clips by {labels[0]} "
            f"\u2192 by {labels[1]}.{_without_clips(counts[0])} "
            f"{called_out(counts, labels)} {scope(two)} {describe(group)}"
        ),
        alt=(
            f"Three matrices of {len(group.classes)} by {len(group.classes)} classes for the "
            f"{modality} network: {labels[0]}, {labels[1]} and their difference; a fourth panel "
            f"prints the numbers of clips. {called_out(counts, labels)}"
        ),
    )


def called_out(counts: Sequence[NDArray[np.float64]], labels: Sequence[str]) -> str:
    """Return a sentence on how many clips of the first six classes each method has right."""
    words = []
    for counts_KK, label in zip(counts, labels, strict=True):
        first = counts_KK[:CALLED_OUT]
        right, total = float(first.diagonal().sum()), float(first.sum())
        words.append(f"{_count(right)} of {_count(total)} by {label}")
    return f"Right in {_first_words(len(counts[0])).lower()}: {', '.join(words)}."


def _without_clips(counts_KK: NDArray[np.float64]) -> str:
    missing = int((counts_KK.sum(axis=1) == 0).sum())
    return f" Grey: without test clips ({counted(missing, 'class')})." if missing else ""


def _first_words(num_classes: int) -> str:
    return "The first six classes" if num_classes > CALLED_OUT else "All classes"


def _count(value: float) -> str:
    """Return a mean number of clips: whole where it is whole, else with one digit."""
    return f"{value:.0f}" if math.isclose(value, round(value), abs_tol=1e-9) else f"{value:.1f}"


def _name_axes(axes: Axes, classes: Sequence[str]) -> None:
    count = len(classes)
    places = list(range(0, count, math.ceil(count / _MAX_TICKS)))
    numbers = [str(place + 1) for place in places]
    axes.set_xticks(places, numbers)
    axes.set_xlabel("predicted class")
    if count <= _MAX_NAMED:
        axes.set_yticks(range(count), _numbered(classes))
    else:
        axes.set_yticks(places, numbers)
        axes.set_ylabel("true class")


def _numbered(classes: Sequence[str]) -> list[str]:
    return [f"{clean(name, _NAME_LENGTH)}  {n}" for n, name in enumerate(classes, 1)]


def _frame_first(axes: Axes, num_classes: int) -> None:
    if num_classes > CALLED_OUT:
        axes.add_patch(
            Rectangle((-0.5, -0.5), CALLED_OUT, CALLED_OUT, fill=False, edgecolor=_FRAME, lw=1.2)
        )


def _draw_called_out(
    axes: Axes,
    counts: Sequence[NDArray[np.float64]],
    gap_KK: NDArray[np.float64],
    classes: Sequence[str],
    gap_map: Colormap,
    limit: float,
) -> None:
    """Draw the first classes with the numbers of clips by both methods in each cell."""
    size = min(CALLED_OUT, len(classes))
    first_KK = gap_KK[:size, :size]
    image = axes.imshow(first_KK, cmap=gap_map, vmin=-limit, vmax=limit)
    add_bar(axes, image, "difference of shares (c, d)")
    for true in range(size):
        for guess in range(size):
            before, after = (_count(counts_KK[true, guess]) for counts_KK in counts)
            if (before, after) != ("0", "0"):
                text = f"{before}\u2192{after}"
                if len(text) > _ONE_LINE:
                    text = f"{before}\n\u2192{after}"
                dark = abs(first_KK[true, guess]) > 0.6 * limit
                colour = "white" if dark else "black"
                axes.text(guess, true, text, ha="center", va="center", size=7, color=colour)
    axes.set_xticks(range(size), [str(n + 1) for n in range(size)])
    axes.set_yticks(range(size), _numbered(classes)[:size])
    axes.set_xlabel("predicted class")
    axes.set_title(f"(d) {_first_words(len(classes))}, clips")
    for spine in axes.spines.values():
        spine.set(visible=True, edgecolor=_FRAME, linewidth=1.2)
