"""The machine: its device, and what fits into its memory."""

import gc
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch

from mtut_bench.errors import RunError, UsageError
from mtut_bench.loading.device_cache import DeviceCache
from mtut_bench.loading.transforms import network_channels
from mtut_bench.runs.plan import RunPlan
from mtut_bench.training.train_state import TrainState, autocast, build_train_state
from mtut_bench.training.two_stage import TwoStageMethod

__all__ = [
    "Machine",
    "choose_device",
    "clips_that_fit",
    "explain_memory",
    "fresh_train_state",
    "out_of_memory",
]

_T = TypeVar("_T")

_USABLE_SHARE = 0.92
"""Share of a GPU's memory for training; fragments and the driver take the rest."""


@dataclass(frozen=True)
class Machine:
    """Properties of the machine; they change no identity.

    Attributes:
        device: of the networks.
        workers: processes that read clips.
        recompute: save memory by computing activations twice.
        command: what the user typed, for the manifest.
        device_cache: of clips; None: they are streamed.
    """

    device: torch.device
    workers: int
    command: str
    recompute: bool = False
    device_cache: DeviceCache | None = None

    @property
    def test_workers(self) -> int:
        """Processes that read ahead of the test; on a CPU starting them takes longer."""
        return self.workers if self.device.type == "cuda" else 0


def choose_device(name: str) -> torch.device:
    """Return the device that a user named; 'auto' takes a GPU where there is one.

    Raises:
        UsageError: there is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"unknown device {name!r}", "Use auto, cpu, cuda or cuda:N.") from None
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"device {name!r} is not supported", "Use auto, cpu, cuda or cuda:N.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"device {name!r} is not available: torch sees {torch.cuda.device_count()} GPUs",
            "Use --device cpu, or install a torch that matches the GPU driver.",
        )
    return device


def fresh_train_state(
    plan: RunPlan, modality: str, machine: Machine, **options: bool
) -> TrainState:
    """Return the network of a modality at the start of stage one.

    ``options`` may hold ``recompute``, instead of the machine's.
    """
    weights = plan.weights.get(modality)
    return build_train_state(
        plan.network_method,
        modality,
        plan.identity["num_classes"],
        plan.recipe,
        plan.seed,
        machine.device,
        weights=weights.path if weights else None,
        **{"recompute": machine.recompute, **options},
    )


def explain_memory(plan: RunPlan, machine: Machine, work: Callable[[], _T]) -> _T:
    """Return what some work for a run returns.

    Raises:
        RunError: it does not fit into the device's memory; says what would.
    """
    try:
        return work()
    except torch.OutOfMemoryError as error:
        # The traceback holds tensors that would disturb the measurement.
        failed = error.with_traceback(None)
    raise out_of_memory(plan, machine) from failed


def out_of_memory(plan: RunPlan, machine: Machine) -> RunError:
    """Return the error of a training that did not fit into memory, with what would.

    Measures the memory of one clip through the run's networks on the same device.
    """
    if not isinstance(plan.method, TwoStageMethod):
        return RunError(
            f"out of memory on {machine.device}: method {plan.method.name}",
            "Use --device cpu, or end other programs that use this GPU.",
        )
    recipe, batch = plan.recipe, plan.recipe.batch_size
    at_once = -(-batch // recipe.accumulation)
    what = (
        f"out of memory on {machine.device}: {len(plan.modalities)} networks, batch {batch}"
        f" ({at_once} at once), clips of {recipe.clip_length} x {recipe.crop} x {recipe.crop}"
    )
    ways = [] if machine.recompute else ["--recompute needs less memory and gives the same results"]
    fits = _measure_fit(plan, machine)
    if 0 < fits < at_once:
        parts = -(-batch // fits)
        options = f"--set accumulation={parts}"
        if recipe.rho_per == "batch" and "rho_per" in getattr(plan.method, "settings", ()):
            options += " --set rho_per=clip"
        ways.append(
            f"about {fits} clips fit at once: {options} trains the batch in {parts} parts (batch "
            "statistics are then per part; reported as a variant)"
        )
    if fits == 0:
        ways.append("one clip does not fit: use a GPU with more memory")
    if machine.device_cache is not None and machine.device_cache.mode != "never":
        ways.append("--device-cache never leaves the clips in host memory")
    ways.append("end other programs that use this GPU")
    return RunError(what, "; ".join(ways) + ".")


def clips_that_fit(total_bytes: int, base_bytes: int, clip_bytes: int) -> int:
    """Return how many clips fit beside weights, gradients and momenta (``base_bytes``)."""
    return max(0, int((total_bytes * _USABLE_SHARE - base_bytes) // max(clip_bytes, 1)))


def _measure_fit(plan: RunPlan, machine: Machine) -> int:
    """Return how many clips would fit, from one step of one clip; 0 if that does not fit."""
    device, recipe = machine.device, plan.recipe
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    try:
        before = torch.cuda.memory_allocated(device)
        networks = {m: fresh_train_state(plan, m, machine).network.train() for m in plan.modalities}
        weights = torch.cuda.memory_allocated(device) - before
        with autocast(device, plan.precision):
            loss = torch.zeros((), device=device)
            for modality, network in networks.items():
                shape = (recipe.clip_length, recipe.crop, recipe.crop)
                channels = network_channels(modality, recipe)
                clip = torch.zeros(1, channels, *shape, device=device)
                loss = loss + network(clip).logits_NKT.float().sum()
        loss.backward()
    except torch.OutOfMemoryError:
        return 0
    # Every weight has a gradient and a momentum.
    base = before + 3 * weights
    clip_bytes = torch.cuda.max_memory_allocated(device) - before - 2 * weights
    return clips_that_fit(torch.cuda.mem_get_info(device)[1], base, clip_bytes)
