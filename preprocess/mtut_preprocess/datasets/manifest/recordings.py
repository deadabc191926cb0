"""The recordings that a table names: each video counted once, each folder listed once."""

import os
import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mtut_bench.errors import ClipError, DatasetError
from mtut_bench.files import StrPath
from mtut_preprocess.datasets.manifest.table import FIXED_COLUMNS, WINDOW_ENDS, Line, nearest_name
from mtut_preprocess.reading.decode import MAX_OVERSHOOT_FRAMES, Timing, count_packets, read_timing
from mtut_preprocess.reading.images import is_image_pattern

__all__ = ["Recording", "Recordings", "check_columns"]

_ONE_IMAGE = {".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}


class _MissingError(DatasetError):
    """Nothing is there: a file is missing, or the text is no path."""


@dataclass(frozen=True)
class Recording:
    """A video or a series of images.

    Attributes:
        path: file or pattern.
        name: the same, relative to the root.
        numbers: of its frames, ascending; at least one.
        is_images: whether the numbers are those of image files.
        timing: what a video says about its rate; None of images.
    """

    path: Path
    name: str
    numbers: Sequence[int]
    is_images: bool
    timing: Timing | None = None


class Recordings:
    """The recordings that a table names: each video counted once, each folder listed once."""

    def __init__(self, root: StrPath) -> None:
        self.root = Path(root)
        self._found: dict[str, Recording | DatasetError | ClipError] = {}
        self._listed: dict[Path, list[str]] = {}

    def find(self, text: str) -> Recording:
        """Return the recording that a cell names.

        Raises:
            DatasetError: it leaves the root, is missing, or neither a file nor a pattern.
            ClipError: it is no readable video.
        """
        if text not in self._found:
            try:
                self._found[text] = self._open(text)
            except (DatasetError, ClipError) as error:
                self._found[text] = error
            except OSError as error:
                # A remark as long as a text is no file name.
                self._found[text] = _MissingError(f"{text}: {error.strerror}", "Correct it.")
        found = self._found[text]
        if isinstance(found, Exception):
            raise found
        return found

    def exists(self, text: str) -> bool:
        """Return whether a cell leads to something, sound or not."""
        try:
            self.find(text)
        except (DatasetError, ClipError) as error:
            return not isinstance(error, _MissingError)
        return True

    def window(self, line: Line, modality: str) -> range:
        """Return the frame numbers of a clip in one modality.

        Raises:
            DatasetError: the recording or frames are missing, or the window is none.
            ClipError: the recording is no readable video.
        """
        start, stop = (_frame_number(line, modality + end) for end in WINDOW_ENDS)
        recording = self.find(line.cells[modality])
        numbers, name = recording.numbers, recording.name
        first = numbers[0] if start is None else start
        end = numbers[-1] + 1 if stop is None else stop
        slack = 0 if recording.is_images else MAX_OVERSHOOT_FRAMES
        if not first < end <= numbers[-1] + 1 + slack or first > numbers[-1]:
            fault = "is empty" if first >= end else "passes the end"
            raise DatasetError(
                f"the window [{first}, {end}) {fault}: {name} has frames"
                f" {numbers[0]} to {numbers[-1]}",
                "A window is half open: [0, 40) is the frames 0 to 39. Images have their numbers in"
                " their names.",
            )
        lacking = end - first - (bisect_left(numbers, end) - bisect_left(numbers, first))
        if recording.is_images and lacking:
            known = set(numbers)
            missing = next(number for number in range(first, end) if number not in known)
            raise DatasetError(
                f"{lacking} of {end - first} images are missing, the first is"
                f" {recording.path.with_name(recording.path.name % missing)}",
                "Copy them again, or give a window without them.",
            )
        return range(first, end)

    def pass_ends(self, line: Line, windows: Mapping[str, range]) -> bool:
        """Return whether a clip asks for frames after a recording's last."""
        return any(w[-1] > self.find(line.cells[m]).numbers[-1] for m, w in windows.items())

    def _open(self, text: str) -> Recording:
        path, name = self._locate(text)
        if is_image_pattern(path.name):
            return Recording(path, name, self._image_numbers(path), is_images=True)
        pattern = "A series of images is given by a pattern, %d.png for 1, 2, ... or %05d.png."
        if path.is_dir():
            raise DatasetError(f"{name} is a folder", pattern)
        if not path.is_file():
            hint = (
                "Write / between folders, not \\."
                if "\\" in text
                else "Correct the path, or copy the file."
            )
            raise _MissingError(f"{path} does not exist", pattern if "%" in name else hint)
        if path.suffix.lower() in _ONE_IMAGE:
            raise DatasetError(f"{name} is one image", pattern)
        count = count_packets(path)
        if not count:
            raise ClipError(f"{path} holds no frame", "Copy it again, or take the clip away.")
        return Recording(path, name, range(count), is_images=False, timing=read_timing(path))

    def _locate(self, text: str) -> tuple[Path, str]:
        """Return the path below the root, and its name relative to the root."""
        root = self.root.absolute()
        wanted = Path(os.path.normpath(root / text))
        if Path(text).is_absolute() and not wanted.is_relative_to(root):
            # The same folder by another of its names.
            root, wanted = root.resolve(), wanted.resolve()
        if not wanted.is_relative_to(root):
            raise DatasetError(
                f"{text} lies outside {self.root}",
                "Name a folder that holds all recordings with --raw; paths are relative to it.",
            )
        relative = wanted.relative_to(root)
        return self.root / relative, relative.as_posix()

    def _image_numbers(self, path: Path) -> Sequence[int]:
        folder = path.parent
        if folder not in self._listed:
            try:
                self._listed[folder] = sorted(os.listdir(folder))  # noqa: PTH208 - names are enough
            except OSError as error:
                raise _MissingError(f"{folder}: {error.strerror}", "Correct the path.") from None
        head, tail = re.split(r"%\d*d", path.name)
        form = re.compile(f"{re.escape(head)}([0-9]{{1,9}}){re.escape(tail)}")
        matches = filter(None, map(form.fullmatch, self._listed[folder]))
        numbers = sorted(int(m[1]) for m in matches if path.name % int(m[1]) == m[0])
        if not numbers:
            there = ", ".join(self._listed[folder][:2]) or "nothing"
            raise _MissingError(
                f"no file fits {path}; there: {there}",
                "In a pattern %d is 1, 2, ... and %05d is 00001, 00002, ...",
            )
        return numbers


def _frame_number(line: Line, column: str) -> int | None:
    """Return the number in a cell of a window, None where it is empty.

    Raises:
        DatasetError: it is no frame number.
    """
    text = line.cells.get(column, "")
    # Programs that keep empty cells among numbers write 12 as 12.0.
    match = re.fullmatch(r"([0-9]{1,9})(\.0*)?", text)
    if text and match is None:
        raise DatasetError(
            f"{column} {text!r} is no frame number",
            "Videos count from 0, images have the number in their names.",
        )
    return int(match[1]) if match else None


def check_columns(
    modalities: Sequence[str], lines: Sequence[Line], recordings: "Recordings", table: StrPath
) -> None:
    """Refuse a column that leads to no file at all: it may be no modality but a slip."""
    for name in modalities:
        if not any(recordings.exists(line.cells[name]) for line in lines):
            windows = [other + end for other in modalities if other != name for end in WINDOW_ENDS]
            near = nearest_name(name, [*FIXED_COLUMNS, *windows])
            raise DatasetError(
                f"{table}: column {name!r} is taken for a modality, and none of its values leads to"
                f" a file in {recordings.root}; line {lines[0].number}: {lines[0].cells[name]!r}",
                (f"Is it {near!r}? " if near else "")
                + "Paths are relative to the table's folder, or to --raw. A column whose name"
                " begins with '_' is passed over.",
            )
