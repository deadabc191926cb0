"""Measured speeds and sizes, each beside its baseline or bound; facts of the machine."""

import os
import platform
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

__all__ = ["Benchmark", "Measure", "Progress", "machine_facts", "seconds_of", "take_turns"]

_T = TypeVar("_T")

Progress = Callable[[int, int], None]
"""Called with (turns done, turns in all)."""


@dataclass(frozen=True)
class Measure:
    """One measured number.

    Attributes:
        name: what was measured.
        value: the number.
        unit: of value and baseline.
        baseline: what plain calls of the same libraries reach; more is better.
        floor: least value / baseline that is good enough.
        limit: largest value that is good enough; where less is better.
        note: how much work it was.
    """

    name: str
    value: float
    unit: str
    baseline: float | None = None
    floor: float | None = None
    limit: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Value over baseline."""
        return self.value / self.baseline if self.baseline else None

    @property
    def passed(self) -> bool | None:
        """Whether floor or limit is met; None where there is neither."""
        if self.floor is not None and self.ratio is not None:
            return self.ratio >= self.floor
        return None if self.limit is None else self.value <= self.limit


@dataclass(frozen=True)
class Benchmark:
    """What a benchmark found: numbers in the order they were taken; machine, versions, input."""

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


def take_turns(
    actions: Mapping[str, Callable[[], _T]], rounds: int, progress: Progress | None = None
) -> dict[str, list[_T]]:
    """Return what each action returns in each round; all take turns and meet the same machine.

    torch.utils.benchmark times one statement to its end before the next, so a machine that slows
    down would change the ratios.

    Args:
        actions: each does its work once and measures it.
        rounds: every other one goes backwards, so that none is always the last.
        progress: called after each turn.
    """
    found: dict[str, list[_T]] = {name: [] for name in actions}
    for number in range(rounds):
        for name in list(actions)[:: -1 if number % 2 else 1]:
            found[name].append(actions[name]())
            if progress:
                progress(sum(map(len, found.values())), rounds * len(actions))
    return found


def machine_facts(packages: Iterable[str]) -> dict[str, str]:
    """Return processor, cores, load, and versions of the packages."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    allowed = getattr(os, "sched_getaffinity", None)
    return {
        "processor": next(models, platform.processor() or platform.machine()),
        "cores": str(len(allowed(0)) if allowed else os.cpu_count() or 1),
        "load before": f"{os.getloadavg()[0]:.2f}",
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }
