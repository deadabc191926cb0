"""One cell of a table: the mean over seeds of the means over folds, with the doubt about it."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from mtut_bench.metrics import wilson_interval
from mtut_bench.report.rows import ResultRow

__all__ = ["Cell", "CellRow", "aggregate", "cell_row", "seeds_left_out"]

_PLUS_MINUS = "\u00b1"


@dataclass(frozen=True)
class Cell:
    """What runs that differ only in fold and seed say together; all accuracies in percent.

    Attributes:
        mean: mean over seeds of the mean over folds.
        spread: standard deviation over folds (n - 1) of the mean over seeds; None for one fold.
        folds: folds done, sorted.
        num_folds: folds that the store has.
        seeds: seeds that count here, sorted.
        left_out: seeds that are not counted because others have more folds, with folds done.
        correct: clips right, over all folds done, mean over seeds.
        total: clips tested, over all folds done.
        ci_low: lower end of the Wilson 95 percent interval of correct of total.
        ci_high: upper end.
        chance: accuracy of guessing.
        runs: runs behind it, sorted.
    """

    mean: float
    spread: float | None
    folds: tuple[str, ...]
    num_folds: int
    seeds: tuple[int, ...]
    left_out: tuple[tuple[int, int], ...]
    correct: float
    total: int
    ci_low: float
    ci_high: float
    chance: float
    runs: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether every fold is done, for every seed that counts."""
        return len(self.folds) == self.num_folds

    @property
    def at_chance(self) -> bool:
        """Whether the interval of the clips contains the accuracy of guessing."""
        return self.ci_low <= self.chance <= self.ci_high

    def text(self, digits: int) -> str:
        """Return the cell as printed: with spread, with interval, or marked as incomplete.

        Args:
            digits: digits of the mean and the spread after the point; the interval has one.
        """
        value = f"{self.mean:.{digits}f}"
        if not self.complete:
            return f"{value} ({len(self.folds)} of {self.num_folds} folds)"
        if self.spread is None:
            return f"{value} [{self.ci_low:.1f}, {self.ci_high:.1f}]"
        return f"{value} {_PLUS_MINUS} {self.spread:.{digits}f}"


def aggregate(rows: Iterable[ResultRow]) -> Cell:
    """Return one cell from rows that differ only in fold and seed.

    Seeds with fewer folds than the best one are left out, and named: a mean over seeds has the same
    folds behind every seed. Which seeds count never depends on a score.

    Args:
        rows: at least one; where a fold and seed comes twice (a network that is trained alone in
            runs of several modality sets), the run with most modalities counts.
    """
    by_seed: dict[int, dict[str, ResultRow]] = defaultdict(dict)
    for row in sorted(rows, key=lambda row: (-row["modalities"].count("+"), row["run"])):
        by_seed[row["seed"]].setdefault(row["fold"], row)
    # The first of the largest sets of folds; all seeds that count share exactly these folds.
    folds = max((tuple(sorted(done)) for _, done in sorted(by_seed.items())), key=len)
    counted = {seed: done for seed, done in by_seed.items() if tuple(sorted(done)) == folds}
    used = [done[fold] for done in counted.values() for fold in folds]
    values_SF = [[done[fold]["value"] for fold in folds] for done in counted.values()]
    left_out = tuple((s, len(done)) for s, done in sorted(by_seed.items()) if s not in counted)
    return _cell(used, np.array(values_SF), seeds=sorted(counted), folds=folds, left_out=left_out)


def _cell(
    used: Sequence[ResultRow],
    values_SF: NDArray[np.float64],
    *,
    seeds: Sequence[int],
    folds: tuple[str, ...],
    left_out: tuple[tuple[int, int], ...],
) -> Cell:
    # Seeds predict the same clips: pooling them as if they were new clips would feign precision.
    correct = sum(row["correct"] for row in used) / len(seeds)
    total = sum(row["total"] for row in used) // len(seeds)
    low, high = wilson_interval(round(correct), total)
    by_fold_F = values_SF.mean(axis=0)
    return Cell(
        mean=100.0 * float(values_SF.mean(axis=1).mean()),
        spread=100.0 * float(by_fold_F.std(ddof=1)) if len(folds) > 1 else None,
        folds=folds,
        num_folds=used[0]["num_folds"],
        seeds=tuple(seeds),
        left_out=left_out,
        correct=correct,
        total=total,
        ci_low=100.0 * low,
        ci_high=100.0 * high,
        chance=100.0 / used[0]["num_classes"],
        runs=tuple(sorted({row["run"] for row in used})),
    )


class CellRow(TypedDict):
    """One cell of a table in CSV: raw numbers in percent, "" where there is none."""

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
    ci_low: float | str
    ci_high: float | str
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
    first = rows[0] if rows else None
    return CellRow(
        table=key,
        heading=heading,
        store=" ".join(sorted({row["store"] for row in rows})),
        protocol=" ".join(sorted({row["protocol"] for row in rows})),
        protocol_version=first["protocol_version"] if cell and first else "",
        method=first["title"] if first else "",
        trained_on=" ".join(sorted({row["modalities"] for row in rows})),
        tested_on=first["tested_on"] if first else "",
        published="",
        measured=cell.mean if cell else "",
        difference="",
        spread="" if cell is None or cell.spread is None else cell.spread,
        num_folds_done=len(cell.folds) if cell else "",
        num_folds=cell.num_folds if cell else "",
        seeds=" ".join(map(str, cell.seeds)) if cell else "",
        correct=cell.correct if cell else "",
        total=cell.total if cell else "",
        ci_low=cell.ci_low if cell else "",
        ci_high=cell.ci_high if cell else "",
        chance=cell.chance if cell else "",
        runs=" ".join(cell.runs) if cell else "",
        note="",
    )


def seeds_left_out(cell: Cell) -> str:
    """Return a sentence on seeds that do not count in a cell, or ""."""
    if not cell.left_out:
        return ""
    seeds = ", ".join(f"seed {seed} ({done})" for seed, done in cell.left_out)
    return f"Not counted, with fewer or other folds done: {seeds} of {cell.num_folds}."
