"""The oracle works in float64, frame by frame, pixel by pixel, and shares no line with the code."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from mtut_bench.loading.transforms import (
    Crop,
    centre_crop,
    choose_crop,
    network_channels,
    resized_size,
    to_input,
)

CHANNELS = {"rgb": 3, "depth": 1, "flow": 2}
# float32 weights and sums of a few terms on values up to 255, scaled by 2/255.
ATOL = 2e-6


def enlarge(image_HWC, tall, wide):
    """Bilinear with half-pixel centres and a repeated border, for enlarging."""
    height, width, channels = image_HWC.shape
    out = np.zeros((tall, wide, channels))
    for y in range(tall):
        v = min(max((y + 0.5) * height / tall - 0.5, 0), height - 1)
        y0 = math.floor(v)
        y1 = min(y0 + 1, height - 1)
        for x in range(wide):
            u = min(max((x + 0.5) * width / wide - 0.5, 0), width - 1)
            x0 = math.floor(u)
            x1 = min(x0 + 1, width - 1)
            top = image_HWC[y0, x0] * (1 - (u - x0)) + image_HWC[y0, x1] * (u - x0)
            bottom = image_HWC[y1, x0] * (1 - (u - x0)) + image_HWC[y1, x1] * (u - x0)
            out[y, x] = top * (1 - (v - y0)) + bottom * (v - y0)
    return out


def shrink(image_HWC, tall, wide):
    """Triangle filter as wide as the reduction, one axis after the other."""

    def weights(old, new):
        scale = old / new
        table = np.zeros((new, old))
        for i in range(new):
            centre = (i + 0.5) * scale - 0.5
            table[i] = np.maximum(0, 1 - np.abs(np.arange(old) - centre) / scale)
        return table / table.sum(axis=1, keepdims=True)

    height, width, _ = image_HWC.shape
    rows, columns = weights(height, tall), weights(width, wide)
    return np.einsum("yh,hwc,xw->yxc", rows, image_HWC.astype(np.float64), columns)


def oracle(frames_THWC, modality, crop, size, tall, wide):
    """Return the (C, T, size, size) input of one clip, float64."""
    _, height, width, _ = frames_THWC.shape
    resize = enlarge if tall >= height else shrink
    out = []
    for frame in frames_THWC.astype(np.float64):
        if modality == "flow":
            pixels = (frame - 128) * 20 / 127
            image = resize(pixels, tall, wide) * [wide / width, tall / height]
            image = np.clip(image, -20, 20) / 20
        else:
            image = resize(frame, tall, wide) / 255 * 2 - 1
        image = image[crop.top : crop.top + size, crop.left : crop.left + size]
        if crop.flip:
            image = image[:, ::-1] * ([-1, 1] if modality == "flow" else 1)
        out.append(np.repeat(image, 3, axis=2) if modality == "depth" else image)
    return np.stack(out).transpose(3, 0, 1, 2)


def random_frames(modality, num_clips=1, num_frames=3, size=(12, 16)):
    shape = (num_clips, num_frames, *size, CHANNELS[modality])
    return np.random.default_rng(7).integers(1, 256, shape, dtype=np.uint8)


def run(frames, modality, crops, protocol, valid=None):
    valid_NT = None if valid is None else torch.tensor(valid)
    return to_input(torch.from_numpy(frames), modality, crops, protocol, valid_NT).numpy()


@pytest.fixture
def tiny_recipe(tiny_recipe):
    """The aspect ratio is kept, as in the paper's protocols."""
    return replace(tiny_recipe, resize="short-side")


@pytest.fixture
def enlarging(tiny_recipe):
    return replace(tiny_recipe, short_side=20, crop=14)


@pytest.mark.parametrize("modality", CHANNELS)
@pytest.mark.parametrize("flip", [False, True])
def test_enlarging_equals_the_oracle(modality, flip, enlarging):
    frames = random_frames(modality)
    crop = Crop(3, 5, flip)
    found = run(frames, modality, [crop], enlarging)
    expected = oracle(frames[0], modality, crop, 14, 20, 27)
    np.testing.assert_allclose(found[0], expected, rtol=0, atol=ATOL)


@pytest.mark.parametrize("modality", CHANNELS)
@pytest.mark.parametrize("flip", [False, True])
def test_shrinking_equals_the_oracle(modality, flip, tiny_recipe):
    protocol = replace(tiny_recipe, short_side=7, crop=6)
    frames = random_frames(modality)
    crop = Crop(1, 2, flip)
    expected = oracle(frames[0], modality, crop, 6, 7, 9)
    np.testing.assert_allclose(
        run(frames, modality, [crop], protocol)[0], expected, rtol=0, atol=ATOL
    )


@pytest.mark.parametrize("modality", CHANNELS)
def test_stretch_equals_the_oracle(modality, enlarging):
    protocol = replace(enlarging, resize="stretch")
    frames = random_frames(modality)
    expected = oracle(frames[0], modality, Crop(6, 0, False), 14, 20, 20)
    np.testing.assert_allclose(
        run(frames, modality, [Crop(6, 0, False)], protocol)[0], expected, rtol=0, atol=ATOL
    )


def test_flow_is_in_pixels_of_the_resized_frame(tiny_recipe):
    # Code 192 is 64 * 20 / 127 = 10.08 stored pixels; the frame grows 12 -> 18 and 16 -> 24.
    protocol = replace(tiny_recipe, short_side=18, crop=18)
    frames = np.full((1, 1, 12, 16, 2), 192, np.uint8)
    clip = run(frames, "flow", [Crop(0, 0, False)], protocol)
    np.testing.assert_allclose(clip, 64 * 20 / 127 * 1.5 / 20, rtol=1e-6)


def test_flow_is_clipped_after_resizing(tiny_recipe):
    protocol = replace(tiny_recipe, short_side=24, crop=24)
    frames = np.full((1, 1, 12, 16, 2), 255, np.uint8)
    frames[..., 1] = 1
    clip = run(frames, "flow", [Crop(0, 0, False)], protocol)
    assert np.all(clip[:, 0] == 1)
    assert np.all(clip[:, 1] == -1)


@pytest.mark.parametrize("modality", CHANNELS)
def test_padding_is_zero_after_scaling(modality, tiny_recipe):
    valid = [[False, True, False]]
    clip = run(random_frames(modality), modality, [Crop(0, 0, True)], tiny_recipe, valid)
    assert np.all(clip[:, :, [0, 2]] == 0)
    assert np.any(clip[:, :, 1] != 0)


@pytest.mark.parametrize(("modality", "value"), [("rgb", -1), ("depth", -1), ("flow", 0)])
def test_black_padding_is_black_and_still(modality, value, tiny_recipe):
    protocol = replace(tiny_recipe, pad_value="black")
    valid = [[True, False, False]]
    clip = run(random_frames(modality), modality, [Crop(0, 0, False)], protocol, valid)
    assert np.all(clip[:, :, 1:] == value)


@pytest.mark.parametrize("scaling", ["unit", "motion"])
@pytest.mark.parametrize("modality", CHANNELS)
def test_a_batch_is_the_stack_of_its_clips(modality, scaling, tiny_recipe):
    tiny_recipe = replace(tiny_recipe, scaling=scaling)
    frames = random_frames(modality, num_clips=3)
    crops = [Crop(0, 1, False), Crop(2, 0, True), Crop(1, 3, False)]
    valid = [[True] * 3, [False, True, True], [True, True, False]]
    batch = run(frames, modality, crops, tiny_recipe, valid)
    singles = [
        run(frames[n : n + 1], modality, crops[n : n + 1], tiny_recipe, valid[n : n + 1])
        for n in range(3)
    ]
    assert np.array_equal(batch, np.concatenate(singles))


@pytest.mark.parametrize(
    ("stored", "expected"), [((115, 250), (256, 557)), ((240, 320), (256, 341)), ((320, 240), None)]
)
def test_short_side_keeps_the_aspect_ratio(stored, expected, tiny_recipe):
    protocol = replace(tiny_recipe, short_side=256)
    assert resized_size(*stored, protocol) == (expected or (341, 256))


def test_every_crop_is_reached(tiny_recipe):
    crops = [
        choose_crop(12, 16, tiny_recipe, (n + 0.5) / 60, (n + 0.5) / 60, flip=False)
        for n in range(60)
    ]
    tall, wide = resized_size(12, 16, tiny_recipe)
    assert {c.top for c in crops} == set(range(tall - 8 + 1))
    assert {c.left for c in crops} == set(range(wide - 8 + 1))


def test_the_largest_draw_stays_inside(tiny_recipe):
    last = float(np.nextafter(1, 0))
    crop = choose_crop(12, 16, tiny_recipe, last, last, flip=True)
    assert crop == Crop(2, 5, True)


def test_centre_crop_of_the_paper():
    from mtut_bench.contract.protocol import PROTOCOLS

    assert centre_crop(240, 320, PROTOCOLS["paper"].recipe) == Crop(16, 58, False)


@pytest.mark.parametrize(
    ("depth_input", "expected"), [("replicate", [3, 3, 2]), ("first-conv-sum", [3, 1, 2])]
)
def test_network_channels(depth_input, expected, tiny_recipe):
    protocol = replace(tiny_recipe, depth_input=depth_input)
    assert [network_channels(m, protocol) for m in CHANNELS] == expected


@pytest.mark.parametrize("stored", [(240, 320), (115, 250), (320, 240)])
def test_stretch_to_four_by_three(stored, tiny_recipe):
    protocol = replace(tiny_recipe, short_side=128, resize="stretch-4:3")
    assert resized_size(*stored, protocol) == (128, 171)


def test_stretch_to_four_by_three_equals_the_oracle(enlarging):
    protocol = replace(enlarging, resize="stretch-4:3", short_side=18)
    frames = random_frames("rgb", size=(12, 12))
    crop = Crop(4, 10, False)
    expected = oracle(frames[0], "rgb", crop, 14, 18, 24)
    np.testing.assert_allclose(run(frames, "rgb", [crop], protocol)[0], expected, rtol=0, atol=ATOL)


# Of Sports-1M, in the order blue, green, red.
BGR_MEAN = np.array([90.0, 98.0, 102.0])
# Values up to 255 instead of 1: as many units in the last place as ATOL.
BGR_ATOL = 127.5 * ATOL


def bgr_oracle(frames_THWC, crop, size, tall, wide):
    """Return the (C, T, size, size) input of one rgb or depth clip, 0..255 minus the mean."""
    out = []
    for frame in frames_THWC.astype(np.float64):
        image = enlarge(frame, tall, wide)[crop.top : crop.top + size, crop.left : crop.left + size]
        red, green, blue = image[..., 0], image[..., image.shape[2] // 2], image[..., -1]
        image = np.stack([blue, green, red], axis=-1) - BGR_MEAN
        out.append(image[:, ::-1] if crop.flip else image)
    return np.stack(out).transpose(3, 0, 1, 2)


@pytest.fixture
def bgr(enlarging):
    return replace(enlarging, scaling="bgr-mean")


@pytest.mark.parametrize("modality", ["rgb", "depth"])
@pytest.mark.parametrize("flip", [False, True])
def test_bgr_mean_equals_the_oracle(modality, flip, bgr):
    frames, crop = random_frames(modality), Crop(3, 5, flip)
    expected = bgr_oracle(frames[0], crop, 14, 20, 27)
    np.testing.assert_allclose(
        run(frames, modality, [crop], bgr)[0], expected, rtol=0, atol=BGR_ATOL
    )


@pytest.mark.parametrize("scaling", ["unit", "bgr-mean"])
@pytest.mark.parametrize("depth_input", ["replicate", "first-conv-sum"])
@pytest.mark.parametrize("modality", ["rgb", "depth"])
def test_black_padding_has_the_value_of_a_black_frame(modality, depth_input, scaling, enlarging):
    protocol = replace(enlarging, scaling=scaling, depth_input=depth_input, pad_value="black")
    frames = random_frames(modality)
    frames[:, 2] = 0
    clip = run(frames, modality, [Crop(2, 3, True)], protocol, [[False, True, True]])
    np.testing.assert_allclose(clip[:, :, 0], clip[:, :, 2], rtol=0, atol=BGR_ATOL)
    if scaling == "bgr-mean" and clip.shape[1] == 3:
        np.testing.assert_array_equal(clip[0, :, 0, 0, 0], -BGR_MEAN)


@pytest.mark.parametrize("scaling", ["unit", "bgr-mean"])
def test_summed_depth_has_one_channel_the_mean_of_the_replicated_ones(scaling, enlarging):
    protocol = replace(enlarging, scaling=scaling, depth_input="first-conv-sum")
    frames, crops = random_frames("depth", num_clips=2), [Crop(3, 5, True), Crop(0, 0, False)]
    found = run(frames, "depth", crops, protocol)
    assert found.shape == (2, 1, 3, 14, 14)
    three = run(frames, "depth", crops, replace(protocol, depth_input="replicate"))
    np.testing.assert_allclose(found[:, 0], three.mean(axis=1), rtol=0, atol=BGR_ATOL)


@pytest.fixture
def motion(enlarging):
    return replace(enlarging, scaling="motion")


def motion_oracle(frames_THWC, crop, shown):
    """Return the (C, T, 14, 14) input of one rgb or depth clip: resized, less its median."""
    images = np.stack([enlarge(frame, 20, 27) for frame in frames_THWC.astype(np.float64)])
    images = images[:, crop.top : crop.top + 14, crop.left : crop.left + 14]
    images = (images - np.median(images[shown], axis=0)) / 64
    images[[t for t in range(len(images)) if t not in shown]] = 0
    images = images[:, :, ::-1] if crop.flip else images
    return np.broadcast_to(images, (*images.shape[:3], 3)).transpose(3, 0, 1, 2)


@pytest.mark.parametrize("modality", ["rgb", "depth"])
@pytest.mark.parametrize("pad_value", ["zero", "black"])
@pytest.mark.parametrize("shown", [range(6), range(5), range(1, 5), [3]])
def test_motion_equals_the_oracle(modality, pad_value, shown, motion):
    frames, crop = random_frames(modality, num_frames=6), Crop(3, 5, flip=True)
    valid = [[t in shown for t in range(6)]]
    found = run(frames, modality, [crop], replace(motion, pad_value=pad_value), valid)
    # The difference of two values up to 255, divided by 64.
    expected = motion_oracle(frames[0], crop, list(shown))
    np.testing.assert_allclose(found[0], expected, rtol=0, atol=2 * BGR_ATOL / 64)
    if len(shown) == 6:
        assert np.array_equal(found, run(frames, modality, [crop], motion))


def test_other_scalings_leave_flow_as_it_is(enlarging, bgr, motion):
    frames, crop = random_frames("flow"), Crop(3, 5, flip=True)
    found = [run(frames, "flow", [crop], recipe) for recipe in (enlarging, bgr, motion)]
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])
