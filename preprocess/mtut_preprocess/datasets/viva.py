"""VIVA hand gestures: 19 classes, 885 RGB-D clips of 8 persons in a car, 250x115.

Ohn-Bar, Trivedi: Hand Gesture Recognition in Real Time for Automotive Interfaces. IEEE T-ITS 2014.

Format: ``LISA_HG_Data/dynamic_gestures/data/<user>_<gesture>_<repetition>.avi`` in colour and
``.../data/depth/`` with files of the same names in depth. No recording could be seen when this was
written: pattern, class ids, aliases, persons and mirrors are a table (``data/viva.json``) with the
best public evidence as default and what it assumes beside it; a ``viva.json`` in the raw folder
overrides it.

Protocol: leave one person out, 8 folds. A person was recorded as driver and as passenger under two
user numbers, so without the table of persons no fold is made.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mtut_bench.contract.types import ClipRow
from mtut_bench.errors import ClipError, DatasetError
from mtut_bench.files import StrPath
from mtut_preprocess.datasets.adapter import DatasetFacts, RawClip, table_facts
from mtut_preprocess.datasets.settings import DatasetTable, load_table
from mtut_preprocess.reading.decode import VideoFrames, count_packets, stated_frames

__all__ = ["Viva", "VivaTable"]

_FOLDERS = ("LISA_HG_Data/dynamic_gestures/data", "dynamic_gestures/data", "data", ".")
_TABLE = "viva.json"

_SOURCE = (
    "VIVA hand gesture challenge, Laboratory for Intelligent and Safe Automobiles, UC San Diego."
    " Cite E. Ohn-Bar, M. M. Trivedi, IEEE Transactions on Intelligent Transportation Systems, 2014"
)

_UNFIT = "names that do not fit the pattern"
_ALIAS = "gesture id is counted as another one"
_UNEQUAL = "colour and depth differ in length (cut to the shorter)"


class VivaTable(DatasetTable, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """VIVA's table, ``viva.json``.

    Attributes:
        pattern: regular expression of file names with the groups user, gesture, repetition.
        gesture_ids: in the order of the classes.
        aliases: id of a class by another id that stands for it.
        persons: name of the person by user number; None: unknown.
    """

    pattern: str
    gesture_ids: tuple[str, ...]
    aliases: dict[str, str]
    persons: dict[str, str] | None

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.gesture_ids)

    @property
    def names(self) -> tuple[str, ...]:
        """A name per class."""
        return self.class_names or tuple(f"gesture {g}" for g in self.gesture_ids)

    def __post_init__(self) -> None:
        """Check what refers to each other.

        Raises:
            ValueError: classes as of any table; no or equal ids; another pattern; one person under
                two spellings, who would be on both sides of a fold.
        """
        ids = self.gesture_ids
        if not ids or len(set(ids)) < len(ids):
            raise ValueError("'gesture_ids' must be different")
        super().__post_init__()
        try:
            groups = re.compile(self.pattern).groupindex
        except re.error as error:
            raise ValueError(f"'pattern' is not a regular expression: {error}") from error
        if not groups.keys() >= {"user", "gesture", "repetition"}:
            raise ValueError("'pattern' needs the groups user, gesture, repetition")
        spelt: dict[str, str] = {}
        for name in (name.strip() for name in (self.persons or {}).values()):
            other = spelt.setdefault(" ".join(name.casefold().split()), name)
            if other != name:
                raise ValueError(f"'persons' {other!r} and {name!r} look like one")


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
            DatasetError: folder missing, a malformed table, a user without a person.
        """
        folder = _find_folder(self.root)
        table, assumptions = load_table(_TABLE, self.root, VivaTable)
        ids = table.gesture_ids
        clips: list[RawClip] = []
        outside = f"gestures outside the {len(ids)} classes"
        left_out: dict[str, list[str]] = {_UNFIT: [], outside: []}
        aliased: list[str] = []
        for path in sorted(folder.glob("*.avi")):
            match = re.match(table.pattern, path.name)
            if match is None:
                left_out[_UNFIT].append(path.name)
                continue
            gesture = table.aliases.get(match["gesture"], match["gesture"])
            if gesture not in ids:
                left_out[outside].append(path.name)
                continue
            clips.append(self._clip(path, match, ids.index(gesture), table.persons))
            if gesture != match["gesture"]:
                aliased.append(f"{path.stem}: {match['gesture']} is {gesture}")
        if not clips:
            raise DatasetError(
                f"{folder} holds no clip of the {len(ids)} classes whose name fits {table.pattern}",
                f"Correct 'pattern' or 'gesture_ids' in {self.root / _TABLE}.",
            )
        found = _Found(table, clips, left_out, aliased)
        facts = table_facts(
            self.root,
            "viva",
            table,
            fold_rule="subject",
            subject_unit="user" if table.persons is None else "person",
            depth_polarity="as recorded; unknown for VIVA",
            colour="data/*.avi",
            flow="",
            alignment={"time": "frame by frame, cut to the shorter", "space": "as recorded"},
            assumptions=assumptions,
            source=_SOURCE,
            licence="ask its authors",
            findings=found.findings(),
            notes=found.notes(),
        )
        return facts, clips

    def _clip(
        self, path: Path, match: re.Match[str], label: int, persons: Mapping[str, str] | None
    ) -> RawClip:
        user = match["user"]
        person = user if persons is None else persons.get(user, "").strip()
        if not person:
            raise DatasetError(
                f"user {user} has no person",
                f"Fill in 'persons' in {self.root / _TABLE}: one name for all users that are one"
                " person.",
            )
        depth = path.parent / "depth" / path.name
        counts = _num_frames(path), _num_frames(depth)
        # A file that says nothing of its length is skipped by prepare, with its clip.
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


def _num_frames(path: Path) -> int | None:
    """Return the number of frames of a file; as its header states where it is cut, else None."""
    try:
        return count_packets(path)
    except ClipError:
        return stated_frames(path)


@dataclass(frozen=True)
class _Found:
    """What the folder held: clips, file names that are left out by reason, clips by an alias."""

    table: VivaTable
    clips: Sequence[RawClip]
    left_out: Mapping[str, Sequence[str]]
    aliased: Sequence[str]

    def findings(self) -> dict[str, tuple[str, ...]]:
        """Return what a careful reader wants to see clip by clip."""
        unequal = [
            "{}: colour {}, depth {} frames".format(clip.row.clip_id, *clip.origin["frames"])
            for clip in self.clips
            if len({count for count in clip.origin["frames"] if count}) > 1
        ]
        found = {_ALIAS: self.aliased, _UNEQUAL: unequal}
        found |= {f"left out: {reason}": names for reason, names in self.left_out.items()}
        return {title: tuple(texts) for title, texts in found.items() if texts}

    def notes(self) -> tuple[str, ...]:
        """Return what was found and assumed, for the terminal."""
        labels = Counter(clip.row.label for clip in self.clips)
        users = Counter(clip.origin["user"] for clip in self.clips)
        people = len({clip.row.subject for clip in self.clips})
        who = f"{len(users)} users" + (f" ({people} persons)" if people < len(users) else "")
        classes = {name: labels[k] for k, name in enumerate(self.table.names)}
        findings = self.findings()
        return (
            f"{len(self.clips):,} clips found, {self.table.expected_clips:,} published",
            f"{len(classes)} classes, {_spread(classes)}",
            f"{who}, {_spread(dict(sorted(users.items())))}",
            *(f"{len(findings[t])} clips: {t}" for t in (_ALIAS, _UNEQUAL) if t in findings),
            *(
                f"{len(files)} files left out: {why}"
                for why, files in self.left_out.items()
                if files
            ),
        )


def _spread(counts: Mapping[str, int]) -> str:
    """Return '48 clips each', or their range and each: '40 to 48 clips each (01: 48, 02: 40)'."""
    low, high = min(counts.values()), max(counts.values())
    some = f"{high} clip{'' if high == 1 else 's'} each"
    if low == high:
        return some
    return f"{low} to {some} ({', '.join(f'{name}: {n}' for name, n in counts.items())})"


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
