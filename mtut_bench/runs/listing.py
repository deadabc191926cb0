"""For ``mtut-bench list``: (name, description) pairs, and the clips of a store."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mtut_bench.contract.folds import choose_folds
from mtut_bench.contract.predictions import accuracies, read
from mtut_bench.contract.protocol import PROTOCOLS
from mtut_bench.contract.types import name_recordings
from mtut_bench.errors import PredictionError, RunError, StoreError
from mtut_bench.files import StrPath
from mtut_bench.runs.record import read_record, run_folders
from mtut_bench.store import reader as store_reader
from mtut_bench.store.reader import StoreReader

__all__ = ["list_clips", "list_protocols", "list_runs", "list_stores"]


def list_protocols() -> list[tuple[str, str]]:
    """Return all protocols, with the published tables that each may fill."""
    return [
        (
            p.name,
            f"version {p.version}: {p.summary}; "
            + (
                f"may fill tables {', '.join(p.tables)}" if p.tables else "fills no published table"
            ),
        )
        for p in PROTOCOLS.values()
    ]


def list_stores(folder: StrPath) -> list[tuple[str, str]]:
    """Return the stores of a folder; of one that cannot be read, why."""
    lines = []
    for path in store_reader.list_stores(folder):
        try:
            reader = StoreReader(path)
            attributes = reader.attributes
            count = len(reader.table.rows)
            text = (
                f"{attributes.dataset}, {name_recordings(attributes.origin)},"
                f" {count:,} of {attributes.expected_clips:,} clips,"
                f" {'+'.join(reader.modalities)}, digest {attributes.digest[:12]}"
            )
        except StoreError as error:
            text = error.what
        lines.append((path.stem, text))
    return lines


def list_runs(folder: StrPath) -> list[tuple[str, str]]:
    """Return the runs of a folder, with their accuracies, or why there are none."""
    return [
        (
            f"{path.parent.name}/{path.name}",
            _describe_run(path / "manifest.json")
            if (path / "manifest.json").exists()
            else "not finished",
        )
        for path in run_folders(folder)
    ]


def _describe_run(path: Path) -> str:
    try:
        record = read_record(path)
    except RunError as error:
        return error.what
    identity = record.identity
    return (
        f"{record.method.name}, {'+'.join(identity.modalities)}, fold {identity.fold},"
        f" seed {identity.seed}, protocol {record.protocol.name}{_changed(identity.overrides)}:"
        f" {_accuracies(path.with_name('predictions.npz'))}; finished"
        f" {record.provenance.finished}"
    )


def _changed(overrides: Mapping[str, Any]) -> str:
    options = ", ".join(f"{name}={value}" for name, value in overrides.items())
    return f" with {options}" if options else ""


def _accuracies(path: Path) -> str:
    """Return the accuracy of each modality and of all fused, as `run` prints them."""
    try:
        scores = read(path)
    except PredictionError as error:
        return error.what
    return ", ".join(f"{name} {share:.1%}" for name, share in accuracies(scores).items())


def list_clips(reader: StoreReader, fold: str = "") -> list[tuple[str, ...]]:
    """Return the clips of a store as lines of texts, the first of which is the head.

    Args:
        reader: the store.
        fold: name of one of its folds, several joined by commas, or 'all': a column for each says
            on which side a clip is, '' where on none. "": no such column.

    Raises:
        StoreError: the clip table is damaged.
        UsageError: there is no such fold.
        FoldError: the store has no such folds.
    """
    attributes, rows = reader.attributes, reader.table.rows
    unit = attributes.subject_unit
    chosen = choose_folds(reader.folds(), fold) if fold else []
    sides = [
        {
            clip: side
            for side, clips in (("train", one.train), ("val", one.val), ("test", one.test))
            for clip in clips
        }
        for one in chosen
    ]
    with_split = any(row.split for row in rows)
    head = ("clip_id", "label", "class", unit, *(["split"] if with_split else []), "frames")
    lines = [(*head, *(f"fold {one.name}" for one in chosen))]
    for row in rows:
        facts = (row.clip_id, str(row.label), attributes.classes[row.label], row.subject)
        split = (row.split,) if with_split else ()
        side = (one.get(row.clip_id, "") for one in sides)
        lines.append((*facts, *split, str(row.num_frames), *side))
    return lines
