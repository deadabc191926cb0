"""Measured speeds and sizes, each beside what it is held against; facts of the machine."""

import os
import platform
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

__all__ = ["Benchmark", "Measure", "interleave", "machine_facts", "seconds_of"]


@dataclass(frozen=True)
class Measure:
    """One measured number.

    Attributes:
        name: what was measured.
        value: the number.
        unit: of value and bare.
        bare: what bare calls of the same libraries reach; more is better.
        floor: least value / bare that is good enough.
        limit: largest value that is good enough; where less is better.
        note: how much work it was.
    """

    name: str
    value: float
    unit: str
    bare: float | None = None
    floor: float | None = None
    limit: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Value over bare."""
        return self.value / self.bare if self.bare else None

    @property
    def passed(self) -> bool | None:
        """Whether floor or limit is kept; None where there is neither."""
        if self.floor is not None and self.ratio is not None:
            return self.ratio >= self.floor
        return None if self.limit is None else self.value <= self.limit


@dataclass(frozen=True)
class Benchmark:
    """What a benchmark found.

    Attributes:
        measures: in the order they were taken.
        facts: machine, versions, input.
    """

    measures: tuple[Measure, ...]
    facts: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """Return it ready for JSON."""
        measures = [{**vars(m), "ratio": m.ratio, "passed": m.passed} for m in self.measures]
        return {"measures": measures, "facts": dict(self.facts)}


def seconds_of(action: Callable[[], object]) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def interleave(
    timers: Mapping[str, Callable[[], float]],
    repeats: int,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, float]:
    """Return the median seconds of each timer; all take turns, so that all meet the same machine.

    Args:
        timers: each does its work once and returns how long that took.
        repeats: rounds; every other one goes backwards, so that none is always the last.
        progress: called with (turns done, turns in all).
    """
    found: dict[str, list[float]] = {name: [] for name in timers}
    done = 0
    for number in range(repeats):
        for name in list(timers)[:: -1 if number % 2 else 1]:
            found[name].append(timers[name]())
            done += 1
            if progress:
                progress(done, repeats * len(timers))
    return {name: median(seconds) for name, seconds in found.items()}


def machine_facts(packages: Iterable[str]) -> dict[str, str]:
    """Return processor, cores, load and versions.

    Args:
        packages: whose versions matter.
    """
    allowed = getattr(os, "sched_getaffinity", None)
    cores = len(allowed(0)) if allowed else os.cpu_count() or 1
    return {
        "processor": _processor(),
        "cores": str(cores),
        "load before": f"{os.getloadavg()[0]:.2f}",
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())
