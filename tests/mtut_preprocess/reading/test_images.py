"""Numbered images: the stored values, the right files, and no picture that is cut in half."""

import cv2
import numpy as np
import pytest

from mtut_bench.errors import ClipError
from mtut_preprocess.reading.frames import missing_files
from mtut_preprocess.reading.images import (
    ImageFrames,
    find_series,
    is_image_pattern,
    read_image,
)


def ramp(height=24, width=32):
    y, x = np.mgrid[:height, :width]
    return np.clip(x * 8 + y, 0, 255).astype(np.uint8)


def write(path, pixels, *options):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels, [*options])
    return path


@pytest.fixture
def folder(tmp_path):
    """PNG images 3 to 9, each of the grey value of its number."""
    for number in range(3, 10):
        write(tmp_path / f"{number:03d}.png", np.full((6, 8, 3), number, np.uint8))
    return tmp_path


def test_frames_are_those_of_the_numbers(folder):
    frames = ImageFrames(folder / "%03d.png", [4, 4, 7], "rgb").read()
    assert frames.shape == (3, 6, 8, 3)
    assert frames[:, 0, 0, 0].tolist() == [4, 4, 7]


def test_each_file_is_read_once_and_fitted(folder, monkeypatch):
    shapes = []
    source = ImageFrames(folder / "%03d.png", [5, 5, 5, 6], "luma")
    frames = source.read(lambda frame: (shapes.append(frame.shape), frame[:2, :2])[1])
    assert shapes == [(6, 8, 1)] * 2
    assert frames[:, 0, 0, 0].tolist() == [5, 5, 5, 6]


def test_rgb_has_its_channels_in_order(tmp_path):
    path = write(tmp_path / "a.png", np.full((4, 4, 3), (10, 20, 30), np.uint8))  # OpenCV: BGR
    assert read_image(path, "rgb")[0, 0].tolist() == [30, 20, 10]


@pytest.mark.parametrize("channels", [1, 3])
def test_luma_of_a_jpeg_is_its_luma_plane(tmp_path, channels):
    """Grey or three equal channels: the same values, within one rounding of the coder."""
    picture = ramp() if channels == 1 else np.repeat(ramp()[..., None], 3, axis=2)
    path = write(tmp_path / "a.jpg", picture, cv2.IMWRITE_JPEG_QUALITY, 100)
    luma = read_image(path, "luma")
    assert luma.shape == (24, 32, 1)
    assert np.abs(luma[..., 0].astype(int) - ramp()).max() <= 2
    plain = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    if channels == 1:
        np.testing.assert_array_equal(luma[..., 0], plain)


@pytest.mark.parametrize("ending", ["jpg", "png"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.98])
def test_a_cut_file_is_named(tmp_path, ending, share):
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    path = write(tmp_path / f"a.{ending}", noise)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ClipError, match=rf"a\.{ending}"):
        read_image(path, "rgb")


def test_bytes_after_the_end_of_a_jpeg_do_no_harm(tmp_path):
    path = write(tmp_path / "a.jpg", ramp())
    whole = read_image(path, "luma")
    path.write_bytes(path.read_bytes() + b"\0" * 100)
    np.testing.assert_array_equal(read_image(path, "luma"), whole)


@pytest.mark.parametrize("data", [b"", b"no picture", b"\xff\xd8\xff\xd9"])
def test_what_is_no_image_is_named(tmp_path, data):
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.raises(ClipError, match=r"a\.jpg"):
        read_image(tmp_path / "a.jpg", "rgb")


def test_sixteen_bits_are_refused_with_a_hint(tmp_path):
    path = write(tmp_path / "a.png", ramp().astype(np.uint16) * 200)
    with pytest.raises(ClipError, match=r"a\.png has 16 bits") as caught:
        read_image(path, "luma")
    assert "8 bits" in caught.value.hint


def test_a_missing_frame_and_another_size_are_named(folder):
    with pytest.raises(ClipError, match=r"010\.png"):
        ImageFrames(folder / "%03d.png", range(8, 11), "rgb").read()
    write(folder / "006.png", np.zeros((6, 9, 3), np.uint8))
    with pytest.raises(ClipError, match=r"006\.png has 9x6"):
        ImageFrames(folder / "%03d.png", range(5, 8), "rgb").read()


def test_missing_files_are_listed_without_opening_any(folder):
    (folder / "005.png").write_bytes(b"no picture")
    source = ImageFrames(folder / "%03d.png", [2, 3, 5, 9, 10, 10], "rgb")
    assert [path.name for path in missing_files(source)] == ["002.png", "010.png"]
    (folder / "010.png").touch()
    assert [path.name for path in missing_files(source)] == ["002.png"]


def test_a_folder_that_is_not_there_lacks_every_file(tmp_path):
    source = ImageFrames(tmp_path / "nowhere" / "%d.png", range(3), "rgb")
    assert len(missing_files(source)) == 3


@pytest.mark.parametrize(
    ("name", "pattern"),
    [("%06d.jpg", True), ("img_%d.png", True), ("a.avi", False), ("50%.avi", False), ("%d_%d", 0)],
)
def test_a_pattern_has_one_number(name, pattern):
    assert is_image_pattern(name) == bool(pattern)


# Folders of numbered images are recognised by their names


@pytest.fixture
def touched(tmp_path):
    def make(*names):
        for name in names:
            (tmp_path / name).touch()
        return tmp_path

    return make


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        (("000001.jpg", "000002.jpg"), "%06d.jpg"),
        (("img9.png", "img10.png", "img11.png"), "img%d.png"),
        (("a_07.PNG", "a_99.PNG", "a_100.PNG"), "a_%02d.PNG"),
        (("100.bmp", "101.bmp", "thumbs.db", "notes 1.txt", "100.jsn"), "%d.bmp"),
        (("Bild mit Abstand 0.tiff",), "Bild mit Abstand %d.tiff"),
        (("50%_1.jpg",), "50%%_%d.jpg"),
    ],
)
def test_the_pattern_gives_every_name(touched, names, pattern):
    root = touched(*names)
    series = find_series(root)
    assert series.pattern.name == pattern
    files = [series.pattern.name % number for number in series.numbers]
    assert len(files) == len(set(files))
    assert set(files) == {name for name in names if name.endswith(files[0][-4:])}
    assert list(series.numbers) == sorted(series.numbers)


def test_a_pattern_chooses_among_several_series(touched):
    root = touched("rgb_1.png", "rgb_2.png", "depth_2.png")
    assert list(find_series(root / "rgb_%d.png").numbers) == [1, 2]
    with pytest.raises(ClipError, match=r"2 series of images: depth_%d\.png, rgb_%d\.png") as error:
        find_series(root)
    assert str(root / "depth_%d.png") in error.value.hint


@pytest.mark.parametrize("names", [(), ("a.txt", "b.avi"), ("wave.jpg",)])
def test_a_folder_without_numbered_images_is_refused(touched, names):
    with pytest.raises(ClipError, match="found: ") as error:
        find_series(touched(*names))
    assert all(name in error.value.what for name in names)


def test_a_pattern_without_files_is_refused(touched):
    with pytest.raises(ClipError, match=r"%05d\.png"):
        find_series(touched("1.png") / "%05d.png")


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ClipError, match="none"):
        find_series(tmp_path / "none" / "%d.png")


def test_numbers_in_two_ways_are_refused(touched):
    with pytest.raises(ClipError, match=r"in two ways: 001\.png and 2\.png"):
        find_series(touched("001.png", "2.png"))
