import numpy as np
import pytest

from mtut_bench.training.fit import fit_of, objections


def test_fit_by_hand():
    # Softmax of (log 3, 0) is (3/4, 1/4).
    odds_NK = np.array([[3, 1], [3, 1], [1, 3], [3, 1]], np.float32)
    logits_NK = np.log(odds_NK)
    found = fit_of(logits_NK, np.array([0, 0, 1, 1]))
    assert found["accuracy"] == 0.75
    assert found["cross_entropy"] == pytest.approx(-(3 * np.log(0.75) + np.log(0.25)) / 4)
    assert (found["num_named"], found["num_clips"]) == (2, 4)


def test_huge_logits_have_a_finite_cross_entropy():
    logits_NK = np.array([[1e30, 0.0], [0.0, 1e4]], np.float32)
    assert fit_of(logits_NK, np.array([1, 1]))["cross_entropy"] == pytest.approx(5e29)


def good(**changes):
    return {"accuracy": 0.9, "cross_entropy": 0.3, "num_named": 3} | changes


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, []),
        ({"accuracy": 0.801}, []),
        ({"accuracy": 0.79}, ["accuracy 79% on training clips"]),
        ({"cross_entropy": 1.29}, []),
        ({"cross_entropy": 33.0}, ["cross-entropy 33.00; training mode 90%, 0.30"]),
        ({"num_named": 1}, ["predicts one class"]),
        ({"num_named": 1, "accuracy": 0.3}, ["predicts one class", "30% on training clips"]),
        # Better than in training mode, where clips are cropped and features dropped.
        ({"accuracy": 1.0, "cross_entropy": 0.0}, []),
    ],
)
def test_what_is_objected_to(changes, words):
    found = objections({"accuracy": 0.9, "cross_entropy": 0.3}, good(**changes), 3)
    assert len(found) == len(words)
    assert all(word in text for word, text in zip(words, found, strict=True))


def test_one_class_is_all_that_one_class_has():
    assert objections({"accuracy": 0.9, "cross_entropy": 0.3}, good(num_named=1), 1) == []


def test_rows_of_an_earlier_release_have_no_accuracy_in_training_mode():
    assert objections({"cross_entropy": 0.3}, good(accuracy=0.1), 3) == []
