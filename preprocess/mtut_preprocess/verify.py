"""Check a raw dataset before hours are spent on it: every file decoded, every window inside."""

from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field

from mtut_bench.errors import ClipError, DatasetError
from mtut_preprocess.adapter import DatasetFacts, RawClip, RawDataset
from mtut_preprocess.decode import MAX_OVERSHOOT_FRAMES, count_frames
from mtut_preprocess.pool import run_parallel

__all__ = ["RawReport", "verify_raw"]


@dataclass(frozen=True)
class RawReport:
    """What verify found in a raw folder.

    Attributes:
        facts: the dataset's facts.
        num_clips: clips listed.
        per_split: clips per split.
        per_label: clips per class index.
        per_subject: clips per subject.
        shared_subjects: subjects in both train and test.
        faults: one sentence per thing that is wrong; empty where all is well.
    """

    facts: DatasetFacts
    num_clips: int
    per_split: dict[str, int]
    per_label: dict[int, int]
    per_subject: dict[str, int]
    shared_subjects: tuple[str, ...]
    faults: tuple[str, ...] = field(default=())

    def describe(self) -> list[str]:
        """Return lines for a terminal."""
        facts = self.facts
        counts = list(self.per_label.values())
        splits = ", ".join(f"{count} {split}" for split, count in self.per_split.items())
        lines = [
            f"{facts.dataset}, {facts.origin}: {self.num_clips:,} of {facts.expected_clips:,} clips"
            + (f" ({splits})" if splits else ""),
            f"{len(counts)} of {len(facts.class_names)} classes,"
            f" {min(counts)} to {max(counts)} clips each",
            f"{len(self.per_subject)} {facts.subject_unit}s (clips): "
            + ", ".join(f"{name} ({count})" for name, count in self.per_subject.items()),
        ]
        lines += [f"note: {text}" for text in facts.notes]
        return lines + [f"doubt: {text}" for text in facts.assumptions]


def verify_raw(
    dataset: RawDataset, workers: int = 1, progress: Callable[[int, int], None] | None = None
) -> RawReport:
    """Decode every file of a raw dataset and compare it with its windows.

    Args:
        dataset: adapter of the raw folder.
        workers: processes.
        progress: called with (clips done, clips in all).

    Raises:
        DatasetError: the folder or its lists are missing or malformed, so there is no clip list.
    """
    facts, clips = dataset.read()
    if not clips:
        raise DatasetError(f"{dataset.root} lists no clip", "Restore the dataset's lists.")
    faults: list[str] = []
    with closing(run_parallel(_check_clip, clips, workers)) as results:
        for done, (_, found) in enumerate(results, start=1):
            faults += found
            if progress:
                progress(done, len(clips))
    rows = [clip.row for clip in clips]
    sides = {s: {row.subject for row in rows if row.split == s} for s in ("train", "test")}
    shared = tuple(sorted(sides["train"] & sides["test"]))
    if shared:
        faults.append(f"subjects in both train and test: {', '.join(shared)}")
    return RawReport(
        facts=facts,
        num_clips=len(clips),
        per_split=dict(Counter(row.split for row in rows if row.split)),
        per_label=dict(sorted(Counter(row.label for row in rows).items())),
        per_subject=dict(sorted(Counter(row.subject for row in rows).items(), key=_natural)),
        shared_subjects=shared,
        faults=tuple(sorted(faults)),
    )


def _natural(item: tuple[str, int]) -> tuple[int, int, str]:
    """Sort key of (subject, clips): numbers by value, before names."""
    name = item[0]
    return (0, int(name), name) if name.isdecimal() else (1, 0, name)


def _check_clip(clip: RawClip) -> list[str]:
    faults = []
    for source in clip.sources.values():
        try:
            count = count_frames(source.path)
        except ClipError as error:
            faults.append(error.what)
            continue
        end = max(source.indices) + 1
        if count < end - MAX_OVERSHOOT_FRAMES:
            faults.append(f"{source.path} has {count} frames; its window ends at frame {end}")
    return faults
