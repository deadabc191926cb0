"""The objective's terms where stage two begins, before any update."""

import math
from collections.abc import Mapping

import torch

from mtut_bench.contract.networks import Objective
from mtut_bench.loading.training_clips import TrainingClips, first_parts
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
        device: of the networks.
        precision: 'fp32', or 'bf16' for autocast.

    Returns:
        Per modality the clip-weighted mean of each logged term, of '..._max' too; one that is not
        finite is left out.
    """
    recipe = clips.recipe
    networks = [train_state.network for train_state in train_states.values()]
    sums: dict[str, dict[str, float]] = {modality: {} for modality in train_states}
    num_clips = 0
    for network in networks:
        network.train()
    with batch_statistics_alone(networks), torch.no_grad():
        for step, number, part in first_parts(clips, recipe.epochs_alone, START_CLIPS):
            here = part.to(device)
            with autocast(device, precision):
                outputs = forward(train_states, here, number, recipe, clips.seed, step)
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
