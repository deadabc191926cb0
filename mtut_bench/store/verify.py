"""Check a store: files, clip table, every frame against its hash, the content digest."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mtut_bench.errors import StoreError
from mtut_bench.files import StrPath
from mtut_bench.store.findings import Fault, Histogram, Spread, check_rows, count_clips
from mtut_bench.store.format import clip_sha256
from mtut_bench.store.reader import StoreReader

__all__ = ["StoreFindings", "verify_store"]


@dataclass(frozen=True)
class StoreFindings:
    """What verify found in a store.

    Attributes:
        path: the store.
        dataset: name and origin as the store gives them.
        num_clips: rows of the clip table.
        expected_clips: clips of the complete dataset.
        modalities: what is stored.
        lengths: frames per clip.
        histograms: clips per split, subject and label.
        subject_unit: 'person' or 'user'.
        skipped: (clip id, reason) of clips that could not be read and are not in the table.
        digest: as recorded.
        faults: what is wrong; empty where all is well.
    """

    path: Path
    dataset: tuple[str, str]
    num_clips: int
    expected_clips: int
    modalities: tuple[str, ...]
    lengths: Spread
    histograms: tuple[Histogram, ...]
    subject_unit: str
    skipped: tuple[tuple[str, str], ...]
    digest: str
    faults: tuple[Fault, ...]

    def describe(self) -> list[str]:
        """Return lines for a terminal, without the faults."""
        units = {"subject": self.subject_unit}
        clips = f"{self.num_clips:,} of {self.expected_clips:,} clips"
        lines = [
            f"{', '.join(self.dataset)}: {clips}, {'+'.join(self.modalities)}",
            f"clips: {self.lengths.describe('frames')}",
        ]
        lines += [h.describe(units.get(h.column, h.column)) for h in self.histograms if h.found]
        if self.skipped:
            lines.append(f"skipped, not in the table ({len(self.skipped)}):")
            lines += [f"  {clip_id}: {reason}" for clip_id, reason in self.skipped]
        return [*lines, f"digest {self.digest}"]

    def to_json(self) -> dict[str, Any]:
        """Return everything that was found, JSON-ready."""
        return {
            "checked": "store",
            "path": str(self.path),
            "dataset": self.dataset[0],
            "origin": self.dataset[1],
            "clips": {"found": self.num_clips, "expected": self.expected_clips},
            "modalities": list(self.modalities),
            "frames_per_clip": asdict(self.lengths),
            "histograms": {h.column: h.to_json() for h in self.histograms},
            "set_aside": [list(pair) for pair in self.skipped],
            "digest": self.digest,
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
    faults = _check_files(reader)
    faults += check_rows(rows, num_classes, attributes.fold_rule)
    if attributes.complete and len(rows) != attributes.expected_clips:
        what = f"the store claims to be complete with {len(rows):,} of"
        faults.append(Fault("clips", (), f"{what} {attributes.expected_clips:,} clips"))
    skipped = {clip_id for clip_id, _ in attributes.skipped}
    for clip_id in sorted(skipped & {row.clip_id for row in rows}):
        what = f"{clip_id} was skipped and is in the table all the same"
        faults.append(Fault("row", (clip_id,), what))
    for index in range(len(rows)):
        faults += _check_frames(reader, index)
        if progress:
            progress(index + 1, len(rows))
    return StoreFindings(
        path=path,
        dataset=(attributes.dataset, attributes.origin),
        num_clips=len(rows),
        expected_clips=attributes.expected_clips,
        modalities=reader.modalities,
        lengths=Spread.of([row.num_frames for row in rows]),
        histograms=tuple(
            Histogram(name, found, classes=attributes.classes if name == "label" else ())
            for name, found in count_clips(rows, num_classes).items()
        ),
        subject_unit=attributes.subject_unit,
        skipped=attributes.skipped,
        digest=attributes.digest,
        faults=tuple(faults),
    )


def _check_files(reader: StoreReader) -> list[Fault]:
    try:
        return [Fault("store", (), what) for what in reader.file_faults()]
    except StoreError as error:
        return [Fault("store", (), error.what)]


def _check_frames(reader: StoreReader, index: int) -> list[Fault]:
    clip_id = reader.table.rows[index].clip_id
    try:
        frames = {modality: reader.read(index, modality) for modality in reader.modalities}
    except StoreError as error:
        return [Fault("unreadable", (clip_id,), error.what)]
    if clip_sha256(frames) != reader.table.hashes[index]:
        what = f"the frames of {clip_id} are not those that were written"
        return [Fault("changed", (clip_id,), what)]
    return []
