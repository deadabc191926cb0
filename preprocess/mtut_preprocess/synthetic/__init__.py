"""Synthetic twins: raw folders in the layout of a real dataset, read by its ordinary adapter.

A hand of palm and five fingers is posed by joint angles and drawn with a depth buffer, in colour
and in depth. Every clip is a pure function of (generator version, twin, seed, clip id).
"""

from collections.abc import Callable
from pathlib import Path

from mtut_bench.errors import UsageError
from mtut_preprocess.synthetic import nvgesture, viva
from mtut_preprocess.synthetic.generator import write_twin
from mtut_preprocess.synthetic.twin import GENERATOR_VERSION, SIZES, Settings, Size, Twin

__all__ = ["GENERATOR_VERSION", "SIZES", "TWINS", "Settings", "Size", "Twin", "generate"]

TWINS: dict[str, Twin] = {
    "viva-synthetic": Twin(
        name="viva-synthetic",
        dataset="viva",
        expected_clips=viva.EXPECTED_CLIPS,
        clips=viva.clips,
        files=viva.files,
        write_clip=viva.write_clip,
        write_index=viva.write_index,
    ),
    "nvgesture-synthetic": Twin(
        name="nvgesture-synthetic",
        dataset="nvgesture",
        expected_clips=nvgesture.EXPECTED_CLIPS,
        clips=nvgesture.clips,
        files=nvgesture.files,
        write_clip=nvgesture.write_clip,
        write_index=nvgesture.write_index,
    ),
}


def generate(
    twin: str,
    raw: Path,
    *,
    size: Size = "mini",
    seed: int = 0,
    whole: bool = False,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write the raw folder of a twin; a call that was cut short is resumed by the next one.

    Args:
        twin: key of ``TWINS``.
        raw: folder, empty or of the same settings.
        size: 'tiny', 'mini' or 'full' (as many clips as the real dataset).
        seed: another seed gives other persons and clips.
        whole: nvgesture-synthetic writes idle time around the gesture, as the real recordings
            have it; viva-synthetic has none.
        workers: number of processes; the bytes do not depend on it.
        progress: called with (clips done, clips in all).

    Returns:
        Number of clips in the folder.

    Raises:
        UsageError: no such twin or size.
        DatasetError: the folder holds other settings or foreign files.
    """
    if twin not in TWINS:
        raise UsageError(f"there is no twin {twin!r}", f"Choose one of {', '.join(TWINS)}.")
    if size not in SIZES:
        raise UsageError(f"there is no size {size!r}", f"Choose one of {', '.join(SIZES)}.")
    settings = Settings(twin=twin, size=size, seed=seed, whole=whole)
    return write_twin(TWINS[twin], raw, settings, workers=workers, progress=progress)
