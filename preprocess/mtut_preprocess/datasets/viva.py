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

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtut_bench.contract.types import ClipRow
from mtut_bench.errors import ClipError, DatasetError
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
    is_table,
    load_settings,
)
from mtut_preprocess.reading.decode import VideoFrames, count_packets, stated_frames

__all__ = ["Viva", "load_viva_settings"]

_FOLDERS = ("LISA_HG_Data/dynamic_gestures/data", "dynamic_gestures/data", "data", ".")
_SETTINGS = "viva.json"

_SOURCE = (
    "VIVA hand gesture challenge, Laboratory for Intelligent and Safe Automobiles, UC San Diego."
    " Cite E. Ohn-Bar, M. M. Trivedi, IEEE Transactions on Intelligent Transportation Systems, 2014"
)
_LICENCE = "ask its authors"

_UNFIT = "names that do not fit the pattern"
_ALIAS = "gesture id is counted as another one"
_UNEQUAL = "colour and depth differ in length (cut to the shorter)"


class Viva:
    """A folder in VIVA's layout.

    Args:
        root: folder that holds ``LISA_HG_Data`` (or a folder further down), and perhaps a
            ``viva.json``.
    """

    def __init__(self, root: StrPath) -> None:
        self.root = Path(root)

    def read(self) -> tuple[DatasetFacts, list[RawClip]]:
        """Return the facts and the clips in the order of (subject, gesture, repetition) names.

        Raises:
            DatasetError: folder missing, a malformed settings file, a user without a person.
        """
        folder = _find_folder(self.root)
        settings = load_viva_settings(self.root)
        ids = list(settings["gesture_ids"])
        names = settings["class_names"] or [f"gesture {g}" for g in ids]
        clips: list[RawClip] = []
        outside = f"gestures outside the {len(ids)} classes"
        other: dict[str, list[str]] = {_UNFIT: [], outside: []}
        aliased: list[str] = []
        for path in sorted(folder.glob("*.avi")):
            match = re.match(settings["pattern"], path.name)
            if match is None:
                other[_UNFIT].append(path.name)
                continue
            gesture = settings["aliases"].get(match["gesture"], match["gesture"])
            if gesture not in ids:
                other[outside].append(path.name)
                continue
            clips.append(self._clip(path, match, ids.index(gesture), settings["persons"]))
            if gesture != match["gesture"]:
                aliased.append(f"{path.stem}: {match['gesture']} is {gesture}")
        if not clips:
            raise DatasetError(
                f"{folder} holds no clip of the {len(ids)} classes whose name fits"
                f" {settings['pattern']}",
                f"Correct 'pattern' or 'gesture_ids' in {self.root / _SETTINGS}.",
            )
        found = _Found(clips, {k: tuple(v) for k, v in other.items()}, tuple(aliased))
        return self._facts(settings, names, found), clips

    def _clip(
        self, path: Path, match: re.Match[str], label: int, persons: Mapping[str, str] | None
    ) -> RawClip:
        depth = path.parent / "depth" / path.name
        user = match["user"]
        if persons is not None and user not in persons:
            raise DatasetError(
                f"{path}: user {user} is not in the table of persons",
                f"Add it to 'persons' in {self.root / _SETTINGS}.",
            )
        person = persons[user].strip() if persons else user
        if not person:
            raise DatasetError(
                f"user {user} has no person yet",
                f"Fill in 'persons' in {self.root / _SETTINGS}: one name for all users that are one"
                " person.",
            )
        counts = _num_frames(path), _num_frames(depth)
        # A file that says nothing of its length is set aside by prepare, with its clip.
        num_frames = min((count for count in counts if count), default=1)
        frames = tuple(range(num_frames))
        take = match["repetition"] or ""
        row = ClipRow(
            clip_id=path.stem,
            subject=person,
            label=label,
            repetition=int(take) if take.isdecimal() else -1,
            split="",
            num_frames=num_frames,
        )
        origin = {
            "rgb": path.relative_to(self.root).as_posix(),
            "depth": depth.relative_to(self.root).as_posix(),
            "frames": list(counts),
            "user": user,
        }
        sources = {
            "rgb": VideoFrames(path, frames, "rgb"),
            "depth": VideoFrames(depth, frames, "luma"),
        }
        return RawClip(row, sources, origin)

    def _facts(
        self, settings: Mapping[str, Any], names: Sequence[str], found: "_Found"
    ) -> DatasetFacts:
        dataset, origin = recording_origin(self.root, "viva")
        keys = ("pattern", "gesture_ids", "aliases", "class_names", "persons", "mirror")
        expected = int(settings["expected_clips"])
        return DatasetFacts(
            dataset=dataset,
            origin=origin,
            expected_clips=expected,
            modalities=("rgb", "depth"),
            class_names=tuple(names),
            mirror=None if settings["mirror"] is None else tuple(settings["mirror"]),
            fold_rule="subject",
            subject_unit="user" if settings["persons"] is None else "person",
            fps=float(settings["fps"]),
            depth_polarity="as recorded; unknown for VIVA",
            colour="data/*.avi",
            flow="",
            alignment={"time": "frame by frame, cut to the shorter", "space": "as recorded"},
            assumptions=doubts(settings, keys),
            source=_SOURCE if origin == "recorded" else TWIN_SOURCE,
            licence=_LICENCE if origin == "recorded" else TWIN_LICENCE,
            findings=found.findings(settings["gesture_ids"]),
            notes=found.notes(settings["gesture_ids"], names, expected),
        )


def _num_frames(path: Path) -> int | None:
    """Return the number of frames of a file; as its header states where it is cut, else None."""
    try:
        return count_packets(path)
    except ClipError:
        return stated_frames(path)


@dataclass(frozen=True)
class _Found:
    """What the folder held.

    Attributes:
        clips: that are taken.
        left_out: file names by reason.
        aliased: sentences on clips whose gesture id is another name of a class.
    """

    clips: Sequence[RawClip]
    left_out: Mapping[str, tuple[str, ...]]
    aliased: tuple[str, ...]

    def findings(self, ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Return what a careful reader wants to see clip by clip."""
        unequal = tuple(
            "{}: colour {}, depth {} frames".format(clip.row.clip_id, *clip.origin["frames"])
            for clip in self.clips
            if len({count for count in clip.origin["frames"] if count}) > 1
        )
        found = {_ALIAS: self.aliased, _UNEQUAL: unequal, **self._holes(ids)}
        found |= {f"left out: {reason}": names for reason, names in self.left_out.items()}
        return {title: texts for title, texts in found.items() if texts}

    def _holes(self, ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Return pairs of user and class with another number of clips than most, if most agree."""
        users = sorted({str(clip.origin["user"]) for clip in self.clips})
        there = Counter((str(clip.origin["user"]), clip.row.label) for clip in self.clips)
        pairs = {(user, label): there[user, label] for user in users for label in range(len(ids))}
        usual, agree = Counter(pairs.values()).most_common(1)[0]
        if 2 * agree <= len(pairs):
            return {}
        return {
            f"user and class with other than {usual} clips": tuple(
                f"user {user}, class {ids[label]}: {count}"
                for (user, label), count in pairs.items()
                if count != usual
            )
        }

    def notes(self, ids: Sequence[str], names: Sequence[str], expected: int) -> tuple[str, ...]:
        """Return what was found and assumed, for the terminal."""
        clips = self.clips
        labels = Counter(clip.row.label for clip in clips)
        users = Counter(str(clip.origin["user"]) for clip in clips)
        people = len({clip.row.subject for clip in clips})
        who = f"{len(users)} users" + (f" ({people} persons)" if people < len(users) else "")
        findings = self.findings(ids)
        odd = [f"{len(findings[t])} clips: {t}" for t in (_ALIAS, _UNEQUAL) if t in findings]
        odd += [
            f"{len(files)} files left out: {why}" for why, files in self.left_out.items() if files
        ]
        return (
            f"{len(clips):,} clips found, {expected:,} published",
            f"{len(ids)} classes, {_spread({name: labels[k] for k, name in enumerate(names)})}",
            f"{who}, {_spread(dict(sorted(users.items())))}",
            *odd,
        )


def _spread(counts: Mapping[str, int]) -> str:
    """Return '48 clips each', or their range and each: '40 to 48 clips each (01: 48, 02: 40)'."""
    low, high = min(counts.values()), max(counts.values())
    some = f"{high} clip{'' if high == 1 else 's'} each"
    if low == high:
        return some
    return f"{low} to {some} ({', '.join(f'{name}: {n}' for name, n in counts.items())})"


def _check_persons(persons: Mapping[str, str], path: Path) -> None:
    """Refuse one person under two spellings, who would be on both sides of a fold.

    Raises:
        DatasetError: names both.
    """
    spelt: dict[str, str] = {}
    for name in (name.strip() for name in persons.values()):
        other = spelt.setdefault(" ".join(name.casefold().split()), name)
        if other != name:
            raise DatasetError(
                f"{path}: persons {other!r} and {name!r} look like one", "Write a name in one way."
            )


def load_viva_settings(root: StrPath) -> dict[str, Any]:
    """Return the table of the package, overlaid with the raw folder's ``viva.json``.

    Raises:
        DatasetError: the file is malformed, has unknown keys, a value of another form or a table
            of the wrong length.
    """
    root = Path(root)
    table = load_settings(_SETTINGS, root, _FORMS)
    check_class_tables(table, len(table["gesture_ids"]), root / _SETTINGS)
    _check_persons(table["persons"] or {}, root / _SETTINGS)
    return table


def _is_pattern(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    try:
        return {"user", "gesture", "repetition"} <= re.compile(value).groupindex.keys()
    except (re.error, TypeError):
        return False


_FORMS: Mapping[str, Form] = {
    **CLASS_FORMS,
    "pattern": ("a regular expression with the groups user, gesture, repetition", _is_pattern),
    "gesture_ids": (
        "a list of different strings",
        lambda v: are(str, v) and len(set(v)) == len(v) > 0,
    ),
    "aliases": ("an object of strings", is_table),
    "persons": ("null or an object of strings", lambda v: v is None or is_table(v)),
}


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
