"""What a reader should know before any number: what was measured, and on what."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from mtut_bench.progress import counted
from mtut_bench.report.tables.table import Table
from mtut_bench.runs.finished import FinishedRun

__all__ = ["Overview", "overview"]


@dataclass(frozen=True)
class Overview:
    """The head of the page.

    Attributes:
        status: one sentence: recorded, partial, synthetic, or nothing.
        comparable: whether any measured number stands beside a published one.
        sources: a line for each store, with the number of runs on it.
        figures: (what, value) pairs.
    """

    status: str
    comparable: bool
    sources: tuple[str, ...]
    figures: tuple[tuple[str, str], ...]


def overview(tables: Sequence[Table], runs: Sequence[FinishedRun]) -> Overview:
    """Return what the head of the page says; counts only, no number of it is an accuracy."""
    cells = [cell for table in tables if not table.local for cell in table.cells]
    printed = sum(cell["published"] != "" for cell in cells)
    beside = sum(cell["published"] != "" and cell["measured"] != "" for cell in cells)
    return Overview(
        status=_status(runs),
        comparable=beside > 0,
        sources=_sources(runs),
        figures=_figures(runs, f"{beside} of {printed}" if printed else ""),
    )


def _kind(run: FinishedRun) -> str:
    store = run.record.store
    if store.origin != "recorded":
        return store.origin
    return "real" if store.complete else "real, partial"


def _status(runs: Sequence[FinishedRun]) -> str:
    kinds = {_kind(run) for run in runs}
    if not kinds:
        return "No measurements yet: this page shows only the published numbers."
    if kinds == {"synthetic"}:
        return (
            "Every measured number here is from synthetic recordings. None is comparable "
            "with a published number."
        )
    if "synthetic" in kinds:
        return (
            "Some numbers here are from real recordings and some from synthetic ones; each table "
            "says which. Synthetic ones are not comparable with published numbers."
        )
    if kinds == {"real, partial"}:
        return (
            "Every measured number here is from a part of a dataset of real recordings. "
            "None is comparable "
            "with a published number."
        )
    return (
        "Measured on real recordings; each table states "
        "which, and how far its numbers are comparable."
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
    kinds = {_kind(run) for run in runs}
    methods = sorted({run.record.method.title for run in runs})
    protocols = sorted({run.record.protocol.name for run in runs})
    seeds = {run.record.identity.seed for run in runs}
    tested = {(run.record.store.digest, clip) for run in runs for clip in run.scores.clip_ids}
    pairs = (
        ("finished runs", f"{len(runs):,}"),
        ("recordings", ", ".join(sorted(kinds))),
        ("methods", ", ".join(methods)),
        ("protocols", ", ".join(protocols)),
        ("seeds", str(len(seeds)) if seeds else ""),
        ("test clips", f"{len(tested):,}" if tested else ""),
        ("published numbers with a measured counterpart", beside),
    )
    return tuple((what, value) for what, value in pairs if value)
