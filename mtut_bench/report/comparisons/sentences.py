"""Comparisons in words: sentences that a reviewer would accept, and a table of their numbers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mtut_bench.progress import counted
from mtut_bench.report.comparisons.phrases import (
    count_digits,
    interval,
    p_number,
    p_value,
    points,
    units,
    whose_clips,
)
from mtut_bench.report.comparisons.verdict import verdict
from mtut_bench.report.tables.local import heading
from mtut_bench.report.tables.table import Number, Table, TableCell
from mtut_bench.statistics.paired import LEVEL, ComparisonRow, doubts
from mtut_bench.statistics.rows import RunFacts
from mtut_bench.statistics.sides import Paired
from mtut_bench.statistics.tests import MIN_UNITS

__all__ = ["RULES", "Comparison", "describe", "not_compared"]

RULES = (
    "Differences are of mean accuracies over seeds, each seed on the same clips on both sides. "
    "Several folds: every fold (a person) counts alike; one test set: every clip.",
    "Interval: the wider of two, both of the printed difference. The bootstrap (expanded "
    "percentile) draws persons and seeds, since clips of one person are dependent; few persons "
    "make it too short, and then Bonett and Price's interval of the clips is shown, with the "
    "variance of each fold where there are several. One seed says nothing about others.",
    f"The primary test flips signs over persons, where there are {MIN_UNITS} or more: it speaks of "
    "other people. Fewer cannot reach p = 0.05; then the test over clips is primary, which speaks "
    "of other clips of these people alone. Only the primary tests are corrected (Holm).",
    "Over clips: the exact McNemar test of one seed; of several seeds the permutation of each "
    "clip's mean over seeds, which is the same test for one seed. Seeds are never pooled as if "
    "they were new clips.",
    "The mean over modalities, where a row has it, is of the networks of single modalities, each "
    "counted alike, fusions not. A clip is still one clip: it counts by its mean over modalities "
    "and seeds, always by permutation, and the interval of the clips is of that many clips, as if "
    "all modalities said the same of each, which can only widen it. It is one question of its "
    "own, asked before the others: the means that are compared together are corrected as one "
    "family, all other tests as another, each at the 5 % level.",
    "'Established' wants a corrected p of at most 0.05 and 0 outside both intervals, the one that "
    "is not shown too.",
)
"""How a comparison is made, in sentences for its readers."""

# Accuracies of both sides, difference and interval: columns before those of the single tests.
_NUM_SHOWN = 4


@dataclass(frozen=True)
class Comparison:
    """Two methods, compared.

    Attributes:
        title: which methods, on what.
        sentences: one for the mean over modalities where there are several, for each of them and
            for their fusion; none where they cannot be compared.
        table: the same numbers.
        verdict: what they come to, at most three short lines; none where there are no sentences.
        caveats: what was left out or differs beside the methods, part of the notes.
        notes: what they rest on, or why there are none.
        rows: raw numbers.
    """

    title: str
    sentences: tuple[str, ...]
    table: Table
    verdict: tuple[str, ...]
    caveats: tuple[str, ...]
    notes: tuple[str, ...]
    rows: tuple[ComparisonRow, ...]

    @property
    def summary(self) -> Table:
        """The columns of the table that a first look needs: accuracies, interval, verdict."""
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
    several = len(pairs) > 1
    sentences = [_sentence(row, by_set[row["trained_on"]], several) for row in rows]
    first = pairs[0]
    chance = 1.0 / first.row["num_classes"]
    caveats = dict.fromkeys(note for two in pairs for note in two.notes)
    notes = [*caveats, *(note for two in pairs for note in two.settings)]
    notes.append(f"Chance is {100.0 * chance:.1f} % (1 of {first.row['num_classes']} classes).")
    notes += _by_seed(rows) + list(RULES)
    return Comparison(
        title=_title(first.names, first.row),
        sentences=tuple(sentences),
        table=_table(first.names, rows),
        verdict=verdict(pairs, rows),
        caveats=tuple(caveats),
        notes=tuple(dict.fromkeys(notes)),
        rows=tuple(rows),
    )


def not_compared(names: tuple[str, str], row: RunFacts, why: str) -> Comparison:
    """Return a comparison that says why it is none.

    Args:
        names: of both sides.
        row: facts of the runs.
        why: what differs or is missing.
    """
    notes = (f"Not compared. {why}",)
    return Comparison(_title(names, row), (), _table(names, ()), (), (), notes, ())


def _title(names: tuple[str, str], row: RunFacts) -> str:
    plain = f"{row['dataset']}, {counted(row['num_clips'], 'clip')}, protocol {row['protocol']}"
    return f"{names[0]} against {names[1]}: {heading(row) if _about(row) else plain}"


def _sentence(row: ComparisonRow, two: Paired, several: bool) -> str:
    tested = row["tested_on"] + (" (fusion)" if "+" in row["tested_on"] else "")
    trained = f", trained on {row['trained_on']}" if several else ""
    head = f"INCOMPLETE, {two.incomplete}: " if two.incomplete else ""
    about = _about(two.row)
    return (
        f"{head}{tested}{trained}: {row['a']} {100 * row['accuracy_a']:.1f} % against {row['b']} "
        f"{100 * row['accuracy_b']:.1f} %: {points(row['difference'])} points (95 % interval "
        f"{interval(row)}, {_source(row)}); {_tests(row)}; {_verdict(row)}"
        f"{f'; {about}' if about else ''}."
    )


def _about(row: RunFacts) -> str:
    """Return what the data are, in words for a sentence; "" for a complete recorded dataset."""
    plain = row["origin"] == "recorded" and row["complete"] and row["tables"]
    if plain and row["overrides"] == "{}":
        return ""
    words = heading(row)
    return words[0].lower() + words[1:]


def _source(row: ComparisonRow) -> str:
    """Return what an interval stands on."""
    persons, seeds = units(row), len(row["seeds"])
    drawn = f"{persons} and {seeds} seeds" if seeds > 1 else persons
    if row["ci_kind"] == "bootstrap":
        return f"bootstrap over {drawn}"
    clips = f"Bonett-Price over {counted(row['num_clips'], 'clip')}"
    if row["bootstrap_low"] is None:
        return f"{clips} of {persons}"
    return f"{clips}, wider than the bootstrap over {drawn}"


def _tests(row: ComparisonRow) -> str:
    digits = count_digits(row)
    only_a = f"{row['only_a']:.{digits}f}"
    clips = (
        f"{only_a} clip{'' if only_a == '1' else 's'} only {row['a']} has right, "
        f"{row['only_b']:.{digits}f} only {row['b']}"
    )
    over = [
        f"{len(many)} {word}"
        for many, word in ((row["mean_of"], "modalities"), (row["seeds"], "seeds"))
        if len(many) > 1
    ]
    if over:
        clips += f" (means of {' and '.join(over)}): permutation over clips"
    else:
        clips += ": exact McNemar"
    clips += f" {p_value(row['p_clips'])}"
    tests = row["family_size"]
    holm = f", Holm-corrected over {tests} tests {p_number(row['p_holm'])}" if tests > 1 else ""
    if row["primary"] == "clips":
        return f"{clips}{holm}; {units(row)}, too few for a test over {row['unit']}s"
    how = "exact permutation" if row["p_units_exact"] else "permutation"
    words = f"{how} over {units(row)} {p_value(row['p_units'])}{holm}; {clips}"
    if row["p_wilcoxon"] is not None:
        words += f"; Wilcoxon over {len(row['folds'])} folds {p_value(row['p_wilcoxon'])}"
    return words


def _verdict(row: ComparisonRow) -> str:
    if not row["established"]:
        # Where p and the shown interval would say otherwise, the reader must see what does not.
        doubt = doubts(row) if row["p_holm"] <= LEVEL else ""
        return f"the difference is not established{f': {doubt}' if doubt else ''}"
    if row["primary"] == "clips":
        return f"the difference is established for {whose_clips(row)}"
    return "the difference is established at the 5 % level"


def _by_seed(rows: Sequence[ComparisonRow]) -> list[str]:
    """Return exact McNemar of each seed, where there are several."""
    return [
        f"Exact McNemar of {row['a']} and {row['b']}, {row['tested_on']}, seed by seed: "
        + ", ".join(
            f"seed {seed} {p_value(p)}"
            for seed, p in zip(row["seeds"], row["p_mcnemar"], strict=True)
        )
        + " (not corrected)."
        for row in rows
        if len(row["p_mcnemar"]) > 1
    ]


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
    digits = count_digits(row)
    wilcoxon = row["p_wilcoxon"]
    return (
        row["tested_on"],
        Number(100 * row["accuracy_a"], 1),
        Number(100 * row["accuracy_b"], 1),
        points(row["difference"]),
        interval(row),
        Number(row["only_a"], digits),
        Number(row["only_b"], digits),
        p_number(row["p_clips"]),
        p_number(row["p_units"]),
        Number(None) if wilcoxon is None else p_number(wilcoxon),
        p_number(row["p_holm"]),
        "yes" if row["established"] else "no",
    )
