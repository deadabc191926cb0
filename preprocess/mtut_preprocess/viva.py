"""VIVA hand gestures: 19 classes, 885 RGB-D clips of 8 persons in a car, 250x115.

Ohn-Bar, Trivedi: Hand Gesture Recognition in Real Time for Automotive Interfaces. IEEE T-ITS 2014.

Format: ``LISA_HG_Data/dynamic_gestures/data/<user>_<gesture>_<repetition>.avi`` in colour and
``.../data/depth/`` with files of the same names in depth. No recording could be seen when this was
written: pattern, class ids, aliases, persons and mirrors are a table (``data/viva.json``) with the
best public evidence as default and each doubt beside it; a ``viva.json`` in the raw folder
overrides it.

Protocol: leave one person out, 8 folds. A person was recorded as driver and as passenger under two
user numbers, so without the table of persons no fold is made.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from mtut_bench.errors import ClipError, DatasetError
from mtut_bench.files import read_json
from mtut_bench.types import ClipRow
from mtut_preprocess.adapter import DatasetFacts, RawClip, recording_origin
from mtut_preprocess.decode import FrameSource, count_packets

__all__ = ["Viva", "load_settings"]

_FOLDERS = ("LISA_HG_Data/dynamic_gestures/data", "dynamic_gestures/data", "data", ".")
_SETTINGS = "viva.json"
_LISTED_FAULTS = 10


class Viva:
    """A folder in VIVA's layout.

    Args:
        root: folder that holds ``LISA_HG_Data`` (or a folder further down), and perhaps a
            ``viva.json``.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self) -> tuple[DatasetFacts, list[RawClip]]:
        """Return the facts and the clips in the order of (subject, gesture, repetition) names.

        Raises:
            DatasetError: folder missing, a malformed settings file, a colour file without depth.
            ClipError: files are no videos or cut short; counts them and names some.
        """
        folder = _find_folder(self.root)
        settings = load_settings(self.root)
        ids = list(settings["gesture_ids"])
        names = settings["class_names"] or [f"gesture {g}" for g in ids]
        clips: list[RawClip] = []
        faults: list[str] = []
        other: Counter[str] = Counter()
        for path in sorted(folder.glob("*.avi")):
            match = re.match(settings["pattern"], path.name)
            if match is None:
                other["names that do not fit the pattern"] += 1
                continue
            gesture = settings["aliases"].get(match["gesture"], match["gesture"])
            if gesture not in ids:
                other["gestures outside the 19 classes"] += 1
                continue
            try:
                clips.append(self._clip(path, match, ids.index(gesture), settings["persons"]))
            except ClipError as error:
                faults.append(error.what)
        if faults:
            named = "".join(f"\n  {fault}" for fault in faults[:_LISTED_FAULTS])
            raise ClipError(
                f"{len(faults)} clips cannot be read:{named}",
                "Copy these files again from the dataset, or take them away.",
            )
        if not clips:
            raise DatasetError(
                f"{folder} holds no clip of the 19 classes whose name fits {settings['pattern']}",
                f"Correct 'pattern' or 'gesture_ids' in {self.root / _SETTINGS}.",
            )
        return self._facts(settings, names, clips, other), clips

    def _clip(
        self, path: Path, match: re.Match[str], label: int, persons: Mapping[str, str] | None
    ) -> RawClip:
        depth = path.parent / "depth" / path.name
        if not depth.is_file():
            raise DatasetError(
                f"{path} has no depth file {depth}",
                "Copy it from the dataset, or take the colour file away.",
            )
        user = match["user"]
        if persons is not None and user not in persons:
            raise DatasetError(
                f"{path}: user {user} is not in the table of persons",
                f"Add it to 'persons' in {self.root / _SETTINGS}.",
            )
        counts = count_packets(path), count_packets(depth)
        num_frames = min(counts)
        if num_frames == 0:
            raise ClipError(f"{path} or {depth} holds no frame")
        frames = tuple(range(num_frames))
        take = match["repetition"] or ""
        row = ClipRow(
            clip_id=path.stem,
            subject=persons[user] if persons else user,
            label=label,
            repetition=int(take) if take.isdecimal() else -1,
            split="",
            num_frames=num_frames,
        )
        origin = {
            "rgb": path.relative_to(self.root).as_posix(),
            "depth": depth.relative_to(self.root).as_posix(),
            "frames": list(counts),
        }
        sources = {
            "rgb": FrameSource(path, frames, "rgb"),
            "depth": FrameSource(depth, frames, "luma"),
        }
        return RawClip(row, sources, origin)

    def _facts(
        self,
        settings: Mapping[str, Any],
        names: list[str],
        clips: list[RawClip],
        other: Counter[str],
    ) -> DatasetFacts:
        dataset, origin = recording_origin(self.root, "viva")
        unequal = sum(len(set(clip.origin["frames"])) > 1 for clip in clips)
        doubts = [
            f"{key}: {settings[f'_{key}_doubt']}"
            for key in ("pattern", "gesture_ids", "aliases", "class_names", "persons", "mirror")
            if f"_{key}_doubt" in settings
        ]
        notes = [f"{count} files left out: {why}" for why, count in sorted(other.items())]
        if unequal:
            cut = f"{unequal} clips have colour and depth of different lengths; cut to the shorter"
            notes.insert(0, cut)
        return DatasetFacts(
            dataset=dataset,
            origin=origin,
            expected_clips=int(settings["expected_clips"]),
            modalities=("rgb", "depth"),
            class_names=tuple(names),
            mirror=None if settings["mirror"] is None else tuple(settings["mirror"]),
            fold_rule="subject",
            subject_unit="user" if settings["persons"] is None else "person",
            fps=float(settings["fps"]),
            depth_polarity="as recorded; unknown for VIVA",
            colour="data/*.avi",
            alignment={"time": "frame by frame, cut to the shorter", "space": "as recorded"},
            assumptions=tuple(doubts),
            notes=tuple(notes),
        )


def load_settings(root: Path) -> dict[str, Any]:
    """Return the table of the package, overlaid with the raw folder's ``viva.json``.

    A value that the folder's file gives is no longer a doubt.

    Raises:
        DatasetError: the file is malformed, has unknown keys, a value of another form or a table
            of the wrong length.
    """
    text = resources.files("mtut_preprocess").joinpath("data", _SETTINGS).read_text("utf-8")
    settings: dict[str, Any] = json.loads(text)
    path = root / _SETTINGS
    if not path.exists():
        return settings
    cure = f"See {_SETTINGS} in mtut_preprocess/data for the keys and their form."
    own = read_json(path, DatasetError, cure)
    if not isinstance(own, dict):
        raise DatasetError(f"{path} holds no JSON object", cure)
    for key, value in own.items():
        if key.startswith("_"):
            continue
        if key not in settings:
            raise DatasetError(f"{path}: unknown key {key!r}", cure)
        form, fits = _FORMS[key]
        if not fits(value):
            raise DatasetError(f"{path}: {key!r} must be {form}, not {value!r}", cure)
        settings[key] = value
        settings.pop(f"_{key}_doubt", None)
    num_classes = len(settings["gesture_ids"])
    for key in ("class_names", "mirror"):
        if settings[key] is not None and len(settings[key]) != num_classes:
            raise DatasetError(
                f"{path}: {key!r} has {len(settings[key])} entries for {num_classes} classes", cure
            )
    if settings["mirror"] and max(settings["mirror"]) >= num_classes:
        raise DatasetError(f"{path}: 'mirror' names class {max(settings['mirror'])}", cure)
    return settings


def _is_pattern(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    try:
        return {"user", "gesture", "repetition"} <= re.compile(value).groupindex.keys()
    except (re.error, TypeError):
        return False


def _is_number(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _are(kind: type, values: Any) -> bool:  # noqa: ANN401 - any JSON value
    return isinstance(values, list) and all(type(value) is kind for value in values)


def _is_table(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    return isinstance(value, dict) and _are(str, list(value.values()))


_FORMS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "pattern": ("a regular expression with the groups user, gesture, repetition", _is_pattern),
    "gesture_ids": (
        "a list of different strings",
        lambda v: _are(str, v) and len(set(v)) == len(v) > 0,
    ),
    "aliases": ("an object of strings", _is_table),
    "class_names": ("null or a list of strings", lambda v: v is None or _are(str, v)),
    "persons": ("null or an object of strings", lambda v: v is None or _is_table(v)),
    "mirror": (
        "null or a list of class positions or -1",
        lambda v: v is None or (_are(int, v) and min(v, default=0) >= -1),
    ),
    "expected_clips": ("a positive whole number", lambda v: _is_number(v) and v == int(v)),
    "fps": ("a positive number", _is_number),
}
"""Form of each key in words, and the test of it."""


def _find_folder(root: Path) -> Path:
    if root.is_dir():
        for name in _FOLDERS:
            folder = root / name
            if (folder / "depth").is_dir():
                return folder
    raise DatasetError(
        f"there is no VIVA dataset in {root}: no folder with .avi files and a 'depth' folder",
        f"Give the folder that holds {_FOLDERS[0]} with --raw, or try"
        " `mtut-bench prepare viva-synthetic`.",
    )
