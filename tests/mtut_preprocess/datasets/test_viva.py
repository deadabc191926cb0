import json
from pathlib import Path

import pytest
from recordings import cut_in_half, numbers, write_viva_clip

from mtut_bench.errors import ClipError, DatasetError
from mtut_preprocess.datasets.viva import Viva

IDS = [f"{i:02d}" for i in (*range(1, 5), 6, 7, 8, *range(13, 17), 21, 23, *range(27, 33))]


def read(root):
    return Viva(root).read()


def rows(root):
    return {clip.row.clip_id: clip.row for clip in read(root)[1]}


def settle(root, **settings):
    root.mkdir(parents=True, exist_ok=True)
    (root / "viva.json").write_text(json.dumps(settings))


def refused(root):
    with pytest.raises(DatasetError) as caught:
        read(root)
    assert caught.value.hint
    return caught.value.what


# Names


def test_name_gives_user_gesture_and_repetition(tmp_path):
    write_viva_clip(tmp_path, "03_06_02", count=6)
    row = rows(tmp_path)["03_06_02"]
    assert (row.subject, row.label, row.repetition) == ("03", 4, 2)
    assert (row.split, row.num_frames) == ("", 6)


def test_class_is_the_position_of_the_id(tmp_path):
    for gesture in ("01", "32"):
        write_viva_clip(tmp_path, f"01_{gesture}_01")
    assert [row.label for row in rows(tmp_path).values()] == [0, 18]


def test_other_gestures_and_names_are_left_out_and_found(tmp_path):
    for name in ("01_01_01", "01_05_01", "01_33_01", "readme", "01_01"):
        write_viva_clip(tmp_path, name)
    facts, clips = read(tmp_path)
    assert [clip.row.clip_id for clip in clips] == ["01_01_01"]
    assert facts.findings["left out: gestures outside the 19 classes"] == (
        "01_05_01.avi",
        "01_33_01.avi",
    )
    unfit = "names that do not fit the pattern"
    assert facts.findings[f"left out: {unfit}"] == ("01_01.avi", "readme.avi")
    assert f"2 files left out: {unfit}" in facts.notes


def test_folder_without_a_clip_of_the_classes_is_refused(tmp_path):
    write_viva_clip(tmp_path, "01_05_01")
    assert "19 classes" in refused(tmp_path)


@pytest.mark.parametrize("below", [".", "LISA_HG_Data", "LISA_HG_Data/dynamic_gestures/data"])
def test_any_folder_of_the_layout_is_accepted(tmp_path, below):
    write_viva_clip(tmp_path, "01_01_01")
    (tmp_path / "LISA_HG_Data" / "data").symlink_to(tmp_path / "LISA_HG_Data/dynamic_gestures/data")
    assert len(read(tmp_path / below)[1]) == 1


@pytest.mark.parametrize("name", ["none", "file", "empty"])
def test_folder_that_is_none_is_refused(tmp_path, name):
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    assert str(tmp_path / name) in refused(tmp_path / name)


# Files


@pytest.mark.parametrize(("colour", "depth"), [(5, 8), (8, 5)])
def test_frames_are_cut_to_the_shorter(tmp_path, colour, depth):
    write_viva_clip(tmp_path, "01_01_01", colour, depth)
    facts, (clip,) = read(tmp_path)
    assert clip.row.num_frames == 5
    assert [numbers(source.read()) for source in clip.sources.values()] == [[*range(5)]] * 2
    title = "colour and depth differ in length (cut to the shorter)"
    assert facts.findings[title] == (f"01_01_01: colour {colour}, depth {depth} frames",)
    assert f"1 clips: {title}" in facts.notes


@pytest.mark.parametrize("stream", ["", "depth"])
@pytest.mark.parametrize("damage", [cut_in_half, lambda path: path.write_bytes(b""), Path.unlink])
def test_a_damaged_file_leaves_its_clip_and_all_others_in_their_place(tmp_path, stream, damage):
    """Its length is taken from its header or the other stream: repaired, the plan is the same."""
    for name in ("01_01_01", "01_02_01", "01_03_01"):
        data = write_viva_clip(tmp_path, name, 9, 9)
    if not stream:
        whole = read(tmp_path)[1]
    damage(data / stream / "01_02_01.avi")
    clips = read(tmp_path)[1]
    if stream or damage is not Path.unlink:
        assert [clip.row.num_frames for clip in clips] == [9, 9, 9]
    if not stream and damage is cut_in_half:
        assert clips == whole


def test_a_clip_without_any_length_is_left_to_prepare(tmp_path):
    data = write_viva_clip(tmp_path, "01_01_01")
    for path in (data / "01_01_01.avi", data / "depth" / "01_01_01.avi"):
        path.write_bytes(b"")
    (clip,) = read(tmp_path)[1]
    assert clip.row.num_frames == 1
    with pytest.raises(ClipError, match=r"01_01_01\.avi"):
        clip.sources["rgb"].read()


def test_origin_is_relative(tmp_path):
    write_viva_clip(tmp_path, "01_01_01", 5, 8)
    assert read(tmp_path)[1][0].origin == {
        "rgb": "LISA_HG_Data/dynamic_gestures/data/01_01_01.avi",
        "depth": "LISA_HG_Data/dynamic_gestures/data/depth/01_01_01.avi",
        "frames": [5, 8],
        "user": "01",
    }


# Persons and facts


def test_without_a_table_subjects_are_users(tmp_path):
    write_viva_clip(tmp_path, "05_01_01")
    facts, clips = read(tmp_path)
    assert (facts.subject_unit, clips[0].row.subject) == ("user", "05")


def test_with_a_table_subjects_are_persons(tmp_path):
    write_viva_clip(tmp_path, "05_01_01")
    write_viva_clip(tmp_path, "06_01_01")
    settle(tmp_path, persons={"05": "C", "06": "C"})
    facts, clips = read(tmp_path)
    assert (facts.subject_unit, {clip.row.subject for clip in clips}) == ("person", {"C"})
    assert [clip.origin["user"] for clip in clips] == ["05", "06"]


@pytest.mark.parametrize("persons", [{"05": "C"}, {"07": ""}, {"07": " "}])
def test_user_without_a_person_is_named(tmp_path, persons):
    write_viva_clip(tmp_path, "07_01_01")
    settle(tmp_path, persons=persons)
    assert "user 07" in refused(tmp_path)


def test_names_of_persons_are_taken_without_the_spaces_around_them(tmp_path):
    write_viva_clip(tmp_path, "01_01_01")
    write_viva_clip(tmp_path, "02_01_01")
    settle(tmp_path, persons={"01": "A", "02": "A "})
    assert {row.subject for row in rows(tmp_path).values()} == {"A"}


def test_facts(tmp_path):
    write_viva_clip(tmp_path, "01_01_01")
    facts, _ = read(tmp_path)
    assert (facts.dataset, facts.origin, facts.expected_clips) == ("viva", "recorded", 885)
    assert (facts.modalities, facts.fold_rule) == (("rgb", "depth"), "subject")
    assert (facts.flow, facts.licence) == ("", "ask its authors")
    assert "Ohn-Bar" in facts.source
    assert facts.class_names == tuple(f"gesture {g}" for g in IDS)
    assert facts.mirror is None
    assert len(facts.assumptions) == 6


def test_synthetic_recordings_name_neither_the_authors_nor_their_terms(tmp_path):
    write_viva_clip(tmp_path, "01_01_01")
    (tmp_path / "synthetic.json").write_text(json.dumps({"twin": "viva-synthetic"}))
    facts, _ = read(tmp_path)
    assert facts.origin == "synthetic"
    assert "no person was recorded" in facts.source
    assert "mtut-bench" in facts.licence


# Notes and findings


def write_grid(root, names):
    for name in names:
        write_viva_clip(root, name, count=1)


def test_notes_count_clips_of_each_class_and_user(tmp_path):
    write_grid(tmp_path, ["01_01_01", "01_01_02", "01_02_01", "02_01_01"])
    settle(tmp_path, gesture_ids=["01", "02"])
    assert read(tmp_path)[0].notes == (
        "4 clips found, 885 published",
        "2 classes, 1 to 3 clips each (gesture 01: 3, gesture 02: 1)",
        "2 users, 1 to 3 clips each (01: 3, 02: 1)",
    )


def test_notes_name_classes_without_a_clip_equal_counts_once_and_persons(tmp_path):
    write_grid(tmp_path, ["01_01_01", "02_01_01", "03_01_01"])
    persons = {"01": "A", "02": "A", "03": "B"}
    settle(tmp_path, gesture_ids=["01", "02"], expected_clips=4, persons=persons)
    assert read(tmp_path)[0].notes == (
        "3 clips found, 4 published",
        "2 classes, 0 to 3 clips each (gesture 01: 3, gesture 02: 0)",
        "3 users (2 persons), 1 clip each",
    )


def test_clips_under_an_alias_are_of_its_class_and_found(tmp_path):
    write_grid(tmp_path, ["01_70_01", "01_07_01", "02_80_02"])
    facts, clips = read(tmp_path)
    assert {clip.row.clip_id: IDS[clip.row.label] for clip in clips} == {
        "01_70_01": "07",
        "01_07_01": "07",
        "02_80_02": "08",
    }
    assert facts.findings["gesture id is counted as another one"] == (
        "01_70_01: 70 is 07",
        "02_80_02: 80 is 08",
    )
    assert "2 clips: gesture id is counted as another one" in facts.notes


def test_another_pattern_is_used(tmp_path):
    write_viva_clip(tmp_path, "g01-u3-ra")
    settle(tmp_path, pattern=r"g(?P<gesture>\d+)-u(?P<user>\d+)-r(?P<repetition>\w)\.avi$")
    row = rows(tmp_path)["g01-u3-ra"]
    assert (row.label, row.subject, row.repetition) == (0, "3", -1)
