"""The numbers of learning curves, from the logs of runs; nothing is drawn here."""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mtut_bench.errors import RunError
from mtut_bench.files import StrPath
from mtut_bench.report.formats.render import to_csv
from mtut_bench.runs.finished import FinishedRun
from mtut_bench.runs.record import HINT
from mtut_bench.statistics.rows import run_facts

__all__ = [
    "QUANTITIES",
    "Curve",
    "mean_curve",
    "read_log",
    "run_curve",
    "stage_two_epoch",
    "training_csv",
]

Entry = Mapping[str, Any]

# What is drawn of a log: the quantity's name and its field. The last is computed, see _value.
_SHARE = "SSA share"
_FIELDS = {
    "cross-entropy": "cross_entropy",
    "mean \u03c1": "rho_mean",
    "\u03c1 open": "rho_open",
    "distance": "ssa",
}
QUANTITIES = (*_FIELDS, _SHARE)
"""Names of the quantities that are drawn, where a log has them."""

_STAGE_TWO = "joint"
_FACTS = ("run", "store", "protocol", "overrides", "method", "modalities", "fold", "seed")


@dataclass(frozen=True)
class Curve:
    """One quantity over the epochs that have it.

    Attributes:
        epochs: counted from 0 over both stages, ascending.
        values: one for each epoch, finite.
    """

    epochs: tuple[int, ...]
    values: tuple[float, ...]


def _value(entry: Entry, quantity: str) -> float | None:
    if quantity != _SHARE:
        return _number(entry, _FIELDS[quantity])
    # lambda * rho * SSA as a share of it and the cross-entropy.
    term, entropy = _number(entry, "ssa_term"), _number(entry, "cross_entropy")
    if term is None or entropy is None or term + entropy <= 0.0:
        return None
    return term / (term + entropy)


def _number(entry: Entry, name: str) -> float | None:
    value = entry.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def read_log(folder: StrPath) -> tuple[dict[str, Any], ...]:
    """Return the entries of a run's log, one per epoch and modality; none where it is absent.

    Raises:
        RunError: a line that is no entry; names file and line.
    """
    path = Path(folder) / "log.jsonl"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as fault:
        raise RunError(f"{path} cannot be read: {fault}.", HINT) from fault
    entries = []
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
            fits = {"stage", "modality"} <= entry.keys() and type(entry["epoch"]) is int
        except (json.JSONDecodeError, AttributeError, KeyError):
            fits = False
        if not fits:
            raise RunError(
                f"{path}, line {number}, is no JSON object with stage, epoch and modality.", HINT
            )
        entries.append(entry)
    return tuple(entries)


def run_curve(entries: Sequence[Entry], modality: str, quantity: str) -> Curve:
    """Return one of ``QUANTITIES`` of the network of a modality over the epochs of a run's log."""
    values: dict[int, float] = {}
    for entry in entries:
        value = _value(entry, quantity) if entry["modality"] == modality else None
        if value is not None:
            values[entry["epoch"]] = value
    return Curve(tuple(sorted(values)), tuple(values[epoch] for epoch in sorted(values)))


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """Return the mean over curves at each epoch that all have; empty ones do not count."""
    values: dict[int, list[float]] = defaultdict(list)
    counted = [curve for curve in curves if curve.epochs]
    for curve in counted:
        for epoch, value in zip(curve.epochs, curve.values, strict=True):
            values[epoch].append(value)
    epochs = [epoch for epoch in sorted(values) if len(values[epoch]) == len(counted)]
    return Curve(tuple(epochs), tuple(float(np.mean(values[epoch])) for epoch in epochs))


def stage_two_epoch(logs: Iterable[Sequence[Entry]]) -> int | None:
    """Return the first epoch of stage two, counted from 0; None where logs of runs disagree."""
    stages = ([e["epoch"] for e in log if e["stage"] == _STAGE_TWO] for log in logs)
    starts = {min(epochs) for epochs in stages if epochs}
    return starts.pop() if len(starts) == 1 else None


def training_csv(runs: Sequence[FinishedRun]) -> bytes:
    """Return the log entries of stage two, one line per run, epoch and modality.

    Stage one is shared between methods; its logs stay with the runs.

    Returns:
        CSV: the facts of the run, then every quantity that a method logged, in alphabetical order;
        empty where a method does not log it. Nothing without runs or logs.

    Raises:
        RunError: a damaged log.
    """
    lines: list[dict[str, Any]] = []
    for run in runs:
        facts = dict(run_facts(run))
        known = {name: facts[name] for name in _FACTS}
        log = read_log(run.folder)
        lines += [{**known, **entry} for entry in log if entry["stage"] == _STAGE_TWO]
    if not lines:
        return b""
    labels = (*_FACTS, "epoch", "modality")
    columns = (*labels, *sorted({name for line in lines for name in line} - {*labels, "stage"}))
    return to_csv(columns, [{name: line.get(name, "") for name in columns} for line in lines])
