"""Figure 6 of the paper: what the last feature map looks like alone and with another method."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from numpy.typing import NDArray

from mtut_bench.report.figure import Figure
from mtut_bench.report.figures.canvas import (
    DIFFERENCE,
    GREY,
    MAGNITUDE,
    blank_ticks,
    clean,
    finish,
    new_canvas,
)
from mtut_bench.report.figures.groups import Arm, Group, describe, number_of, pair
from mtut_bench.report.figures.kept import KeptClip, read_kept
from mtut_bench.report.finished import FinishedRun
from mtut_bench.types import sort_modalities

__all__ = ["features_figure", "map_strip", "matrix_distance", "shown_steps"]

_MAX_STEPS = 12
_ROW_IN = 0.5


@dataclass(frozen=True, eq=False)
class _Seen:
    """One clip as one method's networks see it."""

    arm: Arm
    run: FinishedRun
    clip: KeptClip


def features_figure(group: Group) -> Figure | str:
    """Return feature maps and correlations of one fixed clip by two methods, or why there are none.

    The clip is the first fixed one of the first fold and seed that both methods have done.

    Args:
        group: whose methods.

    Raises:
        RunError: a damaged ``maps.npz``.
    """
    two = pair(group.arms)
    if two is None:
        return f"No feature maps (group {group.number}): they compare two methods."
    seen = _same_clip(*two)
    if seen is None:
        return f"No feature maps (group {group.number}): no two runs kept maps of one clip."
    modalities = sort_modalities(group.modalities)
    clip = seen[0].clip
    with_matrices = all(set(one.clip.correlations) == set(modalities) for one in seen)
    maps_in = 0.55 + 2 * (0.28 + len(modalities) * _ROW_IN)
    matrices_in = (2.1 if len(modalities) < 3 else 4.3) if with_matrices else 0.0
    canvas = new_canvas(maps_in + matrices_in)
    if with_matrices:
        top, bottom = canvas.subfigures(2, 1, height_ratios=(maps_in, matrices_in))
        _draw_matrices(bottom, seen, modalities)
    else:
        top = canvas.subfigures(1, 1)
    _draw_maps(top, seen, modalities)
    return finish(
        canvas,
        f"feature-maps-{group.number}",
        title=f"Last feature maps: {seen[0].arm.label} and {seen[1].arm.label} (as figure 6)",
        caption=_caption(group, seen, modalities, with_matrices),
        alt=(
            f"Heat maps over time of the channel mean of the last feature map for clip "
            f"{clean(clip.clip_id, 40)}, one row for each of {', '.join(modalities)}: above by "
            f"{seen[0].arm.label}, below by {seen[1].arm.label}"
            + ("; then the correlation matrices of the blocks." if with_matrices else ".")
        ),
    )


def _same_clip(first: Arm, second: Arm) -> tuple[_Seen, _Seen] | None:
    """Return the first fixed clip of the first pair of runs that kept maps, seen by both."""
    for run_a, run_b in zip(first.runs, second.runs, strict=True):
        kept_a, kept_b = read_kept(run_a), read_kept(run_b)
        if kept_a and kept_b and kept_a[0].clip_id == kept_b[0].clip_id:
            return _Seen(first, run_a, kept_a[0]), _Seen(second, run_b, kept_b[0])
    return None


def _caption(
    group: Group, seen: Sequence[_Seen], modalities: Sequence[str], with_matrices: bool
) -> str:
    one = seen[0]
    label = clean(group.classes[one.run.scores.labels_N[one.clip.index]])
    identity = one.run.manifest.content["identity"]
    steps, height, width = one.clip.maps[modalities[0]].shape
    shown = len(shown_steps(steps))
    text = (
        f"Clip {clean(one.clip.clip_id, 40)} ({label}), the first fixed test clip of fold "
        f"{identity['fold']}, seed {identity['seed']}, never chosen by a score. Channel mean of "
        f"the last feature map ({number_of(steps, 'time step')} of {height} x {width} blocks"
        + ("" if shown == steps else f", {shown} of them shown")
        + f"): (a) {seen[0].arm.label}, (b) {seen[1].arm.label}; each row has its own scale, "
        "whose ends are printed beside it. In the paper's figure 6 the panels and the text agree "
        "and the caption swaps (a) and (b)."
    )
    if with_matrices:
        text += " Below: correlation of every pair of blocks over the channels (equation 1)."
        first = modalities[0]
        for other in modalities[1:]:
            words = ", ".join(
                f"{matrix_distance(s.clip, first, other):.3f} by {s.arm.label}" for s in seen
            )
            text += f" Mean squared difference of {first} and {other}: {words}."
    return f"{text} {describe(group)}"


def shown_steps(steps: int) -> tuple[int, ...]:
    """Return which time steps are drawn: all of them, or twelve that are evenly spread.

    Args:
        steps: of the map.
    """
    count = min(steps, _MAX_STEPS)
    return tuple(int(step) for step in np.linspace(0, steps - 1, count).round())


def map_strip(map_THW: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the shown time steps side by side, a column of NaN between two.

    Args:
        map_THW: channel mean, float, (T, H, W).
    """
    chosen = map_THW[list(shown_steps(len(map_THW)))].astype(np.float64)
    # Each block as four, so that the gap is a quarter of a block wide.
    fine = chosen.repeat(4, axis=1).repeat(4, axis=2)
    padded = np.pad(fine, ((0, 0), (0, 0), (0, 1)), constant_values=np.nan)
    return np.concatenate(list(padded), axis=1)[:, :-1]


def matrix_distance(clip: KeptClip, first: str, second: str) -> float:
    """Return the mean squared difference of two modalities' correlations, in [0, 4].

    Args:
        clip: with correlations of both.
        first: a modality.
        second: another one.
    """
    gap_DD = clip.correlations[first].astype(np.float64) - clip.correlations[second]
    return float(np.square(gap_DD).mean())


def _draw_maps(top: SubFigure, seen: Sequence[_Seen], modalities: Sequence[str]) -> None:
    for part, one, letter in zip(top.subfigures(2, 1), seen, "ab", strict=True):
        part.suptitle(f"({letter}) {one.arm.label}", x=0.01, ha="left", size=8.5, weight="bold")
        panels = part.subplots(len(modalities), 1, squeeze=False)[:, 0]
        for axes, modality in zip(panels, modalities, strict=True):
            strip = map_strip(one.clip.maps[modality])
            axes.imshow(strip, cmap=MAGNITUDE)
            _frameless(axes)
            axes.set_ylabel(clean(modality, 9), rotation=0, ha="right", va="center")
            low, high = np.nanmin(strip), np.nanmax(strip)
            axes.text(
                1.01,
                0.5,
                f"{low:.3g} to\n{high:.3g}",
                transform=axes.transAxes,
                va="center",
                size=7,
                color=GREY,
            )


def _draw_matrices(bottom: SubFigure, seen: Sequence[_Seen], modalities: Sequence[str]) -> None:
    shape = (1, 2 * len(modalities)) if len(modalities) < 3 else (2, len(modalities))
    panels = bottom.subplots(*shape, squeeze=False)
    shown = [(one, modality) for one in seen for modality in modalities]
    for axes, (one, modality) in zip(panels.flat, shown, strict=True):
        image = axes.imshow(one.clip.correlations[modality], cmap=DIFFERENCE, vmin=-1, vmax=1)
        _frameless(axes)
        axes.set_title(f"{one.arm.label}, {clean(modality, 9)}", size=8)
    bottom.colorbar(image, ax=panels, label="correlation", shrink=0.85, ticks=(-1, 0, 1))


def _frameless(axes: Axes) -> None:
    blank_ticks(axes)
    for spine in axes.spines.values():
        spine.set_visible(False)
