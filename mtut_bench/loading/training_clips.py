"""Batches of training clips as uint8: windows read from the store, nothing scaled here."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from mtut_bench.contract.recipe import Recipe
from mtut_bench.files import StrPath
from mtut_bench.loading.sampling import Window, draw_clip, epoch_order, place_window
from mtut_bench.loading.transforms import Crop, choose_crop
from mtut_bench.store.reader import StoreReader

__all__ = [
    "Batch",
    "ClipWindow",
    "EpochSampler",
    "TrainingClips",
    "first_parts",
    "make_loader",
    "split_batch",
]


@dataclass(frozen=True)
class Batch:
    """Training clips of one step.

    Attributes:
        frames: uint8 (N, T, H, W, C) per modality, as stored; padding frames are 0.
        valid_NT: bool, False for padding frames.
        crops: one per clip, for all modalities.
        labels_N: int64, after mirroring.
        clip_ids: of the clip table.
    """

    frames: dict[str, Tensor]
    valid_NT: Tensor
    crops: list[Crop]
    labels_N: Tensor
    clip_ids: list[str]

    def tensors(self) -> list[Tensor]:
        """Return all tensors of the batch."""
        return [*self.frames.values(), self.valid_NT, self.labels_N]

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        return replace(
            self,
            frames={modality: change(frames) for modality, frames in self.frames.items()},
            valid_NT=change(self.valid_NT),
            labels_N=change(self.labels_N),
        )

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on a device; from pinned memory the copy may still be under way."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> "Batch":
        """Return the batch in pinned memory; DataLoader calls it."""
        return self._each(torch.Tensor.pin_memory)


@dataclass(frozen=True)
class ClipWindow:
    """Where a training clip of one epoch comes from; the same for all modalities.

    Attributes:
        index: of the clip in the store's table.
        window: its frames, and where they stand in the network's input.
        crop: in the resized frame.
        label: after mirroring.
        clip_id: of the clip table.
    """

    index: int
    window: Window
    crop: Crop
    label: int
    clip_id: str

    @property
    def slots(self) -> slice:
        """Frames of the network's input that are not padding."""
        return slice(self.window.before, self.window.before + self.window.stop - self.window.start)


@dataclass(frozen=True)
class _Item:
    frames: dict[str, Tensor]
    valid_T: Tensor
    crop: Crop
    label: int
    clip_id: str


class TrainingClips(Dataset[_Item]):
    """Augmented training clips, addressed by (epoch counted over both stages, position).

    Args:
        store: path of the store, or its open reader; each worker opens its own.
        clip_ids: the training side of a fold.
        modalities: which frames to read.
        recipe: window and crop sizes, flip rule.
        seed: of the run.
    """

    def __init__(
        self,
        store: StrPath | StoreReader,
        clip_ids: Sequence[str],
        modalities: Sequence[str],
        recipe: Recipe,
        seed: int,
    ) -> None:
        self._reader = store if isinstance(store, StoreReader) else None
        self.store = Path(store.path if isinstance(store, StoreReader) else store)
        self.clip_ids = tuple(clip_ids)
        self.modalities = tuple(modalities)
        self.recipe = recipe
        self.seed = seed

    def __len__(self) -> int:
        return len(self.clip_ids)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_reader": None}

    @property
    def reader(self) -> StoreReader:
        """The store, opened at first use."""
        if self._reader is None:
            self._reader = StoreReader(self.store)
        return self._reader

    def window(self, epoch: int, position: int) -> ClipWindow:
        """Return window, crop and label of the clip at a position in an epoch; reads no frame."""
        reader = self.reader
        clip_id = self.clip_ids[position]
        index = reader.table.index[clip_id]
        row = reader.table.rows[index]
        draw = draw_clip(self.seed, epoch, clip_id)
        window = place_window(row.num_frames, self.recipe.clip_length, draw.time)
        flip, label = self._mirror(row.label, draw.flip)
        height, width = reader.frame_size
        crop = choose_crop(height, width, self.recipe, draw.top, draw.left, flip)
        return ClipWindow(index, window, crop, label, clip_id)

    def __getitem__(self, key: tuple[int, int]) -> _Item:
        clip = self.window(*key)
        length, window = self.recipe.clip_length, clip.window
        frames: dict[str, Tensor] = {}
        for modality in self.modalities:
            stored = self.reader.read(clip.index, modality, window.start, window.stop)
            if len(stored) < length:
                padded = np.zeros((length, *stored.shape[1:]), np.uint8)
                padded[clip.slots] = stored
                stored = padded
            frames[modality] = torch.from_numpy(stored)
        valid_T = torch.zeros(length, dtype=torch.bool)
        valid_T[clip.slots] = True
        return _Item(frames, valid_T, clip.crop, clip.label, clip.clip_id)

    def _mirror(self, label: int, draw: float) -> tuple[bool, int]:
        """Return (flip, label): the class of the mirrored clip, by the store's own table."""
        mirror = self.reader.attributes.mirror
        rule = self.recipe.flip
        if rule == "none" or mirror is None or draw >= 0.5:
            return False, label
        if rule == "plain":
            return True, label
        return (True, mirror[label]) if mirror[label] >= 0 else (False, label)


class EpochSampler(Sampler[list[tuple[int, int]]]):
    """Batches of (epoch, position); the order is a pure function of (seed, epoch).

    Args:
        num_clips: clips of an epoch.
        batch_size: clips of a batch; the last, short one is kept.
        seed: of the run.
    """

    def __init__(self, num_clips: int, batch_size: int, seed: int) -> None:
        self.num_clips = num_clips
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return -(-self.num_clips // self.batch_size)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order = epoch_order(self.num_clips, self.seed, self.epoch).tolist()
        for start in range(0, self.num_clips, self.batch_size):
            yield [(self.epoch, index) for index in order[start : start + self.batch_size]]


def make_loader(
    clips: TrainingClips, sampler: EpochSampler, workers: int, *, pin: bool = False
) -> "DataLoader[Any]":
    """Return the loader of a training stage; set ``sampler.epoch`` before each epoch.

    Args:
        clips: the training clips.
        sampler: batches.
        workers: processes that read; 0 reads in this one. Changes no byte.
        pin: into pinned memory.
    """
    return DataLoader(
        clips,
        batch_sampler=sampler,
        num_workers=workers,
        collate_fn=_collate,
        pin_memory=pin,
        persistent_workers=workers > 0,
        multiprocessing_context="spawn" if workers > 0 else None,
    )


def split_batch(batch: Batch, parts: int) -> list[Batch]:
    """Return a batch in at most so many parts of nearly equal size, none empty."""
    size = -(-len(batch.clip_ids) // parts)
    ranges = [slice(n, n + size) for n in range(0, len(batch.clip_ids), size)]
    if len(ranges) == 1:
        return [batch]
    return [
        Batch(
            frames={modality: frames[part] for modality, frames in batch.frames.items()},
            valid_NT=batch.valid_NT[part],
            crops=batch.crops[part],
            labels_N=batch.labels_N[part],
            clip_ids=batch.clip_ids[part],
        )
        for part in ranges
    ]


def first_parts(
    clips: TrainingClips, epoch: int, most_clips: int
) -> Iterator[tuple[int, int, Batch]]:
    """Yield (step, number of the part, part) of the first batches of an epoch.

    Args:
        clips: training clips.
        epoch: counted over both stages, as the steps are.
        most_clips: in whole batches; but at least one batch.
    """
    recipe = clips.recipe
    sampler = EpochSampler(len(clips), recipe.batch_size, clips.seed)
    sampler.epoch = epoch
    num_batches = max(1, min(len(clips), most_clips) // recipe.batch_size)
    for number, batch in enumerate(islice(make_loader(clips, sampler, 0), num_batches)):
        for part_number, part in enumerate(split_batch(batch, recipe.accumulation)):
            yield epoch * len(sampler) + number, part_number, part


def _collate(items: list[_Item]) -> Batch:
    return Batch(
        frames={m: torch.stack([item.frames[m] for item in items]) for m in items[0].frames},
        valid_NT=torch.stack([item.valid_T for item in items]),
        crops=[item.crop for item in items],
        labels_N=torch.tensor([item.label for item in items]),
        clip_ids=[item.clip_id for item in items],
    )
