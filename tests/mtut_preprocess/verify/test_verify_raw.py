import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from ego_fixture import write_ego
from recordings import (
    cut_in_half,
    list_line,
    numbered,
    write_lists,
    write_nvgesture_clip,
    write_video,
    write_viva_clip,
)

from mtut_bench.contract.types import ClipRow
from mtut_bench.errors import DatasetError
from mtut_preprocess.datasets.adapter import DatasetFacts, RawClip
from mtut_preprocess.datasets.egogesture import EgoGesture
from mtut_preprocess.datasets.nvgesture import NvGesture
from mtut_preprocess.datasets.viva import Viva
from mtut_preprocess.reading.decode import VideoFrames
from mtut_preprocess.reading.images import ImageFrames
from mtut_preprocess.verify import scan
from mtut_preprocess.verify.raw import verify_raw

PLANES = {"rgb": "rgb", "depth": "luma"}
FACTS = DatasetFacts(
    dataset="fake",
    origin="recorded",
    expected_clips=4,
    modalities=("rgb", "depth"),
    class_names=("wave", "point"),
    mirror=None,
    fold_rule="split",
    subject_unit="person",
    fps=30.0,
    depth_polarity="nearer is brighter",
    colour="rgb",
    flow="",
    alignment={},
    published={
        "split": {"train": 2, "test": 2},
        "subject": {"1": 2, "2": 2},
        "label": {"0": 2, "1": 2},
    },
)


@dataclass
class Fake:
    """Clips of a test; a class of facts with other values where the test needs them."""

    root: Path
    clips: list = field(default_factory=list)
    facts: DatasetFacts = FACTS

    def add(self, clip_id, subject="1", label=0, split="train", **sources):
        length = len(next(iter(sources.values())).indices)
        row = ClipRow(clip_id, subject, label, 0, split, length)
        self.clips.append(RawClip(row, sources, {}))

    def read(self):
        return self.facts, self.clips


def video_source(root, modality, name, window):
    return VideoFrames(root / modality / f"{name}.avi", tuple(window), PLANES[modality])


def image_source(root, modality, window, scene="s1"):
    return ImageFrames(root / scene / modality / "%06d.jpg", tuple(window), PLANES[modality])


def write_images(root, modality, values, scene="s1", first=1, size=(24, 32)):
    """One picture per value, which is its number in stripes; depth is upside down."""
    folder = root / scene / modality
    folder.mkdir(parents=True, exist_ok=True)
    for number, value in enumerate(values, start=first):
        picture = numbered(1, value, *size)[0] // (1 if modality == "rgb" else 2)
        assert cv2.imwrite(str(folder / f"{number:06d}.jpg"), picture)
    return folder


CLIPS = (
    ("a", "1", 0, "train"),
    ("b", "1", 1, "train"),
    ("c", "2", 0, "test"),
    ("d", "2", 1, "test"),
)


@pytest.fixture
def videos(tmp_path):
    """Four clips of two videos each, 8 frames."""
    fake = Fake(tmp_path)
    for number, clip in enumerate(CLIPS):
        for modality in PLANES:
            values = numbered(8, 8 * number) // (1 if modality == "rgb" else 2)
            write_video(tmp_path / modality / f"{clip[0]}.avi", values)
        fake.add(*clip, **{m: video_source(tmp_path, m, clip[0], range(8)) for m in PLANES})
    return fake


@pytest.fixture
def images(tmp_path):
    """Four clips of 5 frames in one folder of 20 images per modality."""
    fake = Fake(tmp_path)
    for modality in PLANES:
        write_images(tmp_path, modality, range(20))
    for number, clip in enumerate(CLIPS):
        window = range(5 * number + 1, 5 * number + 6)
        fake.add(*clip, **{m: image_source(tmp_path, m, window) for m in PLANES})
    return fake


@pytest.fixture(params=["videos", "images"])
def either(request):
    return request.getfixturevalue(request.param)


def faults(fake, **options):
    """(kind, where) of each fault."""
    return [(fault.kind, fault.where) for fault in verify_raw(fake, **options).faults]


def change(fake, clip, **changes):
    """Give one clip another row."""
    old = fake.clips[clip]
    fake.clips[clip] = replace(old, row=old.row._replace(**changes))


# All is well


def test_clean_folder_has_no_fault_and_no_finding(either):
    report = verify_raw(either)
    assert (report.faults, report.findings, report.num_clips) == ((), {}, 4)


def test_two_workers_find_what_one_finds(either):
    write_images(either.root, "rgb", [3], first=9, size=(12, 16))
    (either.root / "rgb").mkdir(exist_ok=True)
    (either.root / "rgb" / "b.avi").write_bytes(b"no video")
    assert verify_raw(either, 2) == verify_raw(either, 1)
    assert verify_raw(either).faults


def test_every_recording_is_reported_once(videos):
    calls = []
    verify_raw(videos, progress=lambda *call: calls.append(call))
    assert calls == [(number, 8) for number in range(1, 9)]


def test_counts_of_videos(videos):
    write_video(videos.root / "rgb" / "a.avi", numbered(11, 50))
    stats = verify_raw(videos).modalities["rgb"]
    assert (stats.num_recordings, stats.sizes) == (4, {"32x24": 4})
    assert (stats.frames.min, stats.frames.median, stats.frames.max) == (8, 8, 11)
    assert stats.frames.total == 35
    assert stats.num_bytes == sum(p.stat().st_size for p in (videos.root / "rgb").iterdir())


def test_counts_of_images_are_of_those_that_clips_use(images):
    write_images(images.root, "rgb", [99], first=21)
    stats = verify_raw(images).modalities["rgb"]
    assert (stats.num_recordings, stats.frames.total) == (1, 20)


def test_shared_video_is_decoded_once(tmp_path, monkeypatch):
    calls = []
    decode = scan.decode_frames
    monkeypatch.setattr(scan, "decode_frames", lambda p: calls.append(p.name) or decode(p))
    fake = Fake(tmp_path)
    for modality, first in (("rgb", 0), ("depth", 40)):
        write_video(tmp_path / modality / "all.avi", numbered(20, first))
    for number, clip in enumerate(CLIPS):
        window = range(5 * number, 5 * number + 5)
        fake.add(*clip, **{m: video_source(tmp_path, m, "all", window) for m in PLANES})
    assert verify_raw(fake).faults == ()
    assert calls == ["all.avi", "all.avi"]


def test_images_of_overlapping_windows_are_decoded_once(images, monkeypatch):
    calls = []
    decode = scan.read_image
    monkeypatch.setattr(scan, "read_image", lambda p, x: calls.append(p) or decode(p, x))
    images.add("e", "2", 1, "test", rgb=image_source(images.root, "rgb", range(2, 9)))
    verify_raw(images)
    assert len(calls) == len(set(calls)) == 40


def test_digest_is_of_contents_and_names(videos, tmp_path):
    before = verify_raw(videos).digest
    assert verify_raw(videos, 2).digest == before
    write_video(tmp_path / "rgb" / "a.avi", numbered(8, 70))
    assert verify_raw(videos).digest != before


# Files


def test_missing_video(videos):
    (videos.root / "depth" / "b.avi").unlink()
    (fault,) = verify_raw(videos).faults
    assert (fault.kind, fault.where) == ("missing", ("depth/b.avi",))
    assert str(fault) == f"{videos.root}/depth/b.avi does not exist"


def test_missing_images_are_one_fault_of_their_folder(images):
    for number in (3, 4, 9):
        (images.root / "s1" / "rgb" / f"{number:06d}.jpg").unlink()
    (fault,) = verify_raw(images).faults
    assert (fault.kind, fault.where) == ("missing", ("s1/rgb/%06d.jpg",))
    assert fault.sentence.endswith("s1/rgb/000003.jpg does not exist (missing images: 3-4 9)")


def test_unreadable_files_of_every_kind(videos):
    cut_in_half(videos.root / "rgb" / "a.avi")
    (videos.root / "rgb" / "b.avi").write_bytes(b"")
    (videos.root / "rgb" / "c.avi").unlink()
    (videos.root / "rgb" / "c.avi").mkdir()
    found = verify_raw(videos).faults
    assert [f.kind for f in found] == ["unreadable"] * 3
    assert [f.where for f in found] == [("rgb/a.avi",), ("rgb/b.avi",), ("rgb/c.avi",)]
    assert "cut short" in found[0].sentence


def test_cut_images_are_one_fault_that_lists_them(images):
    for number in (7, 8):
        cut_in_half(images.root / "s1" / "depth" / f"{number:06d}.jpg")
    (fault,) = verify_raw(images).faults
    assert (fault.kind, fault.where) == ("unreadable", ("s1/depth/%06d.jpg",))
    assert "000007.jpg is not a readable image" in fault.sentence
    assert fault.sentence.endswith("(unreadable images: 7-8)")


@pytest.mark.parametrize(("count", "kinds"), [(8, []), (7, []), (6, []), (5, ["short"])])
def test_windows_may_pass_the_end_by_two_frames(videos, count, kinds):
    write_video(videos.root / "rgb" / "a.avi", numbered(count, 90))
    report = verify_raw(videos)
    assert [fault.kind for fault in report.faults] == kinds
    clamped = [text for texts in report.findings.values() for text in texts]
    assert clamped == ([f"a, rgb: {count} frames, window to 8"] if count in (6, 7) else [])


def test_short_video_names_file_and_clip(videos):
    write_video(videos.root / "rgb" / "a.avi", numbered(5, 90))
    (fault,) = verify_raw(videos).faults
    assert fault.where == ("rgb/a.avi", "a")
    assert fault.sentence.endswith("rgb/a.avi has 5 frames; its window ends at frame 8")


def test_another_frame_size_is_found(either):
    if either.clips[0].sources["rgb"].path.suffix == ".avi":
        write_video(either.root / "rgb" / "c.avi", numbered(8, 90, 48, 64))
        expected = ("rgb/c.avi",)
    else:
        write_images(either.root, "rgb", [90], first=20, size=(48, 64))
        expected = ("s1/rgb/%06d.jpg",)
    (fault,) = verify_raw(either).faults
    assert (fault.kind, fault.where) == ("size", expected)
    assert "64x48" in fault.sentence
    assert "32x24" in fault.sentence


# Copies


def test_copied_video_names_both(videos):
    (videos.root / "rgb" / "d.avi").write_bytes((videos.root / "rgb" / "a.avi").read_bytes())
    (fault,) = verify_raw(videos).faults
    assert (fault.kind, fault.where) == ("duplicate", ("rgb/a.avi", "rgb/d.avi"))
    assert fault.sentence == "rgb/a.avi and rgb/d.avi have the same content"


def test_blank_videos_are_alike_and_no_fault(videos):
    for name in "ac":
        write_video(videos.root / "depth" / f"{name}.avi", np.zeros((8, 24, 32), np.uint8))
    report = verify_raw(videos)
    assert report.faults == ()
    (texts,) = report.findings.values()
    assert texts == ("depth/a.avi and depth/c.avi have the same content",)


def test_one_window_for_two_clips(either):
    other = either.clips[1].sources["rgb"]
    either.clips[2] = replace(either.clips[2], sources={**either.clips[2].sources, "rgb": other})
    (fault,) = verify_raw(either).faults
    assert fault.kind == "duplicate"
    assert [name[0] for name in fault.where] == ["b", "c"]


def test_copied_images_are_found_under_other_numbers(images):
    write_images(images.root, "rgb", range(5), scene="s2", first=31)
    source = image_source(images.root, "rgb", range(31, 36), "s2")
    images.clips[3] = replace(images.clips[3], sources={**images.clips[3].sources, "rgb": source})
    (fault,) = verify_raw(images).faults
    assert (fault.kind, fault.where) == (
        "duplicate",
        ("a (s1/rgb/%06d.jpg)", "d (s2/rgb/%06d.jpg)"),
    )


def test_single_images_may_be_alike(images):
    write_images(images.root, "rgb", [5, 6, 7, 5, 6, 5, 5, 5, 9])
    assert faults(images) == []


# Clips


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"label": 0}, ["label 0", "label 1"]),
        ({"subject": "3"}, ["subject 2", "subject 3"]),
        ({"split": "val"}, ["split val", "split test"]),
    ],
)
def test_of_the_complete_dataset_every_difference_is_a_fault(videos, changes, expected):
    change(videos, 3, **changes)
    found = [fault for fault in verify_raw(videos).faults if fault.kind == "histogram"]
    assert [fault.where[0] for fault in found] == expected


def test_of_a_part_only_what_exceeds_is_a_fault(videos):
    videos.facts = replace(FACTS, expected_clips=5)
    change(videos, 3, label=0)
    (fault,) = verify_raw(videos).faults
    assert str(fault) == "label 0 has 3 clips; 2 are published"


def test_part_is_one_line(videos):
    del videos.clips[3]
    report = verify_raw(videos)
    assert report.faults == ()
    assert report.describe()[1] == "incomplete: 3 of 4 clips"
    assert "clips per split: train: 2, test: 1 of 2" in report.describe()
    assert "clips per person: 1: 2, 2: 1 of 2" in report.describe()


def test_more_clips_than_there_are(videos):
    videos.facts = replace(FACTS, expected_clips=3, published={})
    (fault,) = verify_raw(videos).faults
    assert (fault.kind, str(fault)) == (
        "clips",
        "4 clips are more than the 3 of the complete dataset",
    )


@pytest.mark.parametrize("changes", [{"published": {}}, {"origin": "synthetic"}])
def test_where_nothing_is_published_counts_are_just_shown(videos, changes):
    videos.facts = replace(FACTS, **changes)
    change(videos, 3, label=0)
    report = verify_raw(videos)
    assert report.faults == ()
    assert "clips per class: wave: 3, point: 1" in report.describe()


def test_person_on_two_sides(videos):
    videos.facts = replace(FACTS, published={})
    change(videos, 3, subject="1")
    (fault,) = verify_raw(videos).faults
    assert (fault.kind, fault.where) == ("persons", ("1",))
    videos.facts = replace(videos.facts, fold_rule="subject")
    assert faults(videos) == []


@pytest.mark.parametrize("changes", [{"clip_id": "a"}, {"label": 2}, {"num_frames": 0}])
def test_impossible_row(videos, changes):
    videos.facts = replace(FACTS, published={})
    change(videos, 1, **changes)
    assert [fault.kind for fault in verify_raw(videos).faults] == ["row"]


# The report


def test_report_in_words(videos):
    videos.facts = replace(
        FACTS, findings={"other label": ("a: 1, not 2",)}, notes=("1 clip: other label", "seen")
    )
    lines = verify_raw(videos).describe()
    assert lines[:2] == ["fake, recorded", "complete: 4 of 4 clips"]
    assert lines[2].startswith("rgb: 4 recordings of 32x24, 0.0 MB; 8 frames each, 32 in all")
    assert "clips per class: wave: 2, point: 2 (as published)" in lines
    # A note that only counts a finding is left out.
    assert [line for line in lines if "label" in line or line.startswith("note")] == [
        "other label (1):",
        "note: seen",
    ]


def test_json_is_complete_and_survives_a_round_trip(either):
    change(either, 3, label=0)
    record = verify_raw(either).to_json()
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["clips"] == {"found": 4, "expected": 4}
    assert record["histograms"]["label"] == {
        "found": {"0": 3, "1": 1},
        "published": {"0": 2, "1": 2},
    }
    assert list(record["modalities"]["depth"]["sizes"]) == ["32x24"]
    assert record["faults"][0] == {
        "kind": "histogram",
        "where": ["label 0"],
        "sentence": "label 0 has 3 clips; 2 are published",
    }
    assert len(record["digest"]) == 64


# The datasets' own layouts


def test_nvgesture(tmp_path):
    folders = ("class_01/subject1_r0", "class_02/subject1_r1", "class_01/subject5_r0")
    for number, folder in enumerate(folders):
        write_nvgesture_clip(tmp_path, folder, first=8 * number)
        write_video(tmp_path / "Video_data" / folder / "sk_depth.avi", numbered(8, 8 * number) // 2)
    lines = [list_line(folder, label=int(folder[6:8])) for folder in folders]
    report = verify_raw(NvGesture(write_lists(tmp_path, lines[:2], lines[2:])))
    assert report.faults == ()
    assert report.describe()[1] == "incomplete: 3 of 1,532 clips"


def test_no_clip_is_an_error(tmp_path):
    with pytest.raises(DatasetError, match="lists no clip"):
        verify_raw(Fake(tmp_path))


def test_egogesture(tmp_path):
    assert verify_raw(EgoGesture(write_ego(tmp_path))).faults == ()


def test_viva_states_its_assumptions(tmp_path):
    write_viva_clip(tmp_path, "01_01_01")
    lines = verify_raw(Viva(tmp_path)).describe()
    assert lines[1] == "incomplete: 1 of 885 clips"
    assert any(line.startswith("assumption: persons: Eight persons") for line in lines)
