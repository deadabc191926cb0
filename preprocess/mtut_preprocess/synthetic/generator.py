"""Writing a twin: resumable, the same bytes for any number of workers, no half-written file."""

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2

from mtut_bench.errors import DatasetError
from mtut_bench.files import StrPath, read_json
from mtut_preprocess.convert.pool import run_parallel
from mtut_preprocess.synthetic.dataset import (
    FPS,
    GENERATOR_VERSION,
    Clip,
    Settings,
    SyntheticDataset,
)
from mtut_preprocess.synthetic.video import write_text

__all__ = ["write_twin"]

_MARKER = "synthetic.json"
_PARTIAL = "synthetic.partial.json"
_CURE = (
    "Finish it with the command that began it, choose an empty folder, or delete this one if"
    " nothing else needs it."
)


@dataclass(frozen=True)
class _Task:
    """One clip to write; picklable."""

    write_clip: Callable[[Path, Clip, Settings], None]
    raw: Path
    clip: Clip
    settings: Settings


def write_twin(
    twin: SyntheticDataset,
    raw: StrPath,
    settings: Settings,
    *,
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> int:
    """Write all files of a twin that are not there yet.

    Args:
        twin: what to write.
        raw: folder; made where it is missing.
        settings: what decides the bytes.
        workers: number of processes; 1 stays in this one.
        progress: called with (clips done, clips in all).

    Returns:
        Number of clips in the folder.

    Raises:
        DatasetError: the folder holds other settings, or files that no twin wrote.
    """
    raw = Path(raw)
    planned = twin.clips(settings)
    _check_folder(raw, settings)
    missing = [
        clip for clip in planned if not all(path.is_file() for path in twin.files(raw, clip))
    ]
    if (raw / _MARKER).exists() and not missing:
        return len(planned)
    raw.mkdir(parents=True, exist_ok=True)
    write_text(raw / _PARTIAL, _to_text(_identity(settings)))
    (raw / _MARKER).unlink(missing_ok=True)
    done = len(planned) - len(missing)
    tasks = [_Task(twin.write_clip, raw, clip, settings) for clip in missing]
    with closing(run_parallel(_write, tasks, workers)) as results:
        for _ in results:
            done += 1
            if progress is not None:
                progress(done, len(planned))
    twin.write_index(raw, planned, settings)
    facts = {"num_clips": len(planned), "expected_clips": twin.expected_clips, "fps": FPS}
    write_text(raw / _MARKER, _to_text({**_identity(settings), **facts}))
    (raw / _PARTIAL).unlink()
    return len(planned)


def _write(task: _Task) -> None:
    """Write one clip, in whichever process."""
    # Workers share the cores already; and one thread leaves no order of sums to chance.
    cv2.setNumThreads(1)
    task.write_clip(task.raw, task.clip, task.settings)


def _identity(settings: Settings) -> dict[str, Any]:
    """Return what two folders of the same bytes have in common."""
    return {"generator_version": GENERATOR_VERSION, **asdict(settings)}


def _to_text(value: dict[str, Any]) -> str:
    """Return a JSON file's text."""
    return json.dumps(value, indent=2) + "\n"


def _check_folder(raw: Path, settings: Settings) -> None:
    """Refuse a folder that these settings may not write into.

    Raises:
        DatasetError: see ``write_twin``.
    """
    if raw.exists() and not raw.is_dir():
        raise DatasetError(f"{raw} is a file, not a folder", _CURE)
    for name in (_MARKER, _PARTIAL):
        if (raw / name).exists():
            _check_marker(raw / name, settings)
            return
    # A process killed while it wrote its first marker leaves nothing but that temporary file.
    names = sorted(path.name for path in raw.glob("*") if path.suffix != ".part")
    if names:
        raise DatasetError(
            f"{raw} was not written by this generator: it holds {', '.join(names[:5])}", _CURE
        )


def _check_marker(marker: Path, settings: Settings) -> None:
    """Refuse a marker of other settings.

    Raises:
        DatasetError: names every value that differs.
    """
    found = read_json(marker, DatasetError, _CURE)
    differing = [
        f"{key} is {found.get(key)!r} there and {value!r} here"
        for key, value in _identity(settings).items()
        if found.get(key) != value
    ]
    if differing:
        raise DatasetError(
            f"{marker.parent} holds another synthetic dataset: {'; '.join(differing)}", _CURE
        )
