"""Statistics of batch norms for evaluation, computed anew with the weights as they are at the end.

Running statistics are an average over the last updates: at a rate that never fell they belong to
weights that are gone. The plain mean over some batches with the final weights does not (Wu and
Johnson, "Rethinking 'Batch' in BatchNorm", 2021, section 3; fvcore calls it precise BN).
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from mtut_bench.contract.recipe import Recipe
from mtut_bench.loading.training_clips import EpochSampler, TrainingClips, make_loader, split_batch
from mtut_bench.loading.transforms import to_input
from mtut_bench.training.train_state import autocast

__all__ = ["batch_statistics_alone", "recompute_statistics", "statistics_of"]


def statistics_of(network: nn.Module) -> dict[str, Tensor]:
    """Return copies of a network's batch statistics by the names of their buffers."""
    return {
        f"{name}.{buffer}": getattr(layer, buffer).clone()
        for name, layer in _layers(network).items()
        for buffer in ("running_mean", "running_var")
    }


def recompute_statistics(
    networks: Mapping[str, nn.Module],
    clips: TrainingClips,
    recipe: Recipe,
    device: torch.device,
    *,
    precision: str = "fp32",
) -> int:
    """Replace batch statistics by the mean over batches of training clips; no weight is changed.

    The clips are drawn as those of the epoch after the last one, so each is another window and crop
    than any that was trained on. Labels are not looked at. A last, short batch is left out, unless
    it is the only one.

    Args:
        networks: per modality; all else than batch norms is in evaluation mode meanwhile, and all
            of it afterwards.
        clips: training side, with these modalities.
        recipe: input, size of a batch and of its parts, and ``statistics_clips``, how many.
        device: of the networks.
        precision: 'fp32', or 'bf16' for autocast.

    Returns:
        The number of clips that were used; 0 where no network has batch norms.
    """
    layers = [layer for network in networks.values() for layer in _layers(network).values()]
    if not layers:
        return 0
    sampler = EpochSampler(len(clips), recipe.batch_size, clips.seed)
    sampler.epoch = recipe.epochs_alone + recipe.epochs_joint
    num_batches = max(1, min(len(clips), recipe.statistics_clips) // recipe.batch_size)
    for network in networks.values():
        network.eval()
    num_parts, num_clips = 0, 0
    with _measuring(layers):
        batches = iter(make_loader(clips, sampler, 0))
        for _ in range(num_batches):
            for part in split_batch(next(batches), recipe.accumulation):
                here = part.to(device)
                num_parts += 1
                for layer in layers:
                    # The mean of n values is that of n - 1, moved by 1 / n towards the last.
                    layer.momentum = 1 / num_parts
                for modality, network in networks.items():
                    frames = here.frames[modality]
                    with torch.no_grad(), autocast(device, precision):
                        network(to_input(frames, modality, here.crops, recipe, here.valid_NT))
                num_clips += len(part.clip_ids)
    for network in networks.values():
        network.eval()
    return num_clips


@contextmanager
def batch_statistics_alone(networks: Iterable[nn.Module]) -> Iterator[None]:
    """Have batch norms normalise by the statistics of each batch and keep what they had.

    Args:
        networks: their batch norms are in training mode inside, and as they were afterwards.
    """
    layers = [layer for network in networks for layer in _layers(network).values()]
    with _measuring(layers):
        for layer in layers:
            layer.momentum = 0.0
        yield


@contextmanager
def _measuring(layers: "Iterable[_Normaliser]") -> Iterator[None]:
    """Put layers into training mode; restore mode, momentum and count of updates afterwards."""
    layers = list(layers)
    before = [(layer.training, layer.momentum) for layer in layers]
    # torch's batch norm counts the updates that it has seen; these are none.
    counters = [getattr(layer, "num_batches_tracked", None) for layer in layers]
    counts = [None if counter is None else counter.clone() for counter in counters]
    for layer in layers:
        layer.train()
    try:
        yield
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
