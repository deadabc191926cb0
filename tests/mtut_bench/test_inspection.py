import cv2
import numpy as np
import pytest
from handmade_store import make_frames, make_plan, write_store

from mtut_bench.inspection import contact_sheet, motion_in_centre, summarise
from mtut_bench.store_reader import StoreReader

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


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("dataset", "handmade, synthetic, partial"),
        ("clips", "4 of 99"),
        ("modalities", "rgb, depth, flow"),
        ("frames", "32x24, 30 per second"),
        ("frames per clip", "5 to 30, median 15.5, 66 in all"),
        ("classes", "3, 3 with clips, 1 to 2 clips each"),
        ("persons", "2"),
        ("folds", "official: 2 train, 2 test"),
        ("mirror pairs", "swipe left / swipe right"),
        ("depth", "nearer is brighter"),
        ("alignment", "time: frame by frame"),
        ("flow", "farneback from rgb"),
        ("doubt", "made by hand"),
    ],
)
def test_summary_states(reader, what, value):
    assert dict(summarise(reader))[what] == value


def test_summary_states_digest_and_size_on_disk(reader):
    summary = dict(summarise(reader))
    size = sum(f.stat().st_size for f in reader.path.glob("frames/*/c/*/0/0/0"))
    assert summary["digest"] == reader.attributes["digest"]
    assert summary["on disk"] == f"{size / 1e6:,.1f} MB in 3 shards"


def test_summary_of_unknown_mirrors_and_subjects(tmp_path):
    plan = make_plan([4, 4], mirror=None, fold_rule="subject", flow=None)
    write_store(tmp_path / "a.zarr", plan)
    summary = dict(summarise(StoreReader(tmp_path / "a.zarr")))
    assert summary["mirror pairs"] == "unknown: clips are never flipped"
    assert (summary["folds"], summary["flow"]) == ("leave one out, 2", "none")


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
