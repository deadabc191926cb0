from dataclasses import replace

import numpy as np
import pytest
import torch

from mtut_bench.loading.sampling import draw_clip, place_window
from mtut_bench.loading.training_clips import EpochSampler, TrainingClips, make_loader
from mtut_bench.store.reader import StoreReader


@pytest.fixture
def make_clips(make_store, tiny_recipe):
    def make(modalities=("rgb", "depth"), seed=0, changes=None, **options):
        path = make_store(modalities=modalities, **options)
        ids = [row.clip_id for row in StoreReader(path).table.rows]
        return TrainingClips(path, ids, modalities, replace(tiny_recipe, **(changes or {})), seed)

    return make


def epoch(clips, number, workers=0, batch_size=3):
    sampler = EpochSampler(len(clips), batch_size, clips.seed)
    sampler.epoch = number
    return list(make_loader(clips, sampler, workers))


def same(first, second):
    return (
        first.clip_ids == second.clip_ids
        and first.crops == second.crops
        and torch.equal(first.labels_N, second.labels_N)
        and torch.equal(first.valid_NT, second.valid_NT)
        and all(torch.equal(first.frames[m], second.frames[m]) for m in first.frames)
    )


def items(clips, epochs=20):
    """Return (clip id, flip, label) of every clip in many epochs."""
    return [
        (item.clip_id, item.crop.flip, item.label)
        for number in range(epochs)
        for item in (clips[number, position] for position in range(len(clips)))
    ]


def test_two_workers_deliver_the_bytes_of_none(make_clips):
    clips = make_clips()
    sampler = EpochSampler(len(clips), 3, 0)
    loader = make_loader(clips, sampler, workers=2)
    for number in (0, 1):  # The workers live on from one epoch to the next.
        sampler.epoch = number
        found, expected = list(loader), epoch(clips, number)
        assert len(found) == len(expected)
        assert all(same(a, b) for a, b in zip(found, expected, strict=True))


def test_a_clip_does_not_depend_on_its_batch(make_clips):
    clips = make_clips()
    single = {batch.clip_ids[0]: batch for batch in epoch(clips, 2, batch_size=1)}
    for batch in epoch(clips, 2, batch_size=5):
        for n, clip_id in enumerate(batch.clip_ids):
            assert torch.equal(batch.frames["rgb"][n], single[clip_id].frames["rgb"][0])
            assert batch.crops[n] == single[clip_id].crops[0]


def test_modalities_do_not_change_the_draws(make_clips):
    both = epoch(make_clips(), 1)
    clips = make_clips()
    clips.modalities = ("depth",)
    for a, b in zip(both, epoch(clips, 1), strict=True):
        assert a.crops == b.crops
        assert torch.equal(a.frames["depth"], b.frames["depth"])


def test_each_clip_is_seen_once_per_epoch(make_clips):
    clips = make_clips()
    for number in (0, 1):
        seen = [i for batch in epoch(clips, number) for i in batch.clip_ids]
        assert sorted(seen) == sorted(clips.clip_ids)


def test_last_short_batch_is_kept(make_clips):
    clips = make_clips()
    assert [len(batch.clip_ids) for batch in epoch(clips, 0)] == [3, 3, 2]
    assert len(EpochSampler(8, 3, 0)) == 3


def test_order_and_crops_change_with_the_epoch(make_clips):
    clips = make_clips()
    first, second = epoch(clips, 0), epoch(clips, 1)
    assert [b.clip_ids for b in first] != [b.clip_ids for b in second]
    crops = [
        {i: c for b in e for i, c in zip(b.clip_ids, b.crops, strict=True)} for e in (first, second)
    ]
    assert crops[0] != crops[1]


def test_frames_are_the_drawn_window_of_the_store(make_clips):
    clips = make_clips(changes={"clip_length": 6})
    reader = StoreReader(clips.store)
    item = clips[4, 0]
    window = place_window(12, 6, draw_clip(0, 4, "clip00").time)
    expected = reader.read(0, "rgb", window.start, window.stop)
    np.testing.assert_array_equal(item.frames["rgb"], expected)
    assert item.valid_T.all()


def test_short_clip_is_padded_on_both_sides_and_marked(make_clips):
    clips = make_clips()
    reader = StoreReader(clips.store)
    befores = set()
    for number in range(30):
        item = clips[number, 1]  # five frames in eight
        places = torch.nonzero(item.valid_T).ravel()
        assert places.tolist() == list(range(int(places[0]), int(places[0]) + 5))
        np.testing.assert_array_equal(item.frames["rgb"][item.valid_T], reader.read(1, "rgb"))
        assert not item.frames["rgb"][~item.valid_T].any()
        befores.add(int(places[0]))
    assert befores == {0, 1, 2, 3}


def test_swap_exchanges_the_label_of_every_flipped_clip(make_clips):
    clips = make_clips()
    labels = {r.clip_id: r.label for r in StoreReader(clips.store).table.rows}
    found = [x for x in items(clips) if labels[x[0]] < 2]
    assert all(label == (1 - labels[i] if flip else labels[i]) for i, flip, label in found)
    assert 0.35 < np.mean([flip for _, flip, _ in found]) < 0.65
    # A class without a mirror is never flipped.
    up = [(flip, label) for i, flip, label in items(clips) if labels[i] == 2]
    assert set(up) == {(False, 2)}


def test_plain_flips_and_keeps_the_label(make_clips):
    clips = make_clips(changes={"flip": "plain"})
    labels = {r.clip_id: r.label for r in StoreReader(clips.store).table.rows}
    found = items(clips)
    assert all(label == labels[i] for i, _, label in found)
    assert any(flip for _, flip, _ in found)


@pytest.mark.parametrize(
    ("rule", "facts"), [("swap", {"mirror": None}), ("plain", {"mirror": None}), ("none", {})]
)
def test_without_mirror_pairs_or_by_the_rule_nothing_is_flipped(make_clips, rule, facts):
    clips = make_clips(changes={"flip": rule}, **facts)
    assert not any(flip for _, flip, _ in items(clips))


def test_the_flip_rule_does_not_move_window_or_crop(make_clips):
    plain, none = make_clips(changes={"flip": "plain"}), make_clips(changes={"flip": "none"})
    for number in range(10):
        a, b = plain[number, 0], none[number, 0]
        assert (a.crop.top, a.crop.left) == (b.crop.top, b.crop.left)
        assert torch.equal(a.frames["rgb"], b.frames["rgb"])
