"""Try a method on a made-up batch before anything is trained: forward, objective, backward."""

import json
import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mtut_bench.contract.method_file import where
from mtut_bench.contract.networks import NetworkOutput, ObjectiveOutput
from mtut_bench.errors import UsageError
from mtut_bench.loading.transforms import network_channels
from mtut_bench.runs.machine import Machine, fresh_train_state
from mtut_bench.runs.plan import RunPlan
from mtut_bench.training.train_state import autocast, seeded
from mtut_bench.training.two_stage import TwoStageMethod

__all__ = ["distinct_trials", "try_method"]

_NUM_CLIPS = 2
"""The fewest for batch norms, and for objectives that compare clips."""


def distinct_trials(plans: Sequence[RunPlan]) -> list[RunPlan]:
    """Return one of the runs that differ only in fold, seed and the store's content."""
    kinds: dict[str, RunPlan] = {}
    for plan in plans:
        same = ("store_digest", "fold", "mirror", "seed", "weights_digest")
        kind = {name: value for name, value in plan.identity.items() if name not in same}
        kinds.setdefault(json.dumps(kind, sort_keys=True), plan)
    return list(kinds.values())


def try_method(plan: RunPlan, machine: Machine) -> None:
    """Do a training step and a test on two clips of noise; the last frame is padding.

    Raises:
        UsageError: a user's own method fails or breaks the contract; names file and line. An error
            in a built-in method keeps its traceback.
    """
    method, file = plan.method, plan.loaded.file
    try:
        problem = _step(plan, machine)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        if not file:
            raise
        raise UsageError(
            f"method {method.name} fails on a dummy batch: {where(file.rpartition(':')[0], error)}",
            f"Correct {file}; nothing was trained.",
        ) from error
    if problem:
        place = f" ({file})" if file else ""
        raise UsageError(
            f"method {method.name}{place} breaks the contract on a dummy batch: {problem}",
            "See mtut_bench/contract/networks.py; nothing was trained.",
        )


def _step(plan: RunPlan, machine: Machine) -> str:
    """Return what breaks :mod:`mtut_bench.contract.networks`, or ""."""
    recipe, device = plan.recipe, machine.device
    num_classes = plan.identity["num_classes"]
    labels = torch.arange(_NUM_CLIPS, device=device) % num_classes
    valid = torch.ones(_NUM_CLIPS, recipe.clip_length, dtype=torch.bool, device=device)
    valid[0, -1] = recipe.clip_length == 1
    outputs: dict[str, NetworkOutput] = {}
    networks = {m: fresh_train_state(plan, m, machine).network.train() for m in plan.modalities}
    assert isinstance(plan.method, TwoStageMethod)
    objective = plan.method.objective()
    with seeded(plan.seed, device):
        clips = {
            modality: torch.rand(
                (_NUM_CLIPS, network_channels(modality, recipe), recipe.clip_length)
                + (recipe.crop, recipe.crop),
                device=device,
            )
            * 2
            - 1
            for modality in plan.modalities
        }
        with autocast(device, plan.precision):
            for modality, network in networks.items():
                outputs[modality] = network(clips[modality])
                problem = _check_output(outputs[modality], num_classes)
                if problem:
                    return f"the network of {modality} {problem}"
            result = objective(outputs, labels, valid)
        problem = _check_result(result, plan.modalities)
        if problem:
            return f"its objective {problem}"
        torch.stack(list(result.losses.values())).sum().backward()
        for modality, network in networks.items():
            if not any(parameter.grad is not None for parameter in network.parameters()):
                return f"the loss of {modality} has no gradient in its network"
        with torch.no_grad(), autocast(device, plan.precision):
            for modality, network in networks.items():
                problem = _check_output(network.eval()(clips[modality][:1]), num_classes, 1)
                if problem:
                    return f"the network of {modality}, in evaluation mode, {problem}"
    return ""


def _check_output(output: object, num_classes: int, num_clips: int = _NUM_CLIPS) -> str:
    """Return what is wrong with a network's output, or ""."""
    if not isinstance(output, NetworkOutput):
        return f"returns a {type(output).__name__}, not a NetworkOutput"
    logits, features = tuple(output.logits_NKT.shape), tuple(output.features_NCTHW.shape)
    if len(logits) != 3 or logits[:2] != (num_clips, num_classes) or not logits[2]:
        return f"returns logits {logits}, not ({num_clips}, {num_classes}, T')"
    if len(features) != 5 or features[0] != num_clips:
        return f"returns features {features}, not ({num_clips}, C, T, H, W)"
    return ""


def _check_result(result: object, modalities: Sequence[str]) -> str:
    """Return what is wrong with an objective's result, or ""."""
    if not isinstance(result, ObjectiveOutput):
        return f"returns a {type(result).__name__}, not an ObjectiveOutput"
    for name, found in (("losses", result.losses), ("log", result.log)):
        if not isinstance(found, Mapping) or set(found) != set(modalities):
            keys = ", ".join(map(str, found)) if isinstance(found, Mapping) else found
            return f"gives {name} for {keys or 'no modality'}, not for {', '.join(modalities)}"
    for modality in modalities:
        loss, log = result.losses[modality], result.log[modality]
        if not isinstance(loss, Tensor) or loss.dim():
            return f"gives {modality} a loss that is not a scalar tensor"
        if not loss.requires_grad:
            return f"gives {modality} a loss without a gradient"
        if not math.isfinite(float(loss.detach())):
            return f"gives {modality} the loss {float(loss.detach())}"
        if "cross_entropy" not in log:
            return f"logs no cross_entropy of {modality}"
    return ""
