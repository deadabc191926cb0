import hashlib
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from mtut_bench.cli import app
from mtut_bench.errors import DatasetError, UsageError
from mtut_preprocess.synthetic import SYNTHETIC, Settings, generate, nvgesture
from mtut_preprocess.synthetic.camera import Camera, DepthScale, encode_depth, rasterise, shade
from mtut_preprocess.synthetic.classes import VIVA
from mtut_preprocess.synthetic.difficulty import DIFFICULTY
from mtut_preprocess.synthetic.nvgesture import _line, _timing
from mtut_preprocess.synthetic.scene import Light
from mtut_preprocess.synthetic.video import depth_planes, h264, mjpeg

VIVA_SYNTHETIC, NV_SYNTHETIC = SYNTHETIC["viva-synthetic"], SYNTHETIC["nvgesture-synthetic"]
CAMERA = Camera(width=64, height=48, focal_px=50.0, centre_px=(31.5, 23.5))
SCALE = DepthScale(near_m=0.2, far_m=0.6, near_value=206, far_value=77)


def nv_settings(**changes):
    return settings_of("nvgesture-synthetic", **changes)


def viva_settings(**changes):
    return settings_of("viva-synthetic", **changes)


def settings_of(name, size="tiny", seed=0, whole=False):
    return Settings(name, size, seed, whole, DIFFICULTY[name])


def digests(raw: Path) -> dict[str, str]:
    return {
        path.relative_to(raw).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(raw.rglob("*"))
        if path.is_file()
    }


def luma(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        planes = [frame.planes[0] for frame in container.decode(video=0)]
        rows = [
            np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
            for plane in planes
        ]
        return np.stack([r[:, : p.width] for r, p in zip(rows, planes, strict=True)])


def sphere(x: float, z: float, radius: float = 0.05) -> list[float]:
    return [x, 0.0, z, x, 0.0, z, radius, radius]


def depth_of(*bodies: list[float]) -> np.ndarray:
    surface = rasterise(np.array(bodies, dtype=np.float32), CAMERA)
    return encode_depth(surface, SCALE, np.zeros((48, 64), dtype=np.float32))


@pytest.fixture(scope="module")
def viva_raw(prepared, tmp_path_factory):
    raw = tmp_path_factory.mktemp("viva") / "raw"
    return shutil.copytree(prepared / "raw" / "viva-synthetic-tiny", raw)


@pytest.fixture(scope="module")
def nv_raw(tmp_path_factory):
    """A folder with the lists of the tiny size and one clip whose depth lags a frame."""
    raw = tmp_path_factory.mktemp("nvgesture")
    NV_SYNTHETIC.write_index(raw, NV_SYNTHETIC.clips(nv_settings()), nv_settings())
    NV_SYNTHETIC.write_clip(raw, lagging_clip(), nv_settings())
    return raw


def lagging_clip():
    settings = nv_settings(size="mini")
    return next(c for c in NV_SYNTHETIC.clips(settings) if _timing(c, settings).lag == 1)


def times_ns(path: Path) -> np.ndarray:
    return np.array([int(line.split()[1]) for line in path.read_text().splitlines()])


# Same bytes, resuming, refusing


def test_two_workers_write_the_same_bytes_as_one(viva_raw, tmp_path, monkeypatch):
    few = replace(VIVA_SYNTHETIC, clips=lambda settings: VIVA_SYNTHETIC.clips(settings)[:6])
    monkeypatch.setitem(SYNTHETIC, "viva-synthetic", few)
    assert generate("viva-synthetic", tmp_path / "raw", size="tiny", workers=2) == 6
    one, two = digests(viva_raw), digests(tmp_path / "raw")
    # The marker counts the clips.
    assert [name for name in two if one[name] != two[name]] == ["synthetic.json"]
    assert len(two) == 2 * 6 + 2


def test_resumed_folder_equals_undisturbed_one(viva_raw, tmp_path):
    undisturbed = digests(viva_raw)
    marker = json.loads((viva_raw / "synthetic.json").read_text())
    facts = ("num_clips", "expected_clips", "fps")
    settings = {key: value for key, value in marker.items() if key not in facts}
    (viva_raw / "synthetic.partial.json").write_text(json.dumps(settings))
    (viva_raw / "synthetic.json").unlink()
    victims = sorted(viva_raw.rglob("*_01_01.avi"))
    victims[0].unlink()
    victims[1].rename(victims[1].with_name(victims[1].name + ".part"))
    calls = []
    generate("viva-synthetic", viva_raw, size="tiny", progress=lambda *call: calls.append(call))
    assert digests(viva_raw) == undisturbed
    assert calls[-1] == (38, 38)
    assert len(calls) <= 2


def test_finished_folder_is_left_alone(viva_raw):
    before = {path: path.stat().st_mtime_ns for path in viva_raw.rglob("*")}
    generate("viva-synthetic", viva_raw, size="tiny")
    assert {path: path.stat().st_mtime_ns for path in viva_raw.rglob("*")} == before


def test_another_seed_gives_other_bytes(viva_raw, tmp_path):
    clip = VIVA_SYNTHETIC.clips(viva_settings())[0]
    VIVA_SYNTHETIC.write_clip(tmp_path, clip, viva_settings(seed=1))
    for own, other in zip(
        VIVA_SYNTHETIC.files(viva_raw, clip), VIVA_SYNTHETIC.files(tmp_path, clip), strict=True
    ):
        assert own.read_bytes() != other.read_bytes()


def test_foreign_folder_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(DatasetError, match=r"thesis\.tex"):
        generate("viva-synthetic", tmp_path, size="tiny")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    ("changes", "value"),
    [({"seed": 7}, "7"), ({"difficulty": replace(DIFFICULTY["viva-synthetic"], noise=2.0)}, "2.0")],
)
def test_folder_of_other_settings_is_refused(viva_raw, changes, value):
    with pytest.raises(DatasetError, match=rf"{next(iter(changes))} is .* there .*{value}"):
        generate("viva-synthetic", viva_raw, size="tiny", **changes)


def test_unknown_dataset_is_refused(tmp_path):
    with pytest.raises(UsageError, match="viva-synthetic, nvgesture-synthetic"):
        generate("viva", tmp_path)


def test_contact_sheet_lies_beside_the_raw_folder(viva_raw):
    result = CliRunner().invoke(
        app, ["synth", "viva-synthetic", "--raw", str(viva_raw), "--contact-sheet"]
    )
    assert result.exit_code == 0, result.exception
    sheet = viva_raw.with_name("raw-contact-sheet.png")
    # Nineteen rows below the heads, of eight frames of each modality.
    assert cv2.imread(str(sheet)).shape[0] == 20 + 19 * 64


def test_recorded_dataset_is_not_generated(tmp_path):
    result = CliRunner().invoke(app, ["synth", "viva", "--data", str(tmp_path)])
    assert isinstance(result.exception, UsageError)
    assert "viva-synthetic" in result.exception.hint


def interrupted_write(path: Path) -> None:
    with mjpeg(path, 8, 8, quantiser=2) as writer:
        writer.write(depth_planes(np.zeros((8, 8), dtype=np.uint8)))
        raise KeyboardInterrupt


def test_interrupted_write_leaves_no_final_name(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        interrupted_write(tmp_path / "a.avi")
    assert not (tmp_path / "a.avi").exists()


# Layout


def test_viva_names_and_marker(viva_raw):
    data = viva_raw / "LISA_HG_Data" / "dynamic_gestures" / "data"
    names = sorted(path.name for path in data.glob("*.avi"))
    assert names == sorted(path.name for path in (data / "depth").glob("*.avi"))
    assert all(re.fullmatch(r"\d{2}_\d{2}_0[123]\.avi", name) for name in names)
    assert len({name.split("_")[1] for name in names}) == 19
    marker = json.loads((viva_raw / "synthetic.json").read_text())
    assert (marker["num_clips"], marker["expected_clips"], marker["fps"]) == (38, 885, 30)
    assert not list(viva_raw.rglob("*.part"))


def test_viva_table(viva_raw):
    table = json.loads((viva_raw / "viva.json").read_text())
    assert table["class_names"][:2] == ["Swipe Right", "Swipe Left"]
    assert len(table["class_names"]) == len(table["mirror"]) == 19
    assert (table["persons"]["01"], table["persons"]["02"], table["persons"]["16"]) == (
        "1",
        "1",
        "8",
    )
    assert table["expected_clips"] == 885


def test_viva_frames(viva_raw):
    for clip in VIVA_SYNTHETIC.clips(viva_settings())[:6]:
        colour, depth = (luma(path) for path in VIVA_SYNTHETIC.files(viva_raw, clip))
        assert colour.shape == depth.shape
        assert colour.shape[1:] == (115, 250)
        assert 30 <= len(colour) <= 60


@pytest.mark.parametrize(("size", "count"), [("tiny", 38), ("mini", 152), ("full", 885)])
def test_viva_sizes(size, count):
    clips = VIVA_SYNTHETIC.clips(viva_settings(size=size))
    assert len({clip.clip_id for clip in clips}) == len(clips) == count
    assert {clip.label for clip in clips} == set(range(19))
    assert len({clip.person for clip in clips}) == (2 if size == "tiny" else 8)


def test_the_demo_is_all_clips_of_five_classes_of_the_full_size(tmp_path):
    full, demo = (viva_settings(size=size) for size in ("full", "demo"))
    every = {clip.clip_id: clip for clip in VIVA_SYNTHETIC.clips(full)}
    clips = VIVA_SYNTHETIC.clips(demo)
    assert 230 <= len(clips) <= 240
    assert {clip.person for clip in clips} == set("12345678")
    VIVA_SYNTHETIC.write_index(tmp_path, clips, demo)
    table = json.loads((tmp_path / "viva.json").read_text())
    names = ["Swipe Right", "Swipe Left", "Swipe Down", "Swipe Up", "Tap-1"]
    assert table["class_names"] == names
    assert table["mirror"] == [1, 0, 2, 3, 4]
    for clip in clips:
        same = every.pop(clip.clip_id)
        assert VIVA[same.label].name == names[clip.label]
        assert (same.person, same.user, same.repetition) == (
            clip.person,
            clip.user,
            clip.repetition,
        )
    # What is left out is of other classes.
    assert not {VIVA[clip.label].name for clip in every.values()} & set(names)


def test_a_clip_of_the_demo_is_that_of_the_full_size(tmp_path):
    recorded = []
    for size in ("full", "demo"):
        settings = viva_settings(size=size)
        (clip,) = [c for c in VIVA_SYNTHETIC.clips(settings) if c.clip_id == "03_21_02"]
        VIVA_SYNTHETIC.write_clip(tmp_path / size, clip, settings)
        recorded.append([p.read_bytes() for p in VIVA_SYNTHETIC.files(tmp_path / size, clip)])
    assert recorded[0] == recorded[1]


@pytest.mark.parametrize(
    ("size", "train", "test"), [("tiny", 25, 25), ("mini", 100, 50), ("full", 1050, 482)]
)
def test_nvgesture_sizes(size, train, test):
    clips = NV_SYNTHETIC.clips(nv_settings(size=size))
    by_split = {s: [c for c in clips if c.split == s] for s in ("train", "test")}
    assert (len(by_split["train"]), len(by_split["test"])) == (train, test)
    assert len({clip.clip_id for clip in clips}) == len(clips)
    assert not {c.person for c in by_split["train"]} & {c.person for c in by_split["test"]}


def test_nvgesture_lists(nv_raw):
    line = re.compile(
        r"path:\./Video_data/class_(\d\d)/subject\d+_r\d depth:sk_depth:0:80 color:sk_color:0:80"
        r" duo_left:duo_left:0:93 label:(\d+) "
    )
    for split in ("train", "test"):
        text = (nv_raw / f"nvgesture_{split}_correct_cvpr2016_v2.lst").read_text()
        found = [line.fullmatch(row) for row in text.splitlines()]
        assert len(found) == 25
        assert all(match and int(match[1]) == int(match[2]) for match in found)


def test_nvgesture_frames_logs_and_lag(nv_raw):
    videos, logs = np.split(np.array(NV_SYNTHETIC.files(nv_raw, lagging_clip())), 2)
    lengths = [luma(path).shape for path in videos]
    times = [times_ns(path) for path in logs]
    assert lengths == [(80, 240, 320), (81, 240, 320), (81, 240, 320)]
    assert [len(stamps) for stamps in times] == [80, 81, 81]
    nearest = np.abs(times[1][None] - times[0][:, None]).argmin(axis=1)
    assert nearest.tolist() == list(range(1, 81))
    assert np.median(times[0] - times[1][1:]) == pytest.approx(-5e6, abs=1e6)


def test_whole_recordings_have_windows_inside():
    settings = nv_settings(whole=True)
    for clip in NV_SYNTHETIC.clips(settings):
        start, end = map(int, re.search(r"sk_color:(\d+):(\d+)", _line(clip, settings)).groups())
        assert end - start == 80
        assert 0 < start < end <= _timing(clip, settings).length


# Pictures


def test_nearer_is_brighter_and_far_things_are_background():
    values = [int(depth_of(sphere(0.0, z))[24, 32]) for z in (0.9, 0.55, 0.45, 0.35)]
    assert values == sorted(set(values))
    assert values[0] == 0 < 77 <= values[1]
    assert values[-1] <= 206


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_nearer_capsule_wins_in_depth_and_colour(order):
    bodies = np.array([sphere(0.0, 0.30, 0.03), sphere(0.0, 0.50, 0.12)], dtype=np.float32)
    surface = rasterise(bodies[list(order)], CAMERA)
    light = Light(np.array([0.0, 0.0, -1.0]), ambient=1.0, diffuse=0.0)
    albedo = np.array([[200.0, 0, 0], [0, 200.0, 0]])[list(order)]
    black = np.zeros((48, 64, 3), dtype=np.uint8)
    picture = shade(surface, albedo, light, black, 1.0)
    assert surface.distance[24, 31] == pytest.approx(0.27, abs=0.001)
    assert picture[24, 31, 0] > 150 > 5 > picture[24, 31, 1]
    assert picture[24, 40, 1] > 100 > 5 > picture[24, 40, 0]


def test_capsule_seen_end_on_shows_its_near_end():
    surface = rasterise(np.array([[0, 0, 0.5, 0, 0, 0.3, 0.02, 0.02]], dtype=np.float32), CAMERA)
    assert surface.distance.min() == pytest.approx(0.28, abs=0.001)


def test_depth_survives_h264(tmp_path):
    depth = depth_of(sphere(-0.1, 0.30), sphere(0.1, 0.5))
    with h264(tmp_path / "d.avi", 64, 48, crf=14) as writer:
        for _ in range(4):
            writer.write(depth_planes(depth))
    error = np.abs(luma(tmp_path / "d.avi")[:, depth > 0].astype(int) - depth[depth > 0])
    # crf 14: the real recordings differ by 1 to 15 beside silhouettes.
    assert error.mean() < 1.5
    assert error.max() <= 15


def test_depth_survives_mjpeg_of_odd_height(tmp_path):
    depth = np.ascontiguousarray(depth_of(sphere(-0.1, 0.30), sphere(0.1, 0.5))[:47, :62])
    with mjpeg(tmp_path / "d.avi", 62, 47, quantiser=2) as writer:
        writer.write(depth_planes(depth))
    error = np.abs(luma(tmp_path / "d.avi")[0].astype(int) - depth)
    assert error.mean() < 1.5
    assert error.max() <= 15


@pytest.mark.parametrize("distance_m", [0.25, 0.41, 0.70])
def test_wrapped_shows_a_point_where_the_depth_camera_sees_it(distance_m):
    point = np.array([0.01, -0.02, distance_m])
    beside = point + nvgesture._FROM_COLOUR[:3]
    colour = np.zeros((240, 320, 3), np.uint8)
    x, y = pixel(beside, nvgesture._COLOUR_CAMERA)
    colour[y - 1 : y + 2, x - 1 : x + 2] = 255
    wrapped = nvgesture._as_depth_sees(colour, np.full((240, 320), distance_m))
    rows, columns = np.nonzero(wrapped[..., 0] > 127)
    seen = np.array([columns.mean(), rows.mean()])
    np.testing.assert_allclose(seen, pixel(point, nvgesture._DEPTH_CAMERA), atol=1.0)


def test_colour_ends_where_it_ends_in_recordings():
    """Measured on real clips: columns 262 to 279 on the right, by distance; row 208 below."""
    colour = np.full((240, 320, 3), 255, np.uint8)
    ends = {}
    for distance_m in (0.22, 0.70):
        wrapped = nvgesture._as_depth_sees(colour, np.full((240, 320), distance_m))
        rows, columns = np.nonzero(wrapped[..., 0] > 127)
        ends[distance_m] = columns.max()
        assert rows.max() == pytest.approx(208, abs=1)
    assert ends[0.22] == pytest.approx(264, abs=3)
    assert ends[0.70] == pytest.approx(279, abs=3)


def pixel(point, camera):
    """Return the whole pixel (x, y) of a point in the camera's coordinates."""
    centred = np.array(point[:2]) / point[2] * camera.focal_px
    return np.rint(centred + camera.centre_px).astype(int)
