"""Numbered images: the stored values, the right files, and no picture that is cut in half."""

import cv2
import numpy as np
import pytest

from mtut_bench.errors import ClipError
from mtut_preprocess.reading.frames import missing_files
from mtut_preprocess.reading.images import ImageFrames, is_image_pattern, read_image


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
    with pytest.raises(ClipError, match=rf"a\.{ending} is (cut short|not a readable image)"):
        read_image(path, "rgb")


def test_bytes_after_the_end_of_a_jpeg_do_no_harm(tmp_path):
    path = write(tmp_path / "a.jpg", ramp())
    whole = read_image(path, "luma")
    path.write_bytes(path.read_bytes() + b"\0" * 100)
    np.testing.assert_array_equal(read_image(path, "luma"), whole)


@pytest.mark.parametrize("data", [b"", b"no picture", b"\xff\xd8\xff\xd9"])
def test_what_is_no_image_is_named(tmp_path, data):
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.raises(ClipError, match=r"a\.jpg is not a readable image"):
        read_image(tmp_path / "a.jpg", "rgb")


def test_sixteen_bits_are_refused_with_a_hint(tmp_path):
    path = write(tmp_path / "a.png", ramp().astype(np.uint16) * 200)
    with pytest.raises(ClipError, match="16 bits a value") as caught:
        read_image(path, "luma")
    assert "8 bits" in caught.value.hint


def test_a_missing_frame_and_another_size_are_named(folder):
    with pytest.raises(ClipError, match=r"010\.png does not exist"):
        ImageFrames(folder / "%03d.png", range(8, 11), "rgb").read()
    write(folder / "006.png", np.zeros((6, 9, 3), np.uint8))
    with pytest.raises(ClipError, match=r"006\.png has 9x6 pixels"):
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
