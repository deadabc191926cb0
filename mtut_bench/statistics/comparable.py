"""Which numbers may stand together: one rule for cells, tables, figures, tests and scores.

Every condition of a number is named once, with the words for it; every use says which of them must
be equal. What a use does with numbers that differ (a table of their own, a refusal, a note) is its
own matter.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from mtut_bench.statistics.rows import RunFacts

__all__ = [
    "CONDITIONS",
    "NEEDED",
    "Condition",
    "Use",
    "by_method",
    "described",
    "difference",
    "differing",
    "key",
]

Use = Literal["cell", "side", "comparison", "score", "table", "figure", "clips", "published"]
"""What numbers are brought together for.

'cell': one mean over folds and seeds. 'side': the runs of one side of a comparison. 'comparison':
two methods, tested against each other. 'score': a user's predictions beside runs. 'table': methods
in one table of ours. 'figure': methods in one figure. 'clips': networks that judge the same clips.
'published': methods in a printed table, which fixes dataset and protocol.
"""


@dataclass(frozen=True)
class Condition:
    """One thing that numbers may differ in.

    Attributes:
        words: what it is, for messages.
        value: of a row, as text.
    """

    words: str
    value: Callable[[RunFacts], str]


def _column(name: str, words: str = "") -> Condition:
    return Condition(words or name.replace("_", " "), lambda row: str(dict(row)[name]))


CONDITIONS: Mapping[str, Condition] = {
    "origin": _column("origin", "kind of recordings"),
    "complete": _column("complete", "completeness of the store"),
    "dataset": _column("dataset"),
    "store": _column("store"),
    "store_digest": _column("store_digest"),
    "num_classes": _column("num_classes", "number of classes"),
    "mirror": _column("mirror", "table of mirrored classes"),
    "num_folds": _column("num_folds", "number of folds"),
    "protocol": _column("protocol"),
    "protocol_version": _column("protocol_version"),
    "tables": _column("tables", "tables that the protocol may fill"),
    "overrides": _column("overrides", "overridden options"),
    "precision": _column("precision"),
    "modalities": _column("modalities", "modalities trained on"),
    "method": _column("method"),
    "settings": _column("settings"),
    "weights_digest": _column("weights_digest", "starting weights"),
    "device": _column("device"),
    "family": _column("family", "identity"),
}
"""By name, most telling first; the digest of the whole identity last."""

_DATA = ("origin", "complete", "dataset", "store_digest", "num_classes", "mirror")
_RULES = ("protocol", "protocol_version", "overrides", "precision")
_ALIKE = (*_DATA, *_RULES)
# Its name is printed over the numbers, or looked up for frames.
_NAMED = ("store", "tables", *_ALIKE)
# Methods may come from different devices, which is said where it is so; folds and seeds of one not.
_ONE_METHOD = ("num_folds", "method", "settings", "weights_digest", "device", "family")

NEEDED: Mapping[Use, tuple[str, ...]] = {
    # A network that is trained alone may come from runs of several modality sets.
    "cell": (*_ALIKE, *_ONE_METHOD),
    "side": (*_ALIKE, "modalities", *_ONE_METHOD),
    "comparison": (*_ALIKE, "modalities"),
    "score": (*_ALIKE, "modalities"),
    "table": _NAMED,
    "figure": (*_NAMED, "modalities"),
    "clips": _NAMED,
    "published": (
        "store_digest",
        "num_classes",
        "mirror",
        "protocol",
        "protocol_version",
        "precision",
    ),
}
"""Conditions that must be equal, by use."""


def key(row: RunFacts, use: Use) -> tuple[str, ...]:
    """Return what is equal for all numbers that may stand together.

    Args:
        row: a measured number.
        use: what for.
    """
    return tuple(CONDITIONS[name].value(row) for name in NEEDED[use])


def differing(rows: Iterable[RunFacts], use: Use) -> list[str]:
    """Return the names of the conditions that some numbers would have to share and do not.

    The whole identity only where nothing else tells them apart.

    Args:
        rows: measured numbers.
        use: what for.
    """
    rows = list(rows)
    found = [
        name
        for name, condition in CONDITIONS.items()
        if name in NEEDED[use] and len({condition.value(row) for row in rows}) > 1
    ]
    return [name for name in found if name != "family"] or found


def difference(rows: Iterable[RunFacts], use: Use) -> str:
    """Return in words what some numbers would have to share and do not; "" for nothing.

    Args:
        rows: measured numbers.
        use: what for.
    """
    return ", ".join(CONDITIONS[name].words for name in differing(rows, use))


def described(row: RunFacts, names: Iterable[str]) -> str:
    """Return some conditions of a number in words, with their values; "" for none.

    Args:
        row: a measured number.
        names: of the conditions; long digests are shortened.
    """
    return ", ".join(f"{CONDITIONS[name].words} {_short(row, name)}" for name in names)


def by_method(rows: Iterable[RunFacts], names: Iterable[str]) -> str:
    """Return which method has which value of some conditions, in words.

    Args:
        rows: measured numbers.
        names: of the conditions.
    """
    rows = list(rows)
    parts = []
    for name in names:
        values = sorted({(row["title"], _short(row, name)) for row in rows})
        told = ", ".join(f"{title} {value}" for title, value in values)
        parts.append(f"{CONDITIONS[name].words} ({told})")
    return ", ".join(parts)


def _short(row: RunFacts, name: str) -> str:
    value = CONDITIONS[name].value(row)
    return value[:12] if len(value) == 64 else value
