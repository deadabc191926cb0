import hashlib
import json
import os
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recordings import numbered, write_video
from test_verify_raw import images, videos, write_images

from mtut_bench.errors import DatasetError, MtutBenchError
from mtut_preprocess.verify.raw import verify_raw
from mtut_preprocess.verify.raw_index import (
    INDEX_NAME,
    Entry,
    format_ranges,
    read_index,
    save_index,
)

__all__ = ["images", "videos"]


def read(fake):
    return json.loads((fake.root / INDEX_NAME).read_text())


def record(fake):
    """Write the index of a folder; return its recordings."""
    report = verify_raw(fake, write_index=True)
    assert (report.faults, report.index.state) == ((), "written")
    return read(fake)["recordings"]


def kinds(report):
    return [(fault.kind, fault.where) for fault in report.faults]


def sha256sum(folder, numbers):
    """SHA-256 of what ``sha256sum`` prints for numbered images."""
    names = [f"{number:06d}.jpg" for number in numbers]
    hashes = [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names]
    text = "".join(f"{line}  {name}\n" for line, name in zip(hashes, names, strict=True))
    return hashlib.sha256(text.encode()).hexdigest()


# Written


def test_index_of_videos(videos):
    recordings = record(videos)
    assert list(recordings) == sorted(f"{m}/{c}.avi" for m in ("rgb", "depth") for c in "abcd")
    data = (videos.root / "rgb" / "c.avi").read_bytes()
    assert recordings["rgb/c.avi"] == {
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
    }
    assert (read(videos)["format_version"], read(videos)["dataset"]) == (1, "fake")
    assert {path.name for path in videos.root.iterdir()} == {"rgb", "depth", INDEX_NAME}


def test_index_of_images_is_one_entry_a_folder(images):
    write_images(images.root, "rgb", [99], first=77)
    recordings = record(images)
    assert list(recordings) == ["s1/depth/%06d.jpg", "s1/rgb/%06d.jpg"]
    entry, folder = recordings["s1/rgb/%06d.jpg"], images.root / "s1" / "rgb"
    assert entry["sha256"] == sha256sum(folder, range(1, 21))
    assert (entry["files"], entry["frames"]) == (20, "1-20")
    assert entry["bytes"] == sum((folder / f"{n:06d}.jpg").stat().st_size for n in range(1, 21))


def test_without_the_option_nothing_is_written(videos):
    assert verify_raw(videos).index.state == "none"
    assert not (videos.root / INDEX_NAME).exists()


def test_folder_with_a_fault_is_not_recorded(videos):
    (videos.root / "rgb" / "a.avi").write_bytes(b"")
    report = verify_raw(videos, write_index=True)
    assert report.index.state == "refused"
    assert INDEX_NAME not in report.describe()[-1]
    assert not (videos.root / INDEX_NAME).exists()


def test_folder_that_cannot_be_written_is_refused_before_the_work(videos, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(DatasetError, match="is not writable") as caught:
        verify_raw(videos, progress=lambda *_: pytest.fail("has begun"), write_index=True)
    assert "without --write-index" in caught.value.hint


def test_disk_that_fails_later_leaves_nothing(videos, monkeypatch):
    def refuse(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(MtutBenchError, match=INDEX_NAME):
        verify_raw(videos, write_index=True)
    assert {path.name for path in videos.root.iterdir()} == {"rgb", "depth"}


# Checked


@pytest.mark.parametrize("workers", [1, 2])
def test_untouched_folder_agrees(videos, workers):
    record(videos)
    report = verify_raw(videos, workers)
    assert (report.faults, report.index.state, report.index.num_recordings) == ((), "agrees", 8)


def test_changed_video_names_file_and_both_hashes(videos):
    path = videos.root / "rgb" / "b.avi"
    expected = record(videos)["rgb/b.avi"]["sha256"]
    write_video(path, numbered(8, 99))
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    report = verify_raw(videos)
    (fault,) = report.faults
    assert (fault.kind, fault.where) == ("changed", ("rgb/b.avi",))
    what = f"{path} is not as recorded: sha256 {found[:12]} instead of {expected[:12]}"
    assert fault.sentence.startswith(what)
    assert report.index.state == "differs"
    assert "delete the index" in report.describe()[-1]


def test_changed_image_names_its_folder(images):
    record(images)
    write_images(images.root, "depth", [99], first=4)
    assert kinds(verify_raw(images)) == [("changed", ("s1/depth/%06d.jpg",))]


def test_missing_file_names_the_recorded_hash(videos):
    expected = record(videos)["rgb/b.avi"]["sha256"]
    (videos.root / "rgb" / "b.avi").unlink()
    report = verify_raw(videos)
    assert kinds(report) == [("missing", ("rgb/b.avi",))]
    assert report.faults[0].sentence.endswith(f"does not exist: sha256 {expected[:12]} is recorded")
    assert report.index.state == "differs"


def test_file_that_no_clip_uses_any_more_is_still_checked(videos):
    record(videos)
    clip = videos.clips.pop()
    assert verify_raw(videos).faults == ()
    clip.sources["rgb"].path.write_bytes(b"other")
    clip.sources["depth"].path.unlink()
    assert kinds(verify_raw(videos)) == [
        ("missing", ("depth/d.avi",)),
        ("changed", ("rgb/d.avi",)),
    ]


def test_images_that_no_clip_uses_any_more_are_still_checked(images):
    record(images)
    images.clips.pop()
    assert verify_raw(images).faults == ()
    write_images(images.root, "rgb", [99], first=20)
    (images.root / "s1" / "depth" / "000020.jpg").unlink()
    assert kinds(verify_raw(images)) == [
        ("changed", ("s1/rgb/%06d.jpg",)),
        ("missing", ("s1/depth/%06d.jpg",)),
    ]


def test_new_file_is_named_with_its_hash(videos):
    clip = videos.clips.pop()
    record(videos)
    videos.clips.append(clip)
    report = verify_raw(videos)
    assert kinds(report) == [("unlisted", ("rgb/d.avi",)), ("unlisted", ("depth/d.avi",))]
    data = (videos.root / "rgb" / "d.avi").read_bytes()
    assert report.faults[0].sentence.endswith(f"sha256 {hashlib.sha256(data).hexdigest()[:12]}")


def test_new_frames_of_a_folder_are_named(images):
    clip = images.clips.pop()
    record(images)
    images.clips.append(clip)
    report = verify_raw(images)
    assert kinds(report) == [("unlisted", (f"s1/{m}/%06d.jpg",)) for m in ("rgb", "depth")]
    assert report.faults[0].sentence.endswith(f"not in {INDEX_NAME}: 16-20")


def test_digest_does_not_depend_on_an_index(images):
    del images.clips[1:3]
    before = verify_raw(images).digest
    record(images)
    images.clips.pop()
    part = verify_raw(images).digest
    (images.root / INDEX_NAME).unlink()
    assert verify_raw(images).digest == part != before


# Written again


@pytest.mark.parametrize("kind", ["videos", "images"])
def test_new_recordings_are_added_and_old_ones_kept(kind, request):
    fake = request.getfixturevalue(kind)
    every = fake.clips
    whole = record(fake)
    (fake.root / INDEX_NAME).unlink()
    fake.clips = every[:2]
    record(fake)
    fake.clips = every[2:]
    assert record(fake) == whole


def test_index_that_no_longer_holds_is_kept(videos):
    record(videos)
    before = (videos.root / INDEX_NAME).read_bytes()
    write_video(videos.root / "rgb" / "b.avi", numbered(8, 99))
    report = verify_raw(videos, write_index=True)
    assert kinds(report) == [("changed", ("rgb/b.avi",))]
    assert report.index.state == "refused"
    assert report.describe()[-1].endswith(f"the older {INDEX_NAME} is kept")
    assert (videos.root / INDEX_NAME).read_bytes() == before


# Malformed

ENTRY = {"sha256": "0" * 64, "bytes": 1}
GOOD = {"format_version": 1, "dataset": "fake", "recordings": {"a.avi": ENTRY}}
BAD_INDEXES = {
    "text": ("no json", "JSON"),
    "list": ([], "malformed"),
    "newer": ({**GOOD, "format_version": 2, "recordings": []}, "version 2"),
    "no version": ({"recordings": {}}, "format_version"),
    "no recordings": ({**GOOD, "recordings": []}, "recordings"),
    "no hash": ({**GOOD, "recordings": {"a.avi": {"bytes": 1}}}, "sha256"),
    "hash": ({**GOOD, "recordings": {"a.avi": {**ENTRY, "sha256": "xyz"}}}, "sha256"),
    "bytes": ({**GOOD, "recordings": {"a.avi": {**ENTRY, "bytes": -1}}}, "bytes"),
    "frames": ({**GOOD, "recordings": {"%d.png": {**ENTRY, "frames": "3-"}}}, "'3-'"),
    "many": ({**GOOD, "recordings": {"%d.png": {**ENTRY, "frames": "0-999999999"}}}, "too many"),
    "no frames": ({**GOOD, "recordings": {"%d.png": ENTRY}}, "%d.png"),
    "frames of a video": ({**GOOD, "recordings": {"a.avi": {**ENTRY, "frames": "3"}}}, "a.avi"),
}


@pytest.mark.parametrize("name", BAD_INDEXES)
def test_malformed_index_names_file_and_value(tmp_path, name):
    content, value = BAD_INDEXES[name]
    text = content if isinstance(content, str) else json.dumps(content)
    (tmp_path / INDEX_NAME).write_text(text)
    with pytest.raises(DatasetError, match=re.escape(value)) as caught:
        read_index(tmp_path)
    assert str(tmp_path / INDEX_NAME) in caught.value.what
    assert "elete" in caught.value.hint


def test_malformed_index_stops_verify_before_the_work(videos):
    (videos.root / INDEX_NAME).write_text("{}")
    with pytest.raises(DatasetError, match=INDEX_NAME):
        verify_raw(videos, progress=lambda *_: pytest.fail("has begun"))


# Ranges


@pytest.mark.parametrize(
    ("numbers", "text"),
    [([], ""), ([5], "5"), ([3, 1, 2], "1-3"), ([1, 2, 9, 11, 12], "1-2 9 11-12")],
)
def test_ranges_in_words(numbers, text):
    assert format_ranges(numbers) == text


@given(st.sets(st.integers(0, 500), min_size=1, max_size=60))
def test_ranges_survive_a_round_trip(numbers):
    entry = {"%d.png": Entry("0" * 64, 1, tuple(sorted(numbers)))}
    with tempfile.TemporaryDirectory() as folder:
        save_index(Path(folder), "fake", entry)
        assert read_index(Path(folder)) == entry
