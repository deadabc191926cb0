"""Make a store of an exported HDF5 file: every clip checked, resumable, never half-written."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from mtut_bench.contract.types import ClipRow
from mtut_bench.errors import StoreError
from mtut_bench.files import StrPath, sha256_of_json
from mtut_bench.store.attributes import StoreAttributes, read_attributes
from mtut_bench.store.format import Geometry, StorePlan, clip_sha256, content_digest
from mtut_bench.store.hdf5.layout import FORMAT_NAME, LAYOUT_VERSION, OWN_ATTRIBUTES, Content
from mtut_bench.store.writer import Frames, StoreWriter, write_unit

__all__ = ["import_hdf5"]

Progress = Callable[[int, int], None]

_ROW = ("id", "subject", "label", "repetition", "split", "num_frames")
_COLUMNS = (*_ROW, "source", "offset", "sha256")
_HOW = "How to make one: `mtut-bench export --help`."
_CURE = "Copy the file again, or export it again from the store."


@dataclass(frozen=True)
class _KnownPlan(StorePlan):
    """A plan whose fingerprint is given: where clips were set aside theirs cannot be computed."""

    known: str = ""

    def fingerprint(self) -> str:
        return self.known


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
    file, path = Path(file), Path(path)
    with _open(file) as opened:
        content, attributes = _read_content(opened, file)
        plan = _plan(content, attributes)
        # Frames that another preparation of the same plan left may be others.
        begun = replace(plan, known=sha256_of_json(["hdf5", content.checksum()]))
        writer = StoreWriter(path, begun)
        with writer.lock():
            if path.exists() and not overwrite:
                hint = "Give --overwrite to replace it, or another name with --store."
                raise StoreError(f"the store {path} exists already", hint)
            try:
                writer.begin(restart=overwrite)
                _copy_frames(opened, file, content, attributes, writer, progress)
                writer.plan = plan
                return writer.finish(attributes.versions)
            except OSError as error:
                raise StoreError(
                    f"cannot write {writer.partial}: {error.strerror or error}",
                    "Free some space or choose a folder that you may write to; what is finished is"
                    " kept, and the same command takes it up again.",
                ) from error


@contextmanager
def _reading(what: str) -> Iterator[None]:
    """Turn what HDF5 raises for a damaged file, many types, into one error."""
    try:
        yield
    except StoreError:
        raise
    except Exception as error:
        raise StoreError(f"{what} cannot be read: {error}", _CURE) from error


@contextmanager
def _open(file: Path) -> Iterator[h5py.File]:
    if not file.is_file():
        raise StoreError(f"there is no file {file}", _HOW)
    if not h5py.is_hdf5(file):
        raise StoreError(f"{file} is no HDF5 file", _CURE)
    with _reading(str(file)):
        opened = h5py.File(file, "r")
    with opened:
        with _reading(str(file)):
            known = {name: opened.attrs[name] for name in opened.attrs if name in OWN_ATTRIBUTES}
        form, version = known.get("format"), known.get("format_version")
        if form != FORMAT_NAME or not isinstance(version, np.integer):
            raise StoreError(
                f"{file} is an HDF5 file of another kind: its attribute 'format' is {form!r}",
                _HOW,
            )
        if version > LAYOUT_VERSION:
            raise StoreError(
                f"{file} has layout version {version}; this mtut-bench reads up to"
                f" {LAYOUT_VERSION}",
                "Install a newer mtut-bench.",
            )
        yield opened


def _read_content(opened: h5py.File, file: Path) -> tuple[Content, StoreAttributes]:
    """Return what a file says of its clips, checked."""
    columns = {name: _dataset(opened, file, f"clips/{name}") for name in _COLUMNS}
    if len({column.shape[:1] for column in columns.values()}) != 1:
        # Not left to the checksum: reading a column of a length that is damaged may take for ever.
        raise StoreError(f"{file}: the columns of the clip table differ in length", _CURE)
    *fields, sources, offsets, hashes = (_values(file, column) for column in columns.values())
    with _reading(f"{file}: its attributes"):
        stored = _read_stored(opened)
        shapes = {m: _dataset(opened, file, f"frames/{m}").shape for m in stored["modalities"]}
    with _reading(f"{file}: the clip table"):
        content = Content(
            stored,
            tuple(map(ClipRow._make, zip(*(field.tolist() for field in fields), strict=True))),
            tuple(sources.tolist()),
            tuple(offsets.tolist()),
            tuple(row.tobytes() for row in hashes),
            shapes,
        )
        sound = content.checksum() == opened.attrs["checksum"]
    if not sound:
        raise StoreError(f"{file}: attributes, table or shapes are not as they were written", _CURE)
    attributes = read_attributes(stored, f"{file}: the store in it", _CURE)
    digest = content_digest(content.rows, content.hashes)
    if digest != attributes.digest:
        raise StoreError(
            f"{file}: the clip table gives the digest {digest} instead of {attributes.digest}",
            _CURE,
        )
    return content, attributes


def _read_stored(opened: h5py.File) -> dict[str, Any]:
    packed = set(opened.attrs["json_attributes"])
    stored: dict[str, Any] = {}
    for name, value in opened.attrs.items():
        if name in packed:
            stored[name] = json.loads(value)
        elif name not in OWN_ATTRIBUTES:
            plain = value.item() if isinstance(value, np.generic) else value
            stored[name.removeprefix("store_")] = plain
    return stored


def _dataset(opened: h5py.File, file: Path, name: str) -> h5py.Dataset:
    try:
        found = opened[name]
    except Exception as error:
        raise StoreError(f"{file} has no readable dataset {name}: {error}", _CURE) from error
    if not isinstance(found, h5py.Dataset):
        raise StoreError(f"{file} has a group in place of the dataset {name}", _CURE)
    return found


def _values(file: Path, column: h5py.Dataset) -> NDArray[Any]:
    with _reading(f"{file}: {column.name}"):
        texts = h5py.check_string_dtype(column.dtype) is not None
        return np.atleast_1d(column.asstr()[...] if texts else column[...])


def _plan(content: Content, attributes: StoreAttributes) -> _KnownPlan:
    _, height, width, _ = next(iter(content.shapes.values()))
    # The writer lists what was set aside by its place: each such clip gets one, of a black frame.
    aside = [ClipRow(clip_id, "", 0, -1, "", 1) for clip_id, _ in attributes.set_aside]
    return _KnownPlan(
        rows=(*content.rows, *aside),
        sources=(*content.sources, *("" for _ in aside)),
        geometry=Geometry(tuple(content.shapes), height, width),
        facts=attributes.facts(),
        known=attributes.plan,
    )


def _copy_frames(
    opened: h5py.File,
    file: Path,
    content: Content,
    attributes: StoreAttributes,
    writer: StoreWriter,
    progress: Progress | None,
) -> None:
    total, pending = len(content.rows), writer.pending()
    arrays = {m: _dataset(opened, file, f"frames/{m}") for m in writer.plan.geometry.modalities}

    def clips(indices: Sequence[int]) -> Iterator[tuple[int, Frames | str]]:
        for index in indices:
            if index >= total:
                yield index, attributes.set_aside[index - total][1]
            else:
                yield index, _read_clip(file, arrays, content, index)

    done = total - sum(index < total for _, indices in pending for index in indices)
    for unit, indices in pending:
        if progress:
            progress(done, total)
        write_unit(writer.partial, writer.plan.geometry, unit, clips(indices))
        done += sum(index < total for index in indices)
    if progress:
        progress(done, total)


def _read_clip(
    file: Path, arrays: Mapping[str, h5py.Dataset], content: Content, index: int
) -> Frames:
    row, start = content.rows[index], content.offsets[index]
    with _reading(f"{file}: clip {row.clip_id}"):
        frames = {m: array[start : start + row.num_frames] for m, array in arrays.items()}
        sound = clip_sha256(frames) == content.hashes[index]
    if not sound:
        raise StoreError(f"{file}: the frames of {row.clip_id} are not those of its SHA-256", _CURE)
    return frames
