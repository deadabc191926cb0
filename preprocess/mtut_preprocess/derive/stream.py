"""Any recording as a stream of the frames that a store would keep, with few of them in memory.

A recording of a dataset gives the very frames of its store. Others are brought to the store's
shape and rate, and each such step is reported: pictures of another aspect ratio are cropped to the
middle, recordings of another frame rate are read at the store's by nearest time, and pictures that
a telephone marked as turned are turned.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from mtut_bench.contract.types import Frame, behaves_like
from mtut_bench.errors import ClipError
from mtut_bench.files import StrPath
from mtut_preprocess.derive.flow import FlowAlgorithm
from mtut_preprocess.derive.resize import fits_shape, largest_box, resize_frame
from mtut_preprocess.reading.decode import (
    MAX_OVERSHOOT_FRAMES,
    check_bits,
    decode_frames,
    quarter_turns,
    read_timing,
    same_rate,
    stated_frames,
    to_array,
)
from mtut_preprocess.reading.frames import Plane
from mtut_preprocess.reading.images import IMAGE_SUFFIXES, find_series, is_image_pattern, read_image

__all__ = ["Wanted", "stream_frames"]

Say = Callable[[str], None]

_FLOWS_AT_ONCE = 8
"""As many frame pairs as RAFT takes at once: a stream then rounds as a whole clip does."""

_LOOKED_AT = range(0, 64, 8)
"""Frames that are looked at to tell colour from grey."""

_GREY_PX = 8
"""Largest difference between the channels of a grey pixel, after compression."""

_COLOURED_PX, _COLOURED_SHARE = 32, 0.02
"""A picture is coloured where this share of its pixels differs so much between channels."""


@dataclass(frozen=True)
class Wanted:
    """What a recording must become.

    Attributes:
        modality: name of a modality of the store.
        size: (height, width) of the store's frames, pixels.
        fps: frames per second of the store.
        flow: where the modality is optical flow, how it is computed from colour.
        first, stop: half-open range of frames; those of a video count from 0, images by the number
            in their names; None: from the beginning, to the end.
        rate: frames per second of the recording, where its file is wrong or says nothing.
    """

    modality: str
    size: tuple[int, int]
    fps: float
    flow: FlowAlgorithm | None = None
    first: int | None = None
    stop: int | None = None
    rate: float | None = None

    @property
    def plane(self) -> Plane:
        """How a frame becomes an array; flow is computed from colour."""
        return "luma" if behaves_like(self.modality) == "depth" else "rgb"


class _Native(NamedTuple):
    """A frame that is not converted yet."""

    number: int
    time_s: float
    load: Callable[[Plane], NDArray[np.uint8]]


_Fitted = tuple[Frame, Callable[[Plane], NDArray[np.uint8]]]
"""A frame at the store's size, and how to load it as recorded."""


def stream_frames(path: StrPath, wanted: Wanted, say: Say) -> Iterator[Frame]:
    """Yield the frames of a recording as its store would keep them.

    Args:
        path: video file, folder of numbered images, or their pattern (``frames/%06d.jpg``).
        wanted: what they must become.
        say: called with a sentence on each thing that had to be done.

    Raises:
        ClipError: nothing is there, it cannot be read, is damaged, has no frame, ends before the
            range, changes its frame size, or plainly shows another modality. What was yielded
            before is sound.
    """
    path = Path(path)
    is_images = path.is_dir() or is_image_pattern(path.name)
    if not is_images and not path.exists():
        raise ClipError(f"{path} does not exist", "Correct the path.")
    if not is_images and path.suffix.lower() in IMAGE_SUFFIXES:
        raise ClipError(f"{path} is a single image", "Give the folder of all frames, or a video.")
    frames = _images(path, wanted) if is_images else _video(path, wanted, say)
    fitted = _check_kind(_fit(frames, path, wanted, say), path, wanted)
    return _flow(fitted, wanted.flow) if wanted.flow else fitted


def _images(path: Path, wanted: Wanted) -> Iterator[_Native]:
    series = find_series(path)
    first = series.numbers[0] if wanted.first is None else wanted.first
    stop = series.numbers[-1] + 1 if wanted.stop is None else wanted.stop
    known = {number for number in series.numbers if first <= number < stop}
    if len(known) < stop - first:
        missing = next(number for number in range(first, stop) if number not in known)
        raise ClipError(
            f"{stop - first - len(known)} of {stop - first} images are missing in"
            f" {series.pattern.parent}, the first is {series.pattern.name % missing}",
            f"Copy them, or give a range without them; there are {series.numbers[0]} to"
            f" {series.numbers[-1]}.",
        )
    rate = wanted.rate or wanted.fps
    frames = (
        _Native(n, n / rate, partial(read_image, series.pattern.with_name(series.pattern.name % n)))
        for n in range(first, stop)
    )
    return frames if same_rate(rate, wanted.fps) else _resample(frames, wanted.fps, rate)


def _video(path: Path, wanted: Wanted, say: Say) -> Iterator[_Native]:
    timing = read_timing(path)
    rate = wanted.rate or timing.rate
    timed = timing.has_times and wanted.rate is None
    frames = _range(_decoded(path, rate or wanted.fps, timed, say), path, wanted, say)
    if rate is None:
        say(f"it states no frame rate; {wanted.fps:g} a second are assumed")
        return frames
    if same_rate(rate, wanted.fps):
        if timed and timing.is_uneven:
            say(
                f"its frames come unevenly, up to {timing.drift_s:.2g} s from {rate:.4g} a second:"
                " each is taken, as in a store"
            )
        return frames
    say(
        f"{rate:.4g} frames a second, the store has {wanted.fps:.4g}: read at the store's rate by"
        f" nearest time (--fps {wanted.fps:.6g} takes each frame)"
    )
    return _resample(frames, wanted.fps, rate)


def _decoded(path: Path, rate: float, timed: bool, say: Say) -> Iterator[_Native]:
    """Yield the frames of a video, unconverted; by their own times or at a rate."""
    reformatter = VideoReformatter()
    start: float | None = None
    latest = 0.0
    for number, frame in enumerate(decode_frames(path)):
        if not number and quarter_turns(frame):
            say(f"marked as turned: shown turned left by {90 * quarter_turns(frame)} degrees")
        time_s = number / rate
        if timed and frame.time is not None:
            start = frame.time if start is None else start
            time_s = max(frame.time - start, latest)
        latest = time_s
        yield _Native(number, time_s, partial(_load, path, frame, reformatter))


def _load(
    path: Path, frame: VideoFrame, reformatter: VideoReformatter, plane: Plane
) -> NDArray[np.uint8]:
    check_bits(path, frame, plane)
    return to_array(frame, plane, reformatter)


def _range(frames: Iterable[_Native], path: Path, wanted: Wanted, say: Say) -> Iterator[_Native]:
    """Yield the frames of the range; the last is repeated where it ends a frame or two later."""
    first, stop = wanted.first or 0, wanted.stop
    found = 0
    latest: _Native | None = None
    for native in frames:
        if native.number == stop:
            return
        found = native.number + 1
        if native.number >= first:
            latest = native
            yield native
    if not found:
        raise ClipError(f"{path} has no frames", "Record it again.")
    end = found if stop is None else stop
    if latest is None or end - found > MAX_OVERSHOOT_FRAMES:
        missed = f"begins at frame {first}" if latest is None else f"ends before frame {stop}"
        raise ClipError(
            f"{path} has {found} frames; the range {missed}", "Give frames that it has."
        )
    for number in range(found, end):
        yield latest._replace(number=number)
    stated = stated_frames(path)
    if stop is None and stated and found < stated - MAX_OVERSHOOT_FRAMES:
        say(f"its header states {stated} frames and {found} are there: trimmed, or cut short")


def _resample(frames: Iterable[_Native], fps: float, rate: float) -> Iterator[_Native]:
    """Yield for each instant of ``fps`` the frame nearest in time; the last lasts 1 / ``rate``."""
    before: _Native | None = None
    start, instant = 0.0, 0
    for native in frames:
        if before is None:
            start = native.time_s
        else:
            change = (before.time_s + native.time_s) / 2 - start
            # Of two frames that are equally near the later one, whatever the rounding.
            while instant / fps < change - 1e-6:
                yield before._replace(time_s=start + instant / fps)
                instant += 1
        before = native
    while before is not None and instant / fps < before.time_s - start + 1 / rate - 1e-6:
        yield before._replace(time_s=start + instant / fps)
        instant += 1


def _fit(frames: Iterable[_Native], path: Path, wanted: Wanted, say: Say) -> Iterator[_Fitted]:
    """Yield the frames at the store's size."""
    size: tuple[int, int] | None = None
    box = slice(None), slice(None)
    for number, time_s, load in frames:
        pixels = load(wanted.plane)
        height, width, _ = pixels.shape
        if size is None:
            size = height, width
            box = _box(size, wanted, say)
        if (height, width) != size:
            raise ClipError(
                f"{path}: frame {number} has {width}x{height} pixels; the frames before it have"
                f" {size[1]}x{size[0]}",
                "Convert it to one size, or give --frames of one size.",
            )
        fitted = resize_frame(pixels[box], *wanted.size)
        # What still is a view would keep the whole native frame.
        yield Frame(number, time_s, fitted if fitted.base is None else fitted.copy()), load


def _box(size: tuple[int, int], wanted: Wanted, say: Say) -> tuple[slice, slice]:
    """Return which part of the pictures is used; reports it where it is not all."""
    if fits_shape(size, wanted.size):
        return slice(None), slice(None)
    rows, columns = largest_box(size, wanted.size)
    share = (rows.stop - rows.start) * (columns.stop - columns.start) / (size[0] * size[1])
    say(
        f"pictures of {size[1]}x{size[0]}, the store's are {wanted.size[1]}x{wanted.size[0]}:"
        f" cropped to the middle, {share:.0%} of the picture"
    )
    return rows, columns


def _check_kind(fitted: Iterable[_Fitted], path: Path, wanted: Wanted) -> Iterator[Frame]:
    """Yield the frames, after a look into the first of them whether they show what is wanted.

    Raises:
        ClipError: they are coloured and grey is wanted, or grey and colour is; then none is
            yielded.
    """
    frames = iter(fitted)
    waiting: list[Frame] = []
    spreads: list[NDArray[np.uint8]] = []  # difference between the channels of each pixel
    fault: ClipError | None = None
    try:
        for frame, load in islice(frames, _LOOKED_AT.stop):
            if len(waiting) in _LOOKED_AT:
                rgb = load("rgb")
                spreads.append(rgb.max(axis=2) - rgb.min(axis=2))
            waiting.append(frame)
    except ClipError as error:
        # What came before is sound.
        fault = error
    coloured = any((spread > _COLOURED_PX).mean() > _COLOURED_SHARE for spread in spreads)
    grey = bool(spreads) and all((spread <= _GREY_PX).all() for spread in spreads)
    if (coloured and wanted.plane == "luma") or (grey and wanted.plane == "rgb"):
        raise ClipError(
            f"{path} is {'coloured' if coloured else 'grey'}; {wanted.modality} is not",
            "Give another file, or another --modality.",
        )
    yield from waiting
    waiting.clear()
    if fault:
        raise fault
    for frame, _ in frames:
        yield frame


def _flow(frames: Iterable[Frame], algorithm: FlowAlgorithm) -> Iterator[Frame]:
    """Yield the flow from each frame to the next, the last repeated; as of a whole clip."""
    waiting: list[Frame] = []
    latest: NDArray[np.uint8] | None = None
    for frame in frames:
        waiting.append(frame)
        if len(waiting) == _FLOWS_AT_ONCE + 1:
            flows = algorithm.compute(np.stack([f.frame_HWC for f in waiting]))
            for before, flow in zip(waiting[:-1], flows, strict=False):
                yield before._replace(frame_HWC=flow.copy())
            latest, waiting = flows[-1].copy(), waiting[-1:]
    if len(waiting) == 1 and latest is not None:
        yield waiting[0]._replace(frame_HWC=latest)
    elif waiting:
        flows = algorithm.compute(np.stack([f.frame_HWC for f in waiting]))
        for frame, flow in zip(waiting, flows, strict=True):
            yield frame._replace(frame_HWC=flow)
