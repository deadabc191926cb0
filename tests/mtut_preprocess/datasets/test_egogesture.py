import io
import json
import pickle
import time
from collections import Counter

import numpy as np
import pytest
from ego_fixture import (
    LABELS,
    ORDER,
    SPLITS,
    TREE,
    label_file,
    rebuild_labels,
    write_ego,
    write_images_as_video,
    write_labels,
)
from PIL import Image
from recordings import numbers

from mtut_bench.contract.folds import make_folds
from mtut_bench.errors import DatasetError
from mtut_bench.store.reader import StoreReader
from mtut_preprocess.convert.prepare import prepare
from mtut_preprocess.convert.survey import describe_survey, survey_dataset
from mtut_preprocess.datasets.egogesture import EgoGesture, load_egogesture_settings
from mtut_preprocess.reading import frames
from mtut_preprocess.reading.decode import VideoFrames
from mtut_preprocess.reading.images import ImageFrames


def read(root):
    return EgoGesture(root).read()


def settle(root, **settings):
    root.mkdir(parents=True, exist_ok=True)
    (root / "egogesture.json").write_text(json.dumps(settings))


def refused(root):
    with pytest.raises(DatasetError) as caught:
        read(root)
    assert caught.value.hint
    return caught.value.what


def video_of(clip):
    subject, scene, stream, _ = clip.row.clip_id.split("/")
    return int(subject[-2:]), int(scene[-1]), int(stream.removeprefix("rgb"))


@pytest.fixture(scope="module")
def ego(tmp_path_factory):
    return write_ego(tmp_path_factory.mktemp("ego"))


@pytest.fixture(scope="module")
def dataset(ego):
    return read(ego)


@pytest.fixture
def labels(tmp_path):
    """A folder with one label file of the given text."""

    def write(text, video=(3, 1, 1)):
        write_labels(tmp_path, video, text)
        return tmp_path

    return write


# The whole dataset, from the reference lists


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The rows of splits.json, and what is read of a label tree made from them."""
    if not SPLITS.is_file():
        pytest.skip(f"no lists in {SPLITS}")
    root = tmp_path_factory.mktemp("whole")
    rows = rebuild_labels(root)
    began = time.perf_counter()
    facts, clips = read(root)
    print(f"{len(clips):,} clips read in {time.perf_counter() - began:.2f} s")
    return rows, facts, clips


def test_every_row_is_that_of_the_reference_lists(whole):
    rows, _, clips = whole
    found = [(video_of(c), c.row.label + 1, *c.origin["window"], c.row.split) for c in clips]
    assert found == rows
    assert [c.row.num_frames for c in clips] == [end - start + 1 for *_, start, end, _ in rows]


def test_whole_counts_are_the_published_ones(whole):
    _, facts, clips = whole
    rows = [clip.row for clip in clips]
    assert len({row.clip_id for row in rows}) == len(rows) == facts.expected_clips == 24161
    splits = {"train": 14416, "val": 4768, "test": 4977}
    assert Counter(row.split for row in rows) == splits == facts.published["split"]
    assert Counter(row.subject for row in rows) == facts.published["subject"]
    assert Counter(str(row.label) for row in rows) == facts.published["label"]


def test_whole_dataset_is_one_official_fold(whole):
    _, facts, clips = whole
    (fold,) = make_folds([c.row for c in clips], facts.fold_rule, facts.subject_unit)
    assert fold.name == "official"
    assert (len(fold.train), len(fold.val), len(fold.test)) == (14416, 4768, 4977)


def test_whole_warts_are_counted(whole):
    _, facts, _ = whole
    assert {what: len(items) for what, items in facts.findings.items()} == {
        "rows with an empty field, left out": 1,
        "label files in small letters": 14,
        "clips shorter than 8 frames": 38,
        "scenes that were never released": 7,
    }
    skipped = facts.findings["rows with an empty field, left out"]
    assert skipped == (f"{LABELS}/subject03/Scene2/Group6.csv:11",)


# Labels


def test_order_is_split_then_subject_scene_group_row(dataset):
    _, clips = dataset
    assert list(dict.fromkeys(map(video_of, clips))) == ORDER
    assert [c.origin["window"] for c in clips[:2]] == [[5, 14], [15, 24]]


def test_rows_keep_the_order_of_their_file(labels):
    _, clips = read(labels("1,9,12\n2,1,8\n"))
    assert [clip.row.label for clip in clips] == [0, 1]


def test_golden_clip(dataset):
    clip = next(c for c in dataset[1] if video_of(c) == (33, 5, 1))
    row = clip.row
    assert row.clip_id == "Subject33/Scene5/rgb1/000002-000010"
    assert (row.subject, row.label, row.split) == ("33", 65, "val")
    assert (row.repetition, row.num_frames) == (-1, 9)
    assert clip.origin == {
        "rgb": "images/Subject33/Scene5/Color/rgb1/%06d.jpg",
        "depth": "images/Subject33/Scene5/Depth/depth1/%06d.jpg",
        "window": [2, 10],
    }


def test_every_row_is_a_clip(dataset):
    _, clips = dataset
    expected = [row for video in ORDER for row in TREE[video]]
    assert [(c.row.label + 1, *c.origin["window"]) for c in clips] == expected


def test_clips_are_small_enough_to_send_to_a_worker(dataset):
    assert pickle.loads(pickle.dumps(dataset[1])) == dataset[1]


def test_warts_are_found_and_named(dataset):
    facts, _ = dataset
    assert facts.findings == {
        "rows with an empty field, left out": (f"{LABELS}/subject03/Scene2/Group6.csv:3",),
        "label files in small letters": (f"{LABELS}/subject33/Scene5/group1.csv",),
        "clips shorter than 8 frames": ("Subject02/Scene1/rgb1/000009-000011",),
        "scenes that were never released": (
            "Subject03/Scene5",
            "Subject03/Scene6",
            "Subject23/Scene3",
            "Subject23/Scene5",
            "Subject23/Scene6",
        ),
        "scenes without label files": facts.findings["scenes without label files"],
    }
    assert "Subject03/Scene4" in facts.findings["scenes without label files"]
    assert "rows with an empty field, left out: 1" in facts.notes


GOOD_TEXTS = {
    "no last newline": "7,2,9",
    "spaces": " 7 , 2,9 \n",
    "windows line ends": "7,2,9\r\n",
    "byte order mark": "\ufeff7,2,9\n",
    "floats": "7.0,2.0,9.\n",
}


@pytest.mark.parametrize("name", GOOD_TEXTS)
def test_row_may_be_written_otherwise(labels, name):
    facts, (clip,) = read(labels(GOOD_TEXTS[name]))
    assert (clip.row.label, clip.origin["window"]) == (6, [2, 9])
    assert "rows with an empty field, left out" not in facts.findings


@pytest.mark.parametrize("row", [" ,,", ",,", "7,,9", "", "  "])
def test_rows_with_an_empty_field_are_left_out_and_counted(labels, row):
    facts, clips = read(labels(f"7,2,9\n{row}\n6,12,19\n"))
    assert [clip.row.label for clip in clips] == [6, 5]
    assert facts.findings["rows with an empty field, left out"][0].endswith("Group1.csv:2")


def test_a_file_without_a_clip_is_found(labels):
    labels("7,2,9\n")
    facts, clips = read(labels("", (3, 1, 2)))
    assert len(clips) == 1
    assert facts.findings["label files without a clip"] == (
        f"{LABELS}/subject03/Scene1/Group2.csv",
    )


def test_a_clip_that_begins_before_another_ends_is_found(labels):
    facts, clips = read(labels("7,10,20\n6,1,10\n5,21,30\n4,2,3\n"))
    assert len(clips) == 4
    assert facts.findings["clips that begin before another ends"] == (
        "Subject03/Scene1/rgb1/000002-000003",
        "Subject03/Scene1/rgb1/000010-000020",
    )


def test_a_single_frame_is_a_clip(labels):
    assert read(labels("7,9,9\n"))[1][0].row.num_frames == 1


def test_other_names_are_passed_over_and_listed(labels, tmp_path):
    root = labels("7,2,9\n")
    for name in ("readme.txt", "subject03/notes", "subject03/Scene1/Group1.csv.bak"):
        (root / LABELS / name).write_text("")
    for name in (".DS_Store", "subject03/Scene1/._Group1.csv"):
        (root / LABELS / name).write_bytes(b"\xff\0")
    facts, clips = read(root)
    assert len(clips) == 1
    assert facts.findings["names in the label folder that are passed over"] == (
        f"{LABELS}/readme.txt",
        f"{LABELS}/subject03/Scene1/Group1.csv.bak",
        f"{LABELS}/subject03/notes",
    )


BAD_TEXTS = {
    "header": ("class,start,end\n7,2,9\n", ":1: cannot parse 'class,start,end'"),
    "two fields": ("7,2,9\n7,12\n", ":2: cannot parse '7,12'"),
    "four fields": ("7,2,9,1\n", ":1: cannot parse '7,2,9,1'"),
    "half a frame": ("7,2.5,9\n", ":1: cannot parse '7,2.5,9'"),
    "not a number": ("7,nan,9\n", ":1: cannot parse '7,nan,9'"),
    "too many digits": ("7,2,9999999\n", ":1: cannot parse"),
    "no text at all": ("\ufffd\ufffd\n", ":1: cannot parse"),
    "class 0": ("0,2,9\n", ":1: class 0 is outside 1..83"),
    "class 84": ("7,2,9\n84,12,19\n", ":2: class 84 is outside 1..83"),
    "negative class": ("-7,2,9\n", ":1: class -7 is outside 1..83"),
    "frame 0": ("7,0,9\n", ":1: frames 0..9 are no window"),
    "ends before it starts": ("7,9,2\n", ":1: frames 9..2 are no window"),
    "twice": ("7,2,9\n7,2,9\n", ":2: frames 2..9 of Subject03/Scene1/rgb1 stand already at"),
    "two classes": ("7,2,9\n6,2,9\n", ":2: frames 2..9 of Subject03/Scene1/rgb1 stand already at"),
}


@pytest.mark.parametrize("name", BAD_TEXTS)
def test_a_malformed_row_is_named(labels, name):
    text, message = BAD_TEXTS[name]
    root = labels(text)
    assert refused(root).startswith(f"{label_file(root, 3, 1, 1)}{message}")


def test_an_unreadable_label_file_is_named(labels):
    root = labels("7,2,9\n")
    label_file(root, 3, 1, 2).mkdir()
    assert refused(root).startswith(f"{label_file(root, 3, 1, 2)} cannot be read")


def test_a_file_in_place_of_a_folder_is_named(labels):
    root = labels("7,2,9\n")
    (root / LABELS / "subject04").write_text("")
    assert refused(root).startswith(f"{root / LABELS / 'subject04'} cannot be listed")


def test_two_label_files_of_one_recording_are_named(labels):
    root = labels("7,2,9\n")
    second = root / LABELS / "subject3" / "Scene1" / "Group1.csv"
    second.parent.mkdir(parents=True)
    second.write_text("7,2,9\n")
    assert refused(root) == (
        f"{label_file(root, 3, 1, 1)} and {second} are labels of one recording"
    )


def test_a_subject_in_no_split_is_named(labels):
    assert "subject 51 is in no split" in refused(labels("7,2,9\n", (51, 1, 1)))


@pytest.mark.parametrize("name", ["none", "file", "empty", "labels", "subject"])
def test_a_folder_that_is_none_is_refused(tmp_path, name):
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    (tmp_path / "labels" / LABELS).mkdir(parents=True)
    (tmp_path / "subject" / LABELS / "subject03").mkdir(parents=True)
    assert str(tmp_path / name) in refused(tmp_path / name)


# Frames


def test_frames_are_those_of_the_window_both_ends_included(dataset):
    for clip in dataset[1]:
        start, end = clip.origin["window"]
        for source in clip.sources.values():
            assert numbers(source.read()) == [*range(start, end + 1)]


def test_pixels_are_those_of_another_decoder(dataset, ego):
    clip = dataset[1][0]
    rgb, depth = (clip.sources[name].read() for name in ("rgb", "depth"))
    assert (rgb.shape, depth.shape) == ((10, 24, 64, 3), (10, 24, 64, 1))
    for number, (colour, grey) in enumerate(zip(rgb, depth, strict=True), start=5):
        folder = ego / "images/Subject03/Scene1"
        with Image.open(folder / f"Color/rgb1/{number:06d}.jpg") as image:
            np.testing.assert_array_equal(colour, np.asarray(image.convert("RGB")))
        with Image.open(folder / f"Depth/depth1/{number:06d}.jpg") as image:
            np.testing.assert_array_equal(grey[..., 0], np.asarray(image.convert("L")))


def test_depth_of_a_coloured_file_is_its_luma(labels):
    root = labels("7,1,1\n")
    path = root / "images/Subject03/Scene1/Depth/depth1/000001.jpg"
    path.parent.mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 256, (24, 64, 3), np.uint8)
    Image.fromarray(noise).save(path)
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        image.draft("YCbCr", image.size)
        luma = np.asarray(image)[..., 0]
    np.testing.assert_array_equal(read(root)[1][0].sources["depth"].read()[0, ..., 0], luma)


LAYOUTS = {
    "images": "images",
    "merged": "images_320-240",
    "frames": "frames",
    "flat": ".",
    "parts by subject": lambda subject, _: f"images_320-240_{1 + subject % 5}",
    "parts by scene": lambda _, scene: f"images_320-240_{1 + scene % 5}",
}


def missing_files(sources):
    """Files that sources lack, each once."""
    return [*dict.fromkeys(file for source in sources for file in frames.missing_files(source))]


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("archive", [".", "RS_v1_50"])
def test_images_are_found_in_any_layout(tmp_path, name, archive):
    write_ego(tmp_path / archive, LAYOUTS[name])
    _, clips = read(tmp_path)
    sources = [source for clip in clips for source in clip.sources.values()]
    assert len(clips) == sum(map(len, TREE.values()))
    assert missing_files(sources) == []
    assert all((tmp_path / clip.origin["rgb"]).parent.is_dir() for clip in clips)


def test_folders_of_subjects_may_be_in_small_letters(tmp_path):
    write_ego(tmp_path, tree={(3, 1, 1): [(7, 1, 8)]})
    (tmp_path / "images" / "Subject03").rename(tmp_path / "images" / "subject03")
    (clip,) = read(tmp_path)[1]
    assert clip.origin["rgb"].startswith("images/subject03/")
    assert missing_files(clip.sources.values()) == []


def test_a_part_that_lacks_the_recording_is_passed_over(tmp_path):
    write_ego(tmp_path, "images_320-240_2", tree={(3, 1, 1): [(7, 1, 8)]})
    (tmp_path / "images_320-240_1/Subject03/Scene2").mkdir(parents=True)
    (clip,) = read(tmp_path)[1]
    assert clip.origin["depth"].startswith("images_320-240_2/")


@pytest.mark.parametrize("archive", [".", "RS_v1_50"])
def test_labels_alone_are_read_and_images_named_that_are_missing(tmp_path, archive):
    write_ego(tmp_path / archive, None)
    _, clips = read(tmp_path)
    missing = missing_files(source for clip in clips for source in clip.sources.values())
    assert len(missing) == 2 * sum(clip.row.num_frames for clip in clips)
    folder = tmp_path / archive / "images/Subject03/Scene1"
    assert missing[0] == folder / "Color/rgb1/000005.jpg"
    assert folder / "Depth/depth1/000005.jpg" in missing


def test_one_missing_frame_is_named(tmp_path):
    write_ego(tmp_path, tree={(3, 1, 1): [(7, 1, 8)]})
    gone = tmp_path / "images/Subject03/Scene1/Depth/depth1/000008.jpg"
    gone.unlink()
    assert missing_files(read(tmp_path)[1][0].sources.values()) == [gone]


@pytest.mark.parametrize("first", [1, 0])
def test_a_video_stands_in_for_a_missing_folder(labels, first):
    root = labels("7,2,9\n")
    write_images_as_video(root / "images", 3, 1, 1, 12)
    settle(root, first_video_frame=first)
    (clip,) = read(root)[1]
    assert clip.origin["depth"] == "images/Subject03/Scene1/Depth/depth1.avi"
    for source in clip.sources.values():
        assert isinstance(source, VideoFrames)
        # The video's first picture says 1.
        assert numbers(source.read()) == [*range(3 - first, 11 - first)]


def test_images_are_preferred_to_a_video(tmp_path):
    write_ego(tmp_path, tree={(3, 1, 1): [(7, 1, 8)]})
    write_images_as_video(tmp_path / "images", 3, 1, 1, 12)
    (clip,) = read(tmp_path)[1]
    assert all(isinstance(source, ImageFrames) for source in clip.sources.values())


def test_store_of_the_small_tree(ego, dataset, tmp_path):
    survey = survey_dataset(EgoGesture(ego))
    text = "egogesture, recorded: 12 of 24,161 clips (7 train, 3 val, 2 test), 98 frames, rgb+depth"
    assert describe_survey(survey, tmp_path / "ego.zarr")[0] == text
    prepare(survey, tmp_path / "ego.zarr")
    reader = StoreReader(tmp_path / "ego.zarr")
    assert [row.clip_id for row in reader.table.rows] == [c.row.clip_id for c in dataset[1]]
    assert not reader.attributes.complete
    for index, clip in enumerate(dataset[1]):
        for name, source in clip.sources.items():
            np.testing.assert_array_equal(reader.read(index, name), source.read())


# Facts and settings


def test_facts(dataset):
    facts, _ = dataset
    assert (facts.dataset, facts.origin, facts.expected_clips) == ("egogesture", "recorded", 24161)
    assert (facts.modalities, facts.flow, facts.fps) == (("rgb", "depth"), "", 30.0)
    assert (facts.fold_rule, facts.subject_unit) == ("split", "person")
    assert len(facts.class_names) == len(set(facts.class_names)) == 83
    assert facts.class_names[0] == "Scroll hand towards right"
    assert (facts.class_names[21], facts.class_names[82]) == (
        "Measure(distance)",
        "Move fingers forward",
    )
    assert "research only" in facts.licence
    assert "CASIA" in facts.source


def test_mirror_pairs_and_classes_without_one(dataset):
    mirror = dataset[0].mirror
    pairs = {(a + 1, b + 1) for a, b in enumerate(mirror) if a < b}
    assert pairs == {(1, 2), (10, 11), (14, 15), (59, 60), (65, 66), (71, 72), (77, 78), (81, 82)}
    assert {a + 1 for a, b in enumerate(mirror) if b == -1} == {17, 18, 20, 73}
    assert all(b == -1 or mirror[b] == a for a, b in enumerate(mirror))


def test_what_is_inferred_is_said(dataset):
    doubted = {text.partition(":")[0] for text in dataset[0].assumptions}
    assert doubted == {"mirror", "window", "depth_polarity", "space", "first_video_frame"}


def test_synthetic_recordings_have_no_published_counts(tmp_path):
    write_ego(tmp_path, None)
    (tmp_path / "synthetic.json").write_text('{"twin": "mine"}')
    facts, _ = read(tmp_path)
    assert (facts.dataset, facts.origin) == ("mine", "synthetic")
    assert facts.published == {}


def test_the_last_two_frames_may_be_dropped(tmp_path):
    write_ego(tmp_path)
    settle(tmp_path, window="drop-last-two")
    facts, clips = read(tmp_path)
    assert clips[-1].row.clip_id == "Subject02/Scene1/rgb1/000009-000011"
    assert clips[-1].origin["window"] == [9, 11]
    assert clips[-1].row.num_frames == 1
    assert numbers(clips[-1].sources["depth"].read()) == [9]
    assert facts.alignment["window"] == "drop-last-two"
    assert not any(text.startswith("window: ") for text in facts.assumptions)


def test_a_clip_of_which_nothing_is_left_is_named(labels):
    root = labels("7,2,3\n")
    settle(root, window="drop-last-two")
    assert "Group1.csv:1: nothing is left of frames 2..3" in refused(root)


def test_other_folders_and_splits_are_used(tmp_path):
    write_ego(tmp_path, "part/a", tree={(3, 1, 1): [(7, 1, 8)], (60, 1, 1): [(7, 1, 8)]})
    (tmp_path / LABELS).rename(tmp_path / "csv")
    settle(
        tmp_path,
        label_folders=["csv"],
        image_folders=["part/*"],
        splits={"train": [60], "val": [], "test": [3]},
    )
    _, clips = read(tmp_path)
    assert [(clip.row.subject, clip.row.split) for clip in clips] == [
        ("60", "train"),
        ("3", "test"),
    ]
    assert missing_files(source for clip in clips for source in clip.sources.values()) == []


BAD_SETTINGS = {
    "unknown key": ({"persons": {}}, "unknown key 'persons'"),
    "short names": ({"class_names": ["a"]}, "'class_names' has 1 entries for 83 classes"),
    "no names": ({"class_names": None}, "'class_names' must be"),
    "short mirror": ({"mirror": [0] * 82}, "'mirror' has 82 entries for 83 classes"),
    "window": ({"window": "exclusive"}, "'window' must be 'inclusive' or 'drop-last-two'"),
    "two sides only": ({"splits": {"train": [1], "test": [2]}}, "'splits' must be"),
    "a side of words": ({"splits": {"train": ["1"], "val": [], "test": [2]}}, "'splits' must be"),
    "on two sides": ({"splits": {"train": [1], "val": [], "test": [1]}}, "'splits' must be"),
    "no folder": ({"image_folders": []}, "'image_folders' must be"),
    "absolute folder": ({"label_folders": ["/x"]}, "'label_folders' must be"),
    "folder above": ({"archive_folders": ["../x"]}, "'archive_folders' must be"),
    "second picture": ({"first_video_frame": 2}, "'first_video_frame' must be 0 or 1"),
    "scenes": ({"unreleased_scenes": {"3": 5}}, "'unreleased_scenes' must be"),
    "published": ({"published": {"person": {}}}, "'published' must be"),
    "polarity": ({"depth_polarity": 1}, "'depth_polarity' must be a text"),
}


@pytest.mark.parametrize("name", BAD_SETTINGS)
def test_bad_settings_name_file_and_key(tmp_path, name):
    settings, message = BAD_SETTINGS[name]
    settle(tmp_path, **settings)
    with pytest.raises(DatasetError) as caught:
        load_egogesture_settings(tmp_path)
    assert caught.value.what.startswith(f"{tmp_path / 'egogesture.json'}: {message}")
