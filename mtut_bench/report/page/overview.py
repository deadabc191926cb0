"""What a reader should know before any number: what was measured, on what, and what it is worth."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from mtut_bench.progress import counted
from mtut_bench.report.tables.table import Table
from mtut_bench.runs.finished import FinishedRun
from mtut_bench.statistics.cells import CellRow

__all__ = ["Overview", "Worth", "overview"]


@dataclass(frozen=True)
class Worth:
    """What one table of its own is worth.

    Attributes:
        heading: of the table, which says so.
        at_chance: whether the interval of every cell contains the accuracy of guessing.
        target: id of the table on the page.
    """

    heading: str
    at_chance: bool
    target: str


@dataclass(frozen=True)
class Overview:
    """The head of the page.

    Attributes:
        status: one sentence: recorded, partial, synthetic, or nothing.
        comparable: whether any measured number stands beside a published one.
        sources: a line for each store, with the number of runs on it.
        figures: (what, value) pairs.
        worths: one for each table of its own.
    """

    status: str
    comparable: bool
    sources: tuple[str, ...]
    figures: tuple[tuple[str, str], ...]
    worths: tuple[Worth, ...]


def overview(tables: Sequence[Table], runs: Sequence[FinishedRun]) -> Overview:
    """Return what the head of the page says; counts only, no number of it is an accuracy.

    Args:
        tables: all tables of the report.
        runs: all runs of the report.
    """
    cells = [cell for table in tables if not table.own for cell in table.cells]
    printed = sum(cell["published"] != "" for cell in cells)
    beside = sum(cell["published"] != "" and cell["measured"] != "" for cell in cells)
    own = [table for table in tables if table.own]
    return Overview(
        status=_status(runs),
        comparable=beside > 0,
        sources=_sources(runs),
        figures=_figures(runs, f"{beside} of {printed}" if printed else ""),
        worths=tuple(
            Worth(table.heading, _at_chance(table.cells), f"own-{number}")
            for number, table in enumerate(own, 1)
        ),
    )


def _at_chance(cells: Sequence[CellRow]) -> bool:
    measured = [cell for cell in cells if cell["measured"] != ""]
    return bool(measured) and all(
        float(cell["ci_low"]) <= float(cell["chance"]) <= float(cell["ci_high"])
        for cell in measured
    )


def _kind(run: FinishedRun) -> str:
    store = run.record.store
    if store.origin != "recorded":
        return store.origin
    return "real" if store.complete else "real, partial"


def _status(runs: Sequence[FinishedRun]) -> str:
    kinds = {_kind(run) for run in runs}
    if not kinds:
        return "Nothing has been measured: this page shows the published numbers alone."
    if kinds == {"synthetic"}:
        return (
            "Every measured number here is from synthetic recordings. None of them is comparable "
            "with a published number."
        )
    if "synthetic" in kinds:
        return (
            "Some numbers here are from real recordings and some from synthetic ones; each table "
            "says which. Synthetic ones are not comparable with published numbers."
        )
    if kinds == {"real, partial"}:
        return (
            "Every measured number here is from a part of a dataset of real recordings. None of "
            "them is comparable with a published number."
        )
    return (
        "Measured on real recordings; each table says which of them, and what its numbers are "
        "worth."
    )


def _sources(runs: Sequence[FinishedRun]) -> tuple[str, ...]:
    counts: Counter[tuple[str, str, str, int, int]] = Counter()
    for run in runs:
        store = run.record.store
        clips = store.num_clips, store.expected_clips
        counts[store.name, store.dataset, _kind(run), *clips] += 1
    return tuple(
        f"{counted(number, 'run')} on {store}: {dataset}, {kind}, {clips:,} of"
        f" {counted(of, 'clip')}."
        for (store, dataset, kind, clips, of), number in sorted(counts.items())
    )


def _figures(runs: Sequence[FinishedRun], beside: str) -> tuple[tuple[str, str], ...]:
    kinds = Counter(_kind(run) for run in runs)
    methods = sorted({run.record.method.title for run in runs})
    protocols = sorted({run.record.protocol.name for run in runs})
    seeds = {run.record.identity.seed for run in runs}
    tested = {(run.record.store.digest, clip) for run in runs for clip in run.scores.clip_ids}
    pairs = (
        (f"finished run{_s(len(runs))}", f"{len(runs):,}"),
        ("recordings", ", ".join(sorted(kinds))),
        (f"method{_s(len(methods))}", ", ".join(methods)),
        (f"protocol{_s(len(protocols))}", ", ".join(protocols)),
        (f"seed{_s(len(seeds))}", str(len(seeds)) if seeds else ""),
        ("test clips", f"{len(tested):,}" if tested else ""),
        ("published figures with a measured one beside", beside),
    )
    return tuple((what, value) for what, value in pairs if value)


def _s(number: int) -> str:
    return "" if number == 1 else "s"
