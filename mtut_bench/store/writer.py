"""Write a store unit by unit, survive a kill, finish with a rename.

While it grows a store is ``<name>.partial/``: ``plan.json`` (fingerprint of the plan),
``store.zarr`` (the group) and ``done/<unit>.json`` (a :class:`UnitRecord`). A unit without its
record, or whose shards are not as long as that says, is written again, so a torn shard cannot
survive. A skipped clip keeps its place in the shard, black, until a later call brings its frames.
``finish`` adds the clip table and renames the group to ``<name>.zarr``.
"""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
import zarr
from msgspec import structs
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec

from mtut_bench.errors import StoreError
from mtut_bench.files import (
    StrPath,
    canonical_json,
    hold_lock,
    read_json,
    sync,
    write_json,
)
from mtut_bench.store.attributes import FORMAT_VERSION, StoreAttributes
from mtut_bench.store.format import (
    CHUNK_FRAMES,
    SHARD_FRAMES,
    Geometry,
    Layout,
    StorePlan,
    Unit,
    clip_sha256,
    content_digest,
    layout_clips,
    number_columns,
)
from mtut_bench.store.shards import pack_frames, write_shard

__all__ = ["Frames", "StoreWriter", "write_store", "write_unit"]

Frames = Mapping[str, NDArray[np.uint8]]
"""Frames (T, H, W, C) of one clip per modality."""


class UnitRecord(
    msgspec.Struct, frozen=True, rename={"skipped": "set_aside", "signatures": "stamps"}
):
    """What is known of a written unit.

    Attributes:
        sha256: of the frames of each clip of the unit, hexadecimal; None where it was skipped.
        skipped: reason per index of a skipped clip.
        signatures: of the clip's files when they were read, by clip index, where known.
        shard_bytes: size of each shard file.
    """

    sha256: list[str | None]
    skipped: dict[int, str]
    signatures: dict[int, str]
    shard_bytes: list[int]


class StoreWriter:
    """Grow one store; at most one writer per store at a time.

    Args:
        path: final path, ``.../<name>.zarr``.
        plan: what the store will hold.
        signatures: of each clip's files now (sizes, say); a clip that was written from others is
            written again. None: unknown.

    Use :meth:`lock` around everything, then :meth:`begin`, :func:`write_unit` for each of
    :meth:`pending`, :meth:`finish`.
    """

    def __init__(
        self, path: StrPath, plan: StorePlan, signatures: Sequence[str] | None = None
    ) -> None:
        self.path = Path(path)
        self.plan = plan
        self.signatures = signatures
        self.partial = self.path.with_suffix(".partial")
        self.layout: Layout = layout_clips([row.num_frames for row in plan.rows])

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep a second writer of this store out; a disk that fails inside is one error.

        Raises:
            BusyError: another process writes it.
            StoreError: the disk is full, for instance.
        """
        lock = self.path.with_name(f".{self.path.stem}.lock")
        with hold_lock(lock, f"the store {self.path}"):
            try:
                yield
            except OSError as error:
                raise StoreError(
                    f"cannot write {self.partial}: {error.strerror or error}",
                    "Free some space or choose a writable folder; finished "
                    "clips are kept, and the same command resumes.",
                ) from error

    def begin(self, *, restart: bool = False) -> None:
        """Create the partial store, or resume one that was begun with the same plan.

        Args:
            restart: discard a partial store that was begun with another plan.

        Raises:
            StoreError: one begun with another plan is in the way.
        """
        marker = self.partial / "plan.json"
        self._discard_replaced()
        begun = self.resumes()
        if begun and (self.partial / "store.zarr").exists():
            return
        if begun is False and not restart:
            raise StoreError(
                f"{self.partial} is an unfinished preparation with other settings or recordings",
                "Finish it with those, or start again with --overwrite.",
            )
        if self.partial.exists():
            names = {path.name for path in self.partial.iterdir() if path.suffix != ".tmp"}
            foreign = sorted(names - {"done", "store.zarr"})
            if begun is None and foreign:
                raise StoreError(
                    f"refusing to overwrite {self.partial}: {foreign[0]} was not created "
                    "by mtut-bench",
                    "Move the folder: the store is built under this name.",
                )
            # First: with it, what a kill leaves of the folder could pass for a begun store.
            marker.unlink(missing_ok=True)
            shutil.rmtree(self.partial)
        (self.partial / "done").mkdir(parents=True)
        _create_arrays(self.partial / "store.zarr", self.plan, self.layout)
        # Written last: a folder without it holds nothing worth keeping.
        write_json(marker, {"fingerprint": self.plan.fingerprint()})

    def _records(self) -> Iterator[tuple[Unit, UnitRecord | None]]:
        for unit in self.layout.units:
            yield unit, _read_record(self.partial, self.plan.geometry, unit)

    def pending(self) -> list[tuple[Unit, tuple[int, ...]]]:
        """Return the units that lack frames, in order, with the clip indices they lack."""
        found: list[tuple[Unit, tuple[int, ...]]] = []
        for unit, record in self._records():
            hashes = zip(unit.places, record.sha256, strict=True) if record else ()
            written = {index for index, text in hashes if text is not None}
            if record and self.signatures:
                now, then = self.signatures, record.signatures
                written = {index for index in written if then.get(index) == now[index]}
            missing = tuple(index for index in unit.places if index not in written)
            if missing:
                found.append((unit, missing))
        return found

    def resumes(self) -> bool | None:
        """Return whether what was begun is of this plan; None where nothing was begun."""
        marker = self.partial / "plan.json"
        if not marker.exists():
            return None
        known = read_json(marker, StoreError, f"Delete the folder {self.partial}.")
        return bool(known.get("fingerprint") == self.plan.fingerprint())

    def skipped(self) -> dict[int, str]:
        """Return the reason for each clip index that could not be read."""
        reasons: dict[int, str] = {}
        for _, record in self._records():
            reasons |= record.skipped if record else {}
        return reasons

    def _discard_replaced(self) -> None:
        """Remove what a writer that was killed after the rename of its store left behind."""
        if self.path.exists():
            shutil.rmtree(self.path.with_suffix(".old"), ignore_errors=True)
            if not (self.partial / "store.zarr").exists():
                shutil.rmtree(self.partial, ignore_errors=True)

    def finish(
        self, versions: Mapping[str, str], hide: str = "", attributes: StoreAttributes | None = None
    ) -> str:
        """Add the clip table and give the store its final name.

        Skipped clips are not in the table; a store without them is not complete.

        Args:
            versions: software that made the frames, kept beside the digest, not in it.
            hide: text that is left out of the reasons: a folder of this machine.
            attributes: of the store that this one is a copy of; None: they follow from the plan.

        Returns:
            The content digest.

        Raises:
            StoreError: a unit is not written, no clip could be read, or the digest is not that of
                ``attributes``.
        """
        hashes: dict[int, str] = {}
        signatures: dict[int, str] = {}
        for unit, record in self._records():
            if record is None:
                raise StoreError(f"{self.partial} is not finished", "Run the same command again.")
            found = zip(unit.places, record.sha256, strict=True)
            hashes |= {index: text for index, text in found if text is not None}
            signatures |= record.signatures
        if not hashes:
            raise StoreError(f"no clip of {self.partial} could be read", "See the reasons above.")
        packed = [bytes.fromhex(text) for text in hashes.values()]
        digest = content_digest([self.plan.rows[index] for index in hashes], packed)
        if attributes is None:
            attributes = self._attributes(digest, versions, hide)
        elif attributes.digest != digest:
            raise StoreError(
                f"the frames for {self.path} give the digest {digest} instead of"
                f" {attributes.digest}",
                "Copy the file again, or export it again from the store.",
            )
        store = self.partial / "store.zarr"
        root = zarr.open_group(store, mode="r+")
        _write_table(root, self.plan, self.layout, list(hashes), packed, signatures)
        for modality in self.plan.geometry.modalities:
            files = [f for u in self.layout.units for f in _shard_files(store, (modality,), u)]
            sizes = np.array([file.stat().st_size for file in files], np.int64)
            root.require_group("shards").create_array(modality, data=sizes, overwrite=True)
        root.update_attributes(attributes.to_json())
        _settle(store)
        old = self.path.with_suffix(".old")
        if self.path.exists():
            self.path.rename(old)
        store.rename(self.path)
        sync(self.path.parent)
        for leftover in (old, self.partial):
            if leftover.is_dir():
                shutil.rmtree(leftover)
            else:
                leftover.unlink(missing_ok=True)
        return digest

    def _attributes(self, digest: str, versions: Mapping[str, str], hide: str) -> StoreAttributes:
        skipped = tuple(
            (self.plan.rows[index].clip_id, text.replace(hide, "") if hide else text)
            for index, text in self.skipped().items()
        )
        facts = structs.asdict(self.plan.facts)
        facts["complete"] = self.plan.facts.complete and not skipped
        return StoreAttributes(
            **facts,
            format_version=FORMAT_VERSION,
            skipped=skipped,
            modalities=self.plan.geometry.modalities,
            plan=self.plan.fingerprint(),
            digest=digest,
            versions=dict(versions),
        )


def write_store(
    path: StrPath,
    plan: StorePlan,
    read: Callable[[int], Frames],
    versions: Mapping[str, str],
    *,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
    attributes: StoreAttributes | None = None,
) -> str:
    """Write a store clip by clip, or finish one that was interrupted; return its digest.

    Args:
        path: the store, ``.../<name>.zarr``; never seen half-written.
        plan: what it will hold.
        read: returns the frames of a clip by its index.
        versions: as :meth:`StoreWriter.finish` takes them.
        overwrite: replace a store that is there.
        progress: called with (clips done, clips in all).
        attributes: as :meth:`StoreWriter.finish` takes them.

    Raises:
        StoreError: the store exists already, or cannot be written; whatever ``read`` raises.
        BusyError: another process writes this store.
    """
    writer = StoreWriter(path, plan)
    with writer.lock():
        if writer.path.exists() and not overwrite:
            hint = "Give --overwrite to replace it, or another name."
            raise StoreError(f"the store {writer.path} exists already", hint)
        writer.begin(restart=overwrite)
        pending = writer.pending()
        total = len(plan.rows)
        done = total - sum(len(indices) for _, indices in pending)
        for unit, indices in pending:
            if progress:
                progress(done, total)
            clips = ((index, read(index)) for index in indices)
            write_unit(writer.partial, plan.geometry, unit, clips)
            done += len(indices)
        if progress:
            progress(done, total)
        return writer.finish(versions, attributes=attributes)


def _read_record(partial: Path, geometry: Geometry, unit: Unit) -> UnitRecord | None:
    """Return what is known of a unit; None where it is not written, or not as it was recorded."""
    try:
        record = msgspec.json.decode(_done_file(partial, unit).read_bytes(), type=UnitRecord)
        files = _shard_files(partial / "store.zarr", geometry.modalities, unit)
        sizes = [file.stat().st_size for file in files]
    except (OSError, msgspec.MsgspecError):
        return None
    sound = sizes == record.shard_bytes and len(record.sha256) == len(unit.places)
    return record if sound else None


def write_unit(
    partial: StrPath,
    geometry: Geometry,
    unit: Unit,
    clips: Iterable[tuple[int, Frames | str]],
    signatures: Mapping[int, str] | None = None,
) -> None:
    """Write the shards of one unit and mark it written; safe in any process, one per unit.

    Clips of the unit that are not given keep the frames that are there already.

    Args:
        partial: the writer's partial folder.
        geometry: of the store.
        unit: which shards.
        clips: (clip index, frames or the reason why there are none), taken one after the other and
            packed at once; frames are uint8 (T, H, W, C) per modality.
        signatures: of the files of these clips, to notice that they were exchanged.
    """
    partial = Path(partial)
    known = _read_record(partial, geometry, unit)
    hashes: dict[int, str | None] = dict.fromkeys(unit.places)
    if known:
        hashes = dict(zip(unit.places, known.sha256, strict=True))
    reasons = dict(known.skipped) if known else {}
    lost = False
    packed: dict[int, dict[str, list[bytes]]] = {}
    for index, frames in clips:
        if isinstance(frames, str):
            lost |= hashes[index] is not None
            hashes[index], reasons[index] = None, frames
            continue
        packed[index] = {m: pack_frames(frames[m]) for m in geometry.modalities}
        hashes[index] = clip_sha256(frames).hex()
        reasons.pop(index, None)
    if {index for index, text in hashes.items() if text is None} != reasons.keys():
        raise ValueError(f"unit {unit.index}: clips without frames and without a reason")
    if packed or lost or not known:
        kept = [i for i, text in hashes.items() if text is not None and i not in packed]
        packed |= _pack_again(partial, geometry, unit, kept)
        _write_shards(partial, geometry, unit, packed)
    files = _shard_files(partial / "store.zarr", geometry.modalities, unit)
    record = UnitRecord(
        sha256=list(hashes.values()),
        skipped=dict(sorted(reasons.items())),
        signatures={**(known.signatures if known else {}), **(signatures or {})},
        shard_bytes=[file.stat().st_size for file in files],
    )
    write_json(_done_file(partial, unit), msgspec.to_builtins(record, str_keys=True))


def _pack_again(
    partial: Path, geometry: Geometry, unit: Unit, clips: Sequence[int]
) -> dict[int, dict[str, list[bytes]]]:
    """Return the chunks of clips of a unit that are written already."""
    packed: dict[int, dict[str, list[bytes]]] = {index: {} for index in clips}
    for modality in geometry.modalities if clips else ():
        array = zarr.open_array(partial / "store.zarr" / "frames" / modality, mode="r")
        for index in clips:
            frames = np.asarray(array[slice(*unit.places[index])])
            packed[index][modality] = pack_frames(frames)
    return packed


def _write_shards(
    partial: Path,
    geometry: Geometry,
    unit: Unit,
    packed: Mapping[int, Mapping[str, Sequence[bytes]]],
) -> None:
    """Write the shards of a unit from the chunks of its clips; black where there is no clip."""
    # From here until its file is written anew the unit counts as not written.
    _done_file(partial, unit).unlink(missing_ok=True)
    per_shard = SHARD_FRAMES // CHUNK_FRAMES
    for modality in geometry.modalities:
        [black] = pack_frames(np.zeros(geometry.shape(modality, CHUNK_FRAMES), np.uint8))
        chunks = [black] * ((unit.stop - unit.start) // CHUNK_FRAMES)
        for index, clip in packed.items():
            first = (unit.places[index][0] - unit.start) // CHUNK_FRAMES
            chunks[first : first + len(clip[modality])] = clip[modality]
        for number, file in enumerate(_shard_files(partial / "store.zarr", (modality,), unit)):
            write_shard(file, chunks[number * per_shard : (number + 1) * per_shard])


def _done_file(partial: Path, unit: Unit) -> Path:
    return partial / "done" / f"{unit.index:06d}.json"


def _shard_files(store: Path, modalities: Sequence[str], unit: Unit) -> list[Path]:
    shards = range(unit.start // SHARD_FRAMES, -(-unit.stop // SHARD_FRAMES))
    return [
        store / "frames" / modality / f"c/{shard}/0/0/0"
        for modality in modalities
        for shard in shards
    ]


def _settle(store: Path) -> None:
    """Remove what killed writes left in a store and make the rest survive a power cut."""
    for path in store.rglob("*"):
        if path.suffix == ".partial":
            path.unlink()
        elif path.is_dir() or "frames" not in path.relative_to(store).parts[:-1]:
            # Shards are on disk since their unit was written.
            sync(path)


def _create_arrays(path: Path, plan: StorePlan, layout: Layout) -> None:
    root = zarr.open_group(path, mode="w", zarr_format=3)
    for modality in plan.geometry.modalities:
        _, *size = plan.geometry.shape(modality, 1)
        root.create_array(
            f"frames/{modality}",
            shape=(layout.num_frames, *size),
            chunks=(CHUNK_FRAMES, *size),
            shards=(SHARD_FRAMES, *size),
            dtype="uint8",
            compressors=ZstdCodec(level=3, checksum=True),
            fill_value=0,
            dimension_names=("time", "height", "width", "channel"),
        )


def _write_table(
    root: zarr.Group,
    plan: StorePlan,
    layout: Layout,
    kept: Sequence[int],
    hashes: Sequence[bytes],
    signatures: Mapping[int, str],
) -> None:
    rows = [plan.rows[index] for index in kept]
    texts = {
        "id": [row.clip_id for row in rows],
        "subject": [row.subject for row in rows],
        "split": [row.split for row in rows],
        "source": [_signed(plan.sources[index], signatures.get(index, "")) for index in kept],
    }
    group = root.require_group("clips")
    offsets = [layout.offsets[index] for index in kept]
    for name, values in number_columns(rows, offsets, hashes).items():
        group.create_array(name, data=values, overwrite=True)
    for name, column in texts.items():
        array = group.create_array(name, shape=(len(rows),), dtype="string", overwrite=True)
        array[:] = np.array(column, dtype=object)


def _signed(source: str, signature: str) -> str:
    return canonical_json({**json.loads(source), "bytes": signature}) if signature else source
