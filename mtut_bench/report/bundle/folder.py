"""The folder of a report: what in it is ours, and how files of ours come and go.

Nothing that a user put there is replaced or removed: see :mod:`mtut_bench.report.bundle.record`.
"""

import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from mtut_bench.errors import ReportError
from mtut_bench.files import StrPath, write_atomic
from mtut_bench.report.bundle.record import Record, digest_of, rows_digest, write_record
from mtut_bench.report.bundle.row_files import FOLDER

__all__ = [
    "FIGURES",
    "PAGE",
    "Replaced",
    "ensure_ours",
    "ensure_writable",
    "illustrations_that_stay",
    "is_illustration",
    "replace_files",
]

FIGURES = "figures"
PAGE = "index.html"

_CURE = "Write the report into another folder, --out DIR, or move this away."


@dataclass(frozen=True)
class Replaced:
    """What became of the files of an earlier report that a new one no longer gives.

    Attributes:
        removed: those that were as they had been written.
        changed: those that somebody has changed since, and that stay.
    """

    removed: tuple[Path, ...]
    changed: tuple[Path, ...]


def ensure_writable(out: StrPath) -> None:
    """Ensure, before any work, that a report can be written; leaves nothing behind.

    Args:
        out: folder of the report; may be absent.

    Raises:
        ReportError: it is a file or lies below one, or may not be written to.
    """
    out = Path(out)
    existing = next(path for path in (out, *out.absolute().parents) if path.exists())
    folders = [existing, *(out / name for name in (FOLDER, FIGURES) if (out / name).exists())]
    for folder in folders:
        if not folder.is_dir():
            what = "" if folder == out else f" to {out}"
            raise ReportError(f"Cannot write{what}: {folder} is a file, no folder.", _CURE)
        try:
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as fault:
            raise ReportError(
                f"Cannot write to {folder}: {fault.strerror or fault}.",
                "Choose a folder that you may write to: --out DIR.",
            ) from None


def ensure_ours(out: StrPath, files: Mapping[str, bytes | None], before: Record | None) -> None:
    """Ensure that a new report replaces nothing but files of an earlier one.

    Args:
        out: folder of the report.
        files: content by name of what will be written; None where it is not known yet.
        before: record of the earlier report.

    Raises:
        ReportError: a file of such a name that no report is known to have written, or another
            file among the rows, which are read as a whole.
    """
    out = Path(out)
    known = before.known() if before else {}
    for name, content in files.items():
        path = out / name
        if path.exists() and not path.is_file():
            raise ReportError(f"{path} is a folder; a report has a file there.", _CURE)
        if path.exists() and name not in known and path.read_bytes() != content:
            raise ReportError(f"{path} was written by no report of ours.", _CURE)
    for path in sorted((out / FOLDER).glob("*.csv")):
        name = f"{FOLDER}/{path.name}"
        if name not in files and not _is_ours(path, name, before):
            raise ReportError(
                f"{path} was not written by the last report, or was changed since; every CSV file "
                "there counts as rows.",
                "Move it out of the folder.",
            )


def is_illustration(name: str) -> bool:
    """Return whether a file of a report needs its runs, not only its rows.

    Args:
        name: of the file, below the report's folder.
    """
    return name == PAGE or name.startswith(f"{FIGURES}/")


def illustrations_that_stay(out: StrPath, before: Record | None) -> tuple[str, ...]:
    """Return the names of an earlier report's figures and page that go with the rows it left.

    Args:
        out: folder of the report.
        before: record of the earlier report; of one that was stopped, only its own drawings count.
    """
    out = Path(out)
    if before is None:
        return ()
    return tuple(
        name
        for name, digest in before.files.items()
        if is_illustration(name)
        and (out / name).is_file()
        and (before.complete or digest_of((out / name).read_bytes()) == digest)
    )


def replace_files(
    out: StrPath, files: Mapping[str, bytes], before: Record | None, kept: Collection[str]
) -> Replaced:
    """Write a report's files and remove those of the earlier one that it no longer gives.

    Args:
        out: folder of the report; made if absent.
        files: content by name.
        before: record of the earlier report.
        kept: names of the earlier report's files that stay and belong to this one too.
    """
    out = Path(out)
    known = before.known() if before else {}
    digests = {name: digest_of(content) for name, content in files.items()}
    if before:
        digests |= {name: before.files[name] for name in kept}
    rows = rows_digest(files)
    write_record(out, Record(False, rows, digests, known))
    for name, content in files.items():
        write_atomic(out / name, content)
    removed, changed = [], []
    for name in sorted(known.keys() - digests.keys()):
        path = out / name
        if not path.is_file():
            continue
        if _is_ours(path, name, before):
            path.unlink()
            removed.append(path)
        else:
            changed.append(path)
    write_record(out, Record(True, rows, digests))
    return Replaced(tuple(removed), tuple(changed))


def _is_ours(path: Path, name: str, before: Record | None) -> bool:
    return before is not None and path.is_file() and before.wrote(name, path.read_bytes())
