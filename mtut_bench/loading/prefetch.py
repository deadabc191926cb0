"""Batches on their way to the device: streamed from the store, or gathered from its cache."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from mtut_bench.loading.device_cache import CachedClips, DeviceCache
from mtut_bench.loading.training_clips import (
    Batch,
    ClipWindow,
    EpochSampler,
    TrainingClips,
    make_loader,
)

__all__ = ["Prefetcher", "copy_ahead"]


class Prefetcher:
    """The batches of an epoch on the device; set ``sampler.epoch`` before each iteration.

    Whether clips are streamed or cached is decided at the first iteration; it changes no byte.

    Args:
        clips: training side of the fold.
        sampler: batches.
        workers: processes that read what is streamed.
        device: of the networks.
        device_cache: None: clips are streamed.
    """

    def __init__(
        self,
        clips: TrainingClips,
        sampler: EpochSampler,
        workers: int,
        device: torch.device,
        device_cache: DeviceCache | None = None,
    ) -> None:
        self._clips, self._sampler, self._device = clips, sampler, device
        self._cache = device_cache
        self._loader = make_loader(clips, sampler, workers, pin=device.type == "cuda")

    def __iter__(self) -> Iterator[Batch]:
        """Iterate over the batches of the sampler's epoch."""
        if self.cached is None:
            return copy_ahead(self._loader, self._device)
        return (
            self._gather(self.cached, [self._clips.window(*key) for key in keys])
            for keys in self._sampler
        )

    @cached_property
    def cached(self) -> CachedClips | None:
        """The cached frames; None where clips are streamed.

        Raises:
            RunError: they must be cached and do not fit.
        """
        cache, clips = self._cache, self._clips
        return cache.cached(clips.store, clips.modalities) if cache else None

    def _gather(self, cached: CachedClips, windows: Sequence[ClipWindow]) -> Batch:
        """Return a batch of cached frames; padding frames are 0, as the loader's."""
        shape = (len(windows), self._clips.recipe.clip_length)
        offsets = self._clips.reader.table.offsets
        index_NT, valid_NT = np.empty(shape, np.int64), np.zeros(shape, np.bool_)
        for number, clip in enumerate(windows):
            # Padding takes the window's first frame and is blackened afterwards.
            index_NT[number] = offsets[clip.index] + clip.window.start
            index_NT[number, clip.slots] += np.arange(clip.window.stop - clip.window.start)
            valid_NT[number, clip.slots] = True
        index, valid = self._moved(index_NT), self._moved(valid_NT)
        frames: dict[str, Tensor] = {}
        for modality, all_THWC in cached.items():
            chosen = all_THWC.index_select(0, index.flatten())
            frames[modality] = chosen.view(*shape, *all_THWC.shape[1:])
            if not valid_NT.all():
                frames[modality].masked_fill_(~valid[..., None, None, None], 0)
        return Batch(
            frames,
            valid,
            [clip.crop for clip in windows],
            self._moved(np.array([clip.label for clip in windows], np.int64)),
            [clip.clip_id for clip in windows],
        )

    def _moved(self, array: np.ndarray) -> Tensor:
        """Return a small array on the device, without waiting for it."""
        tensor = torch.from_numpy(array)
        if self._device.type != "cuda":
            return tensor
        return tensor.pin_memory().to(self._device, non_blocking=True)


def copy_ahead(batches: Iterable[Batch], device: torch.device) -> Iterator[Batch]:
    """Yield batches on the device; a GPU copies the next one on a second stream while it computes.

    Args:
        batches: in pinned memory, where the device is a GPU.
        device: of the networks.
    """
    if device.type != "cuda":
        yield from batches
        return
    side = torch.cuda.Stream(device)
    for batch in batches:
        with torch.cuda.stream(side):
            moved = batch.to(device)
        current = torch.cuda.current_stream(device)
        current.wait_stream(side)
        for tensor in moved.tensors():
            # Its memory goes back to the other stream only after this one's use.
            tensor.record_stream(current)
        yield moved
