"""How well networks fit their training clips, and what to warn of."""

from collections.abc import Mapping
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from mtut_bench.contract.metrics import accuracy

__all__ = [
    "LARGEST_DROP",
    "LARGEST_RISE_NATS",
    "Fit",
    "fit_in_training_mode",
    "fit_of",
    "objections",
]

LARGEST_DROP = 0.1
"""Of the accuracy, from training mode to evaluation mode; without random crops and dropout the
latter should be at least as good."""

LARGEST_RISE_NATS = 1.0
"""Of the cross-entropy, likewise: the right class is e times less probable."""


class Fit(TypedDict, total=False):
    """Of one network on training clips; ``num_...`` in evaluation mode only.

    ``accuracy``: in [0, 1]. ``cross_entropy``: mean, nats. ``num_named``: classes that are
    predicted for at least one clip. ``num_clips``: that were scored.
    """

    accuracy: float
    cross_entropy: float
    num_named: int
    num_clips: int


def fit_of(logits_NK: NDArray[np.float32], labels_N: NDArray[np.int64]) -> Fit:
    """Return the fit of a network in evaluation mode, from logits (N, K) and labels (N,)."""
    wide_NK = log_softmax(logits_NK.astype(np.float64), axis=1)
    return {
        "accuracy": accuracy(logits_NK, labels_N),
        "cross_entropy": float(-wide_NK[np.arange(len(labels_N)), labels_N].mean()),
        "num_named": len(np.unique(logits_NK.argmax(axis=1))),
        "num_clips": len(labels_N),
    }


def fit_in_training_mode(entry: Mapping[str, float]) -> Fit:
    """Return the fit of the last epoch's batches, before each update, from its log entry."""
    return Fit(accuracy=float(entry["accuracy"]), cross_entropy=float(entry["cross_entropy"]))


def objections(training: Fit, evaluation: Fit, num_classes: int) -> list[str]:
    """Return what to warn of in the network that is tested.

    Args:
        training: its fit in training mode.
        evaluation: its fit in evaluation mode, with the statistics of the test.
        num_classes: classes among the scored clips.
    """
    found = []
    if evaluation["num_named"] == 1 and num_classes > 1:
        found.append("evaluation mode predicts one class for all training clips")
    drop = training.get("accuracy", 0.0) - evaluation["accuracy"]
    rise = evaluation["cross_entropy"] - training["cross_entropy"]
    if drop > LARGEST_DROP or rise > LARGEST_RISE_NATS:
        found.append(
            f"evaluation mode: accuracy {evaluation['accuracy']:.0%} on training clips,"
            f" cross-entropy {evaluation['cross_entropy']:.2f}; training mode"
            f" {training.get('accuracy', 0.0):.0%}, {training['cross_entropy']:.2f}"
        )
    return found
