"""The numbers of the figures of accuracy: pure functions of predictions, nothing is drawn.

Seeds predict the same clips: counts are means over seeds, never pooled as if clips were new.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mtut_bench.contract import metrics, predictions
from mtut_bench.contract.folds import natural_order
from mtut_bench.runs.finished import FinishedRun
from mtut_bench.statistics.sides import Configuration

__all__ = [
    "Share",
    "class_shares",
    "length_edges",
    "length_shares",
    "mean_confusion",
    "person_shares",
    "row_shares",
]

Key = TypeVar("Key", int, str)

_MAX_BINS = 4
_MIN_CLIPS_PER_BIN = 8


@dataclass(frozen=True)
class Share:
    """Clips that are right, of those there are.

    Attributes:
        correct: mean over seeds.
        total: clips.
        value: correct over total, in [0, 1].
        low: lower end of the Wilson 95 percent interval; correct is rounded to whole clips for it.
        high: upper end.
    """

    correct: float
    total: int
    value: float
    low: float
    high: float


def mean_confusion(config: Configuration, modality: str) -> NDArray[np.float64]:
    """Return the confusion matrix of one modality's networks over all folds, mean over seeds.

    Returns:
        Number of clips by true class (row) and predicted class (column), float64, (K, K).
    """
    counts = [
        metrics.confusion(predictions.fuse(run.scores, [modality]), run.scores.labels_N)
        for run in config.runs
    ]
    return np.stack(counts).sum(axis=0).astype(np.float64) / len(config.seeds)


def row_shares(counts_KK: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a confusion matrix as shares of each true class (row); NaN for one without clips."""
    totals_K1 = counts_KK.sum(axis=1, keepdims=True)
    result_KK = np.full_like(counts_KK, np.nan)
    np.divide(counts_KK, totals_K1, out=result_KK, where=totals_K1 > 0)
    return result_KK


def class_shares(config: Configuration, modality: str) -> dict[int, Share]:
    """Return the accuracy on the clips of each class that has clips."""
    return _shares(config, modality, lambda run: run.scores.labels_N.tolist())


def person_shares(config: Configuration, modality: str) -> dict[str, Share]:
    """Return the accuracy on the clips of each person, numbers first and by value."""
    found = _shares(config, modality, lambda run: run.subjects)
    return {name: found[name] for name in sorted(found, key=natural_order)}


def length_edges(num_frames: Sequence[int]) -> tuple[int, ...]:
    """Return the longest length of each bin; bins hold about as many clips each.

    At most four, and of eight clips each where there are enough; clips of one length are never
    parted. The bins depend on lengths alone.

    Args:
        num_frames: length of each test clip, once; at least one.
    """
    num_bins = max(2, min(_MAX_BINS, len(num_frames) // _MIN_CLIPS_PER_BIN))
    parts = np.arange(1, num_bins + 1) / num_bins
    edges = np.quantile(np.asarray(num_frames), parts, method="inverted_cdf")
    return tuple(sorted({int(edge) for edge in edges}))


def length_shares(config: Configuration, modality: str, edges: Sequence[int]) -> dict[int, Share]:
    """Return the accuracy on the clips of each bin of :func:`length_edges` that has clips."""
    # The first bin whose longest length is not below the clip's.
    return _shares(config, modality, lambda run: np.searchsorted(edges, run.num_frames).tolist())


def _shares(
    config: Configuration, modality: str, keys_of: Callable[[FinishedRun], Sequence[Key]]
) -> dict[Key, Share]:
    """Return the accuracy on the clips of each key."""
    correct: dict[Key, int] = defaultdict(int)
    total: dict[Key, int] = defaultdict(int)
    for run in config.runs:
        predicted_N = predictions.fuse(run.scores, [modality]).argmax(axis=1)
        for key, right in zip(keys_of(run), predicted_N == run.scores.labels_N, strict=True):
            correct[key] += int(right)
            total[key] += 1
    seeds = len(config.seeds)
    return {key: _share(correct[key] / seeds, total[key] // seeds) for key in sorted(total)}


def _share(correct: float, total: int) -> Share:
    low, high = metrics.wilson_interval(round(correct), total)
    return Share(correct, total, correct / total, low, high)
