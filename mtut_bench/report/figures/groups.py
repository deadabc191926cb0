"""Which runs are drawn together: one group for each store, protocol, options and modality set."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mtut_bench.contract.folds import natural_order
from mtut_bench.contract.types import name_recordings
from mtut_bench.progress import counted
from mtut_bench.report.figures.canvas import clean
from mtut_bench.runs.finished import FinishedRun
from mtut_bench.statistics import comparable
from mtut_bench.statistics.rows import RunFacts, run_facts

__all__ = ["Arm", "Group", "describe", "group_runs", "pair", "scope"]

# What the paper's figures 6 and 7 compare. Any other two methods will do where these are absent.
_PAPERS_PAIR = ("i3d", "mtut")


@dataclass(frozen=True)
class Arm:
    """Runs of one method that differ only in fold and seed; each counts.

    Attributes:
        method: its name.
        label: how figures call it.
        runs: by seed and fold; every seed has the same folds.
        folds: folds done, sorted.
        num_folds: folds that the store has.
        seeds: sorted.
        left_out: seeds that do not count because others have more folds.
    """

    method: str
    label: str
    runs: tuple[FinishedRun, ...]
    folds: tuple[str, ...]
    num_folds: int
    seeds: tuple[int, ...]
    left_out: tuple[int, ...]

    @property
    def num_clips(self) -> int:
        """Number of test clips of the folds done."""
        return sum(len(run.scores.clip_ids) for run in self.runs) // len(self.seeds)


@dataclass(frozen=True)
class Group:
    """Methods that may be drawn in one figure.

    Attributes:
        number: from 1, for the names of its figures.
        row: any row of its runs, for what they are.
        classes: names in the store's order.
        modalities: trained on, in the project's order.
        subject_unit: 'person' or 'user'.
        arms: by method.
        remark: what methods of the same name differ in, and devices that differ, or "".
    """

    number: int
    row: RunFacts
    classes: tuple[str, ...]
    modalities: tuple[str, ...]
    subject_unit: str
    arms: tuple[Arm, ...]
    remark: str


def group_runs(runs: Sequence[FinishedRun]) -> list[Group]:
    """Return the groups of finished runs, recorded data first.

    Args:
        runs: as ``find_runs`` returns them.

    Raises:
        RunError: a manifest without a field; names it and the hint.
    """
    groups: dict[tuple[str, ...], list[tuple[RunFacts, FinishedRun]]] = defaultdict(list)
    for run in runs:
        row = run_facts(run)
        groups[comparable.key(row, "figure")].append((row, run))
    return [_group(number, groups[key]) for number, key in enumerate(sorted(groups), 1)]


def _group(number: int, members: Sequence[tuple[RunFacts, FinishedRun]]) -> Group:
    row, run = members[0]
    lines: dict[tuple[str, str], list[tuple[RunFacts, FinishedRun]]] = defaultdict(list)
    for member in members:
        lines[member[0]["method"], member[0]["family"]].append(member)
    titles = [clean(line[0][0]["title"], 20) for line in lines.values()]
    arms, remark = [], ""
    for (method, family), line in sorted(lines.items(), key=lambda item: item[0]):
        label = clean(line[0][0]["title"], 20)
        if titles.count(label) > 1:
            label = f"{label} ({family[:4]})"
            found = comparable.difference((row for row, _ in members), "cell")
            remark = f"Methods of one title differ in {found}."
        arms.append(_arm(method, label, [run for _, run in line], row["num_folds"]))
    if len({member["device"] for member, _ in members}) > 1:
        found = comparable.by_method((member for member, _ in members), ["device"])
        remark = f"{remark} Methods differ in {found}.".strip()
    return Group(
        number=number,
        row=row,
        classes=run.record.store.classes,
        modalities=tuple(row["modalities"].split("+")),
        subject_unit=run.record.store.subject_unit,
        arms=tuple(arms),
        remark=remark,
    )


def _place(run: FinishedRun) -> tuple[int, str]:
    return run.record.identity.seed, run.record.identity.fold


def _arm(method: str, label: str, runs: Sequence[FinishedRun], num_folds: int) -> Arm:
    by_seed: dict[int, dict[str, FinishedRun]] = defaultdict(dict)
    for run in runs:
        seed, fold = _place(run)
        by_seed[seed].setdefault(fold, run)
    # As in the tables: the first of the largest sets of folds; other seeds do not count.
    sets = [tuple(sorted(done, key=natural_order)) for _, done in sorted(by_seed.items())]
    folds = max(sets, key=len)
    seeds = tuple(seed for seed, done in sorted(by_seed.items()) if done.keys() == set(folds))
    return Arm(
        method=method,
        label=label,
        runs=tuple(by_seed[seed][fold] for seed in seeds for fold in folds),
        folds=folds,
        num_folds=num_folds,
        seeds=seeds,
        left_out=tuple(sorted(by_seed.keys() - set(seeds))),
    )


def pair(arms: Sequence[Arm]) -> tuple[Arm, Arm] | None:
    """Return two methods on the folds and seeds that both have done, or None.

    Those that the paper compares come first, then the first two by name. Scores play no part.

    Args:
        arms: of one group.
    """
    for first, second in _candidates(arms):
        common = {_place(run) for run in first.runs} & {_place(run) for run in second.runs}
        if common:
            return _restrict(first, common), _restrict(second, common)
    return None


def _candidates(arms: Sequence[Arm]) -> list[tuple[Arm, Arm]]:
    pairs = [(first, second) for n, first in enumerate(arms) for second in arms[n + 1 :]]
    pairs = [(a, b) for a, b in pairs if a.method != b.method] or pairs
    return sorted(pairs, key=lambda two: (two[0].method, two[1].method) != _PAPERS_PAIR)


def _restrict(arm: Arm, common: set[tuple[int, str]]) -> Arm:
    runs = [run for run in arm.runs if _place(run) in common]
    return replace(_arm(arm.method, arm.label, runs, arm.num_folds), left_out=())


def describe(group: Group) -> str:
    """Return what data and protocol a figure shows, as a sentence.

    Args:
        group: of its runs.
    """
    row = group.row
    kind = name_recordings(row["origin"]).capitalize()
    total = f"{row['expected_clips']:,}"
    size = f"all {total} clips" if row["complete"] else f"{row['num_clips']:,} of {total} clips"
    changed = _changed(group.arms[0].runs[0].record.identity.overrides)
    return (
        f"{kind} ({row['dataset']}, {size}; store {row['store']}), protocol "
        f"{row['protocol']}{changed}, trained on {' + '.join(group.modalities)}."
    )


def _changed(overrides: Mapping[str, Any]) -> str:
    words = ", ".join(f"{name}={value}" for name, value in sorted(overrides.items()))
    return f" with {words}" if words else ""


def scope(arms: Sequence[Arm]) -> str:
    """Return folds, seeds and number of test clips behind a figure, as sentences.

    Folds that are missing are said, and so is a comparison that is not like for like.

    Args:
        arms: what is shown.
    """
    said: dict[str, list[str]] = defaultdict(list)
    for arm in arms:
        folds = f"{len(arm.folds)} of {counted(arm.num_folds, 'fold')}"
        short = "" if len(arm.folds) == arm.num_folds else " (incomplete)"
        seeds = f"seed{'' if len(arm.seeds) == 1 else 's'} {', '.join(map(str, arm.seeds))}"
        text = f"{folds}{short}, {seeds}, {counted(arm.num_clips, 'test clip')}"
        if arm.left_out:
            text += f" (not counted, with fewer folds: seed {', '.join(map(str, arm.left_out))})"
        said[text].append(arm.label)
    words = "; ".join(f"{', '.join(names)}: {text}" for text, names in said.items())
    if len(said) == 1:
        words = next(iter(said))
    text = f"{words}."
    if any(len(arm.seeds) > 1 for arm in arms):
        text += " Numbers are means over seeds."
    if len({arm.folds for arm in arms}) > 1:
        text += " The folds differ, so this compares different clips."
    return text
