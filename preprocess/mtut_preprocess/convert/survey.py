"""What prepare would make of a raw dataset: its clips, missing files, and the plan of the store."""

import math
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from fnmatch import fnmatchcase
from pathlib import Path

from mtut_bench.contract.types import num_channels, sort_modalities
from mtut_bench.errors import ClipError, DatasetError, StoreError, UsageError
from mtut_bench.files import StrPath, canonical_json
from mtut_bench.store.attributes import StoreFacts
from mtut_bench.store.format import MAX_SHORT_SIDE_PX, Geometry, StorePlan, stored_size
from mtut_bench.store.reader import StoreReader
from mtut_bench.store.writer import StoreWriter
from mtut_preprocess.datasets.adapter import DatasetFacts, RawClip, RawDataset
from mtut_preprocess.derive.flow import FlowAlgorithm, build_flow
from mtut_preprocess.derive.resize import check_shape
from mtut_preprocess.reading.frames import file_signature, missing_files

__all__ = [
    "FlowChoice",
    "Survey",
    "describe_clips",
    "describe_survey",
    "survey_dataset",
]

_LISTED_FILES = 10
_LOOKED_AT = 20
"""Clips whose first files are opened before anything is begun."""

_OTHER_COLOUR = " Without sk_color.avi, use --colour sk_wrapped."

_PACKED_SHARE = {3: 0.42, 1: 0.06, 2: 0.12}
"""Size of zstd frames over raw ones by channels, measured on real recordings; for the forecast."""


@dataclass(frozen=True)
class FlowChoice:
    """Which optical flow to derive from colour.

    Attributes:
        name: one of :data:`mtut_preprocess.derive.flow.FLOW_NAMES`; 'none'; None: the dataset's
            default.
        weights: file of RAFT's weights.
    """

    name: str | None = None
    weights: StrPath | None = None


@dataclass
class Missing:
    """Files that are not there: how many, some of them, and clips that lack some by modality."""

    num_files: int = 0
    first: list[Path] = field(default_factory=list)
    clips: Counter[str] = field(default_factory=Counter)

    @classmethod
    def among(cls, clips: Iterable[RawClip]) -> "Missing":
        """Return what some clips lack."""
        missing = cls()
        for clip in clips:
            for modality, source in clip.sources.items():
                absent = missing_files(source)
                missing.num_files += len(absent)
                missing.first += absent[: _LISTED_FILES - len(missing.first)]
                missing.clips[modality] += bool(absent)
        return missing


@dataclass(frozen=True)
class Survey:
    """A raw dataset before anything is decoded.

    Attributes:
        root: its folder.
        facts: of the dataset.
        clips: in the order of the store.
        missing: files of these clips.
        flow: optical flow to derive; None: none.
        short_side: largest short side of the stored frames, pixels.
    """

    root: Path
    facts: DatasetFacts
    clips: tuple[RawClip, ...]
    missing: Missing
    flow: FlowAlgorithm | None
    short_side: int = MAX_SHORT_SIDE_PX

    @property
    def modalities(self) -> tuple[str, ...]:
        """What the store will hold."""
        derived = (self.flow.modality,) if self.flow else ()
        return sort_modalities((*self.facts.modalities, *derived))

    def file_signatures(self) -> list[str]:
        """Return what each clip's files are now, to notice those that were exchanged."""
        return [
            "; ".join(
                f"{m}: {file_signature(clip.sources[m])}" for m in sort_modalities(clip.sources)
            )
            for clip in self.clips
        ]

    def plan(self) -> StorePlan:
        """Return the plan of the store.

        Raises:
            DatasetError: half the clips or more lack files of a modality.
            ClipError: no file is readable.
        """
        self._check_files()
        native = _first_sizes(self.clips)
        height, width = stored_size(*native, self.short_side)
        return StorePlan(
            rows=tuple(clip.row for clip in self.clips),
            sources=tuple(canonical_json(dict(clip.origin)) for clip in self.clips),
            geometry=Geometry(self.modalities, height, width),
            # Of smaller frames than others are published for, no number may stand beside theirs.
            facts=self._store_facts(whole=(height, width) == stored_size(*native)),
        )

    def _check_files(self) -> None:
        """Refuse a folder that is plainly not the whole dataset before hours are spent on it."""
        for modality, lacking in self.missing.clips.items():
            if 2 * lacking >= len(self.clips):
                named = "".join(f"\n  {path}" for path in self.missing.first)
                more = "\n  ..." if self.missing.num_files > len(self.missing.first) else ""
                raise DatasetError(
                    f"{lacking:,} of {len(self.clips):,} clips lack files of {modality} in"
                    f" {self.root}:{named}{more}",
                    "Copy them from the dataset, or give its folder with --raw."
                    + (_OTHER_COLOUR if self.facts.colour == "sk_color" else ""),
                )

    def _store_facts(self, *, whole: bool) -> StoreFacts:
        facts = {one.name: getattr(self.facts, one.name) for one in fields(self.facts)}
        facts |= {
            "complete": whole and len(self.clips) == self.facts.expected_clips,
            "classes": self.facts.class_names,
            "flow": {self.flow.modality: self.flow.attributes(self.facts.colour)}
            if self.flow
            else {},
            "alignment": dict(self.facts.alignment),
        }
        return StoreFacts(**{name: facts[name] for name in StoreFacts.__struct_fields__})


def survey_dataset(
    dataset: RawDataset,
    flow: FlowChoice | None = None,
    *,
    limit: int | None = None,
    only: Sequence[str] = (),
    short_side: int = MAX_SHORT_SIDE_PX,
) -> Survey:
    """Return what is there; decodes nothing.

    Args:
        dataset: adapter of the raw folder.
        flow: optical flow to derive; None: the dataset's default.
        limit: this many clips, spread evenly over the dataset's order so that both sides of a
            split and many classes are among them; None: all.
        only: shell patterns of clip ids ('class_01/*'), any of which must fit; empty: all.
        short_side: largest short side of the stored frames, pixels.

    Raises:
        DatasetError: the folder or one of its tables is missing or malformed.
        UsageError: no clip is left, or the flow cannot be computed.
    """
    facts, found = dataset.read()
    choice = flow or FlowChoice()
    name = choice.name or facts.flow or "none"
    algorithm = None if name == "none" else build_flow(name, weights=choice.weights)
    if choice.weights and not algorithm:
        raise UsageError("--raft-weights without optical flow", "Add --flow raft.")
    if algorithm and "rgb" not in facts.modalities:
        raise UsageError(
            f"{name} flow needs the modality rgb; available: {'+'.join(facts.modalities)}",
            "Leave --flow out.",
        )
    clips = _choose(found, limit, only)
    if len(clips) < len(found):
        part = f"a part: {len(clips):,} of {len(found):,} available clips"
        facts = replace(facts, notes=(part, *(f"of all clips: {note}" for note in facts.notes)))
    return Survey(dataset.root, facts, clips, Missing.among(clips), algorithm, short_side)


def _choose(
    clips: Sequence[RawClip], limit: int | None, only: Sequence[str]
) -> tuple[RawClip, ...]:
    """Return the chosen clips in their order."""
    if limit is not None and limit < 1:
        raise UsageError(f"--limit {limit} leaves no clips", "Give a positive number.")
    chosen = [c for c in clips if not only or any(fnmatchcase(c.row.clip_id, p) for p in only)]
    if only and not chosen:
        raise UsageError(
            f"no clip matches {' or '.join(map(repr, only))}",
            "Patterns are those of a shell, on clip ids"
            + (f"; the first is {clips[0].row.clip_id!r}." if clips else "."),
        )
    count = min(limit or len(chosen), len(chosen))
    return tuple(chosen[i * len(chosen) // count] for i in range(count))


def _first_sizes(clips: Sequence[RawClip]) -> tuple[int, int]:
    """Return the native (height, width) of colour, after a look into every modality.

    One bad file does not stop the rest; a modality of which no file of the first clips can be used
    (16 bits, another shape of picture) stops all, before hours are spent.

    Raises:
        ClipError: of the first file of that modality.
    """
    wanted: tuple[int, int] | None = None
    # Colour first: another modality may have fewer pixels, and is then enlarged to these.
    for modality in sort_modalities(clips[0].sources if clips else ()):
        first: ClipError | None = None
        for clip in clips[:_LOOKED_AT]:
            source = clip.sources[modality]
            try:
                size = source.size()
                check_shape(source.path, size, stored_size(*(wanted or size)))
                wanted = wanted or size
                break
            except ClipError as error:
                first = first or error
        else:
            assert first is not None
            raise first
    if wanted is None:
        raise ClipError("the dataset has no clips", "Restore the dataset's lists.")
    return wanted


def describe_survey(survey: Survey, path: StrPath) -> list[str]:
    """Return what prepare would do, one line each: clips, frames, bytes, free space at the path."""
    facts, rows, missing = survey.facts, [clip.row for clip in survey.clips], survey.missing
    frames = sum(row.num_frames for row in rows)
    splits = Counter(row.split for row in rows if row.split)
    sides = ", ".join(f"{count:,} {name}" for name, count in splits.items())
    lines = [
        f"{facts.dataset}, {facts.origin}: {len(rows):,} of {facts.expected_clips:,} clips"
        + (f" ({sides})" if sides else "")
        + f", {frames:,} frames, {'+'.join(survey.modalities)}"
    ]
    if missing.num_files:
        lines.append(f"{missing.num_files:,} files are missing, first {missing.first[0]}")
    try:
        plan = survey.plan()
    except (DatasetError, ClipError) as error:
        lines.append(f"cannot be prepared yet: {error.what.splitlines()[0].rstrip(':')}")
        lines += [error.hint] if error.hint else []
    else:
        lines += _describe_store(survey, plan, frames, Path(path))
    return lines + [f"note: {text}" for text in (*facts.notes, *facts.assumptions)]


def _describe_store(survey: Survey, plan: StorePlan, frames: int, path: Path) -> list[str]:
    size = plan.geometry
    raw = {m: math.prod(size.shape(m, frames)) for m in size.modalities}
    packed = sum(count * _PACKED_SHARE[num_channels(m)] for m, count in raw.items())
    folder = next(folder for folder in path.absolute().parents if folder.exists())
    lines = [
        f"{path}: frames of {size.width}x{size.height}, up to about {_bytes(packed)}"
        f" ({_bytes(sum(raw.values()))} unpacked),"
        f" {_bytes(shutil.disk_usage(folder).free)} free there"
    ]
    writer = StoreWriter(path, plan, survey.file_signatures())
    if path.exists():
        lines.append(_describe_existing(path, plan))
    resumes = writer.resumes()
    if resumes is False:
        lines.append(f"{writer.partial} was started with other settings: needs --overwrite")
    elif resumes:
        left = sum(len(clips) for _, clips in writer.pending())
        lines.append(
            f"resumes {writer.partial}: {len(plan.rows) - left:,} of {len(plan.rows):,} clips are"
            " done"
        )
    return lines


def _bytes(count: float) -> str:
    return f"{count / 1e6:.1f} MB" if count < 1e9 else f"{count / 1e9:.2f} GB"


def _describe_existing(path: Path, plan: StorePlan) -> str:
    try:
        if StoreReader(path).attributes.plan == plan.fingerprint():
            return f"{path} is already prepared"
    except StoreError:
        return f"{path} exists and is not a readable store: needs --overwrite"
    return f"{path} exists and was made from other recordings or settings: needs --overwrite"


def describe_clips(survey: Survey) -> list[str]:
    """Return one line per clip: id, split, subject, class, frames, where its frames come from."""
    names = survey.facts.class_names
    return [
        f"{row.clip_id}  {row.split or '-'}  {row.subject}  {names[row.label]}"
        f"  {row.num_frames}  {canonical_json(dict(clip.origin))}"
        for clip in survey.clips
        for row in [clip.row]
    ]
