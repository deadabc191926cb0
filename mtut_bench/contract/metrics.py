"""Numbers from scores and labels: pure functions of arrays.

``scores_NK`` are finite floats (N, K), a score of each class; ``labels_N`` are true classes, int64
(N,), 0 <= label < K. The class of the highest score is predicted, the first one of equal scores.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

__all__ = ["accuracy", "confusion", "num_correct", "per_class_accuracy", "wilson_interval"]

Scores = NDArray[np.floating]
Labels = NDArray[np.int64]


def num_correct(scores_NK: Scores, labels_N: Labels) -> int:
    """Return the number of clips whose class is predicted."""
    if scores_NK.ndim != 2 or labels_N.shape != scores_NK.shape[:1]:
        raise ValueError(f"scores {scores_NK.shape} do not fit labels {labels_N.shape}")
    return int(np.count_nonzero(scores_NK.argmax(axis=1) == labels_N))


def accuracy(scores_NK: Scores, labels_N: Labels) -> float:
    """Return the share of clips whose class is predicted, in [0, 1]; N > 0."""
    if labels_N.size == 0:
        raise ValueError("the accuracy of no clips is undefined")
    return num_correct(scores_NK, labels_N) / labels_N.size


def confusion(scores_NK: Scores, labels_N: Labels) -> NDArray[np.int64]:
    """Return the number of clips by true class (row) and predicted class (column), int64 (K, K)."""
    num_classes = scores_NK.shape[1]
    cells_N = labels_N * num_classes + scores_NK.argmax(axis=1)
    counts = np.bincount(cells_N, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes).astype(np.int64)


def per_class_accuracy(scores_NK: Scores, labels_N: Labels) -> NDArray[np.float64]:
    """Return the accuracy on the clips of each class, float64 (K,); NaN for one without clips."""
    counts_KK = confusion(scores_NK, labels_N)
    totals_K = counts_KK.sum(axis=1)
    result_K = np.full(len(totals_K), np.nan)
    np.divide(counts_KK.diagonal(), totals_K, out=result_K, where=totals_K > 0)
    return result_K


def wilson_interval(correct: float, total: float, level: float = 0.95) -> tuple[float, float]:
    """Return the Wilson score interval of a share, without continuity correction.

    Args:
        correct: successes, 0 <= correct <= total; a mean over seeds need not be a whole number.
        total: trials, > 0; an effective number need not be a whole number either.
        level: confidence level in (0, 1).

    Returns:
        Lower and upper end, each in [0, 1].

    Source: Wilson, J. Am. Stat. Assoc. 22 (1927).
    """
    if not 0.0 <= correct <= total or total <= 0.0:
        raise ValueError(f"{correct} of {total} is not a valid fraction")
    z, share = float(norm.ppf((1.0 + level) / 2.0)), correct / total
    centre = share + z * z / (2.0 * total)
    margin = z * (share * (1.0 - share) / total + z * z / (4.0 * total * total)) ** 0.5
    scale = 1.0 + z * z / total
    # At 0 and at all the ends are 0 and 1 but for rounding.
    return (
        0.0 if correct == 0 else max(0.0, (centre - margin) / scale),
        1.0 if correct == total else min(1.0, (centre + margin) / scale),
    )
