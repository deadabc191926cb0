"""Reads a raw recording once: its frames, their sizes, its SHA-256."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mtut_bench.errors import ClipError
from mtut_bench.files import sha256_of_json
from mtut_bench.store.findings import Fault
from mtut_preprocess.reading.decode import decode_frames
from mtut_preprocess.reading.frames import Plane
from mtut_preprocess.reading.images import read_image
from mtut_preprocess.verify.raw_index import Entry, format_ranges

__all__ = ["Recording", "Scan", "format_size", "scan_recording"]


@dataclass(frozen=True)
class Recording:
    """A video or a folder of images, and what to check.

    Attributes:
        name: path relative to the raw folder; of images with the pattern.
        path: of the video, or of the images with the pattern.
        images: whether it is a pattern of image files.
        plane: how its frames are decoded.
        windows: frame numbers of each clip; none where only the index knows it.
        recorded: its entry in the index.
    """

    name: str
    path: Path
    images: bool
    plane: Plane
    windows: tuple[Sequence[int], ...]
    recorded: Entry | None = None


@dataclass(frozen=True)
class Scan:
    """What a recording holds.

    Attributes:
        faults: of this recording.
        num_frames: decoded frames, of images those that clips use; 0 where a video is unreadable.
        size: (height, width) of the first frame.
        entry: of what clips use; None where a part is missing.
        covered: of what clips use and what the index records.
        window_hashes: per window of images the hash of its frames, "" where one is missing.
    """

    faults: tuple[Fault, ...]
    num_frames: int
    size: tuple[int, int] | None
    entry: Entry | None
    covered: Entry | None
    window_hashes: tuple[str, ...] = ()


def scan_recording(recording: Recording) -> Scan:
    """Hash a recording and decode the frames that clips use, one at a time (of a video all)."""
    return _scan_images(recording) if recording.images else _scan_video(recording)


def _scan_video(recording: Recording) -> Scan:
    path = recording.path
    faults: list[Fault] = []
    entry: Entry | None = None
    count, sizes = 0, dict[tuple[int, int], int]()
    try:
        with path.open("rb") as file:
            entry = Entry(hashlib.file_digest(file, "sha256").hexdigest(), file.tell())
        if recording.windows:
            count, sizes = _decode_video(path, recording.plane)
    except FileNotFoundError:
        known = recording.recorded
        tail = f": sha256 {known.sha256[:12]} is recorded" if known else ""
        faults.append(Fault("missing", (recording.name,), f"{path} does not exist{tail}"))
    except (OSError, ClipError) as error:
        faults.append(Fault("unreadable", (recording.name,), _reason(path, error)))
    faults += _check_one_size(recording, sizes) + _check_recorded(recording, entry)
    return Scan(tuple(faults), count, next(iter(sizes), None), entry, entry)


def _reason(path: Path, error: OSError | ClipError) -> str:
    if isinstance(error, ClipError):
        return error.what
    return f"{path} cannot be read: {error.strerror or error}"


def _decode_video(path: Path, plane: Plane) -> tuple[int, dict[tuple[int, int], int]]:
    """Return the number of frames, and the first frame of each (height, width)."""
    count, sizes = 0, dict[tuple[int, int], int]()
    for frame in decode_frames(path):
        if plane == "luma" and frame.format.components[0].bits != 8:
            raise ClipError(f"{path} has values of other than 8 bits")
        sizes.setdefault((frame.height, frame.width), count)
        count += 1
    if not count:
        raise ClipError(f"{path} has no frames")
    return count, sizes


def _scan_images(recording: Recording) -> Scan:
    path = recording.path
    wanted = {number for window in recording.windows for number in window}
    recorded = set(recording.recorded.frames) if recording.recorded else set()
    files: dict[int, tuple[str, int]] = {}
    lost: list[int] = []
    bad: dict[int, str] = {}
    sizes: dict[tuple[int, int], int] = {}
    for number in sorted(wanted | recorded):
        file = path.with_name(path.name % number)
        try:
            data = file.read_bytes()
            files[number] = hashlib.sha256(data).hexdigest(), len(data)
            if number in wanted:
                height, width, _ = read_image(file, recording.plane).shape
                sizes.setdefault((height, width), number)
        except (FileNotFoundError, NotADirectoryError):
            lost.append(number)
        except (OSError, ClipError) as error:
            bad[number] = _reason(file, error)
    faults: list[Fault] = []
    if lost:
        others = f" (missing images: {format_ranges(lost)})" if len(lost) > 1 else ""
        what = f"{path.with_name(path.name % lost[0])} does not exist{others}"
        faults.append(Fault("missing", (recording.name,), what))
    if bad:
        others = f" (unreadable images: {format_ranges(bad)})" if len(bad) > 1 else ""
        what = f"{next(iter(bad.values()))}{others}"
        faults.append(Fault("unreadable", (recording.name,), what))
    faults += _check_one_size(recording, sizes)
    faults += _check_recorded(recording, _hash_images(path, files, recorded))
    window_hashes = tuple(
        ""
        if not bad.keys().isdisjoint(window) or not set(lost).isdisjoint(window)
        # Of the content alone: a copy has other numbers.
        else sha256_of_json([files[number][0] for number in window])
        for window in recording.windows
    )
    return Scan(
        faults=tuple(faults),
        num_frames=len(wanted & files.keys() - bad.keys()),
        size=next(iter(sizes), None),
        entry=_hash_images(path, files, wanted),
        covered=_hash_images(path, files, wanted | recorded),
        window_hashes=window_hashes,
    )


def _hash_images(
    path: Path, files: Mapping[int, tuple[str, int]], numbers: set[int]
) -> Entry | None:
    """Return the entry of the images with some numbers; None where one is missing or none asked."""
    if not numbers or not numbers <= files.keys():
        return None
    lines = sorted((path.name % number, files[number][0]) for number in numbers)
    digest = hashlib.sha256("".join(f"{sha256}  {name}\n" for name, sha256 in lines).encode())
    num_bytes = sum(files[number][1] for number in numbers)
    return Entry(digest.hexdigest(), num_bytes, tuple(sorted(numbers)))


def _check_one_size(recording: Recording, sizes: Mapping[tuple[int, int], int]) -> list[Fault]:
    if len(sizes) < 2:
        return []
    (first, _), (other, number) = list(sizes.items())[:2]
    what = f"{recording.path}: frame {number} has {format_size(other)} pixels"
    return [Fault("size", (recording.name,), f"{what}, those before {format_size(first)}")]


def _check_recorded(recording: Recording, found: Entry | None) -> list[Fault]:
    expected = recording.recorded
    if expected is None or found is None or found == expected:
        return []
    what = f"sha256 {found.sha256[:12]} instead of {expected.sha256[:12]}"
    if found.num_bytes != expected.num_bytes:
        what += f", {found.num_bytes:,} bytes instead of {expected.num_bytes:,}"
    return [Fault("changed", (recording.name,), f"{recording.path} is not as recorded: {what}")]


def format_size(size: tuple[int, int]) -> str:
    """Return a (height, width) as 'WxH'."""
    height, width = size
    return f"{width}x{height}"
