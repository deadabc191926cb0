"""Shared by the checks of raw folders and of stores: faults, histograms, clip tables."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median
from typing import Any, Literal

from mtut_bench.contract.types import ClipRow

__all__ = [
    "Fault",
    "FaultKind",
    "Histogram",
    "Spread",
    "check_rows",
    "count_clips",
    "join_names",
]

FaultKind = Literal[
    "missing",  # a file, or a file that the index records
    "unreadable",  # cut, damaged, no picture; of a store: frames that cannot be read
    "short",  # a recording ends before a window does
    "size",  # frames of another size than those of the other recordings
    "duplicate",  # the same content twice
    "changed",  # not the content that an index or a store records
    "unlisted",  # not in the index
    "clips",  # more clips than the dataset has, or another number than a store claims
    "histogram",  # another number of clips of a split, subject or label than published
    "persons",  # one person on two sides of a split
    "row",  # an id twice, a label outside the classes, a clip without frames
    "store",  # missing or cut shards, a table without its digest, clips that overlap
]

_NAMED = 5


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        kind: which check found it.
        where: files (relative to the raw folder), clip ids, or values of a histogram.
        sentence: what is wrong, for a reader.
    """

    kind: FaultKind
    where: tuple[str, ...]
    sentence: str

    def __str__(self) -> str:
        return self.sentence

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready record."""
        return {"kind": self.kind, "where": list(self.where), "sentence": self.sentence}


@dataclass(frozen=True)
class Spread:
    """Smallest, middle and largest of some counts, and their sum."""

    min: int
    median: float
    max: int
    total: int

    @classmethod
    def of(cls, counts: Sequence[int]) -> "Spread":
        """Return the spread of counts; all 0 where there are none."""
        if not counts:
            return cls(0, 0, 0, 0)
        return cls(min(counts), median(counts), max(counts), sum(counts))

    def describe(self, unit: str) -> str:
        """Return it in words."""
        if self.min == self.max:
            return f"{self.min:,} {unit} each, {self.total:,} in all"
        span = f"{self.min:,} to {self.max:,} {unit}, median {self.median:,g}"
        return f"{span}, {self.total:,} in all"


@dataclass(frozen=True)
class Histogram:
    """Clips per value of one column of the clip table.

    Attributes:
        column: 'split', 'subject' or 'label'.
        found: clips per value; a label is its class index as text.
        published: the same for the complete dataset; None where unknown.
        classes: of labels: names in their order.
    """

    column: str
    found: Mapping[str, int]
    published: Mapping[str, int] | None = None
    classes: Sequence[str] = ()

    def describe(self, unit: str) -> str:
        """Return one line: 'clips per person: 1: 148, 2: 70 of 76'; 'of' says what is published."""
        bins = self._bins()
        known = self.published is not None
        end = " (as published)" if known and all(a == b for _, a, b in bins) else ""
        parts = [
            f"{self._name(value)}: {found:,}"
            + (f" of {other:,}" if known and other != found else "")
            for value, found, other in bins
        ]
        return f"clips per {'class' if self.classes else unit}: {', '.join(parts)}{end}"

    def _name(self, value: str) -> str:
        """Return the name of a class, or the value itself where it is none."""
        label = int(value) if self.classes and value.isdecimal() else len(self.classes)
        return self.classes[label] if label < len(self.classes) else value

    def faults(self, *, complete: bool) -> list[Fault]:
        """Return the bins that cannot be right.

        Args:
            complete: whether the number of clips is that of the complete dataset; of a part only
                bins that hold too many are wrong.
        """
        if self.published is None:
            return []
        faults = []
        for value, count, published in self._bins():
            if count > published or (complete and count != published):
                name = f"{self.column} {value}"
                what = f"{name} has {count:,} clips; {published:,} are published"
                faults.append(Fault("histogram", (name,), what))
        return faults

    def _bins(self) -> list[tuple[str, int, int]]:
        """Return (value, found, published) in order."""
        published = self.published or {}
        values = sorted({**self.found, **published}, key=_natural)
        return [(value, self.found.get(value, 0), published.get(value, 0)) for value in values]

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready record."""
        published = None if self.published is None else dict(self.published)
        return {"found": dict(self.found), "published": published}


def count_clips(rows: Sequence[ClipRow], num_classes: int) -> dict[str, dict[str, int]]:
    """Return clips per 'split' (where there is one), 'subject' and 'label'; 0 for empty classes."""
    splits = Counter(str(row.split) for row in rows if row.split)
    subjects = Counter(row.subject for row in rows)
    labels = {str(label): 0 for label in range(num_classes)}
    labels |= Counter(str(row.label) for row in rows)
    order = ("train", "val", "test")
    return {
        "split": {name: splits[name] for name in order if name in splits},
        "subject": {name: subjects[name] for name in sorted(subjects, key=_natural)},
        "label": {name: labels[name] for name in sorted(labels, key=_natural)},
    }


def check_rows(rows: Sequence[ClipRow], num_classes: int, fold_rule: str) -> list[Fault]:
    """Return what is wrong with a clip table by itself.

    Args:
        rows: the clip table.
        num_classes: labels are 0 to this, exclusive.
        fold_rule: with 'split' a person may be on one side only.
    """
    faults = []
    for clip_id, count in Counter(row.clip_id for row in rows).items():
        if count > 1:
            faults.append(Fault("row", (clip_id,), f"the clip id {clip_id} occurs {count} times"))
    for row in rows:
        wrong = []
        if not 0 <= row.label < num_classes:
            wrong.append(f"has label {row.label}; there are {num_classes} classes from 0")
        if row.num_frames < 1:
            wrong.append(f"has {row.num_frames} frames")
        faults += [Fault("row", (row.clip_id,), f"{row.clip_id} {what}") for what in wrong]
    if fold_rule != "split":
        return faults
    sides: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows:
        sides[row.split].add(row.subject)
    for first, second in combinations(("train", "val", "test"), 2):
        both = sorted(sides[first] & sides[second], key=_natural)
        if both:
            what = f"subjects in both {first} and {second}: {', '.join(both)}"
            faults.append(Fault("persons", tuple(both), what))
    return faults


def join_names(names: Sequence[str]) -> str:
    """Return 'a, b and c'; of many the first ones and how many more."""
    shown = list(names) if len(names) <= _NAMED else list(names[: _NAMED - 1])
    if len(shown) < len(names):
        shown.append(f"{len(names) - len(shown):,} more")
    return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))


def _natural(name: str) -> tuple[int, int, str]:
    """Sort key: numbers by value, before names; the sides of a split in their order."""
    if name.isdecimal():
        return 0, int(name), name
    return 1, {"train": 0, "val": 1, "test": 2}.get(name, 3), name
