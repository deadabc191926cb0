"""Your own recordings: a CSV table of clips; videos or numbered images, any modalities and classes.

Format: a row is a clip. Columns ``clip`` (unique id), ``subject``, ``label``; optional ``split``
(train, val, test; every row or none) and ``fps`` (one value; else the files' own rate). Every other
column is a modality and holds a video file or a printf pattern of images (``frames/a/%05d.png``),
with an optional window ``<modality>_start``, ``<modality>_end``: half open; frames of a video count
from 0, images by the number in their names. A column whose name begins with ``_`` is a remark.

``<table>.json`` beside ``<table>.csv``, where it is there, gives the order of the classes, their
mirrors and facts in words; :class:`mtut_preprocess.datasets.manifest.table.Settings` has its keys.

Protocol: the table's split where it is filled, else leave one subject out.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from mtut_bench.contract.types import ClipRow, Origin, Split, behaves_like
from mtut_bench.errors import ClipError, DatasetError
from mtut_bench.files import StrPath
from mtut_preprocess.datasets.adapter import DatasetFacts, RawClip, recording_origin
from mtut_preprocess.datasets.manifest.recordings import Recordings, check_columns, find_rate
from mtut_preprocess.datasets.manifest.table import (
    Fault,
    Line,
    alike_faults,
    cell_faults,
    find_mirror,
    fold_rule,
    natural_order,
    read_settings,
    read_table,
    refuse,
)
from mtut_preprocess.reading.decode import VideoFrames
from mtut_preprocess.reading.frames import FrameSource, Plane
from mtut_preprocess.reading.images import ImageFrames

__all__ = ["MAX_UNEQUAL_FRAMES", "Manifest"]

MAX_UNEQUAL_FRAMES = 3
"""Whole files of one clip may differ by this much, as cameras stop a frame or two apart: they are
cut to the shortest. Files further apart need not have started together either."""

_CUT = "modalities of different lengths, cut to the shortest"
_REPEATED = "windows past the end of a video, whose last frame is repeated"


class Manifest:
    """A table of clips and the recordings that it names.

    Args:
        table: CSV file, UTF-8.
        root: folder that its paths are relative to and stay in; None: the table's own.
        name: of the dataset; "": the table's, without its ending.
    """

    def __init__(self, table: StrPath, *, root: StrPath | None = None, name: str = "") -> None:
        table = Path(table)
        self.table = table
        self.root = table.parent if root is None else Path(root)
        self.name = name or table.stem

    def read(self) -> tuple[DatasetFacts, list[RawClip]]:
        """Return the facts and the clips in the order of the table.

        Raises:
            DatasetError: table, settings or recordings are missing or malformed; names line,
                column and value, of many faults the first ten.
        """
        modalities, lines = read_table(self.table)
        settings = read_settings(self.table.with_suffix(".json"))
        labels = {line.cells["label"] for line in lines}
        classes = settings.classes or tuple(sorted(labels, key=natural_order))
        faults = [*cell_faults(lines, modalities, classes), *alike_faults(lines)]
        refuse(self.table, faults)
        rule = fold_rule(lines, self.table)
        mirror, unsaid = find_mirror(settings, classes, self.table.with_suffix(".json"))
        recordings = Recordings(self.root)
        clips, findings = self._find_clips(modalities, lines, classes, recordings)
        fps, assumptions = find_rate(lines, modalities, recordings, self.table)
        facts = DatasetFacts(
            dataset=self.name,
            origin=_origin(clips),
            expected_clips=len(clips),
            modalities=modalities,
            class_names=classes,
            mirror=mirror,
            fold_rule=rule,
            subject_unit=settings.subjects_are,
            fps=fps,
            depth_polarity=settings.depth_polarity,
            colour=", ".join(m for m in modalities if behaves_like(m) == "rgb") or "none",
            flow="",
            alignment={"time": "frame by frame, by position in the windows", "space": "not stated"},
            assumptions=(*assumptions, *_about_mirrors(unsaid)),
            source=settings.source,
            licence=settings.licence,
            findings=findings,
            notes=tuple(f"{len(ids)} clips with {what}" for what, ids in findings.items()),
        )
        return facts, clips

    def _find_clips(
        self,
        modalities: Sequence[str],
        lines: Sequence[Line],
        classes: Sequence[str],
        recordings: Recordings,
    ) -> tuple[list[RawClip], dict[str, tuple[str, ...]]]:
        """Return the clips, and the ids of those whose frames were cut or repeated."""
        check_columns(modalities, lines, recordings, self.table)
        positions = {name: index for index, name in enumerate(classes)}
        findings: defaultdict[str, list[str]] = defaultdict(list)
        faults: list[Fault] = []
        clips: list[RawClip] = []
        for line in lines:
            windows: dict[str, range] = {}
            for modality in modalities:
                try:
                    windows[modality] = recordings.window(line, modality)
                except (DatasetError, ClipError) as error:
                    faults.append((line, f"{modality}: {error.what}", error.hint))
            if len(windows) < len(modalities):
                continue
            unequal = list(_length_faults(line, windows))
            faults += unequal
            shortest = min(map(len, windows.values()))
            if not unequal and shortest < max(map(len, windows.values())):
                windows = {name: window[:shortest] for name, window in windows.items()}
                findings[_CUT].append(line.cells["clip"])
            if recordings.pass_ends(line, windows):
                findings[_REPEATED].append(line.cells["clip"])
            clips.append(_clip(line, positions[line.cells["label"]], windows, recordings))
        refuse(self.table, faults)
        return clips, {what: tuple(ids) for what, ids in findings.items()}


def _clip(line: Line, label: int, windows: Mapping[str, range], recordings: Recordings) -> RawClip:
    sources: dict[str, FrameSource] = {}
    origin: dict[str, Any] = {}
    for modality, window in windows.items():
        recording = recordings.find(line.cells[modality])
        kind = ImageFrames if recording.is_images else VideoFrames
        plane: Plane = "rgb" if behaves_like(modality) == "rgb" else "luma"
        sources[modality] = kind(recording.path, window, plane)
        origin[modality] = {"path": recording.name, "window": [window.start, window.stop]}
    row = ClipRow(
        clip_id=line.cells["clip"],
        subject=line.cells["subject"],
        label=label,
        repetition=-1,
        split=cast(Split, line.cells.get("split", "")),
        num_frames=min(map(len, windows.values())),
    )
    return RawClip(row, sources, origin)


def _length_faults(line: Line, windows: Mapping[str, range]) -> Iterator[Fault]:
    """Yield a fault where modalities differ by more than cameras that stop one after the other."""
    lengths = [len(window) for window in windows.values()]
    windowed = any(line.cells.get(f"{modality}_end") for modality in windows)
    if max(lengths) - min(lengths) > (0 if windowed else MAX_UNEQUAL_FRAMES):
        counts = ", ".join(f"{name} {len(window)}" for name, window in windows.items())
        hint = "Give _start and _end of every modality: the same time, so the same length."
        yield line, f"modalities differ in their number of frames: {counts}", hint


def _origin(clips: Iterable[RawClip]) -> Origin:
    # A generator's marker may lie below the root of the table: the files' folders decide.
    folders = {source.path.parent for clip in clips for source in clip.sources.values()}
    origins = {recording_origin(folder, "")[1] for folder in folders}
    return "synthetic" if "synthetic" in origins else "recorded"


def _about_mirrors(unsaid: Sequence[str]) -> Iterator[str]:
    if unsaid:
        more = f" and {len(unsaid) - 5} more" if len(unsaid) > 5 else ""
        yield f"mirror: not stated for {', '.join(unsaid[:5])}{more}: these are never flipped"
