"""One update of every network on the same clips, and the losses of stage one."""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from mtut_bench.contract.networks import NetworkOutput, Objective, ObjectiveOutput
from mtut_bench.contract.recipe import Recipe
from mtut_bench.errors import TrainingDivergedError
from mtut_bench.loading.sampling import keyed_seed
from mtut_bench.loading.training_clips import Batch
from mtut_bench.loading.transforms import to_input
from mtut_bench.training.train_state import TrainState, autocast, seeded

__all__ = [
    "PARTS",
    "Clock",
    "Terms",
    "classification_losses",
    "forward",
    "no_clock",
    "train_step",
]

PARTS = ("load", "copy", "augment", "forward", "objective", "backward", "update")
"""What a step consists of; 'load' is the wait for the batch, before the step."""

Clock = Callable[[str], None]
"""Called with the part that begins: benchmarks time the parts of this very step."""

Terms = dict[str, dict[str, float]]
"""Per modality: 'loss', what the objective logs, and 'accuracy' in training mode, in [0, 1]."""


def no_clock(part: str) -> None:
    """Measure nothing."""


def train_step(
    train_states: Mapping[str, TrainState],
    parts: Sequence[Batch],
    objective: Objective,
    recipe: Recipe,
    seed: int,
    step: int,
    device: torch.device,
    precision: str,
    *,
    clock: Clock = no_clock,
) -> list[tuple[Terms, int]]:
    """Do one update of every network on the same clips.

    It waits for the device once, to check the losses before the backward pass; what follows may
    still run when it returns.

    Args:
        train_states: per modality, in order.
        parts: of the batch; gradients are added up over them.
        objective: losses of the step.
        recipe: input geometry and limit of the gradient.
        seed: of the run; with the step it keys the dropout.
        step: counted over both stages.
        device: of the networks.
        precision: 'fp32', or 'bf16' for autocast.
        clock: see :data:`Clock`.

    Returns:
        For each part of the batch the terms before the update, and its number of clips.

    Raises:
        TrainingDivergedError: a loss is not finite; no network was updated.
    """
    clock("update")
    for train_state in train_states.values():
        train_state.optimiser.zero_grad(set_to_none=True)
    total = sum(len(part.clip_ids) for part in parts)
    results: list[tuple[Terms, int]] = []
    for number, part in enumerate(parts):
        clock("copy")
        here = part.to(device)
        with autocast(device, precision):
            outputs = forward(train_states, here, number, recipe, seed, step, clock=clock)
            clock("objective")
            result = objective(outputs, here.labels_N, here.valid_NT)
        terms = _finite_terms(result, outputs, here.labels_N, step)
        clock("backward")
        # Networks share no parameter, so the gradient of the sum is each loss's own gradient.
        share = len(part.clip_ids) / total
        (torch.stack(list(result.losses.values())).sum() * share).backward()
        results.append((terms, len(part.clip_ids)))
    clock("update")
    for train_state in train_states.values():
        if recipe.gradient_clip is not None:
            nn.utils.clip_grad_norm_(train_state.network.parameters(), recipe.gradient_clip)
        train_state.optimiser.step()
    return results


def forward(
    train_states: Mapping[str, TrainState],
    part: Batch,
    number: int,
    recipe: Recipe,
    seed: int,
    step: int,
    *,
    clock: Clock = no_clock,
) -> dict[str, NetworkOutput]:
    """Return the outputs of all networks for the part of that number of a step's batch.

    Seed, step and number key the dropout.
    """
    device = part.labels_N.device
    # The first part's masks are those of an undivided batch.
    key = (step,) if number == 0 else (step, number)
    outputs: dict[str, NetworkOutput] = {}
    for modality, train_state in train_states.items():
        clock("augment")
        clip = to_input(part.frames[modality], modality, part.crops, recipe, part.valid_NT)
        clock("forward")
        with seeded(keyed_seed("dropout", seed, modality, *key), device):
            outputs[modality] = train_state.network(clip)
    return outputs


def _finite_terms(
    result: ObjectiveOutput, outputs: Mapping[str, NetworkOutput], labels_N: Tensor, step: int
) -> Terms:
    """Return losses and accuracies as numbers beside the logged terms, in one transfer."""
    right = [
        (output.logits_NKT.detach().float().mean(dim=2).argmax(dim=1) == labels_N).float().mean()
        for output in outputs.values()
    ]
    found = [loss.detach().float() for loss in result.losses.values()]
    values = torch.stack([*found, *right]).tolist()
    losses = dict(zip(result.losses, values[: len(found)], strict=True))
    accuracies = dict(zip(outputs, values[len(found) :], strict=True))
    for modality, loss in losses.items():
        if not math.isfinite(loss):
            terms = ", ".join(f"{k} {v:.6g}" for k, v in result.log.get(modality, {}).items())
            raise TrainingDivergedError(
                f"the loss of {modality} is {loss} at step {step} ({terms})",
                "The last finished epoch is saved. Try another seed, or a lower learning "
                "rate or lambda; these are different runs.",
            )
    return {
        modality: {"loss": loss, **result.log[modality], "accuracy": accuracies[modality]}
        for modality, loss in losses.items()
    }


def classification_losses(
    outputs: Mapping[str, NetworkOutput], labels_N: Tensor, valid_NT: Tensor | None = None
) -> ObjectiveOutput:
    """Return stage one's losses: cross-entropy of the time-averaged logits, batch mean.

    An :class:`Objective`; padding frames are classified like others.
    """
    losses = {
        modality: functional.cross_entropy(output.logits_NKT.float().mean(dim=2), labels_N)
        for modality, output in outputs.items()
    }
    values = torch.stack([loss.detach() for loss in losses.values()]).tolist()
    log = {name: {"cross_entropy": value} for name, value in zip(losses, values, strict=True)}
    return ObjectiveOutput(losses, log)
