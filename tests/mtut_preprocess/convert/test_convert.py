import dataclasses
import hashlib
import json
import math
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from recordings import (
    cut_in_half,
    list_line,
    numbered,
    numbers,
    write_lists,
    write_nvgesture_clip,
    write_video,
    write_viva_clip,
)

from mtut_bench.errors import ClipError, DatasetError, StoreError, UsageError
from mtut_bench.store.format import encode_flow
from mtut_bench.store.reader import StoreReader
from mtut_bench.store.verify import verify_store
from mtut_preprocess.convert import prepare as convert
from mtut_preprocess.convert.survey import FlowChoice, describe_survey, survey_dataset
from mtut_preprocess.datasets.nvgesture import NvGesture
from mtut_preprocess.datasets.viva import Viva
from mtut_preprocess.derive.resize import resize_frame

FOLDERS = ("class_01/subject1_r0", "class_02/subject1_r1", "class_03/subject5_r0")


def prepare(dataset, path, *, limit=None, **options):
    return convert.prepare(survey_dataset(dataset, limit=limit), path, **options)


def describe(dataset, path):
    return describe_survey(survey_dataset(dataset), path)


@pytest.fixture
def raw(tmp_path):
    """Two train clips and a test clip of eight frames, numbered 2, 3, ... in the windows."""
    root = tmp_path / "raw"
    lines = [
        list_line(folder, (2, 10), (2, 10), label)
        for label, folder in zip((1, 2, 3), FOLDERS, strict=True)
    ]
    for folder in FOLDERS:
        write_nvgesture_clip(root, folder, 12)
    return write_lists(root, lines[:2], lines[2:])


@pytest.fixture
def three_units(tmp_path):
    """Clips of 330 frames, of which a shard holds one."""
    root = tmp_path / "raw"
    lines = [list_line(folder, (0, 330), (0, 330)) for folder in FOLDERS]
    for i, folder in enumerate(FOLDERS):
        write_nvgesture_clip(root, folder, 330, size=(8, 16), first=i)
    return write_lists(root, lines[:2], lines[2:])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "stores" / "small.zarr"


def files_of(path):
    return {
        str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(path.rglob("*"))
        if file.is_file()
    }


def video(raw, folder, stream="sk_color"):
    return raw / "Video_data" / folder / f"{stream}.avi"


def visible(folder):
    return sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))


# The store


def test_store_holds_the_frames_of_the_windows(raw, path):
    prepare(NvGesture(raw), path)
    reader = StoreReader(path)
    assert [row.clip_id for row in reader.table.rows] == list(FOLDERS)
    for index in range(3):
        for modality in ("rgb", "depth"):
            assert numbers(reader.read(index, modality)) == [2, 3, 4, 5, 6, 7, 8, 9]
        assert reader.read(index, "flow").shape == (8, 24, 32, 2)
    assert verify_store(path).faults == ()


def test_attributes_and_sources_of_the_store(raw, path):
    prepare(NvGesture(raw), path)
    attributes = StoreReader(path).attributes
    assert (attributes.dataset, attributes.origin) == ("nvgesture", "recorded")
    assert (attributes.complete, attributes.expected_clips) == (False, 1532)
    assert attributes.flow["flow"]["algorithm"] == "farneback"
    sources = [json.loads(text) for text in StoreReader(path).sources()]
    assert [source["pairing"] for source in sources] == ["position"] * 3
    assert {"numpy", "zarr", "av", "opencv", "mtut-bench"} <= attributes.versions.keys()
    assert [source["depth"] for source in sources] == [
        f"Video_data/{folder}/sk_depth.avi" for folder in FOLDERS
    ]


@pytest.mark.parametrize("absent", [0, 1])
def test_only_every_clip_of_the_dataset_is_complete(tmp_path, absent):
    every = [f"class_{k:02d}/subject1_r{i}" for k in range(1, 26) for i in range(42)]
    every += [f"class_01/subject5_r{i}" for i in range(482 - absent)]
    write_lists(tmp_path, every[:1050], every[1050:])
    write_nvgesture_clip(tmp_path, every[0])
    for folder in every[1:]:
        for stream in ("sk_color", "sk_depth"):
            video(tmp_path, folder, stream).parent.mkdir(parents=True, exist_ok=True)
            video(tmp_path, folder, stream).touch()
    assert survey_dataset(NvGesture(tmp_path)).plan().facts.complete is (absent == 0)


def test_viva_store_has_no_flow(tmp_path, path):
    write_viva_clip(tmp_path / "raw", "01_01_01", 7)
    prepare(Viva(tmp_path / "raw"), path)
    reader = StoreReader(path)
    assert reader.modalities == ("rgb", "depth")
    assert numbers(reader.read(0, "depth")) == [*range(7)]


# Same bytes, no work twice


def test_two_workers_write_the_same_bytes_as_one(three_units, path):
    one = prepare(NvGesture(three_units), path)
    two = prepare(NvGesture(three_units), path.with_name("two.zarr"), workers=2)
    assert one.digest == two.digest
    assert files_of(path) == files_of(two.path)


def test_prepared_store_is_left_alone(raw, path):
    first = prepare(NvGesture(raw), path)
    before = {file: file.stat().st_mtime_ns for file in path.rglob("*")}
    again = prepare(NvGesture(raw), path)
    assert (first.new, again.new, again.digest) == (True, False, first.digest)
    assert {file: file.stat().st_mtime_ns for file in path.rglob("*")} == before


def test_interrupted_preparation_is_resumed(three_units, path):
    def interrupt(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(NvGesture(three_units), path, progress=interrupt)
    assert visible(path.parent) == ["small.partial"]
    calls = []
    resumed = prepare(NvGesture(three_units), path, progress=lambda *call: calls.append(call))
    assert calls == [(2, 3), (3, 3)]
    assert visible(path.parent) == ["small.zarr"]
    assert resumed.digest == prepare(NvGesture(three_units), path.with_name("b.zarr")).digest


# Another store in the way


def test_store_of_other_recordings_is_kept(raw, path):
    prepare(NvGesture(raw), path)
    before = files_of(path)
    write_lists(raw, [list_line(FOLDERS[0])], [list_line(FOLDERS[2])])
    with pytest.raises(StoreError, match=str(path)) as caught:
        prepare(NvGesture(raw), path)
    assert "--overwrite" in caught.value.hint
    assert files_of(path) == before


def test_overwrite_replaces_a_store_of_other_recordings(raw, path):
    prepare(NvGesture(raw), path)
    write_lists(raw, [list_line(FOLDERS[0])], [list_line(FOLDERS[2])])
    assert prepare(NvGesture(raw), path, overwrite=True).num_clips == 2
    assert len(StoreReader(path).table.rows) == 2
    assert visible(path.parent) == ["small.zarr"]


def tear_group(path):
    (path / "zarr.json").write_text("{")


def tear_shard(path):
    (path / "frames/rgb/c/0/0/0/0").write_bytes(b"torn")


def make_newer(path):
    text = (path / "zarr.json").read_text()
    (path / "zarr.json").write_text(text.replace('"format_version": 1', '"format_version": 9'))


@pytest.mark.parametrize("damage", [tear_group, tear_shard, make_newer])
def test_damaged_store_is_reported_and_overwrite_replaces_it(raw, path, damage):
    digest = prepare(NvGesture(raw), path).digest
    damage(path)
    with pytest.raises(StoreError, match=str(path)) as caught:
        prepare(NvGesture(raw), path)
    assert "--overwrite" in caught.value.hint
    assert prepare(NvGesture(raw), path, overwrite=True).digest == digest
    assert verify_store(path).faults == ()


# Bad recordings


def test_bad_videos_are_named_once_and_the_rest_is_kept(three_units, path):
    good = video(three_units, FOLDERS[1]).read_bytes()
    cut_in_half(video(three_units, FOLDERS[1]))
    with pytest.raises(ClipError, match="1 of 3") as caught:
        prepare(NvGesture(three_units), path)
    assert f"{video(three_units, FOLDERS[1])} is cut short" in caught.value.what
    assert visible(path.parent) == ["small.partial"]
    video(three_units, FOLDERS[1]).write_bytes(good)
    calls = []
    repaired = prepare(NvGesture(three_units), path, progress=lambda *call: calls.append(call))
    assert calls == [(2, 3), (3, 3)]
    assert repaired.digest == prepare(NvGesture(three_units), path.with_name("b.zarr")).digest


def test_only_skipped_clips_are_tried_again(three_units, path, monkeypatch):
    """The unit of a skipped clip keeps its other clips, byte for byte, without reading them."""
    write_lists(
        three_units,
        [list_line(f, (0, 20), (0, 20)) for f in FOLDERS[:2]],
        [list_line(FOLDERS[2], (0, 20), (0, 20))],
    )
    whole = prepare(NvGesture(three_units), path.with_name("whole.zarr"))
    good = video(three_units, FOLDERS[1]).read_bytes()
    cut_in_half(video(three_units, FOLDERS[1]))
    for _ in range(2):
        with pytest.raises(ClipError, match="1 of 3"):
            prepare(NvGesture(three_units), path)
    video(three_units, FOLDERS[1]).write_bytes(good)
    tried = []
    read = convert.read_clip
    monkeypatch.setattr(
        convert,
        "read_clip",
        lambda clip, *rest: (tried.append(clip.row.clip_id), read(clip, *rest))[1],
    )
    assert prepare(NvGesture(three_units), path).digest == whole.digest
    assert tried == [FOLDERS[1]]
    assert files_of(path) == files_of(whole.path)


def test_a_store_can_be_finished_without_unreadable_clips(three_units, path):
    cut_in_half(video(three_units, FOLDERS[1]))
    done = prepare(NvGesture(three_units), path, skip_unreadable=True)
    (skipped,) = done.skipped
    assert skipped[0] == FOLDERS[1]
    assert "is cut short" in skipped[1]
    reader = StoreReader(path)
    assert [row.clip_id for row in reader.table.rows] == [FOLDERS[0], FOLDERS[2]]
    ((clip_id, reason),) = reader.attributes.skipped
    assert (clip_id, str(three_units) in reason) == (FOLDERS[1], False)
    assert reason.startswith(f"Video_data/{FOLDERS[1]}/sk_color.avi is cut short")
    assert reader.attributes.complete is False
    assert numbers(reader.read(1, "depth"))[:3] == [2, 3, 4]
    again = prepare(NvGesture(three_units), path, skip_unreadable=True)
    assert (again.new, again.digest) == (False, done.digest)
    assert again.skipped == ((clip_id, reason),)


@pytest.mark.parametrize("stream", ["sk_color", "sk_depth"])
def test_no_readable_clip_makes_no_store(raw, path, stream):
    for folder in FOLDERS:
        cut_in_half(video(raw, folder, stream))
    with pytest.raises(ClipError, match=rf"subject1_r0/{stream}\.avi"):
        prepare(NvGesture(raw), path, skip_unreadable=True)
    assert not path.exists()


def test_all_bad_videos_of_a_unit_are_named(raw, path):
    for folder in FOLDERS[:2]:
        cut_in_half(video(raw, folder))
    with pytest.raises(ClipError, match="2 of 3") as caught:
        prepare(NvGesture(raw), path)
    assert all(str(video(raw, folder)) in caught.value.what for folder in FOLDERS[:2])


def test_stream_shorter_than_its_window_is_named(raw, path):
    write_video(video(raw, FOLDERS[1], "sk_depth"), numbered(7))
    with pytest.raises(ClipError, match=r"sk_depth\.avi has 7 frames; its window ends at frame 10"):
        prepare(NvGesture(raw), path)


def test_half_the_videos_missing_is_an_error_before_any_work(raw, path):
    for folder in FOLDERS[:2]:
        video(raw, folder).unlink()
    with pytest.raises(DatasetError, match=r"2 of 3 .* rgb") as caught:
        prepare(NvGesture(raw), path)
    assert str(video(raw, FOLDERS[0])) in caught.value.what
    assert "--colour sk_wrapped" in caught.value.hint
    assert not path.parent.exists()


def test_other_frame_size_is_named(raw, path):
    write_video(video(raw, FOLDERS[1], "sk_depth"), numbered(12, height=16))
    with pytest.raises(ClipError, match=r"sk_depth\.avi has frames of 32x16; the store's are"):
        prepare(NvGesture(raw), path)


@pytest.mark.parametrize("finished", [False, True])
def test_an_exchanged_recording_is_noticed(three_units, path, finished):
    """A resumed store never mixes old and new frames; a finished one is not taken for the new."""

    def interrupt(done, total):
        if done == 2:
            raise KeyboardInterrupt

    if finished:
        prepare(NvGesture(three_units), path)
    else:
        with pytest.raises(KeyboardInterrupt):
            prepare(NvGesture(three_units), path, progress=interrupt)
    write_video(video(three_units, FOLDERS[0]), numbered(330, first=9, height=8, width=16))
    if finished:
        with pytest.raises(StoreError, match=f"made from other files of {FOLDERS[0]}") as caught:
            prepare(NvGesture(three_units), path)
        assert "--overwrite" in caught.value.hint
    fresh = prepare(NvGesture(three_units), path.with_name("fresh.zarr"))
    assert prepare(NvGesture(three_units), path, overwrite=finished).digest == fresh.digest


def test_a_clip_that_is_lost_between_two_calls_is_skipped(three_units, path):
    write_lists(
        three_units,
        [list_line(f, (0, 20), (0, 20)) for f in FOLDERS[:2]],
        [list_line(FOLDERS[2], (0, 20), (0, 20))],
    )
    cut_in_half(video(three_units, FOLDERS[1]))
    with pytest.raises(ClipError, match="1 of 3"):
        prepare(NvGesture(three_units), path)
    cut_in_half(video(three_units, FOLDERS[2]))
    done = prepare(NvGesture(three_units), path, skip_unreadable=True)
    assert [clip_id for clip_id, _ in done.skipped] == [FOLDERS[1], FOLDERS[2]]
    assert verify_store(path).faults == ()


def test_a_modality_of_another_shape_stops_before_any_work(raw, path):
    for folder in FOLDERS:
        write_video(video(raw, folder, "sk_depth"), numbered(12, height=12))
    with pytest.raises(ClipError, match=r"32x12; the store's are 32x24") as caught:
        prepare(NvGesture(raw), path)
    assert "Crop" in caught.value.hint
    assert not path.parent.exists()


def test_a_foreign_folder_in_the_stores_place_is_kept(raw, path):
    notes = path.with_suffix(".partial") / "notes.txt"
    notes.parent.mkdir(parents=True)
    notes.write_text("mine")
    with pytest.raises(StoreError, match=r"notes\.txt was not created"):
        prepare(NvGesture(raw), path, overwrite=True)
    assert notes.read_text() == "mine"


def test_overwrite_replaces_a_file_of_the_stores_name(raw, path):
    path.parent.mkdir()
    path.write_text("no store")
    assert "needs --overwrite" in describe(NvGesture(raw), path)[2]
    prepare(NvGesture(raw), path, overwrite=True)
    assert verify_store(path).faults == ()


def test_an_unfinished_preparation_is_described(three_units, path):
    cut_in_half(video(three_units, FOLDERS[1]))
    with pytest.raises(ClipError):
        prepare(NvGesture(three_units), path)
    text = f"resumes {path.with_suffix('.partial')}: 2 of 3 clips are done"
    assert text in describe(NvGesture(three_units), path)
    other = describe_survey(survey_dataset(NvGesture(three_units), flow=FlowChoice("none")), path)
    assert any("started with other settings" in line for line in other)


def test_a_missing_video_is_skipped_and_the_rest_goes_on(raw, path):
    video(raw, FOLDERS[1]).unlink()
    with pytest.raises(ClipError, match="1 of 3"):
        prepare(NvGesture(raw), path)
    assert visible(path.parent) == ["small.partial"]


# Smaller frames


def test_a_smaller_store_has_the_frames_by_area_averaging_and_is_not_complete(raw, path):
    dataset = NvGesture(raw)
    prepare(dataset, path)
    small = path.with_name("smaller.zarr")
    survey = survey_dataset(dataset, short_side=16)
    # As if these were all clips that there are.
    survey = dataclasses.replace(
        survey, facts=dataclasses.replace(survey.facts, expected_clips=len(survey.clips))
    )
    convert.prepare(survey, small)
    whole, reduced = StoreReader(path), StoreReader(small)
    assert (whole.frame_size, reduced.frame_size) == ((24, 32), (16, 21))
    assert reduced.attributes.complete is False
    assert dataclasses.replace(survey, short_side=256).plan().facts.complete is True
    for modality in ("rgb", "depth"):
        frames = whole.read(0, modality)
        expected = np.stack([resize_frame(frame, 16, 21) for frame in frames])
        np.testing.assert_array_equal(reduced.read(0, modality), expected)
    with pytest.raises(StoreError, match="other recordings or settings"):
        convert.prepare(survey, path)


# A part of a dataset


def test_limit_takes_clips_from_all_over_the_dataset(three_units, path):
    prepare(NvGesture(three_units), path, limit=2)
    reader = StoreReader(path)
    assert [row.clip_id for row in reader.table.rows] == [FOLDERS[0], FOLDERS[1]]
    assert reader.attributes.complete is False


@pytest.mark.parametrize(("limit", "chosen"), [(3, [0, 3, 6]), (12, [*range(10)])])
def test_limit_is_spread_evenly(tmp_path, limit, chosen):
    folders = [f"class_01/subject1_r{i}" for i in range(10)]
    write_lists(tmp_path, folders[:6], folders[6:])
    clips = survey_dataset(NvGesture(tmp_path), limit=limit).clips
    assert [clip.row.repetition for clip in clips] == chosen


def test_only_takes_clips_whose_id_fits(raw):
    survey = survey_dataset(NvGesture(raw), only=("class_01/*", "*/subject5_*"))
    assert [clip.row.clip_id for clip in survey.clips] == [FOLDERS[0], FOLDERS[2]]
    assert survey.facts.notes[0] == "a part: 2 of 3 available clips"


def test_a_part_without_clips_is_refused(raw):
    with pytest.raises(UsageError, match="'nobody'"):
        survey_dataset(NvGesture(raw), only=("nobody",))
    with pytest.raises(UsageError, match="--limit 0"):
        survey_dataset(NvGesture(raw), limit=0)


def test_weights_without_raft_are_refused(raw):
    for name in ("none", "farneback"):
        with pytest.raises(UsageError):
            survey_dataset(NvGesture(raw), flow=FlowChoice(name, "raft.pth"))


# Origin


def test_generated_folder_is_synthetic_whatever_the_user_says(raw, path):
    (raw / "synthetic.json").write_text('{"twin": "nvgesture-synthetic"}')
    prepare(NvGesture(raw), path)
    attributes = StoreReader(path).attributes
    assert attributes.dataset == "nvgesture-synthetic"
    assert attributes.origin == "synthetic"


@pytest.mark.parametrize("below", [".", "LISA_HG_Data", "LISA_HG_Data/dynamic_gestures/data"])
def test_no_folder_of_a_generated_one_is_recorded(tmp_path, below):
    write_viva_clip(tmp_path, "01_01_01")
    (tmp_path / "synthetic.json").write_text('{"twin": "viva-synthetic"}')
    if below == "LISA_HG_Data":
        data = tmp_path / "LISA_HG_Data/dynamic_gestures/data"
        (tmp_path / "LISA_HG_Data" / "data").symlink_to(data)
    facts, _ = Viva(tmp_path / below).read()
    assert (facts.dataset, facts.origin) == ("viva-synthetic", "synthetic")


def test_unfinished_generated_folder_is_refused(raw):
    (raw / "synthetic.partial.json").write_text("{}")
    with pytest.raises(DatasetError, match=str(raw)):
        NvGesture(raw).read()


@pytest.mark.parametrize("marker", ["{}", "[]", '{"twin": 5}', "{"])
def test_malformed_marker_is_refused(raw, marker):
    (raw / "synthetic.json").write_text(marker)
    with pytest.raises(DatasetError, match=r"synthetic\.json"):
        NvGesture(raw).read()


# Plan


def test_plan_says_what_a_store_in_the_way_would_mean(raw, path):
    prepare(NvGesture(raw), path)
    assert describe(NvGesture(raw), path)[2] == f"{path} is already prepared"
    lists = raw / "nvgesture_train_correct_cvpr2016_v2.lst"
    lists.write_text(lists.read_text().replace("label:1", "label:2"))
    assert "--overwrite" in describe(NvGesture(raw), path)[2]


def test_plan_in_words(raw, path):
    geometry = survey_dataset(NvGesture(raw)).plan().geometry
    assert sum(math.prod(geometry.shape(m, 24)) for m in geometry.modalities) == 24 * 24 * 32 * 6
    first, second, *notes = describe(NvGesture(raw), path)
    assert first == (
        "nvgesture, recorded: 3 of 1,532 clips (2 train, 1 test), 24 frames, rgb+depth+flow"
    )
    free = shutil.disk_usage(raw).free / 1e9
    assert second.startswith(f"{path}: frames of 32x24, up to about 0.0 MB (0.1 MB unpacked), ")
    assert float(second.split()[-4]) == pytest.approx(free, abs=1)
    assert [note.split(":")[1].strip() for note in notes] == ["mirror"]
    assert not path.parent.exists()


# Pictures


def test_flow_is_that_of_the_stored_frames(raw, path):
    prepare(NvGesture(raw), path)
    reader = StoreReader(path)
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in reader.read(1, "rgb")]
    flow = cv2.calcOpticalFlowFarneback(grey[3], grey[4], None, 0.5, 3, 15, 3, 5, 1.2, 0)
    np.testing.assert_array_equal(reader.read(1, "flow")[3], encode_flow(flow))


def test_larger_frames_are_resized_to_short_side_256(tmp_path, path):
    write_lists(
        tmp_path, [list_line(FOLDERS[0], (0, 3), (0, 3))], [list_line(FOLDERS[2], (0, 3), (0, 3))]
    )
    for folder in (FOLDERS[0], FOLDERS[2]):
        write_nvgesture_clip(tmp_path, folder, 3, size=(480, 640))
    prepare(NvGesture(tmp_path), path)
    reader = StoreReader(path)
    assert reader.frame_size == (256, 341)
    assert [reader.read(0, m).shape[1:] for m in ("rgb", "depth", "flow")] == [
        (256, 341, 3),
        (256, 341, 1),
        (256, 341, 2),
    ]


def test_resize_keeps_the_mean_and_the_channels():
    frame = np.random.default_rng(0).integers(0, 256, (40, 60, 1), np.uint8)
    small = resize_frame(frame, 20, 30)
    assert small.shape == (20, 30, 1)
    expected = frame.reshape(20, 2, 30, 2).mean(axis=(1, 3))
    # Rounding to whole values.
    assert np.abs(small[..., 0] - expected).max() <= 0.5


def test_resize_to_the_same_size_changes_nothing():
    frame = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    assert resize_frame(frame, 4, 6) is frame


def test_a_modality_of_fewer_pixels_is_enlarged_to_the_stores(raw, path):
    for folder in FOLDERS:
        write_video(video(raw, folder, "sk_depth"), numbered(12, height=12, width=16))
    prepare(NvGesture(raw), path)
    assert numbers(StoreReader(path).read(0, "depth")) == [*range(2, 10)]


def test_paths_with_spaces_and_brackets(raw, tmp_path):
    odd = Path(shutil.move(raw, tmp_path / "raw [bold] [0] {x}"))
    done = prepare(NvGesture(odd), tmp_path / "my stores [1]" / "a b [red].zarr")
    assert verify_store(done.path).faults == ()
