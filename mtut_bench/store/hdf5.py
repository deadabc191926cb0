"""A store as one HDF5 file, and back; layout version 1.

For those who read HDF5 (h5py, MATLAB, HDFView) and not Zarr::

    attributes          format, format_version (of this layout), about, card, checksum; then those
                        of the store (its format_version as store_format_version): numbers, truth
                        values and texts as they are, the others as JSON text (json_attributes)
    clips/id, subject, split, source, class_name            UTF-8 text of fixed length (N,)
    clips/label, repetition, num_frames                     int32 (N,)
    clips/offset        int64 (N,)        first frame of the clip in this file's frames
    clips/sha256        uint8 (N, 32)
    frames/<modality>   uint8 (T_total, H, W, C), chunks of 8 frames, gzip, Fletcher32

Every clip begins a chunk, so it is read, written and checked without touching another. At most
seven black frames follow it: the longer gaps at the ends of a store's shards are left out.
``checksum`` is the SHA-256 of all but the frames, which Fletcher32 does not guard.
"""

import fcntl
import glob
import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import accumulate
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from mtut_bench.contract.types import ClipRow, behaves_like
from mtut_bench.errors import MtutBenchError, StoreError
from mtut_bench.files import StrPath, sha256_of_json, sync
from mtut_bench.store.attributes import read_attributes
from mtut_bench.store.data_card import card_text
from mtut_bench.store.format import (
    CHUNK_FRAMES,
    FLOW_LIMIT_PX,
    Geometry,
    StorePlan,
    clip_sha256,
    number_columns,
)
from mtut_bench.store.reader import StoreReader
from mtut_bench.store.writer import write_store

__all__ = ["export_hdf5", "import_hdf5"]

Progress = Callable[[int, int], None]

_LAYOUT_VERSION = 1
_FORMAT = "mtut-bench store"
_OWN = ("format", "format_version", "about", "card", "checksum", "json_attributes")
_COLUMNS = ("id", "subject", "label", "repetition", "split", "num_frames", "source", "offset")
_PACKED: dict[str, Any] = {"compression": "gzip", "compression_opts": 1, "fletcher32": True}
"""Level 4 saves at most a tenth, of depth and flow, and takes 1.2 to 1.7 times as long."""
_COPY = "Copy the file again, or export it again from the store."
_ABOUT = """\
Frames of all clips one after another; row i of clips/* says where clip i lies.

import h5py, json
file = h5py.File("this file")
i = 0
start, length = file["clips/offset"][i], file["clips/num_frames"][i]
frames = file["frames/{modality}"][start : start + length]  # uint8 (T, H, W, C)
name = file["clips/class_name"].asstr()[i]
classes = json.loads(file.attrs["classes"])

MATLAB shows the axes in the opposite order, (C, W, H, T), and counts from 1:
start = double(h5read(path, "/clips/offset")); length = double(h5read(path, "/clips/num_frames"));
frames = h5read(path, "/frames/{modality}", [1 1 1 start(i) + 1], [Inf Inf Inf length(i)]);
"""
_CHANNELS = {
    "rgb": "red, green, blue",
    "depth": "one grey channel; see depth_polarity",
    "flow": f"x, y: (u - 128) * {FLOW_LIMIT_PX:g} / 127 pixels of the frame; 128 is 0",
}


def export_hdf5(
    reader: StoreReader, out: StrPath, *, overwrite: bool = False, progress: Progress | None = None
) -> None:
    """Write a store as one HDF5 file, seen whole or not at all.

    Args:
        reader: the store.
        out: the file; its folder is made.
        overwrite: replace a file that is there.
        progress: called with (clips done, clips in all).

    Raises:
        StoreError: the store is damaged, or the file exists already.
        MtutBenchError: the file cannot be written (a full disk, for instance); nothing is left.
    """
    out = Path(out)
    reader.check_files()
    try:
        if out.exists() and not overwrite:
            hint = "Give --overwrite, or another name with --out."
            raise StoreError(f"{out} exists already", hint)
        # HDF5 1.8 is the oldest whose metadata have checksums, and can be read everywhere.
        with _replacing(out) as sink, h5py.File(sink, "w", libver=("v108", "v108")) as file:
            _write(file, reader, sink, progress)
    except OSError as error:
        raise MtutBenchError(
            f"cannot write {out}: {error.strerror or error}",
            "Free some space or choose a writable folder.",
        ) from error


class _Sink(io.FileIO):
    """What HDF5 writes to; remembers a fault, since HDF5 crashes on a failed write."""

    fault: BaseException | None = None

    def write(self, data: Any, /) -> int:  # noqa: ANN401 - any buffer
        rest = memoryview(data)
        while rest and self.fault is None:
            try:
                rest = rest[super().write(rest) :]
            except BaseException as error:
                self.fault = error
        return len(data)

    def truncate(self, size: int | None = None, /) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.fault = self.fault or error
            return size or 0

    def check(self) -> None:
        if self.fault is not None:
            raise self.fault


@contextmanager
def _replacing(out: Path) -> Iterator[_Sink]:
    """Give a file that takes its name when the block ends, and is gone when it fails.

    It is locked while it is written: one that is not was left by a killed process.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    for leftover in out.parent.glob(f".{glob.escape(out.name)}.*.tmp"):
        with suppress(OSError), leftover.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            leftover.unlink()
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        with _Sink(temporary, "x+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
            file.check()
            os.fsync(file.fileno())
            temporary.replace(out)
        sync(out.parent)
    finally:
        with suppress(OSError):
            temporary.unlink()


def _write(file: h5py.File, reader: StoreReader, sink: _Sink, progress: Progress | None) -> None:
    rows, hashes = reader.table.rows, reader.table.hashes
    stored, sources = reader.attributes.to_json(), reader.sources()
    padded = [-(-row.num_frames // CHUNK_FRAMES) * CHUNK_FRAMES for row in rows]
    *offsets, num_frames = accumulate(padded, initial=0)
    shapes = {m: (num_frames, *reader.frames_shape(m)[1:]) for m in reader.modalities}
    attributes = {
        **stored,
        "store_format_version": stored["format_version"],
        "format": _FORMAT,
        "format_version": _LAYOUT_VERSION,
        "about": _ABOUT.format(modality=reader.modalities[0]),
        "card": card_text(reader),
        "checksum": sha256_of_json([stored, rows, sources, offsets, _hex(hashes), shapes]),
    }
    packed = [n for n, v in sorted(attributes.items()) if not isinstance(v, str | int | float)]
    attributes |= {name: json.dumps(attributes[name], ensure_ascii=False) for name in packed}
    # In one order, so that a store that came back is exported to the same bytes.
    for name, value in sorted(attributes.items()):
        file.attrs[name] = value
    file.attrs["json_attributes"] = np.array(packed, dtype=h5py.string_dtype())
    classes = reader.attributes.classes
    texts: dict[str, Sequence[str]] = {
        "id": [row.clip_id for row in rows],
        "subject": [row.subject for row in rows],
        "split": [row.split for row in rows],
        "source": sources,
        "class_name": [classes[row.label] for row in rows],
    }
    columns = {name: _texts(values) for name, values in texts.items()}
    for name, values in (columns | number_columns(rows, offsets, hashes)).items():
        file.create_dataset(f"clips/{name}", data=values, chunks=values.shape, **_PACKED)
    arrays = {}
    for modality, shape in shapes.items():
        chunks = (CHUNK_FRAMES, *shape[1:])
        array = file.create_dataset(f"frames/{modality}", shape, np.uint8, chunks=chunks, **_PACKED)
        array.attrs["channels"] = _CHANNELS[behaves_like(modality)]
        for axis, name in enumerate(("time", "height", "width", "channel")):
            array.dims[axis].label = name
        arrays[modality] = array
    for index, offset in enumerate(offsets):
        clip = {modality: reader.read(index, modality) for modality in reader.modalities}
        if clip_sha256(clip) != hashes[index]:
            what = f"{reader.path}: the frames of {rows[index].clip_id} do not match their SHA-256"
            raise StoreError(what, "Copy the store again, or prepare it again with --overwrite.")
        for modality, frames in clip.items():
            arrays[modality][offset : offset + len(frames)] = frames
        sink.check()
        if progress:
            progress(index + 1, len(offsets))


def _hex(hashes: Sequence[bytes]) -> list[str]:
    return [value.hex() for value in hashes]


def _texts(values: Sequence[str]) -> NDArray[Any]:
    """Return UTF-8 texts of one length: variable ones would lie where no checksum guards them."""
    packed = [value.encode() for value in values]
    return np.array(packed, h5py.string_dtype("utf-8", max(1, *map(len, packed))))


def import_hdf5(
    file: StrPath, path: StrPath, *, overwrite: bool = False, progress: Progress | None = None
) -> str:
    """Make a store of an exported file, or finish one that was interrupted.

    Args:
        file: what :func:`export_hdf5` wrote.
        path: the store, ``.../<name>.zarr``; never seen half-written.
        overwrite: replace a store that is there.
        progress: called with (clips done, clips in all).

    Returns:
        The content digest; that of the store that was exported.

    Raises:
        StoreError: the file is missing, damaged, of another kind or a newer layout; the store
            exists already, or cannot be written.
        BusyError: another process writes this store.
    """
    file = Path(file)
    if not file.is_file():
        raise StoreError(f"{file} does not exist", "To make one, see `mtut-bench export --help`.")
    with _reading(str(file)):
        opened = h5py.File(file)
    with opened:
        with _reading(str(file)):
            stored, columns, arrays = _read_all_but_frames(opened, file)
            *fields, sources, offsets, hashes = columns
            rows = tuple(map(ClipRow._make, zip(*fields, strict=True)))
            shapes = {modality: array.shape for modality, array in arrays.items()}
            checksum = sha256_of_json([stored, rows, sources, offsets, _hex(hashes), shapes])
            if checksum != opened.attrs["checksum"]:
                what = f"{file}: attributes, table or shapes do not match the digest"
                raise StoreError(what, _COPY)
        attributes = read_attributes(stored, f"{file}: the store in it", _COPY)

        def read(index: int) -> dict[str, NDArray[np.uint8]]:
            start, stop = offsets[index], offsets[index] + rows[index].num_frames
            with _reading(f"{file}: clip {rows[index].clip_id}"):
                clip = {m: array[start:stop] for m, array in arrays.items()}
                if clip_sha256(clip) != hashes[index]:
                    raise ValueError("its frames do not match their SHA-256")
            return clip

        _, height, width, _ = next(iter(shapes.values()))
        # These facts only tell what was begun from another file, or by `prepare`: frames that it
        # left may be others.
        facts = structs.replace(attributes.facts(), alignment={"hdf5": checksum})
        plan = StorePlan(rows, tuple(sources), Geometry(tuple(shapes), height, width), facts)
        return write_store(
            path,
            plan,
            read,
            attributes.versions,
            overwrite=overwrite,
            progress=progress,
            attributes=attributes,
        )


@contextmanager
def _reading(what: str) -> Iterator[None]:
    """Turn what HDF5 raises for a damaged file, many types, into one error."""
    try:
        yield
    except StoreError:
        raise
    except Exception as error:
        raise StoreError(f"{what} cannot be read: {error}", _COPY) from error


def _read_all_but_frames(
    opened: h5py.File, file: Path
) -> tuple[dict[str, Any], list[list[Any]], dict[str, h5py.Dataset]]:
    """Return the store's attributes, the columns of its clips, and its frames, not read yet."""
    form, version = opened.attrs.get("format"), opened.attrs.get("format_version", 0)
    if form != _FORMAT or version > _LAYOUT_VERSION:
        raise StoreError(
            f"{file} has the format {form!r}, layout version {version}; this mtut-bench reads"
            f" {_FORMAT!r} up to {_LAYOUT_VERSION}",
            "Write it with `mtut-bench export`, or install a newer mtut-bench.",
        )
    packed = set(opened.attrs["json_attributes"])
    stored: dict[str, Any] = {}
    for name, value in opened.attrs.items():
        if name in packed:
            stored[name] = json.loads(value)
        elif name not in _OWN:
            plain = value.item() if isinstance(value, np.generic) else value
            stored[name.removeprefix("store_")] = plain
    datasets = [_dataset(opened, file, f"clips/{name}") for name in (*_COLUMNS, "sha256")]
    if len({dataset.shape[:1] for dataset in datasets}) != 1:
        # Not left to the checksum: reading a column of a length that is damaged may take for ever.
        raise StoreError(f"{file}: the columns of the clip table differ in length", _COPY)
    columns = [_values(dataset) for dataset in datasets]
    arrays = {m: _dataset(opened, file, f"frames/{m}") for m in stored["modalities"]}
    return stored, columns, arrays


def _dataset(opened: h5py.File, file: Path, name: str) -> h5py.Dataset:
    with _reading(f"{file}: {name}"):
        # Refuses a group.
        return h5py.Dataset(opened[name].id)


def _values(column: h5py.Dataset) -> list[Any]:
    if column.ndim == 2:
        return [row.tobytes() for row in column[...]]
    texts = h5py.check_string_dtype(column.dtype) is not None
    return (column.asstr() if texts else column)[...].tolist()
