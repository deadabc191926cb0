import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from handmade_store import make_frames, make_plan, write_store

from mtut_bench.errors import StoreError, UsageError
from mtut_bench.store.inspect import (
    contact_sheet,
    motion_in_centre,
    summarise,
    user_sheet,
    write_person_table,
)
from mtut_bench.store.reader import StoreReader

ALL = ("rgb", "depth", "flow")


@pytest.fixture
def reader(tmp_path):
    plan = make_plan([10, 21, 30, 5], ALL, height=24, width=32)
    write_store(tmp_path / "small.zarr", plan)
    return StoreReader(tmp_path / "small.zarr")


def moving_store(tmp_path, rows, columns):
    """A store of 256x256 in which only the given pixels change, by 200 once."""
    plan = make_plan([2], ("rgb",), height=256, width=256)
    frames = np.zeros((2, 256, 256, 3), np.uint8)
    frames[1, rows, columns] = 200
    write_store(tmp_path / "moving.zarr", plan, [{"rgb": frames}])
    return StoreReader(tmp_path / "moving.zarr")


def test_summary_states_the_facts(reader):
    facts = {
        "clips": "4 of 99, a part of the dataset",
        "modalities": "rgb (3 x uint8), depth (1 x uint8), flow (2 x uint8)",
        "clips per class": "1 to 2 clips, median 1, 4 in all",
        "class names": "wave; swipe left; swipe right",
        "split": "2 train, 2 test",
        "mirror pairs": "swipe left / swipe right",
        "flow: algorithm": "farneback",
        "assumption": "made by hand",
    }
    found = dict(summarise(reader))
    assert {what: found[what] for what in facts} == facts


def test_summary_states_digest_and_size_on_disk(reader):
    summary = dict(summarise(reader))
    size = sum(f.stat().st_size for f in reader.path.glob("frames/*/c/*/0/0/0"))
    assert summary["content digest"] == reader.attributes.digest
    assert summary["on disk"] == f"{size / 1e6:,.1f} MB in 3 shards"


def test_summary_of_unknown_mirrors_and_subjects(tmp_path):
    plan = make_plan([4, 4], mirror=None, fold_rule="subject", flow={})
    write_store(tmp_path / "a.zarr", plan)
    summary = dict(summarise(StoreReader(tmp_path / "a.zarr")))
    assert summary["mirror pairs"] == "unknown: clips are never flipped"
    assert summary["folds"] == "leave one out"
    assert "flow code" not in summary


def test_motion_in_the_middle_is_seen_whole(tmp_path):
    assert motion_in_centre(moving_store(tmp_path, 128, slice(100, 150))) == 1.0


def test_motion_on_the_rim_is_not_seen(tmp_path):
    # The crop of 224 leaves 16 pixels on every side.
    assert motion_in_centre(moving_store(tmp_path, 15, slice(0, 256))) == 0.0


def test_motion_across_the_rim_is_seen_in_part(tmp_path):
    assert motion_in_centre(moving_store(tmp_path, 128, slice(0, 256))) == 224 / 256


def test_no_motion_is_no_share(tmp_path):
    assert motion_in_centre(moving_store(tmp_path, 0, slice(0, 0))) == 0.0


def test_contact_sheet_is_a_picture_with_a_row_per_class(reader, tmp_path):
    contact_sheet(reader, tmp_path / "sheet.png")
    picture = cv2.imread(str(tmp_path / "sheet.png"))
    # 190 for the words, then per modality eight thumbs of 80x60 and a margin of 4.
    assert picture.shape == (20 + 3 * (60 + 4), 230 + 3 * (8 * 80 + 4), 3)


def test_contact_sheet_shows_colour_depth_and_flow(tmp_path):
    plan = make_plan([8], ALL, height=60, width=60)
    frames = make_frames(plan)
    frames[0]["rgb"][:] = (250, 0, 0)
    frames[0]["depth"][:] = 99
    frames[0]["flow"][:] = 128
    write_store(tmp_path / "a.zarr", plan, frames)
    contact_sheet(StoreReader(tmp_path / "a.zarr"), tmp_path / "sheet.png")
    row = cv2.imread(str(tmp_path / "sheet.png"))[20 + 30]
    found = [row[230 + 30 + m * (8 * 60 + 4)].tolist() for m in range(3)]
    assert found == [[0, 0, 250], [99, 99, 99], [0, 0, 0]]


# Users


def store_of_users(tmp_path, users, lengths=None, **changes):
    """A store with one clip per entry; frame t of clip n is all 10 n + t, in colour (v, 0, 0)."""
    plan = make_plan(lengths or [3] * len(users), ("rgb", "depth"), 120, 120, **changes)
    rows = tuple(row._replace(subject="A") for row in plan.rows)
    sources = tuple(json.dumps({"user": user} if user else {}) for user in users)
    frames = make_frames(plan)
    for n, row in enumerate(rows):
        frames[n]["rgb"][:] = 0
        frames[n]["rgb"][..., 0] = (10 * n + np.arange(row.num_frames))[:, None, None]
    write_store(tmp_path / "users.zarr", replace(plan, rows=rows, sources=sources), frames)
    return StoreReader(tmp_path / "users.zarr")


def reds(tmp_path, reader):
    """The red of each picture of the sheet of users, one list per row; None for an empty place."""
    user_sheet(reader, tmp_path / "sheet.png")
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    # 110 for the words, then eight times a picture of 120 and a margin of 4; 16 for the names.
    assert sheet.shape[1] == 110 + 8 * 124
    assert sheet.shape[0] % 136 == 0
    places = sheet[60::136, 110 + 60 :: 124]
    assert (places[..., 0] == places[..., 1]).all()
    return [[None if g else int(r) for _, g, r in row] for row in places]


def test_sheet_has_a_row_per_user_with_the_middle_of_each_clip(tmp_path):
    reader = store_of_users(tmp_path, ["02", "01", "02"], [3, 5, 7])
    assert reds(tmp_path, reader) == [[12] + [None] * 7, [1, 23] + [None] * 6]


def test_sheet_spreads_eight_pictures_over_the_clips_of_a_user(tmp_path):
    reader = store_of_users(tmp_path, ["01"] * 15)
    # Every second of 15 clips; the middle of three frames is frame 1.
    assert reds(tmp_path, reader) == [[10 * n + 1 for n in range(0, 15, 2)]]


def test_users_stand_in_the_order_of_their_numbers(tmp_path):
    reader = store_of_users(tmp_path, ["10", "9", "2"])
    assert [row[0] for row in reds(tmp_path, reader)] == [21, 11, 1]
    assert list(persons_of(reader, tmp_path)) == ["2", "9", "10"]


def test_without_users_rows_are_of_subjects(tmp_path):
    assert len(reds(tmp_path, store_of_users(tmp_path, ["", ""]))) == 1


def test_sheet_of_a_store_without_colour_shows_what_it_has(tmp_path):
    plan = make_plan([2], ("depth",), 120, 120)
    write_store(tmp_path / "a.zarr", plan, [{"depth": np.full((2, 120, 120, 1), 77, np.uint8)}])
    user_sheet(StoreReader(tmp_path / "a.zarr"), tmp_path / "sheet.png")
    assert cv2.imread(str(tmp_path / "sheet.png"))[60, 110 + 60].tolist() == [77, 77, 77]


def persons_of(reader, folder):
    """The table of persons of a new file."""
    path = folder / "raw" / "viva.json"
    write_person_table(reader, path)
    return json.loads(path.read_text())["persons"]


def test_table_of_persons_is_to_be_filled_in(tmp_path):
    reader = store_of_users(tmp_path, ["02", "01", "02"])
    assert persons_of(reader, tmp_path) == {"01": "", "02": ""}


def test_table_is_of_users_where_subjects_are_users(tmp_path):
    reader = store_of_users(tmp_path, ["", ""], subject_unit="user")
    assert persons_of(reader, tmp_path) == {"A": ""}


def test_store_of_persons_has_no_table_to_fill_in(tmp_path):
    with pytest.raises(UsageError, match="users already has persons"):
        persons_of(store_of_users(tmp_path, ["", ""]), tmp_path)


def test_a_table_with_a_name_is_left_as_it_is(tmp_path):
    reader, path = store_of_users(tmp_path, ["01", "02"]), tmp_path / "viva.json"
    text = json.dumps({"persons": {"01": "", "02": "A"}})
    path.write_text(text)
    with pytest.raises(UsageError, match=r"viva\.json"):
        write_person_table(reader, path)
    assert path.read_text() == text


@pytest.mark.parametrize("persons", [{}, {"persons": None}, {"persons": {"09": ""}}])
def test_other_settings_and_empty_names_are_kept(tmp_path, persons):
    reader, path = store_of_users(tmp_path, ["01", "02"]), tmp_path / "viva.json"
    path.write_text(json.dumps({"fps": 25, "_mine": "a remark"} | persons))
    write_person_table(reader, path)
    found = json.loads(path.read_text())
    assert (found["fps"], found["_mine"]) == (25, "a remark")
    assert set(found["persons"]) == {"01", "02", *(persons.get("persons") or {})}
    assert not any(found["persons"].values())


@pytest.mark.parametrize("text", ["{", "[]", '{"persons": ["A"]}'])
def test_a_file_that_is_no_table_is_left_as_it_is(tmp_path, text):
    reader, path = store_of_users(tmp_path, ["01"]), tmp_path / "viva.json"
    path.write_text(text)
    with pytest.raises(StoreError, match=r"viva\.json"):
        write_person_table(reader, path)
    assert path.read_text() == text
