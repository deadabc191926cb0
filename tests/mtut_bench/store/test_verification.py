import json
from dataclasses import replace

import pytest
import zarr
from handmade_store import make_frames, make_plan, write_store

from mtut_bench.contract.types import ClipRow
from mtut_bench.store.findings import Histogram, Spread, check_rows, join_names
from mtut_bench.store.verify import verify_store


def make(tmp_path, frames=None, **changes):
    path, plan = tmp_path / "small.zarr", make_plan([20, 30, 640, 5], **changes)
    return path, write_store(path, plan, frames)


def shard(path, number, modality="rgb"):
    return path / "frames" / modality / f"c/{number}/0/0/0"


def faults(path):
    """(kind, where, sentence) of each fault."""
    return [(fault.kind, fault.where, fault.sentence) for fault in verify_store(path).faults]


def edit_column(path, name, index, value):
    zarr.open_group(path, mode="r+")[f"clips/{name}"][index] = value


def test_sound_store_has_no_fault(tmp_path):
    path, digest = make(tmp_path)
    found = verify_store(path)
    assert (found.faults, found.num_clips, found.attributes.digest) == ((), 4, digest)
    assert found.describe() == [
        "handmade, synthetic: 4 of 99 clips, rgb+depth",
        "clips: 5 to 640 frames, median 25, 695 in all",
        "clips per split: train: 2, test: 2",
        "clips per person: p0: 2, p1: 2",
        "clips per class: wave: 2, swipe left: 1, swipe right: 1",
        f"digest {digest}",
    ]


def test_json_is_complete_and_survives_a_round_trip(tmp_path):
    path, digest = make(tmp_path)
    edit_column(path, "label", 0, 2)
    record = verify_store(path).to_json()
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert (record["path"], record["digest"]) == (str(path), digest)
    assert record["clips"] == {"found": 4, "expected": 99}
    assert record["frames_per_clip"] == {"min": 5, "median": 25.0, "max": 640, "total": 695}
    assert record["histograms"]["subject"] == {"found": {"p0": 2, "p1": 2}, "published": None}
    assert record["faults"][0]["kind"] == "store"


def test_every_clip_is_counted(tmp_path):
    path, _ = make(tmp_path)
    calls = []
    verify_store(path, lambda *call: calls.append(call))
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


# Files and frames


def test_changed_frame_is_found(tmp_path):
    path, _ = make(tmp_path)
    array = zarr.open_group(path, mode="r+")["frames/depth"]
    array[41, 0, 0, 0] = 255 - array[41, 0, 0, 0]
    what = "the frames of clip1 do not match their SHA-256"
    assert ("changed", ("clip1",), what) in faults(path)


def test_flipped_byte_of_a_shard_is_found(tmp_path):
    path, _ = make(tmp_path)
    data = bytearray(shard(path, 1).read_bytes())
    data[len(data) // 2] ^= 1
    shard(path, 1).write_bytes(data)
    ((kind, where, _),) = faults(path)
    assert (kind, where) == ("unreadable", ("clip2",))


def test_truncated_shard_names_file_and_clips(tmp_path):
    path, _ = make(tmp_path)
    shard(path, 0).write_bytes(shard(path, 0).read_bytes()[:64])
    found = faults(path)
    assert str(shard(path, 0)) in found[0][2]
    assert [where for _, where, _ in found] == [(), ("clip0",), ("clip1",)]


def test_missing_shard_is_found_although_zarr_reads_zeros(tmp_path):
    path, _ = make(tmp_path)
    shard(path, 2).unlink()
    first, *others = faults(path)
    assert "(missing)" in first[2]
    assert others == [("changed", ("clip3",), "the frames of clip3 do not match their SHA-256")]


# The table

DIGEST = ("store", (), "the clip table does not match the recorded content digest")


def test_changed_label_is_found(tmp_path):
    path, _ = make(tmp_path)
    edit_column(path, "label", 0, 2)
    assert faults(path) == [DIGEST]


@pytest.mark.parametrize(
    ("column", "value", "kind", "where"),
    [
        ("label", 3, "row", ("clip0",)),
        ("id", "clip1", "row", ("clip1",)),
        ("subject", "p1", "persons", ("p1",)),
    ],
)
def test_impossible_row_is_found(tmp_path, column, value, kind, where):
    path, _ = make(tmp_path)
    edit_column(path, column, 0, value)
    assert [found[:2] for found in faults(path)] == [DIGEST[:2], (kind, where)]


def test_clip_without_frames_is_found(tmp_path):
    path, _ = make(tmp_path)
    edit_column(path, "num_frames", 3, 0)
    assert ("row", ("clip3",), "clip3 has 0 frames") in faults(path)


def test_person_on_two_sides_is_no_fault_where_folds_leave_one_out(tmp_path):
    plan = make_plan([8, 8], fold_rule="subject")
    rows = tuple(row._replace(subject="p0") for row in plan.rows)
    write_store(tmp_path / "a.zarr", replace(plan, rows=rows))
    assert faults(tmp_path / "a.zarr") == []


def test_claim_of_completeness_is_checked(tmp_path):
    path, _ = make(tmp_path, complete=True)
    what = "the store is marked complete but has 4 of 99 clips"
    assert faults(path) == [("clips", (), what)]


def test_skipped_clips_are_listed(tmp_path):
    plan = make_plan([20, 30, 8])
    frames = make_frames(plan)
    write_store(tmp_path / "a.zarr", plan, [frames[0], "a.avi is cut short", frames[2]])
    found = verify_store(tmp_path / "a.zarr")
    assert (found.faults, found.num_clips) == ((), 2)
    assert found.attributes.skipped == (("clip1", "a.avi is cut short"),)
    assert "  clip1: a.avi is cut short" in found.describe()
    assert found.to_json()["set_aside"] == [["clip1", "a.avi is cut short"]]


# Words and counts


def test_spread_in_words():
    assert Spread.of([8, 8]).describe("frames") == "8 frames each, 16 in all"
    wide = Spread.of([1000, 2, 7]).describe("frames")
    assert wide == "2 to 1,000 frames, median 7, 1,009 in all"
    assert Spread.of([]).describe("frames") == "0 frames each, 0 in all"


@pytest.mark.parametrize(
    ("found", "published", "words"),
    [
        ({"2": 1, "10": 3}, None, "2: 1, 10: 3"),
        ({"2": 1, "10": 3}, {"2": 1, "10": 3}, "2: 1, 10: 3 (as published)"),
        ({"2": 1, "x": 9}, {"2": 1500, "10": 3}, "2: 1 of 1,500, 10: 0 of 3, x: 9 of 0"),
    ],
)
def test_histogram_in_words(found, published, words):
    assert Histogram("subject", found, published).describe("user") == f"clips per user: {words}"


@pytest.mark.parametrize(("complete", "expected"), [(True, ["1", "2", "3"]), (False, ["2"])])
def test_bins_that_differ(complete, expected):
    histogram = Histogram("label", {"1": 1, "2": 3, "4": 4}, {"1": 2, "2": 2, "3": 1, "4": 4})
    found = histogram.faults(complete=complete)
    assert [fault.where[0] for fault in found] == [f"label {value}" for value in expected]


def test_row_is_checked_whatever_its_store():
    row = ClipRow("a", "1", 0, 0, "train", 8)
    rows = [row, row._replace(clip_id="b", label=-1), row._replace(clip_id="c", label=2)]
    found = check_rows(rows, num_classes=2, fold_rule="split")
    assert [str(fault) for fault in found] == [
        "b has label -1; there are 2 classes from 0",
        "c has label 2; there are 2 classes from 0",
    ]


def test_names_in_words():
    for count, words in ((1, "a"), (2, "a and b"), (5, "a, b, c, d and e")):
        assert join_names("abcdefghi"[:count]) == words
    assert join_names("abcdefghi") == "a, b, c, d and 5 more"
