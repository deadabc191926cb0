"""Read a store: attributes at once, the clip table on demand, frames by clip and index."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from mtut_bench.contract.folds import make_folds
from mtut_bench.contract.types import ClipRow, Fold
from mtut_bench.errors import StoreError
from mtut_bench.files import StrPath
from mtut_bench.store.attributes import HOW_TO_MAKE_ONE, read_attributes
from mtut_bench.store.format import SHARD_FRAMES, content_digest

__all__ = ["ClipTable", "StoreReader", "list_stores"]

_COPY = "Copy the store again, or prepare it again with --overwrite."


@dataclass(frozen=True)
class ClipTable:
    """The clip table in memory.

    Attributes:
        rows: one per clip, in the store's order.
        offsets: first frame of each clip in the frames arrays.
        hashes: SHA-256 of each clip's frames.
    """

    rows: tuple[ClipRow, ...]
    offsets: tuple[int, ...]
    hashes: tuple[bytes, ...]

    @cached_property
    def index(self) -> dict[str, int]:
        """Position of each clip id."""
        return {row.clip_id: i for i, row in enumerate(self.rows)}


class StoreReader:
    """A finished store, read only. Cheap to open; may be opened again in every worker.

    Args:
        path: the ``.zarr`` folder.

    Raises:
        StoreError: there is none, it is not one of ours, or of a newer format.
    """

    def __init__(self, path: StrPath) -> None:
        path = Path(path)
        self.path = path
        if not path.is_dir():
            raise StoreError(f"there is no store at {path}", HOW_TO_MAKE_ONE)
        try:
            self._root = zarr.open_group(path, mode="r", use_consolidated=False)
            attributes = dict(self._root.attrs)
        except Exception as error:
            # zarr raises many types for metadata that it cannot use; all mean the same to a user.
            raise StoreError(f"{path} is not a readable Zarr v3 group: {error}", _COPY) from error
        self.attributes = read_attributes(attributes, str(path), _COPY)
        self._arrays: dict[str, zarr.Array[Any]] = {}

    @property
    def name(self) -> str:
        """Name of the store: its folder without ``.zarr``."""
        return self.path.stem

    @property
    def modalities(self) -> tuple[str, ...]:
        """What the store holds, in the project's order."""
        return self.attributes.modalities

    @property
    def frame_size(self) -> tuple[int, int]:
        """(height, width) of the stored frames, pixels."""
        _, height, width, _ = self._array(f"frames/{self.modalities[0]}").shape
        return height, width

    def frames_shape(self, modality: str) -> tuple[int, int, int, int]:
        """Return the (T, H, W, C) of all clips of a modality, one after the other."""
        length, height, width, channels = self._array(f"frames/{modality}").shape
        return length, height, width, channels

    @cached_property
    def table(self) -> ClipTable:
        """The clip table.

        Raises:
            StoreError: a column is missing or damaged.
        """
        names = ("id", "subject", "label", "repetition", "split", "num_frames", "offset")
        columns = [self._column(name).tolist() for name in names]
        hashes = tuple(row.tobytes() for row in self._column("sha256"))
        if len({len(column) for column in (*columns, hashes)}) > 1:
            what = f"{self.path}: the columns of the clip table differ in length"
            raise StoreError(what, _COPY)
        *fields, offsets = columns
        rows = map(ClipRow._make, zip(*fields, strict=True))
        return ClipTable(tuple(rows), tuple(offsets), hashes)

    @property
    def fold_unit(self) -> str:
        """Who is left out by its folds: 'user' where it is unknown which users are one person."""
        by_subject = self.attributes.fold_rule == "subject"
        return self.attributes.subject_unit if by_subject else "person"

    def folds(self, fold_unit: str | None = None) -> list[Fold]:
        """Return all folds; see :func:`mtut_bench.contract.folds.make_folds`.

        Args:
            fold_unit: who is left out, 'person' or 'user'; None: :attr:`fold_unit`.

        Raises:
            UsageError: the store has no folds of this unit.
            FoldError: persons are asked for and unknown, or a side is empty.
        """
        rule, unit = self.attributes.fold_rule, self.attributes.subject_unit
        wanted = fold_unit or self.fold_unit
        return make_folds(self.table.rows, rule, unit, wanted, store=self.name)

    def sources(self) -> list[str]:
        """Return the JSON text per clip that says where its frames came from."""
        return [str(text) for text in self._column("source").tolist()]

    def read(
        self, index: int, modality: str, start: int = 0, stop: int | None = None
    ) -> NDArray[np.uint8]:
        """Return frames of one clip.

        Args:
            index: position of the clip in the table.
            modality: one of :attr:`modalities`.
            start: first frame within the clip.
            stop: frame after the last one; the clip's end where None.

        Returns:
            uint8 (T, H, W, C).

        Raises:
            StoreError: the shard is missing or damaged.
        """
        offset = self.table.offsets[index]
        length = self.table.rows[index].num_frames
        stop = length if stop is None else min(stop, length)
        array = self._array(f"frames/{modality}")
        try:
            return np.asarray(array[offset + start : offset + stop], np.uint8)
        except Exception as error:
            # Codecs raise many types for a torn shard; all mean the same to a user.
            raise StoreError(
                f"{self.path}: frames of {self.table.rows[index].clip_id} ({modality}) cannot be"
                f" read: {error}",
                _COPY,
            ) from error

    def check_files(self) -> None:
        """Check the clip table and the size of every shard file; reads no frame.

        Raises:
            StoreError: with all that :meth:`file_faults` finds.
        """
        if faults := self.file_faults():
            raise StoreError(f"the store {self.path} is damaged: {'; '.join(faults)}", _COPY)

    def file_faults(self) -> list[str]:
        """Return what is wrong with shard files and clip table, one sentence each.

        Raises:
            StoreError: a column of the clip table cannot be read.
        """
        faults: list[str] = []
        if bad := self._bad_shards():
            faults.append(
                f"{len(bad)} shard files are missing or have a wrong size, first {bad[0]}"
            )
        # zarr reads a missing chunk as zeros: a lost column would make every label 0.
        if content_digest(self.table.rows, self.table.hashes) != self.attributes.digest:
            faults.append("the clip table does not match the recorded content digest")
        ends = [o + r.num_frames for o, r in zip(self.table.offsets, self.table.rows, strict=True)]
        starts = [*self.table.offsets[1:], self._array(f"frames/{self.modalities[0]}").shape[0]]
        if any(start < end for start, end in zip(starts, ends, strict=True)):
            faults.append("the clips of the table overlap")
        return faults

    def _bad_shards(self) -> list[str]:
        bad: list[str] = []
        for modality in self.modalities:
            sizes = self._read_array(f"shards/{modality}")
            for shard, size in enumerate(sizes.tolist()):
                file = self.path / "frames" / modality / f"c/{shard}/0/0/0"
                found = file.stat().st_size if file.is_file() else None
                if found != size:
                    state = "missing" if found is None else f"{found} bytes instead of {size}"
                    bad.append(f"{file} ({state})")
        return bad

    def num_bytes(self) -> int:
        """Return the size of the frames on disk, bytes."""
        return sum(int(self._read_array(f"shards/{m}").sum()) for m in self.modalities)

    def num_shards(self) -> int:
        """Return how many shard files the store has."""
        return sum(-(-self._array(f"frames/{m}").shape[0] // SHARD_FRAMES) for m in self.modalities)

    def _array(self, name: str) -> zarr.Array[Any]:
        if name not in self._arrays:
            try:
                array = self._root[name]
                if not isinstance(array, zarr.Array):
                    raise TypeError("it is a group")  # noqa: TRY301 - as damaged as any other
            except Exception as error:
                what = f"the store {self.path} has no readable array {name}: {error}"
                raise StoreError(what, _COPY) from error
            self._arrays[name] = array
        return self._arrays[name]

    def _read_array(self, name: str) -> NDArray[Any]:
        array = self._array(name)
        try:
            return np.asarray(array[...])
        except Exception as error:
            raise StoreError(f"{self.path}: {name} cannot be read: {error}", _COPY) from error

    def _column(self, name: str) -> NDArray[Any]:
        return self._read_array(f"clips/{name}")


def list_stores(folder: StrPath) -> list[Path]:
    """Return the finished stores of a folder, sorted by name."""
    folder = Path(folder)
    return sorted(path for path in folder.glob("*.zarr") if path.is_dir())
