"""The machine: its device, what its precision costs, and what fits into its memory."""

import gc
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mtut_bench.errors import RunError, UsageError
from mtut_bench.identity import RunPlan
from mtut_bench.learner import Learner, autocast, build_learner
from mtut_bench.resident import Residence
from mtut_bench.store_reader import StoreReader
from mtut_bench.transforms import centre_crop, network_channels, to_input

__all__ = ["Machine", "check_precision", "choose_device", "clips_that_fit", "out_of_memory"]

_LARGEST_DISAGREEMENT = 0.05
"""bfloat16 keeps 8 bits, roundings of up to 0.4 %: I3D's map is off by 1.0 to 1.4 %, C3D's by 0.5 %
(CPU, 16 x 32 x 32 to 64 x 224 x 224); a wrong kernel gives tens (pytorch/pytorch#163539)."""

_USABLE_SHARE = 0.92
"""Share of a GPU's memory that a training may plan with; fragments and the driver take the rest."""


@dataclass(frozen=True)
class Machine:
    """Facts of the machine; they change no identity.

    Attributes:
        device: where networks live.
        workers: processes that read clips.
        recompute: save memory by computing activations twice.
        command: what the user typed, for the manifest.
        residence: where clips may live in the device's memory; None: they are streamed.
    """

    device: torch.device
    workers: int
    command: str
    recompute: bool = False
    residence: Residence | None = None

    @property
    def test_workers(self) -> int:
        """Processes that read ahead of the test; on a CPU starting them takes longer than it."""
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
        raise UsageError(f"there is no device {name!r}", "Use auto, cpu, cuda or cuda:N.") from None
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"device {name!r} is not supported", "Use auto, cpu, cuda or cuda:N.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"device {name!r} is not there: torch sees {torch.cuda.device_count()} GPUs",
            "Use --device cpu, or install a torch that fits the GPU's driver.",
        )
    return device


def check_precision(
    plan: RunPlan, reader: StoreReader, machine: Machine
) -> dict[str, float] | None:
    """Compare the run's precision with fp32 on two clips, before anything is trained.

    A fresh network in evaluation mode: the relative difference (L2) of its feature map. In training
    mode each batch norm of a fresh network enlarges the roundings before it, to 20 or 50 % in I3D,
    and a wrong kernel could not be told from them.

    Args:
        plan: the run.
        reader: its store.
        machine: device.

    Returns:
        Relative difference per modality; None where the run is in fp32.

    Raises:
        RunError: they differ by more than 5 %.
    """
    if plan.arm.precision == "fp32":
        return None
    found: dict[str, float] = {}
    for modality in plan.modalities:
        network = _fresh(plan, modality, machine).network.eval()
        clip = _two_clips(plan, reader, modality, machine.device)
        maps = []
        for precision in ("fp32", plan.arm.precision):
            with torch.no_grad(), autocast(machine.device, precision):
                maps.append(network(clip).features_NCTHW.float())
        difference = float((maps[1] - maps[0]).norm() / maps[0].norm())
        if not difference <= _LARGEST_DISAGREEMENT:
            raise RunError(
                f"{plan.arm.precision} differs from fp32 by {difference:.1%} on {modality}: this"
                " device and this torch compute something else",
                "Run with --precision fp32, or with another version of torch or cuDNN.",
            )
        found[modality] = difference
    return found


def _fresh(plan: RunPlan, modality: str, machine: Machine) -> Learner:
    return build_learner(
        plan.method,
        modality,
        plan.identity["num_classes"],
        plan.protocol,
        plan.seed,
        machine.device,
        recompute=machine.recompute,
    )


def _two_clips(plan: RunPlan, reader: StoreReader, modality: str, device: torch.device) -> Tensor:
    length = plan.protocol.clip_length
    crop = centre_crop(*reader.frame_size, plan.protocol)
    clips = []
    for clip_id in plan.fold.train[:2]:
        frames = reader.read(reader.table.index[clip_id], modality, 0, length)
        pad = [(0, length - len(frames)), (0, 0), (0, 0), (0, 0)]
        clips.append(np.pad(frames, pad, mode="edge"))
    stacked = torch.from_numpy(np.stack(clips)).to(device)
    return to_input(stacked, modality, [crop] * len(clips), plan.protocol)


def out_of_memory(plan: RunPlan, machine: Machine) -> RunError:
    """Return the error of a training that did not fit, with what would fit.

    Measures the memory of one clip through the run's networks on the same device.

    Args:
        plan: the run.
        machine: device.
    """
    protocol, batch = plan.protocol, plan.protocol.batch_size
    at_once = -(-batch // protocol.accumulation)
    what = (
        f"out of memory on {machine.device}: {len(plan.modalities)} networks, batch {batch}"
        f" ({at_once} at once), clips of {protocol.clip_length} x {protocol.crop} x {protocol.crop}"
    )
    ways = [] if machine.recompute else ["--recompute needs less memory and keeps every number"]
    fits = _measure_fit(plan, machine)
    if 0 < fits < at_once:
        parts = -(-batch // fits)
        ways.append(
            f"about {fits} clips fit at once: --set accumulation={parts} trains the batch in"
            f" {parts} parts (batch statistics are then those of a part: a marked variant)"
        )
    if fits == 0:
        ways.append("one clip does not fit: use a GPU with more memory")
    if machine.residence is not None and machine.residence.mode != "never":
        ways.append("--resident never keeps the clips out of the device's memory")
    ways.append("end other programs that use this GPU")
    return RunError(what, "; ".join(ways) + ".")


def clips_that_fit(total_bytes: int, base_bytes: int, clip_bytes: int) -> int:
    """Return how many clips fit into a memory.

    Args:
        total_bytes: of the device.
        base_bytes: weights, gradients, momenta.
        clip_bytes: what each clip adds.
    """
    return max(0, int((total_bytes * _USABLE_SHARE - base_bytes) // max(clip_bytes, 1)))


def _measure_fit(plan: RunPlan, machine: Machine) -> int:
    """Return how many clips would fit, from one step of one clip; 0 where even that does not."""
    device, protocol = machine.device, plan.protocol
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    try:
        before = torch.cuda.memory_allocated(device)
        networks = {m: _fresh(plan, m, machine).network.train() for m in plan.modalities}
        weights = torch.cuda.memory_allocated(device) - before
        with autocast(device, plan.arm.precision):
            loss = torch.zeros((), device=device)
            for modality, network in networks.items():
                shape = (protocol.clip_length, protocol.crop, protocol.crop)
                channels = network_channels(modality, protocol)
                clip = torch.zeros(1, channels, *shape, device=device)
                loss = loss + network(clip).logits_NKT.float().sum()
        loss.backward()
    except torch.OutOfMemoryError:
        return 0
    # Beside every weight stand its gradient and its momentum.
    base = before + 3 * weights
    clip_bytes = torch.cuda.max_memory_allocated(device) - before - 2 * weights
    return clips_that_fit(torch.cuda.mem_get_info(device)[1], base, clip_bytes)
