"""Numbered image files: recognised by their names, read as uint8 frames."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mtut_bench.errors import ClipError
from mtut_bench.files import StrPath
from mtut_preprocess.reading.frames import COPY_HINT, FrameSource, Plane, Shape, names_in

__all__ = [
    "IMAGE_SUFFIXES",
    "ImageFrames",
    "Series",
    "find_series",
    "image_numbers",
    "is_image_pattern",
    "read_image",
]

IMAGE_SUFFIXES = {".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}

_NUMBER = re.compile(r"%(0[1-9])?d")
_NUMBERED = re.compile(r"(.*?)([0-9]{1,9})(\.[^.]+)")
_FLAGS = {
    "rgb": cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH,
    "luma": cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH,
}


def is_image_pattern(name: str) -> bool:
    """Return whether a file name is a printf pattern of numbered images, such as '%06d.jpg'."""
    return name.count("%") == 1 and _NUMBER.search(name) is not None


@dataclass(frozen=True)
class ImageFrames(FrameSource):
    """Numbered image files of one folder, a frame each.

    'luma' of a JPEG file is its stored luma, not a conversion of its colours.
    """

    def file(self, number: int) -> Path:
        """Return the file of a frame."""
        return self.path.with_name(self.path.name % number)

    def files(self) -> tuple[Path, Iterable[str]]:
        """See FrameSource."""
        return self.path.parent, (self.path.name % number for number in self.indices)

    def size(self) -> tuple[int, int]:
        """See FrameSource."""
        height, width, _ = read_image(self.file(self.indices[0]), self.plane).shape
        return height, width

    def read(self, shape: Shape | None = None) -> NDArray[np.uint8]:
        """See FrameSource."""
        kept: dict[int, NDArray[np.uint8]] = {}
        first: tuple[int, ...] = ()
        for number in dict.fromkeys(self.indices):
            frame = read_image(self.file(number), self.plane)
            first = first or frame.shape
            if frame.shape != first:
                raise ClipError(
                    f"{self.file(number)} has {frame.shape[1]}x{frame.shape[0]} pixels; the frames"
                    f" before it have {first[1]}x{first[0]}",
                    COPY_HINT,
                )
            kept[number] = shape(frame) if shape else frame
        return np.stack([kept[number] for number in self.indices])


def read_image(path: StrPath, plane: Plane) -> NDArray[np.uint8]:
    """Return an image file as uint8 (H, W, C), C = 3 (RGB) or 1.

    Raises:
        ClipError: the file is missing, cut short, no image, or has other than 8 bits a value.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ClipError(f"{path} does not exist", COPY_HINT) from None
    except OSError as error:
        raise ClipError(f"{path} cannot be read: {error.strerror or error}", COPY_HINT) from error
    if _is_cut(data):
        raise ClipError(f"{path} is cut short: {len(data):,} bytes are there", COPY_HINT)
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), _FLAGS[plane]) if data else None
    except cv2.error:
        pixels = None
    if pixels is None:
        raise ClipError(f"{path} is not a readable image", COPY_HINT)
    if pixels.dtype != np.uint8:
        raise ClipError(
            f"{path} has {8 * pixels.itemsize} bits a value; a store keeps 8",
            "Convert the images to 8 bits, with the range of distances that matters.",
        )
    if plane == "luma":
        return pixels.reshape(*pixels.shape[:2], 1).astype(np.uint8, copy=False)
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def _is_cut(data: bytes) -> bool:
    """Return whether an end is missing: decoders fill the rest of such a picture with grey."""
    if data.startswith(b"\xff\xd8"):
        # After the last scan began; a thumbnail in the header has an end of its own.
        return data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda")
    return data.startswith(b"\x89PNG") and b"IEND" not in data[-64:]


class Series(NamedTuple):
    """Numbered images.

    Attributes:
        pattern: of their paths; printf's, in the name alone.
        numbers: in their names, ascending, at least one.
    """

    pattern: Path
    numbers: Sequence[int]


def find_series(path: StrPath) -> Series:
    """Return the images of a folder, or those that fit a pattern (``frames/%06d.jpg``).

    Raises:
        ClipError: the folder is missing, or holds no numbered images, several series of them, or
            one that is numbered in two ways.
    """
    path = Path(path)
    by_pattern = is_image_pattern(path.name)
    folder = path.parent if by_pattern else path
    try:
        names = sorted(names_in(folder))
    except OSError as error:
        raise ClipError(f"{folder} cannot be read: {error.strerror}", "Correct the path.") from None
    found = {path.name: image_numbers(path)} if by_pattern else _all_series(folder, names)
    found = {pattern: numbers for pattern, numbers in found.items() if numbers}
    if not found:
        there = (", ".join(names[:3]) or "nothing") + (", ..." if len(names) > 3 else "")
        raise ClipError(
            f"{path} has no numbered images; found: {there}",
            "Frames are files such as 000001.jpg, 000002.jpg; or name a video.",
        )
    if len(found) > 1:
        raise ClipError(
            f"{path} holds {len(found)} series of images: {', '.join(found)}",
            f"Name one of them: {path / min(found)}",
        )
    ((pattern, numbers),) = found.items()
    return Series(folder / pattern, sorted(numbers))


def image_numbers(pattern: StrPath) -> list[int]:
    """Return the numbers of the files that fit a pattern, ascending.

    Raises:
        OSError: their folder cannot be listed.
    """
    pattern = Path(pattern)
    head, tail = re.split(r"%\d*d", pattern.name)
    form = re.compile(f"{re.escape(head)}([0-9]{{1,9}}){re.escape(tail)}")
    matches = filter(None, map(form.fullmatch, names_in(pattern.parent)))
    return sorted(int(match[1]) for match in matches if pattern.name % int(match[1]) == match[0])


def _all_series(folder: Path, names: Sequence[str]) -> dict[str, list[int]]:
    """Return the numbers of each series by its pattern."""
    groups: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for name in names:
        match = _NUMBERED.fullmatch(name)
        if match and match[3].lower() in IMAGE_SUFFIXES:
            groups[match[1], match[3]].append(match[2])
    found: dict[str, list[int]] = {}
    for (head, suffix), digits in groups.items():
        zeros = [text for text in digits if len(text) > 1 and text.startswith("0")]
        form = f"%0{len(zeros[0])}d" if zeros else "%d"
        odd = [text for text in digits if form % int(text) != text]
        if odd:
            raise ClipError(
                f"{folder} numbers its images in two ways: {head}{zeros[0]}{suffix} and"
                f" {head}{odd[0]}{suffix}",
                "Give all numbers the same number of digits.",
            )
        # A name that holds a % of its own must not become another pattern.
        found[f"{head.replace('%', '%%')}{form}{suffix}"] = [int(text) for text in digits]
    return found
