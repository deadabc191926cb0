"""The record of a report, ``report.json``: which files it wrote, so that the next removes no other.

It is written twice: before the other files, marked incomplete and with the digests of those that
they replace, and after all of them. A report that was stopped in between is never taken for whole,
and the next one knows what of it is ours.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from mtut_bench import __version__
from mtut_bench.errors import ReportError
from mtut_bench.files import StrPath, read_json, sha256_of_json, write_json
from mtut_bench.report.bundle.row_files import FOLDER

__all__ = ["RECORD", "Record", "digest_of", "read_record", "rows_digest", "write_record"]

RECORD = "report.json"
"""Name of the record, in the folder of the report."""

_FORMAT_VERSION = 1
_CURE = "Restore it as it was written, or write into another folder (--out)."
_DIGEST_LENGTH = 64


@dataclass(frozen=True)
class Record:
    """What a report wrote.

    Attributes:
        complete: whether every file was written.
        rows: digest of the files of rows, see ``rows_digest``.
        files: SHA-256 of each file by its name below the report's folder.
        replaced: SHA-256 of what may stand there yet, while the report is incomplete.
    """

    complete: bool
    rows: str
    files: Mapping[str, str]
    replaced: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def known(self) -> dict[str, tuple[str, ...]]:
        """Return what each file of ours may hold, as SHA-256 by name."""
        names = sorted({*self.files, *self.replaced})
        return {
            name: tuple(
                sorted({*self.replaced.get(name, ()), *filter(None, [self.files.get(name)])})
            )
            for name in names
        }

    def wrote(self, name: str, content: bytes) -> bool:
        """Return whether a report of ours wrote a content.

        Args:
            name: of the file, below the report's folder.
            content: what it holds now.
        """
        return digest_of(content) in self.known().get(name, ())


def digest_of(content: bytes) -> str:
    """Return the SHA-256 of a file's content, 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def rows_digest(files: Mapping[str, bytes]) -> str:
    """Return the SHA-256 of all files of rows and their names.

    Args:
        files: content by name below the report's folder; others are passed over.
    """
    return sha256_of_json(
        {name: digest_of(files[name]) for name in files if name.startswith(f"{FOLDER}/")}
    )


def read_record(out: StrPath) -> Record | None:
    """Return the record of a report, or None where there is none.

    Args:
        out: folder of the report.

    Raises:
        ReportError: it is unreadable, of another format, or names files outside the folder.
    """
    out = Path(out)
    path = out / RECORD
    if not path.is_file():
        return None
    content = read_json(path, ReportError, _CURE)
    version = content.get("format_version") if isinstance(content, dict) else None
    if version != _FORMAT_VERSION:
        raise ReportError(
            f"{path} has format version {version!r}; this release reads {_FORMAT_VERSION}.", _CURE
        )
    try:
        return _record(content)
    except (AttributeError, KeyError, TypeError, ValueError) as fault:
        raise ReportError(f"{path} is no record of a report: {fault!r}.", _CURE) from None


def _record(content: Mapping[str, Any]) -> Record:
    complete, rows = content["complete"], content["rows"]
    if not isinstance(complete, bool):
        raise TypeError("complete")
    files = {_name(name): _digest(value) for name, value in content["files"].items()}
    replaced = {
        _name(name): tuple(_digest(value) for value in values)
        for name, values in content["replaced"].items()
    }
    return Record(complete, _digest(rows), files, replaced)


def _name(name: str) -> str:
    parts = PurePosixPath(name).parts
    if not 1 <= len(parts) <= 2 or ".." in parts or PurePosixPath(name).is_absolute():
        raise ValueError(name)
    return name


def _digest(value: object) -> str:
    if not isinstance(value, str) or len(value) != _DIGEST_LENGTH:
        raise ValueError(value)
    return value


def write_record(out: StrPath, record: Record) -> None:
    """Write the record of a report; equal records give equal bytes.

    Args:
        out: folder of the report.
        record: what to write.
    """
    out = Path(out)
    content = {
        "format_version": _FORMAT_VERSION,
        "tool": f"mtut-bench {__version__}",
        "complete": record.complete,
        "rows": record.rows,
        "files": dict(sorted(record.files.items())),
        "replaced": {name: list(digests) for name, digests in sorted(record.replaced.items())},
    }
    write_json(out / RECORD, content)
