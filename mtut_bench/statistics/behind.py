"""What stands behind measured numbers: settings of the methods, departures, kinds of runs."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from mtut_bench.progress import counted
from mtut_bench.statistics.rows import ResultRow, RunFacts

__all__ = ["setting_notes", "source_notes"]

# What the paper prints of an objective's settings; another value, and all others, are our choice.
_PRINTED = {"lambda": 0.05, "beta": 2.0, "ssa_reduction": "sum"}
_NO_CHOICE = ("network", "source")
# Settings whose default departs from the words of the paper, said wherever numbers are shown.
_DEPARTURES = {
    ("rho_grad", "detach"): "the gradient does not run through rho, a departure from the paper's "
    "'end-to-end' until it is measured at the paper's geometry.",
    ("rho_form", "saturating"): "rho saturates below 1, a departure from equation 3.",
}


def setting_notes(rows: Iterable[RunFacts]) -> list[str]:
    """Return lines about the methods' settings behind measured numbers, departures included.

    Args:
        rows: the measured numbers of a table.
    """
    lines = []
    for title, canonical in sorted({(row["title"], row["settings"]) for row in rows}):
        settings = {k: v for k, v in _flat(json.loads(canonical)).items() if v != ""}
        if settings:
            words = ", ".join(f"{name} {_short(value)}" for name, value in settings.items())
            lines.append(f"{title}: {words}.{_whose(settings)}")
        chosen = {(name, str(value)) for name, value in settings.items()}
        lines += [
            f"{title}: {remark}" for choice, remark in _DEPARTURES.items() if choice in chosen
        ]
    return lines


def _short(value: object) -> str:
    """Return a setting's value: numbers without the digits that no decimal has."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _whose(settings: Mapping[str, Any]) -> str:
    """Return a sentence on which settings the paper prints and which are our choice."""
    asked = [name for name in settings if name not in _NO_CHOICE]
    if not asked:
        return ""
    printed = [name for name in asked if (name, settings[name]) in _PRINTED.items()]
    ours = [name for name in asked if name not in printed]
    sentence = f" The paper prints {', '.join(printed)}" if printed else " The paper prints none"
    return f"{sentence}; our choice: {', '.join(ours)}." if ours else f"{sentence}."


def source_notes(rows: Iterable[ResultRow]) -> list[str]:
    """Return a line for each store, protocol and device behind measured numbers.

    Args:
        rows: the measured numbers of a table.
    """
    rows = list(rows)
    lines = {
        f"Store {row['store']} ({row['store_digest'][:12]}), protocol {row['protocol']} version "
        f"{row['protocol_version']}, device {row['device']}."
        for row in rows
    }
    padded = {row["fold"]: row["padded_clips"] for row in rows if row["padded_clips"]}
    if padded:
        clips = counted(sum(padded.values()), "test clip")
        lines.add(
            f"{clips} shorter than the network's minimum, padded to it; the manifests list them."
        )
    rates = sorted({row["learning_rate"] for row in rows if "+" not in row["tested_on"]} - {""})
    if rates:
        lines.add(f"Learning rate of stage two: {', '.join(rates)}.")
    return sorted(lines)


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings by their own names, whatever part of the method they belong to."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= _flat(value) if isinstance(value, Mapping) else {name: value}
    return flat
