"""How much a twin of NVGesture looks like the recordings: statistics of both, side by side.

``data/realism.json`` says what each statistic is and within which factors its median and its spread
over clips must agree; each was fixed before the comparison that it judges. A statistic without a
value in a clip (no depth, no colour) is NaN there, and the clip is left out.

Axis letters: T frame, H height, W width, C channel; P pair of successive frames.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mtut_bench.errors import ClipError
from mtut_bench.files import StrPath
from mtut_preprocess.convert.pool import run_parallel
from mtut_preprocess.datasets.adapter import RawClip
from mtut_preprocess.datasets.nvgesture import NvGesture
from mtut_preprocess.derive.flow import FARNEBACK

__all__ = [
    "HISTOGRAMS",
    "STATISTICS",
    "Agreement",
    "ClipFigures",
    "Comparison",
    "Spread",
    "Window",
    "compare_figures",
    "describe_window",
    "load_factors",
    "measure_clip",
    "measure_folder",
]

Bytes = NDArray[np.uint8]
Floats = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]
Progress = Callable[[int, int], None]

_DEPTH_ABOVE, _COLOUR_ABOVE = 20, 24
"""Lossy video leaves small values where nothing was written; those up to these are nothing."""

_CLIPPED = 250
_STILL_SHARE = 0.25
_SMOOTH_FRAMES = 5
_BLOCK_PX = 8
_NUM_BINS = 16


@dataclass(frozen=True)
class Window:
    """Frames of one clip, and what several statistics need of them.

    Attributes:
        rgb: (T, H, W, 3) uint8 of sk_wrapped.
        depth: (T, H, W) uint8 luma of sk_depth.
    """

    rgb: Bytes
    depth: Bytes

    @cached_property
    def mask(self) -> Mask:
        """(T, H, W), where there is depth."""
        return self.depth > _DEPTH_ABOVE

    @cached_property
    def luma(self) -> Bytes:
        """(T, H, W) of the colour."""
        return np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in self.rgb])

    @cached_property
    def coloured(self) -> Mask:
        """(T, H, W), where the wrapped picture is not black."""
        return self.luma > _COLOUR_ABOVE

    @cached_property
    def areas(self) -> NDArray[np.int64]:
        """(T,) pixels with depth."""
        return np.asarray(self.mask.sum(axis=(1, 2)), dtype=np.int64)

    @cached_property
    def pairs(self) -> list[int]:
        """Frames that have depth and whose successor has depth."""
        return [t for t, (a, b) in enumerate(pairwise(self.areas)) if a and b]

    @cached_property
    def still(self) -> list[int]:
        """The stillest quarter of ``pairs``: depth changes least there when seen coarsely."""
        coarse = np.stack([_shrink(frame) for frame in self.depth])
        change = {t: np.abs(coarse[t + 1] - coarse[t]).mean() for t in self.pairs}
        order = sorted(self.pairs, key=lambda t: (float(change[t]), t))
        return order[: math.ceil(_STILL_SHARE * len(order))]

    @cached_property
    def flow(self) -> Floats:
        """(N,) length of Farneback flow, pixels a frame, at every pixel with depth."""
        lengths = [
            np.linalg.norm(flow[self.mask[t]], axis=-1)
            for t, (before, after) in enumerate(pairwise(self.luma))
            for flow in [cv2.calcOpticalFlowFarneback(before, after, None, **FARNEBACK)]
        ]
        return np.concatenate([np.zeros(0, np.float32), *lengths])

    @cached_property
    def saturation(self) -> Floats:
        """(N,) HSV saturation of every coloured pixel, 0 to 1."""
        pixels = self.rgb[self.coloured].astype(np.float32)
        high, low = pixels.max(axis=-1), pixels.min(axis=-1)
        return np.asarray((high - low) / np.maximum(high, 1.0))


def _shrink(frame: Bytes) -> Floats:
    """Return means of blocks, in which single pixels and frayed outlines hardly show."""
    height, width = (max(side // _BLOCK_PX, 1) for side in frame.shape)
    size = (width, height)
    return np.asarray(cv2.resize(frame.astype(np.float32), size, interpolation=cv2.INTER_AREA))


def _mean(values: NDArray[Any] | Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else math.nan


def _percentile(values: NDArray[Any], share: float) -> float:
    return float(np.percentile(values, share)) if len(values) else math.nan


def depth_share(window: Window) -> float:
    """Return the share of pixels with depth."""
    return float(window.mask.mean())


def depth_low(window: Window) -> float:
    """Return the 5th percentile of depth values."""
    return _percentile(window.depth[window.mask], 5)


def depth_high(window: Window) -> float:
    """Return the 95th percentile of depth values."""
    return _percentile(window.depth[window.mask], 95)


def depth_flicker(window: Window) -> float:
    """Return the mean change of depth from frame to frame, far inside the mask.

    Far inside: of the pixels with depth in both frames the half that is farthest from the others.
    """
    changes = []
    for t in window.pairs:
        both = window.mask[t] & window.mask[t + 1]
        if both.any():
            framed = cv2.copyMakeBorder(both.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT)
            inside = cv2.distanceTransform(framed, cv2.DIST_L2, 5)[1:-1, 1:-1]
            inner = both & (inside >= np.median(inside[both]))
            changes.append(np.abs(_step(window.depth, t)[inner]).mean())
    return _mean(changes)


def depth_fray(window: Window) -> float:
    """Return the share of mask pixels in one of two successive frames alone, while still."""
    shares = []
    for t in window.still:
        before, after = window.mask[t], window.mask[t + 1]
        shares.append((before ^ after).sum() / (before | after).sum())
    return _mean(shares)


def colour_mean(window: Window) -> float:
    """Return the mean luma of coloured pixels."""
    return _mean(window.luma[window.coloured])


def colour_spread(window: Window) -> float:
    """Return the standard deviation of the luma of coloured pixels."""
    values = window.luma[window.coloured]
    return float(values.std()) if len(values) else math.nan


def colour_saturation(window: Window) -> float:
    """Return the mean HSV saturation of coloured pixels, 0 to 1."""
    return _mean(window.saturation)


def colour_clipped(window: Window) -> float:
    """Return the share of coloured pixels with luma of 250 or more."""
    return _mean(window.luma[window.coloured] >= _CLIPPED)


def colour_noise(window: Window) -> float:
    """Return the median change of luma from frame to frame of coloured pixels, while still.

    Whole numbers are spread over half a step to either side, so that the median is no whole number.
    """
    counts = np.zeros(256, dtype=np.int64)
    for t in window.still:
        both = window.coloured[t] & window.coloured[t + 1]
        counts += np.bincount(np.abs(_step(window.luma, t)[both]), minlength=256)
    if not counts.any():
        return math.nan
    upto, half = np.cumsum(counts), counts.sum() / 2
    value = int(np.searchsorted(upto, half))
    share = float((half - (upto[value] - counts[value])) / counts[value])
    return value - 0.5 + share if value else 0.5 * share


def _step(frames: Bytes, t: int) -> NDArray[np.int16]:
    return np.asarray(frames[t + 1].astype(np.int16) - frames[t])


def flow_mean(window: Window) -> float:
    """Return the mean length of optical flow where there is depth, pixels a frame."""
    return _mean(window.flow)


def flow_high(window: Window) -> float:
    """Return the 95th percentile of the length of optical flow, pixels a frame."""
    return _percentile(window.flow, 95)


def hand_size(window: Window) -> float:
    """Return the square root of the mask's area, pixels; mean over the frames that have depth."""
    return _mean(np.sqrt(window.areas[window.areas > 0]))


def stroke_length(window: Window) -> float:
    """Return the length of the path of the mask's centroid, pixels.

    Frames without depth are left out of the path; fewer than five with depth have none.
    """
    centroids = np.array([np.argwhere(frame).mean(axis=0) for frame in window.mask if frame.any()])
    if len(centroids) < _SMOOTH_FRAMES:
        return math.nan
    kernel = np.full(_SMOOTH_FRAMES, 1 / _SMOOTH_FRAMES)
    path = [np.convolve(along, kernel, mode="valid") for along in centroids.T]
    return float(np.hypot(*(np.diff(along) for along in path)).sum())


def blockiness(window: Window) -> float:
    """Return the mean luma step across borders of 8 x 8 blocks over that inside them.

    Steps count where both pixels are coloured; NaN where the inside has no step.
    """
    across: list[NDArray[np.int16]] = []
    within: list[NDArray[np.int16]] = []
    for luma, coloured in (
        (window.luma, window.coloured),
        (window.luma.swapaxes(1, 2), window.coloured.swapaxes(1, 2)),
    ):
        steps = np.abs(np.diff(luma.astype(np.int16), axis=2))
        both = coloured[:, :, 1:] & coloured[:, :, :-1]
        border = np.arange(1, luma.shape[2]) % _BLOCK_PX == 0
        across.append(steps[:, :, border][both[:, :, border]])
        within.append(steps[:, :, ~border][both[:, :, ~border]])
    inside = _mean(np.concatenate(within))
    return _mean(np.concatenate(across)) / inside if inside else math.nan


STATISTICS: Mapping[str, Callable[[Window], float]] = {
    function.__name__: function
    for function in (
        *(depth_share, depth_low, depth_high, depth_flicker, depth_fray),
        *(colour_mean, colour_spread, colour_saturation, colour_clipped, colour_noise),
        *(flow_mean, flow_high, hand_size, stroke_length, blockiness),
    )
}
"""Every statistic of ``data/realism.json``, in its order."""


def luma_histogram(window: Window) -> list[float]:
    """Return the shares of coloured pixels in 16 bins of luma; all 0 where there is none."""
    return _histogram(window.luma[window.coloured], 256.0)


def saturation_histogram(window: Window) -> list[float]:
    """Return the shares of coloured pixels in 16 bins of saturation; all 0 where there is none."""
    return _histogram(window.saturation, 1.0)


def _histogram(values: NDArray[Any], top: float) -> list[float]:
    counts = np.histogram(values, bins=_NUM_BINS, range=(0.0, top))[0]
    return [float(share) for share in counts / max(len(values), 1)]


HISTOGRAMS: Mapping[str, Callable[[Window], list[float]]] = {
    function.__name__: function for function in (luma_histogram, saturation_histogram)
}
"""Compared by total variation, without a factor."""


@dataclass(frozen=True)
class ClipFigures:
    """What was measured of one clip.

    Attributes:
        clip_id: whose.
        values: one per statistic; NaN where it has none.
        histograms: shares by name.
    """

    clip_id: str
    values: Mapping[str, float]
    histograms: Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Spread:
    """A statistic over clips.

    Attributes:
        median: NaN where no clip has a value.
        low: 10th percentile.
        high: 90th percentile.
        num_clips: that have a value.
    """

    median: float
    low: float
    high: float
    num_clips: int

    @property
    def width(self) -> float:
        """From the 10th to the 90th percentile."""
        return self.high - self.low

    @classmethod
    def over(cls, values: Sequence[float]) -> "Spread":
        """Return the spread of the values that are no NaN."""
        found = np.array([value for value in values if not math.isnan(value)])
        median, low, high = (_percentile(found, share) for share in (50, 10, 90))
        return cls(median, low, high, len(found))


@dataclass(frozen=True)
class Agreement:
    """One line of the comparison.

    Attributes:
        name: of the statistic.
        what: it is, in words.
        real: spread over the recordings.
        twin: spread over the twin's clips.
        factor: that the medians may differ by.
        spread_factor: that the distances from 10th to 90th percentile may differ by; None: any.
    """

    name: str
    what: str
    real: Spread
    twin: Spread
    factor: float
    spread_factor: float | None

    @property
    def ratio(self) -> float:
        """Synthetic median over that of recordings; 1 where both are 0, NaN where one lacks."""
        return _ratio(self.twin.median, self.real.median)

    @property
    def spread_ratio(self) -> float:
        """The same of the distances from 10th to 90th percentile."""
        return _ratio(self.twin.width, self.real.width)

    @property
    def within(self) -> bool:
        """Whether 1 / factor <= ratio <= factor; never where a median is missing."""
        return 1 / self.factor <= self.ratio <= self.factor

    @property
    def spread_within(self) -> bool | None:
        """Whether the same holds of the spreads; None where nothing is asked of them."""
        if self.spread_factor is None:
            return None
        return 1 / self.spread_factor <= self.spread_ratio <= self.spread_factor


def _ratio(twin: float, real: float) -> float:
    if twin == real:
        return 1.0
    return twin / real if real else math.inf


@dataclass(frozen=True)
class Comparison:
    """A twin beside recordings.

    Attributes:
        lines: one per statistic, in the order of ``STATISTICS``.
        distances: total variation of mean histograms by name, 0 (alike) to 1.
        real: the recordings, in words.
        twin: the twin, in words.
    """

    lines: tuple[Agreement, ...]
    distances: Mapping[str, float]
    real: str
    twin: str

    def to_json(self) -> dict[str, Any]:
        """Return it ready for JSON; what is no finite number is null."""
        lines = [
            {
                "name": line.name,
                "what": line.what,
                "real": _finite(vars(line.real)),
                "twin": _finite(vars(line.twin)),
                "ratio": line.ratio if math.isfinite(line.ratio) else None,
                "factor": line.factor,
                "within": line.within,
                "spread_ratio": line.spread_ratio if math.isfinite(line.spread_ratio) else None,
                "spread_factor": line.spread_factor,
                "spread_within": line.spread_within,
            }
            for line in self.lines
        ]
        distances = _finite(self.distances)
        return {"real": self.real, "twin": self.twin, "statistics": lines, "distances": distances}


def _finite(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def load_factors() -> dict[str, dict[str, Any]]:
    """Return 'factor', 'spread_factor' and 'what' by statistic, as they were fixed beforehand."""
    text = resources.files("mtut_preprocess").joinpath("data", "realism.json").read_text("utf-8")
    statistics: dict[str, dict[str, Any]] = json.loads(text)["statistics"]
    return statistics


def describe_window(window: Window) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Return every statistic and every histogram of a window, by name."""
    values = {name: function(window) for name, function in STATISTICS.items()}
    return values, {name: function(window) for name, function in HISTOGRAMS.items()}


def measure_clip(clip: RawClip) -> ClipFigures:
    """Return the figures of one clip.

    Raises:
        ClipError: a file cannot be read, or colour and depth differ in size.
    """
    # As in prepare: one process per core.
    cv2.setNumThreads(1)
    rgb, depth = (clip.sources[modality].read() for modality in ("rgb", "depth"))
    if rgb.shape[:3] != depth.shape[:3]:
        raise ClipError(
            f"{clip.row.clip_id}: colour is {rgb.shape[2]}x{rgb.shape[1]},"
            f" depth {depth.shape[2]}x{depth.shape[1]}",
            "Compare recordings whose sk_wrapped and sk_depth are of one size.",
        )
    values, histograms = describe_window(Window(rgb, depth[..., 0]))
    return ClipFigures(clip.row.clip_id, values, histograms)


def measure_folder(
    root: StrPath, *, workers: int = 1, progress: Progress | None = None
) -> list[ClipFigures]:
    """Return the figures of every clip of a raw folder in NVGesture's layout, in its order.

    Args:
        root: holds the two lists.
        workers: number of processes; changes no figure.
        progress: called with (clips done, clips in all).

    Raises:
        DatasetError: the folder or one of its tables is missing or malformed.
        ClipError: a file cannot be read.
    """
    clips = NvGesture(root, "sk_wrapped").read()[1]
    found: dict[str, ClipFigures] = {}
    with closing(run_parallel(measure_clip, clips, workers)) as results:
        for clip, figures in results:
            found[clip.row.clip_id] = figures
            if progress:
                progress(len(found), len(clips))
    return [found[clip.row.clip_id] for clip in clips]


def compare_figures(
    real: Sequence[ClipFigures],
    twin: Sequence[ClipFigures],
    *,
    titles: tuple[str, str] = ("real", "twin"),
) -> Comparison:
    """Return every statistic of two sets of clips side by side.

    Args:
        real: of the recordings.
        twin: of the twin's clips.
        titles: what both are, in words.
    """
    fixed = load_factors()
    lines = []
    for name in STATISTICS:
        beside = [Spread.over([f.values[name] for f in clips]) for clips in (real, twin)]
        asked = fixed[name]
        factors = (asked["factor"], asked["spread_factor"])
        lines.append(Agreement(name, asked["what"], beside[0], beside[1], *factors))
    distances = {name: _distance(name, real, twin) for name in HISTOGRAMS}
    return Comparison(tuple(lines), distances, *titles)


def _distance(name: str, real: Sequence[ClipFigures], twin: Sequence[ClipFigures]) -> float:
    """Return the total variation of two mean histograms; clips without colour are left out."""
    means = []
    for clips in (real, twin):
        filled = [figures.histograms[name] for figures in clips if any(figures.histograms[name])]
        if not filled:
            return math.nan
        means.append(np.mean(filled, axis=0))
    return float(0.5 * np.abs(means[0] - means[1]).sum())
