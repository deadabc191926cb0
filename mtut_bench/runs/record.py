"""The manifest of a run as a typed record; the structs are the layout of ``manifest.json``."""

import re
import shlex
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import msgspec
from msgspec import Meta, Struct, structs

from mtut_bench.contract.types import NOT_STORES
from mtut_bench.errors import RunError
from mtut_bench.files import StrPath, read_json, sha256_of_json, write_json
from mtut_bench.runs.spec import RunSpec
from mtut_bench.typed import MisfitError, typed

__all__ = [
    "FORMAT_VERSION",
    "HINT",
    "Identity",
    "MethodRecord",
    "ProtocolRecord",
    "Provenance",
    "RunProvenance",
    "RunRecord",
    "StageRecord",
    "StoreRecord",
    "Validation",
    "read_record",
    "read_stage",
    "refuse",
    "run_folders",
    "write_record",
]

FORMAT_VERSION = 2
"""Version of the manifests that are written and read."""

HINT = (
    "To leave the run out, move its folder out of the runs "
    "folder; otherwise restore the file or repeat the run."
)
"""What to do about a run that cannot be read."""

_SHOWN = 80
_RUN_FOLDER = re.compile(r"[0-9a-f]{12}")
_Length = Annotated[int, Meta(ge=1, le=2**63 - 1)]
_Record = TypeVar("_Record", "RunRecord", "StageRecord")


class MethodRecord(Struct, frozen=True, kw_only=True):
    """The method of a run.

    Attributes:
        name: as ``run --method`` takes it.
        title: as tables print it.
        fusion_title: the same, of several modalities fused.
        file: of a user's own method, "" of a built-in one.
    """

    name: str
    title: str
    fusion_title: str
    file: str


class ProtocolRecord(Struct, frozen=True, kw_only=True):
    """The protocol of a run.

    Attributes:
        name: one of PROTOCOLS.
        version: of its numbers.
        tables: published ones that it may fill.
    """

    name: str
    version: int
    tables: tuple[str | int, ...]


class StoreRecord(Struct, frozen=True, kw_only=True):
    """The store of a run.

    Attributes:
        name: of its folder, without the ending.
        dataset, origin, complete, expected_clips, digest, subject_unit, source, licence: as in the
            store's attributes.
        num_clips: that it holds.
        modalities: that it holds.
        folds: names of all.
        classes: names, in the order of the scores.
        frame_size: (height, width), pixels.
        fps: frames per second.
        colour, depth_polarity, flow: how a recording becomes what a network of this run takes.
    """

    name: str
    dataset: str
    origin: str
    complete: bool
    num_clips: int
    expected_clips: int
    digest: str
    modalities: tuple[str, ...]
    folds: tuple[str, ...]
    classes: tuple[str, ...]
    subject_unit: str
    frame_size: tuple[int, int]
    fps: int | float
    colour: str
    depth_polarity: str
    flow: dict[str, dict[str, Any]]
    source: str
    licence: str


class Provenance(Struct, frozen=True, kw_only=True):
    """How something was computed; it changes no number.

    Attributes:
        device: 'cpu' or the name of the GPU.
        threads: of torch.
        versions: of the program and what it computes with.
        git: revision of the source tree, None outside one.
        command: what the user typed.
    """

    device: str
    threads: int
    versions: dict[str, str]
    git: str | None
    command: str


class RunProvenance(Provenance, frozen=True, kw_only=True):
    """How a run was computed.

    Attributes:
        started, finished: ISO 8601, UTC.
        seconds: duration; of an interrupted run, of its last part.
        resumed: whether it was interrupted.
    """

    started: str
    finished: str
    seconds: int | float
    resumed: bool


class Validation(Struct, frozen=True, kw_only=True):
    """Accuracy on the validation clips after the last update; it chooses nothing.

    Attributes:
        clips: number of them.
        accuracy: by modality, and of all 'fused'; in [0, 1].
    """

    clips: int
    accuracy: dict[str, float]


class Identity(Struct, frozen=True, kw_only=True):
    """All that changes the numbers of a run; see :func:`mtut_bench.runs.plan.make_plan`.

    Attributes:
        protocol: its settings, by their public names.
        overrides: settings that the user changed.
        method: name, settings and the digest of a user's own file.
        modalities: trained on, in the project's order.
        store_digest: of the content.
        num_classes: of the store.
        fold: the one that is tested.
        mirror: class that each turns into when a clip is mirrored, -1 for none; None: unknown.
        seed: of every draw.
        precision: 'fp32' or 'bf16'.
        weights_digest: of the pretrained weights, None from scratch.
    """

    protocol: dict[str, Any]
    overrides: dict[str, Any]
    method: dict[str, Any]
    modalities: tuple[str, ...]
    store_digest: str
    num_classes: int
    fold: str
    mirror: tuple[int, ...] | None
    seed: int
    precision: str
    weights_digest: str | None


class _Identified(Struct):
    """The identity in its place, for the name of a field that does not fit."""

    identity: Identity


# dict: a place for the cached identity.
class RunRecord(Struct, frozen=True, kw_only=True, dict=True):
    """The manifest of a run.

    Attributes:
        id: SHA-256 of the identity.
        state: 'complete'.
        hashed: the identity as it is written: ``identity`` has its fields.
        stages: first 12 digits of the ids of stage one, by modality.
        test_clips: ids, all of the fold's test side.
        test_subjects: who is seen in each.
        test_frames: length of each.
        joint_learning_rate: of stage two by modality; {} for a method without one.
        precision_check: comparison with fp32 before training; None in fp32.
        weights: notes on each pretrained file, by modality.
        padded_clips: test clips shorter than the network's minimum.
        validation: None where the fold has no validation clips.
        training: how each network fits its training clips: in 'training_mode', and in evaluation
            mode with 'running' and 'recomputed' batch statistics; the objective's terms in
            'stage_two_start', of methods that align; {} of other methods.
        spec: what was asked for.
    """

    format_version: int = FORMAT_VERSION
    id: str
    state: str
    hashed: dict[str, Any] = msgspec.field(name="identity")
    stages: dict[str, str]
    method: MethodRecord
    protocol: ProtocolRecord
    store: StoreRecord
    test_clips: tuple[str, ...]
    test_subjects: tuple[str, ...]
    test_frames: tuple[_Length, ...]
    provenance: RunProvenance
    joint_learning_rate: dict[str, int | float]
    precision_check: dict[str, Any] | None
    weights: dict[str, tuple[str, ...]]
    padded_clips: tuple[str, ...]
    validation: Validation | None = None
    training: dict[str, dict[str, dict[str, int | float]]]
    spec: RunSpec

    @cached_property
    def identity(self) -> Identity:
        """What was hashed, field by field."""
        return typed({"identity": self.hashed}, _Identified).identity

    def command(self, fold: str, seed: int) -> str:
        """Return the command that repeats the run with another ``--fold`` and ``--seed``."""
        spec = self.spec
        if self.identity.method.get("source") and not self.method.file:
            # Predictions from elsewhere.
            words = ["FILE.csv", "--store", self.store.name, "--fold", fold, "--name", spec.method]
            words += ["--modality", *spec.modalities, "--protocol", spec.protocol, "--keep"]
            return shlex.join(["mtut-bench", "score", *words])
        return structs.replace(spec, fold=fold, seed=seed).command()


class StageRecord(Struct, frozen=True, kw_only=True):
    """The manifest of an artefact that runs share, such as stage one of a modality.

    Attributes:
        id: SHA-256 of the identity.
        identity: all that its content depends on.
        files: that belong to it.
        provenance: by what it was made.
    """

    format_version: int = FORMAT_VERSION
    id: str
    identity: dict[str, Any]
    files: tuple[str, ...]
    provenance: Provenance


def read_record(path: StrPath) -> RunRecord:
    """Return the record of a run.

    Args:
        path: its ``manifest.json``.

    Raises:
        RunError: unreadable, of another format version, with a field that is missing or of another
            type, or in contradiction with itself; names file, field and hint.
    """
    path = Path(path)
    record = _read(path, RunRecord)
    _check_identity(path, record)
    return record


def read_stage(path: StrPath) -> StageRecord:
    """Return the record of an artefact that runs share; arguments and errors as `read_record`."""
    return _read(Path(path), StageRecord)


def run_folders(runs: StrPath) -> Iterator[Path]:
    """Yield the folders of runs, finished or not, by store and id; none if ``runs`` is absent."""
    for folder in sorted(Path(runs).glob("*/*")):
        store = folder.parent.name
        if store.startswith(".") or store in NOT_STORES or folder.name.startswith("."):
            continue
        # A report or notes may lie among the stores.
        if _RUN_FOLDER.fullmatch(folder.name) or (folder / "manifest.json").exists():
            yield folder


def write_record(path: StrPath, record: RunRecord | StageRecord) -> None:
    """Write a ``manifest.json`` atomically."""
    content = msgspec.to_builtins(record)
    if content.get("validation", 0) is None:
        del content["validation"]
    write_json(path, content)


def refuse(path: StrPath, complaint: str) -> NoReturn:
    """Raise the RunError of a manifest; the complaint follows its path in the message."""
    raise RunError(f"{path} {complaint}.", HINT)


def _read(path: Path, kind: type[_Record]) -> _Record:
    # msgspec refuses NaN and broken Unicode, which json takes.
    content = read_json(path, RunError, HINT, loads=msgspec.json.decode)
    version = content.get("format_version") if isinstance(content, dict) else None
    if type(version) is not int or version != FORMAT_VERSION:
        raise RunError(
            f"{path} has format version {_shown(version)}; this release reads {FORMAT_VERSION}.",
            "To leave the run out, move its folder out of the "
            "runs folder; otherwise use the release that wrote it.",
        )
    try:
        record = typed(content, kind)
        # Read now, so that an error in it names this file.
        _ = record.identity
    except MisfitError as misfit:
        if misfit.fault == "missing":
            refuse(path, f"has no {misfit.field!r}, which format version {FORMAT_VERSION} requires")
        reason = misfit.reason[0].lower() + misfit.reason[1:]
        refuse(path, f"has {misfit.field!r} = {_shown(misfit.value)}: {reason}")
    return record


def _check_identity(path: Path, record: RunRecord) -> None:
    """Refuse a manifest that contradicts itself."""
    identity, protocol, store = record.identity, record.protocol, record.store
    for name, value, its in (
        ("protocol.name", protocol.name, identity.protocol.get("name")),
        ("protocol.version", protocol.version, identity.protocol.get("version")),
        ("method.name", record.method.name, identity.method.get("name")),
        ("store.digest", store.digest, identity.store_digest),
    ):
        if value != its:
            other = "identity." + name.replace("store.", "store_")
            refuse(path, f"has {name!r} = {_shown(value)} and {other!r} = {_shown(its)}")
    if len(store.classes) != identity.num_classes:
        refuse(
            path,
            f"has {len(store.classes)} 'store.classes' and 'identity.num_classes' = "
            f"{identity.num_classes}",
        )
    if identity.fold not in store.folds:
        refuse(
            path,
            f"has 'identity.fold' = {identity.fold!r}, "
            f"which is not in 'store.folds' {list(store.folds)}",
        )
    if record.id != sha256_of_json(record.hashed):
        refuse(
            path, "has an 'id' that is not the SHA-256 of its 'identity': one of them was changed"
        )


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
