"""How networks fit their own training clips, in words, beside what they score."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mtut_bench.progress import counted
from mtut_bench.statistics.rows import NO_FIT, ResultRow, modality_order
from mtut_bench.training.fit import Fit, doubts

__all__ = ["fit_notes"]


def fit_notes(rows: Iterable[ResultRow]) -> list[str]:
    """Return a line on each method's fit of its training clips, and one warning before all.

    Args:
        rows: the measured numbers of a table.
    """
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
            parts.append(_described(modality, [fit for _, fit in found]))
            # An objective of a user's own need not log either.
            begun = [fit.get("start", {}) for _, fit in found]
            terms = [of for of in begun if {"ssa", "w"} <= of.keys()]
            if terms:
                starts.append(f"{modality} S {_mean(terms, 'ssa'):.3g}, w {_mean(terms, 'w'):.3g}")
            bad = [
                row
                for row, fit in found
                if doubts(fit["training"], fit["evaluation"], row["num_classes"])
            ]
            if bad:
                of_all = f"{len(bad)} of {counted(len(found), 'run')}"
                suspect.append(f"{title} on {modality} ({of_all})")
        lines.append(f"{title}, right on its training clips: {'; '.join(parts)}.")
        if starts:
            lines.append(
                f"{title}, distance S of the correlations where stage two begins, and"
                f" w = lambda * S: {'; '.join(starts)}."
            )
    if suspect:
        lines.insert(
            0,
            f"Warning: {', '.join(suspect)}: evaluation mode does worse on the training clips than"
            " training mode, or names one class for all of them. Such a number says nothing of the"
            " method.",
        )
    return lines


def _mean(terms: Sequence[Mapping[str, float]], name: str) -> float:
    return sum(of[name] for of in terms) / len(terms)


def _described(modality: str, fits: Sequence[Mapping[str, Fit]]) -> str:
    texts = []
    for mode in ("evaluation", "training"):
        known = [fit[mode]["accuracy"] for fit in fits if "accuracy" in fit[mode]]
        share = f"{sum(known) / len(known):.1%}" if known else "-"
        entropy = sum(fit[mode]["cross_entropy"] for fit in fits) / len(fits)
        texts.append(f"{share}, cross-entropy {entropy:.3g}")
    return f"{modality} {texts[0]} (in training mode {texts[1]})"
