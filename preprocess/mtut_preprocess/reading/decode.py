"""Video file -> uint8 frames: linear decoding, counted frames, the exact frames asked for.

PyAV gives access to the planes: depth is the stored luma, not a colour conversion of it (OpenCV's
conversion changes 9 % of the pixels of real depth files). Seeking is never used: by timestamp it
was off by 1-3 frames in every window tried; linear decoding is always exact.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import ClassVar, NamedTuple

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from mtut_bench.errors import ClipError
from mtut_bench.files import StrPath
from mtut_preprocess.reading.frames import COPY_HINT, FrameSource, Plane, Shape

__all__ = [
    "MAX_OVERSHOOT_FRAMES",
    "Timing",
    "VideoFrames",
    "check_bits",
    "count_packets",
    "decode_frames",
    "quarter_turns",
    "read_timing",
    "same_rate",
    "stated_frames",
    "to_array",
]

MAX_OVERSHOOT_FRAMES = 2
"""An annotated window may pass the end of a stream by this much: streams of one recording differ
by up to two or three frames. The last frame is then repeated; beyond it the file is short."""

_RATE_TOLERANCE = 0.05
"""Frame rates that differ by no more count as the same: 29.97 and 30, 24 and 25."""

_STATED_TOLERANCE = 0.005
"""A stated rate counts where the frames' times, rounded to milliseconds at worst, bear it out:
Matroska states what was intended; MP4 counts on a duration in which the last frame's is often
wrong."""

_MAX_RATE = 500.0
"""Browsers that record write their clock, 1000 a second, in place of a rate."""

_MAX_DRIFT_FRAMES = 3
"""So far from its place at an even rate a frame may lie before it is reported: cameras' clocks
jitter by less than a frame, and drop one or two."""

_CLOCK_RESET_S = 1.0
"""Decoding order steps back by a few frames; a step back by more begins another recording."""


@dataclass(frozen=True)
class VideoFrames(FrameSource):
    """Frames of one video file."""

    def files(self) -> tuple[Path, list[str]]:
        """See FrameSource."""
        return self.path.parent, [self.path.name]

    def size(self) -> tuple[int, int]:
        """See FrameSource."""
        with _open(self.path) as container:
            stream = container.streams.video[0]
            size = stream.height, stream.width
            if container.format.name == "avi":
                # It cannot say that it is to be turned; others say so with a frame.
                return size
        turned = any(quarter_turns(frame) % 2 for frame in islice(decode_frames(self.path), 1))
        return size[::-1] if turned else size

    def read(self, shape: Shape | None = None) -> NDArray[np.uint8]:
        """See FrameSource."""
        count, last = len(self.indices), self.indices[-1]
        frames: NDArray[np.uint8] | None = None
        latest: NDArray[np.uint8] | None = None
        size: tuple[int, ...] = ()
        filled = 0
        reformatter = VideoReformatter()
        decoder = _Decoder.at(self.path, self.indices[0] - MAX_OVERSHOOT_FRAMES)
        for index, frame in decoder:
            check_bits(self.path, frame, self.plane)
            # The latest frame is needed in case the stream ends before the window does.
            if index == self.indices[filled] or last - index <= MAX_OVERSHOOT_FRAMES:
                pixels = to_array(frame, self.plane, reformatter)
                size = size or pixels.shape
                if pixels.shape != size:
                    what = f"{self.path} changes its frame size within the window"
                    raise ClipError(what, COPY_HINT)
                latest = shape(pixels) if shape else pixels
                if frames is None:
                    frames = np.empty((count, *latest.shape), np.uint8)
                while filled < count and self.indices[filled] == index:
                    frames[filled] = latest
                    filled += 1
            if filled == count:
                decoder.keep()
                break
        found = decoder.next_index
        if frames is None or latest is None or found <= last - MAX_OVERSHOOT_FRAMES:
            raise ClipError(
                f"{self.path} has {found} frames; its window ends at frame {last + 1}", COPY_HINT
            )
        frames[filled:] = latest
        return frames


def count_packets(path: StrPath) -> int:
    """Return how many coded frames a file's container holds, without decoding them.

    Raises:
        ClipError: the file is missing or no video.
    """
    path = Path(path)
    with _open(path) as container:
        try:
            return sum(1 for packet in container.demux(video=0) if packet.size)
        except FFmpegError as error:
            raise ClipError(f"{path} cannot be read: {error}", COPY_HINT) from error


def stated_frames(path: StrPath) -> int | None:
    """Return how many frames the header of a file that may be cut short states, None if unknown."""
    path = Path(path)
    try:
        with _open(path, whole=False) as container:
            return container.streams.video[0].frames or None
    except ClipError:
        return None


class Timing(NamedTuple):
    """When a file's frames were recorded, as far as it says.

    Attributes:
        rate: frames per second on average; None where neither header nor frames say.
        has_times: whether its frames carry times of their own; those of AVI files have none but
            their place in the file, whatever a decoder makes of it.
        drift_s: how far a frame lies at most from its place at an even rate from the first frame
            to the last, seconds; 0 without times.
    """

    rate: float | None
    has_times: bool
    drift_s: float = 0.0

    @property
    def is_uneven(self) -> bool:
        """Whether frames lie so far from an even rate that they should not be counted for time."""
        return self.rate is not None and self.drift_s * self.rate > _MAX_DRIFT_FRAMES


def same_rate(rate: float, other: float) -> bool:
    """Return whether two frame rates count as the same: they differ by at most 5 % of the other."""
    return abs(rate / other - 1) <= _RATE_TOLERANCE


def read_timing(path: StrPath) -> Timing:
    """Return what a file says about the time of its frames; decodes none.

    Raises:
        ClipError: the file is missing or no video.
    """
    path = Path(path)
    with _open(path) as container:
        stated = float(container.streams.video[0].average_rate or 0)
        has_times = container.format.name != "avi"
        times_N = _shown_times(container) if has_times else np.empty(0)
    measured, drift_s = _even_rate(times_N)
    if measured and abs(stated / measured - 1) > _STATED_TOLERANCE:
        stated = measured
    return Timing(stated if 0 < stated < _MAX_RATE else None, has_times, drift_s)


def _shown_times(container: InputContainer) -> NDArray[np.float64]:
    """Return when frames are shown, float64 (T,), seconds ascending; empty if they do not say."""
    times: list[int | None] = []
    # Whoever decodes a damaged file is told; the times up to there are sound.
    with suppress(FFmpegError):
        times += (packet.pts for packet in container.demux(video=0) if packet.size)
    if None in times:
        return np.empty(0)
    times_N = np.array(times, np.float64) * float(container.streams.video[0].time_base or 0)
    reset = bool((np.diff(times_N) < -_CLOCK_RESET_S).any())
    return np.empty(0) if reset else np.sort(times_N)


def _even_rate(times_N: NDArray[np.float64]) -> tuple[float, float]:
    """Return frames per second (0: unknown) and the largest distance from that rate, seconds."""
    if len(times_N) < 2 or times_N[0] == times_N[-1]:
        return 0.0, 0.0
    even_N = np.linspace(times_N[0], times_N[-1], len(times_N))
    rate = (len(times_N) - 1) / float(times_N[-1] - times_N[0])
    return rate, float(np.abs(times_N - even_N).max())


def check_bits(path: StrPath, frame: VideoFrame, plane: Plane) -> None:
    """Refuse luma of other than 8 bits.

    Raises:
        ClipError: it has.
    """
    if plane == "luma" and frame.format.components[0].bits != 8:
        raise ClipError(f"{path} has values of other than 8 bits", COPY_HINT)


def quarter_turns(frame: VideoFrame) -> int:
    """Return how often a frame is to be turned left by 90 degrees: telephones record so."""
    return round(getattr(frame, "rotation", 0) / 90) % 4


def _open(path: Path, *, whole: bool = True) -> InputContainer:
    if not path.is_file():
        state = "is a folder" if path.is_dir() else "does not exist"
        raise ClipError(f"{path} {state}", COPY_HINT)
    if whole:
        _check_length(path)
    try:
        container = av.open(str(path))
    except (FFmpegError, OSError) as error:
        raise ClipError(f"{path} is not a readable video: {error}", COPY_HINT) from error
    if path.suffix.lower() == ".avi" and container.format.name != "avi":
        # Without its header the coded frames alone may still be recognised; what is cut is not.
        container.close()
        raise ClipError(f"{path} has lost its AVI header", COPY_HINT)
    if not container.streams.video:
        container.close()
        raise ClipError(f"{path} holds no video stream", COPY_HINT)
    return container


def _check_length(path: Path) -> None:
    """Refuse an AVI file that is shorter than its first chunk says: a copy that was cut."""
    try:
        with path.open("rb") as file:
            head = file.read(8)
        found = path.stat().st_size
    except OSError as error:
        raise ClipError(f"{path} cannot be read: {error.strerror or error}", COPY_HINT) from error
    if not found:
        raise ClipError(f"{path} is empty (0 bytes)", COPY_HINT)
    stated = 8 + int.from_bytes(head[4:], "little") if head[:4] == b"RIFF" else 0
    if found < stated:
        raise ClipError(f"{path} is cut short: {found:,} of {stated:,} bytes are there", COPY_HINT)


class _Decoder:
    """A file that is decoded from its beginning; where clips share it, the next one goes on.

    Iterate over (index, frame); after :meth:`keep` another clip of the file may take it up.
    """

    _kept: ClassVar[dict[Path, "_Decoder"]] = {}
    _MAX_KEPT = 4

    def __init__(self, path: Path) -> None:
        self.path = path
        self.next_index = 0
        self._state = _file_state(path)
        self._frames = decode_frames(path)

    @classmethod
    def at(cls, path: Path, index: int) -> "_Decoder":
        """Return a decoder that has not passed a frame yet."""
        kept = cls._kept.pop(path, None)
        if kept and kept.next_index <= index and kept._state == _file_state(path):
            return kept
        return cls(path)

    def keep(self) -> None:
        """Keep it for the next clip; the oldest of several goes."""
        self._kept[self.path] = self
        if len(self._kept) > self._MAX_KEPT:
            del self._kept[next(iter(self._kept))]

    def __iter__(self) -> Iterator[tuple[int, VideoFrame]]:
        for frame in self._frames:
            self.next_index += 1
            yield self.next_index - 1, frame


def _file_state(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def decode_frames(path: StrPath) -> Iterator[VideoFrame]:
    """Yield the frames of a file from its beginning.

    Raises:
        ClipError: the file is missing, unreadable or damaged.
    """
    path = Path(path)
    with _open(path) as container:
        # One process per core is faster than threads inside a decoder.
        container.streams.video[0].codec_context.thread_count = 1
        try:
            for number, frame in enumerate(container.decode(video=0)):
                if frame.is_corrupt:
                    raise ClipError(f"{path} is damaged at frame {number}", COPY_HINT)
                yield frame
        except FFmpegError as error:
            raise ClipError(f"{path} is damaged: {error}", COPY_HINT) from error


def to_array(frame: VideoFrame, plane: Plane, reformatter: VideoReformatter) -> NDArray[np.uint8]:
    """Return a frame as (H, W, C), as it is to be shown; may be a view of the frame's own memory.

    Args:
        frame: as decoded.
        plane: what to take of it.
        reformatter: kept from frame to frame, since making one takes longer than using it.
    """
    turns = quarter_turns(frame)
    pixels = _to_array(frame, plane, reformatter)
    return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels


def _to_array(frame: VideoFrame, plane: Plane, reformatter: VideoReformatter) -> NDArray[np.uint8]:
    form = frame.format
    if plane == "luma" and not form.is_rgb and not form.has_palette:
        if len(frame.planes) == 1 and len(form.components) > 1:
            # Luma and chroma take turns in one plane; unpacking them changes no value.
            frame = reformatter.reformat(frame, format="yuv444p")
        luma = frame.planes[0]
        rows = np.frombuffer(memoryview(luma), np.uint8).reshape(-1, luma.line_size)
        return rows[: frame.height, : frame.width, None]
    rgb = reformatter.reformat(frame, format="rgb24").to_ndarray().astype(np.uint8, copy=False)
    # A depth file in an RGB codec repeats the value in every channel.
    return rgb[..., :1] if plane == "luma" else rgb
