"""Whole-clip test: centre crop, the network convolved over all frames, each clip exactly once."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader, Dataset

from mtut_bench.contract.predictions import Predictions, check_complete
from mtut_bench.contract.protocol import Protocol
from mtut_bench.loading.device_cache import Held, Residence
from mtut_bench.loading.sampling import length_batches
from mtut_bench.loading.transforms import centre_crop, to_input
from mtut_bench.store.reader import StoreReader
from mtut_bench.training.train_state import autocast

__all__ = ["clip_logits", "clips_below_minimum", "predict", "to_probabilities"]


def predict(
    networks: Mapping[str, nn.Module],
    reader: StoreReader,
    clip_ids: Sequence[str],
    protocol: Protocol,
    device: torch.device,
    *,
    precision: str = "fp32",
    residence: Residence | None = None,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Predictions:
    """Return logits and probabilities of every class, for each clip and modality.

    Logits are averaged over time, then the softmax (I3D's own code). Nothing is padded within a
    batch: it holds clips of one length.

    Args:
        networks: trained, one per modality, in order.
        reader: the store.
        clip_ids: the test side, in the order of the result.
        protocol: sizes and batch.
        device: of the networks.
        precision: 'fp32', or 'bf16' for autocast.
        residence: where clips may live in the device's memory; None: they are read.
        workers: processes that read ahead what is read; changes no logit.
        progress: called with (clips done, clips in all), counted once per modality.

    Raises:
        PredictionError: a clip would be missing or doubled (a defect of ours).
        StoreError: frames are damaged.
        RunError: the clips must live in memory and do not fit.
    """
    table = reader.table
    indices = [table.index[clip_id] for clip_id in clip_ids]
    labels = np.array([table.rows[i].label for i in indices], np.int64)
    most = protocol.evaluation_batch
    lengths = [table.rows[i].num_frames for i in indices]
    # A batch of long clips holds no more frames than a batch of training clips.
    batches = length_batches(lengths, most, most * protocol.clip_length)
    num_classes = len(reader.attributes.classes)
    held = residence.hold(reader.path, tuple(networks)) if residence else None
    logits = np.full((len(networks), len(indices), num_classes), np.nan, np.float32)
    total, done = len(networks) * len(indices), 0
    keys = [(modality, [indices[i] for i in batch]) for modality in networks for batch in batches]
    clips = _whole_clips(reader, held, keys, workers, pin=device.type == "cuda")
    for number, (modality, network) in enumerate(networks.items()):
        network.eval()
        for batch in batches:
            logits[number, batch] = clip_logits(
                network, next(clips), modality, protocol, device, precision=precision
            )
            done += len(batch)
            if progress:
                progress(done, total)
    predictions = Predictions(
        tuple(clip_ids), labels, tuple(networks), logits, to_probabilities(logits)
    )
    check_complete(predictions, clip_ids)
    return predictions


def clip_logits(
    network: nn.Module,
    frames_NTHWC: torch.Tensor,
    modality: str,
    protocol: Protocol,
    device: torch.device,
    *,
    precision: str = "fp32",
) -> NDArray[np.float32]:
    """Return the logits of clips of one length, averaged over time, float32 (N, K).

    Args:
        network: in evaluation mode.
        frames_NTHWC: uint8, as a store keeps them, on any device.
        modality: of the network.
        protocol: sizes.
        device: of the network.
        precision: 'fp32', or 'bf16' for autocast.
    """
    height, width = frames_NTHWC.shape[2:4]
    crop = centre_crop(height, width, protocol)
    with torch.inference_mode(), autocast(device, precision):
        frames = frames_NTHWC.to(device, non_blocking=True)
        clip = to_input(frames, modality, [crop] * len(frames), protocol)
        logits_NK: NDArray[np.float32] = network(clip).logits_NKT.float().mean(dim=2).cpu().numpy()
    return logits_NK


def to_probabilities(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the softmax over the last axis, float32."""
    # float64: the sums of float32 exponentials of many classes drift from 1.
    wide = torch.from_numpy(logits).double()
    probabilities: NDArray[np.float32] = torch.softmax(wide, dim=-1).float().numpy()
    return probabilities


_Key = tuple[str, list[int]]
"""A modality and the table's positions of clips of equal length."""


def _whole_clips(
    reader: StoreReader, held: Held | None, keys: Sequence[_Key], workers: int, *, pin: bool
) -> Iterator[torch.Tensor]:
    """Return batches of whole clips, uint8 (N, T, H, W, C): from where they live, or read."""
    if held is not None:
        return (_held_clips(reader, held[modality], indices) for modality, indices in keys)
    clips = _WholeClips(reader.path)
    if workers == 0:
        return (clips[key] for key in keys)
    return iter(
        DataLoader(
            clips,
            batch_size=None,
            sampler=keys,
            num_workers=workers,
            pin_memory=pin,
            multiprocessing_context="spawn",
        )
    )


def _held_clips(reader: StoreReader, frames_THWC: torch.Tensor, indices: list[int]) -> torch.Tensor:
    starts = [reader.table.offsets[index] for index in indices]
    length = reader.table.rows[indices[0]].num_frames
    return torch.stack([frames_THWC[start : start + length] for start in starts])


class _WholeClips(Dataset[torch.Tensor]):
    """Batches of clips of equal length; the store is opened in each process for itself."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self._reader: StoreReader | None = None

    def __getitem__(self, key: _Key) -> torch.Tensor:
        if self._reader is None:
            self._reader = StoreReader(self.store)
        modality, indices = key
        return torch.from_numpy(np.stack([self._reader.read(i, modality) for i in indices]))


def clips_below_minimum(
    networks: Mapping[str, nn.Module], reader: StoreReader, clip_ids: Sequence[str]
) -> list[str]:
    """Return the clips that a network pads to its minimum length; listed with every result."""
    minimum = max(int(getattr(network, "min_frames", 1)) for network in networks.values())
    rows = reader.table.rows
    return [i for i in clip_ids if rows[reader.table.index[i]].num_frames < minimum]
