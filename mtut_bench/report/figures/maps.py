"""The saved maps of a few fixed test clips of a run: ``maps.npz``, checked as it is read.

Axis letters: C channel, T time steps of the feature map, H and W its blocks, D = T*H*W blocks;
S the thumbnails of a clip, evenly spread over it.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtut_bench.contract.types import num_channels
from mtut_bench.errors import RunError
from mtut_bench.files import UNREADABLE_ARRAYS
from mtut_bench.runs.finished import FinishedRun
from mtut_bench.runs.record import HINT

__all__ = ["ClipMaps", "read_maps"]


@dataclass(frozen=True, eq=False)
class ClipMaps:
    """One fixed test clip as the networks of a run see it.

    Attributes:
        clip_id: one of the run's test clips.
        index: its place among the run's predictions.
        maps: channel mean of the last feature map by modality, float, (T, H, W).
        correlations: of its blocks by modality, float, (D, D); empty for a method without.
        thumbs: frames by modality, uint8, (S, H, W, C).
    """

    clip_id: str
    index: int
    maps: Mapping[str, NDArray[np.floating]]
    correlations: Mapping[str, NDArray[np.floating]]
    thumbs: Mapping[str, NDArray[np.uint8]]


def read_maps(run: FinishedRun) -> tuple[ClipMaps, ...]:
    """Return the fixed clips of a run, in its order; none where the run has no ``maps.npz``.

    Raises:
        RunError: the file is truncated or corrupt, lacks an array, or belongs to other clips;
            names it and the hint.
    """
    path = run.folder / "maps.npz"
    try:
        content = path.read_bytes()
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        return ()
    except UNREADABLE_ARRAYS as fault:
        raise RunError(f"{path} is truncated or corrupt ({fault}).", HINT) from fault
    clips: list[ClipMaps] = []
    while f"{len(clips)}/id" in arrays:
        clips.append(_clip(path, arrays, len(clips), run))
    if not clips:
        raise RunError(f"{path} holds no clip.", HINT)
    return tuple(clips)


def _clip(path: Path, arrays: Mapping[str, Any], number: int, run: FinishedRun) -> ClipMaps:
    clip_id = str(arrays[f"{number}/id"])
    if clip_id not in run.scores.clip_ids:
        raise RunError(f"{path} shows clip {clip_id!r}, which is no test clip of the run.", HINT)
    maps, correlations, thumbs = {}, {}, {}
    for m in run.scores.modalities:
        maps[m] = _array(path, arrays, f"{number}/{m}/map", "f", 3)
        thumbs[m] = _array(path, arrays, f"{number}/{m}/thumbs", "u", 4)
        fits = thumbs[m].shape[3] == num_channels(m)
        if f"{number}/{m}/correlation" in arrays:
            correlations[m] = _array(path, arrays, f"{number}/{m}/correlation", "f", 2)
            fits = fits and correlations[m].shape == (maps[m].size, maps[m].size)
        if not fits:
            raise RunError(f"{path} has arrays of other shapes for clip {number}, {m}.", HINT)
    return ClipMaps(clip_id, run.scores.clip_ids.index(clip_id), maps, correlations, thumbs)


def _array(path: Path, arrays: Mapping[str, Any], name: str, kind: str, ndim: int) -> NDArray[Any]:
    """Return an array of a kind of numbers ('u' is uint8) and a number of axes."""
    array = arrays.get(name, np.empty(0))
    fits = array.dtype.kind == kind and array.ndim == ndim and array.size > 0
    if not fits or (kind == "u" and array.itemsize > 1) or not np.isfinite(array).all():
        raise RunError(
            f"{path}: array {name!r} is missing, not finite, or of another shape or type.", HINT
        )
    return array
