import math

import numpy as np
import pytest

from mtut_bench.contract import metrics

# Predicted: 0, 1, 2, 2, 0 (a tie of 0 and 1); right: the first, second and third.
SCORES = np.array([[3, 1, 0], [0, 2, 1], [0, 1, 5], [0, 0, 1], [4, 4, 0]], dtype=np.float32)
LABELS = np.array([0, 1, 2, 1, 1])


def test_accuracy_by_hand():
    assert metrics.num_correct(SCORES, LABELS) == 3
    assert metrics.accuracy(SCORES, LABELS) == 0.6


def test_ties_go_to_the_first_class():
    tied = np.ones((3, 4), dtype=np.float32)
    assert metrics.accuracy(tied, np.array([0, 0, 3])) == pytest.approx(2 / 3)


def test_confusion_has_true_classes_in_rows():
    expected = [[1, 0, 0], [1, 1, 1], [0, 0, 1]]
    np.testing.assert_array_equal(metrics.confusion(SCORES, LABELS), expected)


def test_per_class_accuracy_is_nan_without_clips():
    result = metrics.per_class_accuracy(SCORES[:2], LABELS[:2])
    np.testing.assert_array_equal(result, [1.0, 1.0, np.nan])
    np.testing.assert_allclose(metrics.per_class_accuracy(SCORES, LABELS), [1, 1 / 3, 1])


def test_the_accuracy_of_no_clips_is_an_error():
    with pytest.raises(ValueError, match="no clips"):
        metrics.accuracy(SCORES[:0], LABELS[:0])


def test_labels_must_fit_scores():
    with pytest.raises(ValueError, match="do not fit"):
        metrics.num_correct(SCORES, LABELS[:2])


@pytest.mark.parametrize(("correct", "total"), [(0, 11), (3, 5), (482, 482), (392, 482)])
def test_wilson_interval_is_wilsons_formula(correct, total):
    z, p = 1.959963984540054, correct / total
    centre = (p + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(p * (1 - p) / total + z * z / (4 * total**2))
    expected = (max(0.0, centre - half), min(1.0, centre + half))
    assert metrics.wilson_interval(correct, total) == pytest.approx(expected, abs=1e-12)


def test_a_higher_level_gives_a_wider_interval():
    low, high = metrics.wilson_interval(3, 5)
    lower, higher = metrics.wilson_interval(3, 5, level=0.99)
    assert lower < low < high < higher


def test_wilson_interval_of_a_mean_over_seeds_needs_no_whole_numbers():
    low, high = metrics.wilson_interval(2.5, 7.5)
    below, above = metrics.wilson_interval(2, 6), metrics.wilson_interval(3, 9)
    assert below[0] < low < above[0] < 1 / 3 < above[1] < high < below[1]
    assert metrics.wilson_interval(0, 0.5)[0] == 0.0
    assert metrics.wilson_interval(0.5, 0.5)[1] == 1.0
    with pytest.raises(ValueError, match="3 of 2"):
        metrics.wilson_interval(3, 2)
