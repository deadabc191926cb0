"""Each statistic on arrays whose answer is known by hand; the comparison on figures made up."""

import math

import cv2
import numpy as np
import pytest
from recordings import list_line, write_lists, write_video
from typer.testing import CliRunner

from mtut_bench.errors import ClipError
from realism import (
    FACTORS,
    HISTOGRAMS,
    STATISTICS,
    Window,
    app,
    compare_figures,
    distance,
    measure_folder,
)

SIZE = (48, 64)


def window(depth=None, luma=None, rgb=None, num_frames=8):
    """Frames of depth and of grey (or coloured) pixels; black where not given."""
    empty = np.zeros((num_frames, *SIZE), np.uint8)
    depth = empty if depth is None else depth
    luma = np.zeros_like(depth) if luma is None else luma
    return Window(np.repeat(luma[..., None], 3, axis=3) if rgb is None else rgb, depth)


def squares(lefts, top=16, side=16, value=100):
    """Depth of one square that stands at another column in every frame."""
    depth = np.zeros((len(lefts), *SIZE), np.uint8)
    for t, left in enumerate(lefts):
        depth[t, top : top + side, left : left + side] = value
    return depth


def measure(name, **frames):
    return STATISTICS[name](window(**frames))


def test_statistics_are_those_that_were_fixed():
    assert list(STATISTICS) == list(FACTORS)


def test_depth_share_ignores_what_the_codec_left():
    depth = squares([0] * 4)
    depth[:, 40:] = 20
    assert measure("depth_share", depth=depth) == 256 / (48 * 64)


def test_depth_range():
    depth = np.zeros((1, *SIZE), np.uint8)
    depth[0, 0, :21] = np.arange(100, 142, 2)
    assert measure("depth_low", depth=depth) == pytest.approx(102)
    assert measure("depth_high", depth=depth) == pytest.approx(138)


def test_depth_flicker_is_of_the_inside():
    depth = squares([8] * 6)
    depth[1::2, 16:32, 8:24] += 3
    # The outline changes much more.
    for edge in ((16, slice(8, 24)), (31, slice(8, 24)), (slice(16, 32), 8), (slice(16, 32), 23)):
        depth[1::2][(slice(None), *edge)] = 200
    assert measure("depth_flicker", depth=depth) == 3


def test_depth_flicker_of_what_touches_the_border():
    depth = np.full((3, *SIZE), 100, np.uint8)
    depth[1] += 5
    assert measure("depth_flicker", depth=depth) == 5


def test_depth_fray_counts_the_stillest_quarter():
    # Eight pairs, two of which stand still; one pixel of 256 comes and goes in them.
    depth = squares([0, 5, 10, 15, 20, 20, 20, 30, 40])
    depth[5, 16, 20] = 0
    assert measure("depth_fray", depth=depth) == pytest.approx(1 / 256)


def test_a_hand_that_is_away_is_not_still():
    depth = squares([8] * 9)
    depth[4:] = 0
    assert window(depth=depth).pairs == [0, 1, 2]
    assert measure("depth_fray", depth=depth) == 0


def test_colour_ignores_black():
    luma = np.zeros((2, *SIZE), np.uint8)
    luma[:, :8], luma[:, 8:16], luma[:, 16:20] = 50, 150, 24
    assert measure("colour_mean", luma=luma) == 100
    assert measure("colour_spread", luma=luma) == 50


def test_colour_saturation():
    rgb = np.zeros((2, *SIZE, 3), np.uint8)
    rgb[:, :8], rgb[:, 8:16] = (200, 100, 100), (80, 80, 80)
    assert measure("colour_saturation", rgb=rgb) == pytest.approx(0.25)


def test_colour_clipped():
    luma = np.full((1, *SIZE), 249, np.uint8)
    luma[:, :12] = 250
    assert measure("colour_clipped", luma=luma) == 0.25


def test_colour_noise_is_the_spread_of_a_median():
    luma = np.full((9, *SIZE), 100, np.uint8)
    luma[1::2] += 4
    assert measure("colour_noise", depth=squares([8] * 9), luma=luma) == 4
    # Half of the steps are 0, half 2: the median lies between them.
    luma = np.full((9, *SIZE), 100, np.uint8)
    luma[1::2, :24] += 2
    assert measure("colour_noise", depth=squares([8] * 9), luma=luma) == 0.5


def test_colour_noise_grows_with_the_noise():
    rng = np.random.default_rng(0)
    luma = np.rint(rng.normal(128, 3, (9, *SIZE))).astype(np.uint8)
    # The median of |a - b| of two normal values is 0.6745 * sqrt(2) of one's deviation.
    found = measure("colour_noise", depth=squares([8] * 9), luma=luma)
    assert found == pytest.approx(0.6745 * math.sqrt(2) * 3, rel=0.03)


def test_flow_of_a_moving_picture():
    rng = np.random.default_rng(0)
    wall = cv2.GaussianBlur(rng.uniform(0, 255, (48, 80)).astype(np.float32), (0, 0), 3)
    wall = cv2.normalize(wall, None, 30, 255, cv2.NORM_MINMAX).astype(np.uint8)
    luma = np.stack([wall[:, t : t + 64] for t in range(6)])
    frames = {"depth": squares([24] * 6), "luma": luma}
    assert measure("flow_mean", **frames) == pytest.approx(1, abs=0.1)
    assert measure("flow_high", **frames) == pytest.approx(1, abs=0.2)


def test_hand_size_is_of_frames_with_a_hand():
    depth = squares([8] * 4)
    depth[2] = 0
    assert measure("hand_size", depth=depth) == 16


def test_stroke_length():
    # Means over five frames: of 12 steps of 3 pixels 8 remain.
    assert measure("stroke_length", depth=squares(range(0, 39, 3))) == pytest.approx(24)
    assert measure("stroke_length", depth=squares([8] * 9)) == 0
    assert math.isnan(measure("stroke_length", depth=squares([8] * 4)))


def test_blockiness():
    columns = 100 + np.arange(64) + 2 * (np.arange(64) // 8)
    flat = np.broadcast_to(columns, (2, *SIZE))
    picture = (flat + np.arange(48)[:, None] + 2 * (np.arange(48)[:, None] // 8)).astype(np.uint8)
    assert picture.max() < 250
    assert measure("blockiness", luma=picture) == pytest.approx(3)
    assert math.isnan(measure("blockiness", luma=np.full((2, *SIZE), 90, np.uint8)))


def test_histograms_sum_to_one():
    rgb = np.zeros((2, *SIZE, 3), np.uint8)
    rgb[:, :12], rgb[:, 12:24] = (200, 100, 100), (80, 80, 80)
    luma, saturation = (histogram(window(rgb=rgb)) for histogram in HISTOGRAMS.values())
    assert saturation[0] == saturation[8] == luma[5] == 0.5
    assert (luma.sum(), saturation.sum(), len(luma), len(saturation)) == (1, 1, 16, 16)


def test_empty_window_has_no_value_but_its_share():
    values = {name: function(window()) for name, function in STATISTICS.items()}
    assert {name for name, value in values.items() if not math.isnan(value)} == {"depth_share"}
    assert values["depth_share"] == 0
    assert not any(histogram(window()).any() for histogram in HISTOGRAMS.values())


def figures(value, histogram=(1.0, 0.0)):
    histograms = dict.fromkeys(HISTOGRAMS, np.array(histogram))
    return dict.fromkeys(STATISTICS, np.array(value)) | histograms


def line_of(real, synthetic, name="depth_share"):
    """Comparison of a statistic; of depth_share, medians may differ by 1.5 and spreads by 2."""
    return compare_figures([*map(figures, real)], [*map(figures, synthetic)])[name]


@pytest.mark.parametrize(
    ("real", "synthetic", "ratio", "within"),
    [
        ([2.0, 2.0, 9.0], [3.0], 1.5, True),
        ([3.0], [2.0], 2 / 3, True),
        ([2.0], [3.1], 1.55, False),
        ([2.0], [1.3], 0.65, False),
        ([0.0], [0.0], 1.0, True),
        ([0.0], [1.0], math.inf, False),
        ([2.0, math.nan], [2.0], 1.0, True),
        ([1.0], [math.nan], math.nan, False),
        ([], [1.0], math.nan, False),
        ([], [], math.nan, False),
    ],
)
def test_factor_of_medians_holds_both_ways(real, synthetic, ratio, within):
    medians = line_of(real, synthetic).medians
    assert (medians.ratio, medians.within) == (pytest.approx(ratio, nan_ok=True), within)


# Of [0, 10] the 10th and 90th percentile are 1 and 9.
@pytest.mark.parametrize(
    ("real", "synthetic", "ratio", "within"),
    [
        ([0.0, 10.0], [40.0, 60.0], 2.0, True),
        ([0.0, 10.0], [0.0, 21.0], 2.1, False),
        ([0.0, 10.0], [0.0, 4.0, math.nan], 0.4, False),
        ([1.0, 1.0], [3.0, 3.0], 1.0, True),
        ([1.0, 2.0], [math.nan], math.nan, False),
    ],
)
def test_factor_of_spreads(real, synthetic, ratio, within):
    spreads = line_of(real, synthetic).spreads
    assert (spreads.ratio, spreads.within) == (pytest.approx(ratio, nan_ok=True), within)


def test_nothing_is_asked_of_a_spread_without_a_factor():
    spreads = line_of([0.0, 10.0], [0.0, 90.0], "blockiness").spreads
    assert (spreads.factor, spreads.within, str(spreads)) == (None, True, "")


def test_clips_without_a_value_are_left_out():
    assert line_of([1.0, math.nan, 3.0], [2.0]).real == pytest.approx((2, 1.2, 2.8))


def test_distance_of_histograms():
    real, other = [figures(1.0)], [figures(1.0, (0.25, 0.75)), figures(1.0, (0.0, 0.0))]
    name = next(iter(HISTOGRAMS))
    assert (distance(name, real, other), distance(name, real, real)) == (0.75, 0)
    assert math.isnan(distance(name, real, []))


def write_clip(root, folder, size=SIZE):
    """Write noise in colour, and depth of a square that moves."""
    noise = np.random.default_rng(0).integers(60, 256, (8, *size), dtype=np.uint8)
    write_video(root / "Video_data" / folder / "sk_wrapped.avi", noise)
    write_video(root / "Video_data" / folder / "sk_depth.avi", squares(range(0, 32, 4)))


@pytest.fixture
def raw(tmp_path):
    folders = ("class_01/subject1_r0", "class_02/subject5_r0")
    write_lists(tmp_path, [list_line(folders[0])], [list_line(folders[1])])
    for folder in folders:
        write_clip(tmp_path, folder)
    return tmp_path


def test_workers_change_no_figure(raw):
    one, two = measure_folder(raw), measure_folder(raw, workers=2)
    for a, b in zip(one, two, strict=True):
        assert {name: value.tolist() for name, value in a.items()} == {
            name: value.tolist() for name, value in b.items()
        }


def test_colour_of_another_size_is_refused(raw):
    write_clip(raw, "class_02/subject5_r0", size=(24, 32))
    with pytest.raises(ClipError, match="colour is 32x24, depth 64x48"):
        measure_folder(raw)


def test_a_folder_agrees_with_itself(raw, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    result = CliRunner().invoke(app, ["compare", str(raw), str(raw), "--workers", "1"])
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    rows = [line.split() for line in lines if line.rstrip().endswith(("within", "outside"))]
    assert [row[0] for row in rows] == list(STATISTICS)
    # Nothing is asked of the spread of blockiness.
    assert all(row.count("within") == 2 - (row[0] == "blockiness") for row in rows)
    assert {row[row.index("within") - 2] for row in rows} == {"1.00"}
    assert sum("total variation 0.00" in line for line in lines) == len(HISTOGRAMS)
