"""Which numbers are comparable: one rule for cells, tables, figures, tests and scores.

Every condition of a number is named once; every use says which of them must be equal, and decides
what happens to numbers that differ: another table, a refusal or a note.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

from mtut_bench.statistics.rows import RunFacts

__all__ = [
    "CONDITIONS",
    "NEEDED",
    "Use",
    "by_method",
    "described",
    "difference",
    "differing",
    "key",
    "value",
]

Use = Literal["cell", "side", "comparison", "score", "table", "figure", "clips", "published"]
"""What numbers are brought together for.

'cell': one mean over folds and seeds. 'side': the runs of one side of a comparison. 'comparison':
two methods, tested against each other. 'score': a user's predictions beside runs. 'table': methods
in one local table. 'figure': methods in one figure. 'clips': networks on the same clips.
'published': methods in a published table, which fixes dataset and protocol.
"""


CONDITIONS: Mapping[str, str] = {
    "origin": "kind of recordings",
    "complete": "completeness of the store",
    "dataset": "dataset",
    "store": "store",
    "store_digest": "store digest",
    "num_classes": "number of classes",
    "mirror": "table of mirrored classes",
    "num_folds": "number of folds",
    "protocol": "protocol",
    "protocol_version": "protocol version",
    "tables": "tables that the protocol may fill",
    "overrides": "overridden options",
    "precision": "precision",
    "modalities": "modalities trained on",
    "method": "method",
    "settings": "settings",
    "weights_digest": "starting weights",
    "device": "device",
    "family": "identity",
}
"""What numbers may differ in: columns of a row, most telling first, and words for messages."""

_DATA = ("origin", "complete", "dataset", "store_digest", "num_classes", "mirror")
_RULES = ("protocol", "protocol_version", "overrides", "precision")
_ALIKE = (*_DATA, *_RULES)
# Its name is printed over the numbers, or looked up for frames.
_NAMED = ("store", "tables", *_ALIKE)
# Methods may differ in device, which a note says; folds and seeds of one method may not.
_ONE_METHOD = ("num_folds", "method", "settings", "weights_digest", "device", "family")

NEEDED: Mapping[Use, tuple[str, ...]] = {
    # A network without alignment may come from runs of several modality sets.
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


def value(row: RunFacts, name: str) -> str:
    """Return one condition of a number, as text."""
    return str(dict(row)[name])


def key(row: RunFacts, use: Use) -> tuple[str, ...]:
    """Return what is equal for all numbers that are comparable."""
    return tuple(value(row, name) for name in NEEDED[use])


def differing(rows: Iterable[RunFacts], use: Use) -> list[str]:
    """Return the conditions that some numbers would have to share and do not.

    The whole identity is named only where nothing else tells them apart.
    """
    rows = list(rows)
    found = [
        name
        for name in CONDITIONS
        if name in NEEDED[use] and len({value(row, name) for row in rows}) > 1
    ]
    return [name for name in found if name != "family"] or found


def difference(rows: Iterable[RunFacts], use: Use) -> str:
    """Return :func:`differing` in words; "" for nothing."""
    return ", ".join(CONDITIONS[name] for name in differing(rows, use))


def described(row: RunFacts, names: Iterable[str]) -> str:
    """Return some conditions of a number in words, with their values, digests shortened."""
    return ", ".join(f"{CONDITIONS[name]} {_short(row, name)}" for name in names)


def by_method(rows: Iterable[RunFacts], names: Iterable[str]) -> str:
    """Return which method has which value of some conditions, in words."""
    rows = list(rows)
    parts = []
    for name in names:
        values = sorted({(row["title"], _short(row, name)) for row in rows})
        told = ", ".join(f"{title} {value}" for title, value in values)
        parts.append(f"{CONDITIONS[name]} ({told})")
    return ", ".join(parts)


def _short(row: RunFacts, name: str) -> str:
    text = value(row, name)
    return text[:12] if len(text) == 64 else text
