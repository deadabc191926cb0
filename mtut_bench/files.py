"""Whole files or none: atomic writes, canonical JSON, locks that die with their holder."""

import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mtut_bench.errors import BusyError, MtutBenchError

__all__ = [
    "UNREADABLE_ARRAYS",
    "StrPath",
    "canonical_json",
    "hold_lock",
    "read_json",
    "sha256_of_json",
    "sync",
    "write_atomic",
    "write_json",
]

StrPath = str | os.PathLike[str]
"""Where a file or folder lies; what public functions take."""

UNREADABLE_ARRAYS = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    RuntimeError,
    OverflowError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What reading a damaged .npz file raises."""


def sync(path: StrPath) -> None:
    """Make the content of a file, or the names in a folder, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomic(path: StrPath, data: bytes) -> None:
    """Write a file that a reader sees whole or not at all.

    Args:
        path: destination; an existing file is replaced in one step.
        data: its content.

    Raises:
        MtutBenchError: the disk is full or the folder is not writable; nothing is left behind.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync(path.parent)
    except OSError as error:
        raise MtutBenchError(
            f"cannot write {path}: {error.strerror or error}",
            "Free some space or choose a writable folder.",
        ) from error
    finally:
        # Gone after the rename; left after a fault or ctrl-C. Where the folder itself is missing
        # or read-only there is nothing to remove.
        with suppress(OSError):
            temporary.unlink()


def canonical_json(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """Return the one JSON text of a value: sorted keys, no spaces, no NaN.

    Identities and digests are made from this text, never from ``repr``.
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def sha256_of_json(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """Return the SHA-256 (64 hexadecimal digits) of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def write_json(path: StrPath, value: Any) -> None:  # noqa: ANN401 - any JSON value
    """Write a value as indented JSON, atomically."""
    write_atomic(path, (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode())


def read_json(
    path: StrPath,
    error: type[MtutBenchError],
    hint: str,
    *,
    loads: Callable[[str], Any] = json.loads,
) -> Any:  # noqa: ANN401 - any JSON value
    """Return the value of a JSON file.

    Raises:
        MtutBenchError: of the given type, naming the file, with the given hint.
    """
    path = Path(path)
    try:
        return loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise error(f"{path} does not exist", hint) from None
    # ValueError: other encodings, no JSON, numbers of thousands of digits.
    except (OSError, ValueError, RecursionError) as fault:
        raise error(f"{path} cannot be read as JSON: {fault}", hint) from fault


@contextmanager
def hold_lock(path: StrPath, what: str, *, wait: bool = False) -> Iterator[None]:
    """Hold an exclusive lock for the duration of a block.

    The kernel (``flock``) releases it when the process ends, however that happens; forked children
    do not inherit it. The file itself stays.

    Args:
        path: lock file.
        what: what is locked, for the message.
        wait: wait for another holder instead of raising.

    Raises:
        BusyError: another process holds it and ``wait`` is False.
        MtutBenchError: the lock file cannot be written, or its file system has no locks.
    """
    # Here: most commands lock nothing.
    from filelock import FileLock, Timeout

    path = Path(path)

    def sign(descriptor: int) -> None:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())

    # A soft lock would outlive a killed process.
    lock = FileLock(path, -1 if wait else 0, on_acquired=sign, fallback_to_soft=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        holder = path.read_text().strip() or "unknown"
        raise BusyError(
            f"{what} is in use by process {holder} ({path})",
            "Wait for it to finish, or stop it; the lock is released when it exits.",
        ) from None
    except OSError as error:
        raise MtutBenchError(
            f"cannot lock {what}: {error.strerror or error} ({path})",
            "Choose a writable folder.",
        ) from error
    try:
        yield
    finally:
        lock.release()
