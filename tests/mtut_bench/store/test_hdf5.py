import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from handmade_store import make_frames, make_plan, write_store
from processes import started

from mtut_bench.errors import MtutBenchError, StoreError
from mtut_bench.store.attributes import StoreAttributes
from mtut_bench.store.format import StorePlan
from mtut_bench.store.hdf5 import export_hdf5, import_hdf5
from mtut_bench.store.reader import StoreReader
from mtut_bench.store.verify import verify_store
from mtut_bench.store.writer import StoreWriter

# Three units: clips 0 and 1, clip 2 (longer than a shard), clips 3 and 4.
LENGTHS = (300, 310, 700, 9, 80)

EXPORT = """
import signal, sys
from pathlib import Path
from mtut_bench.store.hdf5 import export_hdf5
from mtut_bench.store.reader import StoreReader
def wait(done, total):
    print("busy", flush=True)
    signal.pause()
export_hdf5(StoreReader(Path(sys.argv[1])), Path(sys.argv[2]), progress=wait)
"""
FULL = """
import resource, signal, sys
from pathlib import Path
from mtut_bench.errors import MtutBenchError
from mtut_bench.store.hdf5 import export_hdf5
from mtut_bench.store.reader import StoreReader
reader = StoreReader(Path(sys.argv[1]))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
try:
    export_hdf5(reader, Path(sys.argv[2]))
except MtutBenchError as error:
    print(error.what)
"""


class KilledError(Exception):
    """Stands for a kill."""


def kill_at(count):
    """Return a progress that raises when so many clips are done."""

    def progress(done, total):
        if done >= count:
            raise KilledError

    return progress


def names(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


@pytest.fixture(scope="module")
def plan():
    return make_plan(LENGTHS, ("rgb", "flow", "ir"))


@pytest.fixture(scope="module")
def exported(tmp_path_factory, plan):
    """A folder with a store and its export."""
    folder = tmp_path_factory.mktemp("exported")
    write_store(folder / "a.zarr", plan)
    export_hdf5(StoreReader(folder / "a.zarr"), folder / "a.h5")
    return folder


@pytest.fixture
def reader(exported):
    return StoreReader(exported / "a.zarr")


@pytest.fixture
def file(exported, tmp_path):
    """A copy of the export that a test may change."""
    path = tmp_path / "a.h5"
    path.write_bytes((exported / "a.h5").read_bytes())
    return path


# Round trip


def there_and_back(tmp_path, plan, frames=None):
    """Write a store, export it, import the file; return a reader of each store."""
    digest = write_store(tmp_path / "a.zarr", plan, frames)
    before = StoreReader(tmp_path / "a.zarr")
    export_hdf5(before, tmp_path / "a.h5")
    assert import_hdf5(tmp_path / "a.h5", tmp_path / "b.zarr") == digest
    after = StoreReader(tmp_path / "b.zarr")
    assert after.attributes == before.attributes
    assert (after.table.rows, after.table.hashes) == (before.table.rows, before.table.hashes)
    assert after.sources() == before.sources()
    assert verify_store(after.path).faults == ()
    return before, after


@pytest.mark.parametrize("modalities", [("rgb",), ("depth", "ir"), ("rgb", "flow", "flow_dis")])
def test_a_store_comes_back_as_it_was(tmp_path, modalities):
    plan = make_plan([1, 8, 641, 17], modalities, mirror=None, fps=29.97)
    _, after = there_and_back(tmp_path, plan)
    for index, frames in enumerate(make_frames(plan)):
        for modality, expected in frames.items():
            np.testing.assert_array_equal(after.read(index, modality), expected)


def test_plan_can_be_made_again_from_an_imported_store(file, tmp_path, plan):
    import_hdf5(file, tmp_path / "b.zarr")
    reader = StoreReader(tmp_path / "b.zarr")
    facts = reader.attributes.facts()
    again = StorePlan(reader.table.rows, tuple(reader.sources()), plan.geometry, facts)
    assert again.fingerprint() == reader.attributes.plan == plan.fingerprint()


def test_skipped_clips_come_back_with_their_reasons(tmp_path):
    plan = make_plan([9, 10, 11, 12], complete=True)
    frames = make_frames(plan)
    frames[1], frames[3] = "clip1.avi is cut short", "clip3.avi is missing"
    _, after = there_and_back(tmp_path, plan, frames)
    assert after.attributes.skipped == (("clip1", frames[1]), ("clip3", frames[3]))
    assert after.table.rows == (plan.rows[0], plan.rows[2])


def test_export_of_an_import_has_the_same_bytes(file, tmp_path):
    import_hdf5(file, tmp_path / "a.zarr")
    export_hdf5(StoreReader(tmp_path / "a.zarr"), tmp_path / "b.h5")
    assert (tmp_path / "b.h5").read_bytes() == file.read_bytes()


def test_progress_counts_clips(reader, tmp_path):
    out, back = [], []
    export_hdf5(reader, tmp_path / "a.h5", progress=lambda *done: out.append(done))
    import_hdf5(tmp_path / "a.h5", tmp_path / "a.zarr", progress=lambda *done: back.append(done))
    assert out == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]
    assert back == [(0, 5), (2, 5), (3, 5), (5, 5)]


# The file, read without our code


def test_a_stranger_reads_frames_with_plain_h5py(file, plan):
    with h5py.File(file) as opened:
        i = opened["clips/id"].asstr()[...].tolist().index("clip2")
        start, length = opened["clips/offset"][i], opened["clips/num_frames"][i]
        for modality, expected in make_frames(plan)[2].items():
            frames = opened[f"frames/{modality}"][start : start + length]
            np.testing.assert_array_equal(frames, expected)
        assert opened["clips/class_name"].asstr()[i] == "swipe right"
        assert json.loads(opened.attrs["classes"])[opened["clips/label"][i]] == "swipe right"


def test_clips_begin_chunks_and_follow_each_other(file):
    with h5py.File(file) as opened:
        assert opened["clips/offset"][...].tolist() == [0, 304, 616, 1320, 1336]
        assert opened["frames/rgb"].shape == (1416, 3, 4, 3)
        assert not opened["frames/rgb"][300:304].any()


def test_arrays_have_the_documented_form(file):
    with h5py.File(file) as opened:
        array = opened["frames/flow"]
        assert (array.dtype, array.chunks) == (np.uint8, (8, 3, 4, 2))
        assert (array.compression, array.fletcher32) == ("gzip", True)
        assert [dim.label for dim in array.dims] == ["time", "height", "width", "channel"]
        assert array.attrs["channels"].startswith("x, y: (u - 128) * 20 / 127 pixels")
        types = {name: column.dtype for name, column in opened["clips"].items()}
        assert types["label"] == types["repetition"] == types["num_frames"] == np.int32
        assert (types["offset"], types["sha256"]) == (np.int64, np.uint8)
        assert h5py.check_string_dtype(types["id"]).encoding == "utf-8"


def test_attributes_are_plain_or_json(file, reader):
    with h5py.File(file) as opened:
        attrs = opened.attrs
        assert (attrs["format"], attrs["format_version"]) == ("mtut-bench store", 1)
        assert (attrs["dataset"], attrs["fps"], attrs["complete"]) == ("handmade", 30.0, False)
        assert attrs["digest"] == reader.attributes.digest
        stored = reader.attributes.to_json()
        for name in attrs["json_attributes"]:
            assert attrs[name] == json.dumps(stored[name])
        assert {"classes", "mirror", "flow", "alignment"} <= set(attrs["json_attributes"])
        assert 'file["frames/rgb"][start : start + length]' in attrs["about"]
        assert attrs["card"].startswith("# Data card: a\n")


def test_texts_of_any_script_survive(tmp_path):
    plan = make_plan([3, 4], classes=["\u6325\u624b", "\u00fc|<&", ""], source="\u00a9 a\u0301")
    there_and_back(tmp_path, plan)
    with h5py.File(tmp_path / "a.h5") as opened:
        assert opened["clips/class_name"].asstr()[...].tolist() == ["\u6325\u624b", "\u00fc|<&"]


def test_long_lists_fit_into_attributes(tmp_path):
    # An attribute of the older HDF5 form holds 64 KiB.
    there_and_back(tmp_path, make_plan([3], assumptions=["assumed " * 50] * 1000))


# Export: whole or not at all


def test_existing_file_is_refused_unless_overwritten(reader, file, tmp_path):
    file.write_bytes(b"mine")
    with pytest.raises(StoreError, match=r"a\.h5 exists"):
        export_hdf5(reader, file)
    assert file.read_bytes() == b"mine"
    export_hdf5(reader, file, overwrite=True)
    assert import_hdf5(file, tmp_path / "b.zarr") == reader.attributes.digest


@pytest.mark.parametrize("fault", [KilledError(), KeyboardInterrupt()], ids=["fault", "ctrl-C"])
def test_interrupted_export_keeps_the_old_file_and_nothing_else(reader, file, fault):
    file.write_bytes(b"old")

    def fail(done, total):
        raise fault

    with pytest.raises(type(fault)):
        export_hdf5(reader, file, overwrite=True, progress=fail)
    assert file.read_bytes() == b"old"
    assert names(file.parent) == ["a.h5"]


@pytest.mark.parametrize("limit", [0, 2_000, 60_000])
def test_full_disk_is_one_error_and_leaves_nothing(exported, tmp_path, limit):
    # In a process of its own: HDF5 takes the process down when it hears of a failed write.
    command = [sys.executable, "-c", FULL, exported / "a.zarr", tmp_path / "a.h5", str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"cannot write {tmp_path / 'a.h5'}: File too large\n"
    assert names(tmp_path) == []


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_fault_at_the_end_leaves_nothing(reader, tmp_path, monkeypatch, step):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*((os, step) if step == "fsync" else (Path, step)), fail)
    with pytest.raises(MtutBenchError, match=r"a\.h5: No space left on device"):
        export_hdf5(reader, tmp_path / "a.h5")
    assert names(tmp_path) == []


def test_target_below_a_file_is_one_error(reader, file):
    with pytest.raises(MtutBenchError, match=r"b\.h5"):
        export_hdf5(reader, file / "deep" / "b.h5")


def test_next_export_removes_what_a_kill_left(exported, reader, tmp_path):
    command = [sys.executable, "-c", EXPORT, exported / "a.zarr", tmp_path / "[a].h5"]
    with started(command, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"busy\n"
        (temporary,) = names(tmp_path)
        export_hdf5(reader, tmp_path / "[a].h5")
        # The other still writes it.
        assert names(tmp_path) == [temporary, "[a].h5"]
        process.send_signal(signal.SIGKILL)
    export_hdf5(reader, tmp_path / "[a].h5", overwrite=True)
    assert names(tmp_path) == ["[a].h5"]


def test_damaged_store_is_not_exported(tmp_path, plan):
    write_store(tmp_path / "a.zarr", plan)
    reader = StoreReader(tmp_path / "a.zarr")
    (tmp_path / "a.zarr/frames/rgb/c/0/0/0/0").write_bytes(b"cut")
    with pytest.raises(StoreError, match="rgb/c/0/0/0/0"):
        export_hdf5(reader, tmp_path / "a.h5")
    assert names(tmp_path) == ["a.zarr"]


def test_frames_that_are_not_those_that_were_written_are_not_exported(reader, tmp_path):
    table = reader.table
    wrong = (*table.hashes[:3], b"\0" * 32, table.hashes[4])
    # The files are as long as they should be; only a hash tells.
    reader.check_files = lambda: None
    reader.__dict__["table"] = type(table)(table.rows, table.offsets, wrong)
    with pytest.raises(StoreError, match="clip3"):
        export_hdf5(reader, tmp_path / "a.h5")
    assert names(tmp_path) == []


# Import: resumable, never half-written


def test_existing_store_is_refused_unless_overwritten(file, tmp_path, plan):
    old = write_store(tmp_path / "b.zarr", make_plan([3]))
    with pytest.raises(StoreError, match=r"b\.zarr exists"):
        import_hdf5(file, tmp_path / "b.zarr")
    assert StoreReader(tmp_path / "b.zarr").attributes.digest == old
    import_hdf5(file, tmp_path / "b.zarr", overwrite=True)
    assert StoreReader(tmp_path / "b.zarr").table.rows == plan.rows
    assert names(tmp_path) == ["a.h5", "b.zarr"]


@pytest.mark.parametrize("count", [0, 2, 3])
def test_killed_import_is_resumed(file, tmp_path, reader, count):
    with pytest.raises(KilledError):
        import_hdf5(file, tmp_path / "b.zarr", progress=kill_at(count))
    assert names(tmp_path) == ["a.h5", "b.partial"]
    done = []
    digest = import_hdf5(file, tmp_path / "b.zarr", progress=lambda *n: done.append(n[0]))
    assert (digest, done[0]) == (reader.attributes.digest, count)
    assert names(tmp_path) == ["a.h5", "b.zarr"]


def test_import_does_not_resume_another_preparation_of_the_same_plan(file, tmp_path, plan):
    # Its frames may be others, of another decoder say.
    StoreWriter(tmp_path / "b.zarr", plan).begin()
    with pytest.raises(StoreError, match=r"b\.partial"):
        import_hdf5(file, tmp_path / "b.zarr")
    import_hdf5(file, tmp_path / "b.zarr", overwrite=True)


def test_full_disk_of_an_import_is_one_error(file, tmp_path, monkeypatch):
    def fail(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("mtut_bench.store.writer.sync", fail)
        with pytest.raises(StoreError, match=r"b\.partial: No space left on device"):
            import_hdf5(file, tmp_path / "b.zarr")
    import_hdf5(file, tmp_path / "b.zarr")


# Import: bad files


def refused(file, match):
    """Assert that a file is refused with one error that names it, and nothing is left."""
    with pytest.raises(StoreError, match=match) as caught:
        import_hdf5(file, file.with_name("b.zarr"))
    assert str(file) in caught.value.what
    assert caught.value.hint
    assert not file.with_name("b.zarr").exists()


def edit(file, change):
    with h5py.File(file, "a") as opened:
        change(opened)


def replace_column(opened, name, values):
    del opened[name]
    if values is not None:
        opened[name] = values


def test_missing_file_is_named(tmp_path):
    refused(tmp_path / "none.h5", r"none\.h5")


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"\x89HDF\r\n\x1a\n"])
def test_file_that_is_not_hdf5_is_refused(file, content):
    file.write_bytes(content)
    refused(file, "cannot be read")


def test_foreign_hdf5_is_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as opened:
        opened["clips"] = 1
    refused(tmp_path / "a.h5", "format None")


@pytest.mark.parametrize("share", [0.001, 0.3, 0.999])
def test_truncated_file_is_refused(file, share):
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])
    refused(file, "cannot be read")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda o: o.attrs.update(format_version=2), "layout version 2"),
        (lambda o: replace_column(o, "clips/label", None), "clips/label"),
        (lambda o: replace_column(o, "frames/ir", None), "frames/ir"),
        (
            lambda o: (replace_column(o, "frames/ir", None), o.create_group("frames/ir")),
            "frames/ir",
        ),
        (lambda o: replace_column(o, "clips/label", np.zeros(1 << 20, np.int32)), "length"),
        (lambda o: o.attrs.pop("checksum"), "cannot be read"),
        (lambda o: o.attrs.pop("json_attributes"), "cannot be read"),
        (lambda o: o.attrs.update(fps=25.0), "attributes"),
        (lambda o: o.attrs.update(mirror="[0,1,2]"), "attributes"),
        (lambda o: o.attrs.update(fold="x"), "attributes"),
    ],
)
def test_changed_file_is_refused(file, change, named):
    edit(file, change)
    refused(file, named)


@pytest.mark.parametrize("name", ["label", "offset", "id", "source", "sha256"])
def test_changed_column_is_found(file, name):
    with h5py.File(file, "a") as opened:
        column = opened[f"clips/{name}"]
        column[0] = column[1]
    refused(file, "table")


def write_with(monkeypatch, reader, file, **changes):
    """Export a store with attributes that this version does not write, under a right checksum."""
    as_it_is = StoreAttributes.to_json
    with monkeypatch.context() as patch:
        patch.setattr(StoreAttributes, "to_json", lambda own: as_it_is(own) | changes)
        export_hdf5(reader, file, overwrite=True)


def test_attributes_of_a_later_version_are_passed_over(file, reader, tmp_path, monkeypatch):
    write_with(monkeypatch, reader, file, weather=["rain"])
    with h5py.File(file) as opened:
        assert json.loads(opened.attrs["weather"]) == ["rain"]
    assert import_hdf5(file, tmp_path / "b.zarr") == reader.attributes.digest
    assert StoreReader(tmp_path / "b.zarr").attributes == reader.attributes


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"mirror": "none"}, "mirror is 'none'"),
        ({"format_version": 2}, "version 2"),
    ],
)
def test_attributes_of_another_kind_or_format_are_refused(
    file, reader, monkeypatch, changes, match
):
    write_with(monkeypatch, reader, file, **changes)
    refused(file, match)


def test_changed_frame_names_the_clip(file):
    with h5py.File(file, "a") as opened:
        opened["frames/flow"][1330] ^= 1
        opened["frames/flow"][1320] ^= 1
    refused(file, "clip3")


def test_changed_byte_of_a_chunk_names_the_clip(file):
    with h5py.File(file) as opened:
        chunk = opened["frames/rgb"].id.get_chunk_info_by_coord((1336, 0, 0, 0))
    content = bytearray(file.read_bytes())
    content[chunk.byte_offset + chunk.size // 2] ^= 1
    file.write_bytes(content)
    refused(file, "clip4")


def test_any_changed_byte_is_an_error_or_changes_nothing(tmp_path):
    write_store(tmp_path / "a.zarr", make_plan([9, 3], height=2, width=3))
    reader = StoreReader(tmp_path / "a.zarr")
    export_hdf5(reader, tmp_path / "a.h5")
    whole, back, found = (tmp_path / "a.h5").read_bytes(), tmp_path / "b.zarr", 0
    for place in np.linspace(0, len(whole) - 1, 40).astype(int):
        damaged = bytearray(whole)
        damaged[place] ^= 4
        (tmp_path / "a.h5").write_bytes(damaged)
        try:
            import_hdf5(tmp_path / "a.h5", back, overwrite=True)
        except StoreError:
            found += 1
        else:
            assert StoreReader(back).attributes == reader.attributes
    assert found > 5
