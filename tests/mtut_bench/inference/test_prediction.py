"""Recordings outside any store: the test's numbers, windows that miss nothing, bounded memory."""

import gc
import weakref
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from record_bench import changed

from mtut_bench.contract.predictions import read
from mtut_bench.contract.types import Frame
from mtut_bench.errors import UsageError
from mtut_bench.inference.recordings import (
    Prediction,
    Predictor,
    Windowing,
    cut_windows,
    longest_clip,
    merge_predictions,
    open_predictor,
)
from mtut_bench.runs.trained import open_run
from mtut_bench.store.reader import StoreReader
from mtut_bench.training.whole_clip_test import predict

CPU = torch.device("cpu")


def frames_of(frames_THWC, fps=15.0):
    return [Frame(n, n / fps, frame) for n, frame in enumerate(frames_THWC)]


def blank(count):
    return (Frame(n, n / 30, np.zeros((2, 2, 3), np.uint8)) for n in range(count))


def prediction(label, start, probability=0.6, classes=3):
    scores = np.full(classes, (1 - probability) / (classes - 1), np.float32)
    scores[label] = probability
    return Prediction(
        start, start + 8, float(start), start + 8.0, 8, scores, True, np.zeros((0, 2, 2, 3))
    )


# The numbers of the test


@pytest.mark.parametrize(
    ("modality", "scaling"),
    [*product(["rgb", "depth", "flow"], ["unit"]), ("rgb", "motion"), ("depth", "motion")],
)
def test_a_test_clip_gets_its_saved_probabilities(do, make_store, tiny_methods, modality, scaling):
    store = make_store("three", modalities=("rgb", "depth", "flow"))
    plan, _ = do("i3d", store=store, settings=(f"scaling={scaling}",))
    run, reader = open_run(plan.folder, tiny_methods), StoreReader(store)
    predictor = open_predictor(run, modality, CPU)
    saved = read(plan.folder / "predictions.npz")
    # The same sums in the same order: batches of one clip.
    single = replace(run.recipe, evaluation_batch=1)
    again = predict({modality: predictor.network}, reader, plan.fold.test, single, CPU)
    windowing = Windowing(longest_clip(run), run.recipe.clip_length, 4)
    for number, clip_id in enumerate(plan.fold.test):
        frames = reader.read(reader.table.index[clip_id], modality)
        (found,) = predictor.predict(frames_of(frames), windowing)
        assert not found.is_window
        np.testing.assert_array_equal(found.probabilities_K, again.probabilities_MNK[0, number])
        row = saved.modalities.index(modality), number
        # Batches of several clips sum in another order: some units in float32's last place.
        np.testing.assert_allclose(found.probabilities_K, saved.probabilities_MNK[row], atol=1e-6)


def test_no_test_clip_is_cut(do, tiny_methods):
    run = open_run(do()[0].folder, tiny_methods)
    assert longest_clip(run) == 16  # twice the training length of 8; the longest clip has 12
    assert longest_clip(changed(run, {"test_frames.0": 40})) == 40


def test_bf16_is_for_a_gpu(do, tiny_methods):
    run = changed(open_run(do()[0].folder, tiny_methods), {"identity.precision": "bf16"})
    assert open_predictor(run, "rgb", CPU).precision == "fp32"


def test_a_network_that_is_missing_is_named(do, tiny_methods):
    run = open_run(do()[0].folder, tiny_methods)
    with pytest.raises(UsageError, match="no network for 'flow'"):
        open_predictor(run, "flow", CPU)


# Windows


def windows_by_hand(count, length, stride):
    """Starts of the windows, from the whole recording at once."""
    starts = [s for s in range(0, count, stride) if s + length <= count]
    if starts[-1] + length < count:
        starts.append(count - length)
    return [list(range(s, s + length)) for s in starts]


@settings(max_examples=200)
@given(st.integers(1, 120), st.integers(1, 20), st.integers(1, 20), st.integers(0, 30))
def test_windows_are_those_of_the_plain_rule(count, length, stride, more):
    stride, longest = min(stride, length), length + more
    found = list(cut_windows(blank(count), Windowing(longest, length, stride)))
    numbers = [[frame.number for frame in window] for window, _ in found]
    if count <= longest:
        assert numbers == [list(range(count))]
        assert not found[0][1]
        return
    assert all(is_window for _, is_window in found)
    assert numbers == windows_by_hand(count, length, stride)
    assert {n for window in numbers for n in window} == set(range(count))


def test_whole_takes_everything_and_nothing_gives_nothing():
    ((window, is_window),) = cut_windows(blank(500), Windowing(None, 8, 4))
    assert (len(window), is_window) == (500, False)
    for longest in (None, 8):
        assert list(cut_windows(blank(0), Windowing(longest, 8, 4))) == []


class Counting(torch.nn.Module):
    """A network that counts nothing but lets its input go."""

    def forward(self, clip_NCTHW):
        from mtut_bench.contract.networks import NetworkOutput

        return NetworkOutput(clip_NCTHW.mean(dim=(3, 4)), clip_NCTHW)


def test_a_long_recording_never_has_more_than_a_few_frames_in_memory(tiny_recipe):
    alive, peak, made = 0, 0, 0

    def gone():
        nonlocal alive
        alive -= 1

    def endless():
        nonlocal alive, peak, made
        for number in range(5000):
            frame = np.zeros((12, 16, 3), np.uint8)
            weakref.finalize(frame, gone)
            alive, made = alive + 1, made + 1
            peak = max(peak, alive)
            yield Frame(number, number / 30, frame)
            del frame

    gc.collect()
    predictor = Predictor(Counting().eval(), "rgb", tiny_recipe, 30.0, CPU)
    windowing = Windowing(longest=24, length=8, stride=4)
    count = sum(1 for _ in predictor.predict(endless(), windowing))
    assert made == 5000
    assert count == (5000 - 8) // 4 + 1
    assert peak <= 24 + 2  # the clip that it might have been, and the frame that is being made


# The timeline


def test_neighbouring_windows_of_one_class_are_one_segment():
    found = list(
        merge_predictions(
            [
                prediction(0, 0, 0.5),
                prediction(0, 4, 0.7),
                prediction(2, 8, 0.9),
                prediction(0, 12, 0.8),
            ]
        )
    )
    assert [(s.start_s, s.end_s, s.label, s.num_windows) for s in found] == [
        (0.0, 12.0, 0, 2),
        (8.0, 16.0, 2, 1),
        (12.0, 20.0, 0, 1),
    ]
    assert [s.probability for s in found] == pytest.approx([0.6, 0.9, 0.8])
    assert list(merge_predictions([])) == []


def test_equal_probabilities_rank_in_the_order_of_classes():
    scores = np.array([0.2, 0.4, 0.4], np.float32)
    assert prediction(0, 0)._replace(probabilities_K=scores).ranking() == [1, 2, 0]


def test_times_are_those_of_the_first_and_the_end_of_the_last_frame(tiny_recipe):
    predictor = Predictor(Counting().eval(), "rgb", tiny_recipe, 30.0, CPU)
    frames = (Frame(n, n / 30, np.zeros((12, 16, 3), np.uint8)) for n in range(50, 130))
    (found,) = predictor.predict(frames, Windowing(80, 8, 4))
    assert (found.first, found.stop, found.num_frames) == (50, 130, 80)
    assert (found.start_s, found.end_s) == pytest.approx((50 / 30, 130 / 30))
