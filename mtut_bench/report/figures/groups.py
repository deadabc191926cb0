"""Which runs are drawn together: one group for each store, protocol, options and modality set."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from mtut_bench.contract.types import name_recordings
from mtut_bench.progress import counted
from mtut_bench.report.figures.canvas import clean
from mtut_bench.runs.finished import FinishedRun
from mtut_bench.statistics import comparable
from mtut_bench.statistics.rows import RunFacts, run_facts
from mtut_bench.statistics.sides import Configuration, configuration

__all__ = ["Group", "describe", "group_runs", "pair", "scope"]

# What the paper's figures 6 and 7 compare. Any other two methods will do where these are absent.
_PAPERS_PAIR = ("i3d", "mtut")


@dataclass(frozen=True)
class Group:
    """Methods that may be drawn in one figure.

    Attributes:
        number: from 1, for the names of its figures.
        row: any row of its runs, for what they are.
        classes: names in the store's order.
        configs: sorted by method.
        remark: what methods of the same name differ in, and devices that differ, or "".
    """

    number: int
    row: RunFacts
    classes: tuple[str, ...]
    configs: tuple[Configuration, ...]
    remark: str

    @property
    def modalities(self) -> tuple[str, ...]:
        """Trained on, in the project's order."""
        return tuple(self.row["modalities"].split("+"))


def group_runs(runs: Sequence[FinishedRun]) -> list[Group]:
    """Return the groups of finished runs, recorded data first.

    Raises:
        RunError: a manifest without a field; names it and the hint.
    """
    groups: dict[tuple[str, ...], list[tuple[RunFacts, FinishedRun]]] = defaultdict(list)
    for run in runs:
        row = run_facts(run)
        groups[comparable.key(row, "figure")].append((row, run))
    return [_group(number, groups[key]) for number, key in enumerate(sorted(groups), 1)]


def _group(number: int, members: Sequence[tuple[RunFacts, FinishedRun]]) -> Group:
    rows = [row for row, _ in members]
    lines: dict[tuple[str, str], list[FinishedRun]] = defaultdict(list)
    titles: dict[tuple[str, str], str] = {}
    for row, run in members:
        key = row["method"], row["family"]
        lines[key].append(run)
        titles.setdefault(key, clean(row["title"], 20))
    configs, remark = [], ""
    for key, line in sorted(lines.items(), key=lambda item: item[0]):
        label = titles[key]
        if list(titles.values()).count(label) > 1:
            label = f"{label} ({key[1][:4]})"
            remark = f"Methods of one title differ in {comparable.difference(rows, 'cell')}."
        configs.append(configuration(label, line))
    if len({row["device"] for row in rows}) > 1:
        found = comparable.by_method(rows, ["device"])
        remark = f"{remark} Methods differ in {found}.".strip()
    classes = members[0][1].record.store.classes
    return Group(number, rows[0], classes, tuple(configs), remark)


def _place(run: FinishedRun) -> tuple[int, str]:
    return run.record.identity.seed, run.record.identity.fold


def pair(configs: Sequence[Configuration]) -> tuple[Configuration, Configuration] | None:
    """Return two methods on the folds and seeds that both have done, or None.

    Those that the paper compares come first, then the first two by name, whatever they score.
    """
    for first, second in _candidates(configs):
        common = {_place(run) for run in first.runs} & {_place(run) for run in second.runs}
        if common:
            return _restrict(first, common), _restrict(second, common)
    return None


def _candidates(configs: Sequence[Configuration]) -> list[tuple[Configuration, Configuration]]:
    pairs = list(combinations(configs, 2))
    pairs = [(a, b) for a, b in pairs if a.row["method"] != b.row["method"]] or pairs
    return sorted(pairs, key=lambda two: tuple(one.row["method"] for one in two) != _PAPERS_PAIR)


def _restrict(config: Configuration, common: set[tuple[int, str]]) -> Configuration:
    found = configuration(config.name, [run for run in config.runs if _place(run) in common])
    return replace(found, by_seed={seed: found.by_seed[seed] for seed in found.seeds})


def describe(group: Group) -> str:
    """Return what data and protocol a figure shows, as a sentence."""
    row = group.row
    kind = name_recordings(row["origin"]).capitalize()
    total = f"{row['expected_clips']:,}"
    size = f"all {total} clips" if row["complete"] else f"{row['num_clips']:,} of {total} clips"
    overrides = group.configs[0].runs[0].record.identity.overrides
    changed = ", ".join(f"{name}={value}" for name, value in sorted(overrides.items()))
    protocol = f"{row['protocol']} with {changed}" if changed else row["protocol"]
    return (
        f"{kind} ({row['dataset']}, {size}; store {row['store']}), protocol {protocol}, trained on "
        f"{' + '.join(group.modalities)}."
    )


def scope(configs: Sequence[Configuration]) -> str:
    """Return the folds, seeds and number of test clips of a figure, as sentences.

    They say which folds are missing, and whether the methods' folds differ.
    """
    named: dict[str, list[str]] = defaultdict(list)
    for config in configs:
        done, all_folds = len(config.folds), config.row["num_folds"]
        short = "" if done == all_folds else " (incomplete)"
        seeds = f"seed{'' if len(config.seeds) == 1 else 's'} {_list(config.seeds)}"
        clips = counted(config.num_clips, "test clip")
        text = f"{done} of {counted(all_folds, 'fold')}{short}, {seeds}, {clips}"
        left_out = sorted(config.by_seed.keys() - set(config.seeds))
        if left_out:
            text += f" (not counted, with fewer folds: seed {_list(left_out)})"
        named[text].append(config.name)
    if len(named) == 1:
        text = f"{next(iter(named))}."
    else:
        text = "; ".join(f"{', '.join(names)}: {text}" for text, names in named.items()) + "."
    if any(len(config.seeds) > 1 for config in configs):
        text += " Numbers are means over seeds."
    if len({config.folds for config in configs}) > 1:
        text += " The folds differ, so different clips are compared."
    return text


def _list(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))
