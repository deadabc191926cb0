"""Any recording as a stream of the frames that a store would keep, with few of them in memory.

A recording of a dataset gives the very frames of its store. Others are brought to the store's
shape and rate, and each such step is said: pictures of another aspect ratio are cut to the middle
(or stretched), recordings of another frame rate are read at the store's by nearest time, and
pictures that a telephone marked as turned are turned.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

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
from mtut_preprocess.reading.images import is_image_pattern, read_image
from mtut_preprocess.reading.series import IMAGE_SUFFIXES, find_series

__all__ = ["Fit", "Wanted", "stream_frames"]

Fit = Literal["crop", "stretch"]
Say = Callable[[str], None]

_FLOWS_AT_ONCE = 8
"""As many frame pairs as RAFT takes at once, so that a stream rounds as a whole clip does."""

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
        fit: what happens to pictures of another aspect ratio.
        any_kind: take grey pictures for colour, and coloured ones for depth.
    """

    modality: str
    size: tuple[int, int]
    fps: float
    flow: FlowAlgorithm | None = None
    first: int | None = None
    stop: int | None = None
    rate: float | None = None
    fit: Fit = "crop"
    any_kind: bool = False

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
"""A frame at the store's size, and how to see it as it was."""


def stream_frames(path: StrPath, wanted: Wanted, say: Say) -> Iterator[Frame]:
    """Yield the frames of a recording as its store would keep them.

    Args:
        path: video file, folder of numbered images, or their pattern (``frames/%06d.jpg``).
        wanted: what they must become.
        say: called with each remark on what had to be done.

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
        raise ClipError(f"{path} is one image", "Give the folder of all frames, or a video.")
    frames = _images(path, wanted) if is_images else _video(path, wanted, say)
    moments = _check_kind(_fit(frames, path, wanted, say), path, wanted)
    return _flow(moments, wanted.flow) if wanted.flow else moments


def _images(path: Path, wanted: Wanted) -> Iterator[_Native]:
    series = find_series(path)
    first = series.numbers[0] if wanted.first is None else wanted.first
    stop = series.numbers[-1] + 1 if wanted.stop is None else wanted.stop
    known = set(series.numbers)
    lacking = [number for number in range(first, stop) if number not in known]
    if lacking:
        name = series.pattern.name % lacking[0]
        raise ClipError(
            f"{len(lacking)} of {stop - first} images are missing in {series.pattern.parent}, the"
            f" first is {name}",
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
    """Yield the frames of a video, unconverted.

    Args:
        path: of the file.
        rate: frames per second, where their times do not count.
        timed: whether they do.
        say: called with a remark.
    """
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
        raise ClipError(f"{path} holds no frame", "Record it again.")
    if latest is None or (stop is not None and stop - found > MAX_OVERSHOOT_FRAMES):
        end = "begins at" if latest is None else "ends before"
        at = first if latest is None else stop
        raise ClipError(
            f"{path} has {found} frames; the range {end} frame {at}", "Give frames that it has."
        )
    for number in range(found, stop or found):
        yield latest._replace(number=number)
    stated = stated_frames(path)
    if stop is None and stated and found < stated - MAX_OVERSHOOT_FRAMES:
        say(f"its header states {stated} frames and {found} are there: trimmed, or cut short")


def _resample(frames: Iterable[_Native], fps: float, rate: float) -> Iterator[_Native]:
    """Yield for each instant of another rate the frame that is nearest in time.

    Args:
        frames: in order of time.
        fps: of the result, from the time of the first frame on.
        rate: of the frames, for how long the last one lasts.
    """
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
    size: tuple[int, ...] = ()
    box = slice(None), slice(None)
    for number, time_s, load in frames:
        pixels = load(wanted.plane)
        if not size:
            size = pixels.shape[:2]
            box = _box(pixels.shape[:2], wanted, say)
        if pixels.shape[:2] != size:
            raise ClipError(
                f"{path}: frame {number} has {pixels.shape[1]}x{pixels.shape[0]} pixels; the frames"
                f" before it have {size[1]}x{size[0]}",
                "Convert it to one size, or give --frames of one size.",
            )
        fitted = resize_frame(pixels[box], *wanted.size)
        # What still is a view would keep the whole native frame.
        yield Frame(number, time_s, fitted if fitted.base is None else fitted.copy()), load


def _box(size: tuple[int, int], wanted: Wanted, say: Say) -> tuple[slice, slice]:
    """Return which part of the pictures is used; says so where it is not all."""
    height, width = size
    whole = slice(None), slice(None)
    if fits_shape((height, width), wanted.size):
        return whole
    sizes = f"pictures of {width}x{height}, the store's are {wanted.size[1]}x{wanted.size[0]}"
    if wanted.fit == "stretch":
        say(f"{sizes}: stretched")
        return whole
    rows, columns = largest_box((height, width), wanted.size)
    share = (rows.stop - rows.start) * (columns.stop - columns.start) / (height * width)
    say(f"{sizes}: cut to the middle, {share:.0%} of the picture (--fit stretch keeps all of it)")
    return rows, columns


def _check_kind(fitted: Iterable[_Fitted], path: Path, wanted: Wanted) -> Iterator[Frame]:
    """Yield the frames, after a look into the first of them whether they show what is wanted.

    Raises:
        ClipError: they do not; then none is yielded.
    """
    frames = iter(fitted)
    held: list[Frame] = []
    looks: list[NDArray[np.uint8]] = []
    fault: ClipError | None = None
    try:
        for moment, load in islice(frames, _LOOKED_AT.stop):
            if len(held) in _LOOKED_AT and not wanted.any_kind:
                rgb = load("rgb")
                looks.append(rgb.max(axis=2) - rgb.min(axis=2))
            held.append(moment)
    except ClipError as error:
        # What came before is sound.
        fault = error
    _judge(looks, path, wanted)
    yield from held
    held.clear()
    if fault:
        raise fault
    for moment, _ in frames:
        yield moment


def _judge(looks: Sequence[NDArray[np.uint8]], path: Path, wanted: Wanted) -> None:
    """Refuse colour for grey, and grey for colour.

    Args:
        looks: of some frames, the difference between the channels of each pixel.
        path: of the recording.
        wanted: which of both is wanted.
    """
    hint = "Give another file or --modality; --any-kind takes it as it is."
    coloured = any((spread > _COLOURED_PX).mean() > _COLOURED_SHARE for spread in looks)
    if wanted.plane == "luma" and coloured:
        raise ClipError(f"{path} is coloured; {wanted.modality} has one grey channel", hint)
    grey = bool(looks) and all((spread <= _GREY_PX).all() for spread in looks)
    if wanted.plane == "rgb" and grey:
        raise ClipError(f"{path} is grey; {wanted.modality} needs a recording in colour", hint)


def _flow(moments: Iterable[Frame], algorithm: FlowAlgorithm) -> Iterator[Frame]:
    """Yield the flow from each frame to the next, the last repeated; as of a whole clip."""
    held: list[Frame] = []
    latest: NDArray[np.uint8] | None = None
    for moment in moments:
        held.append(moment)
        if len(held) == _FLOWS_AT_ONCE + 1:
            flows = algorithm.compute(np.stack([m.frame_HWC for m in held]))
            for before, flow in zip(held[:-1], flows, strict=False):
                yield before._replace(frame_HWC=flow.copy())
            latest, held = flows[-1].copy(), held[-1:]
    if len(held) == 1 and latest is not None:
        yield held[0]._replace(frame_HWC=latest)
    elif held:
        flows = algorithm.compute(np.stack([m.frame_HWC for m in held]))
        for moment, flow in zip(held, flows, strict=True):
            yield moment._replace(frame_HWC=flow)
