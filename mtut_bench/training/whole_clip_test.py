"""Whole-clip test: centre crop, the network convolved over all frames, each clip exactly once."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader, Dataset

from mtut_bench.contract.method import Clips
from mtut_bench.contract.predictions import Predictions, check_complete
from mtut_bench.contract.recipe import Recipe
from mtut_bench.loading.device_cache import CachedClips, DeviceCache
from mtut_bench.loading.sampling import length_batches
from mtut_bench.loading.transforms import centre_crop, to_input
from mtut_bench.store.clips import StoreClips
from mtut_bench.store.reader import StoreReader
from mtut_bench.training.train_state import autocast

__all__ = ["clip_logits", "clips_below_minimum", "predict", "to_probabilities", "whole_clip_logits"]


def predict(
    networks: Mapping[str, nn.Module],
    reader: StoreReader,
    clip_ids: Sequence[str],
    recipe: Recipe,
    device: torch.device,
    *,
    precision: str = "fp32",
    device_cache: DeviceCache | None = None,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Predictions:
    """Return :func:`whole_clip_logits` of a store's clips, with labels and probabilities."""
    clips = StoreClips(reader, clip_ids, "test")
    logits_MNK = whole_clip_logits(
        networks,
        clips,
        recipe,
        device,
        precision=precision,
        device_cache=device_cache,
        workers=workers,
        progress=progress,
    )
    rows, index = reader.table.rows, reader.table.index
    labels_N = np.array([rows[index[clip_id]].label for clip_id in clip_ids], np.int64)
    predictions = Predictions(
        clips.ids, labels_N, tuple(networks), logits_MNK, to_probabilities(logits_MNK)
    )
    check_complete(predictions, clip_ids)
    return predictions


def whole_clip_logits(
    networks: Mapping[str, nn.Module],
    clips: Clips,
    recipe: Recipe,
    device: torch.device,
    *,
    precision: str = "fp32",
    device_cache: DeviceCache | None = None,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """Return the logits of every class, for each modality and clip, float32 (M, N, K).

    Logits are averaged over time (as I3D's code does). A batch holds clips of one length.

    Args:
        networks: trained, one per modality, in order.
        clips: to be scored.
        recipe: sizes and batch.
        device: of the networks.
        precision: 'fp32', or 'bf16' for autocast.
        device_cache: None: clips are read.
        workers: processes that read ahead; changes no logit.
        progress: called with (clips done, clips in all), counted once per modality.

    Raises:
        StoreError: frames are damaged.
        RunError: the clips must be cached and do not fit.
    """
    most = recipe.evaluation_batch
    # A batch of long clips holds no more frames than a batch of training clips.
    batches = length_batches(list(clips.num_frames), most, most * recipe.clip_length)
    cached = device_cache.cached(clips.store, tuple(networks)) if device_cache else None
    found: list[NDArray[np.float32]] = []
    total, done = len(networks) * len(clips), 0
    keys = [(modality, batch) for modality in networks for batch in batches]
    frames = _whole_clips(clips, cached, keys, workers, pin=device.type == "cuda")
    for modality, network in networks.items():
        network.eval()
        rows: dict[int, NDArray[np.float32]] = {}
        for batch in batches:
            logits_NK = clip_logits(
                network, next(frames), modality, recipe, device, precision=precision
            )
            rows |= dict(zip(batch, logits_NK, strict=True))
            done += len(batch)
            if progress:
                progress(done, total)
        found.append(np.stack([rows[position] for position in range(len(clips))]))
    return np.stack(found)


def clip_logits(
    network: nn.Module,
    frames_NTHWC: torch.Tensor,
    modality: str,
    recipe: Recipe,
    device: torch.device,
    *,
    precision: str = "fp32",
) -> NDArray[np.float32]:
    """Return the logits of clips of one length, averaged over time, float32 (N, K).

    Args:
        network: in evaluation mode.
        frames_NTHWC: uint8, as stored, on any device.
        modality: of the network.
        recipe: sizes.
        device: of the network.
        precision: 'fp32', or 'bf16' for autocast.
    """
    height, width = frames_NTHWC.shape[2:4]
    crop = centre_crop(height, width, recipe)
    with torch.inference_mode(), autocast(device, precision):
        frames = frames_NTHWC.to(device, non_blocking=True)
        clip = to_input(frames, modality, [crop] * len(frames), recipe)
        logits_NK: NDArray[np.float32] = network(clip).logits_NKT.float().mean(dim=2).cpu().numpy()
    return logits_NK


def to_probabilities(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the softmax over the last axis, float32."""
    # float64: the sums of float32 exponentials of many classes drift from 1.
    wide = torch.from_numpy(logits).double()
    probabilities: NDArray[np.float32] = torch.softmax(wide, dim=-1).float().numpy()
    return probabilities


_Key = tuple[str, list[int]]
"""A modality and positions of clips of equal length."""


def _whole_clips(
    clips: Clips, cached: CachedClips | None, keys: Sequence[_Key], workers: int, *, pin: bool
) -> Iterator[torch.Tensor]:
    """Return batches of whole clips, uint8 (N, T, H, W, C), from the cache or read."""
    if cached is not None:
        table = StoreReader(clips.store).table
        starts = [table.offsets[table.index[clip_id]] for clip_id in clips.ids]
        ranges = [slice(n, n + length) for n, length in zip(starts, clips.num_frames, strict=True)]
        return (
            torch.stack([cached[modality][ranges[position]] for position in batch])
            for modality, batch in keys
        )
    if workers == 0:
        return (_stacked(clips, key) for key in keys)
    return iter(
        DataLoader(
            _WholeClips(clips.store, clips.ids),
            batch_size=None,
            sampler=keys,
            num_workers=workers,
            pin_memory=pin,
            multiprocessing_context="spawn",
        )
    )


def _stacked(clips: Clips, key: _Key) -> torch.Tensor:
    modality, batch = key
    return torch.from_numpy(np.stack([clips.frames(position, modality) for position in batch]))


class _WholeClips(Dataset[torch.Tensor]):
    """Batches of clips of equal length; the store is opened in each process for itself."""

    def __init__(self, store: Path, ids: tuple[str, ...]) -> None:
        self.store, self.ids = store, ids
        self._clips: StoreClips | None = None

    def __getitem__(self, key: _Key) -> torch.Tensor:
        if self._clips is None:
            self._clips = StoreClips(StoreReader(self.store), self.ids, "test")
        return _stacked(self._clips, key)


def clips_below_minimum(networks: Mapping[str, nn.Module], clips: Clips) -> list[str]:
    """Return the ids of clips that some network pads to its minimum length."""
    minimum = max(int(getattr(network, "min_frames", 1)) for network in networks.values())
    return [i for i, length in zip(clips.ids, clips.num_frames, strict=True) if length < minimum]
