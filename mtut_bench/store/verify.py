"""Check a store: files, clip table, every frame against its hash, the content digest."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mtut_bench.errors import StoreError
from mtut_bench.files import StrPath
from mtut_bench.store.attributes import StoreAttributes
from mtut_bench.store.findings import Fault, Histogram, Spread, check_rows, count_clips
from mtut_bench.store.format import clip_sha256
from mtut_bench.store.reader import StoreReader

__all__ = ["StoreFindings", "verify_store"]


@dataclass(frozen=True)
class StoreFindings:
    """What verify found in a store.

    Attributes:
        path: the store.
        attributes: of the store.
        num_clips: rows of the clip table.
        lengths: frames per clip.
        histograms: clips per split, subject and label.
        faults: what is wrong; empty where all is well.
    """

    path: Path
    attributes: StoreAttributes
    num_clips: int
    lengths: Spread
    histograms: tuple[Histogram, ...]
    faults: tuple[Fault, ...]

    def describe(self) -> list[str]:
        """Return lines for a terminal, without the faults."""
        facts = self.attributes
        units = {"subject": facts.subject_unit}
        clips = f"{self.num_clips:,} of {facts.expected_clips:,} clips"
        lines = [
            f"{facts.dataset}, {facts.origin}: {clips}, {'+'.join(facts.modalities)}",
            f"clips: {self.lengths.describe('frames')}",
        ]
        lines += [h.describe(units.get(h.column, h.column)) for h in self.histograms if h.found]
        if facts.skipped:
            lines.append(f"skipped, not in the table ({len(facts.skipped)}):")
            lines += [f"  {clip_id}: {reason}" for clip_id, reason in facts.skipped]
        return [*lines, f"digest {facts.digest}"]

    def to_json(self) -> dict[str, Any]:
        """Return everything that was found, JSON-ready."""
        facts = self.attributes
        return {
            "checked": "store",
            "path": str(self.path),
            "dataset": facts.dataset,
            "origin": facts.origin,
            "clips": {"found": self.num_clips, "expected": facts.expected_clips},
            "modalities": list(facts.modalities),
            "frames_per_clip": asdict(self.lengths),
            "histograms": {h.column: h.to_json() for h in self.histograms},
            "set_aside": [list(pair) for pair in facts.skipped],
            "digest": facts.digest,
            "faults": [fault.to_json() for fault in self.faults],
        }


def verify_store(
    path: StrPath, progress: Callable[[int, int], None] | None = None
) -> StoreFindings:
    """Check a store's files and table, and read every frame to compare it with what was written.

    Args:
        path: the store.
        progress: called with (clips done, clips in all).

    Raises:
        StoreError: there is no store, it is of a newer version, or its clip table is damaged.
    """
    path = Path(path)
    reader = StoreReader(path)
    rows, attributes = reader.table.rows, reader.attributes
    num_classes = len(attributes.classes)
    try:
        faults = [Fault("store", (), what) for what in reader.file_faults()]
    except StoreError as error:
        faults = [Fault("store", (), error.what)]
    faults += check_rows(rows, num_classes, attributes.fold_rule)
    if attributes.complete and len(rows) != attributes.expected_clips:
        what = f"the store is marked complete but has {len(rows):,} of"
        faults.append(Fault("clips", (), f"{what} {attributes.expected_clips:,} clips"))
    skipped = {clip_id for clip_id, _ in attributes.skipped}
    for clip_id in sorted(skipped & reader.table.index.keys()):
        what = f"{clip_id} was skipped but is in the table"
        faults.append(Fault("row", (clip_id,), what))
    for index in range(len(rows)):
        faults += _check_frames(reader, index)
        if progress:
            progress(index + 1, len(rows))
    return StoreFindings(
        path=path,
        attributes=attributes,
        num_clips=len(rows),
        lengths=Spread.of([row.num_frames for row in rows]),
        histograms=tuple(
            Histogram(name, found, classes=attributes.classes if name == "label" else ())
            for name, found in count_clips(rows, num_classes).items()
        ),
        faults=tuple(faults),
    )


def _check_frames(reader: StoreReader, index: int) -> list[Fault]:
    clip_id = reader.table.rows[index].clip_id
    try:
        frames = {modality: reader.read(index, modality) for modality in reader.modalities}
    except StoreError as error:
        return [Fault("unreadable", (clip_id,), error.what)]
    if clip_sha256(frames) != reader.table.hashes[index]:
        what = f"the frames of {clip_id} do not match their SHA-256"
        return [Fault("changed", (clip_id,), what)]
    return []
