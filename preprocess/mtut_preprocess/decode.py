"""Video file -> uint8 frames: linear decoding, counted frames, the exact frames asked for.

PyAV gives access to the planes: depth is the stored luma, not a colour conversion of it (OpenCV's
conversion changes 9 % of the pixels of real depth files). Seeking is never used: by timestamp it
was off by 1-3 frames in every window tried; linear decoding is always exact.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from mtut_bench.errors import ClipError

__all__ = [
    "MAX_OVERSHOOT_FRAMES",
    "FrameSource",
    "Plane",
    "count_frames",
    "count_packets",
    "frame_size",
    "read_frames",
]

Plane = Literal["rgb", "luma"]

MAX_OVERSHOOT_FRAMES = 2
"""An annotated window may pass the end of a stream by this much: streams of one recording differ
by up to two or three frames. The last frame is then repeated; beyond it the file is short."""

_CURE = "Copy the file again from the dataset, or take its clip out of the lists."


@dataclass(frozen=True)
class FrameSource:
    """Which frames of which file make one modality of a clip.

    Attributes:
        path: video file.
        indices: 0-based frame numbers, not decreasing; a repeated number repeats the frame.
        plane: 'rgb' converts to RGB; 'luma' takes the stored luma plane as it is.
    """

    path: Path
    indices: tuple[int, ...]
    plane: Plane


def read_frames(source: FrameSource) -> NDArray[np.uint8]:
    """Return the frames of a source.

    Returns:
        uint8 (T, H, W, C), C = 3 for 'rgb', 1 for 'luma'; values as stored.

    Raises:
        ClipError: the file is missing or unreadable, or ends more than two frames too early.
    """
    wanted = set(source.indices)
    last = max(source.indices)
    kept: dict[int, NDArray[np.uint8]] = {}
    count = 0
    for count, frame in enumerate(_decode(source.path), start=1):
        index = count - 1
        if source.plane == "luma" and frame.format.components[0].bits != 8:
            raise ClipError(f"{source.path} has values of other than 8 bits", _CURE)
        # The latest frame is kept in case the stream ends before the window does.
        if index in wanted or last - index <= MAX_OVERSHOOT_FRAMES:
            kept[index] = _to_array(frame, source.plane)
        if index == last:
            break
    if len({frame.shape for frame in kept.values()}) > 1:
        raise ClipError(f"{source.path} changes its frame size within the window", _CURE)
    if count <= last - MAX_OVERSHOOT_FRAMES or count == 0:
        raise ClipError(
            f"{source.path} has {count} frames; its window ends at frame {last + 1}", _CURE
        )
    return np.stack([kept[min(index, count - 1)] for index in source.indices])


def count_frames(path: Path) -> int:
    """Return how many frames a file decodes to.

    Raises:
        ClipError: the file is missing or unreadable.
    """
    return sum(1 for _ in _decode(path))


def count_packets(path: Path) -> int:
    """Return how many coded frames a file's container holds, without decoding them.

    Raises:
        ClipError: the file is missing or no video.
    """
    with _open(path) as container:
        try:
            return sum(1 for packet in container.demux(video=0) if packet.size)
        except FFmpegError as error:
            raise ClipError(f"{path} cannot be read: {error}", _CURE) from error


def frame_size(path: Path) -> tuple[int, int]:
    """Return the (height, width) in pixels that a file's header states.

    Raises:
        ClipError: the file is missing or no video.
    """
    with _open(path) as container:
        stream = container.streams.video[0]
        return stream.height, stream.width


def _open(path: Path) -> InputContainer:
    if not path.is_file():
        raise ClipError(f"{path} does not exist", _CURE)
    _check_length(path)
    try:
        container = av.open(str(path))
    except (FFmpegError, OSError) as error:
        raise ClipError(f"{path} is not a readable video: {error}", _CURE) from error
    if not container.streams.video:
        container.close()
        raise ClipError(f"{path} holds no video stream", _CURE)
    return container


def _check_length(path: Path) -> None:
    """Refuse an AVI file that is shorter than its first chunk says: a copy that was cut."""
    try:
        with path.open("rb") as file:
            head = file.read(8)
        found = path.stat().st_size
    except OSError as error:
        raise ClipError(f"{path} cannot be read: {error.strerror or error}", _CURE) from error
    stated = 8 + int.from_bytes(head[4:], "little") if head[:4] == b"RIFF" else 0
    if found < stated:
        raise ClipError(f"{path} is cut short: {found:,} of {stated:,} bytes are there", _CURE)


def _decode(path: Path) -> Iterator[VideoFrame]:
    with _open(path) as container:
        # One process per core is faster than threads inside a decoder.
        container.streams.video[0].codec_context.thread_count = 1
        try:
            for number, frame in enumerate(container.decode(video=0)):
                if frame.is_corrupt:
                    raise ClipError(f"{path} is damaged at frame {number}", _CURE)
                yield frame
        except FFmpegError as error:
            raise ClipError(f"{path} is damaged: {error}", _CURE) from error


def _to_array(frame: VideoFrame, plane: Plane) -> NDArray[np.uint8]:
    form = frame.format
    if plane == "luma" and not form.is_rgb and not form.has_palette:
        if len(frame.planes) == 1 and len(form.components) > 1:
            # Luma and chroma take turns in one plane; unpacking them changes no value.
            frame = frame.reformat(format="yuv444p")
        luma = frame.planes[0]
        rows = np.frombuffer(memoryview(luma), np.uint8).reshape(-1, luma.line_size)
        return rows[: frame.height, : frame.width, None].copy()
    rgb = frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
    # A depth file in an RGB codec repeats the value in every channel.
    return rgb[..., :1] if plane == "luma" else rgb
