"""Synthetic twins: raw folders in the layout of a real dataset, read by its ordinary adapter.

A hand of palm and five fingers is posed by joint angles and drawn with a depth buffer, in colour
and in depth. Every clip is a pure function of (generator version, twin, seed, clip id).
"""

from collections.abc import Callable

from mtut_bench.errors import UsageError
from mtut_bench.files import StrPath
from mtut_preprocess.synthetic import egogesture, nvgesture, viva
from mtut_preprocess.synthetic.dataset import (
    GENERATOR_VERSION,
    SIZES,
    Settings,
    Size,
    SyntheticDataset,
)
from mtut_preprocess.synthetic.difficulty import DIFFICULTY, Difficulty
from mtut_preprocess.synthetic.generator import write_twin

__all__ = [
    "GENERATOR_VERSION",
    "SIZES",
    "SYNTHETIC",
    "Settings",
    "Size",
    "SyntheticDataset",
    "check_size",
    "generate",
]

SYNTHETIC: dict[str, SyntheticDataset] = {
    "viva-synthetic": SyntheticDataset(
        name="viva-synthetic",
        dataset="viva",
        expected_clips=viva.EXPECTED_CLIPS,
        clips=viva.clips,
        files=viva.files,
        write_clip=viva.write_clip,
        write_index=viva.write_index,
        sizes=SIZES,
    ),
    "nvgesture-synthetic": SyntheticDataset(
        name="nvgesture-synthetic",
        dataset="nvgesture",
        expected_clips=nvgesture.EXPECTED_CLIPS,
        clips=nvgesture.clips,
        files=nvgesture.files,
        write_clip=nvgesture.write_clip,
        write_index=nvgesture.write_index,
    ),
    "egogesture-synthetic": SyntheticDataset(
        name="egogesture-synthetic",
        dataset="egogesture",
        expected_clips=egogesture.EXPECTED_CLIPS,
        clips=egogesture.clips,
        files=egogesture.files,
        write_clip=egogesture.write_clip,
        write_index=egogesture.write_index,
        sizes=("tiny",),
        is_fixture=True,
    ),
}


def check_size(twin: str, size: Size) -> None:
    """Refuse a size that a twin has not.

    Args:
        twin: key of ``SYNTHETIC``.
        size: one of :data:`SIZES`.

    Raises:
        UsageError: no such twin, or it has no such size.
    """
    if twin not in SYNTHETIC:
        raise UsageError(f"there is no twin {twin!r}", f"Choose one of {', '.join(SYNTHETIC)}.")
    if size not in SIZES:
        raise UsageError(f"there is no size {size!r}", f"Choose one of {', '.join(SIZES)}.")
    found = SYNTHETIC[twin]
    if size not in found.sizes:
        why = ": it is a layout fixture, nothing can be measured on it" if found.is_fixture else ""
        raise UsageError(
            f"{twin} has no size {size!r}{why}",
            f"Take --size {' or '.join(found.sizes)}, or another twin.",
        )


def generate(
    twin: str,
    raw: StrPath,
    *,
    size: Size = "mini",
    seed: int = 0,
    whole: bool = False,
    difficulty: Difficulty | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write the raw folder of a twin; a call that was cut short is resumed by the next one.

    Args:
        twin: key of ``SYNTHETIC``.
        raw: folder, empty or of the same settings.
        size: one that the twin has; 'full' has as many clips as the real dataset.
        seed: another seed gives other persons and clips.
        whole: nvgesture-synthetic writes idle time around the gesture, as the real recordings
            have it; viva-synthetic has none.
        difficulty: other knobs than the twin's own; None: its own.
        workers: number of processes; the bytes do not depend on it.
        progress: called with (clips done, clips in all).

    Returns:
        Number of clips in the folder.

    Raises:
        UsageError: see ``check_size``.
        DatasetError: the folder holds other settings or foreign files.
    """
    check_size(twin, size)
    settings = Settings(twin, size, seed, whole, difficulty or DIFFICULTY.get(twin, Difficulty()))
    return write_twin(SYNTHETIC[twin], raw, settings, workers=workers, progress=progress)
