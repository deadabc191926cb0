"""One method's runs under one set of conditions, and two of them paired.

Axis letters (suffixes of array names): S seed, N clip.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mtut_bench.contract.folds import natural_order
from mtut_bench.contract.predictions import Predictions, fuse
from mtut_bench.errors import ComparisonError
from mtut_bench.progress import counted
from mtut_bench.runs.finished import FinishedRun
from mtut_bench.statistics import comparable
from mtut_bench.statistics.notes import setting_notes
from mtut_bench.statistics.rows import RunFacts, run_facts, tested_sets

__all__ = [
    "Configuration",
    "Paired",
    "configuration",
    "gather",
    "pair",
    "right_clips",
    "tested_on",
]

Right = NDArray[np.bool_]

_HINT = (
    "Choose runs with --store and --protocol or by their ids (see `mtut-bench list runs`), or "
    "repeat one side under the other's conditions."
)


@dataclass(frozen=True)
class Configuration:
    """Runs of one method that differ only in fold and seed.

    Seeds that do not have all the folds of the fullest one do not count, whatever they score.

    Attributes:
        name: as printed.
        row: facts that all its runs share.
        by_seed: its runs, by seed and then by fold.
    """

    name: str
    row: RunFacts
    by_seed: Mapping[int, Mapping[str, FinishedRun]]

    @cached_property
    def folds(self) -> tuple[str, ...]:
        """The first of the largest sets of folds that a seed has, in natural order."""
        fullest = max((self.by_seed[seed] for seed in sorted(self.by_seed)), key=len)
        return tuple(sorted(fullest, key=natural_order))

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        """Seeds that have exactly these folds, sorted."""
        return tuple(s for s in sorted(self.by_seed) if self.by_seed[s].keys() == set(self.folds))

    @property
    def runs(self) -> tuple[FinishedRun, ...]:
        """The runs that count, by seed and fold."""
        return tuple(self.by_seed[seed][fold] for seed in self.seeds for fold in self.folds)

    @property
    def num_clips(self) -> int:
        """Number of test clips of the folds done."""
        return sum(len(run.scores.clip_ids) for run in self.runs) // len(self.seeds)


def configuration(name: str, runs: Iterable[FinishedRun]) -> Configuration:
    """Return runs, at least one, of one method and set of modalities, as one configuration."""
    by_seed: dict[int, dict[str, FinishedRun]] = defaultdict(dict)
    runs = list(runs)
    for run in runs:
        identity = run.record.identity
        by_seed[identity.seed].setdefault(identity.fold, run)
    return Configuration(name, run_facts(runs[0]), dict(by_seed))


def gather(name: str, runs: Iterable[FinishedRun]) -> Configuration:
    """Return one method's runs as one side of a comparison.

    Args:
        name: of the method, as printed.
        runs: at least one, of one method and one set of modalities.

    Raises:
        ComparisonError: they differ in more than fold and seed.
    """
    found = list({run.record.id: run for run in runs}.values())
    rows = [run_facts(run) for run in found]
    differing = comparable.difference(rows, "side")
    if differing:
        devices = sorted({row["device"] for row in rows})
        names = f" ({', '.join(devices)})" if len(devices) > 1 else ""
        raise ComparisonError(f"The runs of {name} differ in {differing}{names}.", _HINT)
    return configuration(name, found)


@dataclass(frozen=True, eq=False)
class Paired:
    """Two sides on the same clips and seeds.

    Attributes:
        names: of a and b, as printed.
        row: facts that both share.
        seeds: that both have, S.
        folds: done on both sides.
        folds_N: fold of each clip.
        subjects_N: who is seen in each clip.
        right_a: by modalities tested on, whether a has each clip right, bool, (S, N).
        right_b: the same of b.
        notes: what was left out or differs.
        settings: notes on the methods' settings.
    """

    names: tuple[str, str]
    row: RunFacts
    seeds: tuple[int, ...]
    folds: tuple[str, ...]
    folds_N: tuple[str, ...]
    subjects_N: tuple[str, ...]
    right_a: Mapping[str, Right]
    right_b: Mapping[str, Right]
    notes: tuple[str, ...]
    settings: tuple[str, ...]

    @property
    def single(self) -> tuple[str, ...]:
        """The single modalities that were tested on."""
        return tuple(tested for tested in self.right_a if "+" not in tested)

    @property
    def incomplete(self) -> str:
        """How many folds are done, in words; "" if all are."""
        done, all_folds = len(self.folds), self.row["num_folds"]
        return "" if done == all_folds else f"{done} of {all_folds} folds"


def pair(a: Configuration, b: Configuration) -> Paired:
    """Return two methods on the clips and seeds that both have.

    Raises:
        ComparisonError: conditions, folds or clips differ, or they have no seed in common.
    """
    _check_conditions(a, b)
    if a.folds != b.folds:
        raise ComparisonError(
            f"{a.name} has folds {_list(a.folds)}; {b.name} has {_list(b.folds)}: not the same "
            "test clips.",
            f"Finish the missing ones: {_commands(a, b)}.",
        )
    seeds = tuple(seed for seed in a.seeds if seed in b.seeds)
    if not seeds:
        raise ComparisonError(
            f"{a.name} has seeds {_list(a.seeds)} on these folds, {b.name} {_list(b.seeds)}: none "
            "in common.",
            f"Repeat one of them with a seed of the other: {_repeated(b, b.folds, a.seeds[0])[0]}.",
        )
    runs_a, runs_b = (
        [[side.by_seed[seed][fold] for fold in a.folds] for seed in seeds] for side in (a, b)
    )
    ids = [sorted(run.scores.clip_ids) for run in runs_a[0]]
    for runs in (*runs_a, *runs_b):
        _check_clips(runs_a[0], runs, ids, (a.name, b.name))
    subject = {
        clip: subject
        for run in runs_a[0]
        for clip, subject in zip(run.scores.clip_ids, run.subjects, strict=True)
    }
    tested = tested_on([run.scores for runs in (*runs_a, *runs_b) for run in runs])
    return Paired(
        names=(a.name, b.name),
        row=a.row,
        seeds=seeds,
        folds=a.folds,
        folds_N=tuple(fold for fold, clips in zip(a.folds, ids, strict=True) for _ in clips),
        subjects_N=tuple(subject[clip] for clips in ids for clip in clips),
        right_a={"+".join(names): _right(runs_a, ids, names) for names in tested},
        right_b={"+".join(names): _right(runs_b, ids, names) for names in tested},
        notes=tuple(_notes(a, b, seeds)),
        settings=tuple(setting_notes([a.row, b.row])),
    )


def tested_on(scores: Sequence[Predictions]) -> list[tuple[str, ...]]:
    """Return every modality by itself and, where they can be fused, all of them together."""
    sets = tested_sets(scores)
    return [some for some in sets if len(some) == 1 or some is sets[-1]]


def right_clips(scores: Predictions, clip_ids: Sequence[str], modalities: Sequence[str]) -> Right:
    """Return whether each clip is right, bool, (N,), in the order of ``clip_ids``."""
    right_N = fuse(scores, modalities).argmax(axis=1) == scores.labels_N
    place = {clip: index for index, clip in enumerate(scores.clip_ids)}
    return np.array([right_N[place[clip]] for clip in clip_ids], dtype=np.bool_)


def _right(
    runs_SF: Sequence[Sequence[FinishedRun]], ids: Sequence[Sequence[str]], names: Sequence[str]
) -> Right:
    rights = (
        [right_clips(run.scores, clips, names) for run, clips in zip(runs, ids, strict=True)]
        for runs in runs_SF
    )
    return np.stack([np.concatenate(right) for right in rights])


def _check_conditions(a: Configuration, b: Configuration) -> None:
    rows = (a.row, b.row)
    for name in comparable.differing(rows, "comparison")[:1]:
        # A table of mirrored classes may be long.
        values = [comparable.value(row, name)[:64] for row in rows]
        raise ComparisonError(
            f"{a.name} and {b.name} differ in {comparable.CONDITIONS[name]}: {values[0]} and "
            f"{values[1]}.",
            _HINT,
        )
    ids = [
        {run.folder.name for by in side.by_seed.values() for run in by.values()} for side in (a, b)
    ]
    if ids[0] & ids[1]:
        raise ComparisonError(
            f"{a.name} and {b.name} share a run.", "Give two different methods, or runs of two."
        )


def _check_clips(
    first: Sequence[FinishedRun],
    runs: Sequence[FinishedRun],
    ids: Sequence[Sequence[str]],
    names: tuple[str, str],
) -> None:
    for one, other, clips in zip(first, runs, ids, strict=True):
        facts = [dict(zip(run.scores.clip_ids, _facts(run), strict=True)) for run in (one, other)]
        unlike = [clip for clip in clips if facts[0].get(clip) != facts[1].get(clip)]
        unlike += sorted(facts[1].keys() - facts[0].keys())
        if unlike:
            raise ComparisonError(
                f"{names[0]} and {names[1]} were not tested on the same clips: {unlike[0]} has "
                f"another label or person, or is missing, in {one.folder} or {other.folder} "
                f"({counted(len(unlike), 'such clip')}).",
                "One of them was altered; repeat it.",
            )


def _facts(run: FinishedRun) -> list[tuple[int, str]]:
    return list(zip(run.scores.labels_N.tolist(), run.subjects, strict=True))


def _notes(a: Configuration, b: Configuration, seeds: Sequence[int]) -> list[str]:
    notes = []
    for side in (a, b):
        out = [str(seed) for seed in sorted(side.by_seed) if seed not in seeds]
        if out:
            notes.append(
                "Not counted, without a counterpart or with missing folds: seed "
                f"{', '.join(out)} of "
                f"{side.name}."
            )
    for name, words in (("device", "Devices"), ("weights_digest", "Starting weights")):
        values = [str(dict(side.row)[name]) or "none" for side in (a, b)]
        if values[0] != values[1]:
            notes.append(
                f"{words} differ between the methods: {a.name} {values[0][:40]}, "
                f"{b.name} {values[1][:40]}."
            )
    return notes


def _list(values: Sequence[object]) -> str:
    return ", ".join(map(str, values))


def _commands(a: Configuration, b: Configuration) -> str:
    lines = []
    for side, other in ((a, b), (b, a)):
        folds = [fold for fold in other.folds if fold not in side.folds]
        for seed in side.seeds if folds else ():
            lines += _repeated(side, folds, seed)
    return "; ".join(lines[:3]) + ("; ..." if len(lines) > 3 else "")


def _repeated(side: Configuration, folds: Sequence[str], seed: int) -> list[str]:
    """Return commands that run a side's method on folds, with a seed; each between backticks."""
    record = side.runs[0].record
    # A name may hold a comma itself; such folds are named one by one.
    groups = [[fold] for fold in folds] if any("," in fold for fold in folds) else [folds]
    return [f"`{record.command(','.join(group), seed)}`" for group in groups]
