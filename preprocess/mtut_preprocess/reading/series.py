"""A folder of numbered images, recognised by its names alone."""

import os
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mtut_bench.errors import ClipError
from mtut_bench.files import StrPath
from mtut_preprocess.reading.images import is_image_pattern

__all__ = ["IMAGE_SUFFIXES", "Series", "find_series"]

IMAGE_SUFFIXES = {".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}

_NUMBERED = re.compile(r"(.*?)([0-9]{1,9})(\.[^.]+)")


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
        names = sorted(os.listdir(folder))  # noqa: PTH208 - names are enough
    except OSError as error:
        raise ClipError(f"{folder} cannot be read: {error.strerror}", "Correct the path.") from None
    found = {path.name: _fitting(path.name, names)} if by_pattern else _all_series(folder, names)
    found = {pattern: numbers for pattern, numbers in found.items() if numbers}
    if not found:
        there = (", ".join(names[:3]) or "nothing") + (", ..." if len(names) > 3 else "")
        raise ClipError(
            f"{path} holds no numbered images; there: {there}",
            "Frames are files such as 000001.jpg, 000002.jpg; or name a video.",
        )
    if len(found) > 1:
        raise ClipError(
            f"{path} holds {len(found)} series of images: {', '.join(found)}",
            f"Name one of them: {path / min(found)}",
        )
    ((pattern, numbers),) = found.items()
    return Series(folder / pattern, sorted(numbers))


def _fitting(pattern: str, names: Sequence[str]) -> list[int]:
    """Return the numbers of the names that a pattern gives."""
    head, tail = re.split(r"%\d*d", pattern)
    form = re.compile(f"{re.escape(head)}([0-9]{{1,9}}){re.escape(tail)}")
    matches = filter(None, map(form.fullmatch, names))
    return [int(match[1]) for match in matches if pattern % int(match[1]) == match[0]]


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
