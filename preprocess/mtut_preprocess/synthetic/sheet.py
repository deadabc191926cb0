"""One clip of each class of a raw folder, to be drawn."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mtut_bench.contract.types import sort_modalities
from mtut_preprocess.datasets.adapter import RawClip, RawDataset

__all__ = ["sheet_rows"]


def sheet_rows(
    dataset: RawDataset,
) -> Iterator[tuple[tuple[str, ...], dict[str, NDArray[np.uint8]]]]:
    """Yield (name of the class, clip id, person) and the frames (T, H, W, C) by modality.

    Args:
        dataset: adapter of the folder.

    Raises:
        DatasetError: the folder cannot be read.
        ClipError: a recording is unreadable.
    """
    facts, clips = dataset.read()
    first: dict[int, RawClip] = {}
    for clip in clips:
        first.setdefault(clip.row.label, clip)
    for label in sorted(first):
        sources, row = first[label].sources, first[label].row
        lines = (
            facts.class_names[label],
            row.clip_id,
            f"{facts.subject_unit} {row.subject}, {row.num_frames} frames",
        )
        yield lines, {name: sources[name].read() for name in sort_modalities(sources)}
