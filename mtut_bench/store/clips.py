"""Clips of a store as a method sees them: to learn from, with labels; to be scored, without."""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mtut_bench.store.reader import StoreReader

__all__ = ["StoreClips", "TrainingSide"]


class StoreClips:
    """Some clips of a store, without their labels; see :class:`mtut_bench.contract.method.Clips`.

    Args:
        reader: the store.
        ids: of the clips, in order.
        side: 'test' or 'val' of a fold.

    Attributes:
        reader: the store, open.
    """

    def __init__(
        self, reader: StoreReader, ids: Sequence[str], side: Literal["train", "test", "val"]
    ) -> None:
        self.side: Literal["train", "test", "val"] = side
        self.ids = tuple(ids)
        self.modalities = tuple(reader.modalities)
        self.store = reader.path
        self.reader = reader
        self._indices = [reader.table.index[clip_id] for clip_id in self.ids]
        self.num_frames = tuple(reader.table.rows[index].num_frames for index in self._indices)

    def __len__(self) -> int:
        return len(self.ids)

    def frames(self, index: int, modality: str) -> NDArray[np.uint8]:
        """Return all frames of a clip as the store keeps them, uint8 (T, H, W, C).

        Raises:
            StoreError: they are damaged.
        """
        return self.reader.read(self._indices[index], modality)

    def each(self, modality: str) -> Iterator[NDArray[np.uint8]]:
        """Yield the frames of every clip, in order."""
        return (self.frames(index, modality) for index in range(len(self)))


class TrainingSide(StoreClips):
    """The training side of a fold; see :class:`mtut_bench.contract.method.LabelledClips`.

    Args:
        reader: the store.
        ids: of the clips, in order.
    """

    def __init__(self, reader: StoreReader, ids: Sequence[str]) -> None:
        super().__init__(reader, ids, "train")
        rows = [reader.table.rows[index] for index in self._indices]
        self.labels_N = np.array([row.label for row in rows], np.int64)
        self.subjects = tuple(row.subject for row in rows)
        self.mirror = reader.attributes.mirror
