"""Batches on their way to the device: streamed from the store, or gathered where they live."""

from collections.abc import Iterable, Iterator

import torch

from mtut_bench.loading.device_cache import CachedClips, DeviceCache, cached_batches
from mtut_bench.loading.training_clips import Batch, EpochSampler, TrainingClips, make_loader

__all__ = ["Prefetcher", "copy_ahead"]


class Prefetcher:
    """The batches of an epoch on the device; set ``sampler.epoch`` before each iteration.

    Whether clips are streamed or live on the device is decided at the first iteration and changes
    no byte of a batch.

    Args:
        clips: training side of the fold.
        sampler: batches.
        workers: processes that read what is streamed.
        device: of the networks.
        device_cache: where clips may live; None: they are streamed.
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
        self._residence = device_cache
        self._decided = False
        self._held: CachedClips | None = None
        self._loader = make_loader(clips, sampler, workers, pin=device.type == "cuda")

    def __iter__(self) -> Iterator[Batch]:
        """Iterate over the batches of the sampler's epoch."""
        if self.held is not None:
            return cached_batches(self.held, self._clips, self._sampler)
        return copy_ahead(self._loader, self._device)

    @property
    def held(self) -> CachedClips | None:
        """The frames on the device; None where clips are streamed.

        Raises:
            RunError: they must live there and do not fit.
        """
        if not self._decided:
            if self._residence is not None:
                self._held = self._residence.hold(self._clips.store, self._clips.modalities)
            self._decided = True
        return self._held


def copy_ahead(batches: Iterable[Batch], device: torch.device) -> Iterator[Batch]:
    """Yield batches on the device; a GPU copies on a stream of its own, while it computes.

    A step returns before the GPU is done with it, so the copy of the next batch runs beside the end
    of the step before.

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
