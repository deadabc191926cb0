"""Folders of numbered images are recognised by their names."""

import pytest

from mtut_bench.errors import ClipError
from mtut_preprocess.reading.series import find_series


@pytest.fixture
def folder(tmp_path):
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
def test_the_pattern_gives_every_name(folder, names, pattern):
    root = folder(*names)
    series = find_series(root)
    assert series.pattern.name == pattern
    files = [series.pattern.name % number for number in series.numbers]
    assert len(files) == len(set(files))
    assert set(files) == {name for name in names if name.endswith(files[0][-4:])}
    assert list(series.numbers) == sorted(series.numbers)


def test_a_pattern_chooses_among_several_series(folder):
    root = folder("rgb_1.png", "rgb_2.png", "depth_2.png")
    assert list(find_series(root / "rgb_%d.png").numbers) == [1, 2]
    with pytest.raises(ClipError, match=r"2 series of images: depth_%d\.png, rgb_%d\.png") as error:
        find_series(root)
    assert str(root / "depth_%d.png") in error.value.hint


@pytest.mark.parametrize("names", [(), ("a.txt", "b.avi"), ("wave.jpg",)])
def test_a_folder_without_numbered_images_is_refused(folder, names):
    with pytest.raises(ClipError, match="holds no numbered images; there: ") as error:
        find_series(folder(*names))
    assert all(name in error.value.what for name in names)


def test_a_pattern_without_files_is_refused(folder):
    with pytest.raises(ClipError, match="holds no numbered images"):
        find_series(folder("1.png") / "%05d.png")


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ClipError, match="No such file"):
        find_series(tmp_path / "none" / "%d.png")


def test_numbers_in_two_ways_are_refused(folder):
    with pytest.raises(ClipError, match=r"in two ways: 001\.png and 2\.png"):
        find_series(folder("001.png", "2.png"))
