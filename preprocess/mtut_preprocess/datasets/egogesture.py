"""EgoGesture: 83 classes of egocentric hand gestures, RGB-D, 24,161 clips of 50 persons, 320x240.

Zhang, Cao, Cheng, Lu: EgoGesture: A New Dataset and Benchmark for Egocentric Hand Gesture
Recognition. IEEE Transactions on Multimedia 20(5), 2018.

Format: ``images/SubjectXX/SceneY/{Color/rgbZ,Depth/depthZ}/NNNNNN.jpg`` (several download parts
``images_320-240_N``, merged or not) and ``labels-final-revised1/subjectXX/SceneY/GroupZ.csv``: a
gesture is a row ``class,start,end``, class 1..83, 1-based frame numbers, both ends included. Some
files are ``groupZ.csv``, one has an empty row, three subjects lack scenes.

No recording could be seen when this was written: names of folders, mirror pairs and whatever is
inferred are a table (``data/egogesture.json``) with each doubt beside it; an ``egogesture.json`` in
the raw folder overrides it.

Split: by person, 30 train, 10 val, 10 test.
"""

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from mtut_bench.contract.types import ClipRow, Split
from mtut_bench.errors import DatasetError
from mtut_bench.files import StrPath
from mtut_preprocess.datasets.adapter import (
    TWIN_LICENCE,
    TWIN_SOURCE,
    DatasetFacts,
    RawClip,
    recording_origin,
)
from mtut_preprocess.datasets.settings import (
    CLASS_FORMS,
    Form,
    are,
    check_class_tables,
    doubts,
    load_settings,
)
from mtut_preprocess.reading.decode import VideoFrames
from mtut_preprocess.reading.frames import FrameSource, Plane
from mtut_preprocess.reading.images import ImageFrames

__all__ = ["EgoGesture", "Segment", "load_egogesture_settings", "parse_labels"]

NUM_CLASSES = 83
SHORT_FRAMES = 8
_SETTINGS = "egogesture.json"
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
            DatasetError: no label folder, a malformed row or settings file, a segment twice, a
                subject that is in no split.
        """
        settings = load_egogesture_settings(self.root)
        labels = _find_labels(self.root, settings)
        findings: defaultdict[str, list[str]] = defaultdict(list)
        files = _find_label_files(labels, findings)
        split_of = self._split_subjects(settings, files, labels)
        images = _Images(self.root, labels, settings)
        clips: list[RawClip] = []
        for video in sorted(files, key=lambda v: (_SPLITS.index(split_of[v.subject]), v)):
            segments, skipped = parse_labels(files[video])
            findings["rows with an empty field, left out"] += skipped
            _check_segments(video, segments, findings)
            if not segments:
                findings["label files without a clip"].append(str(files[video]))
            sources = images.sources(video)
            split = split_of[video.subject]
            clips += [self._clip(video, split, segment, sources, settings) for segment in segments]
        _note_scenes(files, settings, findings)
        findings[f"clips shorter than {SHORT_FRAMES} frames"] += [
            clip.row.clip_id for clip in clips if clip.row.num_frames < SHORT_FRAMES
        ]
        found = {
            what: tuple(item.removeprefix(f"{self.root}{os.sep}") for item in items)
            for what, items in findings.items()
            if items
        }
        return self._facts(settings, found), clips

    def _split_subjects(
        self, settings: Mapping[str, Any], files: Mapping[Video, Path], labels: Path
    ) -> dict[int, Split]:
        split_of: dict[int, Split] = {s: n for n in _SPLITS for s in settings["splits"][n]}
        unknown = {video.subject for video in files} - split_of.keys()
        if unknown:
            raise DatasetError(
                f"{labels}: subject {min(unknown)} is in no split",
                f"Take its folder away, or give all 'splits' in {self.root / _SETTINGS}.",
            )
        return split_of

    def _clip(
        self,
        video: Video,
        split: Split,
        segment: Segment,
        sources: Mapping[str, "_Source"],
        settings: Mapping[str, Any],
    ) -> RawClip:
        dropped = 2 if settings["window"] == "drop-last-two" else 0
        window = range(segment.start, segment.end + 1 - dropped)
        if not window:
            raise DatasetError(
                f"{segment.where}: nothing is left of frames {segment.start}..{segment.end} without"
                " the last two",
                f"Set 'window' to 'inclusive' in {self.root / _SETTINGS}.",
            )
        row = ClipRow(
            clip_id=f"{video}/{segment.start:06d}-{segment.end:06d}",
            subject=str(video.subject),
            label=segment.label,
            repetition=-1,
            split=split,
            num_frames=len(window),
        )
        origin = {name: source.relative for name, source in sources.items()}
        return RawClip(
            row,
            {name: source.frames(window) for name, source in sources.items()},
            {**origin, "window": [segment.start, segment.end]},
        )

    def _facts(
        self, settings: Mapping[str, Any], findings: Mapping[str, tuple[str, ...]]
    ) -> DatasetFacts:
        dataset, origin = recording_origin(self.root, "egogesture")
        recorded = origin == "recorded"
        return DatasetFacts(
            dataset=dataset,
            origin=origin,
            expected_clips=int(settings["expected_clips"]),
            modalities=("rgb", "depth"),
            class_names=tuple(settings["class_names"]),
            mirror=None if settings["mirror"] is None else tuple(settings["mirror"]),
            fold_rule="split",
            subject_unit="person",
            fps=float(settings["fps"]),
            depth_polarity=f"as recorded: {settings['depth_polarity']}; 0 is no depth",
            colour="Color/rgbZ",
            flow="",
            alignment={
                "time": "the same frame numbers in colour and depth",
                "window": settings["window"],
                "space": settings["space"],
            },
            assumptions=doubts(settings, _FORMS),
            source=_SOURCE if recorded else TWIN_SOURCE,
            licence="research only; ask the authors" if recorded else TWIN_LICENCE,
            published=settings["published"] if recorded else {},
            findings=findings,
            notes=tuple(f"{what}: {len(items):,}" for what, items in findings.items()),
        )


class _Source(NamedTuple):
    """Where the frames of one modality of a recording lie: image pattern or video."""

    path: Path
    relative: str
    plane: Plane
    first: int

    def frames(self, window: range) -> FrameSource:
        if self.path.suffix == ".avi":
            indices = range(window.start - self.first, window.stop - self.first)
            return VideoFrames(self.path, indices, self.plane)
        return ImageFrames(self.path, window, self.plane)


class _Images:
    """Finds recordings in whichever of the image folders they are; none of them must exist."""

    def __init__(self, root: Path, labels: Path, settings: Mapping[str, Any]) -> None:
        self._root = root
        self._first = settings["first_video_frame"]
        self._default = labels.parent / settings["image_folders"][0]
        self._subjects: defaultdict[int, list[Path]] = defaultdict(list)
        for folder in _folders(root, settings, "image_folders"):
            for number, path in _numbered(folder, _SUBJECT, []):
                self._subjects[number].append(path)

    def sources(self, video: Video) -> dict[str, _Source]:
        """Return where each modality lies; where it would lie, if it is not there."""
        places: dict[str, tuple[str, Plane]] = {
            "rgb": (f"Color/rgb{video.group}", "rgb"),
            "depth": (f"Depth/depth{video.group}", "luma"),
        }
        found = {}
        for modality, (name, plane) in places.items():
            path = self._find(video, name)
            relative = path.relative_to(self._root).as_posix()
            found[modality] = _Source(path, relative, plane, self._first)
        return found

    def _find(self, video: Video, name: str) -> Path:
        usual = self._default / f"Subject{video.subject:02d}"
        holders = self._subjects.get(video.subject) or [usual]
        folders = [holder / f"Scene{video.scene}" / name for holder in holders]
        there = next((folder for folder in folders if folder.is_dir()), None)
        videos = () if there else (folder.with_suffix(".avi") for folder in folders)
        return next((v for v in videos if v.is_file()), (there or folders[0]) / "%06d.jpg")


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
    if not 1 <= label <= NUM_CLASSES:
        raise DatasetError(f"{where}: class {label} is outside 1..{NUM_CLASSES}", _RESTORE)
    if not 1 <= start <= end:
        raise DatasetError(f"{where}: frames {start}..{end} are no window", _RESTORE)
    return Segment(label - 1, start, end, where)


def _check_segments(
    video: Video, segments: list[Segment], findings: Mapping[str, list[str]]
) -> None:
    """Refuse a window twice; note one that begins before another ends."""
    seen: dict[tuple[int, int], str] = {}
    last = 0
    for _, start, end, where in sorted(segments, key=lambda s: (s.start, s.end)):
        if (start, end) in seen:
            raise DatasetError(
                f"{where}: frames {start}..{end} of {video} stand already at {seen[start, end]}",
                _RESTORE,
            )
        seen[start, end] = where
        if start <= last:
            findings["clips that begin before another ends"].append(
                f"{video}/{start:06d}-{end:06d}"
            )
        last = max(last, end)


def _note_scenes(
    files: Mapping[Video, Path], settings: Mapping[str, Any], findings: Mapping[str, list[str]]
) -> None:
    there = {(video.subject, video.scene) for video in files}
    for subject in sorted({video.subject for video in files}):
        unreleased = settings["unreleased_scenes"].get(str(subject), ())
        for scene in _SCENES:
            if (subject, scene) not in there:
                kind = "that were never released" if scene in unreleased else "without label files"
                findings[f"scenes {kind}"].append(f"Subject{subject:02d}/Scene{scene}")


def _find_labels(root: Path, settings: Mapping[str, Any]) -> Path:
    for folder in _folders(root, settings, "label_folders"):
        if any(_numbered(folder, _SUBJECT, [])):
            return folder
    names = ", ".join(settings["label_folders"])
    raise DatasetError(
        f"there is no EgoGesture dataset in {root}: no folder {names} with subjectXX in it",
        "Give the folder that holds it with --raw; names of folders can be set in"
        f" {root / _SETTINGS}.",
    )


def _find_label_files(labels: Path, findings: Mapping[str, list[str]]) -> dict[Video, Path]:
    files: dict[Video, Path] = {}
    others = findings["names in the label folder that are passed over"]
    for subject, person in _numbered(labels, _SUBJECT, others):
        for scene, place in _numbered(person, _SCENE, others):
            for group, path in _numbered(place, _GROUP, others):
                video = Video(subject, scene, group)
                if video in files:
                    raise DatasetError(
                        f"{files[video]} and {path} are labels of one recording",
                        "Take one of them away.",
                    )
                files[video] = path
                if path.name.startswith("g"):
                    findings["label files in small letters"].append(str(path))
    if not files:
        raise DatasetError(
            f"{labels} holds no subjectXX/SceneY/GroupZ.csv", "Restore the dataset's labels."
        )
    return files


def _numbered(
    folder: Path, pattern: re.Pattern[str], others: list[str]
) -> Iterator[tuple[int, Path]]:
    """Yield (number, path) of the entries that fit, by name; add other, not hidden ones."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries)
    except OSError as error:
        raise DatasetError(
            f"{folder} cannot be listed: {error.strerror or error}",
            "It is a folder in the dataset.",
        ) from error
    for name in names:
        if match := pattern.fullmatch(name):
            yield int(match[1]), folder / name
        elif not name.startswith("."):
            others.append(str(folder / name))


def _folders(root: Path, settings: Mapping[str, Any], key: str) -> Iterator[Path]:
    """Yield the folders that are there, in the order of the table."""
    for archive in settings["archive_folders"]:
        for name in settings[key]:
            pattern = str(PurePosixPath(archive, name))
            found = [root] if pattern == "." else sorted(root.glob(pattern))
            yield from (folder for folder in found if folder.is_dir())


def load_egogesture_settings(root: StrPath) -> dict[str, Any]:
    """Return the table of the package, overlaid with the raw folder's ``egogesture.json``.

    Raises:
        DatasetError: the file is malformed, has unknown keys, a value of another form or a table
            of the wrong length.
    """
    root = Path(root)
    settings = load_settings(_SETTINGS, root, _FORMS)
    check_class_tables(settings, NUM_CLASSES, root / _SETTINGS)
    return settings


def _is_split(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    if not isinstance(value, dict) or value.keys() != set(_SPLITS):
        return False
    if not all(are(int, side) for side in value.values()):
        return False
    subjects = [subject for side in value.values() for subject in side]
    return len(set(subjects)) == len(subjects)


def _are_folders(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    if not are(str, value) or not value:
        return False
    paths = [PurePosixPath(name) for name in value]
    return not any(path.is_absolute() or ".." in path.parts for path in paths)


def _are_counts(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    kinds = ("split", "subject", "label")
    return isinstance(value, dict) and all(
        kind in kinds and isinstance(counts, dict) and are(int, list(counts.values()))
        for kind, counts in value.items()
    )


_FOLDERS: Form = ("a list of folders below the raw folder; * stands for any part", _are_folders)
_TEXT: Form = ("a text", lambda v: isinstance(v, str))

_FORMS: dict[str, Form] = {
    **CLASS_FORMS,
    "class_names": ("a list of strings", lambda v: are(str, v)),
    "splits": ("an object of train, val, test: lists of different subject numbers", _is_split),
    "window": ("'inclusive' or 'drop-last-two'", lambda v: v in ("inclusive", "drop-last-two")),
    "depth_polarity": _TEXT,
    "space": _TEXT,
    "archive_folders": _FOLDERS,
    "label_folders": _FOLDERS,
    "image_folders": _FOLDERS,
    "first_video_frame": ("0 or 1", lambda v: type(v) is int and v in (0, 1)),
    "unreleased_scenes": (
        "an object of lists of scene numbers",
        lambda v: isinstance(v, dict) and all(are(int, scenes) for scenes in v.values()),
    ),
    "published": ("an object of split, subject, label: objects of whole numbers", _are_counts),
}
"""Form of each key in words, and the test of it."""
