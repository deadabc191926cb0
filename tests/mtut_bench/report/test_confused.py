import base64
from pathlib import Path

import cv2
import numpy as np
import pytest
from handmade_store import make_plan, write_store
from page_bench import finished_run
from record_bench import scores_of

from mtut_bench.report.comparisons.confused import most_confused

LABELS = [0, 0, 1, 1]


def confused(*runs, stores=None):
    (group,) = most_confused(runs, stores)
    return group


def said(*networks, **changes):
    """One run for each list of predicted classes."""
    return [
        finished_run(scores_of(classes, LABELS), number, identity__seed=number, **changes)
        for number, classes in enumerate(networks)
    ]


def test_counts_by_hand():
    # clip0: right, right, right; clip1: 1, 2, 1; clip2: right, 0, right; clip3: 0, 0, 0.
    group = confused(*said([0, 1, 1, 0], [0, 2, 0, 0], [0, 1, 1, 0]))
    found = {clip.clip_id: (clip.num_wrong, clip.taken_for) for clip in group.clips}
    # The third network scores as the first: the same network, counted once.
    assert found == {
        "clip1": (2, (("swipe", 1), ("push", 1))),
        "clip2": (1, (("wave", 1),)),
        "clip3": (2, (("wave", 2),)),
    }
    assert {clip.num_networks for clip in group.clips} == {2}
    assert group.summary.startswith("2 networks (")
    assert "Wrong in every network that saw them: 2; right in every one: 1." in group.summary


def test_the_largest_share_comes_first_then_the_surest():
    sure = finished_run(scores_of([0, 1, 0, 1], LABELS, sure=0.6), 1)
    surer = finished_run(scores_of([1, 0, 0, 1], LABELS, sure=0.9), 2)
    # clip2 is wrong twice; clip0 and clip1 once, clip0 by the surer network.
    assert [clip.clip_id for clip in confused(sure, surer).clips] == ["clip2", "clip0", "clip1"]


def test_equals_are_ordered_by_name_whatever_the_order_of_the_runs():
    runs = said([1, 1, 0, 0], [2, 2, 2, 2])
    names = [clip.clip_id for clip in confused(*runs).clips]
    assert names == sorted(names)
    assert confused(*runs[::-1]).clips == confused(*runs).clips


def test_every_modality_judges_and_no_fusion():
    scores = scores_of([[0, 0, 1, 1], [1, 1, 0, 0]], LABELS, modalities=("rgb", "depth"))
    group = confused(finished_run(scores))
    assert {(clip.num_wrong, clip.num_networks) for clip in group.clips} == {(1, 2)}


def test_at_most_eight_clips_are_shown():
    run = finished_run(scores_of([1] * 9, [0] * 9))
    assert len(confused(run).clips) == 8


def test_no_mistake_no_clip():
    group = confused(*said(LABELS))
    assert group.clips == ()
    assert group.note == "No clip was ever misclassified."


def test_stores_and_protocols_are_apart():
    runs = [*said([1, 1, 0, 0]), *said([1, 1, 0, 0], store__digest="e" * 64)]
    runs += said([1, 1, 0, 0], protocol__name="paper")
    runs += said([1, 1, 0, 0], identity__overrides={"crop": 32})
    groups = most_confused(runs, None)
    assert len(groups) == 4
    assert [group.heading.rpartition(", ")[2] for group in groups].count("protocol paper") == 1
    assert sum("with crop changed" in group.heading for group in groups) == 1


def test_no_runs_no_groups():
    assert most_confused((), None) == []


@pytest.fixture
def stores(tmp_path):
    """A folder with the store 'tiny': four clips of eight frames, and its digest."""
    plan = make_plan([8] * 4, height=12, width=24)
    frames = [
        {m: np.full(plan.geometry.shape(m, 8), 10 * n, np.uint8) for m in ("rgb", "depth")}
        for n in range(1, 5)
    ]
    for n in range(8):
        frames[1]["rgb"][n] = [30 * n, 0, 0]  # red, brighter with time
    digest = write_store(tmp_path / "tiny.zarr", plan, frames)
    return tmp_path, digest


def decoded(uri):
    kind, _, content = uri.partition(",")
    assert kind == "data:image/jpeg;base64"
    raw = np.frombuffer(base64.b64decode(content), np.uint8)
    return cv2.cvtColor(cv2.imdecode(raw, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def test_thumbnails_are_the_clips_frames_in_rgb(stores):
    folder, digest = stores
    group = confused(*said([0, 1, 1, 1], store__digest=digest), stores=folder)
    (clip,) = group.clips
    assert clip.clip_id == "clip1"
    assert len(clip.thumbnails) == 6
    first, last = (decoded(clip.thumbnails[n]) for n in (0, -1))
    assert first.shape == last.shape == (96, 192, 3)
    assert np.allclose(first.mean(axis=(0, 1)), [0, 0, 0], atol=3)
    assert np.allclose(last.mean(axis=(0, 1)), [210, 0, 0], atol=3)
    assert group.note == "Frames: rgb, evenly spread over each clip."


def test_a_clip_shorter_than_the_strip_shows_each_frame_once(tmp_path):
    digest = write_store(tmp_path / "tiny.zarr", make_plan([4] * 4))
    group = confused(*said([0, 1, 1, 1], store__digest=digest), stores=tmp_path)
    assert len(group.clips[0].thumbnails) == 4


def test_without_the_store_the_group_says_so(tmp_path):
    for folder in (None, tmp_path, tmp_path / "absent"):
        group = confused(*said([1, 1, 0, 0]), stores=folder)
        assert group.note == "No thumbnails: store tiny not found."
        assert all(clip.thumbnails == () for clip in group.clips)


def test_a_changed_store_shows_no_frame(stores):
    folder, _ = stores
    group = confused(*said([1, 1, 0, 0]), stores=folder)
    assert "has changed since these runs" in group.note
    assert all(clip.thumbnails == () for clip in group.clips)


def cut(shard):
    shard.write_bytes(shard.read_bytes()[:-8])


@pytest.mark.parametrize("damage", [cut, Path.unlink])
def test_a_damaged_store_shows_no_frame_and_no_traceback(stores, damage):
    folder, digest = stores
    (shard,) = (p for p in (folder / "tiny.zarr/frames/rgb/c").rglob("*") if p.is_file())
    # zarr reads what is missing as black: a lost shard must not become a black clip.
    damage(shard)
    group = confused(*said([1, 1, 0, 0], store__digest=digest), stores=folder)
    assert "cannot be read" in group.note
    assert all(clip.thumbnails == () for clip in group.clips)


@pytest.mark.parametrize("modality", ["depth", "flow"])
def test_a_store_without_rgb_shows_what_it_has(tmp_path, modality):
    digest = write_store(tmp_path / "tiny.zarr", make_plan([8] * 4, modalities=(modality,)))
    group = confused(*said([1, 1, 0, 0], store__digest=digest), stores=tmp_path)
    assert group.note.startswith(f"Frames: {modality},")
    assert decoded(group.clips[0].thumbnails[0]).shape == (96, 128, 3)
