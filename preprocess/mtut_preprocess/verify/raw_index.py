"""The index of a raw folder: the SHA-256 of each recording, the user's own checksums.

Datasets on request come without checksums. ``mtut-bench-index.json`` is written once over a folder
that is known to be good, and every later verify compares with it. A video is one entry. Numbered
images are millions, so each folder is one: the hash of the lines that ``sha256sum`` prints for the
frames that clips use, sorted by name.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec

from mtut_bench.errors import DatasetError
from mtut_bench.files import StrPath, read_json, write_json
from mtut_preprocess.reading.images import is_image_pattern

__all__ = ["INDEX_NAME", "Entry", "format_ranges", "read_index", "save_index"]

INDEX_NAME = "mtut-bench-index.json"
_VERSION = 1
_RANGES = re.compile(r"\d{1,9}(-\d{1,9})?( \d{1,9}(-\d{1,9})?)*")
_MAX_FRAMES = 10_000_000


@dataclass(frozen=True)
class Entry:
    """One recording in the index.

    Attributes:
        sha256: 64 hexadecimal digits.
        num_bytes: size of all files together.
        frames: numbers of the image files that are covered; () for a video.
    """

    sha256: str
    num_bytes: int
    frames: tuple[int, ...] = ()


class _Recording(msgspec.Struct, omit_defaults=True):
    """An entry in the file."""

    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    bytes: Annotated[int, msgspec.Meta(ge=0)]
    files: int = 0
    frames: str | None = None


class _Index(msgspec.Struct):
    """The whole file."""

    format_version: int
    dataset: str
    recordings: dict[str, _Recording]


def read_index(root: StrPath) -> dict[str, Entry] | None:
    """Return the entry of each recording (path relative to the root), or None without an index.

    Raises:
        DatasetError: the index is malformed or of a newer version.
    """
    path = Path(root) / INDEX_NAME
    if not path.exists():
        return None
    hint = f"Delete {path} and run verify with --write-index."
    record = read_json(path, DatasetError, hint)
    version = record.get("format_version") if isinstance(record, dict) else None
    if isinstance(version, int) and version > _VERSION:
        raise DatasetError(
            f"{path} has format version {version}; this mtut-bench reads up to {_VERSION}",
            "Install a newer mtut-bench, or delete the file.",
        )
    try:
        recordings = msgspec.convert(record, _Index).recordings
        return {
            name: Entry(found.sha256, found.bytes, _parse_frames(name, found.frames))
            for name, found in recordings.items()
        }
    except (msgspec.ValidationError, ValueError) as error:
        raise DatasetError(f"{path} is malformed: {error}", hint) from error


def save_index(root: StrPath, dataset: str, entries: Mapping[str, Entry]) -> None:
    """Write the index completely or not at all.

    Raises:
        MtutBenchError: it cannot be written.
    """
    recordings = {
        name: _Recording(e.sha256, e.num_bytes, len(e.frames), format_ranges(e.frames) or None)
        for name, e in sorted(entries.items())
    }
    record: dict[str, Any] = msgspec.to_builtins(_Index(_VERSION, dataset, recordings))
    write_json(Path(root) / INDEX_NAME, record)


def format_ranges(numbers: Iterable[int]) -> str:
    """Return numbers as text: '1-38 60 99-120'."""
    spans: list[list[int]] = []
    for number in sorted(set(numbers)):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return " ".join(f"{a}-{b}" if a < b else str(a) for a, b in spans)


def _parse_frames(name: str, text: str | None) -> tuple[int, ...]:
    """Return the numbers of :func:`format_ranges`."""
    if (text is not None) != is_image_pattern(Path(name).name):
        raise ValueError(f"{name}: frames belong to a pattern of images only")
    if text is None:
        return ()
    if not _RANGES.fullmatch(text):
        raise ValueError(f"{name}: frames {text!r}")
    spans = [[int(end) for end in part.split("-")] for part in text.split()]
    if sum(span[-1] - span[0] + 1 for span in spans) > _MAX_FRAMES:
        raise ValueError(f"{name}: frames {text!r} are too many")
    return tuple(number for span in spans for number in range(span[0], span[-1] + 1))
