"""The store on disk, format version 1, for writer and reader.

A store is one Zarr v3 group ``<name>.zarr``::

    attributes          see mtut_bench.store.attributes.StoreAttributes
    clips/id            string (N,)      unique clip ids
    clips/subject       string (N,)      person (or user, see 'subject_unit')
    clips/split         string (N,)      'train', 'val', 'test' or ''
    clips/source        string (N,)      JSON: where the frames came from, relative paths
    clips/label         int32 (N,)       class index, 0-based
    clips/repetition    int32 (N,)       which take, -1 unknown
    clips/num_frames    int32 (N,)       T of the clip, alike for all modalities
    clips/offset        int64 (N,)       first frame of the clip in every frames array
    clips/sha256        uint8 (N, 32)    SHA-256 of the clip's frames
    frames/rgb          uint8 (T_total, H, W, 3)
    frames/depth        uint8 (T_total, H, W, 1)
    frames/flow         uint8 (T_total, H, W, 2)   u: (u - 128) * 20 / 127 pixels; 128 is 0
    frames/<other>      uint8 (T_total, H, W, C)   C as mtut_bench.contract.types.num_channels
    shards/<modality>   int64 (S,)       bytes of each shard file, to notice a truncated copy

Frames are in chunks of 8 frames and shards of 640, zstd level 3 with zstd's own checksum, so that a
changed byte is an error wherever it is read; without a shuffle filter (it hurts uint8 video). Clips
start on a chunk boundary and a shard is written whole by one process, so no clip crosses into a
shard of another. All shards exist, black ones too.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from mtut_bench.contract.types import ClipRow, num_channels, sort_modalities
from mtut_bench.files import canonical_json
from mtut_bench.store.attributes import FORMAT_VERSION, StoreFacts

__all__ = [
    "CHUNK_FRAMES",
    "FLOW_LIMIT_PX",
    "MAX_SHORT_SIDE_PX",
    "SHARD_FRAMES",
    "Geometry",
    "Layout",
    "StorePlan",
    "Unit",
    "clip_sha256",
    "content_digest",
    "decode_flow",
    "encode_flow",
    "layout_clips",
    "number_columns",
    "stored_size",
]

CHUNK_FRAMES = 8
SHARD_FRAMES = 640
MAX_SHORT_SIDE_PX = 256
FLOW_LIMIT_PX = 20.0


@dataclass(frozen=True)
class Geometry:
    """Names and shape of a store's frames.

    Attributes:
        modalities: in the order of :func:`mtut_bench.contract.types.sort_modalities`.
        height, width: of every frame, pixels.
    """

    modalities: tuple[str, ...]
    height: int
    width: int

    def shape(self, modality: str, num_frames: int) -> tuple[int, int, int, int]:
        """Return the (T, H, W, C) shape of a modality's frames."""
        return num_frames, self.height, self.width, num_channels(modality)


@dataclass(frozen=True)
class Unit:
    """What one process writes at once: whole shards, and the clips in them.

    Attributes:
        index: position among the units of a store.
        start, stop: half-open range of frames; start is a multiple of SHARD_FRAMES.
        places: half-open range of frames of each clip, by clip index.
    """

    index: int
    start: int
    stop: int
    places: Mapping[int, tuple[int, int]]


@dataclass(frozen=True)
class Layout:
    """Where the clips lie in the frames arrays: offset of each clip, units, total frames."""

    offsets: tuple[int, ...]
    units: tuple[Unit, ...]
    num_frames: int


@dataclass(frozen=True)
class StorePlan:
    """All that is known before the first frame is written.

    Attributes:
        rows: the clip table.
        sources: JSON text per clip: relative paths and windows.
        geometry: modalities and size of the stored frames.
        facts: become attributes of the store.
    """

    rows: tuple[ClipRow, ...]
    sources: tuple[str, ...]
    geometry: Geometry
    facts: StoreFacts

    def fingerprint(self) -> str:
        """Return a SHA-256 that changes with anything that changes the store's content."""
        rows = [
            [*_row_values(row), source] for row, source in zip(self.rows, self.sources, strict=True)
        ]
        facts = structs.asdict(self.facts)
        # Another wording of an assumption changes no frame.
        del facts["assumptions"]
        shape = self.geometry
        text = canonical_json(
            [FORMAT_VERSION, rows, shape.modalities, shape.height, shape.width, facts]
        )
        return hashlib.sha256(text.encode()).hexdigest()


def stored_size(height: int, width: int, largest: int = MAX_SHORT_SIDE_PX) -> tuple[int, int]:
    """Return the (height, width) that frames are stored at.

    Args:
        height: as recorded, pixels.
        width: as recorded, pixels.
        largest: short side of the store where the recorded one is above it.
    """
    short = min(height, width)
    if short <= largest:
        return height, width
    return round(height * largest / short), round(width * largest / short)


def layout_clips(num_frames: Sequence[int]) -> Layout:
    """Lay clips out in order, each on a chunk boundary and none across the end of a unit.

    A unit is one shard, or as many as its only clip needs. The last unit is cut to whole chunks.

    Args:
        num_frames: length of each clip, frames, at least 1.
    """
    offsets: list[int] = []
    units: list[Unit] = []
    places: dict[int, tuple[int, int]] = {}
    start, used = 0, 0
    for index, length in enumerate(num_frames):
        padded = -(-length // CHUNK_FRAMES) * CHUNK_FRAMES
        if used and used + padded > SHARD_FRAMES:
            stop = start + -(-used // SHARD_FRAMES) * SHARD_FRAMES
            units.append(Unit(len(units), start, stop, places))
            places, start, used = {}, stop, 0
        offsets.append(start + used)
        places[index] = (start + used, start + used + length)
        used += padded
    if used:
        units.append(Unit(len(units), start, start + used, places))
    return Layout(tuple(offsets), tuple(units), units[-1].stop if units else 0)


def clip_sha256(frames: Mapping[str, NDArray[np.uint8]]) -> bytes:
    """Return the SHA-256 of a clip's frames: name, shape and bytes of each modality in order."""
    digest = hashlib.sha256()
    for modality in sort_modalities(frames):
        array = np.ascontiguousarray(frames[modality])
        digest.update(f"{modality}{array.shape}".encode())
        digest.update(array.data)
    return digest.digest()


def content_digest(rows: Iterable[ClipRow], hashes: Iterable[bytes]) -> str:
    """Return a store's content digest: SHA-256 over clip rows (without paths) and frame bytes.

    It depends on what is stored, not on versions, compression, chunks or worker counts.
    """
    digest = hashlib.sha256()
    for row, frames in zip(rows, hashes, strict=True):
        digest.update(canonical_json([*_row_values(row), frames.hex()]).encode() + b"\n")
    return digest.hexdigest()


def number_columns(
    rows: Sequence[ClipRow], offsets: Sequence[int], hashes: Sequence[bytes]
) -> dict[str, NDArray[Any]]:
    """Return the columns of a clip table that hold numbers.

    Args:
        rows: the clips.
        offsets: first frame of each clip in the frames arrays.
        hashes: SHA-256 of each clip's frames.
    """
    return {
        "label": np.array([row.label for row in rows], np.int32),
        "repetition": np.array([row.repetition for row in rows], np.int32),
        "num_frames": np.array([row.num_frames for row in rows], np.int32),
        "offset": np.array(offsets, np.int64),
        "sha256": np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, 32),
    }


def _row_values(row: ClipRow) -> list[str | int]:
    return [row.clip_id, row.subject, row.label, row.repetition, row.split, row.num_frames]


def encode_flow(flow_px: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the code of a flow: u = 128 + round(v * 127 / 20), clipped to 1..255.

    Args:
        flow_px: displacement in pixels of the stored frame, any shape, channels (x, y) last.
    """
    code = np.rint(flow_px * np.float32(127.0 / FLOW_LIMIT_PX)) + 128.0
    return np.clip(code, 1, 255).astype(np.uint8)


def decode_flow(code: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the flow of a code: (u - 128) * 20 / 127 pixels of the stored frame."""
    return (code.astype(np.float32) - 128.0) * np.float32(FLOW_LIMIT_PX / 127.0)
