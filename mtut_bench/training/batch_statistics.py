"""Batch-norm statistics recomputed with the final weights (precise BN).

Running statistics average over the last updates: at a rate that never fell they belong to weights
that are gone (Wu and Johnson, "Rethinking 'Batch' in BatchNorm", 2021, section 3).
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from mtut_bench.loading.training_clips import TrainingClips, first_parts
from mtut_bench.loading.transforms import to_input
from mtut_bench.training.train_state import autocast

__all__ = ["batch_statistics_alone", "recompute_statistics", "statistics_of"]


def statistics_of(network: nn.Module) -> dict[str, Tensor]:
    """Return copies of a network's batch statistics by the name of the buffer."""
    return {
        f"{name}.{buffer}": getattr(layer, buffer).clone()
        for name, layer in _layers(network).items()
        for buffer in ("running_mean", "running_var")
    }


def recompute_statistics(
    networks: Mapping[str, nn.Module],
    clips: TrainingClips,
    device: torch.device,
    precision: str,
) -> int:
    """Replace batch statistics by the mean over batches of training clips; no weight is changed.

    The clips are drawn as those of the epoch after the last one, so no window or crop was trained
    on. Labels are ignored. A last, short batch is left out unless it is the only one.

    Args:
        networks: per modality; in evaluation mode afterwards.
        clips: training side, with these modalities; at most ``recipe.statistics_clips`` are used.
        device: of the networks.
        precision: 'fp32', or 'bf16' for autocast.

    Returns:
        The number of clips that were used; 0 where no network has batch norms.
    """
    recipe = clips.recipe
    if not any(map(_layers, networks.values())):
        return 0
    for network in networks.values():
        network.eval()
    num_clips = 0
    parts = first_parts(clips, recipe.epochs_alone + recipe.epochs_joint, recipe.statistics_clips)
    with batch_statistics_alone(networks.values()) as layers:
        for number, (_, _, part) in enumerate(parts, start=1):
            here = part.to(device)
            for layer in layers:
                # The mean of n values is that of n - 1, moved by 1 / n towards the last.
                layer.momentum = 1 / number
            for modality, network in networks.items():
                frames = here.frames[modality]
                with torch.no_grad(), autocast(device, precision):
                    network(to_input(frames, modality, here.crops, recipe, here.valid_NT))
            num_clips += len(part.clip_ids)
    for network in networks.values():
        network.eval()
    return num_clips


@contextmanager
def batch_statistics_alone(networks: Iterable[nn.Module]) -> Iterator[list["_Normaliser"]]:
    """Have batch norms normalise by each batch inside, without a change of what they keep.

    Their momentum is 0 inside; mode, momentum and count of updates are restored afterwards.
    """
    layers = [layer for network in networks for layer in _layers(network).values()]
    before = [(layer.training, layer.momentum) for layer in layers]
    # torch's batch norm counts the updates that it has seen; these are none.
    counters = [getattr(layer, "num_batches_tracked", None) for layer in layers]
    counts = [None if counter is None else counter.clone() for counter in counters]
    for layer in layers:
        layer.train()
        layer.momentum = 0.0
    try:
        yield layers
    finally:
        for layer, (training, momentum) in zip(layers, before, strict=True):
            layer.train(training)
            layer.momentum = momentum
        for counter, count in zip(counters, counts, strict=True):
            if counter is not None:
                counter.copy_(count)


class _Normaliser(nn.Module):
    """What a batch norm has, torch's or a network's own."""

    momentum: float
    running_mean: Tensor
    running_var: Tensor


def _layers(network: nn.Module) -> dict[str, _Normaliser]:
    """Return the layers of a network that keep running statistics, by name."""
    names = ("momentum", "running_mean", "running_var")
    found: dict[str, _Normaliser] = {}
    for name, layer in network.named_modules():
        if all(getattr(layer, one, None) is not None for one in names):
            found[name] = layer
    return found
