"""Shard files are what zarr writes."""

import numpy as np
import pytest
import zarr
from zarr.codecs import ZstdCodec

from mtut_bench.store.format import CHUNK_FRAMES, SHARD_FRAMES
from mtut_bench.store.shards import pack_frames, write_shard

SIZE = (12, 16, 3)


def frames_of(length):
    frames = np.random.default_rng(length).integers(0, 9, (length, *SIZE), dtype=np.uint8)
    frames[8:16] = 0  # a black chunk is a chunk
    return frames


def zarr_shard(path, frames, total):
    """Return the bytes of the first shard of an array that zarr writes."""
    with zarr.config.set({"array.write_empty_chunks": True}):
        array = zarr.create_array(
            path,
            shape=(total, *SIZE),
            chunks=(CHUNK_FRAMES, *SIZE),
            shards=(SHARD_FRAMES, *SIZE),
            dtype="uint8",
            compressors=ZstdCodec(level=3, checksum=True),
            fill_value=0,
        )
        array[: len(frames)] = frames
    return (path / "c/0/0/0/0").read_bytes()


@pytest.mark.parametrize("total", [40, SHARD_FRAMES, SHARD_FRAMES + 40])
def test_a_shard_is_zarrs_byte_for_byte(tmp_path, total):
    frames = frames_of(min(total, SHARD_FRAMES))
    write_shard(tmp_path / "a" / "shard", pack_frames(frames))
    assert (tmp_path / "a" / "shard").read_bytes() == zarr_shard(tmp_path / "z", frames, total)


def test_the_last_chunk_is_filled_with_black():
    frames = frames_of(21)
    filled = np.concatenate([frames, np.zeros((3, *SIZE), np.uint8)])
    assert pack_frames(frames) == pack_frames(filled)
    assert len(pack_frames(frames)) == 3


def test_a_shard_that_is_there_is_replaced(tmp_path):
    path = tmp_path / "shard"
    path.write_bytes(b"torn" * 10_000)
    write_shard(path, pack_frames(frames_of(8)))
    fresh = tmp_path / "fresh"
    write_shard(fresh, pack_frames(frames_of(8)))
    assert path.read_bytes() == fresh.read_bytes()
