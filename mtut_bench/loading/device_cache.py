"""Stores that live in the device's memory as uint8, and windows gathered from them there."""

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from mtut_bench.errors import RunError
from mtut_bench.files import StrPath
from mtut_bench.loading.training_clips import Batch, ClipWindow, EpochSampler, TrainingClips
from mtut_bench.store.reader import StoreReader

__all__ = [
    "AUTO_SHARE",
    "CachedClips",
    "DeviceCache",
    "Mode",
    "cached_batches",
    "free_bytes",
    "gather",
]

Mode = Literal["auto", "always", "never"]

AUTO_SHARE = 0.5
"""Share of a GPU's free memory that 'auto' gives to clips; the other half is for the training."""

_ALWAYS_SHARE = 0.9
"""Share that 'always' may take: without any room for a step nothing could be trained."""

CachedClips = Mapping[str, Tensor]
"""Per modality all frames of a store, uint8 (T, H, W, C); clips start at the table's offsets."""


class DeviceCache:
    """Keeps the frames of one store on a device, for all stages and runs that follow.

    Args:
        mode: 'auto' holds what fits into half of a GPU's free memory, and nothing on the CPU, where
            the system caches files by itself; 'always' holds or raises; 'never' streams.
        device: of the networks.
        say: is told what is held, or why it is not.
    """

    def __init__(
        self, mode: Mode, device: torch.device, say: Callable[[str], None] | None = None
    ) -> None:
        self.mode = mode
        self.device = device
        self._say = say or (lambda text: None)
        self._store: Path | None = None
        self._held: dict[str, Tensor] = {}

    def hold(self, store: StrPath, modalities: Sequence[str]) -> CachedClips | None:
        """Return the frames of a store on the device, or None where they are to be streamed.

        Args:
            store: path of the store; frames of another one are let go.
            modalities: which frames.

        Raises:
            RunError: 'always', and they do not fit.
            StoreError: frames are damaged.
        """
        store = Path(store)
        if self.mode == "never" or (self.mode == "auto" and self.device.type == "cpu"):
            return None
        if store != self._store:
            self._store, self._held = store, {}
        if not all(modality in self._held for modality in modalities):
            reader = StoreReader(store)
            keep = self._choose(reader, modalities)
            self._held = {m: frames for m, frames in self._held.items() if m in keep}
            if not keep:
                return None
            for modality in modalities:
                if modality not in self._held:
                    self._held[modality] = _load(reader, modality, self.device)
        return {modality: self._held[modality] for modality in modalities}

    def _choose(self, reader: StoreReader, modalities: Sequence[str]) -> set[str]:
        """Return what to hold: with what is held already where all fits, or nothing."""
        room = free_bytes(self.device) + sum(frames.nbytes for frames in self._held.values())
        share = AUTO_SHARE if self.mode == "auto" else _ALWAYS_SHARE
        sizes = {m: math.prod(reader.frames_shape(m)) for m in {*self._held, *modalities}}
        needed = sum(sizes[m] for m in modalities)
        names = f"{reader.name} ({'+'.join(modalities)}): {needed / 1e9:,.3f} GB of frames"
        for choice in (set(sizes), set(modalities)):
            if sum(sizes[m] for m in choice) <= share * room:
                self._say(f"  {names} live in the memory of {self.device}")
                return choice
        there = (
            f"{room / 1e9:,.3f} GB are free on {self.device}, of which they may take {share:.0%}"
        )
        if self.mode == "always":
            raise RunError(
                f"the store does not fit into the device's memory: {names}, {there}",
                "Use --device-cache auto or never (clips are then streamed), fewer --modalities, or"
                " another --device.",
            )
        self._say(f"  {names} are streamed: {there}")
        return set()


def free_bytes(device: torch.device) -> int:
    """Return how much memory of a device can be taken: a GPU's, or this machine's."""
    if device.type == "cuda":
        # What torch has reserved and does not use is free to us.
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + unused
    info = Path("/proc/meminfo")
    for line in info.read_text().splitlines() if info.is_file() else []:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    # Where the system does not say what is available: half of what there is.
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _load(reader: StoreReader, modality: str, device: torch.device) -> Tensor:
    frames_THWC = torch.zeros(reader.frames_shape(modality), dtype=torch.uint8, device=device)
    for index, offset in enumerate(reader.table.offsets):
        stored = torch.from_numpy(reader.read(index, modality))
        frames_THWC[offset : offset + len(stored)].copy_(stored)
    return frames_THWC


def cached_batches(
    held: CachedClips, clips: TrainingClips, sampler: EpochSampler
) -> Iterator[Batch]:
    """Yield the batches of the sampler's epoch: the loader's, gathered on the device.

    Args:
        held: the store's frames.
        clips: training side of the fold.
        sampler: batches.
    """
    for keys in sampler:
        placed = [clips.place(*key) for key in keys]
        yield gather(held, placed, clips.reader.table.offsets, clips.recipe.clip_length)


def gather(
    held: CachedClips, placed: Sequence[ClipWindow], offsets: Sequence[int], clip_length: int
) -> Batch:
    """Return a batch from frames on the device; padding frames are 0, as the loader's.

    Args:
        held: the store's frames, per modality.
        placed: the clips of the batch.
        offsets: first frame of each clip of the store.
        clip_length: frames of the network's input.
    """
    index_NT = np.empty((len(placed), clip_length), np.int64)
    valid_NT = np.zeros((len(placed), clip_length), np.bool_)
    for number, clip in enumerate(placed):
        window = clip.window
        # Padding takes the window's first frame and is blackened afterwards.
        index_NT[number] = offsets[clip.index] + window.start
        index_NT[number, clip.slots] += np.arange(window.stop - window.start)
        valid_NT[number, clip.slots] = True
    device = next(iter(held.values())).device
    index, valid, labels = _moved(
        device, (index_NT, valid_NT, np.array([clip.label for clip in placed], np.int64))
    )
    frames: dict[str, Tensor] = {}
    for modality, all_THWC in held.items():
        windows = all_THWC.index_select(0, index.flatten())
        windows = windows.view(*index.shape, *all_THWC.shape[1:])
        if not valid_NT.all():
            windows.masked_fill_(~valid[..., None, None, None], 0)
        frames[modality] = windows
    return Batch(frames, valid, [clip.crop for clip in placed], labels, [c.clip_id for c in placed])


def _moved(device: torch.device, arrays: Iterable[np.ndarray]) -> list[Tensor]:
    """Return small arrays on a device, without waiting for it."""
    tensors = [torch.from_numpy(array) for array in arrays]
    if device.type != "cuda":
        return tensors
    return [tensor.pin_memory().to(device, non_blocking=True) for tensor in tensors]
