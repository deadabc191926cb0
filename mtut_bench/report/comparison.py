"""Comparisons in words: sentences that a reviewer would accept, and a table of their numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mtut_bench.report.arms import Paired
from mtut_bench.report.own import heading
from mtut_bench.report.paired import LEVEL, ComparisonRow, doubts
from mtut_bench.report.rows import ResultRow
from mtut_bench.report.tables import NOTHING, Table
from mtut_bench.statistics import MIN_UNITS

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


@dataclass(frozen=True)
class Comparison:
    """Two methods, compared.

    Attributes:
        title: which methods, on what.
        sentences: one for the mean over modalities where there are several, for each of them and
            for their fusion; none where they cannot be compared.
        table: the same numbers.
        notes: what they rest on, or why there are none.
        rows: raw numbers.
    """

    title: str
    sentences: tuple[str, ...]
    table: Table
    notes: tuple[str, ...]
    rows: tuple[ComparisonRow, ...]


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
    notes = [note for two in pairs for note in two.notes]
    notes.append(f"Chance is {100.0 * chance:.1f} % (1 of {first.row['num_classes']} classes).")
    notes += _by_seed(rows) + list(RULES)
    return Comparison(
        title=_title(first.names, first.row),
        sentences=tuple(sentences),
        table=_table(first.names, rows),
        notes=tuple(dict.fromkeys(notes)),
        rows=tuple(rows),
    )


def not_compared(names: tuple[str, str], row: ResultRow, why: str) -> Comparison:
    """Return a comparison that says why it is none.

    Args:
        names: of both sides.
        row: facts of the runs.
        why: what differs or is missing.
    """
    return Comparison(_title(names, row), (), _table(names, ()), (f"Not compared. {why}",), ())


def _title(names: tuple[str, str], row: ResultRow) -> str:
    plain = f"{row['dataset']}, {row['num_clips']:,} clips, protocol {row['protocol']}"
    return f"{names[0]} against {names[1]}: {heading(row) if _about(row) else plain}"


def _sentence(row: ComparisonRow, two: Paired, several: bool) -> str:
    tested = row["tested_on"] + (" (fusion)" if "+" in row["tested_on"] else "")
    trained = f", trained on {row['trained_on']}" if several else ""
    head = f"INCOMPLETE, {two.incomplete}: " if two.incomplete else ""
    about = _about(two.row)
    return (
        f"{head}{tested}{trained}: {row['a']} {100 * row['accuracy_a']:.1f} % against {row['b']} "
        f"{100 * row['accuracy_b']:.1f} %: {_points(row['difference'])} points (95 % interval "
        f"{_interval(row)}, {_source(row)}); {_tests(row)}; {_verdict(row)}"
        f"{f'; {about}' if about else ''}."
    )


def _about(row: ResultRow) -> str:
    """Return what the data are, in words for a sentence; "" for a complete recorded dataset."""
    plain = row["origin"] == "recorded" and row["complete"] and row["tables"]
    if plain and row["overrides"] == "{}":
        return ""
    words = heading(row)
    return words[0].lower() + words[1:]


def _points(share: float) -> str:
    points = round(100.0 * share, 1)
    return f"{points:+.1f}" if points else "0.0"


def _interval(row: ComparisonRow) -> str:
    ends = (round(100.0 * row["ci_low"], 1) + 0.0, round(100.0 * row["ci_high"], 1) + 0.0)
    return f"[{ends[0]:.1f}, {ends[1]:.1f}]"


def _source(row: ComparisonRow) -> str:
    """Return what an interval stands on."""
    persons, seeds = _units(row), len(row["seeds"])
    drawn = f"{persons} and {seeds} seeds" if seeds > 1 else persons
    if row["ci_kind"] == "bootstrap":
        return f"bootstrap over {drawn}"
    clips = f"Bonett-Price over {row['num_clips']:,} clips"
    if row["bootstrap_low"] is None:
        return f"{clips} of {persons}"
    return f"{clips}, wider than the bootstrap over {drawn}"


def _units(row: ComparisonRow) -> str:
    return f"{row['num_units']} {row['unit']}{'' if row['num_units'] == 1 else 's'}"


def _tests(row: ComparisonRow) -> str:
    form = _count_form(row)
    clips = (
        f"{row['only_a']:{form}} clips only {row['a']} has right, {row['only_b']:{form}} only "
        f"{row['b']}"
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
    clips += f" {_p(row['p_clips'])}"
    count = row["family_size"]
    holm = f", Holm-corrected over {count} tests {_p(row['p_holm'], '')}" if count > 1 else ""
    if row["primary"] == "clips":
        return f"{clips}{holm}; {_units(row)}, too few for a test over {row['unit']}s"
    how = "exact permutation" if row["p_units_exact"] else "permutation"
    words = f"{how} over {_units(row)} {_p(row['p_units'])}{holm}; {clips}"
    if row["p_wilcoxon"] is not None:
        words += f"; Wilcoxon over {len(row['folds'])} folds {_p(row['p_wilcoxon'])}"
    return words


def _p(value: float, name: str = "p") -> str:
    if value < 0.001:
        return f"{name} < 0.001".strip()
    texts = (f"{value:.{digits}g}" for digits in range(2, 18))
    # Rounding never carries a p over the level that it is read against, nor onto it.
    side = np.sign(value - LEVEL)
    text = next(text for text in texts if np.sign(float(text) - LEVEL) == side)
    return f"{name} = {text}" if name else text


def _verdict(row: ComparisonRow) -> str:
    if not row["established"]:
        # Where p and the shown interval would say otherwise, the reader must see what does not.
        doubt = doubts(row) if row["p_holm"] <= LEVEL else ""
        return f"the difference is not established{f': {doubt}' if doubt else ''}"
    if row["primary"] == "clips":
        who = f"this {row['unit']}" if row["num_units"] == 1 else f"these {_units(row)}"
        return f"the difference is established for clips of {who} alone"
    return "the difference is established at the 5 % level"


def _by_seed(rows: Sequence[ComparisonRow]) -> list[str]:
    """Return exact McNemar of each seed, where there are several."""
    return [
        f"Exact McNemar of {row['a']} and {row['b']}, {row['tested_on']}, seed by seed: "
        + ", ".join(
            f"seed {seed} {_p(p)}" for seed, p in zip(row["seeds"], row["p_mcnemar"], strict=True)
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
        notes=(),
        num_labels=2 if sets else 1,
        cells=(),
    )


def _line(row: ComparisonRow) -> tuple[str, ...]:
    form = _count_form(row)
    wilcoxon = row["p_wilcoxon"]
    return (
        row["tested_on"],
        f"{100 * row['accuracy_a']:.1f}",
        f"{100 * row['accuracy_b']:.1f}",
        _points(row["difference"]),
        _interval(row),
        f"{row['only_a']:{form}}",
        f"{row['only_b']:{form}}",
        _p(row["p_clips"], ""),
        _p(row["p_units"], ""),
        NOTHING if wilcoxon is None else _p(wilcoxon, ""),
        _p(row["p_holm"], ""),
        "yes" if row["established"] else "no",
    )


def _count_form(row: ComparisonRow) -> str:
    """Return the format of clips counted: a mean of counts has a digit after the point."""
    return ".1f" if row["mean_of"] or len(row["seeds"]) > 1 else ".0f"
