"""Which runs are compared: two methods by name, or every two that were made alike."""

import re
import shlex
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

from mtut_bench.errors import ComparisonError, UsageError, did_you_mean
from mtut_bench.report.comparisons.sentences import Comparison, describe, not_compared
from mtut_bench.runs.finished import FinishedRun
from mtut_bench.runs.record import RunRecord
from mtut_bench.statistics import comparable
from mtut_bench.statistics.paired import ComparisonRow, correct_two_families, measure_all
from mtut_bench.statistics.rows import RunFacts, modality_order, run_facts
from mtut_bench.statistics.sides import Configuration, Paired, gather, pair

__all__ = ["all_comparisons", "compare"]

_RUN_ID = re.compile(r"[0-9a-f]{4,64}")
_LIMITS: Mapping[str, Callable[[RunRecord], str]] = {
    "dataset": lambda record: record.store.dataset,
    "store": lambda record: record.store.name,
    "protocol": lambda record: record.protocol.name,
}
_Limits = Mapping[str, str]


def compare(
    runs: Sequence[FinishedRun],
    a: str,
    b: str,
    *,
    dataset: str | None = None,
    store: str | None = None,
    protocol: str | None = None,
    methods: Collection[str] = (),
) -> Comparison:
    """Return two methods compared on what both were tested on, the mean over modalities first.

    The means, one for each set of modalities trained on, are one family of tests, all others
    another.

    Args:
        runs: all finished runs.
        a: name of a method, or ids of runs of one, joined by commas: at least 4 digits of each. A
            name means the protocol's own runs where there are any, and runs with changed options
            where there are none; a note says so.
        b: the same, of the other side.
        dataset: only runs on this dataset.
        store: only runs on the store of this name.
        protocol: only runs under this protocol.
        methods: names that `--method` takes, for the hint where there is no run.

    Raises:
        ComparisonError: there are no such runs, or they were not made under the same conditions.
        UsageError: a side is empty.
    """
    if not (a.strip() and b.strip()):
        raise UsageError(
            "The name of a method is empty.",
            "Give two names or ids; see `mtut-bench list runs`.",
        )
    given = {"dataset": dataset, "store": store, "protocol": protocol}
    limits = {limit: value for limit, value in given.items() if value is not None}
    within = [
        run
        for run in runs
        if all(_LIMITS[limit](run.record) == wanted for limit, wanted in limits.items())
    ]
    for name in (a, b):
        if not _chosen(within, name, limits):
            raise _nothing(runs, within, name, limits, methods)
    sides_a, sides_b = _sides(within, a, limits), _sides(within, b, limits)
    common = sorted(sides_a.keys() & sides_b.keys(), key=modality_order)
    if not common:
        raise ComparisonError(
            f"{a} was trained on {' and '.join(sorted(sides_a))}, {b} on "
            f"{' and '.join(sorted(sides_b))}: no common set of modalities.",
            "Run one of them on the other's modalities (run --modalities).",
        )
    pairs = [pair(*_named(sides_a[key], sides_b[key])) for key in common]
    rows = correct_two_families([row for two in pairs for row in measure_all(two)])
    result = describe(pairs, rows)
    left_out = tuple(dict.fromkeys(_left_out(within, a) + _left_out(within, b)))
    caveats, notes = (*result.caveats, *left_out), (*result.notes, *left_out)
    return replace(result, caveats=caveats, notes=notes)


def all_comparisons(runs: Sequence[FinishedRun]) -> list[Comparison]:
    """Return every two methods of the same store, conditions and modalities, compared.

    The means over modalities of one such group are one family of tests, all its others another. Two
    that cannot be compared (other folds, several settings, mixed devices) say so in their notes.
    """
    groups: dict[tuple[str, ...], dict[str, list[FinishedRun]]] = defaultdict(dict)
    facts: dict[tuple[str, ...], RunFacts] = {}
    for run in runs:
        row = run_facts(run)
        key = (row["store"], *comparable.key(row, "comparison"))
        facts.setdefault(key, row)
        groups[key].setdefault(row["method"], []).append(run)
    return [found for key in sorted(groups) for found in _group(groups[key], facts[key])]


def _group(methods: Mapping[str, Sequence[FinishedRun]], row: RunFacts) -> list[Comparison]:
    found: list[tuple[Paired, list[ComparisonRow]] | Comparison] = []
    for a, b in combinations(sorted(methods), 2):
        try:
            # The later name first, as 'mtut against i3d'.
            two = pair(gather(b, methods[b]), gather(a, methods[a]))
        except ComparisonError as fault:
            found.append(not_compared((b, a), row, fault.what))
        else:
            found.append((two, measure_all(two)))
    measured = [entry for entry in found if not isinstance(entry, Comparison)]
    corrected = iter(correct_two_families([row for _, rows in measured for row in rows]))
    return [
        entry
        if isinstance(entry, Comparison)
        else describe([entry[0]], [next(corrected) for _ in entry[1]])
        for entry in found
    ]


def _sides(runs: Sequence[FinishedRun], name: str, limits: _Limits) -> dict[str, Configuration]:
    """Return one side for each set of modalities that a method was trained on."""
    chosen = _chosen(runs, name, limits)
    methods = sorted({run.record.method.name for run in chosen})
    if len(methods) > 1:
        raise ComparisonError(
            f"{name} are runs of different methods: {', '.join(methods)}.",
            "Give runs of a single method on each side.",
        )
    sets: dict[str, list[FinishedRun]] = defaultdict(list)
    for run in chosen:
        sets[run_facts(run)["modalities"]].append(run)
    return {key: gather(methods[0], some) for key, some in sets.items()}


def _chosen(runs: Sequence[FinishedRun], name: str, limits: _Limits) -> list[FinishedRun]:
    """Return the runs that a name or ids mean; none where nothing has the name."""
    named = [run for run in runs if run.record.method.name == name]
    if not named and ("," in name or _RUN_ID.fullmatch(name.lower())):
        return [_by_id(runs, start.strip().lower(), limits) for start in name.split(",")]
    return [run for run in named if not run.record.identity.overrides] or named


def _left_out(runs: Sequence[FinishedRun], name: str) -> list[str]:
    """Return a sentence on runs of a method that its name does not mean, or nothing."""
    changed = [
        bool(run.record.identity.overrides) for run in runs if run.record.method.name == name
    ]
    if all(changed) or not any(changed):
        return []
    return [
        f"Not compared: {sum(changed)} of {name}'s runs, which "
        "have changed settings; give their ids to compare them."
    ]


def _by_id(runs: Sequence[FinishedRun], start: str, limits: _Limits) -> FinishedRun:
    """Return the run whose id begins with some digits."""
    known = runs if _RUN_ID.fullmatch(start) else ()
    found = [run for run in known if run.record.id.startswith(start)]
    if not found:
        raise ComparisonError(
            f"No method is named {start!r}, and no finished "
            f"run has an id that starts with it{_where(limits)}.",
            "Give a method, or at least 4 digits of an id; see `mtut-bench list runs`.",
        )
    if len(found) > 1:
        named = ", ".join(run.folder.name for run in found[:5])
        raise ComparisonError(
            f"The ids of {len(found)} runs start with {start}: "
            f"{named}{', ...' if len(found) > 5 else ''}.",
            "Give more digits.",
        )
    return found[0]


def _where(limits: _Limits) -> str:
    where = ", ".join(f"{limit} {value}" for limit, value in limits.items())
    return f" with {where}" if where else ""


def _nothing(
    runs: Sequence[FinishedRun],
    within: Sequence[FinishedRun],
    name: str,
    limits: _Limits,
    methods: Collection[str],
) -> ComparisonError:
    """Return the error for a side without runs: what there is, and a command that makes one."""
    found = sorted({run.record.method.name for run in within})
    there = f"; there are runs of {', '.join(found)}" if found else ""
    # Other runs say from which file a user's own method came.
    like = [run.record.spec.method for run in runs if run.record.method.name == name]
    option = like[0] if like else name if name in methods else ""
    near = "" if option else did_you_mean(name, [*found, *methods])
    for limit, value in limits.items():
        there_are = {_LIMITS[limit](run.record) for run in runs}
        near += "" if value in there_are else did_you_mean(value, sorted(there_are))
    make = ""
    if option and not near:
        words = [word for limit, value in limits.items() for word in (f"--{limit}", value)]
        make = f" Start one: `{shlex.join(['mtut-bench', 'run', '--method', option, *words])}`."
    return ComparisonError(
        f"There is no finished run of {name}{_where(limits)}{there}.",
        f"{near}See `mtut-bench list runs`.{make}",
    )


def _named(a: Configuration, b: Configuration) -> tuple[Configuration, Configuration]:
    """Return two sides whose names tell them apart."""
    if a.name != b.name:
        return a, b
    return _with_id(a), _with_id(b)


def _with_id(side: Configuration) -> Configuration:
    first = min(run.folder.name for by_fold in side.by_seed.values() for run in by_fold.values())
    return replace(side, name=f"{side.name} ({first})")
