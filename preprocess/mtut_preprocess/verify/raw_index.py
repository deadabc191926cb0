"""The index of a raw folder: the SHA-256 of each recording, the user's own checksums.

Datasets on request come without them. ``mtut-bench-index.json`` in the raw folder is written once
over a folder that is known to be good and checked whenever it is verified again. A video is one
entry; of numbered images each folder is one, for they are millions: the hash of the lines that
``sha256sum`` prints for the frames that clips use, sorted by name.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtut_bench.errors import DatasetError, MtutBenchError
from mtut_bench.files import StrPath, read_json, write_json
from mtut_preprocess.reading.images import is_image_pattern

__all__ = ["INDEX_NAME", "Entry", "format_ranges", "read_index", "write_index"]

INDEX_NAME = "mtut-bench-index.json"
_VERSION = 1
_RANGES = re.compile(r"\d{1,9}(-\d{1,9})?( \d{1,9}(-\d{1,9})?)*")
_MAX_FRAMES = 10_000_000


@dataclass(frozen=True)
class Entry:
    """What is recorded of one recording.

    Attributes:
        sha256: 64 hexadecimal digits.
        num_bytes: size, of all files together.
        frames: numbers of the image files that are covered; () for a video.
    """

    sha256: str
    num_bytes: int
    frames: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready record."""
        record: dict[str, Any] = {"sha256": self.sha256, "bytes": self.num_bytes}
        if self.frames:
            record |= {"files": len(self.frames), "frames": format_ranges(self.frames)}
        return record


def read_index(root: StrPath) -> dict[str, Entry] | None:
    """Return the entry of each recording (path relative to the root), or None where no index is.

    Raises:
        DatasetError: the index is malformed or of a newer version.
    """
    root = Path(root)
    path = root / INDEX_NAME
    if not path.exists():
        return None
    hint = f"Delete {path} and record the files anew: verify with --write-index."
    record = read_json(path, DatasetError, hint)
    if not isinstance(record, dict) or not isinstance(record.get("format_version"), int):
        raise DatasetError(f"{path} is not an index of mtut-bench", hint)
    if record["format_version"] > _VERSION:
        raise DatasetError(
            f"{path} has format version {record['format_version']}; this mtut-bench reads up to"
            f" {_VERSION}",
            "Install a newer mtut-bench, or delete the file.",
        )
    recordings = record.get("recordings")
    if not isinstance(recordings, dict):
        raise DatasetError(f"{path} has no 'recordings'", hint)
    try:
        return {name: _parse_entry(name, entry) for name, entry in recordings.items()}
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{path} is malformed: {error}", hint) from error


def write_index(root: StrPath, dataset: str, entries: Mapping[str, Entry]) -> None:
    """Write the index, whole or not at all.

    Raises:
        DatasetError: the raw folder is not writable.
    """
    root = Path(root)
    recordings = {name: entries[name].to_json() for name in sorted(entries)}
    record = {"format_version": _VERSION, "dataset": dataset, "recordings": recordings}
    try:
        write_json(root / INDEX_NAME, record)
    except MtutBenchError as error:
        raise DatasetError(
            error.what,
            "Make the raw folder writable for this one command, or verify without --write-index.",
        ) from error


def format_ranges(numbers: Iterable[int]) -> str:
    """Return numbers as text: '1-38 60 99-120'."""
    spans: list[list[int]] = []
    for number in sorted(set(numbers)):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return " ".join(f"{a}-{b}" if a < b else str(a) for a, b in spans)


def _parse_ranges(text: str) -> tuple[int, ...]:
    """Return the numbers of :func:`format_ranges`.

    Raises:
        ValueError: the text is none of its.
    """
    if not _RANGES.fullmatch(text):
        raise ValueError(f"frames {text!r}")
    spans = [[int(end) for end in part.split("-")] for part in text.split()]
    if sum(span[-1] - span[0] + 1 for span in spans) > _MAX_FRAMES:
        raise ValueError(f"frames {text!r} are too many")
    return tuple(number for span in spans for number in range(span[0], span[-1] + 1))


def _parse_entry(name: str, record: Any) -> Entry:  # noqa: ANN401 - any JSON value
    sha256, num_bytes = record["sha256"], record["bytes"]
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise ValueError(f"{name}: sha256 {sha256!r}")
    if type(num_bytes) is not int or num_bytes < 0:
        raise ValueError(f"{name}: bytes {num_bytes!r}")
    if ("frames" in record) != is_image_pattern(Path(name).name):
        raise ValueError(f"{name}: frames belong to a pattern of images, and to that alone")
    frames = _parse_ranges(record["frames"]) if "frames" in record else ()
    return Entry(sha256, num_bytes, frames)
