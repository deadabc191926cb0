"""Write a store as one HDF5 file, clip by clip, with a rename at the end."""

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
from numpy.typing import NDArray

from mtut_bench.contract.types import behaves_like
from mtut_bench.errors import MtutBenchError, StoreError
from mtut_bench.files import StrPath, sync_folder
from mtut_bench.store.data_card import card_text
from mtut_bench.store.format import CHUNK_FRAMES, FLOW_LIMIT_PX, Geometry, clip_sha256
from mtut_bench.store.hdf5.layout import FORMAT_NAME, LAYOUT_VERSION, Content
from mtut_bench.store.reader import StoreReader
from mtut_bench.store.writer import Frames

__all__ = ["export_hdf5"]

Progress = Callable[[int, int], None]

_PACKED: dict[str, Any] = {"compression": "gzip", "compression_opts": 1, "fletcher32": True}
"""Level 4 saves at most a tenth, of depth and flow, and takes 1.2 to 1.7 times as long."""

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
            _write_store(file, reader, sink, progress)
    except OSError as error:
        raise MtutBenchError(
            f"cannot write {out}: {error.strerror or error}",
            "Free some space or choose a folder that you may write to.",
        ) from error


def _write_store(
    file: h5py.File, reader: StoreReader, sink: "_Sink", progress: Progress | None
) -> None:
    table = reader.table
    padded = [-(-row.num_frames // CHUNK_FRAMES) * CHUNK_FRAMES for row in table.rows]
    *offsets, num_frames = accumulate(padded, initial=0)
    geometry = Geometry(reader.modalities, *reader.frame_size)
    content = Content(
        reader.attributes.to_json(),
        table.rows,
        tuple(reader.sources()),
        tuple(offsets),
        table.hashes,
        {modality: geometry.shape(modality, num_frames) for modality in reader.modalities},
    )
    _write_attributes(file, content, reader)
    _write_table(file, content, reader.attributes.classes)
    arrays = _create_arrays(file, content)
    for index, offset in enumerate(offsets):
        for modality, frames in _read_clip(reader, index).items():
            arrays[modality][offset : offset + len(frames)] = frames
        sink.check()
        if progress:
            progress(index + 1, len(offsets))


class _Sink(io.FileIO):
    """What HDF5 writes to.

    HDF5 takes the process down with it where a file that it has open cannot be written. So it never
    hears of a fault; :meth:`check` tells us.
    """

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
        """Raise what a write met."""
        if self.fault is not None:
            raise self.fault


@contextmanager
def _replacing(out: Path) -> Iterator[_Sink]:
    """Give a file that takes a name when the block ends, and is gone when it fails.

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
        sync_folder(out.parent)
    finally:
        with suppress(OSError):
            temporary.unlink()


def _write_attributes(file: h5py.File, content: Content, reader: StoreReader) -> None:
    stored = dict(content.stored)
    stored["store_format_version"] = stored.pop("format_version")
    packed = [n for n, v in sorted(stored.items()) if not isinstance(v, str | int | float)]
    own = {
        "format": FORMAT_NAME,
        "format_version": LAYOUT_VERSION,
        "about": _ABOUT.format(modality=reader.modalities[0]),
        "card": card_text(reader),
        "checksum": content.checksum(),
    }
    texts = {name: json.dumps(stored[name], ensure_ascii=False) for name in packed}
    # In one order, so that a store that came back is exported to the same bytes.
    for name, value in sorted({**own, **stored, **texts}.items()):
        file.attrs[name] = value
    file.attrs["json_attributes"] = np.array(packed, dtype=h5py.string_dtype())


def _write_table(file: h5py.File, content: Content, classes: Sequence[str]) -> None:
    rows = content.rows
    columns: dict[str, NDArray[Any]] = {
        "id": _texts([row.clip_id for row in rows]),
        "subject": _texts([row.subject for row in rows]),
        "split": _texts([row.split for row in rows]),
        "source": _texts(content.sources),
        "class_name": _texts([classes[row.label] for row in rows]),
        "label": np.array([row.label for row in rows], np.int32),
        "repetition": np.array([row.repetition for row in rows], np.int32),
        "num_frames": np.array([row.num_frames for row in rows], np.int32),
        "offset": np.array(content.offsets, np.int64),
        "sha256": np.frombuffer(b"".join(content.hashes), np.uint8).reshape(-1, 32),
    }
    for name, values in columns.items():
        file.create_dataset(f"clips/{name}", data=values, chunks=values.shape, **_PACKED)


def _texts(values: Sequence[str]) -> NDArray[np.bytes_]:
    """Return UTF-8 texts of one length: variable ones would lie where no checksum guards them."""
    packed = [value.encode() for value in values]
    return np.array(packed, h5py.string_dtype("utf-8", max(1, *map(len, packed))))


def _create_arrays(file: h5py.File, content: Content) -> dict[str, Any]:
    arrays: dict[str, Any] = {}
    for modality, shape in content.shapes.items():
        array = arrays[modality] = file.create_dataset(
            f"frames/{modality}",
            shape,
            np.uint8,
            chunks=(CHUNK_FRAMES, *shape[1:]),
            **_PACKED,
        )
        array.attrs["channels"] = _CHANNELS[behaves_like(modality)]
        for axis, name in enumerate(("time", "height", "width", "channel")):
            array.dims[axis].label = name
    return arrays


def _read_clip(reader: StoreReader, index: int) -> Frames:
    frames = {modality: reader.read(index, modality) for modality in reader.modalities}
    if clip_sha256(frames) != reader.table.hashes[index]:
        raise StoreError(
            f"{reader.path}: the frames of {reader.table.rows[index].clip_id} are not those that"
            " were written",
            "Copy the store again, or prepare it again with --overwrite.",
        )
    return frames
