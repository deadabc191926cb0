"""Video files of the same bytes on every call, under their final name only when complete."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from mtut_bench.files import StrPath
from mtut_preprocess.synthetic.dataset import FPS

__all__ = ["Writer", "depth_planes", "full_planes", "h264", "mjpeg", "video_planes", "write_text"]

Bytes = NDArray[np.uint8]
Planes = tuple[Bytes, Bytes, Bytes]


class Writer:
    """An open video stream that takes frames as three planes (Y, U, V) of uint8."""

    def __init__(self, container: OutputContainer, stream: VideoStream, pix_fmt: str) -> None:
        self._container = container
        self._stream = stream
        self._pix_fmt = pix_fmt
        self._count = 0

    def write(self, planes: Planes) -> None:
        """Encode one frame.

        Args:
            planes: (H, W), then two of (ceil(H / 2), ceil(W / 2)), stored as they are: no
                conversion of colour or range happens here.
        """
        height, width = planes[0].shape
        frame = av.VideoFrame(width, height, self._pix_fmt)
        for target, values in zip(frame.planes, planes, strict=True):
            rows = np.zeros((target.height, target.line_size), dtype=np.uint8)
            rows[:, : values.shape[1]] = values
            target.update(rows.tobytes())
        frame.pts = self._count
        frame.time_base = Fraction(1, FPS)
        self._count += 1
        self._container.mux(self._stream.encode(frame))


@contextmanager
def h264(path: StrPath, width: int, height: int, *, crf: int) -> Iterator[Writer]:
    """Open an H.264 High AVI of 30 frames per second; it appears when the block succeeds.

    Args:
        path: final name.
        width: pixels, even.
        height: pixels, even.
        crf: quality of x264, 0 to 51, smaller is closer.
    """
    options = {"crf": str(crf), "preset": "ultrafast", "profile": "high", "x264-params": "8x8dct=1"}
    with _open(Path(path), "libx264", "yuv420p", (width, height), options) as writer:
        yield writer


@contextmanager
def mjpeg(path: StrPath, width: int, height: int, *, quantiser: int) -> Iterator[Writer]:
    """Open a motion-JPEG AVI of 30 frames per second; it appears when the block succeeds.

    Args:
        path: final name.
        width: pixels; odd ones are allowed.
        height: pixels.
        quantiser: constant, 1 to 31, smaller is closer.
    """
    options = {"qmin": str(quantiser), "qmax": str(quantiser), "huffman": "default"}
    with _open(Path(path), "mjpeg", "yuvj420p", (width, height), options) as writer:
        yield writer


@contextmanager
def _open(
    path: Path, codec: str, pix_fmt: str, size: tuple[int, int], options: dict[str, str]
) -> Iterator[Writer]:
    """Open ``path`` under a temporary name and rename it when the block succeeds."""
    temporary = path.with_name(path.name + ".part")
    # Without the flag the header holds the version of the library that wrote the file.
    container = av.open(str(temporary), "w", format="avi", options={"fflags": "+bitexact"})
    try:
        every = {"flags": "+bitexact", **options}
        stream = container.add_stream(codec, rate=FPS, options=every)
        assert isinstance(stream, VideoStream), "both codecs are video codecs"
        (stream.width, stream.height), stream.pix_fmt = size, pix_fmt
        # The bytes of x264 depend on how many threads shared the work.
        stream.codec_context.thread_count = 1
        yield Writer(container, stream, pix_fmt)
        container.mux(stream.encode(None))
    finally:
        container.close()
    temporary.replace(path)


def depth_planes(depth: Bytes) -> Planes:
    """Return the planes of a (H, W) uint8 picture: its values are the luma, the chroma is 128."""
    half = ((depth.shape[0] + 1) // 2, (depth.shape[1] + 1) // 2)
    grey = np.full(half, 128, dtype=np.uint8)
    return depth, grey, grey


def video_planes(rgb: Bytes) -> Planes:
    """Return the limited-range BT.601 planes of a (H, W, 3) uint8 picture of even size."""
    height, width = rgb.shape[:2]
    flat = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420), dtype=np.uint8).reshape(-1)
    luma, chroma = height * width, height * width // 4
    half = (height // 2, width // 2)
    return (
        flat[:luma].reshape(height, width),
        flat[luma : luma + chroma].reshape(half),
        flat[luma + chroma :].reshape(half),
    )


def full_planes(rgb: Bytes) -> Planes:
    """Return the full-range planes, as in JPEG, of a (H, W, 3) uint8 picture of any size."""
    height, width = rgb.shape[:2]
    even = cv2.copyMakeBorder(rgb, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    ycrcb = cv2.cvtColor(even, cv2.COLOR_RGB2YCrCb)
    half = (even.shape[1] // 2, even.shape[0] // 2)
    chroma = np.asarray(cv2.resize(ycrcb, half, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    luma = np.asarray(ycrcb[:height, :width, 0], dtype=np.uint8)
    return luma, np.ascontiguousarray(chroma[..., 2]), np.ascontiguousarray(chroma[..., 1])


def write_text(path: StrPath, text: str) -> None:
    """Write an ASCII text, line ends as they are, under its final name only when complete."""
    path = Path(path)
    temporary = path.with_name(path.name + ".part")
    with temporary.open("w", encoding="ascii", newline="") as file:
        file.write(text)
    temporary.replace(path)
