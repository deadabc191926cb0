import numpy as np
import pytest

from mtut_bench.loading.sampling import (
    draw_clip,
    epoch_order,
    keyed_seed,
    length_batches,
    place_window,
)

GOLDEN_DRAW = [0.5654728723107391, 0.7276286031997523, 0.37519894676287213, 0.23604719800856466]
GOLDEN_ORDER = [4, 1, 3, 0, 5, 2]


def test_draw_does_not_depend_on_what_was_drawn_before():
    ids = [f"clip{n}" for n in range(20)]
    forward = {i: draw_clip(1, 2, i) for i in ids}
    backward = {i: draw_clip(1, 2, i) for i in reversed(ids)}
    assert forward == backward


def test_draw_leaves_global_generators_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - the global one is meant
    draw_clip(0, 0, "a")
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize("other", [(1, 0, "a"), (0, 1, "a"), (0, 0, "b")])
def test_draw_depends_on_seed_epoch_and_clip(other):
    assert draw_clip(*other) != draw_clip(0, 0, "a")


def test_draws_stay_as_they_are():
    # Golden: a change of these numbers is a change of every result, and of PROTOCOL versions.
    draw = draw_clip(0, 0, "clip00")
    values = [draw.time, draw.top, draw.left, draw.flip]
    np.testing.assert_allclose(values, GOLDEN_DRAW, rtol=0, atol=1e-15)
    assert epoch_order(6, 0, 0).tolist() == GOLDEN_ORDER


def test_draws_are_uniform_and_uncorrelated():
    draws = [draw_clip(0, n % 50, f"clip{n}") for n in range(4000)]
    values = np.array([[d.time, d.top, d.left, d.flip] for d in draws])
    assert values.min() >= 0
    assert values.max() < 1
    # Each tenth expects 400 with a deviation of 19; five deviations.
    for column in values.T:
        counts, _ = np.histogram(column, bins=10, range=(0, 1))
        assert np.abs(counts - 400).max() < 95
    assert np.abs(np.corrcoef(values.T) - np.eye(4)).max() < 0.08


def test_keys_do_not_run_together():
    assert keyed_seed("a", "bc") != keyed_seed("ab", "c")
    assert keyed_seed(1, 23) != keyed_seed(12, 3)


@pytest.mark.parametrize("num_frames", [8, 9, 13])
def test_every_window_of_a_long_clip_is_reached(num_frames):
    positions = np.linspace(0, 1, 1000, endpoint=False)
    windows = [place_window(num_frames, 8, p) for p in positions]
    assert {w.start for w in windows} == set(range(num_frames - 8 + 1))
    assert all(w.stop - w.start == 8 and w.before == 0 for w in windows)


@pytest.mark.parametrize("num_frames", [1, 5, 7])
def test_every_place_of_a_short_clip_is_reached(num_frames):
    positions = np.linspace(0, 1, 1000, endpoint=False)
    windows = [place_window(num_frames, 8, p) for p in positions]
    assert {w.before for w in windows} == set(range(8 - num_frames + 1))
    assert all((w.start, w.stop) == (0, num_frames) for w in windows)


def test_places_are_equally_likely():
    starts = [place_window(12, 8, (n + 0.5) / 1000).start for n in range(1000)]
    assert np.bincount(starts).tolist() == [200] * 5


@pytest.mark.parametrize("num_frames", [3, 64, 65, 330, 10_000_019])
def test_the_largest_draw_stays_inside(num_frames):
    last = np.nextafter(1.0, 0.0)
    window = place_window(num_frames, 64, last)
    assert window.stop <= num_frames
    assert window.before + window.stop - window.start <= 64


def test_epoch_order_is_a_permutation():
    assert sorted(epoch_order(17, 3, 4).tolist()) == list(range(17))


def test_epoch_order_changes_with_epoch_and_seed_only():
    order = epoch_order(50, 3, 4).tolist()
    assert order == epoch_order(50, 3, 4).tolist()
    assert order != epoch_order(50, 3, 5).tolist()
    assert order != epoch_order(50, 4, 4).tolist()


def test_length_batches_are_a_partition_of_equal_lengths():
    lengths = [9, 5, 9, 9, 5, 7, 9]
    batches = length_batches(lengths, 3)
    assert sorted(i for batch in batches for i in batch) == list(range(7))
    assert all(len({lengths[i] for i in batch}) == 1 for batch in batches)
    assert [len(batch) for batch in batches] == [2, 1, 3, 1]


def test_length_batches_of_nothing():
    assert length_batches([], 3) == []


def test_a_batch_of_long_clips_holds_no_more_frames_than_allowed():
    lengths = [330, 330, 330, 64, 64, 64, 64]
    batches = length_batches(lengths, batch_size=6, max_frames=6 * 64)
    assert sorted(len(batch) for batch in batches) == [1, 1, 1, 4]
    assert sorted(index for batch in batches for index in batch) == list(range(7))
