"""Writes a raw folder: resumable, the same bytes for any number of workers, no partial file."""

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import cv2

from mtut_bench.errors import DatasetError, UsageError
from mtut_bench.files import StrPath, read_json
from mtut_preprocess.convert.pool import run_parallel
from mtut_preprocess.synthetic import nvgesture, viva
from mtut_preprocess.synthetic.dataset import (
    FPS,
    GENERATOR_VERSION,
    Clip,
    Settings,
    Size,
    SyntheticDataset,
)
from mtut_preprocess.synthetic.difficulty import DIFFICULTY, Difficulty
from mtut_preprocess.synthetic.video import write_text

__all__ = ["SYNTHETIC", "check_size", "generate"]

SYNTHETIC: dict[str, SyntheticDataset] = {
    "viva-synthetic": SyntheticDataset(
        layout="viva",
        expected_clips=viva.EXPECTED_CLIPS,
        clips=viva.clips,
        files=viva.files,
        write_clip=viva.write_clip,
        write_index=viva.write_index,
        sizes=("tiny", "demo", "mini", "full"),
    ),
    "nvgesture-synthetic": SyntheticDataset(
        layout="nvgesture",
        expected_clips=nvgesture.EXPECTED_CLIPS,
        clips=nvgesture.clips,
        files=nvgesture.files,
        write_clip=nvgesture.write_clip,
        write_index=nvgesture.write_index,
        sizes=("tiny", "mini", "full"),
    ),
}

_MARKER = "synthetic.json"
_PARTIAL = "synthetic.partial.json"
_HINT = (
    "Finish it with the command that began it, choose an empty folder, or delete this one if"
    " nothing else needs it."
)


def check_size(dataset: str, size: Size) -> None:
    """Refuse a size that a synthetic dataset does not have.

    Args:
        dataset: key of ``SYNTHETIC``.
        size: how many clips.

    Raises:
        UsageError: no such dataset, or it has no such size.
    """
    if dataset not in SYNTHETIC:
        names = ", ".join(SYNTHETIC)
        raise UsageError(f"there is no synthetic dataset {dataset!r}", f"Choose one of {names}.")
    sizes = SYNTHETIC[dataset].sizes
    if size not in sizes:
        raise UsageError(f"{dataset} has no size {size!r}", f"Choose one of {', '.join(sizes)}.")


def generate(
    dataset: str,
    raw: StrPath,
    *,
    size: Size = "mini",
    seed: int = 0,
    whole: bool = False,
    difficulty: Difficulty | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write the raw folder of a synthetic dataset; an interrupted call is resumed by the next one.

    Args:
        dataset: key of ``SYNTHETIC``.
        raw: folder, empty or of the same settings; made where it is missing.
        size: one that the dataset has; 'full' has as many clips as the real dataset.
        seed: another seed gives other persons and clips.
        whole: nvgesture-synthetic writes idle time around the gesture, as the real recordings
            have it; viva-synthetic has none.
        difficulty: None: the dataset's own.
        workers: number of processes; the bytes do not depend on it.
        progress: called with (clips done, clips in all).

    Returns:
        Number of clips in the folder.

    Raises:
        UsageError: see ``check_size``.
        DatasetError: the folder holds other settings or foreign files.
    """
    check_size(dataset, size)
    raw, chosen = Path(raw), SYNTHETIC[dataset]
    settings = Settings(dataset, size, seed, whole, difficulty or DIFFICULTY[dataset])
    planned = chosen.clips(settings)
    _check_folder(raw, settings)
    missing = [
        clip for clip in planned if not all(path.is_file() for path in chosen.files(raw, clip))
    ]
    if (raw / _MARKER).exists() and not missing:
        return len(planned)
    raw.mkdir(parents=True, exist_ok=True)
    write_text(raw / _PARTIAL, _to_text(_identity(settings)))
    (raw / _MARKER).unlink(missing_ok=True)
    write = partial(_write, chosen.write_clip, raw, settings)
    with closing(run_parallel(write, missing, workers)) as results:
        for done, _ in enumerate(results, start=len(planned) - len(missing) + 1):
            if progress is not None:
                progress(done, len(planned))
    chosen.write_index(raw, planned, settings)
    facts = {"num_clips": len(planned), "expected_clips": chosen.expected_clips, "fps": FPS}
    write_text(raw / _MARKER, _to_text({**_identity(settings), **facts}))
    (raw / _PARTIAL).unlink()
    return len(planned)


def _write(
    write_clip: Callable[[Path, Clip, Settings], None], raw: Path, settings: Settings, clip: Clip
) -> None:
    """Write one clip, in whichever process."""
    # Workers share the cores already; and one thread leaves no order of sums to chance.
    cv2.setNumThreads(1)
    write_clip(raw, clip, settings)


def _identity(settings: Settings) -> dict[str, Any]:
    """Return what two folders of the same bytes have in common."""
    values = asdict(settings)
    # The name under which folders have recorded it since version 1.
    return {"generator_version": GENERATOR_VERSION, "twin": values.pop("dataset"), **values}


def _to_text(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2) + "\n"


def _check_folder(raw: Path, settings: Settings) -> None:
    """Refuse a folder that these settings may not write into."""
    if raw.exists() and not raw.is_dir():
        raise DatasetError(f"{raw} is a file, not a folder", _HINT)
    for name in (_MARKER, _PARTIAL):
        if (raw / name).exists():
            _check_marker(raw / name, settings)
            return
    # A process killed while it wrote its first marker leaves nothing but that temporary file.
    names = sorted(path.name for path in raw.glob("*") if path.suffix != ".part")
    if names:
        raise DatasetError(
            f"{raw} was not written by this generator: it holds {', '.join(names[:5])}", _HINT
        )


def _check_marker(marker: Path, settings: Settings) -> None:
    """Refuse a marker of other settings, and name every value that differs."""
    found = read_json(marker, DatasetError, _HINT)
    differing = [
        f"{key} is {found.get(key)!r} there and {value!r} here"
        for key, value in _identity(settings).items()
        if found.get(key) != value
    ]
    if differing:
        raise DatasetError(
            f"{marker.parent} holds another synthetic dataset: {'; '.join(differing)}", _HINT
        )
