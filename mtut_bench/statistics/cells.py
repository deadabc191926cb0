"""One cell of a table: the mean over seeds of the means over folds, and its interval."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, cast

import numpy as np

from mtut_bench.contract.folds import natural_order
from mtut_bench.contract.metrics import wilson_interval
from mtut_bench.statistics import comparable
from mtut_bench.statistics.rows import ResultRow
from mtut_bench.statistics.tests import Average, bootstrap_over_persons_and_seeds

__all__ = [
    "INTERVAL_NOTE",
    "PLUS_MINUS",
    "Cell",
    "CellRow",
    "aggregate",
    "cell_row",
    "legend",
    "not_mixed",
    "seeds_left_out",
]

PLUS_MINUS = "\u00b1"
"""The sign before a standard deviation."""

INTERVAL_NOTE = (
    "[95 % interval: the wider of the bootstrap over persons and seeds, since clips of one person "
    "are dependent, and Wilson's of the clips; with two or three persons both are too short]"
)
"""What the interval of a cell is, for legends."""


@dataclass(frozen=True)
class Cell:
    """The mean of runs that differ only in fold and seed; all accuracies in percent.

    Attributes:
        mean: mean over seeds of the mean over folds.
        spread: standard deviation over folds (n - 1) of the mean over seeds; None for one fold.
        folds: folds done, sorted.
        num_folds: folds that the store has.
        seeds: seeds that count here, sorted.
        left_out: seeds that do not count because others have more folds, with folds done.
        correct: clips right, over all folds done, mean over seeds.
        total: clips tested, over all folds done.
        num_persons: persons (or users, where the persons are unknown) tested.
        wilson: 95 percent interval of the clips, lower and upper end: Wilson's, of as many
            independent clips as give the mean over these folds its variance; that is ``total``
            where folds are of one size.
        bootstrap: the same over persons and seeds; None for one person and one seed.
        chance: accuracy of guessing.
        runs: their ids, sorted.
    """

    mean: float
    spread: float | None
    folds: tuple[str, ...]
    num_folds: int
    seeds: tuple[int, ...]
    left_out: tuple[tuple[int, int], ...]
    correct: float
    total: int
    num_persons: int
    wilson: tuple[float, float]
    bootstrap: tuple[float, float] | None
    chance: float
    runs: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether every fold is done, for every seed that counts."""
        return len(self.folds) == self.num_folds

    @property
    def interval(self) -> tuple[float, float]:
        """The wider of the two 95 percent intervals, which is the one that is printed.

        Where persons differ by 8 points (standard deviation, 110 clips each) it covers 94 % with
        eight persons, 88 % with four and 67 % with two; Wilson's 62, 64 and 60
        (tests/mtut_bench/statistics/test_coverage.py).
        """
        if self.bootstrap and self.bootstrap[1] - self.bootstrap[0] > np.ptp(self.wilson):
            return self.bootstrap
        return self.wilson

    @property
    def at_chance(self) -> bool:
        """Whether the printed interval contains the accuracy of guessing."""
        return self.interval[0] <= self.chance <= self.interval[1]


def legend(cells: Sequence[Cell]) -> str:
    """Return what the parts of the cells of a table are; "" without cells."""
    words = ["accuracy in percent"] if cells else []
    if any(cell.complete for cell in cells):
        words.append(INTERVAL_NOTE)
    if any(cell.complete and cell.spread is not None for cell in cells):
        words.append(f"{PLUS_MINUS} standard deviation over folds")
    if any(not cell.complete for cell in cells):
        words.append("incomplete where a number of finished folds is given")
    return "; ".join(words)


def not_mixed(rows: Sequence[ResultRow]) -> str:
    """Return why some rows may not share a cell, or "".

    Runs of different families or devices are different experiments. Runs that were altered may
    claim the same fold and seed, or other clips or persons for one fold.
    """
    differing = comparable.difference(rows, "cell")
    if not differing:
        return _contradiction(rows)
    devices = sorted({row["device"] for row in rows})
    names = f" ({', '.join(devices)})" if len(devices) > 1 else ""
    return f"Matching runs differ in {differing}{names} and are not mixed."


def _contradiction(rows: Sequence[ResultRow]) -> str:
    """Return what runs of one kind cannot both be, or ""."""
    owners: dict[tuple[str, int, str], ResultRow] = {}
    tested: dict[str, ResultRow] = {}
    for row in rows:
        fold, seed = row["fold"], row["seed"]
        owner = owners.setdefault((fold, seed, row["modalities"]), row)
        first = tested.setdefault(fold, row)
        if owner is not row:
            other, words = owner, f"both have fold {fold} and seed {seed}: neither is used"
        elif _persons(first) != _persons(row):
            other, words = first, f"tested different clips or persons of fold {fold}: not mixed"
        else:
            continue
        return f"Runs {other['run']} and {row['run']} {words}."
    return ""


def _persons(row: ResultRow) -> dict[str, int]:
    """Return the clips tested of each person."""
    return {subject: count[1] for subject, count in json.loads(row["per_subject"]).items()}


def aggregate(rows: Iterable[ResultRow]) -> Cell:
    """Return one cell from rows that differ only in fold and seed.

    Seeds with fewer folds than the fullest one are left out, whatever they score.

    Args:
        rows: at least one; where a fold and seed comes twice (a network without alignment in runs
            of several modality sets), the run with most modalities counts.
    """
    by_seed: dict[int, dict[str, ResultRow]] = defaultdict(dict)
    for row in sorted(rows, key=lambda row: (-row["modalities"].count("+"), row["run"])):
        by_seed[row["seed"]].setdefault(row["fold"], row)
    folds = max((tuple(sorted(done)) for _, done in sorted(by_seed.items())), key=len)
    counted = {s: done for s, done in sorted(by_seed.items()) if tuple(sorted(done)) == folds}
    rows_SF = [[done[fold] for fold in folds] for done in counted.values()]
    left_out = tuple((s, len(done)) for s, done in sorted(by_seed.items()) if s not in counted)
    used = [row for rows_F in rows_SF for row in rows_F]
    values_SF = np.array([[row["value"] for row in rows_F] for rows_F in rows_SF])
    # Seeds predict the same clips: they are not pooled as if they were new clips.
    correct = sum(row["correct"] for row in used) / len(counted)
    total = sum(row["total"] for row in used) // len(counted)
    mean = float(values_SF.mean(axis=1).mean())
    by_fold_F = values_SF.mean(axis=0)
    bootstrap, num_persons = _bootstrap(rows_SF)
    return Cell(
        mean=100.0 * mean,
        spread=100.0 * float(by_fold_F.std(ddof=1)) if len(folds) > 1 else None,
        folds=folds,
        num_folds=used[0]["num_folds"],
        seeds=tuple(counted),
        left_out=left_out,
        correct=correct,
        total=total,
        num_persons=num_persons,
        wilson=_percent(_wilson(mean, [row["total"] for row in rows_SF[0]])),
        bootstrap=_percent(bootstrap) if bootstrap else None,
        chance=100.0 / used[0]["num_classes"],
        runs=tuple(sorted({row["run"] for row in used})),
    )


def _wilson(mean: float, totals: Sequence[int]) -> tuple[float, float]:
    """Return the interval of a mean over folds of some numbers of clips, as shares."""
    # The variance of the mean is p (1 - p) sum(1 / n) / F^2, that of a share p (1 - p) / n.
    worth = len(totals) ** 2 / sum(1.0 / total for total in totals)
    return wilson_interval(min(mean, 1.0) * worth, worth)


def _bootstrap(
    rows_SF: Sequence[Sequence[ResultRow]],
) -> tuple[tuple[float, float] | None, int]:
    """Return the interval over persons and seeds as shares, and the number of persons.

    A mean over several folds counts every fold alike; folds leave one person out, so that is the
    mean over persons. One fold counts every clip alike.
    """
    counts_S = [
        {
            (row["fold"], subject): count
            for row in rows_F
            for subject, count in json.loads(row["per_subject"]).items()
        }
        for rows_F in rows_SF
    ]
    persons = sorted(counts_S[0], key=lambda key: (key[0], natural_order(key[1])))
    correct_SP = np.array([[counts[key][0] for key in persons] for counts in counts_S])
    total_P = np.array([counts_S[0][key][1] for key in persons])
    several = len(rows_SF[0]) > 1
    if several:
        # Folds are the units of such a mean, however many persons each may hold.
        folds = [fold for fold, _ in persons]
        starts = [i for i, fold in enumerate(folds) if i == 0 or fold != folds[i - 1]]
        correct_SP = np.add.reduceat(correct_SP, starts, axis=1)
        total_P = np.add.reduceat(total_P, starts)
    if correct_SP.size < 2:
        return None, len(persons)
    average: Average = "persons" if several else "clips"
    return bootstrap_over_persons_and_seeds(correct_SP, total_P, average=average), len(persons)


def _percent(interval: tuple[float, float]) -> tuple[float, float]:
    return 100.0 * interval[0], 100.0 * interval[1]


class CellRow(TypedDict):
    """One cell of a table in CSV: raw numbers in percent, "" where there is none.

    ``ci_low`` and ``ci_high`` are the printed interval; ``ci_kind``: wilson or bootstrap.
    """

    table: str
    heading: str
    store: str
    protocol: str
    protocol_version: int | str
    method: str
    trained_on: str
    tested_on: str
    published: float | str
    measured: float | str
    difference: float | str
    spread: float | str
    num_folds_done: int | str
    num_folds: int | str
    seeds: str
    correct: float | str
    total: int | str
    persons: int | str
    ci_kind: str
    ci_low: float | str
    ci_high: float | str
    wilson_low: float | str
    wilson_high: float | str
    bootstrap_low: float | str
    bootstrap_high: float | str
    chance: float | str
    runs: str
    note: str


def cell_row(key: str, heading: str, cell: Cell | None, rows: Sequence[ResultRow]) -> CellRow:
    """Return a cell as raw numbers, without anything published.

    Args:
        key: of the table.
        heading: of the table.
        cell: None where nothing was measured or nothing may be shown.
        rows: the measured numbers that belong here; empty where there are none.
    """
    row: dict[str, Any] = dict.fromkeys(CellRow.__annotations__, "")
    row |= {"table": key, "heading": heading}
    columns = {"store": "store", "protocol": "protocol", "trained_on": "modalities"}
    for column, name in columns.items():
        row[column] = " ".join(sorted({str(dict(one)[name]) for one in rows}))
    if rows:
        row |= {"method": rows[0]["title"], "tested_on": rows[0]["tested_on"]}
    if cell:
        row |= {
            "protocol_version": rows[0]["protocol_version"] if rows else "",
            "measured": cell.mean,
            "spread": "" if cell.spread is None else cell.spread,
            "num_folds_done": len(cell.folds),
            "num_folds": cell.num_folds,
            "seeds": " ".join(map(str, cell.seeds)),
            "correct": cell.correct,
            "total": cell.total,
            "persons": cell.num_persons,
            "ci_kind": "wilson" if cell.interval == cell.wilson else "bootstrap",
            "chance": cell.chance,
            "runs": " ".join(cell.runs),
        }
        ends = {"ci": cell.interval, "wilson": cell.wilson, "bootstrap": cell.bootstrap}
        for kind, (low, high) in ((kind, found) for kind, found in ends.items() if found):
            row |= {f"{kind}_low": low, f"{kind}_high": high}
    return cast("CellRow", row)


def seeds_left_out(cell: Cell) -> str:
    """Return a sentence on seeds that do not count in a cell, or ""."""
    if not cell.left_out:
        return ""
    seeds = ", ".join(f"seed {seed} ({done})" for seed, done in cell.left_out)
    return f"Not counted, since their finished folds differ: {seeds} of {cell.num_folds}."
