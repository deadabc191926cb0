"""What an objective is where stage two begins, before any of its updates."""

import math
from collections.abc import Mapping
from itertools import islice

import torch

from mtut_bench.contract.networks import Objective
from mtut_bench.contract.recipe import Recipe
from mtut_bench.loading.training_clips import EpochSampler, TrainingClips, make_loader, split_batch
from mtut_bench.training.batch_statistics import batch_statistics_alone
from mtut_bench.training.step import forward
from mtut_bench.training.train_state import TrainState, autocast

__all__ = ["START_CLIPS", "terms_at_start"]

START_CLIPS = 200
"""Training clips that the terms are averaged over, at most."""


def terms_at_start(
    train_states: Mapping[str, TrainState],
    clips: TrainingClips,
    objective: Objective,
    recipe: Recipe,
    device: torch.device,
    precision: str,
) -> dict[str, dict[str, float]]:
    """Return the means of what an objective logs on the first batches of stage two.

    The batches, crops and dropout masks are those that stage two begins with; networks are in
    training mode. Neither weights nor batch statistics change.

    Args:
        train_states: per modality, as stage one left them.
        clips: of stage two.
        objective: of stage two.
        recipe: input, size of a batch and of its parts, epochs of stage one.
        device: of the networks.
        precision: 'fp32', or 'bf16' for autocast.

    Returns:
        Per modality the clip-weighted mean of each logged term, of '..._max' too; one that is not
        finite is left out.
    """
    sampler = EpochSampler(len(clips), recipe.batch_size, clips.seed)
    sampler.epoch = recipe.epochs_alone
    networks = [train_state.network for train_state in train_states.values()]
    num_batches = max(1, min(len(clips), START_CLIPS) // recipe.batch_size)
    sums: dict[str, dict[str, float]] = {modality: {} for modality in train_states}
    num_clips = 0
    for network in networks:
        network.train()
    with batch_statistics_alone(networks), torch.no_grad():
        for number, batch in enumerate(islice(make_loader(clips, sampler, 0), num_batches)):
            step = recipe.epochs_alone * len(sampler) + number
            for part_number, part in enumerate(split_batch(batch, recipe.accumulation)):
                here = part.to(device)
                with autocast(device, precision):
                    outputs = forward(train_states, here, part_number, recipe, clips.seed, step)
                    log = objective(outputs, here.labels_N, here.valid_NT).log
                size = len(part.clip_ids)
                num_clips += size
                for modality, terms in log.items():
                    for name, value in terms.items():
                        sums[modality][name] = sums[modality].get(name, 0.0) + value * size
    return {
        modality: {n: total / num_clips for n, total in of.items() if math.isfinite(total)}
        for modality, of in sums.items()
    }
