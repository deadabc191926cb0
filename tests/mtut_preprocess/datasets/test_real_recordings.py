"""The real recordings beside the repository; they are read, never copied into it."""

from pathlib import Path

import av
import numpy as np
import pytest
from recordings import TEST_LIST, TRAIN_LIST, cut_in_half, write_lists

from mtut_bench.store.reader import StoreReader
from mtut_bench.store.verify import verify_store
from mtut_preprocess.convert.prepare import prepare
from mtut_preprocess.convert.survey import survey_dataset
from mtut_preprocess.datasets.nvgesture import NvGesture
from mtut_preprocess.verify.raw import verify_raw

DATA = Path(__file__).parents[4] / "shared" / "data"
MINI, SAMPLE = DATA / "nvgesture_mini", DATA / "nvgesture_rgbd_sample"
LAGGING = ("class_15/subject16_r1", "class_17/subject11_r0", "class_02/subject3_r1")
STEADY = ("class_05/subject4_r2", "class_11/subject4_r1", "class_25/subject2_r1")

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not MINI.is_dir(), reason=f"no recordings in {DATA}"),
]


@pytest.fixture(scope="module")
def dataset():
    return NvGesture(MINI, "sk_wrapped").read()


@pytest.fixture(scope="module")
def clips(dataset):
    return {clip.row.clip_id: clip for clip in dataset[1]}


def some_clips(root, *ids):
    """A folder in NVGesture's layout with links to some recordings and their own list lines."""
    text = "".join((MINI / name).read_text() + "\n" for name in (TRAIN_LIST, TEST_LIST))
    lines = [f"{next(x for x in text.splitlines() if f'{name} ' in x)}\n" for name in ids]
    write_lists(root, lines[1:], lines[:1])
    for name in ids:
        folder = root / "Video_data" / name
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.symlink_to(MINI / "Video_data" / name)
    return root


def luma_by_hand(path):
    """Every frame's luma plane, row by row, without a conversion."""
    with av.open(str(path)) as container:
        pictures = []
        for frame in container.decode(container.streams.video[0]):
            assert frame.format.name == "yuv420p"
            data, step = bytes(frame.planes[0]), frame.planes[0].line_size
            rows = [data[y * step : y * step + frame.width] for y in range(frame.height)]
            pictures.append(np.frombuffer(b"".join(rows), np.uint8).reshape(frame.height, -1))
    return np.stack(pictures)


def test_every_recording_is_listed(dataset):
    facts, clips = dataset
    assert (len(clips), facts.origin) == (25, "recorded")
    assert {clip.row.label for clip in clips} == set(range(25))
    assert [clip.row.split for clip in clips].count("train") == 14


def test_every_window_is_80_frames(clips):
    assert {clip.row.num_frames for clip in clips.values()} == {80}
    assert {len(source.indices) for c in clips.values() for source in c.sources.values()} == {80}


def test_three_recordings_lag_a_whole_frame(clips):
    lags = {name: clip.origin["colour_lag_frames"] for name, clip in clips.items()}
    assert {name: lag for name, lag in lags.items() if lag} == dict.fromkeys(LAGGING, 1)
    assert {clip.origin["pairing"] for clip in clips.values()} == {"timestamps"}


@pytest.mark.parametrize("name", STEADY + LAGGING)
def test_pictures_agree_best_at_the_lag_of_the_logs(clips, name):
    """Wrapped colour is black where there is no depth: its mask is a second witness of the lag."""
    clip = clips[name]
    folder = MINI / "Video_data" / name
    start, stop = clip.origin["window"]
    depth = luma_by_hand(folder / "sk_depth.avi")[start:stop] > 20
    colour = luma_by_hand(folder / "sk_wrapped.avi") > 24
    agreement = {}
    for lag in (-2, -1, 0, 1, 2):
        moved = colour[start + lag : stop + lag]
        same = depth[: len(moved)]
        agreement[lag] = (same & moved).sum() / (same | moved).sum()
    assert max(agreement, key=agreement.get) == clip.origin["colour_lag_frames"], agreement


@pytest.mark.parametrize("name", ["class_05/subject4_r2", "class_02/subject3_r1"])
def test_depth_is_the_luma_plane_of_the_window(clips, name):
    source = clips[name].sources["depth"]
    start, stop = clips[name].origin["window"]
    expected = luma_by_hand(MINI / "Video_data" / name / "sk_depth.avi")[start:stop]
    np.testing.assert_array_equal(source.read()[..., 0], expected)
    # Full range: a limited-range decoder would give no value between 1 and 15 as it is.
    assert expected.min() == 0
    assert ((expected > 0) & (expected < 16)).any()


def test_store_of_two_recordings(tmp_path):
    root = some_clips(tmp_path / "raw", STEADY[0], LAGGING[0])
    prepare(survey_dataset(NvGesture(root, "sk_wrapped")), tmp_path / "two.zarr")
    reader = StoreReader(tmp_path / "two.zarr")
    assert verify_store(reader.path).faults == ()
    assert reader.frame_size == (240, 320)
    for index, row in enumerate(reader.table.rows):
        clip = next(c for c in NvGesture(root, "sk_wrapped").read()[1] if c.row == row)
        start, stop = clip.origin["window"]
        depth = luma_by_hand(root / "Video_data" / row.clip_id / "sk_depth.avi")[start:stop]
        np.testing.assert_array_equal(reader.read(index, "depth")[..., 0], depth)


def test_three_recordings_have_no_fault(tmp_path):
    root = some_clips(tmp_path, STEADY[0], LAGGING[0], LAGGING[1])
    report = verify_raw(NvGesture(root, "sk_wrapped"))
    assert report.num_clips == 3
    assert report.faults == ()


def test_cut_recording_is_found(tmp_path):
    root = some_clips(tmp_path, STEADY[0], LAGGING[0])
    folder = root / "Video_data" / STEADY[0]
    folder.unlink()
    folder.mkdir()
    for name in ("sk_depth.avi", "sk_wrapped.avi"):
        (folder / name).write_bytes((MINI / "Video_data" / STEADY[0] / name).read_bytes())
    cut_in_half(folder / "sk_depth.avi")
    (fault,) = verify_raw(NvGesture(root, "sk_wrapped")).faults
    assert str(fault).startswith(f"{folder / 'sk_depth.avi'} is cut short")


@pytest.fixture
def sample(tmp_path):
    """The sample with the colour camera's own stream, in NVGesture's layout, without logs."""
    folder = tmp_path / "Video_data" / "class_05" / "subject1_r0"
    folder.mkdir(parents=True)
    for name in ("sk_color.avi", "sk_depth.avi"):
        (folder / name).symlink_to(SAMPLE / name)
    line = "path:./Video_data/class_05/{} depth:sk_depth:2:19 color:sk_color:1:18 label:5 \n"
    write_lists(tmp_path, [line.format("subject1_r0")], [line.format("subject5_r0")])
    return NvGesture(tmp_path).read()[1][0]


def test_sample_without_logs_pairs_by_position(sample):
    assert (sample.origin["pairing"], sample.origin["colour_lag_frames"]) == ("position", -1)
    assert sample.sources["depth"].indices == tuple(range(2, 19))
    assert sample.sources["rgb"].indices == tuple(range(1, 18))


def test_sample_is_read(sample):
    rgb, depth = (sample.sources[m].read() for m in ("rgb", "depth"))
    assert (rgb.shape, depth.shape) == ((17, 240, 320, 3), (17, 240, 320, 1))
    assert rgb.std() > 20
    assert depth.max() > 100
