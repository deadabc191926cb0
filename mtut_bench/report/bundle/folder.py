"""The folder of a report: written whole, checked, and never one that mtut-bench did not create.

``report.json`` marks a folder as ours and lists the files of the report. It is written before the
others, marked incomplete, and again after them: a report that was stopped never passes for whole.
"""

import hashlib
import os
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import takewhile, zip_longest
from pathlib import Path
from typing import Literal, NamedTuple

from mtut_bench import __version__
from mtut_bench.errors import ReportError
from mtut_bench.files import StrPath, read_json, write_atomic, write_json
from mtut_bench.report.bundle.contents import contents_of
from mtut_bench.report.bundle.row_files import FOLDER, read_rows, row_files
from mtut_bench.typed import MisfitError, typed

__all__ = [
    "FIGURES",
    "PAGE",
    "RECORD",
    "Checked",
    "FileList",
    "check_report",
    "illustrations",
    "open_folder",
    "replace_files",
]

FIGURES = "figures"
PAGE = "index.html"
RECORD = "report.json"

_HINT = "Choose another folder: --out DIR."
_SHOWN = 60


@dataclass(frozen=True)
class FileList:
    """What ``report.json`` holds.

    Attributes:
        format_version: of the file.
        complete: whether every file was written.
        files: SHA-256 of each file by its name below the report's folder.
        tool: release that wrote it.
    """

    format_version: Literal[1] = 1
    complete: bool = True
    files: dict[str, str] = field(default_factory=dict)
    tool: str = f"mtut-bench {__version__}"


def open_folder(out: StrPath) -> FileList:
    """Return the files of an earlier report in a folder; none where it is empty or absent.

    Raises:
        ReportError: it cannot be written to, holds files but no report, or its ``report.json`` is
            damaged.
    """
    out = Path(out)
    existing = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise ReportError(f"Cannot write to {out}: {existing} is not a writable folder.", _HINT)
    if (out / RECORD).is_file():
        return _read_list(out / RECORD)
    if out.exists() and any(out.iterdir()):
        raise ReportError(
            f"Refusing to overwrite {out}: not created by mtut-bench, since it has no {RECORD}.",
            _HINT,
        )
    return FileList()


def _read_list(path: Path) -> FileList:
    content = read_json(path, ReportError, _HINT)
    try:
        return typed(content, FileList)
    except MisfitError as fault:
        raise ReportError(
            f"{path} is damaged or from another release: {fault.field}: {fault.reason}.", _HINT
        ) from None


def illustrations(out: StrPath, before: FileList) -> dict[str, str]:
    """Return the SHA-256 of an earlier report's figures and page that are there, by name."""
    return {
        name: digest
        for name, digest in before.files.items()
        if name.startswith((PAGE, f"{FIGURES}/")) and (Path(out) / name).is_file()
    }


def replace_files(
    out: StrPath, files: Mapping[str, bytes], before: FileList, kept: Mapping[str, str]
) -> tuple[Path, ...]:
    """Write a report's files, remove those of the earlier one that it no longer has; return these.

    Args:
        out: folder of the report; made if absent.
        files: content by name.
        before: files of the earlier report.
        kept: SHA-256 by name of the earlier report's files that belong to this one too.

    Raises:
        ReportError: another CSV file among the rows, which are read as a whole.
    """
    out = Path(out)
    for path in sorted((out / FOLDER).glob("*.csv")):
        if f"{FOLDER}/{path.name}" not in {*files, *before.files}:
            raise ReportError(
                f"{path} is not part of this report; every CSV file there is read as rows.",
                "Move it out of the folder.",
            )
    digests = {name: _sha256(content) for name, content in files.items()} | dict(kept)
    # Until all are written, the files of both reports are ours.
    _write_list(out, FileList(complete=False, files={**before.files, **digests}))
    for name, content in files.items():
        write_atomic(out / name, content)
    # Only what lies in the folder, whatever its list may name.
    there = {path.relative_to(out).as_posix() for path in out.glob("**/*") if path.is_file()}
    removed = tuple(out / name for name in sorted(there & before.files.keys() - digests.keys()))
    for path in removed:
        path.unlink()
    _write_list(out, FileList(files=digests))
    return removed


def _write_list(out: Path, listed: FileList) -> None:
    content = asdict(listed)
    write_json(out / RECORD, content | {"files": dict(sorted(listed.files.items()))})


class Checked(NamedTuple):
    """What a check compared: the number of rows, and the files that were made again from them."""

    num_rows: int
    names: tuple[str, ...]


def check_report(out: StrPath) -> Checked:
    """Make all tables again from the rows of a report and compare them, byte for byte.

    Reads no run and writes nothing. Figures and page need the runs: they are compared with their
    digests in ``report.json``.

    Raises:
        ReportError: the report was stopped, or a file is missing, differs or is damaged; names
            file, line and hint.
    """
    out = Path(out)
    hint = (
        f"Write it again from its runs or rows: `mtut-bench report --out {shlex.quote(str(out))}`."
    )
    if not (out / RECORD).is_file():
        raise ReportError(f"{out} is not a report: {RECORD} is missing.", hint)
    listed = _read_list(out / RECORD)
    if not listed.complete:
        raise ReportError(f"The report in {out} is incomplete: writing was interrupted.", hint)
    for name in listed.files:
        if not (out / name).is_file():
            raise ReportError(f"{out / name} is missing.", hint)
    rows = read_rows(out / FOLDER)
    expected = {**row_files(rows), **contents_of(rows).files}
    for name, content in expected.items():
        found = (out / name).read_bytes() if (out / name).is_file() else b""
        if found != content:
            raise ReportError(
                f"{out / name} does not match the rows: {_first_difference(found, content)}.",
                hint,
            )
    for name in listed.files.keys() - expected.keys():
        if _sha256((out / name).read_bytes()) != listed.files[name]:
            raise ReportError(f"{out / name} has changed since it was written.", hint)
    return Checked(len(rows), tuple(expected))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _first_difference(found: bytes, expected: bytes) -> str:
    """Return in words where two different contents of a file differ first."""
    lines = (text.decode(errors="replace").splitlines(True) for text in (found, expected))
    pairs = enumerate(zip_longest(*lines, fillvalue=""), 1)
    # Bytes that are no text may look alike.
    number, pair = next(((n, pair) for n, pair in pairs if pair[0] != pair[1]), (1, ("", "")))
    same = takewhile(lambda two: two[0] == two[1], zip(*pair, strict=False))
    start = max(0, len(list(same)) - _SHOWN // 3)
    here, wanted = (line[start : start + _SHOWN] for line in pair)
    return f"line {number} has {here!r}, not {wanted!r}"
