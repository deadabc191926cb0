"""Windows of work, the rates that follow from them, and what they are held against."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import torch

__all__ = ["Rate", "SpeedReport", "Step", "Window", "run_window", "take_turns"]

Step = Callable[[], int]
"""Does a piece of work; returns how many clips passed through a network."""

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Window:
    """What was done in a stretch of time.

    Attributes:
        clips: clips times the networks they passed through.
        seconds: that it took.
        peak_bytes: most memory of the GPU that was in use; None on the CPU.
    """

    clips: int
    seconds: float
    peak_bytes: int | None = None

    @property
    def clips_per_s(self) -> float:
        """Clips through one network, per second."""
        return self.clips / self.seconds


@dataclass(frozen=True)
class Rate:
    """How fast one way of doing the work is.

    Attributes:
        name: of the way.
        windows: measured; empty where it was not run.
        flops_per_clip: arithmetic of one clip through one network, counted; None: not counted.
        not_run: why it was not run; empty where it was.
    """

    name: str
    windows: tuple[Window, ...] = ()
    flops_per_clip: float | None = None
    not_run: str = ""

    @property
    def clips_per_s(self) -> float | None:
        """The median of the windows; None where it was not run."""
        return median(w.clips_per_s for w in self.windows) if self.windows else None

    @property
    def peak_bytes(self) -> int | None:
        """The most memory of the GPU over all windows; None on the CPU."""
        peaks = [w.peak_bytes for w in self.windows if w.peak_bytes is not None]
        return max(peaks) if peaks else None

    def ratio_to(self, other: "Rate") -> float | None:
        """Return this rate over another; None where one of them was not run."""
        own, held_against = self.clips_per_s, other.clips_per_s
        return own / held_against if own and held_against else None

    def floor_share(self, flops_per_s: float | None) -> float | None:
        """Return the least time that the arithmetic can take over the time taken, 0..1.

        Args:
            flops_per_s: what a large matrix product reaches on the device; None: not measured.
        """
        rate = self.clips_per_s
        if rate is None or self.flops_per_clip is None or not flops_per_s:
            return None
        return rate * self.flops_per_clip / flops_per_s


@dataclass(frozen=True)
class SpeedReport:
    """What a benchmark found.

    Attributes:
        what: 'train', 'loader' or 'evaluate'.
        rates: ways of doing the work; the first is what the others are held against.
        facts: device, machine, versions, command, input.
        parts_ms: milliseconds of each part of our training step; on a GPU of its stream, so that
            'load' is the time that it waits for a batch, the copy that runs ahead included.
        ceilings: what the device reaches: '<type> product, FLOP/s' and 'copy, bytes/s'.
        processes: clips per second of so many processes together.
    """

    what: str
    rates: tuple[Rate, ...]
    facts: Mapping[str, str]
    parts_ms: Mapping[str, float] = field(default_factory=dict)
    ceilings: Mapping[str, float] = field(default_factory=dict)
    processes: Mapping[int, float] = field(default_factory=dict)

    @property
    def flops_per_s(self) -> float | None:
        """The fastest matrix product of the run: the floor of every row."""
        return max((v for k, v in self.ceilings.items() if k.endswith("FLOP/s")), default=None)

    def part_share(self, part: str) -> float | None:
        """Return which share of a step a part takes; None where parts were not measured."""
        total = sum(self.parts_ms.values())
        return self.parts_ms[part] / total if total else None

    def to_json(self) -> dict[str, Any]:
        """Return it ready for JSON."""
        first = self.rates[0]
        return {
            "format_version": FORMAT_VERSION,
            "what": self.what,
            "rates": [
                {
                    "name": rate.name,
                    "clips_per_s": rate.clips_per_s,
                    "ratio": rate.ratio_to(first),
                    "floor_share": rate.floor_share(self.flops_per_s),
                    "flops_per_clip": rate.flops_per_clip,
                    "peak_bytes": rate.peak_bytes,
                    "not_run": rate.not_run,
                    "windows": [vars(window) for window in rate.windows],
                }
                for rate in self.rates
            ],
            "parts_ms": dict(self.parts_ms),
            "ceilings": dict(self.ceilings),
            "processes": {str(count): rate for count, rate in self.processes.items()},
            "facts": dict(self.facts),
        }


def run_window(step: Step, seconds: float, device: torch.device) -> Window:
    """Repeat a step until a time is over, at least once, and wait for the device.

    Args:
        step: the work.
        seconds: least length of the window.
        device: where it is done.
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


def wait_for(device: torch.device) -> None:
    """Wait until a GPU is done; a CPU is."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def take_turns(
    steps: Mapping[str, Step],
    device: torch.device,
    *,
    seconds: float,
    repeats: int,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, tuple[Window, ...]]:
    """Return windows of each kind of work, taken in turns, so that all meet the same machine.

    Each is warmed up first, by one window that is thrown away. Reading processes go on while it is
    another's turn, so a window begins with what they have ready: two batches each.

    Args:
        steps: the work, by name.
        device: where it is done.
        seconds: least length of a window.
        repeats: windows of each; every other round goes backwards.
        progress: called with (windows done, windows in all).
    """
    found: dict[str, list[Window]] = {name: [] for name in steps}
    order: Sequence[str] = list(steps)
    for number in range(repeats + 1):
        for name in order[:: -1 if number % 2 else 1]:
            found[name].append(run_window(steps[name], seconds, device))
            if progress:
                progress(sum(map(len, found.values())), (repeats + 1) * len(order))
    return {name: tuple(windows[1:]) for name, windows in found.items()}
