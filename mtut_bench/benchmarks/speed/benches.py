"""The three benchmarks: training, loading, whole-clip test."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from itertools import cycle
from statistics import median

import torch

from mtut_bench.benchmarks.measurement import machine_facts
from mtut_bench.benchmarks.speed.machine_limits import (
    flops_per_clip,
    has_bf16_units,
    measure_ceilings,
)
from mtut_bench.benchmarks.speed.rates import (
    Rate,
    SpeedReport,
    Step,
    Window,
    run_window,
    take_turns,
)
from mtut_bench.benchmarks.speed.training import (
    EagerBf16,
    PartClock,
    PlainLoop,
    Training,
    endless,
    plain_loader,
)
from mtut_bench.loading.device_cache import DeviceCache
from mtut_bench.loading.transforms import to_input
from mtut_bench.runs.machine import Machine
from mtut_bench.runs.plan import RunPlan
from mtut_bench.training.loop import peak_bytes
from mtut_bench.training.whole_clip_test import predict

__all__ = ["bench_evaluate", "bench_loader", "bench_train"]

Progress = Callable[[int, int], None]

PLAIN, BF16, OURS = "plain loop", "eager bf16, channels last", "training step"
STREAMED, RESIDENT, TEST = "streamed", "resident", "whole-clip test"
_PACKAGES = ("mtut-bench", "torch", "numpy", "zarr")


def bench_train(
    plan: RunPlan,
    machine: Machine,
    *,
    plain_workers: int,
    seconds: float,
    repeats: int,
    progress: Progress | None = None,
) -> SpeedReport:
    """Measure the training step of stage two beside a plain loop and an eager bf16 one.

    Args:
        plan: a run; its networks are random and learn nothing.
        machine: device, workers, device_cache.
        plain_workers: processes of the plain loop.
        seconds: least length of a window.
        repeats: windows of each; the medians count.
        progress: called with (windows done, windows in all).

    Raises:
        RunError: clips must live in memory and do not fit.
    """
    ours, device = Training(plan, machine), machine.device
    steps: dict[str, Step] = {PLAIN: PlainLoop(plan, machine, plain_workers).step}
    if has_bf16_units(device):
        steps[BF16] = EagerBf16(plan, machine).step
    steps[OURS] = ours.step
    counted = flops_per_clip(ours.step)
    ceilings = measure_ceilings(device)
    windows = take_turns(steps, device, seconds=seconds, repeats=repeats, progress=progress)
    parts = _parts_ms(ours, seconds, repeats)
    missing = "not run on this device: it has no bf16 units"
    rates = [
        Rate(name, windows.get(name, ()), counted, "" if name in windows else missing)
        for name in (PLAIN, BF16, OURS)
    ]
    facts = _facts(plan, machine, resident=ours.prefetcher.held is not None)
    facts["plain loop"] = f"float32 clips made by {plain_workers} workers, fp32 (TF32 on a GPU)"
    return SpeedReport("train", tuple(rates), facts, parts, ceilings)


def _parts_ms(ours: Training, seconds: float, repeats: int) -> dict[str, float]:
    """Return the mean milliseconds of each part of a step, medians over windows of many steps.

    Nothing waits for a GPU between the steps of a window, as in training.
    """
    clock, found = PartClock(ours.machine.device), list[dict[str, float]]()
    for _ in range(repeats):
        before = ours.num_steps
        run_window(partial(ours.step, clock), seconds, ours.machine.device)
        steps = ours.num_steps - before
        found.append({part: time / steps for part, time in clock.milliseconds().items()})
    return {part: median(times[part] for times in found) for part in found[0]}


def bench_loader(
    plan: RunPlan,
    machine: Machine,
    *,
    plain_workers: int,
    seconds: float,
    repeats: int,
    progress: Progress | None = None,
) -> SpeedReport:
    """Measure how fast network inputs come to be on the device, without any network.

    Args: as of :func:`bench_train`.

    Raises:
        RunError: clips must live in memory and do not fit.
    """
    device = machine.device
    streamed = replace(machine, device_cache=DeviceCache("never", device))
    plain = plain_loader(plan, device, plain_workers)
    steps: dict[str, Step] = {
        PLAIN: lambda: len(next(plain)[2]) * len(plan.modalities),
        STREAMED: _inputs_of(plan, streamed),
    }
    prefetcher, _ = endless(plan, machine)
    if prefetcher.held is not None:
        steps[RESIDENT] = _inputs_of(plan, machine)
    windows = take_turns(steps, device, seconds=seconds, repeats=repeats, progress=progress)
    missing = "not run: --device-cache always holds the clips in memory, auto where a GPU has room"
    rates = [
        Rate(name, windows.get(name, ()), None, "" if name in windows else missing)
        for name in (PLAIN, STREAMED, RESIDENT)
    ]
    facts = _facts(plan, machine, resident=prefetcher.held is not None)
    facts["plain loop"] = f"float32 clips made by {plain_workers} workers"
    return SpeedReport("loader", tuple(rates), facts)


def _inputs_of(plan: RunPlan, machine: Machine) -> Step:
    _, batches = endless(plan, machine)

    def step() -> int:
        batch = next(batches)
        for modality, frames in batch.frames.items():
            to_input(frames, modality, batch.crops, plan.recipe, batch.valid_NT)
        return len(batch.clip_ids) * len(batch.frames)

    return step


def bench_evaluate(
    plan: RunPlan,
    machine: Machine,
    *,
    seconds: float,
    repeats: int,
    progress: Progress | None = None,
) -> SpeedReport:
    """Measure the whole-clip test beside the training step.

    Args: as of :func:`bench_train`.

    Raises:
        RunError: clips must live in memory and do not fit.
    """
    device = machine.device
    ours, reader = Training(plan, machine), plan.reader
    networks = {
        modality: train_state.network for modality, train_state in ours.train_states.items()
    }
    test = plan.fold.test
    # Processes that read are started for each call: as a run does, for the whole test side.
    whole = machine.test_workers > 0 and ours.prefetcher.held is None
    size = len(test) if whole else 4 * plan.recipe.evaluation_batch
    chunks = cycle([test[start : start + size] for start in range(0, len(test), size)])

    def evaluate() -> int:
        chunk = next(chunks)
        predict(
            networks,
            reader,
            chunk,
            plan.recipe,
            device,
            precision=plan.precision,
            device_cache=machine.device_cache,
            workers=machine.test_workers,
        )
        return len(chunk) * len(networks)

    def train() -> int:
        for network in networks.values():
            network.train()
        return ours.step()

    steps: dict[str, Step] = {OURS: train, TEST: evaluate}
    counted = {name: flops_per_clip(step) for name, step in steps.items()}
    ceilings = measure_ceilings(device)
    windows: Mapping[str, tuple[Window, ...]] = take_turns(
        steps, device, seconds=seconds, repeats=repeats, progress=progress
    )
    rates = tuple(Rate(name, windows[name], counted[name]) for name in steps)
    facts = _facts(plan, machine, resident=ours.prefetcher.held is not None)
    rows, index = reader.table.rows, reader.table.index
    length = median(rows[index[clip_id]].num_frames for clip_id in test)
    facts["test clips"] = (
        f"{len(test):,} of {length:g} frames (median), whole; training clips have"
        f" {plan.recipe.clip_length}"
    )
    return SpeedReport("evaluate", rates, facts, {}, ceilings)


def _facts(plan: RunPlan, machine: Machine, *, resident: bool) -> dict[str, str]:
    reader, recipe = plan.reader, plan.recipe
    height, width = reader.frame_size
    batch = min(recipe.batch_size, len(plan.fold.train))
    cuda = machine.device.type == "cuda"
    readers = f"{machine.workers} workers" if machine.workers else "the process that trains"
    used = f"{peak_bytes(machine.device) / 1e9:.2f} GB at most"
    return {
        "device": torch.cuda.get_device_name(machine.device) if cuda else "cpu",
        **machine_facts(_PACKAGES),
        "threads": str(torch.get_num_threads()),
        "cuda": str(torch.version.cuda) if cuda else "none",
        "command": machine.command,
        "store": f"{reader.name} ({reader.attributes.origin}), {height}x{width} pixels",
        "run": f"{plan.method.name} ({plan.method.network}), {'+'.join(plan.modalities)},"
        f" fold {plan.fold.name}, {plan.precision}, random weights",
        "step": f"{batch} clips of {recipe.clip_length} x {recipe.crop} x {recipe.crop}"
        f" through {len(plan.modalities)} networks",
        "clips": "live in the device's memory" if resident else f"streamed by {readers}",
        "clips/s": "clips times networks, per second",
        "memory": used + (", last window" if cuda else ", this process, all loops together"),
    }
