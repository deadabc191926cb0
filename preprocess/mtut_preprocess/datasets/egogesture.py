"""EgoGesture: 83 classes of egocentric hand gestures, RGB-D, 24,161 clips of 50 persons, 320x240.

Zhang, Cao, Cheng, Lu: EgoGesture: A New Dataset and Benchmark for Egocentric Hand Gesture
Recognition. IEEE Transactions on Multimedia 20(5), 2018.

Format: ``images/SubjectXX/SceneY/{Color/rgbZ,Depth/depthZ}/NNNNNN.jpg`` (several download parts
``images_320-240_N``, merged or not) and ``labels-final-revised1/subjectXX/SceneY/GroupZ.csv``: a
gesture is a row ``class,start,end``, class 1..83, 1-based frame numbers, both ends included. Some
files are ``groupZ.csv``, one has an empty row, three subjects lack scenes.

No recording could be seen when this was written: names of folders, mirror pairs and whatever is
inferred are a table (``data/egogesture.json``) with its assumptions; an ``egogesture.json`` in
the raw folder overrides it.

Split: by person, 30 train, 10 val, 10 test.
"""

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta

from mtut_bench.contract.types import ClipRow, Split
from mtut_bench.errors import DatasetError
from mtut_bench.files import StrPath
from mtut_preprocess.datasets.adapter import DatasetFacts, RawClip, table_facts
from mtut_preprocess.datasets.settings import DatasetTable, load_table
from mtut_preprocess.reading.images import ImageFrames

__all__ = ["EgoGesture", "EgoGestureTable", "Segment", "parse_labels"]

_NUM_CLASSES = 83
_SHORT_FRAMES = 8
_TABLE = "egogesture.json"
_SPLITS: tuple[Split, ...] = ("train", "val", "test")
_SCENES = range(1, 7)
_SUBJECT = re.compile(r"subject([0-9]+)", re.IGNORECASE)
_SCENE = re.compile(r"scene([0-9]+)", re.IGNORECASE)
_GROUP = re.compile(r"group([0-9]+)\.csv", re.IGNORECASE)
# Spreadsheet programs and pandas write a column of whole numbers as 98.0 where a row is empty.
_NUMBER = re.compile(r"(-?[0-9]{1,6})(\.0*)?")
_SOURCE = (
    "Zhang, Cao, Cheng, Lu: EgoGesture, IEEE T-MM 20(5), 2018; National Laboratory of Pattern"
    " Recognition, CASIA, by a form (nlpr.ia.ac.cn/iva/yfzhang/datasets/egogesture.html)"
)
_RESTORE = "Restore the dataset's own file; a row reads class,start,end: 7,67,112"


# Below the raw folder; * matches anything.
_Folder = Annotated[str, Meta(pattern=r"^(?!/)(?!.*(^|/)\.\.(/|$)).+$")]
_Folders = Annotated[tuple[_Folder, ...], Meta(min_length=1)]


class EgoGestureTable(DatasetTable, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """EgoGesture's table, ``egogesture.json``.

    Attributes:
        splits: subjects of each side.
        window: whether the last two frames of a row belong to its clip.
        depth_polarity: which way depth values go, in words.
        space: how colour and depth are registered, in words.
        label_folders: where labels may lie, below the raw folder.
        image_folders: where images may lie, below the folder that holds the labels' folder or
            below the raw folder; the first is usual.
        unreleased_scenes: scenes by subject that were never published.
    """

    class_names: tuple[str, ...]
    splits: dict[Literal["train", "val", "test"], tuple[int, ...]]
    window: Literal["inclusive", "drop-last-two"]
    depth_polarity: str
    space: str
    label_folders: _Folders
    image_folders: _Folders
    unreleased_scenes: dict[str, tuple[int, ...]]

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return _NUM_CLASSES

    def split_of(self) -> dict[int, Split]:
        """Return the side of each subject."""
        return {subject: side for side, subjects in self.splits.items() for subject in subjects}

    def __post_init__(self) -> None:
        """Check the classes and the sides.

        Raises:
            ValueError: classes as of any table; a side is missing, or a subject there twice.
        """
        super().__post_init__()
        if self.splits.keys() != set(_SPLITS):
            raise ValueError("'splits' needs train, val and test")
        if len(self.split_of()) < sum(map(len, self.splits.values())):
            raise ValueError("'splits' names a subject twice")


class Video(NamedTuple):
    """Numbers of a recording; in order, the order of a split's clips."""

    subject: int
    scene: int
    group: int

    def __str__(self) -> str:
        return f"Subject{self.subject:02d}/Scene{self.scene}/rgb{self.group}"


class Segment(NamedTuple):
    """A gesture in a recording: 0-based label, 1-based frame numbers, both included."""

    label: int
    start: int
    end: int
    where: str


class EgoGesture:
    """A folder in EgoGesture's layout. Only the labels must be there to be read.

    Args:
        root: folder that holds ``labels-final-revised1`` and the images (or ``RS_v1_50`` with
            both), and perhaps an ``egogesture.json``.
    """

    def __init__(self, root: StrPath) -> None:
        self.root = Path(root)

    def read(self) -> tuple[DatasetFacts, list[RawClip]]:
        """Return the facts and the clips: train, val, test, each by subject, scene, group, row.

        Raises:
            DatasetError: no label folder, a malformed row or table, a segment twice, a subject
                that is in no split.
        """
        table, assumptions = load_table(_TABLE, self.root, EgoGestureTable)
        labels = _find_labels(self.root, table)
        findings: defaultdict[str, list[str]] = defaultdict(list)
        files = _find_label_files(labels, findings)
        split_of = table.split_of()
        unknown = {video.subject for video in files} - split_of.keys()
        if unknown:
            raise DatasetError(
                f"{labels}: subject {min(unknown)} is in no split",
                f"Remove its folder, or give all 'splits' in {self.root / _TABLE}.",
            )
        images = _Images(self.root, labels, table)
        clips: list[RawClip] = []
        for video in sorted(files, key=lambda v: (_SPLITS.index(split_of[v.subject]), v)):
            segments, empty = parse_labels(files[video])
            findings["rows with an empty field, left out"] += empty
            _refuse_twice(video, segments)
            paths, split = images.paths(video), split_of[video.subject]
            clips += [self._clip(video, split, segment, paths, table) for segment in segments]
        _note_scenes(files, table, findings)
        findings[f"clips shorter than {_SHORT_FRAMES} frames"] += [
            clip.row.clip_id for clip in clips if clip.row.num_frames < _SHORT_FRAMES
        ]
        found = {
            what: tuple(item.removeprefix(f"{self.root}{os.sep}") for item in items)
            for what, items in findings.items()
            if items
        }
        facts = table_facts(
            self.root,
            "egogesture",
            table,
            fold_rule="split",
            subject_unit="person",
            depth_polarity=f"as recorded: {table.depth_polarity}; 0 is no depth",
            colour="Color/rgbZ",
            flow="",
            alignment={
                "time": "the same frame numbers in colour and depth",
                "window": table.window,
                "space": table.space,
            },
            assumptions=assumptions,
            source=_SOURCE,
            licence="research only; ask the authors",
            findings=found,
            notes=tuple(f"{what}: {len(items):,}" for what, items in found.items()),
        )
        return facts, clips

    def _clip(
        self,
        video: Video,
        split: Split,
        segment: Segment,
        paths: Mapping[str, Path],
        table: EgoGestureTable,
    ) -> RawClip:
        dropped = 2 if table.window == "drop-last-two" else 0
        window = range(segment.start, segment.end + 1 - dropped)
        if not window:
            raise DatasetError(
                f"{segment.where}: nothing is left of frames {segment.start}..{segment.end} without"
                " the last two",
                f"Set 'window' to 'inclusive' in {self.root / _TABLE}.",
            )
        row = ClipRow(
            clip_id=f"{video}/{segment.start:06d}-{segment.end:06d}",
            subject=str(video.subject),
            label=segment.label,
            repetition=-1,
            split=split,
            num_frames=len(window),
        )
        origin = {name: path.relative_to(self.root).as_posix() for name, path in paths.items()}
        sources = {
            "rgb": ImageFrames(paths["rgb"], window, "rgb"),
            "depth": ImageFrames(paths["depth"], window, "luma"),
        }
        return RawClip(row, sources, {**origin, "window": [segment.start, segment.end]})


class _Images:
    """Finds recordings in whichever of the image folders they are; none of them must exist."""

    def __init__(self, root: Path, labels: Path, table: EgoGestureTable) -> None:
        self._usual = labels.parent / table.image_folders[0]
        self._subjects: defaultdict[int, list[Path]] = defaultdict(list)
        for place in dict.fromkeys((root, labels.parent)):
            for folder in _folders(place, table.image_folders):
                for number, path in _numbered(folder, _SUBJECT):
                    self._subjects[number].append(path)

    def paths(self, video: Video) -> dict[str, Path]:
        """Return the pattern of each modality's images; where they would be, if they are not."""
        return {
            "rgb": self._find(video, f"Color/rgb{video.group}"),
            "depth": self._find(video, f"Depth/depth{video.group}"),
        }

    def _find(self, video: Video, name: str) -> Path:
        usual = self._usual / f"Subject{video.subject:02d}"
        holders = self._subjects.get(video.subject) or [usual]
        folders = [holder / f"Scene{video.scene}" / name for holder in holders]
        return next((f for f in folders if f.is_dir()), folders[0]) / "%06d.jpg"


def parse_labels(path: StrPath) -> tuple[list[Segment], list[str]]:
    """Return the segments of a label file in its order, and the rows that have an empty field.

    Raises:
        DatasetError: the file is unreadable or a row malformed; names file, line and value.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}", _RESTORE) from error
    segments: list[Segment] = []
    skipped: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        fields, where = [field.strip() for field in line.split(",")], f"{path}:{number}"
        if "" in fields:
            skipped.append(where)
        else:
            segments.append(_parse_row(fields, line, where))
    return segments, skipped


def _parse_row(fields: list[str], line: str, where: str) -> Segment:
    matches = [_NUMBER.fullmatch(field) for field in fields]
    numbers = [int(match[1]) for match in matches if match]
    if len(numbers) != 3 or len(fields) != 3:
        raise DatasetError(f"{where}: cannot parse {line!r}", _RESTORE)
    label, start, end = numbers
    if not 1 <= label <= _NUM_CLASSES:
        raise DatasetError(f"{where}: class {label} is outside 1..{_NUM_CLASSES}", _RESTORE)
    if not 1 <= start <= end:
        raise DatasetError(f"{where}: invalid window {start}..{end}", _RESTORE)
    return Segment(label - 1, start, end, where)


def _refuse_twice(video: Video, segments: Sequence[Segment]) -> None:
    seen: dict[tuple[int, int], str] = {}
    for _, start, end, where in segments:
        earlier = seen.setdefault((start, end), where)
        if earlier != where:
            raise DatasetError(
                f"{where}: frames {start}..{end} of {video} are already listed at {earlier}",
                _RESTORE,
            )


def _note_scenes(
    files: Mapping[Video, Path], table: EgoGestureTable, findings: Mapping[str, list[str]]
) -> None:
    there = {(video.subject, video.scene) for video in files}
    for subject in sorted({video.subject for video in files}):
        unreleased = table.unreleased_scenes.get(str(subject), ())
        for scene in _SCENES:
            if (subject, scene) not in there:
                kind = "that were never released" if scene in unreleased else "without label files"
                findings[f"scenes {kind}"].append(f"Subject{subject:02d}/Scene{scene}")


def _find_labels(root: Path, table: EgoGestureTable) -> Path:
    for folder in _folders(root, table.label_folders):
        if any(_numbered(folder, _SUBJECT)):
            return folder
    names = ", ".join(table.label_folders)
    raise DatasetError(
        f"there is no EgoGesture dataset in {root}: no folder {names} with subjectXX in it",
        "Give the folder that holds it with --raw; names of folders can be set in"
        f" {root / _TABLE}.",
    )


def _find_label_files(labels: Path, findings: Mapping[str, list[str]]) -> dict[Video, Path]:
    files: dict[Video, Path] = {}
    for subject, person in _numbered(labels, _SUBJECT):
        for scene, place in _numbered(person, _SCENE):
            for group, path in _numbered(place, _GROUP):
                video = Video(subject, scene, group)
                if video in files:
                    raise DatasetError(
                        f"{files[video]} and {path} label the same recording",
                        "Remove one of them.",
                    )
                files[video] = path
                if path.name.startswith("g"):
                    findings["label files in small letters"].append(str(path))
    if not files:
        raise DatasetError(
            f"{labels} has no subjectXX/SceneY/GroupZ.csv", "Restore the dataset's labels."
        )
    return files


def _numbered(folder: Path, pattern: re.Pattern[str]) -> Iterator[tuple[int, Path]]:
    """Yield (number, path) of the entries that fit, by name."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries)
    except OSError as error:
        raise DatasetError(
            f"{folder} cannot be listed: {error.strerror or error}",
            "The dataset has a folder of this name.",
        ) from error
    matches = filter(None, map(pattern.fullmatch, names))
    yield from ((int(match[1]), folder / match[0]) for match in matches)


def _folders(root: Path, names: Sequence[str]) -> Iterator[Path]:
    """Yield the folders that are there, in the order of the table."""
    for name in names:
        found = [root] if name == "." else sorted(root.glob(name))
        yield from (folder for folder in found if folder.is_dir())
