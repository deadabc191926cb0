"""The numbers behind learning curves: epoch means of a training's log, nothing drawn."""

import json
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mtut_bench.errors import RunError
from mtut_bench.files import StrPath
from mtut_bench.report.figures.groups import Arm
from mtut_bench.runs.record import CURE

__all__ = ["QUANTITIES", "Curve", "joint_start", "mean_curve", "read_log", "run_curve"]

Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Curve:
    """One quantity over the epochs that have it.

    Attributes:
        epochs: counted from 0 over both stages, ascending.
        values: one for each epoch, finite.
    """

    epochs: tuple[int, ...]
    values: tuple[float, ...]


def _cross_entropy(entry: Entry) -> float | None:
    return _number(entry, "cross_entropy")


def _rho(entry: Entry) -> float | None:
    return _number(entry, "rho_mean")


def _ssa_share(entry: Entry) -> float | None:
    """Return lambda * rho * SSA as a share of it and the cross-entropy, in [0, 1]."""
    term, entropy = _number(entry, "ssa_term"), _number(entry, "cross_entropy")
    if term is None or entropy is None or term + entropy <= 0.0:
        return None
    return term / (term + entropy)


def _distance(entry: Entry) -> float | None:
    return _number(entry, "ssa")


def _open_share(entry: Entry) -> float | None:
    return _number(entry, "rho_open")


QUANTITIES: dict[str, Callable[[Entry], float | None]] = {
    "cross-entropy": _cross_entropy,
    "mean \u03c1": _rho,
    "\u03c1 open": _open_share,
    "distance": _distance,
    "SSA share": _ssa_share,
}
"""What is drawn of a log, by name; None where an entry does not have it."""


def _number(entry: Entry, name: str) -> float | None:
    value = entry.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def read_log(folder: StrPath) -> tuple[dict[str, Any], ...]:
    """Return the entries of a run's log, one per epoch and modality; none where it is absent.

    Args:
        folder: of a finished run.

    Raises:
        RunError: a line that is no entry; names file and line.
    """
    path = Path(folder) / "log.jsonl"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as fault:
        raise RunError(f"{path} cannot be read: {fault}.", CURE) from fault
    entries = []
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
        except json.JSONDecodeError as fault:
            raise RunError(f"{path}, line {number}, is no JSON: {fault}.", CURE) from fault
        labels = ("stage", "epoch", "modality")
        if not isinstance(entry, dict) or not all(name in entry for name in labels):
            raise RunError(f"{path}, line {number}, has no stage, epoch or modality.", CURE)
        if isinstance(entry["epoch"], bool) or not isinstance(entry["epoch"], int):
            raise RunError(f"{path}, line {number}, has epoch {entry['epoch']!r}.", CURE)
        entries.append(entry)
    return tuple(entries)


def run_curve(entries: Sequence[Entry], modality: str, quantity: str) -> Curve:
    """Return one quantity of one network over the epochs.

    Args:
        entries: the log of a run.
        modality: of the network.
        quantity: one of ``QUANTITIES``.
    """
    values: dict[int, float] = {}
    for entry in entries:
        value = QUANTITIES[quantity](entry) if entry["modality"] == modality else None
        if value is not None:
            values[entry["epoch"]] = value
    return Curve(tuple(sorted(values)), tuple(values[epoch] for epoch in sorted(values)))


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """Return the mean over runs at each epoch that every one of them has.

    Args:
        curves: of the runs of one method; those without any epoch do not count.
    """
    values: dict[int, list[float]] = defaultdict(list)
    counted = [curve for curve in curves if curve.epochs]
    for curve in counted:
        for epoch, value in zip(curve.epochs, curve.values, strict=True):
            values[epoch].append(value)
    epochs = [epoch for epoch in sorted(values) if len(values[epoch]) == len(counted)]
    return Curve(tuple(epochs), tuple(float(np.mean(values[epoch])) for epoch in epochs))


def joint_start(arms: Sequence[Arm], logs: Mapping[Path, Sequence[Entry]]) -> int | None:
    """Return the first epoch of stage two, counted from 0, or None where runs do not agree on one.

    Args:
        arms: whose runs.
        logs: entries by the folder of the run.
    """
    starts = set()
    for arm in arms:
        for run in arm.runs:
            joint = [e["epoch"] for e in logs.get(run.folder, ()) if e["stage"] == "joint"]
            starts |= {min(joint)} if joint else set()
    return starts.pop() if len(starts) == 1 else None
