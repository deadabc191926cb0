"""Write a store unit by unit, survive a kill, finish with a rename.

While it grows a store is ``<name>.partial/``: ``plan.json`` (fingerprint of the plan),
``store.zarr`` (the group) and ``done/<unit>.json`` (a finished unit: hashes of its clips, bytes of
its shards). A unit without its file in ``done``, or whose shards are not as long as that says, is
written again, so a torn shard cannot survive. ``finish`` adds the clip table and renames the group
to ``<name>.zarr``.
"""

import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec

from mtut_bench.errors import StoreError
from mtut_bench.files import hold_lock, read_json, sync_file, sync_folder, write_json
from mtut_bench.store import (
    CHUNK_FRAMES,
    FORMAT_VERSION,
    SHARD_FRAMES,
    STRING_COLUMNS,
    Layout,
    StorePlan,
    Unit,
    clip_sha256,
    content_digest,
    frames_shape,
    layout_clips,
)

__all__ = ["StoreWriter", "write_unit"]


# A missing file must mean a damaged store, never a black shard. zarr keeps this with an open
# array, not in the store: who opens one to write it must say so.
_WRITE_BLACK = {"array.write_empty_chunks": True}


class StoreWriter:
    """Grow one store; at most one writer per store at a time.

    Args:
        path: final path, ``.../<name>.zarr``.
        plan: what the store will hold.

    Use :meth:`lock` around everything, then :meth:`begin`, :func:`write_unit` for each of
    :meth:`pending`, :meth:`finish`.
    """

    def __init__(self, path: Path, plan: StorePlan) -> None:
        self.path = path
        self.plan = plan
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
            cure = f"Delete the folder {self.partial}; it is begun anew."
            known = (
                read_json(marker, StoreError, cure).get("fingerprint") if marker.exists() else ""
            )
            if known == self.plan.fingerprint() and (self.partial / "store.zarr").exists():
                return
            if known not in ("", self.plan.fingerprint()) and not restart:
                raise StoreError(
                    f"{self.partial} holds a preparation that was begun with other settings or"
                    " other recordings",
                    "Finish it with those, or give --overwrite to begin anew.",
                )
            # First: with it, what a kill leaves of the folder could pass for a begun store.
            marker.unlink(missing_ok=True)
            shutil.rmtree(self.partial)
        (self.partial / "done").mkdir(parents=True)
        _create_arrays(self.partial / "store.zarr", self.plan, self.layout)
        # Written last: a folder without it holds nothing worth keeping.
        write_json(marker, {"fingerprint": self.plan.fingerprint()})

    def pending(self) -> list[Unit]:
        """Return the units that are not on disk yet, in order."""
        return [unit for unit in self.layout.units if not self._is_done(unit)]

    def _is_done(self, unit: Unit) -> bool:
        try:
            record = read_json(_done_file(self.partial, unit), StoreError, "")
            files = _shard_files(self.partial / "store.zarr", self.plan, unit)
            return [file.stat().st_size for file in files] == record["shard_bytes"]
        except (StoreError, OSError, KeyError):
            return False

    def _discard_replaced(self) -> None:
        """Remove what a writer that was killed after the rename of its store left behind."""
        if self.path.exists():
            shutil.rmtree(self.path.with_suffix(".old"), ignore_errors=True)
            if not (self.partial / "store.zarr").exists():
                shutil.rmtree(self.partial, ignore_errors=True)

    def finish(self, versions: Mapping[str, str]) -> str:
        """Add the clip table and give the store its final name.

        Args:
            versions: software that made the frames, kept beside the digest, not in it.

        Returns:
            The content digest.
        """
        hashes: list[bytes] = []
        for unit in self.layout.units:
            record = read_json(_done_file(self.partial, unit), StoreError, "Run prepare again.")
            hashes += [bytes.fromhex(text) for text in record["sha256"]]
        digest = content_digest(self.plan.rows, hashes)
        root = zarr.open_group(self.partial / "store.zarr", mode="r+")
        _write_table(root, self.plan, self.layout, hashes)
        _write_shard_sizes(root, self.partial / "store.zarr", self.plan)
        root.attrs.update(
            {
                "format_version": FORMAT_VERSION,
                **self.plan.attributes,
                "modalities": list(self.plan.modalities),
                "plan": self.plan.fingerprint(),
                "digest": digest,
                "versions": dict(versions),
            }
        )
        _settle(self.partial / "store.zarr")
        old = self.path.with_suffix(".old")
        if self.path.exists():
            self.path.rename(old)
        (self.partial / "store.zarr").rename(self.path)
        sync_folder(self.path.parent)
        for leftover in (old, self.partial):
            if leftover.exists():
                shutil.rmtree(leftover)
        return digest


def write_unit(
    partial: Path,
    plan: StorePlan,
    layout: Layout,
    unit: Unit,
    clips: Mapping[int, Mapping[str, NDArray[np.uint8]]],
) -> None:
    """Write the shards of one unit and mark it done; safe in any process, one per unit.

    Args:
        partial: the writer's partial folder.
        plan: the store's plan.
        layout: the plan's layout.
        unit: which shards.
        clips: frames (T, H, W, C), uint8, per modality, for each clip index of the unit.
    """
    root = zarr.open_group(partial / "store.zarr", mode="r+")
    files = _shard_files(partial / "store.zarr", plan, unit)
    for file in files:
        # zarr reads a shard that is there before it writes it: a torn one would stop it.
        file.unlink(missing_ok=True)
    for modality in plan.modalities:
        buffer = np.zeros(frames_shape(plan, modality, unit.stop - unit.start), np.uint8)
        for index in range(unit.first_clip, unit.last_clip):
            begin = layout.offsets[index] - unit.start
            buffer[begin : begin + plan.rows[index].num_frames] = clips[index][modality]
        with zarr.config.set(_WRITE_BLACK):
            array = _array(root, f"frames/{modality}")
        array[unit.start : unit.stop] = buffer
    hashes = [clip_sha256(clips[i]).hex() for i in range(unit.first_clip, unit.last_clip)]
    for file in files:
        sync_file(file)
    record = {"sha256": hashes, "shard_bytes": [file.stat().st_size for file in files]}
    write_json(_done_file(partial, unit), record)


def _done_file(partial: Path, unit: Unit) -> Path:
    return partial / "done" / f"{unit.index:06d}.json"


def _shard_files(store: Path, plan: StorePlan, unit: Unit) -> list[Path]:
    shards = range(unit.start // SHARD_FRAMES, -(-unit.stop // SHARD_FRAMES))
    return [
        store / "frames" / modality / f"c/{shard}/0/0/0"
        for modality in plan.modalities
        for shard in shards
    ]


def _settle(store: Path) -> None:
    """Remove what killed writes left in a store and make the rest survive a power cut."""
    for path in store.rglob("*"):
        if path.suffix == ".partial":
            path.unlink()
        else:
            sync_file(path)


def _array(root: zarr.Group, name: str) -> zarr.Array[Any]:
    array = root[name]
    if not isinstance(array, zarr.Array):
        raise TypeError(f"{name} is not an array")
    return array


def _create_arrays(path: Path, plan: StorePlan, layout: Layout) -> None:
    root = zarr.open_group(path, mode="w", zarr_format=3)
    for modality in plan.modalities:
        _, height, width, channels = frames_shape(plan, modality, 1)
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


def _write_table(root: zarr.Group, plan: StorePlan, layout: Layout, hashes: list[bytes]) -> None:
    rows = plan.rows
    columns: dict[str, NDArray[Any]] = {
        "label": np.array([row.label for row in rows], np.int32),
        "repetition": np.array([row.repetition for row in rows], np.int32),
        "num_frames": np.array([row.num_frames for row in rows], np.int32),
        "offset": np.array(layout.offsets, np.int64),
        "sha256": np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, 32),
    }
    texts = {
        "id": [row.clip_id for row in rows],
        "subject": [row.subject for row in rows],
        "split": [row.split for row in rows],
        "source": list(plan.sources),
    }
    group = root.require_group("clips")
    for name, values in columns.items():
        group.create_array(name, data=values, overwrite=True)
    for name in STRING_COLUMNS:
        array = group.create_array(name, shape=(len(rows),), dtype="string", overwrite=True)
        array[:] = np.array(texts[name], dtype=object)


def _write_shard_sizes(root: zarr.Group, path: Path, plan: StorePlan) -> None:
    group = root.require_group("shards")
    for modality in plan.modalities:
        array = _array(root, f"frames/{modality}")
        count = -(-array.shape[0] // SHARD_FRAMES)
        files = [path / "frames" / modality / f"c/{i}/0/0/0" for i in range(count)]
        sizes = np.array([file.stat().st_size for file in files], np.int64)
        group.create_array(modality, data=sizes, overwrite=True)
