import hashlib
import json
import shutil
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import zarr
from handmade_store import make_frames, make_plan, write_store, write_units
from hypothesis import given, settings
from hypothesis import strategies as st

from mtut_bench.contract.types import MODALITIES
from mtut_bench.errors import BusyError, StoreError
from mtut_bench.store import format as store
from mtut_bench.store import shards
from mtut_bench.store import writer as store_writer
from mtut_bench.store.format import (
    CHUNK_FRAMES,
    FLOW_LIMIT_PX,
    SHARD_FRAMES,
    decode_flow,
    encode_flow,
    layout_clips,
    stored_size,
)
from mtut_bench.store.reader import StoreReader, list_stores
from mtut_bench.store.verify import verify_store
from mtut_bench.store.writer import StoreWriter

LENGTHS = st.lists(
    st.one_of(st.integers(1, 90), st.sampled_from([639, 640, 641, 1280, 1500])),
    min_size=1,
    max_size=30,
)
ATTRIBUTES = [
    "format_version",
    "dataset",
    "origin",
    "complete",
    "expected_clips",
    "classes",
    "mirror",
    "fold_rule",
    "subject_unit",
    "fps",
    "depth_polarity",
    "flow",
    "colour",
    "alignment",
    "assumptions",
    "source",
    "licence",
    "set_aside",
    "modalities",
    "plan",
    "digest",
    "versions",
]
"""In the order in which they have always been written."""

# Three units: clips 0 and 1, clip 2, clips 3 and 4.
THREE_UNITS = (300, 310, 700, 9, 80)


@pytest.fixture
def plan():
    return make_plan(THREE_UNITS)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A store and the partial folder of a writer that was killed just before its end."""
    folder, plan = tmp_path_factory.mktemp("template"), make_plan(THREE_UNITS)
    writer = StoreWriter(folder / "killed.zarr", plan)
    writer.begin()
    write_units(writer, make_frames(plan))
    write_store(folder / "small.zarr", plan)
    return folder


@pytest.fixture
def path(tmp_path, template):
    return shutil.copytree(template / "small.zarr", tmp_path / "small.zarr")


def shard_files(path, modality="rgb"):
    return sorted((path / "frames" / modality / "c").glob("*/0/0/0"))


def digest_of(path):
    return StoreReader(path).attributes.digest


# Layout


@given(LENGTHS)
def test_clips_lie_in_order_in_units_of_whole_shards(lengths):
    layout = layout_clips(lengths)
    offsets, units = layout.offsets, layout.units
    assert all(offset % CHUNK_FRAMES == 0 for offset in offsets)
    assert all(a + n <= b for (a, b), n in zip(pairwise(offsets), lengths, strict=False))
    assert [index for unit in units for index in unit.places] == [*range(len(lengths))]
    assert (units[0].start, units[-1].stop) == (0, layout.num_frames)
    for before, after in pairwise(units):
        assert before.stop == after.start
        assert after.start % SHARD_FRAMES == 0
    for unit in units:
        assert unit.stop - unit.start <= SHARD_FRAMES or len(unit.places) == 1
        for index in unit.places:
            assert unit.start <= offsets[index]
            assert offsets[index] + lengths[index] <= unit.stop


def test_no_clip_has_an_empty_layout():
    assert layout_clips([]).num_frames == 0


@pytest.mark.parametrize(
    ("native", "stored"),
    [
        ((115, 250), (115, 250)),
        ((240, 320), (240, 320)),
        ((256, 999), (256, 999)),
        ((480, 640), (256, 341)),
        ((640, 480), (341, 256)),
    ],
)
def test_frames_are_stored_at_short_side_256_at_most(native, stored):
    assert stored_size(*native) == stored


# Round trip


@settings(max_examples=8)
@given(
    lengths=st.lists(st.sampled_from([1, 7, 8, 9, 80, 640, 641, 1300]), min_size=1, max_size=5),
    modalities=st.sets(st.sampled_from(MODALITIES), min_size=1),
)
def test_reader_returns_what_was_written(lengths, modalities):
    plan = make_plan(lengths, [m for m in MODALITIES if m in modalities], height=2, width=3)
    frames = make_frames(plan)
    with tempfile.TemporaryDirectory() as folder:
        write_store(Path(folder) / "a.zarr", plan, frames)
        reader = StoreReader(Path(folder) / "a.zarr")
        assert reader.table.rows == plan.rows
        assert reader.modalities == plan.geometry.modalities
        for index, clip in enumerate(frames):
            for modality, expected in clip.items():
                np.testing.assert_array_equal(reader.read(index, modality), expected)


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (3, 67), (636, 645), (690, 700), (5, None)])
def test_a_window_is_a_slice_of_the_whole(path, start, stop):
    reader = StoreReader(path)
    whole = reader.read(2, "rgb")
    np.testing.assert_array_equal(reader.read(2, "rgb", start, stop), whole[start:stop])


def test_a_window_never_reaches_into_the_next_clip(path):
    assert StoreReader(path).read(0, "depth", 290, 400).shape == (10, 3, 4, 1)


def test_table_keeps_every_column(path, plan):
    reader = StoreReader(path)
    assert reader.table.rows == plan.rows
    assert reader.sources() == list(plan.sources)
    assert reader.table.index == {f"clip{i}": i for i in range(5)}
    assert reader.frame_size == (3, 4)


def test_a_stranger_reads_frames_with_plain_zarr(path, plan):
    root = zarr.open_group(path, mode="r")
    i = root["clips/id"][:].tolist().index("clip3")
    start = int(root["clips/offset"][i])
    frames = root["frames/rgb"][start : start + int(root["clips/num_frames"][i])]
    label = root.attrs["classes"][int(root["clips/label"][i])]
    np.testing.assert_array_equal(frames, make_frames(plan)[3]["rgb"])
    assert label == "wave"


def test_arrays_have_the_documented_form(path):
    array = zarr.open_group(path, mode="r")["frames/rgb"]
    assert (array.metadata.zarr_format, array.dtype, array.shape[1:]) == (3, np.uint8, (3, 4, 3))
    assert (array.chunks, array.shards) == ((8, 3, 4, 3), (640, 3, 4, 3))
    (codec,) = array.compressors
    assert codec.to_dict()["configuration"]["level"] == 3


def test_black_shards_have_files(tmp_path):
    plan = make_plan([700])
    black = [{m: np.zeros_like(a) for m, a in make_frames(plan)[0].items()}]
    write_store(tmp_path / "black.zarr", plan, black)
    assert len(shard_files(tmp_path / "black.zarr")) == 2


def test_stores_are_listed_by_name(tmp_path):
    for name in ("b", "a"):
        write_store(tmp_path / f"{name}.zarr", make_plan([3]))
    (tmp_path / "c.partial").mkdir()
    assert [path.stem for path in list_stores(tmp_path)] == ["a", "b"]


# Digest


def test_digest_is_that_of_rows_and_frames_alone(path, plan):
    lines = []
    for row, clip in zip(plan.rows, make_frames(plan), strict=True):
        frames = b"".join(
            f"{m}{clip[m].shape}".encode() + clip[m].tobytes() for m in ("rgb", "depth")
        )
        values = [row.clip_id, row.subject, row.label, row.repetition, row.split, row.num_frames]
        values.append(hashlib.sha256(frames).hexdigest())
        lines.append(json.dumps(values, separators=(",", ":")) + "\n")
    assert digest_of(path) == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_digest_does_not_depend_on_chunks(path, plan, tmp_path, monkeypatch):
    for module in (store, store_writer, shards):
        monkeypatch.setattr(module, "CHUNK_FRAMES", 16)
        monkeypatch.setattr(module, "SHARD_FRAMES", 320)
    digest = write_store(tmp_path / "other.zarr", plan)
    assert zarr.open_group(tmp_path / "other.zarr", mode="r")["frames/rgb"].chunks[0] == 16
    assert digest == digest_of(path)


def test_digest_does_not_depend_on_the_order_of_units(path, plan, tmp_path):
    writer = StoreWriter(tmp_path / "other.zarr", plan)
    writer.begin()
    write_units(writer, make_frames(plan), writer.pending()[::-1])
    assert writer.finish({}) == digest_of(path)


def test_digest_does_not_depend_on_sources_and_versions(path, tmp_path):
    other = make_plan(THREE_UNITS, assumptions=["another"])
    assert write_store(tmp_path / "other.zarr", other) == digest_of(path)


# Kills


@pytest.fixture
def killed(tmp_path, template, plan):
    """A writer that was killed when its three units were written and nothing else."""
    shutil.copytree(template / "killed.partial", tmp_path / "killed.partial")
    return StoreWriter(tmp_path / "killed.zarr", plan)


def resume(writer):
    writer.begin()
    indices = [unit.index for unit, _ in writer.pending()]
    write_units(writer, make_frames(writer.plan))
    return indices, writer.finish({})


def test_nothing_has_the_final_name_before_the_end(killed):
    assert not killed.path.exists()
    assert list_stores(killed.path.parent) == []


def test_finished_units_are_not_written_again(killed, path):
    assert resume(killed) == ([], digest_of(path))


def test_unit_without_done_marker_is_written_again(killed, path):
    (killed.partial / "done" / "000001.json").unlink()
    assert resume(killed) == ([1], digest_of(path))


def test_torn_shard_is_written_again(killed, path):
    shard = shard_files(killed.partial / "store.zarr")[0]
    shard.write_bytes(shard.read_bytes()[:100])
    assert resume(killed) == ([0], digest_of(path))
    assert verify_store(killed.path).faults == ()


def test_torn_done_marker_is_written_again(killed, path):
    (killed.partial / "done" / "000002.json").write_text('{"sha')
    assert resume(killed) == ([2], digest_of(path))


def test_what_a_killed_write_left_is_not_in_the_store(killed):
    shard = shard_files(killed.partial / "store.zarr")[0]
    shard.with_suffix(".0123.partial").write_bytes(b"half a shard")
    resume(killed)
    assert not list(killed.path.rglob("*.partial"))


def test_kill_before_the_arrays_are_complete_begins_anew(killed, path):
    (killed.partial / "plan.json").unlink()
    assert resume(killed) == ([0, 1, 2], digest_of(path))


def test_kill_while_the_table_is_written_resumes(killed, path):
    root = zarr.open_group(killed.partial / "store.zarr", mode="r+")
    root.require_group("clips").create_array("label", data=np.zeros(3, np.int32))
    assert resume(killed) == ([], digest_of(path))


def test_kill_between_the_two_renames_resumes(path, killed):
    old = killed.path.with_suffix(".old")
    shutil.copytree(path, old)
    assert resume(killed) == ([], digest_of(path))
    assert not old.exists()


def test_kill_after_the_renames_leaves_nothing_in_the_way(path, plan):
    old, partial = path.with_suffix(".old"), path.with_suffix(".partial")
    shutil.copytree(path, old)
    partial.mkdir()
    (partial / "plan.json").write_text('{"fingerprint": "of an older plan"}')
    indices, digest = resume(StoreWriter(path, plan))
    assert (indices, digest) == ([0, 1, 2], digest_of(path))
    assert [p.name for p in path.parent.iterdir() if not p.name.startswith(".")] == ["small.zarr"]


def test_partial_store_of_another_plan_is_refused(killed):
    other = StoreWriter(killed.path, make_plan([5, 6]))
    with pytest.raises(StoreError, match=r"killed\.partial") as caught:
        other.begin()
    assert "--overwrite" in caught.value.hint
    assert killed.pending() == []


def test_restart_replaces_a_partial_store_of_another_plan(killed):
    other = StoreWriter(killed.path, make_plan([5, 6]))
    other.begin(restart=True)
    assert len(other.pending()) == 1


def test_finish_replaces_an_older_store(path):
    assert write_store(path, make_plan([5, 6])) == digest_of(path)
    assert len(StoreReader(path).table.rows) == 2
    assert not path.with_suffix(".old").exists()


def test_second_writer_is_kept_out(tmp_path, plan):
    first, second = (StoreWriter(tmp_path / "a.zarr", plan) for _ in range(2))
    with first.lock(), pytest.raises(BusyError, match=r"a\.zarr"), second.lock():
        pass


# Damage


def edit_attributes(path, **changes):
    zarr.open_group(path, mode="r+").attrs.update(changes)


def test_missing_store_says_how_to_make_one(tmp_path):
    with pytest.raises(StoreError, match=r"none\.zarr") as caught:
        StoreReader(tmp_path / "none.zarr")
    assert "mtut-bench prepare" in caught.value.hint


def test_newer_version_is_refused(path):
    edit_attributes(path, format_version=2)
    with pytest.raises(StoreError, match="version 2"):
        StoreReader(path)


@pytest.mark.parametrize("content", [None, "", '{"zarr_format": 3, "node_ty', "[]"])
def test_missing_or_torn_group_is_refused(path, content):
    (path / "zarr.json").unlink()
    if content is not None:
        (path / "zarr.json").write_text(content)
    with pytest.raises(StoreError, match=r"small\.zarr"):
        StoreReader(path)


def test_foreign_zarr_group_is_refused(tmp_path):
    zarr.open_group(tmp_path / "foreign.zarr", mode="w")
    with pytest.raises(StoreError, match=r"foreign\.zarr"):
        StoreReader(tmp_path / "foreign.zarr")


def test_lacking_attributes_are_named(path):
    root = zarr.open_group(path, mode="r+")
    root.attrs.put({k: v for k, v in root.attrs.items() if k not in ("fps", "mirror")})
    with pytest.raises(StoreError, match="fps, mirror"):
        StoreReader(path)


WRONG = {
    "fps": "fast",
    "origin": "filmed",
    "classes": ["wave", 2, "swipe"],
    "set_aside": [["clip1"]],
    "format_version": True,
}


@pytest.mark.parametrize("name", WRONG)
def test_attribute_of_another_kind_is_named_with_its_value(path, name):
    edit_attributes(path, **{name: WRONG[name]})
    with pytest.raises(StoreError) as caught:
        StoreReader(path)
    assert caught.value.what.startswith(f"{path}: the attribute {name} is {WRONG[name]!r}: ")


def test_value_of_a_wrong_attribute_is_shown_in_short(path):
    edit_attributes(path, assumptions=["assumed"] * 1000 + [1])
    with pytest.raises(StoreError, match="the attribute assumptions is ") as caught:
        StoreReader(path)
    assert len(caught.value.what) < len(str(path)) + 200


def test_attributes_of_a_later_version_are_passed_over(path):
    before = StoreReader(path).attributes
    edit_attributes(path, weather="rain")
    assert StoreReader(path).attributes == before


@pytest.mark.parametrize("fps", [30, 29.97])
def test_attributes_are_read_as_they_were_written(tmp_path, fps):
    # Text for text: a plan's fingerprint and an HDF5 file's checksum are made of it.
    frames = make_frames(plan := make_plan([3, 9], mirror=None, fps=fps))
    frames[1] = "clip1.avi is cut short"
    write_store(tmp_path / "a.zarr", plan, frames)
    written = json.loads((tmp_path / "a.zarr" / "zarr.json").read_text())["attributes"]
    attributes = StoreReader(tmp_path / "a.zarr").attributes
    assert json.dumps(attributes.to_json()) == json.dumps(written)
    assert list(written) == ATTRIBUTES
    assert attributes.facts() == plan.facts


@pytest.mark.parametrize("name", ["frames/rgb", "clips/label", "shards/rgb"])
def test_missing_array_is_named(path, name):
    shutil.rmtree(path / name)
    with pytest.raises(StoreError, match=name):
        StoreReader(path).check_files()


def test_torn_array_metadata_is_named(path):
    (path / "frames" / "rgb" / "zarr.json").write_text('{"shape": [')
    with pytest.raises(StoreError, match="frames/rgb"):
        StoreReader(path).read(0, "rgb")


def test_missing_shard_is_found_without_reading_frames(path):
    shard_files(path)[1].unlink()
    with pytest.raises(StoreError, match=r"^.* 1 .*rgb/c/1/0/0/0 "):
        StoreReader(path).check_files()


def test_truncated_shards_are_counted(path):
    for shard in shard_files(path)[:2]:
        shard.write_bytes(shard.read_bytes()[:50])
    with pytest.raises(StoreError, match=r"^.* 2 .*c/0/0/0/0 \(50 bytes"):
        StoreReader(path).check_files()


def test_reading_a_truncated_shard_names_clip_and_modality(path):
    shard = shard_files(path)[0]
    shard.write_bytes(shard.read_bytes()[:50])
    with pytest.raises(StoreError, match=r"clip0 \(rgb\)"):
        StoreReader(path).read(0, "rgb")


def test_lost_column_is_not_read_as_zeros(path):
    shutil.rmtree(path / "clips" / "label" / "c")
    with pytest.raises(StoreError, match="digest"):
        StoreReader(path).check_files()


def test_lost_offsets_are_found(path):
    shutil.rmtree(path / "clips" / "offset" / "c")
    with pytest.raises(StoreError, match="overlap"):
        StoreReader(path).check_files()


def test_columns_of_different_lengths_are_refused(path):
    group = zarr.open_group(path, mode="r+")["clips"]
    group.create_array("label", data=np.zeros(3, np.int32), overwrite=True)
    with pytest.raises(StoreError, match="length"):
        _ = StoreReader(path).table


# Flow code


def test_flow_code_of_zero_is_128():
    assert encode_flow(np.zeros(1, np.float32)) == 128
    assert decode_flow(np.uint8([128])) == 0


def test_mirrored_flow_is_256_minus_the_code():
    flow = np.linspace(-25, 25, 10_001, dtype=np.float32)
    np.testing.assert_array_equal(encode_flow(-flow), 256 - encode_flow(flow).astype(int))


def test_flow_error_is_half_a_step_at_most():
    flow = np.linspace(-20, 20, 10_001, dtype=np.float32)
    # float32 keeps 20 to 1e-6.
    limit = FLOW_LIMIT_PX / 127 / 2 + 1e-5
    assert np.abs(decode_flow(encode_flow(flow)) - flow).max() <= limit


def test_flow_is_clipped_at_twenty_pixels():
    code = encode_flow(np.float32([-1e9, -20, 20, 1e9]))
    assert code.tolist() == [1, 1, 255, 255]
    assert decode_flow(code) == pytest.approx([-20, -20, 20, 20])


def test_every_code_survives_decoding():
    codes = np.arange(1, 256, dtype=np.uint8)
    np.testing.assert_array_equal(encode_flow(decode_flow(codes)), codes)


def test_any_changed_byte_of_a_frame_is_an_error_where_it_is_read(path):
    # Noise does not compress, so most bytes of a shard are stored as they are: without a checksum
    # a changed one would be a changed pixel.
    shard = shard_files(path)[0]
    whole = shard.read_bytes()
    for place in np.linspace(len(whole) * 0.05, len(whole) * 0.7, 12).astype(int):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        shard.write_bytes(damaged)
        with pytest.raises(StoreError, match="cannot be read"):
            [StoreReader(path).read(index, "rgb") for index in (0, 1)]
