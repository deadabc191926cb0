"""A store's frames cached in the device's memory, uint8."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from mtut_bench.errors import RunError
from mtut_bench.files import StrPath
from mtut_bench.store.reader import StoreReader

__all__ = ["AUTO_SHARE", "CachedClips", "DeviceCache", "Mode", "free_bytes"]

Mode = Literal["auto", "always", "never"]

AUTO_SHARE = 0.5
"""Share of a GPU's free memory that 'auto' gives to clips; the other half is for the training."""

_ALWAYS_SHARE = 0.9
"""Share that 'always' may take: a step needs some room."""

CachedClips = Mapping[str, Tensor]
"""Per modality all frames of a store, uint8 (T, H, W, C); clips start at the table's offsets."""


class DeviceCache:
    """Keeps the frames of one store on a device, for all stages and runs that follow.

    Args:
        mode: 'auto' caches what fits into half of a GPU's free memory, and nothing on the CPU,
            where the system caches files by itself; 'always' caches or raises; 'never' streams.
        device: of the networks.
        say: is told what is cached, or why it is not.
    """

    def __init__(
        self, mode: Mode, device: torch.device, say: Callable[[str], None] | None = None
    ) -> None:
        self.mode = mode
        self.device = device
        self._say = say or (lambda text: None)
        self._store: Path | None = None
        self._cached: dict[str, Tensor] = {}

    def cached(self, store: StrPath, modalities: Sequence[str]) -> CachedClips | None:
        """Return the frames of a store on the device; None: they are streamed.

        Args:
            store: its path; the frames of any other store are dropped.
            modalities: which frames.

        Raises:
            RunError: 'always', and they do not fit.
            StoreError: frames are damaged.
        """
        store = Path(store)
        if self.mode == "never" or (self.mode == "auto" and self.device.type == "cpu"):
            return None
        if store != self._store:
            self._store, self._cached = store, {}
        if not self._cached.keys() >= set(modalities):
            reader = StoreReader(store)
            keep = self._choose(reader, modalities)
            self._cached = {m: frames for m, frames in self._cached.items() if m in keep}
            if not keep:
                return None
            for modality in modalities:
                if modality not in self._cached:
                    self._cached[modality] = _load(reader, modality, self.device)
        return {modality: self._cached[modality] for modality in modalities}

    def _choose(self, reader: StoreReader, modalities: Sequence[str]) -> set[str]:
        """Return what to cache, beside what is cached already where both fit; or nothing."""
        room = free_bytes(self.device) + sum(frames.nbytes for frames in self._cached.values())
        share = AUTO_SHARE if self.mode == "auto" else _ALWAYS_SHARE
        sizes = {m: math.prod(reader.frames_shape(m)) for m in {*self._cached, *modalities}}
        needed = sum(sizes[m] for m in modalities)
        names = f"{reader.name} ({'+'.join(modalities)}): {needed / 1e9:,.3f} GB of frames"
        for choice in (set(sizes), set(modalities)):
            if sum(sizes[m] for m in choice) <= share * room:
                self._say(f"  {names} are cached on {self.device}")
                return choice
        there = f"{room / 1e9:,.3f} GB are free on {self.device}; at most {share:.0%} is used"
        if self.mode == "always":
            raise RunError(
                f"the store does not fit in device memory: {names}; {there}",
                "Use --device-cache auto or never, fewer --modalities, or another --device.",
            )
        self._say(f"  {names} are streamed: {there}")
        return set()


def free_bytes(device: torch.device) -> int:
    """Return the free memory of a GPU, or of this machine."""
    if device.type == "cuda":
        # What torch has reserved and does not use is free to us.
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + unused
    info = Path("/proc/meminfo")
    for line in info.read_text().splitlines() if info.is_file() else []:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    # Without /proc/meminfo: half of all memory.
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _load(reader: StoreReader, modality: str, device: torch.device) -> Tensor:
    frames_THWC = torch.zeros(reader.frames_shape(modality), dtype=torch.uint8, device=device)
    for index, offset in enumerate(reader.table.offsets):
        stored = torch.from_numpy(reader.read(index, modality))
        frames_THWC[offset : offset + len(stored)].copy_(stored)
    return frames_THWC
