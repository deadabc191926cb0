"""The recordings that a table names: each opened once; what frames and which rate they have.

Frames are stored as they are recorded, whatever the rate, so the rate must be the recordings' own:
``predict`` reads what has another rate at the store's, and would then see other frames than the
test did.
"""

import os
import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median_low
from typing import NamedTuple

from mtut_bench.errors import ClipError, DatasetError, did_you_mean
from mtut_bench.files import StrPath
from mtut_preprocess.datasets.manifest.table import (
    FIXED_COLUMNS,
    WINDOW_ENDS,
    Fault,
    Line,
    refuse,
)
from mtut_preprocess.reading.decode import (
    MAX_OVERSHOOT_FRAMES,
    Timing,
    count_packets,
    read_timing,
    same_rate,
)
from mtut_preprocess.reading.frames import names_in
from mtut_preprocess.reading.images import IMAGE_SUFFIXES, image_numbers, is_image_pattern

__all__ = ["DEFAULT_FPS", "Recording", "Recordings", "check_columns", "find_rate"]

DEFAULT_FPS = 30.0
"""Where neither the table nor a recording says: images alone."""


class _MissingError(DatasetError):
    """Nothing is there: a file is missing, or the text is not a path."""


@dataclass(frozen=True)
class Recording:
    """A video or a series of images.

    Attributes:
        path: file or pattern.
        name: the same, relative to the root.
        numbers: of its frames, ascending; at least one.
        timing: what a video says about its rate; None of images.
    """

    path: Path
    name: str
    numbers: Sequence[int]
    timing: Timing | None = None

    @property
    def is_images(self) -> bool:
        """Whether the numbers are those of image files."""
        return self.timing is None


class Recordings:
    """The recordings that a table names, each opened once.

    Args:
        root: folder that their paths are relative to and stay in.
    """

    def __init__(self, root: StrPath) -> None:
        self.root = Path(root)
        self._found: dict[str, Recording | DatasetError | ClipError] = {}

    def find(self, text: str) -> Recording:
        """Return the recording that a cell names.

        Raises:
            DatasetError: it leaves the root, is missing, or neither a file nor a pattern.
            ClipError: it is not a readable video.
        """
        if text not in self._found:
            try:
                self._found[text] = self._open(text)
            except (DatasetError, ClipError) as error:
                self._found[text] = error
            except OSError as error:
                # Too long for a file name: a remark, say.
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
            DatasetError: the recording or frames are missing, or the window is empty or too long.
            ClipError: the recording is not a readable video.
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
        pattern = "A series of images is given by a pattern, %d.png for 1, 2, ... or %05d.png."
        if is_image_pattern(path.name):
            numbers = image_numbers(path)
            if not numbers:
                there = ", ".join(sorted(names_in(path.parent))[:2]) or "nothing"
                raise _MissingError(f"no file matches {path}; found: {there}", pattern)
            return Recording(path, name, numbers)
        if path.is_dir():
            raise DatasetError(f"{name} is a folder", pattern)
        if not path.is_file():
            hint = "Correct the path (/ between folders, not \\), or copy the file."
            raise _MissingError(f"{path} does not exist", pattern if "%" in name else hint)
        if path.suffix.lower() in IMAGE_SUFFIXES:
            raise DatasetError(f"{name} is a single image", pattern)
        count = count_packets(path)
        if not count:
            raise ClipError(f"{path} has no frames", "Copy it again, or remove the clip.")
        return Recording(path, name, range(count), read_timing(path))

    def _locate(self, text: str) -> tuple[Path, str]:
        """Return the path below the root, and its name relative to the root."""
        root = self.root.absolute()
        wanted = Path(os.path.normpath(root / text))
        if Path(text).is_absolute() and not wanted.is_relative_to(root):
            # The same folder by another of its names.
            root, wanted = root.resolve(), wanted.resolve()
        if not wanted.is_relative_to(root):
            raise DatasetError(
                f"{text} is outside {self.root}",
                "With --raw give a folder that holds all recordings; paths are relative to it.",
            )
        relative = wanted.relative_to(root)
        return self.root / relative, relative.as_posix()


def _frame_number(line: Line, column: str) -> int | None:
    """Return the number in a cell of a window, None where it is empty.

    Raises:
        DatasetError: it is not a frame number.
    """
    text = line.cells.get(column, "")
    # Programs that keep empty cells among numbers write 12 as 12.0.
    match = re.fullmatch(r"([0-9]{1,9})(\.0*)?", text)
    if text and match is None:
        raise DatasetError(
            f"{column} {text!r} is not a frame number",
            "Videos count from 0, images have the number in their names.",
        )
    return int(match[1]) if match else None


def check_columns(
    modalities: Sequence[str], lines: Sequence[Line], recordings: Recordings, table: StrPath
) -> None:
    """Refuse a column that leads to no file at all: it may be a typing error.

    Raises:
        DatasetError: there is one.
    """
    for name in modalities:
        if not any(recordings.exists(line.cells[name]) for line in lines):
            windows = [other + end for other in modalities if other != name for end in WINDOW_ENDS]
            raise DatasetError(
                f"{table}: column {name!r} is read as a modality, but none of its "
                f"values is a file in {recordings.root}; line {lines[0].number}: "
                f"{lines[0].cells[name]!r}",
                f"{did_you_mean(name, [*FIXED_COLUMNS, *windows])}Paths are relative to the table's"
                " folder, or to --raw. A column whose name begins with '_' is ignored.",
            )


class _Use(NamedTuple):
    """A recording, and where the table names it first."""

    line: Line
    modality: str
    recording: Recording
    rate: float | None


def find_rate(
    lines: Sequence[Line], modalities: Sequence[str], recordings: Recordings, table: StrPath
) -> tuple[float, tuple[str, ...]]:
    """Return the frames per second of a table's recordings, and what is assumed about them.

    The table's ``fps`` counts even against the files: the header of a file may say what its writer
    was told and not what the camera did. Without it the files count: the median of their rates, of
    which none may differ by more than ``predict`` takes for the same rate (5 %).

    Raises:
        DatasetError: the table says nothing and the files have several rates.
    """
    uses: dict[str, _Use] = {}
    for line in lines:
        for modality in modalities:
            found = recordings.find(line.cells[modality])
            rate = found.timing.rate if found.timing else None
            uses.setdefault(found.name, _Use(line, modality, found, rate))
    rates = {name: use.rate for name, use in uses.items() if use.rate is not None}
    text = lines[0].cells.get("fps")
    if text:
        fps = float(text)
    elif rates:
        fps = median_low(rates.values())
        refuse(Path(table), list(_other_rates(uses, fps)))
    else:
        fps = DEFAULT_FPS
    return fps, tuple(_assumptions(uses, rates, fps, stated=bool(text)))


def _other_rates(uses: Mapping[str, _Use], fps: float) -> Iterator[Fault]:
    usual = next(use for use in uses.values() if use.rate == fps)
    for name, use in uses.items():
        if use.rate is not None and not same_rate(use.rate, fps):
            yield (
                use.line,
                f"{use.modality}: {name} has {use.rate:.4g} frames a second,"
                f" {usual.recording.name} (line {usual.line.number}) has {fps:.4g}",
                "Bring the files to one rate, or add a column 'fps': its value then "
                "applies to all of them, and every frame is used.",
            )


def _assumptions(
    uses: Mapping[str, _Use], rates: Mapping[str, float], fps: float, *, stated: bool
) -> Iterator[str]:
    odd = [name for name, rate in rates.items() if not same_rate(rate, fps)]
    silent = [name for name in uses if name not in rates]
    if stated and odd:
        yield (
            f"fps: the table says {fps:g}, {_some(odd)} {rates[odd[0]]:.4g}; the table "
            "is used, so predict "
            f"needs --fps {fps:g} for such files"
        )
    elif not stated and not rates:
        yield f"fps: not given in table or recordings; {fps:g} is assumed"
    elif not stated and silent:
        yield f"fps: not given in {_some(silent)}; {fps:.4g} is assumed, as in the others"
    low, high = min(rates.values(), default=fps), max(rates.values(), default=fps)
    if not stated and f"{low:.4g}" != f"{high:.4g}":
        yield f"fps: the recordings have {low:.4g} to {high:.4g}; {fps:.4g} is used"
    timings = {name: use.recording.timing for name, use in uses.items()}
    uneven = [(name, timing) for name, timing in timings.items() if timing and timing.is_uneven]
    if uneven:
        timing = uneven[0][1]
        yield (
            f"time: the frames of {_some([name for name, _ in uneven])} come unevenly, up to"
            f" {timing.drift_s:.2g} s from {timing.rate:.4g} a second; they are taken one after the"
            " other"
        )


def _some(names: Sequence[str]) -> str:
    """Return the first name and how many more there are."""
    return names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")
