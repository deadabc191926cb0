import csv
import json
import os
import pickle
from fractions import Fraction

import cv2
import numpy as np
import pytest
from recordings import cut_in_half, film, numbered, numbers, write_video

from mtut_bench.contract.folds import make_folds
from mtut_bench.errors import DatasetError, FoldError
from mtut_bench.store.reader import StoreReader
from mtut_bench.store.verify import verify_store
from mtut_preprocess import DATASETS, RawChoice
from mtut_preprocess.convert.prepare import prepare
from mtut_preprocess.convert.survey import FlowChoice, survey_dataset
from mtut_preprocess.datasets import manifest
from mtut_preprocess.datasets.manifest import Manifest, recordings
from mtut_preprocess.reading import frames

PATTERN = "%05d.png"


def write_images(folder, count=8, first=0, pattern=PATTERN, colour=False):
    """Write PNG files; file n shows the number n."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, luma in enumerate(numbered(count, first), start=first):
        image = np.stack([luma, luma, 255 - luma], axis=-1) if colour else luma
        assert cv2.imwrite(str(folder / (pattern % number)), image)
    return folder


def write_table(root, rows, name="clips.csv", header=None):
    root.mkdir(parents=True, exist_ok=True)
    with (root / name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, header or list(dict.fromkeys(k for row in rows for k in row)))
        writer.writeheader()
        writer.writerows(rows)
    return root / name


def row(clip, subject="ann", label="wave", rgb="a.avi", **cells):
    return {"clip": clip, "subject": subject, "label": label, "rgb": rgb, **cells}


def rows(**cells):
    """Two clips of two persons in one video."""
    return [row("1", "ann", **cells), row("2", "bob", **cells)]


@pytest.fixture
def root(tmp_path):
    """A folder with a video of eight frames."""
    write_video(tmp_path / "a.avi", numbered(8))
    return tmp_path


def read(root, table_rows, **options):
    return Manifest(write_table(root, table_rows), **options).read()


def clips_of(root, table_rows, **options):
    return {clip.row.clip_id: clip for clip in read(root, table_rows, **options)[1]}


def settle(root, **settings):
    (root / "clips.json").write_text(json.dumps(settings), encoding="utf-8")


def refused(root, table_rows=None, text=None, **options):
    """Return the message of the error; there is a hint too."""
    if table_rows is not None:
        write_table(root, table_rows)
    if text is not None:
        (root / "clips.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DatasetError) as caught:
        Manifest(root / "clips.csv", **options).read()
    assert caught.value.hint
    return caught.value.what


def shown(clip, modality="rgb"):
    return numbers(clip.sources[modality].read())


# Rows


def test_a_row_is_a_clip(root):
    settle(root, classes=["push", "wave"])
    table = [row("x", "ann", "wave", split="train"), row("y", "bob", "push", split="test")]
    facts, clips = read(root, table)
    first = clips[0].row
    assert [clip.row.clip_id for clip in clips] == ["x", "y"]
    assert (first.subject, first.label, first.repetition) == ("ann", 1, -1)
    assert (first.split, first.num_frames) == ("train", 8)
    assert facts.expected_clips == 2


def test_names_with_spaces_commas_quotes_and_other_letters(root):
    name = 'my videos/ö, "take" 1.avi'
    write_video(root / name, numbered(5))
    table = [row("größe, 1", "Ånn, B.", 'say "hi"', name), row("手 2", "بهار", "波", name)]
    facts, clips = read(root, table)
    assert [c.row.clip_id for c in clips] == ["größe, 1", "手 2"]
    assert {c.row.subject for c in clips} == {"Ånn, B.", "بهار"}
    assert set(facts.class_names) == {'say "hi"', "波"}
    assert shown(clips[0]) == [*range(5)]


def test_spaces_around_cells_blank_rows_and_a_byte_order_mark_do_not_matter(root):
    text = (
        '\ufeffclip, subject ,label,rgb\r\n1, "ann", wave ,a.avi\r\n\r\n,,,\r\n2,bob,wave,a.avi\r\n'
    )
    (root / "clips.csv").write_bytes(text.encode())
    _, clips = Manifest(root / "clips.csv").read()
    assert [(c.row.clip_id, c.row.subject) for c in clips] == [("1", "ann"), ("2", "bob")]


def test_columns_that_begin_with_an_underscore_are_remarks(root):
    facts, clips = read(root, [row("1", "a", _note="good"), row("2", "b", _note="line\nbreak")])
    assert facts.modalities == ("rgb",)
    assert set(clips[0].sources) == {"rgb"}


# Modalities and windows


def test_three_modalities_of_videos_and_images(root):
    write_images(root / "ir", 8)
    write_video(root / "d.mp4", numbered(8), "libx264")
    facts, clips = read(root, rows(ir=f"ir/{PATTERN}", depth="d.mp4"))
    assert facts.modalities == ("rgb", "depth", "ir")
    assert facts.colour == "rgb"
    assert [source.plane for source in clips[0].sources.values()] == ["rgb", "luma", "luma"]
    assert [shown(clips[0], m) for m in facts.modalities] == [[*range(8)]] * 3


def test_images_keep_every_bit(root):
    write_images(root / "c", 3, colour=True)
    clip = clips_of(root, rows(rgb_side=f"c/{PATTERN}", rgb_side_end="2", rgb_end="2"))["1"]
    wanted = numbered(2)
    frames = clip.sources["rgb_side"].read()
    assert (frames[..., 0] == 255 - wanted).all()  # red; OpenCV writes blue first
    assert (frames[..., 1] == wanted).all()
    assert (frames[..., 2] == wanted).all()


def test_windows_are_half_open_and_each_stream_has_its_own(root):
    write_images(root / "ir", 12, first=100)
    windows = {"rgb_start": "2", "rgb_end": "6", "ir_start": "103", "ir_end": "107"}
    clip = clips_of(root, rows(ir=f"ir/{PATTERN}", **windows))["2"]
    assert shown(clip) == [2, 3, 4, 5]
    assert shown(clip, "ir") == [103, 104, 105, 106]
    assert clip.row.num_frames == 4


def test_one_end_of_a_window_may_be_left_out(root):
    table = [
        row("tail", "a", rgb_start="5"),
        row("head", "b", rgb_end="3"),
        row("whole", "b", rgb_start=""),
    ]
    assert {name: shown(clip) for name, clip in clips_of(root, table).items()} == {
        "tail": [5, 6, 7],
        "head": [0, 1, 2],
        "whole": [*range(8)],
    }


def test_numbers_may_be_written_as_spreadsheets_write_them(root):
    assert shown(clips_of(root, rows(rgb_start="2.0", rgb_end="4."))["1"]) == [2, 3]


def test_without_a_window_all_images_whatever_the_first_number(root):
    write_images(root / "seq", 4, first=98, pattern="f%d_c.png")
    clip = clips_of(root, rows(rgb="seq/f%d_c.png"))["1"]
    assert shown(clip) == [98, 99, 100, 101]


def test_other_files_in_the_folder_of_a_pattern_do_not_matter(root):
    write_images(root / "seq", 3)
    for name in ("1.png", "000001.png", "x00004.png", "00004.png.bak", "00004_d.png", "Thumbs.db"):
        (root / "seq" / name).touch()
    assert shown(clips_of(root, rows(rgb=f"seq/{PATTERN}"))["1"]) == [0, 1, 2]


def test_a_window_may_pass_the_end_of_a_video_by_two_frames(root):
    facts, clips = read(root, rows(rgb_start="5", rgb_end="10"))
    assert shown(clips[0]) == [5, 6, 7, 7, 7]
    assert facts.findings == {
        "windows past the end of a video, whose last frame is repeated": ("1", "2")
    }


@pytest.mark.parametrize(
    ("start", "end"),
    [("5", "11"), ("8", "9"), ("100", "101"), ("4", "4"), ("5", "3"), ("", "0")],
)
def test_a_window_past_the_end_or_without_frames_is_refused(root, start, end):
    what = refused(root, [*rows(), row("3", rgb_start=start, rgb_end=end)])
    assert what.startswith(f"{root / 'clips.csv'}:4: rgb: ")
    assert f"[{start or 0}, {end})" in what
    assert "a.avi has frames 0 to 7" in what


@pytest.mark.parametrize("text", ["-1", "two", "1.5", "1e3", "0x2", "1234567890", "٣"])
def test_a_window_of_no_number_is_refused(root, text):
    what = refused(root, [*rows(), row("3", rgb_start=text, rgb_end="8")])
    assert f"clips.csv:4: rgb: rgb_start {text!r}" in what


@pytest.mark.parametrize(("rgb", "ir"), [(8, 5), (5, 8), (8, 7)])
def test_whole_files_up_to_three_frames_apart_are_cut_to_the_shortest(tmp_path, rgb, ir):
    write_video(tmp_path / "a.avi", numbered(rgb))
    write_images(tmp_path / "ir", ir, first=20)
    facts, clips = read(tmp_path, rows(ir=f"ir/{PATTERN}"))
    short = min(rgb, ir)
    assert shown(clips[0]) == [*range(short)]
    assert shown(clips[0], "ir") == [*range(20, 20 + short)]
    assert clips[0].row.num_frames == short
    assert facts.notes == ("2 clips with modalities of different lengths, cut to the shortest",)


def test_whole_files_further_apart_are_refused(root):
    write_images(root / "ir", 4)
    table = [row("1", ir=f"ir/{PATTERN}"), row("2", "bob", ir="a.avi")]
    what = refused(root, table)
    assert what.startswith(f"{root / 'clips.csv'}:2: ")
    assert what.endswith("rgb 8, ir 4")


@pytest.mark.parametrize("windows", [{"ir_end": "7"}, {"rgb_end": "8", "ir_end": "7"}])
def test_windows_of_different_lengths_are_refused(root, windows):
    what = refused(root, [row("1", ir="a.avi", **windows), row("2", "bob", ir="a.avi")])
    assert what.endswith("rgb 8, ir 7")


# Files


def test_paths_may_be_below_another_folder_and_absolute_inside_it(root, tmp_path_factory):
    table = write_table(
        tmp_path_factory.mktemp("tables"), [row("1"), row("2", "bob", rgb=str(root / "a.avi"))]
    )
    dataset = Manifest(table, root=root)
    _, clips = dataset.read()
    assert dataset.root == root
    assert [clip.origin for clip in clips] == [{"rgb": {"path": "a.avi", "window": [0, 8]}}] * 2
    assert [clip.sources["rgb"].path for clip in clips] == [root / "a.avi"] * 2


def test_absolute_paths_are_inside_by_any_name_of_the_folder(root, tmp_path_factory):
    other = tmp_path_factory.mktemp("links") / "root"
    other.symlink_to(root)
    clips = clips_of(root, rows(rgb=str(other / "a.avi")))
    assert clips["1"].origin["rgb"]["path"] == "a.avi"


def test_a_table_in_the_working_directory(root, monkeypatch):
    monkeypatch.chdir(root)
    write_table(root, rows(rgb="./sub/../a.avi"))
    _, clips = Manifest(manifest.Path("clips.csv")).read()
    assert clips[0].origin["rgb"]["path"] == "a.avi"
    assert shown(clips[0]) == [*range(8)]


@pytest.mark.parametrize("path", ["../a.avi", "sub/../../a.avi", "/etc/hosts", "{above}/a.avi"])
def test_a_path_that_leaves_the_root_is_refused(root, path):
    path = path.format(above=root.parent)
    what = refused(root, [*rows(), row("3", rgb=path)])
    assert what.startswith(f"{root / 'clips.csv'}:4: rgb: {path} ")
    assert str(root) in what


def test_missing_files_are_counted_and_the_first_ten_named(root):
    table = [row("0"), *(row(f"c{n}", "bob", rgb=f"gone/{n}.avi") for n in range(12))]
    what = refused(root, table)
    first, *named = what.split("\n  ")
    assert str(root / "clips.csv") in first
    assert "12" in first
    assert named[0].startswith(f"clips.csv:3: rgb: {root}/gone/0.avi")
    assert len(named) == 11
    assert named[-1] == "..."


def test_every_modality_of_a_row_is_named(root):
    what = refused(root, [*rows(ir="a.avi"), row("3", rgb="x.avi", ir="y.avi")])
    assert f"clips.csv:4: rgb: {root}/x.avi" in what
    assert f"clips.csv:4: ir: {root}/y.avi" in what


def test_a_gap_in_images_names_the_missing_file(root):
    folder = write_images(root / "seq", 8)
    for number in (3, 5):
        (folder / (PATTERN % number)).unlink()
    what = refused(root, [row("1"), row("2", "bob", rgb=f"seq/{PATTERN}")])
    assert what.endswith(f"2 of 8 images are missing, the first is {folder}/00003.png")
    windowed = row("2", "bob", rgb=f"seq/{PATTERN}", rgb_start="4", rgb_end="6")
    assert "1 of 2 images are missing" in refused(root, [row("1"), windowed])


def test_windows_outside_the_images_are_refused(root):
    write_images(root / "seq", 8, first=1)
    images = {"rgb": f"seq/{PATTERN}"}
    early = row("2", "bob", **images, rgb_start="0", rgb_end="4")
    late = row("2", "bob", **images, rgb_start="5", rgb_end="999999999")
    assert f"1 of 4 images are missing, the first is {root}/seq/00000.png" in refused(
        root, [row("1"), early]
    )
    assert "passes the end: seq/%05d.png has frames 1 to 8" in refused(root, [row("1"), late])


WRONG_PATHS = {
    "folder": ("seq", "folder"),
    "a single image": ("seq/00001.png", "a single image"),
    "no such padding": ("seq/%04d.png", "found: 00000.png"),
    "no such folder": ("sec/%05d.png", "No such file"),
    "two numbers": ("seq/%02d%03d.png", "does not exist"),
    "spaces for zeros": ("seq/%5d.avi", "does not exist"),
    "backslash": ("seq\\a.avi", "does not exist"),
    "no video": ("clips.csv", "not a readable video"),
    "empty": ("empty.avi", "0 bytes"),
    "cut": ("cut.avi", "cut short"),
    "long": ("x" * 300, "too long"),
}


@pytest.mark.parametrize("name", WRONG_PATHS)
def test_a_path_to_no_recording_is_refused(root, name):
    write_images(root / "seq", 2)
    (root / "empty.avi").touch()
    cut_in_half(write_video(root / "cut.avi", numbered(8)))
    path, reason = WRONG_PATHS[name]
    what = refused(root, [*rows(), row("3", rgb=path)])
    assert what.startswith(f"{root / 'clips.csv'}:4: rgb: ")
    assert path in what
    assert reason in what


def test_each_folder_is_listed_once_and_each_video_counted_once(root, monkeypatch):
    write_images(root / "seq", 8)
    calls = []
    scandir, count = os.scandir, recordings.count_packets
    monkeypatch.setattr(frames.os, "scandir", lambda path: calls.append(path) or scandir(path))
    monkeypatch.setattr(recordings, "count_packets", lambda path: calls.append(path) or count(path))
    table = [
        row(f"c{n}", f"s{n}", ir=f"seq/{PATTERN}", rgb_end=str(n), ir_end=str(n))
        for n in range(1, 8)
    ]
    read(root, table)
    assert sorted(calls) == [root / "a.avi", root / "seq"]


def test_sources_cross_process_borders(root):
    _, clips = read(root, rows())
    assert pickle.loads(pickle.dumps(clips)) == clips


# Columns


@pytest.mark.parametrize(("column", "meant"), [("splt", "split"), ("rgb_stat", "rgb_start")])
def test_a_typing_error_in_an_optional_column_is_no_modality(root, column, meant):
    write_table(root, [row("1", "ann", **{column: "train"}), row("2", "bob", **{column: "test"})])
    with pytest.raises(DatasetError, match=rf"clips\.csv: .*'{column}'.*line 2: 'train'") as caught:
        Manifest(root / "clips.csv").read()
    assert meant in caught.value.hint


def test_a_wrong_root_is_named(root):
    with pytest.raises(DatasetError) as caught:
        Manifest(write_table(root, rows()), root=root / "elsewhere").read()
    assert str(root / "elsewhere") in caught.value.what
    assert "--raw" in caught.value.hint


HEADERS = {
    "required": (
        "clip,subject,lable,rgb",
        "'label' is missing; there are 'clip', ",
    ),
    "capitals": ("Clip,subject,label,rgb", "'clip' is missing; there are 'Clip'"),
    "no subject": ("clip,label,rgb", "'subject' is missing"),
    "twice": ("clip,subject,label,rgb,rgb", "'rgb' is there 2 times"),
    "nameless": ("clip,subject,label,,rgb", "column 4"),
    "no modality": ("clip,subject,label,fps,_rgb", "no column names recordings"),
    "window of none": ("clip,subject,label,rgb,ir_start", "'ir_start' is a window of 'ir'"),
    "window of split": ("clip,subject,label,rgb,split_end", "'split_end' is a window of 'split'"),
    "no name": ("clip,subject,label,IR Left", "'IR Left'"),
    "flow": ("clip,subject,label,rgb,flow_tvl1", "'flow_tvl1': optical flow"),
    "semicolons": ("clip;subject;label;rgb", "'clip;subject;label;rgb'"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_malformed_header_is_refused(root, name):
    header, message = HEADERS[name]
    cells = ["a.avi"] * header.count(",")
    what = refused(root, text=f"\n{header}\nx,{','.join(cells)}\n")
    assert what.startswith(f"{root / 'clips.csv'}:2: ")
    assert message in what


# Cells


def test_a_missing_table_is_named(tmp_path):
    assert str(tmp_path / "clips.csv") in refused(tmp_path)


TEXTS = {
    "nothing": (b"", " is empty"),
    "blank": (b"\n,,\n", " is empty"),
    "header alone": (b"clip,subject,label,rgb\n", " lists no clip"),
    "another encoding": ("clip,subject\n1,ö\n".encode("latin-1"), ":2: "),
    "utf-16": ("clip,subject".encode("utf-16"), ":1: "),
    "open quote": (b'clip,subject\n1,2\n3,"x\n4,y\n', ":3: "),
    "quote inside": (b'clip,subject\n1,"x"y\n', ":2: "),
    "few cells": (b"clip,subject,label,rgb\n1,ann,wave\n", ":2: 3 cells for 4 columns"),
    "many cells": (
        b"clip,subject,label,rgb\n\n1,ann,push, pull,a.avi\n",
        ":3: 5 cells for 4 columns",
    ),
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_malformed_table_is_refused(root, name):
    text, message = TEXTS[name]
    assert refused(root, text=text).startswith(f"{root / 'clips.csv'}{message}")


CELLS = {
    "no clip": (row(""), "clip "),
    "no subject": (row("3", ""), "subject "),
    "no label": (row("3", label=" "), "label "),
    "no file": (row("3", rgb=""), "rgb "),
    "clip twice": (row("2"), "clip '2' is in line 3 already"),
    "line break": (row("a\nb"), r"clip: 'a\nb'"),
    "zero": (row("a\0"), r"clip: 'a\x00'"),
}


@pytest.mark.parametrize("name", CELLS)
def test_a_malformed_cell_is_refused(root, name):
    bad, what = CELLS[name]
    assert refused(root, [*rows(), bad]).startswith(f"{root / 'clips.csv'}:4: {what}")


def test_line_numbers_are_those_of_the_file(root):
    table = [row("1", _note="two\nlines"), row("2", "bob", _note=""), row("2", "bob", _note="")]
    assert "clips.csv:5: clip '2' is in line 4" in refused(root, table)


@pytest.mark.parametrize(
    ("column", "first", "second"),
    [
        ("subject", "Ann", "ann"),
        ("subject", "1", "01"),
        ("subject", "P 1", "P  1"),
        ("label", "swipe left", "Swipe Left"),
        ("label", "é", "e\u0301"),
        ("label", "gesture 2", "gesture 02"),
    ],
)
def test_one_name_written_in_two_ways_is_refused(root, column, first, second):
    table = [row("1", "x") | {column: first}, row("2", "y"), row("3", "z") | {column: second}]
    what = refused(root, table)
    assert what.startswith(f"{root / 'clips.csv'}:4: {column}s {first!r} (line 2) and {second!r}")


# Classes


def test_classes_are_sorted_with_numbers_by_value(root):
    labels = ["turn 10", "turn 2", "Push", "apple", "3", "12"]
    facts, clips = read(root, [row(x, x, x) for x in labels])
    assert facts.class_names == ("3", "12", "apple", "Push", "turn 2", "turn 10")
    assert [facts.class_names[clip.row.label] for clip in clips] == labels


def test_classes_of_the_settings_keep_their_order_and_may_lack_clips(root):
    settle(root, classes=["wave", "unseen", "push"])
    facts, clips = read(root, [row("1", "a", "push"), row("2", "b", "wave")])
    assert facts.class_names == ("wave", "unseen", "push")
    assert [clip.row.label for clip in clips] == [2, 0]


def test_a_label_that_is_no_class_is_refused(root):
    settle(root, classes=["wave", "push"])
    write_table(root, [row("1", "a", "push"), row("2", "b", "wvae")])
    with pytest.raises(DatasetError, match=r"clips\.csv:3: label 'wvae'") as caught:
        Manifest(root / "clips.csv").read()
    assert "wave" in caught.value.hint


def test_without_settings_mirrors_are_unknown(root):
    facts, _ = read(root, rows())
    assert (facts.mirror, facts.subject_unit) == (None, "person")
    assert (facts.depth_polarity, facts.source, facts.licence) == ("not stated", "", "")


def test_mirrors_are_pairs_either_way_and_own(root):
    settle(root, mirror={"right": "left", "push": "push"}, no_mirror=["circle"])
    facts, _ = read(root, [row(x, x, x) for x in ("left", "right", "push", "circle")])
    assert facts.class_names == ("circle", "left", "push", "right")
    assert facts.mirror == (-1, 3, 2, 1)
    assert facts.assumptions == ()


def test_a_class_without_a_stated_mirror_is_never_flipped_and_is_named(root):
    settle(root, mirror={"right": "left"})
    facts, _ = read(root, [row(x, x, x, fps="30") for x in ("left", "right", "push", "circle")])
    assert facts.mirror == (-1, 3, -1, 1)
    assert facts.assumptions == ("mirror: not stated for circle, push: these are never flipped",)


SETTINGS = {
    "unknown key": ({"class": ["wave"]}, "'class'"),
    "class twice": ({"classes": ["wave", "wave"]}, "'classes'"),
    "no class": ({"classes": []}, "'classes'"),
    "class without a name": ({"classes": ["wave", ""]}, "'classes"),
    "mirror of a number": ({"mirror": {"wave": 0}}, "'mirror'"),
    "other unit": ({"subjects_are": "people"}, "'people'"),
    "mirror of no class": ({"mirror": {"wave": "wove"}}, "'wove'"),
    "no_mirror of no class": ({"no_mirror": ["wove"]}, "'wove'"),
    "two mirrors": ({"mirror": {"wave": "push", "push": "push"}}, "'push' and 'wave'"),
    "both": ({"mirror": {"wave": "wave"}, "no_mirror": ["wave"]}, "'wave' and 'none'"),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_bad_settings_name_file_and_value(root, name):
    settings, value = SETTINGS[name]
    settle(root, **settings)
    what = refused(root, [row("1", "a", "wave"), row("2", "b", "push")])
    assert what.startswith(f"{root / 'clips.json'}: ")
    assert value in what


# Folds


def test_folds_by_subject(root):
    facts, clips = read(root, [row("1", "a", split=""), row("2", "b", split=""), row("3", "a")])
    folds = make_folds([clip.row for clip in clips], facts.fold_rule, facts.subject_unit)
    assert [(f.name, f.train, f.test) for f in folds] == [
        ("a", ("2",), ("1", "3")),
        ("b", ("1", "3"), ("2",)),
    ]


def test_folds_by_split(root):
    splits = {"a": "train", "b": "val", "c": "test"}
    facts, clips = read(root, [row(x, x, split=split) for x, split in splits.items()])
    (fold,) = make_folds([clip.row for clip in clips], facts.fold_rule, facts.subject_unit)
    assert (fold.name, fold.train, fold.val, fold.test) == ("official", ("a",), ("b",), ("c",))


def test_users_are_not_taken_for_persons(root):
    settle(root, subjects_are="user")
    facts, clips = read(root, rows())
    table = [clip.row for clip in clips]
    assert (facts.subject_unit, facts.fold_rule) == ("user", "subject")
    with pytest.raises(FoldError):
        make_folds(table, facts.fold_rule, facts.subject_unit)
    assert len(make_folds(table, facts.fold_rule, facts.subject_unit, "user")) == 2


SPLITS = {
    "another value": (["train", "test", "Train"], ":4: split 'Train'"),
    "partly filled": (["train", "test", ""], ":4: split ''"),
    "a person twice": (["train", "test", "test"], ":4: subject 'a' is in test, and in train"),
    "no test": (["train", "train", "train"], ": no clip has the split 'test'"),
    "no train": (["test", "test", "test"], ": no clip has the split 'train'"),
}


@pytest.mark.parametrize("name", SPLITS)
def test_a_split_that_makes_no_fold_is_refused(root, name):
    splits, message = SPLITS[name]
    table = [row(str(i), x, split=s) for i, (x, s) in enumerate(zip("aba", splits, strict=True))]
    assert refused(root, table).startswith(f"{root / 'clips.csv'}{message}")


def test_subjects_that_make_no_fold_are_refused(root):
    assert "all clips are of subject 'ann'" in refused(root, [row("1"), row("2")])
    assert "called 'all'" in refused(root, [row("1"), row("2", "all")])


# Facts


def test_dataset_is_named_after_the_store_or_the_table(root):
    assert read(root, rows())[0].dataset == "clips"
    assert read(root, rows(), name="mine")[0].dataset == "mine"


@pytest.mark.parametrize("name", ["viva", "NVGesture", "viva-synthetic"])
def test_the_name_of_a_published_dataset_is_refused(root, name):
    choice = RawChoice(root, table=root / "clips.csv", name=name)
    with pytest.raises(DatasetError, match=repr(name)):
        DATASETS["manifest"].open_raw(choice)


def test_fps_of_the_table(root):
    facts, _ = read(root, rows(fps="29.97"))
    assert (facts.fps, facts.assumptions) == (29.97, ())


@pytest.mark.parametrize("cells", [{}, {"fps": ""}])
def test_without_fps_in_the_table_the_files_rate_counts(root, cells):
    write_video(root / "slow.avi", numbered(8), rate=15)
    facts, _ = read(root, rows(rgb="slow.avi", **cells))
    assert (facts.fps, facts.assumptions) == (15, ())


def test_several_rates_of_files_are_refused_with_both_names(root):
    write_video(root / "b.avi", numbered(8), rate=15)
    table = [row("1"), row("2"), row("3", "bob"), row("4", "bob", rgb="b.avi")]
    # Two recordings, one of each rate: the lower counts as the usual one.
    what = refused(root, table)
    assert what.startswith(f"{root / 'clips.csv'}:2: rgb: a.avi has 30 ")
    assert what.endswith("b.avi (line 5) has 15")
    # With a column of its own the number of the table counts for all.
    facts, clips = read(root, [line | {"fps": "30"} for line in table])
    assert facts.fps == 30
    (assumption,) = facts.assumptions
    assert assumption.startswith("fps: the table says 30, b.avi 15;")
    assert "--fps 30" in assumption
    assert shown(clips[3]) == [*range(8)]


def test_every_recording_of_another_rate_is_named_once(root):
    for name, rate in (("b", 15), ("c", 60), ("d", 30), ("e", 29), ("f", 30)):
        write_video(root / f"{name}.avi", numbered(8), rate=rate)
    table = [row(f"{n} {name}", f"s{n}", rgb=f"{name}.avi") for n in range(2) for name in "abcdef"]
    _, *named = refused(root, table).split("\n  ")
    assert [text.partition(" frames")[0] for text in named] == [
        "clips.csv:3: rgb: b.avi has 15",
        "clips.csv:4: rgb: c.avi has 60",
    ]
    assert all(text.endswith("a.avi (line 2) has 30") for text in named)


def test_rates_that_predict_takes_for_one_are_one(root):
    for name, rate in (("b", Fraction(30000, 1001)), ("c", 31)):
        write_video(root / f"{name}.avi", numbered(8), rate=rate)
    facts, _ = read(root, [row(name, name, rgb=f"{name}.avi") for name in "abc"])
    assert facts.fps == 30
    assert facts.assumptions == ("fps: the recordings have 29.97 to 31; 30 is used",)
    assert (
        read(root, [row(name, name, rgb=f"{name}.avi", fps="30") for name in "abc"])[0].assumptions
        == ()
    )


def test_images_have_the_rate_of_the_videos_beside_them_or_30(root):
    write_images(root / "ir", 8)
    write_video(root / "slow.avi", numbered(8), rate=15)
    ir = f"ir/{PATTERN}"
    facts, _ = read(root, rows(rgb="slow.avi", ir=ir))
    assert facts.fps == 15
    assert facts.assumptions == (f"fps: not given in {ir}; 15 is assumed, as in the others",)
    facts, _ = read(root, rows(rgb=ir))
    assert facts.fps == 30
    assert facts.assumptions == ("fps: not given in table or recordings; 30 is assumed",)
    facts, _ = read(root, rows(rgb=ir, fps="12.5"))
    assert (facts.fps, facts.assumptions) == (12.5, ())


@pytest.mark.parametrize("cells", [{}, {"fps": "10"}])
def test_uneven_times_are_said(root, cells):
    times = [50 * n + 1000 * (n > 9) for n in range(20)]
    film(root / "u.mkv", numbered(20), times=times, codec="libx264")
    facts, clips = read(root, rows(rgb="u.mkv", **cells))
    assert facts.fps == pytest.approx(19 / 1.95 if not cells else 10)
    (assumption,) = facts.assumptions
    # Frame 9 of 19 steps: due at 0.92 s, there at 0.45 s.
    assert assumption.startswith(
        "time: the frames of u.mkv come unevenly, up to 0.47 s from 9.744 a"
    )
    assert shown(clips[0]) == [*range(20)]


@pytest.mark.parametrize("text", ["0", "-5", "fast", "nan", "inf"])
def test_fps_that_is_no_rate_is_refused(root, text):
    assert f"clips.csv:2: fps {text!r}" in refused(root, rows(fps=text))


def test_two_frame_rates_are_refused(root):
    what = refused(root, [row("1", fps="30"), row("2", "bob", fps="25")])
    assert "clips.csv:3: fps '25' differs from '30'" in what


def test_recordings_of_a_generator_are_synthetic(root):
    assert read(root, rows())[0].origin == "recorded"
    write_video(root / "twin" / "b.avi", numbered(8))
    (root / "twin" / "synthetic.json").write_text('{"twin": "viva-synthetic"}')
    facts, _ = read(root, [row("1"), row("2", "bob", rgb="twin/b.avi")])
    assert (facts.dataset, facts.origin) == ("clips", "synthetic")


# To a store


@pytest.fixture
def mixed(tmp_path):
    """Four clips of two persons: a colour video, depth and infrared images."""
    table = []
    for n, subject in enumerate(("ann", "ann", "bob", "bob")):
        write_images(tmp_path / f"c{n}", 6, first=n, colour=True)
        write_images(tmp_path / f"d{n}", 8, first=10 * n)
        write_images(tmp_path / f"ir{n}", 7, first=100 + n, pattern="%d.png")
        cells = {"depth": f"d{n}/{PATTERN}", "ir": f"ir{n}/%d.png"}
        table.append(
            row(f"clip {n}", subject, ("left", "right")[n % 2], f"c{n}/{PATTERN}", **cells)
        )
    return tmp_path, table


def test_store_holds_the_frames_that_were_written(mixed):
    root, table = mixed
    settle(root, _remark=1, mirror={"left": "right"}, licence="ours", depth_polarity="near is dark")
    survey = survey_dataset(Manifest(write_table(root, table)), flow=FlowChoice("farneback"))
    path = root / "stores" / "mine.zarr"
    assert prepare(survey, path).num_clips == 4
    assert not verify_store(path).faults
    reader = StoreReader(path)
    assert reader.modalities == ("rgb", "depth", "flow", "ir")
    assert reader.attributes.classes == ("left", "right")
    assert (reader.attributes.mirror, reader.attributes.complete) == ((1, 0), True)
    assert reader.attributes.licence == "ours"
    assert reader.attributes.depth_polarity == "near is dark"
    for n in range(4):
        grey = {"depth": numbered(6, 10 * n), "ir": numbered(6, 100 + n)}
        for modality, wanted in grey.items():
            assert (reader.read(n, modality)[..., 0] == wanted).all()
        luma = numbered(6, n)
        wanted = np.stack([255 - luma, luma, luma], axis=-1)
        assert (reader.read(n, "rgb") == wanted).all()


def test_digest_does_not_depend_on_where_recordings_lie(mixed, tmp_path_factory):
    root, table = mixed
    moved = tmp_path_factory.mktemp("moved")
    (moved / "here").symlink_to(root)
    other = [
        {k: f"here/{v}" if k in ("rgb", "depth", "ir") else v for k, v in line.items()}
        for line in table
    ]
    digests = {
        prepare(survey_dataset(Manifest(write_table(folder, lines))), folder / "s.zarr").digest
        for folder, lines in ((root, table), (moved, other))
    }
    assert len(digests) == 1
