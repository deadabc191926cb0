"""What makes synthetic pictures hard: light, shadow, motion, holes, and how they fall together."""

from dataclasses import replace

import av
import cv2
import numpy as np
import pytest

from mtut_bench.errors import UsageError
from mtut_preprocess.synthetic import SYNTHETIC, Settings
from mtut_preprocess.synthetic.camera import Camera, Light, hand_motion, rasterise, shade
from mtut_preprocess.synthetic.difficulty import DIFFICULTY, Difficulty, changed, draw_weakness
from mtut_preprocess.synthetic.scene import draw_noise, draw_scene

CAMERA = Camera(width=120, height=90, focal_px=100.0, centre_px=(60.0, 45.0))
LAMP = np.array([0.6, -0.3, -0.74])
# One capsule, a finger of 4 cm at 40 cm, upright in the middle of the picture.
FINGER = np.array([[0.0, 0.02, 0.4, 0.0, -0.02, 0.4, 0.01, 0.01]], np.float32)


def picture(motion_px=(0.0, 0.0), shadow=0.0, exposure=1.0, grey=100):
    light = Light(LAMP / np.linalg.norm(LAMP), 0.5, 0.5, shadow)
    background = np.full((90, 120, 3), grey, np.uint8)
    albedo = np.array([[250.0, 250.0, 250.0]])
    surface = rasterise(FINGER, CAMERA)
    return shade(surface, albedo, light, background, exposure, motion_px=motion_px)[..., 0]


def rng(seed=0):
    return np.random.default_rng(seed)


def test_blur_spreads_along_the_motion_and_keeps_the_light():
    still, moved = picture(grey=0).astype(float), picture((14.0, 0.0), grey=0).astype(float)
    assert moved.sum() == pytest.approx(still.sum(), rel=0.03)  # rounding to whole values
    columns, rows = (still > 5).any(axis=0).sum(), (still > 5).any(axis=1).sum()
    assert (moved > 5).any(axis=0).sum() == pytest.approx(columns + 14, abs=4)
    # Across the motion nothing grows; faint ends fall below the threshold.
    assert rows - 3 <= (moved > 5).any(axis=1).sum() <= rows


def test_motion_is_that_of_the_picture():
    bodies = np.repeat(FINGER[None], 5, axis=0)
    bodies[:, :, [0, 3]] += 0.02 * np.arange(5)[:, None, None]
    found = hand_motion(bodies, CAMERA, 0.5)
    # 2 cm a frame at 40 cm is 5 pixels; half the time the shutter is open.
    np.testing.assert_allclose(found, [(2.5, 0.0)] * 5, atol=1e-5)
    assert max(np.hypot(*m) for m in hand_motion(10 * bodies, CAMERA, 9.0)) <= 15.0 + 1e-6
    assert hand_motion(bodies[:1], CAMERA, 0.5) == [(0.0, 0.0)]


def test_the_hand_shades_what_is_behind_it_away_from_the_lamp():
    plain, shaded = picture(), picture(shadow=0.5)
    darker = (plain.astype(int) - shaded) > 10
    assert darker.sum() > 50
    # The lamp stands to the right: the shadow falls to the left of the finger.
    assert np.nonzero(darker)[1].mean() < 60


def test_what_is_too_bright_is_clipped():
    assert (picture(exposure=3.0) == 255).mean() > 0.9
    assert picture(exposure=0.3).max() < 90


def scene(weak, seed=0, frames=20):
    return draw_scene(rng(0), rng(1), rng(seed), CAMERA, num_frames=frames, weak=weak)


def background(interior, place=1, clip=7, **options):
    drawn = draw_scene(
        rng(interior), rng(place), rng(clip), CAMERA, num_frames=2, weak=False, **options
    )
    return drawn.background.astype(float)


def test_clutter_is_the_contrast_of_the_interior():
    plain = [background(interior, clutter=0.0) for interior in (1, 2)]
    np.testing.assert_array_equal(plain[0], plain[1])
    assert plain[0].std() == 0
    whole, half = background(1, clutter=1.0), background(1, clutter=0.5)
    np.testing.assert_array_equal(whole, background(1))
    # Half way, but for rounding down and what is clipped at 255.
    assert half.std() == pytest.approx(whole.std() / 2, rel=0.1)


def test_an_interior_is_seen_by_all_users_a_little_shifted():
    one, other = background(1, place=1), background(1, place=2)
    assert (one != other).any()
    # The shift that a correlation finds explains the difference; that of another interior none.
    (x, y), _ = cv2.phaseCorrelate(one.mean(axis=2), other.mean(axis=2))
    assert 0.5 < np.hypot(x, y) < 20
    inner = (slice(20, 70), slice(20, 100))
    moved = cv2.warpAffine(one, np.array([[1, 0, x], [0, 1, y]]), (120, 90))
    assert np.abs(moved - other)[inner].mean() < 0.2 * np.abs(background(2) - other)[inner].mean()


def test_interiors_of_all_seeds_are_equally_bright():
    # The light of the hour is the same; a shifted view shows another edge of the picture.
    means = [background(interior, clutter=0.5).mean() for interior in range(20)]
    assert max(means) / min(means) < 1.1


@pytest.mark.parametrize("mean", [30, 60, 115, 200])
def test_the_camera_corrects_three_quarters_of_the_brightness(mean):
    # Grey, so that luma is the value; a half is dark: the mean of all pixels and pictures counts.
    pictures = [np.full((90, 120, 3), value, np.uint8) for value in (mean - 10, mean, mean + 10)]
    pictures[1][:45], pictures[1][45:] = mean - 20, mean + 20
    found = scene(False).metered(pictures, 115.0).exposure / scene(False).exposure
    # On a logarithmic scale three of four parts of the way to 115.
    np.testing.assert_allclose(np.log(mean * found), 0.25 * np.log(mean) + 0.75 * np.log(115))


@pytest.mark.parametrize("grey", [0, 10, 25])
def test_the_gain_of_a_sensor_has_an_end(grey):
    dark = np.full((90, 120, 3), grey, np.uint8)
    found = scene(False).metered([dark], 115.0).exposure / scene(False).exposure
    np.testing.assert_allclose(found, (115 / 25) ** 0.75)


@pytest.mark.parametrize("name", ["viva-synthetic", "nvgesture-synthetic"])
def test_dark_and_clipped_clips_come_near_the_others(name, tmp_path):
    # Every clip weak: without the control the means differ as 0.55 and 1.35, and more.
    hard = replace(DIFFICULTY[name], weak_share=1.0)
    settings = Settings(name, "mini", 0, whole=False, difficulty=hard)
    means = []
    for clip in SYNTHETIC[name].clips(settings)[::25]:
        SYNTHETIC[name].write_clip(tmp_path, clip, settings)
        with av.open(str(SYNTHETIC[name].files(tmp_path, clip)[0])) as container:
            frame = next(container.decode(video=0))
            means.append(frame.to_ndarray(format="gray").mean())
    assert np.percentile(means, 90) / np.percentile(means, 10) < 2.0


def test_weak_clips_are_dark_or_clipped_and_others_fair():
    fair = [scene(False, seed).exposure.mean() for seed in range(40)]
    weak = np.array([scene(True, seed).exposure.mean() for seed in range(40)])
    assert 0.75 < min(fair) < max(fair) < 1.25
    assert (weak < 0.6).any()
    assert (weak > 1.25).any()
    assert not ((weak > 0.75) & (weak < 1.2)).any()


def test_the_lamp_moves_and_now_and_then_a_shadow_passes():
    found = [scene(False, seed) for seed in range(40)]
    for one in found:
        np.testing.assert_allclose(np.linalg.norm(one.directions, axis=1), 1.0)
        assert np.abs(one.directions[0] - one.directions[-1]).max() > 1e-4
    passing = [one for one in found if one.shade_edge_px is not None]
    assert 4 <= len(passing) <= 20
    assert (passing[0].background_at(0) != passing[0].background_at(19)).any()
    still = next(one for one in found if one.shade_edge_px is None)
    assert still.background_at(0) is still.background


@pytest.mark.parametrize(("weak", "low", "high"), [(False, 0.0, 0.02), (True, 0.1, 0.3)])
def test_holes_are_large_where_depth_is_weak(weak, low, high):
    noise = draw_noise(rng(), CAMERA, 5, level=1.0, weak=weak)
    lost = np.mean([noise.lose_depth(np.full((90, 120), 200, np.uint8), i) == 0 for i in range(5)])
    assert low <= lost <= high


def test_the_level_scales_both_noises():
    one, two = (draw_noise(rng(), CAMERA, 5, level=level, weak=False) for level in (1.0, 2.0))
    assert two.depth.std() == pytest.approx(2 * one.depth.std(), rel=1e-4)
    assert two.colour.std() == pytest.approx(2 * one.colour.std(), rel=0.15)  # whole values


@pytest.mark.parametrize("coincidence", [0.0, 0.5, 1.0])
def test_weaknesses_fall_together_as_often_as_asked(coincidence):
    hard = Difficulty(weak_share=0.25, coincidence=coincidence)
    drawn = [draw_weakness(rng(seed), hard) for seed in range(4000)]
    # Four standard errors of a share of 4000 draws.
    for name in ("colour", "depth"):
        assert np.mean([getattr(w, name) for w in drawn]) == pytest.approx(0.25, abs=0.03)
    both = np.mean([w.colour and w.depth for w in drawn])
    assert both == pytest.approx(coincidence * 0.25 + (1 - coincidence) * 0.0625, abs=0.03)


def test_difficulty_is_changed_by_name():
    found = changed("viva-synthetic", ["clutter=0.2", "noise=3", "clutter=0.3"])
    assert found == replace(DIFFICULTY["viva-synthetic"], clutter=0.3, noise=3.0)
    assert changed("viva-synthetic", []) == DIFFICULTY["viva-synthetic"]


@pytest.mark.parametrize(
    "text", ["clutter", "clutter=", "clutter=2", "noise=-1", "noise=inf", "noise=nan", "version=2"]
)
def test_an_unknown_difficulty_is_refused(text):
    with pytest.raises(UsageError, match=text.split("=")[0]):
        changed("viva-synthetic", [text])
