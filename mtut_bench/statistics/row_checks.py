"""What rows of a report must be like, whoever wrote them: one alone, and all of a store."""

import csv
import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from mtut_bench.contract.folds import FOLD_UNIT
from mtut_bench.contract.metrics import wilson_interval
from mtut_bench.files import canonical_json

__all__ = ["disagreement", "implausible"]

_SHARES = ("value", "ci_low", "ci_high", "macro")
_JSON_OBJECTS = ("overrides", "settings", "per_subject", "fit")
_AT_LEAST_ONE = ("num_clips", "expected_clips", "num_classes", "num_folds", "total")
# Releases of scipy may differ in the last digits of a root.
_TOLERANCE = 1e-9


def implausible(row: Mapping[str, Any]) -> str:
    """Return what no run could have given, or no file of rows would give back, or "".

    Args:
        row: values under the names of ``ResultRow``, each of its type.
    """
    for name, value in row.items():
        if isinstance(value, str) and not _survives_csv(value):
            return f"{name} is {value[:80]!r}, a text that no CSV file gives back"
    for name in _SHARES:
        if not 0.0 <= row[name] <= 1.0:
            return f"{name} is {row[name]}, outside 0..1"
    for name in _AT_LEAST_ONE:
        if row[name] < 1:
            return f"{name} is {row[name]}, less than 1"
    for name in _JSON_OBJECTS:
        complaint = _json_complaint(row[name])
        if complaint:
            return f"{name} is {row[name]!r}, {complaint}"
    if not 0 <= row["correct"] <= row["total"]:
        return f"correct is {row['correct']} of total {row['total']}"
    if not 0 <= row["padded_clips"] <= row["total"]:
        return f"padded_clips is {row['padded_clips']} of total {row['total']}"
    if not _adds_up(json.loads(row["per_subject"]), row["correct"], row["total"]):
        return f"per_subject does not add up to {row['correct']} of {row['total']}"
    if not set(row["tested_on"].split("+")) <= set(row["modalities"].split("+")):
        return f"tested on {row['tested_on']}, trained on {row['modalities']} only"
    return _wrong_accuracy(row) if row["metric"] == "accuracy" else ""


def _survives_csv(text: str) -> bool:
    # A carriage return ends a line, unless another character has the text quoted.
    return len(text) <= csv.field_size_limit() and (
        "\r" not in text or not set('",\n').isdisjoint(text)
    )


def _wrong_accuracy(row: Mapping[str, Any]) -> str:
    """Return what does not follow from the clips that are right, or ""."""
    correct, total = row["correct"], row["total"]
    if row["value"] != correct / total:
        return f"value is {row['value']}, not {correct} / {total}"
    interval = wilson_interval(correct, total)
    for name, end in zip(("ci_low", "ci_high"), interval, strict=True):
        if not math.isclose(row[name], end, abs_tol=_TOLERANCE):
            return f"{name} is {row[name]}, not {end}, as Wilson's is of {correct} / {total}"
    # Every class weighs one of at most so many, each clip one of at most all: so much at least.
    share = 1.0 / (total * min(row["num_classes"], total))
    low, high = correct * share - _TOLERANCE, 1.0 - (total - correct) * share + _TOLERANCE
    all_or_none = correct in (0, total) and row["macro"] != correct / total
    if all_or_none or not low <= row["macro"] <= high:
        return f"macro is {row['macro']}, which {correct} of {total} clips cannot give"
    return ""


def _json_complaint(text: str) -> str:
    try:
        value = json.loads(text)
        if not isinstance(value, dict):
            return "no JSON object"
        # Also finds keys that are there twice.
        return "" if canonical_json(value) == text else "not written as canonical JSON"
    except (ValueError, RecursionError):
        return "no JSON object"


def _adds_up(counts: Mapping[str, Any], correct: int, total: int) -> bool:
    """Return whether [right, tested] of each person give the numbers of all clips."""
    pairs = list(counts.values())
    for pair in pairs:
        if not isinstance(pair, list) or [type(count) for count in pair] != [int, int]:
            return False
        if not 0 <= pair[0] <= pair[1] or pair[1] == 0:
            return False
    return [sum(column) for column in zip(*pairs, strict=True)] == [correct, total]


def disagreement(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return in which folds rows of one store contradict each other, or "".

    Args:
        rows: values under the names of ``ResultRow``, each plausible alone.
    """
    groups: dict[tuple[str, str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        unit = str(json.loads(row["overrides"]).get(FOLD_UNIT, ""))
        groups[row["store"], row["store_digest"], unit].append(row)
    for (store, _, _), alike in groups.items():
        said: dict[int, str] = {}
        for row in alike:
            # The first is of a run; an ensemble, which stands behind it, has an id of no folder.
            said.setdefault(row["num_folds"], row["run"])
        if len(said) > 1:
            parts = [f"run {run} says {number}" for number, run in sorted(said.items())]
            return f"runs on {store} differ in how many folds it has: {', '.join(parts)}"
        folds = sorted({row["fold"] for row in alike})
        if len(folds) > next(iter(said)):
            return f"store {store} has {next(iter(said))} folds, its runs {', '.join(folds)}"
    return ""
