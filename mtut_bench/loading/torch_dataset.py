"""A store as a torch dataset, for your own training loop."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from mtut_bench.contract.recipe import Recipe
from mtut_bench.errors import UsageError
from mtut_bench.files import StrPath
from mtut_bench.loading.sampling import place_window
from mtut_bench.loading.transforms import centre_crop, to_input
from mtut_bench.store.reader import StoreReader

__all__ = ["StoreDataset", "StoreItem"]


class StoreItem(NamedTuple):
    """One clip; torch's default collation makes batches if all clips have one length.

    Attributes:
        clips: per modality, the stored frames, uint8 (T, H, W, C), or with a recipe the
            network's input, float32 (C, T, crop, crop).
        label: class index.
        clip_id: of the clip table.
    """

    clips: dict[str, Tensor]
    label: int
    clip_id: str


class StoreDataset(Dataset[StoreItem]):
    """The clips of a store, in the order of its table; modalities are aligned frame by frame.

    Each worker opens the store for itself. Nothing is random; for augmented clips see
    :class:`mtut_bench.loading.training_clips.TrainingClips`.

    Args:
        store: path of the ``.zarr`` folder.
        modalities: what to read; None: all.
        clip_ids: which clips, in this order, such as one side of a fold; None: all.
        clip_length: frames of every item: the middle of a longer clip, a shorter one between
            frames of zeros. None: whole clips.
        recipe: makes items the network's input, centre crop; None: the stored bytes.

    Attributes:
        classes: names, in the order of the labels.

    Raises:
        StoreError: there is no such store, or it is damaged.
        UsageError: an unknown modality or clip, or a length below 1.
    """

    def __init__(
        self,
        store: StrPath,
        modalities: Sequence[str] | None = None,
        clip_ids: Sequence[str] | None = None,
        *,
        clip_length: int | None = None,
        recipe: Recipe | None = None,
    ) -> None:
        self.store = Path(store)
        reader = StoreReader(self.store)
        index = reader.table.index
        self.modalities = reader.modalities if modalities is None else tuple(modalities)
        self.clip_ids = tuple(index) if clip_ids is None else tuple(clip_ids)
        self.clip_length = clip_length
        self.recipe = recipe
        self.classes = tuple(reader.attributes.classes)
        self._check(reader)
        self._opened: tuple[int, StoreReader] | None = (os.getpid(), reader)

    def __len__(self) -> int:
        return len(self.clip_ids)

    def __getitem__(self, position: int) -> StoreItem:
        clip_id = self.clip_ids[position]
        reader = self._reader()
        number = reader.table.index[clip_id]
        row = reader.table.rows[number]
        length = self.clip_length or row.num_frames
        window = place_window(row.num_frames, length, 0.5)
        valid_T = torch.zeros(length, dtype=torch.bool)
        valid_T[window.before : window.before + window.stop - window.start] = True
        clips = {}
        for modality in self.modalities:
            stored = torch.from_numpy(reader.read(number, modality, window.start, window.stop))
            frames_THWC = stored.new_zeros((length, *stored.shape[1:]))
            frames_THWC[valid_T] = stored
            clips[modality] = self._input(frames_THWC, modality, valid_T)
        return StoreItem(clips, row.label, clip_id)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_opened": None}

    def _input(self, frames_THWC: Tensor, modality: str, valid_T: Tensor) -> Tensor:
        if self.recipe is None:
            return frames_THWC
        height, width = frames_THWC.shape[1:3]
        crop = centre_crop(height, width, self.recipe)
        return to_input(frames_THWC[None], modality, [crop], self.recipe, valid_T[None])[0]

    def _reader(self) -> StoreReader:
        """Return this process's reader, not one inherited by a fork."""
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = (os.getpid(), StoreReader(self.store))
        return self._opened[1]

    def _check(self, reader: StoreReader) -> None:
        strange = [m for m in self.modalities if m not in reader.modalities]
        if strange or not self.modalities:
            raise UsageError(
                f"store {reader.name} has no modality {strange[0]!r}" if strange else "no modality",
                f"Choose one of: {', '.join(reader.modalities)}.",
            )
        absent = [clip_id for clip_id in self.clip_ids if clip_id not in reader.table.index]
        if absent:
            raise UsageError(
                f"store {reader.name} has no clip {absent[0]!r} ({len(absent)} such)",
                "Use ids from StoreReader(path).table.index.",
            )
        if self.clip_length is not None and self.clip_length < 1:
            raise UsageError(f"clip_length={self.clip_length}", "Choose at least 1.")
