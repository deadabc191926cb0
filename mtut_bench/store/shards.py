"""Shard files: what zarr's sharding codec makes of a unit's frames, byte for byte.

Assigning a whole shard of 8 clips to a zarr array writes the same bytes and takes 1.3 times the CPU
time of this module at 250 x 115 pixels, 1.55 times at 320 x 240, 4.1 times at 32 x 24 (medians of 9
on one core, zarr 3.1), and needs all its frames in memory at once, 147 MB at 320 x 240; here a clip
is packed as soon as it is there.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import google_crc32c
import numpy as np
from numcodecs.zstd import Zstd
from numpy.typing import NDArray

from mtut_bench.files import StrPath
from mtut_bench.store.format import CHUNK_FRAMES, SHARD_FRAMES

__all__ = ["pack_frames", "write_shard"]

_CODEC = Zstd(level=3, checksum=True)


def pack_frames(frames_THWC: NDArray[np.uint8]) -> list[bytes]:
    """Return the compressed chunks of frames; the last one is filled up with black.

    Args:
        frames_THWC: uint8 (T, H, W, C), T at least 1.
    """
    chunks = [frames_THWC[i : i + CHUNK_FRAMES] for i in range(0, len(frames_THWC), CHUNK_FRAMES)]
    length = len(chunks[-1])
    if length < CHUNK_FRAMES:
        filled = np.zeros((CHUNK_FRAMES, *frames_THWC.shape[1:]), np.uint8)
        filled[:length] = chunks[-1]
        chunks[-1] = filled
    return [bytes(_CODEC.encode(np.ascontiguousarray(chunk))) for chunk in chunks]


def write_shard(path: StrPath, chunks: Sequence[bytes]) -> None:
    """Write a shard file that survives a power cut: chunks, their places, CRC-32C of the places.

    Args:
        path: the file; its folders are made.
        chunks: those of the shard, in order; fewer in the last shard of an array.
    """
    path = Path(path)
    sizes = np.array([len(chunk) for chunk in chunks], "<u8")
    # The largest number stands for a chunk beyond the end of the array.
    places = np.full((SHARD_FRAMES // CHUNK_FRAMES, 2), np.iinfo(np.uint64).max, "<u8")
    places[: len(chunks), 0] = np.cumsum(sizes) - sizes
    places[: len(chunks), 1] = sizes
    index = places.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.writelines([*chunks, index, google_crc32c.value(index).to_bytes(4, "little")])
        file.flush()
        os.fsync(file.fileno())
