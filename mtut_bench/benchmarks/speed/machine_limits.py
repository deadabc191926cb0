"""What the device reaches at best, and how much arithmetic a step is; no constants."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from mtut_bench.benchmarks.speed.rates import Step, wait_for

__all__ = ["flops_per_clip", "has_bf16_units", "measure_ceilings"]

_PRODUCT_SIZE = {"cuda": 8192, "cpu": 2048}
_COPY_BYTES = {"cuda": 2**30, "cpu": 2**28}
_AT_ONCE = {"cuda": 10, "cpu": 1}


def flops_per_clip(step: Step) -> float:
    """Return the floating point operations of one clip, counted while a real step runs.

    Convolutions and matrix products, forward and backward; a product and its addition are two.

    Args:
        step: the work.
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


def measure_ceilings(device: torch.device, repeats: int = 5) -> dict[str, float]:
    """Return the best rates of large matrix products, per type, and of a large copy.

    Args:
        device: where; on a GPU the product of float32 is in TF32.
        repeats: the best one counts: this is what can be reached.
    """
    found: dict[str, float] = {}
    size = _PRODUCT_SIZE[device.type]
    dtypes = [torch.float32, *([torch.bfloat16] if has_bf16_units(device) else [])]
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        for dtype in dtypes:
            a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
            seconds = _best_seconds(partial(torch.matmul, a, b), device, repeats)
            name = str(dtype).removeprefix("torch.")
            found[f"{name} product, FLOP/s"] = 2 * size**3 / seconds
    finally:
        torch.set_float32_matmul_precision(before)
    source = torch.ones(_COPY_BYTES[device.type], dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    seconds = _best_seconds(partial(target.copy_, source), device, repeats)
    # Every byte is read and written.
    found["copy, bytes/s"] = 2 * source.nbytes / seconds
    return found


def _best_seconds(work: Callable[[], object], device: torch.device, repeats: int) -> float:
    times: list[float] = []
    for _ in range(repeats + 1):
        wait_for(device)
        begun = time.perf_counter()
        for _ in range(_AT_ONCE[device.type]):
            work()
        wait_for(device)
        times.append((time.perf_counter() - begun) / _AT_ONCE[device.type])
    return min(times[1:])
