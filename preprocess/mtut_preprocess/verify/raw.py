"""Checks a raw dataset before hours are spent on it: every file is decoded and hashed once.

Each recording (a video, or numbered images of a folder) is read by one process, a frame at a time,
for all clips that are cut from it.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mtut_bench.errors import ClipError, DatasetError
from mtut_bench.files import sha256_of_json
from mtut_bench.store.findings import Fault, Histogram, Spread, check_rows, count_clips, join_names
from mtut_preprocess.convert.pool import run_parallel
from mtut_preprocess.datasets.adapter import DatasetFacts, RawClip, RawDataset
from mtut_preprocess.reading.decode import MAX_OVERSHOOT_FRAMES
from mtut_preprocess.reading.frames import FrameSource
from mtut_preprocess.reading.images import ImageFrames
from mtut_preprocess.verify.raw_index import (
    INDEX_NAME,
    Entry,
    format_ranges,
    read_index,
    save_index,
)
from mtut_preprocess.verify.scan import Recording, Scan, format_size, scan_recording

__all__ = ["IndexState", "RawReport", "RecordingStats", "verify_raw"]

_OVERSHOOT = "windows that end a frame or two after the recording (the last frame is repeated)"
_BLANK = "recordings of one value throughout, alike because they are empty"


@dataclass(frozen=True)
class RecordingStats:
    """The recordings of one modality.

    Attributes:
        num_recordings: videos or folders of images; one that clips share counts once.
        num_bytes: of their files.
        frames: decoded frames per recording; of images those that clips use.
        sizes: recordings per frame size ('320x240'), the most frequent first.
    """

    num_recordings: int
    num_bytes: int
    frames: Spread
    sizes: Mapping[str, int]


@dataclass(frozen=True)
class IndexState:
    """The index and the folder.

    Attributes:
        state: no index is there; the folder agrees with it or differs; the index was written, or
            was not because of faults (an older one is kept).
        num_recordings: that it holds.
    """

    state: Literal["none", "agrees", "differs", "written", "refused"]
    num_recordings: int

    def describe(self) -> str:
        """Return one line."""
        kept = f"; the older {INDEX_NAME} is kept" if self.num_recordings else ""
        return {
            "none": "no index; --write-index records the SHA-256 of the files",
            "agrees": f"{self.num_recordings:,} recordings agree with {INDEX_NAME}",
            "differs": f"the folder differs from {INDEX_NAME}; if that is intended, delete the"
            " index and run verify with --write-index",
            "written": f"SHA-256 of {self.num_recordings:,} recordings written to {INDEX_NAME}",
            "refused": f"a folder with faults gets no index{kept}",
        }[self.state]


@dataclass(frozen=True)
class RawReport:
    """What verify found in a raw folder.

    Attributes:
        root: the folder.
        facts: of the dataset.
        num_clips: clips listed.
        modalities: counts per recorded modality.
        windows: frames per clip.
        histograms: clips per split, subject and label, and the published counts.
        findings: sentences by title, of what is worth knowing and not wrong.
        digest: SHA-256 over names and hashes of the recordings.
        index: state of the index.
        faults: what is wrong.
    """

    root: Path
    facts: DatasetFacts
    num_clips: int
    modalities: Mapping[str, RecordingStats]
    windows: Spread
    histograms: tuple[Histogram, ...]
    findings: Mapping[str, tuple[str, ...]]
    digest: str
    index: IndexState
    faults: tuple[Fault, ...]

    def describe(self) -> list[str]:
        """Return lines for a terminal, without the faults."""
        facts = self.facts
        state = "complete" if self.num_clips == facts.expected_clips else "incomplete"
        state = "too many" if self.num_clips > facts.expected_clips else state
        lines = [
            f"{facts.dataset}, {facts.origin}",
            f"{state}: {self.num_clips:,} of {facts.expected_clips:,} clips",
        ]
        for modality, stats in self.modalities.items():
            sizes = ", ".join(stats.sizes) or "no size"
            lines.append(
                f"{modality}: {stats.num_recordings:,} recordings of {sizes},"
                f" {stats.num_bytes / 1e6:,.1f} MB; {stats.frames.describe('frames')}"
            )
        lines.append(f"windows: {self.windows.describe('frames')}")
        units = {"subject": facts.subject_unit}
        lines += [
            histogram.describe(units.get(histogram.column, histogram.column))
            for histogram in self.histograms
            if histogram.found or histogram.published
        ]
        for title, sentences in self.findings.items():
            lines += [f"{title} ({len(sentences)}):", *(f"  {text}" for text in sentences)]
        # Adapters count in a note what they list in a finding.
        notes = (note for note in facts.notes if not any(t in note for t in self.findings))
        lines += [f"note: {text}" for text in notes]
        lines += [f"assumption: {text}" for text in facts.assumptions]
        return [*lines, f"digest of the files {self.digest}", self.index.describe()]

    def to_json(self) -> dict[str, Any]:
        """Return everything that was found, JSON-ready."""
        facts = self.facts
        return {
            "checked": "raw folder",
            "path": str(self.root),
            "dataset": facts.dataset,
            "origin": facts.origin,
            "source": facts.source,
            "licence": facts.licence,
            "clips": {"found": self.num_clips, "expected": facts.expected_clips},
            "modalities": {name: asdict(stats) for name, stats in self.modalities.items()},
            "frames_per_clip": asdict(self.windows),
            "histograms": {h.column: h.to_json() for h in self.histograms},
            "findings": {title: list(texts) for title, texts in self.findings.items()},
            "notes": list(facts.notes),
            "assumptions": list(facts.assumptions),
            "digest": self.digest,
            "index": asdict(self.index),
            "faults": [fault.to_json() for fault in self.faults],
        }


def verify_raw(
    dataset: RawDataset,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    *,
    write_index: bool = False,
) -> RawReport:
    """Decode every file of a raw dataset; compare it with windows, published counts and the index.

    Args:
        dataset: adapter of the raw folder.
        workers: processes.
        progress: called with (recordings done, recordings in all).
        write_index: record the SHA-256 of the files, unless anything is wrong. What an existing
            index records must still hold.

    Raises:
        DatasetError: the folder, its lists or its index are missing or malformed; or the folder
            is not writable.
        ClipError: the adapter cannot list the clips of a damaged folder.
    """
    facts, clips = dataset.read()
    if not clips:
        raise DatasetError(f"{dataset.root} lists no clip", "Restore the dataset's lists.")
    index = read_index(dataset.root)
    if write_index and not os.access(dataset.root, os.W_OK):
        # Before hours of decoding, not after them.
        raise DatasetError(
            f"{dataset.root} is not writable, so no index can be kept in it",
            "Make it writable for this one command, or verify without --write-index.",
        )
    uses = _list_uses(dataset.root, clips)
    recordings = _list_recordings(uses, dataset.root, index or {})
    scanned: dict[str, Scan] = {}
    with closing(run_parallel(scan_recording, recordings, workers)) as results:
        for recording, scan in results:
            scanned[recording.name] = scan
            if progress:
                progress(len(scanned), len(recordings))
    scans = {recording.name: scanned[recording.name] for recording in recordings}
    faults = [fault for scan in scans.values() for fault in scan.faults]
    short, overshoot = _check_windows(uses, scans)
    copies, blank = _check_copies(uses, scans)
    faults += short + copies
    stats: dict[str, RecordingStats] = {}
    for modality in dict.fromkeys(use.modality for use in uses):
        names = dict.fromkeys(use.name for use in uses if use.modality == modality)
        stats[modality] = _stats([scans[name] for name in names])
        faults += _check_sizes(modality, {name: scans[name].size for name in names})
    histograms = _histograms(facts, clips)
    faults += _check_clips(facts, clips, histograms)
    if index is not None and not write_index:
        faults += _check_listed(recordings, index, scans)
    state = _update_index(dataset.root, facts.dataset, scans, index, faults, write=write_index)
    used = {r.name: scans[r.name].entry for r in recordings if r.windows}
    hashes = {name: entry.sha256 if entry else None for name, entry in used.items()}
    findings = {**facts.findings, _OVERSHOOT: overshoot, _BLANK: blank}
    return RawReport(
        root=dataset.root,
        facts=facts,
        num_clips=len(clips),
        modalities=stats,
        windows=Spread.of([clip.row.num_frames for clip in clips]),
        histograms=histograms,
        findings={title: tuple(texts) for title, texts in findings.items() if texts},
        digest=sha256_of_json(hashes),
        index=state,
        faults=tuple(faults),
    )


class _Use(NamedTuple):
    """One modality of a clip: the name of its recording, and which of its windows it is."""

    clip_id: str
    modality: str
    source: FrameSource
    name: str
    window: int


def _list_uses(root: Path, clips: Sequence[RawClip]) -> list[_Use]:
    uses: list[_Use] = []
    num_windows: Counter[str] = Counter()
    for clip in clips:
        for modality, source in clip.sources.items():
            inside = source.path.is_relative_to(root)
            name = (source.path.relative_to(root) if inside else source.path).as_posix()
            uses.append(_Use(clip.row.clip_id, modality, source, name, num_windows[name]))
            num_windows[name] += 1
    return uses


def _list_recordings(
    uses: Sequence[_Use], root: Path, index: Mapping[str, Entry]
) -> list[Recording]:
    """Return each recording of clips and of an index once, in the order of the clips."""
    shared: defaultdict[str, list[FrameSource]] = defaultdict(list)
    for use in uses:
        shared[use.name].append(use.source)
    recordings = [
        Recording(
            name=name,
            path=sources[0].path,
            images=isinstance(sources[0], ImageFrames),
            plane=sources[0].plane,
            windows=tuple(source.indices for source in sources),
            recorded=index.get(name),
        )
        for name, sources in shared.items()
    ]
    return recordings + [
        Recording(name, root / name, bool(entry.frames), "luma", (), entry)
        for name, entry in index.items()
        if name not in shared
    ]


def _check_windows(
    uses: Sequence[_Use], scans: Mapping[str, Scan]
) -> tuple[list[Fault], list[str]]:
    """Return the videos too short for a window, and the windows that end a little after them."""
    faults, clamped = [], []
    for clip_id, modality, source, name, _ in uses:
        count, end = scans[name].num_frames, max(source.indices) + 1
        if count == 0 or end <= count or isinstance(source, ImageFrames):
            continue
        if end - count > MAX_OVERSHOOT_FRAMES:
            what = f"{source.path} has {count} frames; its window ends at frame {end}"
            faults.append(Fault("short", (name, clip_id), what))
        else:
            clamped.append(f"{clip_id}, {modality}: {count} frames, window to {end}")
    return faults, clamped


def _check_copies(uses: Sequence[_Use], scans: Mapping[str, Scan]) -> tuple[list[Fault], list[str]]:
    """Return recordings and clips with the same content, and those that are alike but empty.

    Videos are compared whole. Single images may be alike in a scene where nothing moves, so of
    images the frames of whole clips are compared.
    """
    alike: defaultdict[tuple[object, ...], dict[str, FrameSource]] = defaultdict(dict)
    for clip_id, _, source, name, window in uses:
        scan = scans[name]
        if isinstance(source, ImageFrames):
            if scan.window_hashes[window]:
                alike["images", scan.window_hashes[window]][f"{clip_id} ({name})"] = source
            continue
        if scan.entry:
            alike["video", scan.entry.sha256][name] = source
        alike["window", name, tuple(source.indices)][clip_id] = source
    faults, blank = [], []
    for (kind, *_), sources in alike.items():
        names, first = tuple(sources), next(iter(sources.values()))
        if len(names) < 2:
            continue
        what = f"{join_names(names)} have the same content"
        if kind == "window":
            what = f"{join_names(names)} have the same window of {first.path}"
        if _is_blank(first):
            blank.append(what)
        else:
            faults.append(Fault("duplicate", names, what))
    return faults, blank


def _is_blank(source: FrameSource) -> bool:
    """Return whether every frame is of one value: a covered camera, depth with nothing near."""

    def extremes(frame_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.array([[[frame_HWC.min(), frame_HWC.max()]]], np.uint8)

    try:
        found = source.read(extremes)
    except ClipError:
        return False
    return bool((found[..., 0] == found[..., 1]).all())


def _stats(scans: Sequence[Scan]) -> RecordingStats:
    sizes = Counter(format_size(scan.size) for scan in scans if scan.size)
    return RecordingStats(
        num_recordings=len(scans),
        num_bytes=sum(scan.entry.num_bytes for scan in scans if scan.entry),
        frames=Spread.of([scan.num_frames for scan in scans if scan.num_frames]),
        sizes=dict(sizes.most_common()),
    )


def _check_sizes(modality: str, sizes: Mapping[str, tuple[int, int] | None]) -> list[Fault]:
    """Return one fault for each frame size but the most frequent one, naming its recordings."""
    names: defaultdict[tuple[int, int], list[str]] = defaultdict(list)
    for name, size in sizes.items():
        if size:
            names[size].append(name)
    ordered = sorted(names, key=lambda size: -len(names[size]))
    faults = []
    for size in ordered[1:]:
        what = f"frames of {format_size(size)} in {join_names(names[size])}"
        what += f"; most {modality} recordings have {format_size(ordered[0])}"
        faults.append(Fault("size", tuple(names[size]), what))
    return faults


def _check_listed(
    recordings: Sequence[Recording], index: Mapping[str, Entry], scans: Mapping[str, Scan]
) -> list[Fault]:
    """Return what clips use and the index does not hold."""
    faults = []
    for recording in recordings:
        found, known = scans[recording.name].entry, index.get(recording.name)
        what = ""
        if found and not known:
            what = f"{recording.path} is not in {INDEX_NAME}: sha256 {found.sha256[:12]}"
        elif found and known and (new := set(found.frames) - set(known.frames)):
            what = f"{recording.path}: frames that are not in {INDEX_NAME}: {format_ranges(new)}"
        if what:
            faults.append(Fault("unlisted", (recording.name,), what))
    return faults


def _histograms(facts: DatasetFacts, clips: Sequence[RawClip]) -> tuple[Histogram, ...]:
    # Synthetic recordings have the layout of the real ones, not their persons.
    published = facts.published if facts.origin == "recorded" else {}
    counts = count_clips([clip.row for clip in clips], len(facts.class_names))
    return tuple(
        Histogram(name, found, published.get(name), facts.class_names if name == "label" else ())
        for name, found in counts.items()
    )


def _check_clips(
    facts: DatasetFacts, clips: Sequence[RawClip], histograms: Sequence[Histogram]
) -> list[Fault]:
    num_clips, expected = len(clips), facts.expected_clips
    faults = check_rows([clip.row for clip in clips], len(facts.class_names), facts.fold_rule)
    if num_clips > expected:
        what = f"{num_clips:,} clips are more than the {expected:,} of the complete dataset"
        faults.append(Fault("clips", (), what))
    for histogram in histograms:
        faults += histogram.faults(complete=num_clips == expected)
    return faults


def _update_index(
    root: Path,
    dataset: str,
    scans: Mapping[str, Scan],
    index: Mapping[str, Entry] | None,
    faults: Sequence[Fault],
    *,
    write: bool,
) -> IndexState:
    """Compare the folder with its index, or write a new one."""
    if write and faults:
        return IndexState("refused", len(index or {}))
    if write:
        entries = {name: scan.covered for name, scan in scans.items() if scan.covered}
        save_index(root, dataset, entries)
        return IndexState("written", len(entries))
    if index is None:
        return IndexState("none", 0)
    differs = any(
        fault.kind in ("changed", "unlisted")
        or (fault.kind == "missing" and not index.keys().isdisjoint(fault.where))
        for fault in faults
    )
    return IndexState("differs" if differs else "agrees", len(index))
