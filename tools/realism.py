"""How far synthetic recordings resemble real ones, and whether shortcuts tell their classes.

`compare` puts statistics of two raw folders in NVGesture's layout side by side. `realism.json` says
what each statistic is and within which factors its median and its spread over clips must agree;
each factor was fixed before the comparison that it judges. `probes` measures what gives a class
away without its motion (`probes.py`).

Axis letters: T frame, H height, W width, C channel.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import cv2
import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mtut_bench.cli.finding import find_dataset
from mtut_bench.cli.options import WorkersOption, cores
from mtut_bench.cli.printing import show_error
from mtut_bench.errors import ClipError, MtutBenchError
from mtut_bench.files import StrPath
from mtut_bench.progress import Reporter
from mtut_preprocess import RawChoice
from mtut_preprocess.convert.pool import run_parallel
from mtut_preprocess.datasets.adapter import RawClip
from mtut_preprocess.datasets.nvgesture import NvGesture
from mtut_preprocess.derive.flow import FARNEBACK
from probes import PROBES, run_probes

Bytes = NDArray[np.uint8]
Floats = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]
Figures = dict[str, NDArray[np.float64]]
"""Of one clip: a number per statistic, NaN where it has none, and shares per histogram."""

FACTORS: dict[str, dict[str, Any]] = json.loads(
    Path(__file__).with_suffix(".json").read_text("utf-8")
)["statistics"]

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


def _step(frames: Bytes, t: int) -> NDArray[np.int16]:
    return np.asarray(frames[t + 1].astype(np.int16) - frames[t])


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
    """Return the share of mask pixels in only one of two successive frames, while still."""
    shares = []
    for t in window.still:
        before, after = window.mask[t], window.mask[t + 1]
        shares.append((before ^ after).sum() / (before | after).sum())
    return _mean(shares)


def colour_spread(window: Window) -> float:
    """Return the standard deviation of the luma of coloured pixels."""
    values = window.luma[window.coloured]
    return float(values.std()) if len(values) else math.nan


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
    "depth_share": lambda window: float(window.mask.mean()),
    "depth_low": lambda window: _percentile(window.depth[window.mask], 5),
    "depth_high": lambda window: _percentile(window.depth[window.mask], 95),
    "depth_flicker": depth_flicker,
    "depth_fray": depth_fray,
    "colour_mean": lambda window: _mean(window.luma[window.coloured]),
    "colour_spread": colour_spread,
    "colour_saturation": lambda window: _mean(window.saturation),
    "colour_clipped": lambda window: _mean(window.luma[window.coloured] >= _CLIPPED),
    "colour_noise": colour_noise,
    "flow_mean": lambda window: _mean(window.flow),
    "flow_high": lambda window: _percentile(window.flow, 95),
    "hand_size": lambda window: _mean(np.sqrt(window.areas[window.areas > 0])),
    "stroke_length": stroke_length,
    "blockiness": blockiness,
}
"""Every statistic of ``realism.json``, in its order."""


def _histogram(values: NDArray[Any], top: float) -> Floats:
    """Return the shares in 16 bins; all 0 where there is no value."""
    counts = np.histogram(values, bins=_NUM_BINS, range=(0.0, top))[0]
    return np.asarray(counts / max(len(values), 1))


HISTOGRAMS: Mapping[str, Callable[[Window], Floats]] = {
    "luma_histogram": lambda window: _histogram(window.luma[window.coloured], 256.0),
    "saturation_histogram": lambda window: _histogram(window.saturation, 1.0),
}
"""Of coloured pixels; compared by total variation, without a factor."""


def measure_clip(clip: RawClip) -> Figures:
    """Return the statistics and histograms of one clip by name.

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
    window = Window(rgb, depth[..., 0])
    measured = {**STATISTICS, **HISTOGRAMS}
    return {name: np.asarray(function(window)) for name, function in measured.items()}


def measure_folder(
    root: StrPath, *, workers: int = 1, progress: Callable[[int, int], None] | None = None
) -> list[Figures]:
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
    found: dict[str, Figures] = {}
    with closing(run_parallel(measure_clip, clips, workers)) as results:
        for clip, figures in results:
            found[clip.row.clip_id] = figures
            if progress:
                progress(len(found), len(clips))
    return [found[clip.row.clip_id] for clip in clips]


class Spread(NamedTuple):
    """Median, 10th and 90th percentile over the clips that have a value; NaN where none has."""

    median: float
    low: float
    high: float

    @classmethod
    def over(cls, values: Sequence[NDArray[np.float64]]) -> "Spread":
        """Return the spread of the values that are not NaN."""
        found = np.array([value for value in values if not np.isnan(value)])
        return cls(*(_percentile(found, share) for share in (50, 10, 90)))

    def __str__(self) -> str:
        low, high = (f"{v:.0f}" if v >= 10 else f"{v:.2g}" for v in (self.low, self.high))
        return f"{self.median:.3g} [{low}..{high}]"


class Agreement(NamedTuple):
    """Synthetic over real: a ratio and the factor within which it must lie (None: any)."""

    ratio: float
    factor: float | None

    @classmethod
    def of(cls, synthetic: float, real: float, factor: float | None) -> "Agreement":
        """Return the agreement; the ratio is 1 where both are 0, and NaN where one is missing."""
        if synthetic == real:
            return cls(1.0, factor)
        return cls(synthetic / real if real else math.inf, factor)

    @property
    def within(self) -> bool:
        """Whether 1 / factor <= ratio <= factor; never where a value is missing."""
        return self.factor is None or 1 / self.factor <= self.ratio <= self.factor

    def __str__(self) -> str:
        if self.factor is None:
            return ""
        return f"{self.ratio:.2f} ({self.factor:g}) {'within' if self.within else 'outside'}"


class Line(NamedTuple):
    """One statistic of both sides; the spreads compare the distances of the 10th to 90th."""

    real: Spread
    synthetic: Spread
    medians: Agreement
    spreads: Agreement


def compare_figures(real: Sequence[Figures], synthetic: Sequence[Figures]) -> dict[str, Line]:
    """Return every statistic of two sets of clips side by side."""
    lines = {}
    for name in STATISTICS:
        a, b = (Spread.over([clip[name] for clip in clips]) for clips in (real, synthetic))
        medians = Agreement.of(b.median, a.median, FACTORS[name]["factor"])
        spreads = Agreement.of(b.high - b.low, a.high - a.low, FACTORS[name]["spread_factor"])
        lines[name] = Line(a, b, medians, spreads)
    return lines


def distance(name: str, real: Sequence[Figures], synthetic: Sequence[Figures]) -> float:
    """Return the total variation, 0 to 1, of two mean histograms; clips without colour are out."""
    means = []
    for clips in (real, synthetic):
        filled = [figures[name] for figures in clips if figures[name].any()]
        if not filled:
            return math.nan
        means.append(np.mean(filled, axis=0))
    return float(0.5 * np.abs(means[0] - means[1]).sum())


app = typer.Typer(help=__doc__.split("\n\n")[0] if __doc__ else "", add_completion=False)
console = Console()


@app.command()
def compare(
    real: Annotated[Path, typer.Argument(help="Raw folder of recordings, with sk_wrapped.avi.")],
    synthetic: Annotated[
        Path, typer.Argument(help="Raw folder of `mtut-bench synth nvgesture-synthetic`.")
    ],
    workers: WorkersOption = None,
) -> None:
    """How far nvgesture-synthetic resembles recordings, statistic by statistic."""
    figures = []
    for folder in (real, synthetic):
        with Reporter(console).ticker(f"measure {folder}", unit="clips") as ticker:
            figures.append(measure_folder(folder, workers=cores(workers), progress=ticker))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("", "real [10..90 %]", "synthetic [10..90 %]", "medians", "spreads"):
        # On a narrow terminal only the long cells break.
        table.add_column(title, justify="right" if title else "left", no_wrap="[" not in title)
    for name, line in compare_figures(*figures).items():
        table.add_row(name, *(escape(str(cell)) for cell in line))
    console.print(table)
    for name in HISTOGRAMS:
        apart = distance(name, *figures)
        console.print(f"{name}: total variation {apart:.2f} (0 alike, 1 nothing in common)")
    console.print(
        "synthetic / real of medians and of 10..90 % spreads; in brackets the factor asked"
    )
    for title, folder, clips in zip(("real", "synthetic"), (real, synthetic), figures, strict=True):
        console.print(f"{title}: {len(clips)} clips of {folder}", soft_wrap=True)


@app.command()
def probes(
    dataset: Annotated[str, typer.Argument(help="Whose layout the folder has.")],
    raw: Annotated[Path, typer.Argument(help="Raw folder.")],
    workers: WorkersOption = None,
) -> None:
    """What tells the classes apart without their motion: 1-nearest neighbours of other persons."""
    opened = find_dataset(dataset).open_raw(RawChoice(raw))
    with Reporter(console).ticker("probe", unit="clips") as ticker:
        found = run_probes(opened, workers=cores(workers), progress=ticker)
    table = Table("1-NN on", "right", "95 % sure", "1/K", "shuffled", "asked", show_edge=False)
    for probe in found:
        (low, high), (least, most) = probe.interval, probe.chance_range
        table.add_row(
            probe.name,
            f"{probe.num_correct}/{probe.num_clips} {probe.accuracy:.1%}",
            f"{100 * low:.1f}-{high:.1%}",
            f"{1 / probe.num_classes:.1%}",
            f"{100 * least:.1f}-{most:.1%}",
            PROBES[probe.name],
        )
    console.print(table)


if __name__ == "__main__":
    try:
        app()
    except MtutBenchError as error:
        show_error(error)
        raise SystemExit(error.exit_code) from None
