"""Several processes on one device at once: what they do together."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from threading import BrokenBarrierError
from typing import Protocol

import torch

from mtut_bench.benchmarks.speed.rates import Window, run_window

__all__ = ["Work", "measure_together"]

_START_LIMIT_S = 600.0
"""How long the slowest process may take to be ready."""


class Work(Protocol):
    """Something that a process does again and again on a device."""

    @property
    def device(self) -> torch.device:
        """Where."""
        ...

    def step(self) -> int:
        """Do it once more; return the clips."""
        ...


def measure_together(count: int, make: Callable[[], Work], seconds: float) -> float:
    """Return the clips per second of several processes that work at the same time.

    Args:
        count: processes.
        make: builds the work of one; must be picklable.
        seconds: least length of the window; each process is warmed up for as long.
    """
    context = get_context("spawn")
    barrier = context.Barrier(count)
    with ProcessPoolExecutor(
        count, mp_context=context, initializer=_keep, initargs=(barrier,)
    ) as pool:
        # Each waits at the barrier for all, so none gets two of the tasks.
        futures = [pool.submit(_work, make, seconds) for _ in range(count)]
        errors = [error for future in futures if (error := future.exception())]
        for error in sorted(errors, key=lambda error: isinstance(error, BrokenBarrierError)):
            raise error
        windows: list[Window] = [future.result() for future in futures]
    return sum(window.clips_per_s for window in windows)


_barrier: Barrier | None = None


def _keep(barrier: Barrier) -> None:
    # A barrier can be handed to a process when it starts, and only then.
    global _barrier
    _barrier = barrier


def _work(make: Callable[[], Work], seconds: float) -> Window:
    assert _barrier is not None
    try:
        work = make()
        run_window(work.step, seconds, work.device)
        _barrier.wait(_START_LIMIT_S)
        return run_window(work.step, seconds, work.device)
    except BaseException:
        _barrier.abort()
        raise
