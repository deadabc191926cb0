"""How fast training, loading and testing are, beside plain loops measured in the same run."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from threading import Barrier, BrokenBarrierError
from typing import Any, Literal, NamedTuple

import torch
from torch.utils.benchmark import Timer
from torch.utils.flop_counter import FlopCounterMode

from mtut_bench.benchmarks.loops import (
    EagerBf16,
    Loading,
    PartClock,
    PlainLoop,
    Training,
    WholeClipTest,
    plain_batches,
    wait_for,
)
from mtut_bench.benchmarks.measurement import Progress, machine_facts, take_turns
from mtut_bench.loading.device_cache import DeviceCache
from mtut_bench.runs.machine import Machine
from mtut_bench.runs.plan import RunPlan
from mtut_bench.training.loop import peak_bytes

__all__ = ["SpeedReport", "What", "measure_speed", "measure_together", "own_loop"]

What = Literal["train", "loader", "evaluate"]
"""What is measured: the training step of stage two, its loading, the whole-clip test."""

Step = Callable[[], int]
"""Does a piece of work; returns how many clips passed through a network."""

FORMAT_VERSION = 1

_PACKAGES = ("mtut-bench", "torch", "numpy", "zarr")
_PRODUCT_SIZE = {"cuda": 8192, "cpu": 2048}
_COPY_BYTES = {"cuda": 2**30, "cpu": 2**28}
_CEILING_S = 1.0
_START_LIMIT_S = 600.0
"""How long the slowest of several processes may take to be ready."""


class Window(NamedTuple):
    """What was done in a stretch of time.

    Attributes:
        clips: clips times the networks they passed through.
        seconds: that it took.
        peak_bytes: most memory of the GPU that was in use; None on the CPU.
    """

    clips: int
    seconds: float
    peak_bytes: int | None = None


@dataclass(frozen=True)
class Rate:
    """How fast one way of doing the work is; None: not run or not measured.

    Attributes:
        name: of the way.
        clips_per_s: clips through one network per second, median of the windows.
        ratio: to the first way, the baseline.
        floor_share: least time that the arithmetic can take, at the rate of the device's fastest
            matrix product, over the time taken, 0..1.
        flops_per_clip: arithmetic of one clip through one network, counted.
        peak_bytes: most memory of the GPU over all windows.
        not_run: why it was not run; empty where it was.
        windows: measured.
    """

    name: str
    clips_per_s: float | None = None
    ratio: float | None = None
    floor_share: float | None = None
    flops_per_clip: float | None = None
    peak_bytes: int | None = None
    not_run: str = ""
    windows: tuple[Window, ...] = ()


@dataclass(frozen=True)
class SpeedReport:
    """What a benchmark found.

    Attributes:
        what: was measured.
        rates: ways of doing the work; the first is the baseline of the others.
        facts: device, machine, versions, command, input.
        parts_ms: milliseconds of each part of our training step; on a GPU of its stream, so that
            'load' is the time that it waits for a batch, the copy that runs ahead included.
        ceilings: what the device reaches: '<type> product, FLOP/s' and 'copy, bytes/s'.
        processes: clips per second of so many processes together.
    """

    what: What
    rates: tuple[Rate, ...]
    facts: Mapping[str, str]
    parts_ms: Mapping[str, float] = field(default_factory=dict)
    ceilings: Mapping[str, float] = field(default_factory=dict)
    processes: dict[int, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return it ready for JSON."""
        rates = [
            {**vars(rate), "windows": [window._asdict() for window in rate.windows]}
            for rate in self.rates
        ]
        return {"format_version": FORMAT_VERSION, **vars(self), "rates": rates}


def compare_rates(
    ways: Mapping[str, Sequence[Window] | str],
    flops_per_clip: Mapping[str, float],
    flops_per_s: float | None,
) -> tuple[Rate, ...]:
    """Return the rate of each way of doing the work beside the first one's.

    Args:
        ways: the windows of each, or why it was not run.
        flops_per_clip: of each way that they were counted of.
        flops_per_s: what a large matrix product reaches on the device; None: not measured.
    """
    baseline: float | None = None
    rates: list[Rate] = []
    for name, windows in ways.items():
        if isinstance(windows, str):
            rates.append(Rate(name, not_run=windows))
            continue
        speed = median(window.clips / window.seconds for window in windows)
        baseline = baseline or speed
        flops = flops_per_clip.get(name)
        share = speed * flops / flops_per_s if flops and flops_per_s else None
        peak = max((w.peak_bytes for w in windows if w.peak_bytes is not None), default=None)
        ratio = speed / baseline
        rates.append(Rate(name, speed, ratio, share, flops, peak, windows=tuple(windows)))
    return tuple(rates)


def own_loop(what: What, plan: RunPlan, machine: Machine) -> Training | Loading:
    """Return the run's own work."""
    makers = {"train": Training, "loader": Loading, "evaluate": WholeClipTest}
    return makers[what](plan, machine)


def measure_speed(
    what: What,
    plan: RunPlan,
    machine: Machine,
    plain_workers: int,
    seconds: float,
    repeats: int,
    *,
    progress: Progress | None = None,
) -> SpeedReport:
    """Measure the work of a run beside its baselines.

    Args:
        what: the work.
        plan: a run; its networks are random and learn nothing.
        machine: device, workers, device_cache.
        plain_workers: processes of the plain loop.
        seconds: least length of a window.
        repeats: windows of each way; the medians count. One more warms up and is thrown away.
        progress: called with (windows done, windows in all).

    Raises:
        RunError: clips must be cached and do not fit.
        UsageError: the method has no training step.
    """
    device = machine.device
    own = own_loop(what, plan, machine)
    ways = _ways(own, plain_workers)
    steps = {name: step for name, step in ways.items() if not isinstance(step, str)}
    counted: dict[str, float] = {}
    ceilings: dict[str, float] = {}
    if what != "loader":
        counted = {name: flops_per_clip(step) for name, step in steps.items()}
        ceilings = measure_ceilings(device)
    windowed = {name: partial(run_window, step, seconds, device) for name, step in steps.items()}
    # Reading processes go on while it is another's turn: a window begins with what they have ready.
    for window in windowed.values():
        window()
    clock = PartClock(device)
    if isinstance(own, Training):
        own.clock = clock
    windows: Mapping[str, Sequence[Window]] = take_turns(windowed, repeats, progress)
    top = max((v for k, v in ceilings.items() if k.endswith("FLOP/s")), default=None)
    rates = compare_rates({n: windows.get(n) or str(way) for n, way in ways.items()}, counted, top)
    facts = _facts(plan, machine, cached=own.batches.are_cached)
    facts["plain loop"] = f"float32 clips made by {plain_workers} workers, fp32 (TF32 on a GPU)"
    return SpeedReport(what, rates, facts, clock.milliseconds(), ceilings)


def _ways(own: Training | Loading, plain_workers: int) -> dict[str, Step | str]:
    """Return the ways of doing the work, the baseline first, or why one cannot be run."""
    plan, machine = own.plan, own.machine
    if isinstance(own, WholeClipTest):
        return {"training step": own.train, "whole-clip test": own.step}
    if isinstance(own, Training):
        bf16 = has_bf16_units(machine.device)
        missing = "not run on this device: it has no bf16 units"
        return {
            "plain loop": PlainLoop(plan, machine, plain_workers).step,
            "eager bf16, channels last": EagerBf16(plan, machine).step if bf16 else missing,
            "training step": own.step,
        }
    plain = plain_batches(plan, machine.device, plain_workers)
    never = replace(machine, device_cache=DeviceCache("never", machine.device))
    cached = own.batches.are_cached
    missing = "not run: --device-cache always caches the clips, auto where a GPU has room"
    return {
        "plain loop": lambda: len(next(plain)[2]) * len(plan.modalities),
        "streamed": Loading(plan, never).step if cached else own.step,
        "cached": own.step if cached else missing,
    }


def _facts(plan: RunPlan, machine: Machine, *, cached: bool) -> dict[str, str]:
    reader, recipe = plan.reader, plan.recipe
    height, width = reader.frame_size
    batch = min(recipe.batch_size, len(plan.fold.train))
    cuda = machine.device.type == "cuda"
    readers = f"{machine.workers} workers" if machine.workers else "the training process"
    used = f"{peak_bytes(machine.device) / 1e9:.2f} GB at most"
    rows, index = reader.table.rows, reader.table.index
    length = median(rows[index[clip_id]].num_frames for clip_id in plan.fold.test)
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
        "test clips": f"{len(plan.fold.test):,}, whole, of {length:g} frames (median)",
        "clips": "cached in the device's memory" if cached else f"streamed by {readers}",
        "clips/s": "clips times networks, per second",
        "memory": used + (", last window" if cuda else ", this process, all loops"),
    }


def run_window(step: Step, seconds: float, device: torch.device) -> Window:
    """Repeat a step until a time is over, at least once, and wait for the device.

    torch's Timer waits for the device after every step, which training does not.
    """
    wait_for(device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    clips, begun = 0, time.perf_counter()
    while True:
        clips += step()
        if time.perf_counter() - begun >= seconds:
            break
    wait_for(device)
    taken = time.perf_counter() - begun
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
    return Window(clips, taken, peak)


def flops_per_clip(step: Step) -> float:
    """Return the floating point operations of one clip, counted while a real step runs.

    Convolutions and matrix products, forward and backward; a product and its addition are two.
    """
    with FlopCounterMode(display=False) as counter:
        clips = step()
    return counter.get_total_flops() / clips


def has_bf16_units(device: torch.device) -> bool:
    """Return whether a device computes bfloat16 itself; elsewhere it is much slower than fp32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    info = Path("/proc/cpuinfo")
    words = set(info.read_text().split()) if info.is_file() else set()
    return bool(words & {"avx512_bf16", "amx_bf16", "bf16"})


def measure_ceilings(device: torch.device) -> dict[str, float]:
    """Return the best rates of large matrix products, per type, and of a large copy.

    On a GPU the product of float32 is in TF32.
    """
    found: dict[str, float] = {}
    size = _PRODUCT_SIZE[device.type]
    dtypes = [torch.float32, *([torch.bfloat16] if has_bf16_units(device) else [])]
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        for dtype in dtypes:
            a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
            name = str(dtype).removeprefix("torch.")
            found[f"{name} product, FLOP/s"] = 2 * size**3 / _best_seconds(a.matmul, b)
    finally:
        torch.set_float32_matmul_precision(before)
    source = torch.ones(_COPY_BYTES[device.type], dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    # Every byte is read and written.
    found["copy, bytes/s"] = 2 * source.nbytes / _best_seconds(target.copy_, source)
    return found


def _best_seconds(function: Callable[[torch.Tensor], object], x: torch.Tensor) -> float:
    """Return the least time that a call takes: what can be reached."""
    names = {"function": function, "x": x}
    timer = Timer("function(x)", globals=names, num_threads=torch.get_num_threads())
    return min(timer.blocked_autorange(min_run_time=_CEILING_S).times)


def measure_together(count: int, make: Callable[[], Training | Loading], seconds: float) -> float:
    """Return the clips per second of several processes that work at the same time.

    Args:
        count: processes.
        make: builds the work of one; must be picklable.
        seconds: least length of the window; each process is warmed up for as long.
    """
    context = get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(count, mp_context=context) as pool:
        barrier = manager.Barrier(count)
        # Each waits at the barrier for all, so none gets two of the tasks.
        futures = [pool.submit(_work, make, seconds, barrier) for _ in range(count)]
        windows = [future.result() for future in futures]
    return sum(window.clips / window.seconds for window in windows if window)


def _work(
    make: Callable[[], Training | Loading], seconds: float, barrier: Barrier
) -> Window | None:
    """Return the window of one of several processes; None where another one has failed."""
    try:
        loop = make()
        run_window(loop.step, seconds, loop.machine.device)
        barrier.wait(_START_LIMIT_S)
        return run_window(loop.step, seconds, loop.machine.device)
    except BrokenBarrierError:
        return None
    except BaseException:
        barrier.abort()
        raise
