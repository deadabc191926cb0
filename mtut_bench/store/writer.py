"""Write a store unit by unit, survive a kill, finish with a rename.

While it grows a store is ``<name>.partial/``: ``plan.json`` (fingerprint of the plan),
``store.zarr`` (the group) and ``done/<unit>.json`` (a written unit: for each clip the hash of its
frames, or the reason why it was set aside; bytes of its shards). A unit without its file in
``done``, or whose shards are not as long as that says, is written again, so a torn shard cannot
survive. A clip that was set aside keeps its place in the shard, black, until a later call brings
its frames. ``finish`` adds the clip table and renames the group to ``<name>.zarr``.
"""

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

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
    sync_file,
    sync_folder,
    write_json,
)
from mtut_bench.store.attributes import FORMAT_VERSION, StoreAttributes
from mtut_bench.store.format import (
    CHUNK_FRAMES,
    SHARD_FRAMES,
    STRING_COLUMNS,
    Geometry,
    Layout,
    StorePlan,
    Unit,
    clip_sha256,
    content_digest,
    layout_clips,
)
from mtut_bench.store.shards import pack_frames, write_shard

__all__ = ["Frames", "StoreWriter", "UnitRecord", "read_unit_record", "write_unit"]


Frames = Mapping[str, NDArray[np.uint8]]
"""Frames (T, H, W, C) of one clip per modality."""


class UnitRecord(NamedTuple):
    """What is known of a written unit.

    Attributes:
        hashes: SHA-256 per clip index of the unit in hexadecimal; None where it was set aside.
        reasons: sentence per clip index that was set aside.
        stamps: what the clip's files were when they were read, where the writer was told.
    """

    hashes: dict[int, str | None]
    reasons: dict[int, str]
    stamps: dict[int, str]


class StoreWriter:
    """Grow one store; at most one writer per store at a time.

    Args:
        path: final path, ``.../<name>.zarr``.
        plan: what the store will hold.
        stamps: what each clip's files are now (sizes, say); a clip that was written from others is
            written again. None: unknown.

    Use :meth:`lock` around everything, then :meth:`begin`, :func:`write_unit` for each of
    :meth:`pending`, :meth:`finish`.
    """

    def __init__(self, path: StrPath, plan: StorePlan, stamps: Sequence[str] | None = None) -> None:
        path = Path(path)
        self.path = path
        self.plan = plan
        self.stamps = stamps
        self.partial = path.with_suffix(".partial")
        self.layout: Layout = layout_clips([row.num_frames for row in plan.rows])

    def lock(self) -> AbstractContextManager[None]:
        """Return a context that keeps a second writer of this store out.

        Raises:
            BusyError: another process writes it.
        """
        return hold_lock(self.path.with_name(f".{self.path.stem}.lock"), f"the store {self.path}")

    def begin(self, *, restart: bool = False) -> None:
        """Create the partial store, or take up one that was begun with the same plan.

        Args:
            restart: discard a partial store that was begun with another plan.

        Raises:
            StoreError: one begun with another plan is in the way.
        """
        marker = self.partial / "plan.json"
        self._discard_replaced()
        if self.partial.exists():
            hint = f"Delete the folder {self.partial}; it is begun anew."
            known = (
                read_json(marker, StoreError, hint).get("fingerprint") if marker.exists() else ""
            )
            if known == self.plan.fingerprint() and (self.partial / "store.zarr").exists():
                return
            if known not in ("", self.plan.fingerprint()) and not restart:
                raise StoreError(
                    f"{self.partial} holds a preparation that was begun with other settings or"
                    " other recordings",
                    "Finish it with those, or give --overwrite to begin anew.",
                )
            if known == "":
                self._check_ours()
            # First: with it, what a kill leaves of the folder could pass for a begun store.
            marker.unlink(missing_ok=True)
            shutil.rmtree(self.partial)
        (self.partial / "done").mkdir(parents=True)
        _create_arrays(self.partial / "store.zarr", self.plan, self.layout)
        # Written last: a folder without it holds nothing worth keeping.
        write_json(marker, {"fingerprint": self.plan.fingerprint()})

    def _check_ours(self) -> None:
        """Refuse to delete a folder that no writer began."""
        names = sorted(p.name for p in self.partial.iterdir() if not p.name.endswith(".tmp"))
        foreign = [name for name in names if name not in ("done", "store.zarr")]
        if foreign:
            raise StoreError(
                f"{self.partial} holds {foreign[0]}, which no preparation wrote",
                "Move the folder away: its name is where the store grows.",
            )

    def pending(self) -> list[tuple[Unit, tuple[int, ...]]]:
        """Return the units that lack frames, in order, with the clip indices they lack."""
        found: list[tuple[Unit, tuple[int, ...]]] = []
        for unit in self.layout.units:
            record = read_unit_record(self.partial, self.plan.geometry, unit)
            missing = [i for i in unit.places if not record or not self._is_written(record, i)]
            if missing:
                found.append((unit, tuple(missing)))
        return found

    def _is_written(self, record: UnitRecord, index: int) -> bool:
        same = self.stamps is None or record.stamps.get(index) == self.stamps[index]
        return same and record.hashes[index] is not None

    def resumes(self) -> bool | None:
        """Return whether what was begun is of this plan; None where nothing was begun."""
        marker = self.partial / "plan.json"
        if not marker.exists():
            return None
        known = read_json(marker, StoreError, f"Delete the folder {self.partial}.")
        return bool(known.get("fingerprint") == self.plan.fingerprint())

    def set_aside(self) -> dict[int, str]:
        """Return the reason for each clip index that could not be read."""
        reasons: dict[int, str] = {}
        for unit in self.layout.units:
            record = read_unit_record(self.partial, self.plan.geometry, unit)
            reasons.update(record.reasons if record else {})
        return reasons

    def _discard_replaced(self) -> None:
        """Remove what a writer that was killed after the rename of its store left behind."""
        if self.path.exists():
            shutil.rmtree(self.path.with_suffix(".old"), ignore_errors=True)
            if not (self.partial / "store.zarr").exists():
                shutil.rmtree(self.partial, ignore_errors=True)

    def finish(self, versions: Mapping[str, str], hide: str = "") -> str:
        """Add the clip table and give the store its final name.

        Clips that were set aside are not in the table; a store without them is not complete.

        Args:
            versions: software that made the frames, kept beside the digest, not in it.
            hide: text that is left out of the reasons: a folder of this machine.

        Returns:
            The content digest.

        Raises:
            StoreError: a unit is not written, or no clip could be read.
        """
        hashes: dict[int, str | None] = {}
        reasons: dict[int, str] = {}
        stamps: dict[int, str] = {}
        for unit in self.layout.units:
            record = read_unit_record(self.partial, self.plan.geometry, unit)
            if record is None:
                raise StoreError(f"{self.partial} is not finished", "Run the same command again.")
            hashes.update(record.hashes)
            reasons.update(record.reasons)
            stamps.update(record.stamps)
        kept = [index for index, text in hashes.items() if text is not None]
        if not kept:
            raise StoreError(f"no clip of {self.partial} could be read", "See the reasons above.")
        digests = [bytes.fromhex(text) for text in hashes.values() if text is not None]
        digest = content_digest([self.plan.rows[index] for index in kept], digests)
        root = zarr.open_group(self.partial / "store.zarr", mode="r+")
        _write_table(root, self.plan, self.layout, kept, digests, stamps)
        _write_shard_sizes(root, self.partial / "store.zarr", self.plan)
        aside = tuple(
            (self.plan.rows[index].clip_id, text.replace(hide, "") if hide else text)
            for index, text in reasons.items()
        )
        facts = structs.asdict(self.plan.facts)
        facts["complete"] = self.plan.facts.complete and not aside
        attributes = StoreAttributes(
            **facts,
            format_version=FORMAT_VERSION,
            set_aside=aside,
            modalities=self.plan.geometry.modalities,
            plan=self.plan.fingerprint(),
            digest=digest,
            versions=dict(versions),
        )
        root.update_attributes(attributes.to_json())
        _settle(self.partial / "store.zarr")
        old = self.path.with_suffix(".old")
        if self.path.exists():
            self.path.rename(old)
        (self.partial / "store.zarr").rename(self.path)
        sync_folder(self.path.parent)
        for leftover in (old, self.partial):
            if leftover.is_dir():
                shutil.rmtree(leftover)
            else:
                leftover.unlink(missing_ok=True)
        return digest


def read_unit_record(partial: StrPath, geometry: Geometry, unit: Unit) -> UnitRecord | None:
    """Return what is known of a unit; None where it is not written, or not as it was recorded."""
    partial = Path(partial)
    try:
        record = read_json(_done_file(partial, unit), StoreError, "")
        files = _shard_files(partial / "store.zarr", geometry.modalities, unit)
        if [file.stat().st_size for file in files] != record["shard_bytes"]:
            return None
        hashes = dict(zip(unit.places, record["sha256"], strict=True))
        reasons = {int(index): str(text) for index, text in record["set_aside"].items()}
        stamps = {int(index): str(text) for index, text in record["stamps"].items()}
        return UnitRecord(hashes, reasons, stamps)
    except (StoreError, OSError, KeyError, TypeError, ValueError):
        return None


def write_unit(
    partial: StrPath,
    geometry: Geometry,
    unit: Unit,
    clips: Iterable[tuple[int, Frames | str]],
    stamps: Mapping[int, str] | None = None,
) -> None:
    """Write the shards of one unit and mark it written; safe in any process, one per unit.

    Clips of the unit that are not given keep the frames that are there already.

    Args:
        partial: the writer's partial folder.
        geometry: of the store.
        unit: which shards.
        clips: (clip index, frames or the reason why there are none), taken one after the other and
            packed at once; frames are uint8 (T, H, W, C) per modality.
        stamps: what the files of these clips are, to notice that they were exchanged.
    """
    partial = Path(partial)
    known = read_unit_record(partial, geometry, unit)
    hashes: dict[int, str | None] = dict.fromkeys(unit.places)
    reasons: dict[int, str] = {}
    if known:
        hashes.update(known.hashes)
        reasons.update(known.reasons)
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
        raise ValueError(f"unit {unit.index}: clips with neither frames nor a reason")
    if packed or lost or not known:
        kept = [i for i, text in hashes.items() if text is not None and i not in packed]
        packed |= _pack_again(partial, geometry, unit, kept)
        _write_shards(partial, geometry, unit, packed)
    files = _shard_files(partial / "store.zarr", geometry.modalities, unit)
    record = {
        "sha256": list(hashes.values()),
        "set_aside": {str(index): text for index, text in sorted(reasons.items())},
        "stamps": {**(known.stamps if known else {}), **(stamps or {})},
        "shard_bytes": [file.stat().st_size for file in files],
    }
    write_json(_done_file(partial, unit), record)


def _pack_again(
    partial: Path, geometry: Geometry, unit: Unit, clips: Sequence[int]
) -> dict[int, dict[str, list[bytes]]]:
    """Return the chunks of clips of a unit that are written already."""
    if not clips:
        return {}
    root = zarr.open_group(partial / "store.zarr", mode="r")
    arrays = {m: _array(root, f"frames/{m}") for m in geometry.modalities}
    return {
        index: {
            m: pack_frames(np.asarray(a[slice(*unit.places[index])])) for m, a in arrays.items()
        }
        for index in clips
    }


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
            sync_file(path)


def _array(root: zarr.Group, name: str) -> zarr.Array[Any]:
    array = root[name]
    if not isinstance(array, zarr.Array):
        raise TypeError(f"{name} is not an array")
    return array


def _create_arrays(path: Path, plan: StorePlan, layout: Layout) -> None:
    root = zarr.open_group(path, mode="w", zarr_format=3)
    for modality in plan.geometry.modalities:
        _, height, width, channels = plan.geometry.shape(modality, 1)
        root.create_array(
            f"frames/{modality}",
            shape=(layout.num_frames, height, width, channels),
            chunks=(CHUNK_FRAMES, height, width, channels),
            shards=(SHARD_FRAMES, height, width, channels),
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
    hashes: list[bytes],
    stamps: Mapping[int, str],
) -> None:
    rows = [plan.rows[index] for index in kept]
    columns: dict[str, NDArray[Any]] = {
        "label": np.array([row.label for row in rows], np.int32),
        "repetition": np.array([row.repetition for row in rows], np.int32),
        "num_frames": np.array([row.num_frames for row in rows], np.int32),
        "offset": np.array([layout.offsets[index] for index in kept], np.int64),
        "sha256": np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, 32),
    }
    texts = {
        "id": [row.clip_id for row in rows],
        "subject": [row.subject for row in rows],
        "split": [row.split for row in rows],
        "source": [_with_stamp(plan.sources[index], stamps.get(index, "")) for index in kept],
    }
    group = root.require_group("clips")
    for name, values in columns.items():
        group.create_array(name, data=values, overwrite=True)
    for name in STRING_COLUMNS:
        array = group.create_array(name, shape=(len(rows),), dtype="string", overwrite=True)
        array[:] = np.array(texts[name], dtype=object)


def _with_stamp(source: str, stamp: str) -> str:
    return canonical_json({**json.loads(source), "bytes": stamp}) if stamp else source


def _write_shard_sizes(root: zarr.Group, path: Path, plan: StorePlan) -> None:
    group = root.require_group("shards")
    for modality in plan.geometry.modalities:
        array = _array(root, f"frames/{modality}")
        count = -(-array.shape[0] // SHARD_FRAMES)
        files = [path / "frames" / modality / f"c/{i}/0/0/0" for i in range(count)]
        sizes = np.array([file.stat().st_size for file in files], np.int64)
        group.create_array(modality, data=sizes, overwrite=True)
