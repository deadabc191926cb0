"""Notes below measured numbers: settings, departures from the paper, sources, fit of training."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mtut_bench.progress import counted
from mtut_bench.statistics.rows import NO_FIT, ResultRow, RunFacts, modality_order
from mtut_bench.training.fit import Fit, objections

__all__ = ["fit_notes", "setting_notes", "source_notes"]

# What the paper prints of an objective's settings; another value, and all others, are our choice.
_PRINTED = {"lambda": 0.05, "beta": 2.0, "ssa_reduction": "sum"}
_NO_CHOICE = ("network", "source")
# Settings whose default departs from the words of the paper.
_DEPARTURES = {
    ("rho_grad", "detach"): "no gradient flows through rho, unlike the paper's "
    "'end-to-end' training; not yet tested at the paper's clip size.",
    ("rho_form", "saturating"): "rho saturates below 1, unlike equation 3.",
}


def setting_notes(rows: Iterable[RunFacts]) -> list[str]:
    """Return lines on the settings of each method, departures from the paper included."""
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


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings by name, whatever part of the method they belong to."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= _flat(value) if isinstance(value, Mapping) else {name: value}
    return flat


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _whose(settings: Mapping[str, Any]) -> str:
    """Return a sentence on which settings the paper prints and which are our choice."""
    asked = [name for name in settings if name not in _NO_CHOICE]
    if not asked:
        return ""
    printed = [name for name in asked if (name, settings[name]) in _PRINTED.items()]
    ours = [name for name in asked if name not in printed]
    sentence = f" Stated in the paper: {', '.join(printed) or 'none'}"
    return f"{sentence}; our choice: {', '.join(ours)}." if ours else f"{sentence}."


def source_notes(rows: Iterable[ResultRow]) -> list[str]:
    """Return lines on stores, protocols, devices, padded clips and learning rates."""
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


def fit_notes(rows: Iterable[ResultRow]) -> list[str]:
    """Return a line on each method's fit of its training clips, after a warning if there is one."""
    fits: dict[str, dict[str, list[tuple[ResultRow, Mapping[str, Any]]]]] = defaultdict(dict)
    for row in rows:
        if row["fit"] != NO_FIT:
            of_method = fits[row["title"]]
            of_method.setdefault(row["tested_on"], []).append((row, json.loads(row["fit"])))
    suspect, lines = [], []
    for title in sorted(fits):
        parts, starts = [], []
        for modality in sorted(fits[title], key=modality_order):
            found = fits[title][modality]
            parts.append(_fit_text(modality, [fit for _, fit in found]))
            # A user's own objective need not log either.
            begun = [fit.get("start", {}) for _, fit in found]
            terms = [of for of in begun if {"ssa", "w"} <= of.keys()]
            if terms:
                starts.append(f"{modality} S {_mean(terms, 'ssa'):.3g}, w {_mean(terms, 'w'):.3g}")
            bad = sum(
                bool(objections(fit["training"], fit["evaluation"], row["num_classes"]))
                for row, fit in found
            )
            if bad:
                suspect.append(f"{title} on {modality} ({bad} of {counted(len(found), 'run')})")
        lines.append(f"{title}, accuracy on its training clips: {'; '.join(parts)}.")
        if starts:
            lines.append(
                f"{title}, distance S of the correlations where stage two begins, and"
                f" w = lambda * S: {'; '.join(starts)}."
            )
    if suspect:
        warning = (
            f"Warning: {', '.join(suspect)}: evaluation mode does worse on the training clips than"
            " training mode, or predicts one class for all of them. Such numbers say nothing "
            "about the method."
        )
        lines.insert(0, warning)
    return lines


def _mean(terms: Sequence[Mapping[str, float]], name: str) -> float:
    return sum(of[name] for of in terms) / len(terms)


def _fit_text(modality: str, fits: Sequence[Mapping[str, Fit]]) -> str:
    texts = []
    for mode in ("evaluation", "training"):
        known = [fit[mode]["accuracy"] for fit in fits if "accuracy" in fit[mode]]
        share = f"{sum(known) / len(known):.1%}" if known else "-"
        entropy = sum(fit[mode]["cross_entropy"] for fit in fits) / len(fits)
        texts.append(f"{share}, cross-entropy {entropy:.3g}")
    return f"{modality} {texts[0]} (in training mode {texts[1]})"
