"""Figure 6 of the paper: the last feature map of one clip by two methods."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from mtut_bench.contract.types import sort_modalities
from mtut_bench.progress import counted
from mtut_bench.report.figures.canvas import (
    DIFFERENCE,
    GREY,
    MAGNITUDE,
    WIDTH_IN,
    Figure,
    add_axes_in,
    clean,
    finish,
    frameless,
    new_canvas,
)
from mtut_bench.report.figures.groups import Group, describe, pair
from mtut_bench.report.figures.maps import ClipMaps, read_maps
from mtut_bench.runs.finished import FinishedRun
from mtut_bench.statistics.sides import Configuration

__all__ = ["features_figure", "map_strip", "matrix_distance", "shown_steps"]

_MAX_STEPS = 12
# Sizes in inches: halves of a method, in them names, strips of maps and matrices, and one scale.
_BAR_IN = 0.62
_HALF_IN = (WIDTH_IN - _BAR_IN - 0.16) / 2
_LABEL_IN = 0.92
_STRIP_IN = _HALF_IN - _LABEL_IN
_STEP_IN = 0.5
_MATRIX_IN = 1.5
_HEAD_IN = 0.28
_GAP_IN = 0.06
_TWO_LINES_IN = 0.28


@dataclass(frozen=True, eq=False)
class _Seen:
    """One clip as one method's networks see it."""

    method: str
    run: FinishedRun
    clip: ClipMaps


def features_figure(group: Group) -> Figure | str:
    """Return feature maps and correlations of one fixed clip by two methods, or why there are none.

    The clip is the first fixed one of the first fold and seed that both methods have done.

    Raises:
        RunError: a damaged ``maps.npz``.
    """
    two = pair(group.configs)
    if two is None:
        return f"No feature maps (group {group.number}): they compare two methods."
    seen = _same_clip(*two)
    if seen is None:
        return f"No feature maps (group {group.number}): no two runs saved maps of one clip."
    modalities = sort_modalities(group.modalities)
    a, b = (one.method for one in seen)
    with_matrices = all(set(one.clip.correlations) == set(modalities) for one in seen)
    canvas = _draw(seen, modalities, with_matrices)
    return finish(
        canvas,
        f"feature-maps-{group.number}",
        title=f"Last feature maps: {a} and {b} (as figure 6)",
        caption=_caption(group, seen, modalities, with_matrices),
        alt=(
            "Heat maps over time of the channel mean of the last feature map for clip "
            f"{clean(seen[0].clip.clip_id, 40)}, one row for each of {', '.join(modalities)}: left "
            f"by {a}, right by {b}"
            + ("; then the correlation matrices of the blocks." if with_matrices else ".")
        ),
    )


def _same_clip(first: Configuration, second: Configuration) -> tuple[_Seen, _Seen] | None:
    """Return the first fixed clip of the first pair of runs that saved maps, as both see it."""
    for run_a, run_b in zip(first.runs, second.runs, strict=True):
        maps_a, maps_b = read_maps(run_a), read_maps(run_b)
        if maps_a and maps_b and maps_a[0].clip_id == maps_b[0].clip_id:
            return _Seen(first.name, run_a, maps_a[0]), _Seen(second.name, run_b, maps_b[0])
    return None


def _caption(
    group: Group, seen: Sequence[_Seen], modalities: Sequence[str], with_matrices: bool
) -> str:
    one = seen[0]
    label = clean(group.classes[one.run.scores.labels_N[one.clip.index]])
    identity = one.run.record.identity
    sizes = {_size(s.clip.maps[modalities[0]].shape): s.method for s in seen}
    size = "; ".join(
        f"{name}: {words}" if len(sizes) > 1 else words for words, name in sizes.items()
    )
    text = (
        f"Clip {clean(one.clip.clip_id, 40)} ({label}), the first fixed test clip of fold "
        f"{identity.fold}, seed {identity.seed}, never chosen by a score. Channel mean of "
        f"the last feature map ({size}): (a) {one.method}, (b) {seen[1].method}; "
        "each row has its own scale, whose ends are printed beside it. In the paper's figure 6 "
        "the panels and the text agree and the caption swaps (a) and (b)."
    )
    if with_matrices:
        text += " Below: correlation of every pair of blocks over the channels (equation 1)."
        first = modalities[0]
        for other in modalities[1:]:
            if any(s.clip.maps[first].shape != s.clip.maps[other].shape for s in seen):
                continue
            words = ", ".join(
                f"{matrix_distance(s.clip, first, other):.3f} by {s.method}" for s in seen
            )
            text += f" Mean squared difference of {first} and {other}: {words}."
    return f"{text} {describe(group)}"


def _size(shape_THW: tuple[int, ...]) -> str:
    steps, height, width = shape_THW
    shown = len(shown_steps(steps))
    some = "" if shown == steps else f", {shown} of them shown"
    return f"{counted(steps, 'time step')} of {height} x {width} blocks{some}"


def shown_steps(steps: int) -> tuple[int, ...]:
    """Return which time steps are drawn: all of them, or twelve that are evenly spread."""
    count = min(steps, _MAX_STEPS)
    return tuple(int(step) for step in np.linspace(0, steps - 1, count).round())


def map_strip(map_THW: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the shown time steps side by side, a column of NaN between two."""
    chosen = map_THW[list(shown_steps(len(map_THW)))].astype(np.float64)
    # Each block as four, so that the gap is a quarter of a block wide.
    fine = chosen.repeat(4, axis=1).repeat(4, axis=2)
    padded = np.pad(fine, ((0, 0), (0, 0), (0, 1)), constant_values=np.nan)
    return np.concatenate(list(padded), axis=1)[:, :-1]


def matrix_distance(clip: ClipMaps, first: str, second: str) -> float:
    """Return the mean squared difference of two modalities' correlations, in [0, 4]."""
    gap_DD = clip.correlations[first].astype(np.float64) - clip.correlations[second]
    return float(np.square(gap_DD).mean())


def _draw(seen: Sequence[_Seen], modalities: Sequence[str], with_matrices: bool) -> Canvas:
    """Return one half for each method: a strip per modality, below them the matrices."""
    count = len(modalities)
    _, height, width = seen[0].clip.maps[modalities[0]].shape
    steps = [len(shown_steps(len(one.clip.maps[m]))) for one in seen for m in modalities]
    step_in = min(_STEP_IN, _STRIP_IN / max(steps))
    strip_in = step_in * height / width
    matrix_in = min(_MATRIX_IN, (_HALF_IN - 0.1) / count - 0.1) if with_matrices else 0.0
    pitch_in = max(strip_in, _TWO_LINES_IN) + _GAP_IN
    total_in = _HEAD_IN + count * pitch_in
    total_in += _HEAD_IN + matrix_in + 0.05 if with_matrices else 0.0
    canvas = new_canvas(total_in)
    canvas.set_layout_engine("none")
    for half, (one, letter) in enumerate(zip(seen, "ab", strict=True)):
        left_in = 0.08 + half * (_HALF_IN + 0.08)
        title = f"({letter}) {one.method}"
        canvas.text(left_in / WIDTH_IN, 1 - 0.17 / total_in, title, size=8.5, weight="bold")
        for row, modality in enumerate(modalities):
            bottom_in = total_in - _HEAD_IN - row * pitch_in - (pitch_in - _GAP_IN + strip_in) / 2
            span_in = step_in * len(shown_steps(len(one.clip.maps[modality])))
            place = (left_in + _LABEL_IN, bottom_in, span_in, strip_in)
            _draw_map(add_axes_in(canvas, place), one.clip.maps[modality], modality)
        for column in range(count if with_matrices else 0):
            place = (left_in + column * (matrix_in + 0.1), 0.05, matrix_in, matrix_in)
            image = _draw_matrix(add_axes_in(canvas, place), one.clip, modalities[column])
    if with_matrices:
        bar_in = (WIDTH_IN - _BAR_IN + 0.05, 0.05, 0.09, matrix_in)
        canvas.colorbar(
            image, cax=add_axes_in(canvas, bar_in), label="correlation", ticks=(-1, 0, 1)
        )
    return canvas


def _draw_map(axes: Axes, map_THW: NDArray[np.floating], modality: str) -> None:
    strip = map_strip(map_THW)
    axes.imshow(strip, cmap=MAGNITUDE, aspect="auto")
    frameless(axes)
    name = clean(modality, 9)
    place: Any = {"xycoords": "axes fraction", "textcoords": "offset points", "ha": "right"}
    axes.annotate(name, (0, 0.5), (-5, 1), va="bottom", **place)
    scale = f"{np.nanmin(strip):.2g} to {np.nanmax(strip):.2g}"
    axes.annotate(scale, (0, 0.5), (-5, -1), va="top", size=7, color=GREY, **place)


def _draw_matrix(axes: Axes, clip: ClipMaps, modality: str) -> AxesImage:
    axes.set_title(
        f"{clean(modality, 9)}, {len(clip.correlations[modality])} blocks", size=7, pad=3
    )
    frameless(axes)
    # Hundreds of blocks are more than pixels: these are averaged rather than passed over.
    return axes.imshow(
        clip.correlations[modality], cmap=DIFFERENCE, vmin=-1, vmax=1, interpolation="auto"
    )
