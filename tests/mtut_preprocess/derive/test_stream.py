"""A stream gives the very frames of the store; everything else it does, it says."""

import re
import struct
import tracemalloc
from dataclasses import replace

import cv2
import numpy as np
import pytest
from recordings import (
    cut_in_half,
    film,
    list_line,
    numbered,
    numbers,
    write_lists,
    write_nvgesture_clip,
)

from mtut_bench.errors import ClipError
from mtut_preprocess.convert.prepare import read_clip
from mtut_preprocess.datasets.nvgesture import NvGesture
from mtut_preprocess.derive import stream as stream_module
from mtut_preprocess.derive.flow import build_flow
from mtut_preprocess.derive.resize import largest_box, resize_frame
from mtut_preprocess.derive.stream import Wanted, stream_frames
from mtut_preprocess.reading.decode import VideoFrames
from mtut_preprocess.reading.images import ImageFrames

DEPTH = Wanted("depth", (24, 32), 30.0)
RGB = Wanted("rgb", (24, 32), 30.0)


def read(path, wanted, said=None):
    found = list(stream_frames(path, wanted, (said if said is not None else []).append))
    return found, np.stack([frame.frame_HWC for frame in found])


def images(folder, count=6, first=1, size=(24, 32), **pixels):
    for number in range(first, first + count):
        picture = pixels.get(f"n{number}")
        if picture is None:
            picture = np.full((*size, 3), (number, 90, 200), np.uint8)
        assert cv2.imwrite(str(folder / f"{number:05d}.png"), picture)
    return folder


# The frames of the store


@pytest.mark.parametrize("size", [(24, 32), (12, 16), (48, 64)])
@pytest.mark.parametrize("plane", ["rgb", "luma"])
def test_a_video_is_read_as_its_store_was(tmp_path, plane, size):
    chroma = (60, 190) if plane == "rgb" else (128, 128)
    path = film(tmp_path / "a.avi", numbered(70), chroma=chroma)
    wanted = Wanted("rgb" if plane == "rgb" else "depth", size, 30.0)
    said = []
    found, frames = read(path, wanted, said)
    source = VideoFrames(path, range(70), plane)
    np.testing.assert_array_equal(frames, source.read(lambda f: resize_frame(f, *size)))
    assert [frame.number for frame in found] == list(range(70))
    assert said == []


@pytest.mark.parametrize("modality", ["rgb", "depth"])
def test_images_are_read_as_their_store_was(tmp_path, modality):
    grey = {f"n{n}": np.full((24, 32, 3), 9 * n, np.uint8) for n in range(1, 7)}
    images(tmp_path, **(grey if modality == "depth" else {}))
    wanted = Wanted(modality, (12, 16), 30.0)
    found, frames = read(tmp_path, wanted)
    source = ImageFrames(tmp_path / "%05d.png", range(1, 7), wanted.plane)
    np.testing.assert_array_equal(frames, source.read(lambda f: resize_frame(f, 12, 16)))
    assert [frame.number for frame in found] == list(range(1, 7))
    np.testing.assert_array_equal(read(tmp_path / "%05d.png", wanted)[1], frames)


@pytest.mark.parametrize("name", ["farneback", "dis"])
@pytest.mark.parametrize("count", [1, 2, 8, 9, 10, 17, 18])
def test_flow_is_that_of_the_whole_clip(tmp_path, name, count):
    rng = np.random.default_rng(count)
    scene = cv2.GaussianBlur(rng.integers(0, 255, (80, 160), dtype=np.uint8), (9, 9), 0)
    luma = np.stack([scene[8 : 8 + 48, 2 * n : 2 * n + 64] for n in range(count)])
    path = film(tmp_path / "a.avi", luma, chroma=(60, 190))
    algorithm = build_flow(name)
    wanted = Wanted(algorithm.modality, (48, 64), 30.0, flow=algorithm)
    colour = VideoFrames(path, range(count), "rgb").read()
    found, frames = read(path, wanted)
    np.testing.assert_array_equal(frames, algorithm.compute(colour))
    assert [frame.number for frame in found] == list(range(count))


def test_the_window_of_a_list_gives_the_clip_of_the_store(tmp_path):
    root = write_lists(tmp_path, [list_line("class_01/subject1_r0", (50, 130), (50, 130))])
    for folder in ("class_01/subject1_r0", "class_02/subject5_r0"):
        write_nvgesture_clip(root, folder, count=240)
        film(root / "Video_data" / folder / "sk_color.avi", numbered(240), chroma=(60, 190))
    clip = next(c for c in NvGesture(root).read()[1] if c.row.num_frames == 80)
    geometry = type("Geometry", (), {"height": 24, "width": 32})
    kept = read_clip(clip, geometry, None)
    for modality, source in clip.sources.items():
        wanted = Wanted(modality, (24, 32), 30.0, first=50, stop=130)
        np.testing.assert_array_equal(read(source.path, wanted)[1], kept[modality])


# Time


@pytest.mark.parametrize(
    ("rate", "fps", "wanted"),
    [
        (60, 30, [0, 2, 4, 6, 8, 10]),
        (15, 30, [0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 11]),
        # Instants 0, 50, 100, ... ms among frames at 0, 33, 67, 100, ...; 50 ms is equally far.
        (30, 20, [0, 2, 3, 5, 6, 8, 9, 11]),
        (29, 30, list(range(12))),
    ],
)
@pytest.mark.parametrize("suffix", [".avi", ".mp4"])
def test_another_rate_is_read_by_nearest_time(tmp_path, rate, fps, wanted, suffix):
    codec = "mjpeg" if suffix == ".avi" else "libx264"
    path = film(tmp_path / f"a{suffix}", numbered(12), rate=rate, codec=codec)
    said = []
    found, frames = read(path, replace(DEPTH, fps=float(fps)), said)
    assert numbers(frames) == wanted
    assert [frame.number for frame in found] == wanted
    assert len(said) == (rate != 29)
    assert all(f"{rate} frames a second, the store has {fps}" in text for text in said)
    steps = np.diff([frame.time_s for frame in found])
    np.testing.assert_allclose(steps, 1 / (rate if rate == 29 else fps), atol=1e-4)


def test_the_users_rate_overrides_the_files(tmp_path):
    path = film(tmp_path / "a.avi", numbered(12), rate=30)
    assert numbers(read(path, replace(DEPTH, rate=60.0))[1]) == [0, 2, 4, 6, 8, 10]
    fast = film(tmp_path / "b.avi", numbered(12), rate=60)
    said = []
    assert numbers(read(fast, replace(DEPTH, rate=30.0), said)[1]) == list(range(12))
    assert said == []


def test_uneven_times_are_those_of_the_frames(tmp_path):
    # A camera that slows down: 60 a second, then 15.
    times = [0, 17, 33, 50, 67, 83, 100, 167, 240, 300]
    path = film(tmp_path / "a.mp4", numbered(10), times=times, codec="libx264")
    # Instants 0, 67, 133, 200, 267 ms.
    assert numbers(read(path, replace(DEPTH, fps=15.0))[1])[:5] == [0, 4, 6, 7, 8]


def test_matroskas_times_count_and_not_the_rate_that_it_states(tmp_path):
    times = [round(1000 * n / 15) for n in range(8)]
    path = film(tmp_path / "a.mkv", numbered(8), times=times, codec="libx264")  # states 30
    said = []
    assert numbers(read(path, replace(DEPTH, fps=5.0), said)[1]) == [0, 3, 6]
    assert re.match(r"(15|14\.99|15\.01) frames a second, the store has 5", said[0])
    said.clear()
    assert numbers(read(path, replace(DEPTH, fps=15.0), said)[1]) == list(range(8))
    assert said == []


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_frames_that_come_unevenly_at_the_stores_rate_are_taken_and_said(tmp_path, suffix):
    # Two seconds without a frame; 7.69 a second on average.
    times = [33 * n + 2000 * (n > 9) for n in range(20)]
    path = film(tmp_path / f"a{suffix}", numbered(20), times=times, codec="libx264")
    said = []
    assert numbers(read(path, replace(DEPTH, fps=7.5), said)[1]) == list(range(20))
    (text,) = said
    assert "unevenly" in text
    assert "from 7.2" in text
    said.clear()
    read(path, replace(DEPTH, fps=7.5, rate=7.5), said)
    assert said == []


def test_images_have_the_rate_that_is_stated(tmp_path):
    images(tmp_path, 8)
    assert [m.number for m in read(tmp_path, replace(RGB, rate=60.0))[0]] == [1, 3, 5, 7]
    found, _ = read(tmp_path, RGB)
    assert [m.number for m in found] == list(range(1, 9))
    assert found[-1].time_s == pytest.approx(8 / 30)


# Range


def test_a_range_is_half_open(tmp_path):
    path = film(tmp_path / "a.avi", numbered(20))
    found, frames = read(path, replace(DEPTH, first=5, stop=9))
    assert numbers(frames) == [5, 6, 7, 8]
    assert [frame.time_s for frame in found] == pytest.approx([n / 30 for n in (5, 6, 7, 8)])
    assert numbers(read(path, replace(DEPTH, first=17))[1]) == [17, 18, 19]


def test_a_range_may_pass_the_end_by_two_frames_as_in_a_store(tmp_path):
    path = film(tmp_path / "a.avi", numbered(20))
    _, frames = read(path, replace(DEPTH, first=16, stop=22))
    assert numbers(frames) == [16, 17, 18, 19, 19, 19]
    source = VideoFrames(path, range(16, 22), "luma")
    np.testing.assert_array_equal(frames, source.read())
    with pytest.raises(ClipError, match=r"20 frames.* 23"):
        read(path, replace(DEPTH, first=16, stop=23))
    with pytest.raises(ClipError, match="begins at frame 20"):
        read(path, replace(DEPTH, first=20, stop=22))


def test_frames_before_the_range_are_not_converted(tmp_path, monkeypatch):
    path = film(tmp_path / "a.avi", numbered(60))
    converted = []
    real = stream_module.to_array
    monkeypatch.setattr(
        stream_module, "to_array", lambda *a: (converted.append(a[0].pts), real(*a))[1]
    )
    read(path, replace(DEPTH, first=50, stop=53))
    # The first once more, in colour, for the look at what kind of recording it is.
    assert converted == [50, 50, 51, 52]


# Shape


def test_boxes_are_the_largest_in_the_centre():
    assert largest_box((720, 1280), (240, 320)) == (slice(0, 720), slice(160, 1120))
    assert largest_box((1920, 1080), (240, 320)) == (slice(555, 1365), slice(0, 1080))
    assert largest_box((240, 320), (115, 250)) == (slice(46, 193), slice(0, 320))


def test_wide_pictures_are_cropped_to_the_middle(tmp_path):
    # Black, white, black: the middle 32 of 48 columns are 8 black, 16 white, 8 black.
    luma = np.zeros((3, 24, 48), np.uint8)
    luma[:, :, 16:32] = 255
    path = film(tmp_path / "a.avi", luma)
    said = []
    white = read(path, DEPTH, said)[1][0, 12, :, 0] > 128
    assert np.flatnonzero(white).tolist() == list(range(8, 24))
    (text,) = said
    assert all(words in text for words in ("48x24", "32x24", "67%"))


def test_a_turned_video_is_turned_in_stream_and_store(tmp_path):
    luma = np.zeros((3, 24, 32), np.uint8)
    luma[:, :8, :16] = 255  # top left
    path = film(tmp_path / "phone.mp4", luma, codec="libx264")
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 44
    # QuickTime: x' = a x + c y, y' = b x + d y. The x axis points down: turned right by 90 degrees.
    data[place : place + 20] = struct.pack(">5i", 0, 1 << 16, 0, -1 << 16, 0)
    path.write_bytes(data)
    said = []
    _, frames = read(path, Wanted("depth", (32, 24), 30.0), said)
    corner = frames[0, :, :, 0] > 128
    assert corner[:16, 16:].all()
    assert corner.sum() == 8 * 16
    assert said == ["marked as turned: shown turned left by 270 degrees"]
    source = VideoFrames(path, range(3), "luma")
    assert source.size() == (32, 24)
    np.testing.assert_array_equal(source.read(), frames)


# Memory


def test_few_frames_are_held_and_each_is_decoded_once(tmp_path, monkeypatch):
    path = film(tmp_path / "long.avi", numbered(256)[np.arange(3000) % 256], chroma=(60, 190))
    calls = []
    real = stream_module.to_array
    monkeypatch.setattr(stream_module, "to_array", lambda *a: (calls.append(1), real(*a))[1])
    algorithm = build_flow("farneback")
    wanted = Wanted("flow", (24, 32), 30.0, flow=algorithm)
    tracemalloc.start()
    try:
        count = sum(1 for _ in stream_frames(path, wanted, [].append))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # Eight of them once more, for the look at what kind of recording it is.
    assert (count, len(calls)) == (3000, 3008)
    # All of colour would be 3000 * 24 * 32 * 3 = 6.9 MB; ten frames with their flow are 46 kB.
    assert peak < 1_000_000


# Refusals


@pytest.mark.parametrize("suffix", [".avi", ".mp4"])
def test_damaged_videos_are_refused(tmp_path, suffix):
    codec = "mjpeg" if suffix == ".avi" else "libx264"
    path = film(tmp_path / f"ein Film ü{suffix}", numbered(30), codec=codec)
    cut_in_half(path)
    with pytest.raises(ClipError, match="ein Film ü"):
        read(path, DEPTH)


def test_a_video_with_fewer_frames_than_stated_is_said(tmp_path, monkeypatch):
    path = film(tmp_path / "a.mp4", numbered(20), codec="libx264")
    monkeypatch.setattr(stream_module, "stated_frames", lambda path: 40)
    said = []
    read(path, DEPTH, said)
    assert said == ["its header states 40 frames and 20 are there: trimmed, or cut short"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.mp4", None, "does not exist"),
        ("empty.mp4", b"", "is empty"),
        ("text.mp4", b"no video at all" * 50, "is not a readable video"),
        ("one.png", b"x", "is a single image"),
    ],
)
def test_other_files_are_refused(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ClipError, match=message):
        read(path, DEPTH)


def test_a_video_without_frames_is_refused(tmp_path, monkeypatch):
    path = film(tmp_path / "a.avi", numbered(3))
    monkeypatch.setattr(stream_module, "decode_frames", lambda path: iter(()))
    with pytest.raises(ClipError, match=str(path)):
        read(path, DEPTH)


def test_nothing_is_yielded_of_another_kind(tmp_path):
    colour = film(tmp_path / "colour.avi", numbered(200), chroma=(60, 190))
    grey = film(tmp_path / "grey.avi", numbered(200))
    for path, wanted in ((colour, DEPTH), (grey, RGB)):
        with pytest.raises(ClipError, match=str(path)):
            next(stream_frames(path, wanted, [].append))


def test_a_grey_beginning_is_no_grey_video(tmp_path):
    path = images(tmp_path, 12, n1=np.zeros((24, 32, 3), np.uint8))
    assert len(read(path, RGB)[0]) == 12


def test_images_of_two_sizes_are_refused(tmp_path):
    images(tmp_path, n4=np.full((12, 16, 3), (4, 90, 200), np.uint8))
    with pytest.raises(ClipError, match="frame 4 has 16x12"):
        read(tmp_path, RGB)


def test_a_missing_image_is_named(tmp_path):
    images(tmp_path)
    (tmp_path / "00003.png").unlink()
    with pytest.raises(ClipError, match=r"1 of 6 .* 00003\.png"):
        read(tmp_path, RGB)
    assert len(read(tmp_path, replace(RGB, first=4))[0]) == 3
    with pytest.raises(ClipError, match=r"00007\.png") as error:
        read(tmp_path, replace(RGB, first=4, stop=9))
    assert "there are 1 to 6" in error.value.hint
