"""Comparisons in words: a sentence for each test, a table of the numbers, and a conclusion."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mtut_bench.progress import counted
from mtut_bench.report.tables.local import heading
from mtut_bench.report.tables.table import Number, Table, TableCell
from mtut_bench.statistics.paired import LEVEL, ComparisonRow, objection
from mtut_bench.statistics.rows import RunFacts
from mtut_bench.statistics.sides import Paired
from mtut_bench.statistics.tests import MIN_UNITS

__all__ = [
    "Comparison",
    "describe",
    "interval",
    "kind_of_store",
    "not_comparable",
    "not_compared",
    "p_value",
    "points",
    "score_conclusion",
]

_RULES = (
    "Differences are between mean accuracies over seeds; both methods are tested on the "
    "same clips. "
    "Across folds, every fold (person) has equal weight; within a single test set, every clip has.",
    "Interval: the wider of two. The bootstrap (expanded percentile) resamples "
    "persons and seeds, since clips of one person are dependent. With few persons "
    "it is too short; then the Bonett-Price interval over clips is shown, with the "
    "variance of each fold where there are several. One seed says nothing about others.",
    f"The primary test flips signs over persons, where there are {MIN_UNITS} or more: it "
    "generalises to other people. Fewer persons cannot reach p = "
    "0.05; then the test over clips is primary, which generalises only "
    "to other clips of these people. Only primary tests are corrected (Holm).",
    "Over clips: the exact McNemar test of one seed; for several seeds the permutation of each "
    "clip's mean over seeds, which is the same test for one seed. Seeds are never pooled as if "
    "they were additional clips.",
    "The mean over modalities, where given, averages the single-modality "
    "networks with equal weight, without fusions. Each clip counts once, by "
    "its mean over modalities and seeds, always tested by permutation; the "
    "interval over clips can only be too wide. This is the primary question: "
    "all such means form one family of tests, all other tests another, each at the 5 % level.",
    "'Established' needs a corrected p of at most 0.05 and 0 outside both intervals.",
)

# Accuracies of both sides, difference and interval: columns before those of the single tests.
_NUM_SHOWN = 4


@dataclass(frozen=True)
class Comparison:
    """Two methods, compared.

    Attributes:
        title: which methods, on what.
        sentences: one for each test; none where the two cannot be compared.
        table: the same numbers.
        conclusion: at most three short lines; none where there are no sentences.
        caveats: what was left out or differs beside the methods, part of the notes.
        notes: caveats, settings and rules; or why the two cannot be compared.
        rows: raw numbers.
    """

    title: str
    sentences: tuple[str, ...]
    table: Table
    conclusion: tuple[str, ...]
    caveats: tuple[str, ...]
    notes: tuple[str, ...]
    rows: tuple[ComparisonRow, ...]

    @property
    def summary(self) -> Table:
        """The columns of the table that a first look needs: accuracies, interval, established."""
        shown, columns = self.table.num_labels + _NUM_SHOWN, self.table.columns
        return replace(
            self.table,
            heading=self.title,
            columns=(*columns[:shown], columns[-1]),
            rows=tuple((*line[:shown], line[-1]) for line in self.table.rows),
        )


def describe(pairs: Sequence[Paired], rows: Sequence[ComparisonRow]) -> Comparison:
    """Return measured comparisons in words.

    Args:
        pairs: what was compared, at least one, all of one store.
        rows: its numbers, corrected.
    """
    by_set = {two.row["modalities"]: two for two in pairs}
    names, facts = pairs[0].names, pairs[0].row
    caveats = tuple(dict.fromkeys(note for two in pairs for note in two.notes))
    settings = [note for two in pairs for note in two.settings]
    classes = facts["num_classes"]
    chance = f"Chance is {100.0 / classes:.1f} % (1 of {classes} classes)."
    return Comparison(
        title=_title(names, facts),
        sentences=tuple(_sentence(row, by_set[row["trained_on"]], len(pairs) > 1) for row in rows),
        table=_table(names, rows),
        conclusion=_conclusion(pairs, rows),
        caveats=caveats,
        notes=tuple(dict.fromkeys([*caveats, *settings, chance, *_by_seed(rows), *_RULES])),
        rows=tuple(rows),
    )


def not_compared(names: tuple[str, str], row: RunFacts, why: str) -> Comparison:
    """Return a comparison of two names that says why there is none."""
    notes = (f"Not compared. {why}",)
    return Comparison(_title(names, row), (), _table(names, ()), (), (), notes, ())


def _title(names: tuple[str, str], row: RunFacts) -> str:
    about = f"{row['dataset']}, {counted(row['num_clips'], 'clip')}, protocol {row['protocol']}"
    complete = row["origin"] == "recorded" and row["complete"] and row["tables"]
    if not complete or row["overrides"] != "{}":
        about = heading(row)
    return f"{names[0]} against {names[1]}: {about}"


# ---- numbers


def points(share: float) -> Number:
    """Return a difference of shares in percentage points, with its sign: '+1.3'."""
    value = round(100.0 * share, 1) + 0.0
    return Number(value, 1, "+" if value else "")


def interval(row: ComparisonRow) -> Number:
    """Return the shown interval of a difference in points: '[-4.0, 6.6]'."""
    low, high = (round(100.0 * end, 1) + 0.0 for end in (row["ci_low"], row["ci_high"]))
    return Number(None, interval=(low, high))


def _p_number(value: float) -> Number:
    """Return a p: '0.016', '< 0.001'; rounding never carries it over its level, nor onto it."""
    if value < 0.001:
        return Number(0.001, 3, below=True)
    rounded = (float(f"{value:.{digits}g}") for digits in range(2, 18))
    side = np.sign(value - LEVEL)
    shown = next(near for near in rounded if np.sign(near - LEVEL) == side)
    return Number(shown, next(digits for digits in range(20) if round(shown, digits) == shown))


def p_value(value: float) -> str:
    """Return a p in a sentence: 'p = 0.016', 'p < 0.001'."""
    number = _p_number(value)
    return f"p {number}" if number.below else f"p = {number}"


def _units(row: ComparisonRow) -> str:
    """Return what intervals and tests take as independent: '1 person', '8 folds'."""
    return counted(row["num_units"], row["unit"])


def _digits(row: ComparisonRow) -> int:
    """Return the digits of clips counted: a mean of counts has one after the point."""
    return 1 if row["mean_of"] or len(row["seeds"]) > 1 else 0


# ---- one sentence for each test


def _sentence(row: ComparisonRow, two: Paired, several: bool) -> str:
    tested = row["tested_on"] + (" (fusion)" if "+" in row["tested_on"] else "")
    trained = f", trained on {row['trained_on']}" if several else ""
    head = f"INCOMPLETE, {two.incomplete}: " if two.incomplete else ""
    result = f"established {_scope(row)}" if row["established"] else f"not established{_but(row)}"
    return (
        f"{head}{tested}{trained}: {row['a']} {100 * row['accuracy_a']:.1f} % against {row['b']} "
        f"{100 * row['accuracy_b']:.1f} %: {points(row['difference'])} points (95 % interval "
        f"{interval(row)}, {_source(row)}); {_tests(row)}; the difference is {result}."
    )


def _scope(row: ComparisonRow) -> str:
    """Return what an established difference generalises to."""
    if row["primary"] == "units":
        return "at the 5 % level"
    who = f"this {row['unit']}" if row["num_units"] == 1 else f"these {_units(row)}"
    return f"for clips of {who} alone"


def _but(row: ComparisonRow) -> str:
    """Return why a difference is not established where its p alone would say otherwise."""
    return f": {objection(row)}" if row["p_holm"] <= LEVEL else ""


def _source(row: ComparisonRow) -> str:
    """Return what an interval rests on."""
    persons, seeds = _units(row), len(row["seeds"])
    drawn = f"{persons} and {seeds} seeds" if seeds > 1 else persons
    if row["ci_kind"] == "bootstrap":
        return f"bootstrap over {drawn}"
    clips = f"Bonett-Price over {counted(row['num_clips'], 'clip')}"
    if row["bootstrap_low"] is None:
        return f"{clips} of {persons}"
    return f"{clips}, wider than the bootstrap over {drawn}"


def _tests(row: ComparisonRow) -> str:
    digits = _digits(row)
    only_a = f"{row['only_a']:.{digits}f}"
    over = [
        f"{len(many)} {word}"
        for many, word in ((row["mean_of"], "modalities"), (row["seeds"], "seeds"))
        if len(many) > 1
    ]
    means = f" (means of {' and '.join(over)})" if over else ""
    clips = (
        f"{only_a} clip{'' if only_a == '1' else 's'} only {row['a']} has right, "
        f"{row['only_b']:.{digits}f} only {row['b']}{means}: "
        f"{'permutation over clips' if over else 'exact McNemar'} {p_value(row['p_clips'])}"
    )
    num_tests = row["family_size"]
    holm = f", Holm-corrected over {num_tests} tests {_p_number(row['p_holm'])}"
    holm = holm if num_tests > 1 else ""
    if row["primary"] == "clips":
        return f"{clips}{holm}; {_units(row)}, too few for a test over {row['unit']}s"
    how = "exact permutation" if row["p_units_exact"] else "permutation"
    words = f"{how} over {_units(row)} {p_value(row['p_units'])}{holm}; {clips}"
    if row["p_wilcoxon"] is not None:
        words += f"; Wilcoxon over {len(row['folds'])} folds {p_value(row['p_wilcoxon'])}"
    return words


def _by_seed(rows: Sequence[ComparisonRow]) -> list[str]:
    """Return exact McNemar of each seed, where there are several."""
    lines = []
    for row in rows:
        if len(row["p_mcnemar"]) > 1:
            seeds = zip(row["seeds"], row["p_mcnemar"], strict=True)
            found = ", ".join(f"seed {seed} {p_value(p)}" for seed, p in seeds)
            what = f"{row['a']} and {row['b']}, {row['tested_on']}"
            lines.append(f"Exact McNemar of {what}, seed by seed: {found} (not corrected).")
    return lines


def _table(names: tuple[str, str], rows: Sequence[ComparisonRow]) -> Table:
    sets = len({row["trained_on"] for row in rows}) > 1
    unit = rows[0]["unit"] if rows else "person"
    columns = (
        "Tested on",
        f"{names[0]} %",
        f"{names[1]} %",
        "Difference",
        "95 % interval",
        f"Only {names[0]}",
        f"Only {names[1]}",
        "p clips",
        f"p {unit}s",
        "p Wilcoxon",
        "p Holm",
        "Established",
    )
    return Table(
        key="compare",
        heading=f"{names[0]} against {names[1]}",
        columns=("Trained on", *columns) if sets else columns,
        rows=tuple((row["trained_on"], *_line(row)) if sets else _line(row) for row in rows),
        num_labels=2 if sets else 1,
    )


def _line(row: ComparisonRow) -> tuple[TableCell, ...]:
    digits, wilcoxon = _digits(row), row["p_wilcoxon"]
    return (
        row["tested_on"],
        Number(100 * row["accuracy_a"], 1),
        Number(100 * row["accuracy_b"], 1),
        points(row["difference"]),
        interval(row),
        Number(row["only_a"], digits),
        Number(row["only_b"], digits),
        _p_number(row["p_clips"]),
        _p_number(row["p_units"]),
        Number(None) if wilcoxon is None else _p_number(wilcoxon),
        _p_number(row["p_holm"]),
        "yes" if row["established"] else "no",
    )


# ---- conclusions


def _conclusion(pairs: Sequence[Paired], rows: Sequence[ComparisonRow]) -> tuple[str, str, str]:
    """Return the difference, whether it is established, and why it is not comparable, if so.

    They are about the question asked first: for each set trained on, the mean over modalities, or
    its only modality.
    """
    asked: dict[str, ComparisonRow] = {}
    for row in rows:
        asked.setdefault(row["trained_on"], row)
    kinds, incomplete = (_kind(two.row) for two in pairs), (two.incomplete for two in pairs)
    worth = not_comparable(*dict.fromkeys(kinds), *dict.fromkeys(incomplete))
    if len(asked) == 1:
        (row,) = asked.values()
        difference = (
            f"{row['a']} against {row['b']}, {row['tested_on']}: {points(row['difference'])} "
            f"points, 95 % interval {interval(row)}."
        )
        tested = f"{p_value(row['p_holm'])}; {_units(row)}, {counted(row['num_clips'], 'clip')}"
        if not row["established"]:
            return difference, f"Which is better is not established{_but(row)} ({tested}).", worth
        better = row["a"] if row["difference"] > 0.0 else row["b"]
        return difference, f"Established {_scope(row)}: {better} is better ({tested}).", worth
    parts = (f"{row['trained_on']} {points(row['difference'])}" for row in asked.values())
    # Sets may have other folds, and then other persons.
    found: dict[str, list[str]] = defaultdict(list)
    for row in sorted(asked.values(), key=lambda row: not row["established"]):
        what = f"established {_scope(row)}" if row["established"] else "not established"
        found[what].append(row["trained_on"])
    sentence = "; ".join(f"{what}: {', '.join(sets)}" for what, sets in found.items())
    first = rows[0]
    return (
        f"{first['a']} minus {first['b']} in points, by modalities trained on: {', '.join(parts)}.",
        f"{sentence[0].upper()}{sentence[1:]}.",
        worth,
    )


def score_conclusion(rows: Sequence[ComparisonRow]) -> str:
    """Return one line on how a user's predictions compare with stored runs.

    Args:
        rows: at least one, corrected together; the predictions are side a of each.
    """
    name = rows[0]["a"]
    parts = []
    for word, wanted in (("better", True), ("worse", False)):
        found = ", ".join(
            f"{row['b']} on {row['tested_on']}"
            for row in rows
            if row["established"] and (row["difference"] > 0.0) is wanted
        )
        parts += [f"{word} than {found}"] if found else []
    if not parts:
        return f"No difference between {name} and a stored run is established."
    others = "" if all(row["established"] for row in rows) else "; nothing else is"
    return f"Established {_scope(rows[0])}: {name} is {' and '.join(parts)}{others}."


def not_comparable(*reasons: str) -> str:
    """Return a line on why numbers are not comparable with published ones, or ""."""
    found = ", ".join(filter(None, reasons))
    return f"Not comparable with published numbers: {found}." if found else ""


def kind_of_store(origin: str, num_clips: int, expected_clips: int) -> str:
    """Return in words that a store is not a complete recorded dataset, or ""."""
    if origin != "recorded":
        return origin
    return (
        f"{num_clips:,} of {counted(expected_clips, 'clip')}" if num_clips < expected_clips else ""
    )


def _kind(row: RunFacts) -> str:
    store = kind_of_store(row["origin"], row["num_clips"], row["expected_clips"])
    if store:
        return store
    if not row["tables"]:
        return f"protocol {row['protocol']}"
    return "changed options" if row["overrides"] != "{}" else ""
