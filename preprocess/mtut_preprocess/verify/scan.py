"""What each raw recording holds, read once: its frames, their sizes, its SHA-256."""

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
    """A video or a folder's images, and all that is asked of it.

    Attributes:
        name: path relative to the raw folder; of images with the pattern.
        path: the same from here.
        images: whether it is a pattern of image files.
        plane: how its frames are decoded.
        windows: frame numbers of each clip; none where only the index knows it.
        recorded: what the index says of it.
    """

    name: str
    path: Path
    images: bool
    plane: Plane
    windows: tuple[Sequence[int], ...]
    recorded: Entry | None = None


@dataclass(frozen=True)
class Scan:
    """What was found in a recording.

    Attributes:
        faults: of the recording alone.
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
    path, names = recording.path, (recording.name,)
    faults: list[Fault] = []
    entry: Entry | None = None
    count, sizes = 0, dict[tuple[int, int], int]()
    try:
        entry = _hash_video(path)
        if recording.windows:
            count, sizes = _decode_video(path, recording.plane)
    except FileNotFoundError:
        known = (
            f": sha256 {recording.recorded.sha256[:12]} is recorded" if recording.recorded else ""
        )
        faults.append(Fault("missing", names, f"{path} does not exist{known}"))
    except OSError as error:
        what = f"{path} cannot be read: {error.strerror or error}"
        faults.append(Fault("unreadable", names, what))
    except ClipError as error:
        faults.append(Fault("unreadable", names, error.what))
    faults += _check_one_size(recording, sizes)
    faults += _check_recorded(recording, entry)
    return Scan(tuple(faults), count, next(iter(sizes), None), entry, entry)


def _hash_video(path: Path) -> Entry:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return Entry(digest.hexdigest(), file.tell())


def _decode_video(path: Path, plane: Plane) -> tuple[int, dict[tuple[int, int], int]]:
    """Return the number of frames, and the first frame of each (height, width).

    Raises:
        ClipError: the file cannot be read to its end.
    """
    count, sizes = 0, dict[tuple[int, int], int]()
    for frame in decode_frames(path):
        if plane == "luma" and frame.format.components[0].bits != 8:
            raise ClipError(f"{path} has values of other than 8 bits")
        sizes.setdefault((frame.height, frame.width), count)
        count += 1
    if not count:
        raise ClipError(f"{path} holds no frame")
    return count, sizes


def _scan_images(recording: Recording) -> Scan:
    path, names = recording.path, (recording.name,)
    wanted = {number for window in recording.windows for number in window}
    recorded = set(recording.recorded.frames) if recording.recorded else set()
    files: dict[int, tuple[str, int]] = {}
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
            pass
        except OSError as error:
            bad[number] = f"{file} cannot be read: {error.strerror or error}"
        except ClipError as error:
            bad[number] = error.what
    faults: list[Fault] = []
    lost = (wanted | recorded) - files.keys() - bad.keys()
    if lost:
        others = f" (missing images: {format_ranges(lost)})" if len(lost) > 1 else ""
        first = path.with_name(path.name % min(lost))
        faults.append(Fault("missing", names, f"{first} does not exist{others}"))
    if bad:
        others = f" (unreadable images: {format_ranges(bad)})" if len(bad) > 1 else ""
        faults.append(Fault("unreadable", names, f"{next(iter(bad.values()))}{others}"))
    faults += _check_one_size(recording, sizes)
    faults += _check_recorded(recording, _hash_images(path, files, recorded))
    window_hashes = tuple(
        ""
        if lost.intersection(window) or bad.keys() & set(window)
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
    """Return the entry of some images; None where one is missing or there is none.

    Args:
        path: folder and pattern.
        files: (SHA-256, bytes) per number.
        numbers: which of them.
    """
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
