import zarr
from handmade_store import make_plan, write_store

from mtut_bench.verification import verify_store


def make(tmp_path):
    path = tmp_path / "small.zarr"
    return path, write_store(path, make_plan([20, 30, 640, 5]))


def shard(path, number, modality="rgb"):
    return path / "frames" / modality / f"c/{number}/0/0/0"


def test_sound_store_has_no_fault(tmp_path):
    path, digest = make(tmp_path)
    found = verify_store(path)
    assert (found.faults, found.num_clips, found.digest) == ((), 4, digest)
    assert found.describe() == [f"4 clips, digest {digest}"]


def test_every_clip_is_counted(tmp_path):
    path, _ = make(tmp_path)
    calls = []
    verify_store(path, lambda *call: calls.append(call))
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_changed_frame_is_found(tmp_path):
    path, _ = make(tmp_path)
    array = zarr.open_group(path, mode="r+")["frames/depth"]
    array[41, 0, 0, 0] = 255 - array[41, 0, 0, 0]
    assert "the frames of clip1 are not those that were written" in verify_store(path).faults


def test_flipped_byte_of_a_shard_is_found(tmp_path):
    path, _ = make(tmp_path)
    data = bytearray(shard(path, 1).read_bytes())
    data[len(data) // 2] ^= 1
    shard(path, 1).write_bytes(data)
    faults = verify_store(path).faults
    assert len(faults) == 1
    assert "clip2" in faults[0]


def test_truncated_shard_names_file_and_clips(tmp_path):
    path, _ = make(tmp_path)
    shard(path, 0).write_bytes(shard(path, 0).read_bytes()[:64])
    faults = verify_store(path).faults
    assert str(shard(path, 0)) in faults[0]
    assert ["clip0" in faults[1], "clip1" in faults[2], len(faults)] == [True, True, 3]


def test_missing_shard_is_found_although_zarr_reads_zeros(tmp_path):
    path, _ = make(tmp_path)
    shard(path, 2).unlink()
    first, *others = verify_store(path).faults
    assert "(missing)" in first
    assert others == ["the frames of clip3 are not those that were written"]


def test_changed_label_is_found(tmp_path):
    path, _ = make(tmp_path)
    zarr.open_group(path, mode="r+")["clips/label"][0] = 2
    assert verify_store(path).faults == (
        "the clip table does not give the recorded content digest",
    )
