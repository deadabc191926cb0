"""Figures 2 and 5 of the paper: frames of a few fixed clips in every modality of a store."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from numpy.typing import NDArray

from mtut_bench.contract.types import behaves_like, name_recordings, sort_modalities
from mtut_bench.progress import counted
from mtut_bench.report.figures.canvas import (
    COLOURS,
    GREY,
    WIDTH_IN,
    Figure,
    add_axes_in,
    clean,
    finish,
    frameless,
    new_canvas,
)
from mtut_bench.report.figures.groups import Group
from mtut_bench.report.figures.maps import ClipMaps, read_maps
from mtut_bench.runs.finished import FinishedRun
from mtut_bench.store.format import decode_flow

__all__ = ["flow_arrows", "join", "strips_figure"]

_LABEL_IN = 0.62
_HEAD_IN = 0.27
_FOOT_IN = 0.26
_GAP_IN = 0.03
_GAP_PX = 3
_ARROW_STEP_PX = 16
# Slower than this share of the fastest motion of a clip is drawn as still.
_STILL = 0.08
_STILL_GREY = 245.0
# A part of the caption.
_FLOW = (
    " Flow: arrows point where the picture moves, darker is faster, scaled by the clip's fastest "
    "motion."
)
Arrows = NDArray[np.float64]


def strips_figure(groups: Sequence[Group], number: int) -> Figure | str:
    """Return the sample strips of one store, or why there are none.

    Args:
        groups: all of one store.
        number: for the figure's name.

    Raises:
        RunError: a damaged ``maps.npz``.
    """
    found = _first_with_maps(groups)
    row = groups[0].row
    if found is None:
        return f"No sample strips of {row['store']}: no run has maps.npz."
    run, clips = found
    modalities = sort_modalities(run.scores.modalities)
    canvas = _draw(run, clips, modalities, groups[0])
    names = ", ".join(modalities)
    kind = name_recordings(row["origin"])
    flow = any(behaves_like(m) == "flow" for m in modalities)
    num_frames = clips[0].thumbs[modalities[0]].shape[0]
    return finish(
        canvas,
        f"strips-{number}",
        title=f"Sample strips of {row['store']} (as figures 2 and 5)",
        caption=(
            f"{counted(num_frames, 'frame')}, evenly spread, of {counted(len(clips), 'clip')} "
            f"in every modality ({names}); {kind} ({row['dataset']}, store "
            f"{row['store']}). The clips are fixed by their place in a fold's test side (first, "
            f"middle, last), never by a score.{_FLOW if flow else ''}"
        ),
        alt=(
            f"Rows of small pictures from {counted(len(clips), 'clip')} of {kind}, one "
            f"row for each of {names}, time from left to right."
        ),
    )


def _first_with_maps(groups: Sequence[Group]) -> tuple[FinishedRun, tuple[ClipMaps, ...]] | None:
    """Return the first run with maps, of the most modalities, and its clips."""
    for group in sorted(groups, key=lambda group: -len(group.modalities)):
        for run in (run for config in group.configs for run in config.runs):
            if clips := read_maps(run):
                return run, clips
    return None


def _draw(
    run: FinishedRun, clips: Sequence[ClipMaps], modalities: Sequence[str], group: Group
) -> Canvas:
    num_frames, height, width, _ = clips[0].thumbs[modalities[0]].shape
    strip_in = WIDTH_IN - _LABEL_IN - 0.08
    row_in = strip_in * height / (num_frames * width + (num_frames - 1) * _GAP_PX)
    total_in = len(clips) * (_HEAD_IN + len(modalities) * (row_in + _GAP_IN)) + _FOOT_IN
    canvas = new_canvas(total_in)
    canvas.set_layout_engine("none")
    top_in = total_in
    for clip in clips:
        top_in -= _HEAD_IN
        canvas.text(0.012, (top_in + 0.06) / total_in, _head(run, clip, group), weight="bold")
        for modality in modalities:
            top_in -= row_in
            axes = add_axes_in(canvas, (_LABEL_IN, top_in, strip_in, row_in))
            _draw_strip(axes, clip.thumbs[modality], modality)
            axes.set_ylabel(clean(modality, 9), rotation=0, ha="right", va="center", labelpad=5)
            top_in -= _GAP_IN
    _draw_times(canvas, num_frames, strip_in, top_in / total_in)
    return canvas


def _head(run: FinishedRun, clip: ClipMaps, group: Group) -> str:
    label = clean(group.classes[run.scores.labels_N[clip.index]])
    subject = clean(run.subjects[clip.index], 16)
    frames = counted(run.num_frames[clip.index], "frame")
    return f"{clean(clip.clip_id, 36)}: {label}, {group.row['subject_unit']} {subject}, {frames}"


def _draw_times(canvas: Canvas, num_frames: int, strip_in: float, bottom: float) -> None:
    for n in range(num_frames):
        x = (_LABEL_IN + strip_in * (n + 0.5) / num_frames) / WIDTH_IN
        share = n / max(num_frames - 1, 1)
        text = f"{100.0 * share:.0f} %" + (" of the clip" if n == 0 else "")
        canvas.text(x, bottom, text, size=7, color=GREY, ha="center", va="top")


def _draw_strip(axes: Axes, thumbs_SHWC: NDArray[np.uint8], modality: str) -> None:
    frameless(axes)
    kind = behaves_like(modality)
    if kind == "rgb":
        axes.imshow(join(thumbs_SHWC), aspect="auto")
    elif kind == "depth":
        axes.imshow(join(np.repeat(thumbs_SHWC, 3, axis=3)), aspect="auto")
    else:
        shade_SHW3, arrows_A4 = flow_arrows(thumbs_SHWC)
        axes.imshow(join(shade_SHW3), aspect="auto")
        axes.quiver(
            *arrows_A4.T, color=COLOURS[0], angles="xy", scale_units="xy", scale=1.0, width=0.0016
        )


def join(pictures_SHWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return pictures, uint8, (S, H, W, 3), side by side with white gaps of three pixels."""
    height = pictures_SHWC.shape[1]
    gap = np.full((height, _GAP_PX, 3), 255, np.uint8)
    parts = [part for picture in pictures_SHWC for part in (gap, picture)]
    return np.concatenate(parts[1:], axis=1)


def flow_arrows(thumbs_SHWC: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], Arrows]:
    """Return a grey picture of the speed, and arrows where something moves.

    Args:
        thumbs_SHWC: coded flow, uint8, (S, H, W, 2).

    Returns:
        The picture, uint8, (S, H, W, 3), pale where nothing moves; the arrows as (x, y, dx, dy),
        float64, (A, 4), in pixels of the joined picture, y downwards; the longest arrow possible
        spans the distance between two.
    """
    flow_SHW2 = decode_flow(thumbs_SHWC)
    speed_SHW = np.hypot(flow_SHW2[..., 0], flow_SHW2[..., 1])
    # Where all is slower than a pixel per frame there is noise and no motion to be blown up.
    scale = max(float(speed_SHW.max()), 1.0)
    shade_SHW = np.rint(_STILL_GREY - 120.0 * speed_SHW / scale).astype(np.uint8)
    height, width = speed_SHW.shape[1:]
    half = _ARROW_STEP_PX // 2
    where = np.ix_(
        range(len(flow_SHW2)),
        range(half, height, _ARROW_STEP_PX),
        range(half, width, _ARROW_STEP_PX),
    )
    s, y, x = np.broadcast_arrays(*where)
    moving = speed_SHW[where] > _STILL * scale
    vectors = flow_SHW2[where][moving] * (_ARROW_STEP_PX / scale)
    x_joined = (x + s * (width + _GAP_PX))[moving].astype(np.float64)
    shade_SHW3 = np.repeat(shade_SHW[..., None], 3, axis=3)
    arrows_A4 = np.column_stack([x_joined, y[moving], vectors]).astype(np.float64)
    return shade_SHW3, arrows_A4
