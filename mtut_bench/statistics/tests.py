"""Intervals and paired tests on predictions: pure functions of counts.

Axis letters (suffixes of array names): S seed, P person, F fold, N clip, R resample. Wilson's
interval of one share is in ``metrics``.

Clips of one person are dependent, and seeds predict the same clips. So intervals resample persons
and seeds, never clips pooled over seeds; tests take differences that are already means (or sums)
over seeds, one for each person or one for each clip. A test over persons generalises to other
persons and is primary where it can be significant at all (:data:`MIN_UNITS`); a test over clips
generalises to other clips of the same persons.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, binomtest, norm, rankdata
from scipy.stats import t as student

__all__ = [
    "MIN_UNITS",
    "Average",
    "Counts",
    "SignTest",
    "bonett_price_interval",
    "bootstrap_over_persons_and_seeds",
    "holm",
    "mcnemar",
    "sign_flip_test",
    "wilcoxon_test",
]

Average = Literal["persons", "clips"]
Counts = NDArray[np.int64]

MIN_UNITS = 6
"""Fewest units whose signs can give a two-sided p of 0.05 or less: 2 / 2**6 = 0.031."""

_LEVEL = 0.95
_MAX_ENUMERATED = 20
_DRAWS_AT_ONCE = 1_000


def bootstrap_over_persons_and_seeds(
    correct_SP: Counts,
    total_P: Counts,
    *,
    average: Average,
    resamples: int = 10_000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the expanded percentile bootstrap interval (95 %) of an accuracy's mean over seeds.

    Persons and seeds are crossed (every seed predicts every person), so each resample draws seeds
    and, independently, persons, with replacement, and takes every drawn seed on every drawn person.
    The plain percentile interval is too short for few persons (with eight it covers 88 %, see
    tests/mtut_bench/statistics/test_coverage.py), so its level is expanded as Student's t would ask
    for. With two or three persons it is still too short, at most from the lowest to the highest of
    them: callers compare it with an interval of the clips.

    Args:
        correct_SP: clips right, of each seed and person; for a paired interval, those of a less
            those of b on the same persons and seeds.
        total_P: clips of each person, all positive.
        average: 'persons': every person counts alike (the mean over folds that leave one person
            out); 'clips': every clip counts alike.
        resamples: how many, > 0.
        seed: of the draws; equal arguments give equal intervals, whatever the release of numpy.

    Returns:
        Lower and upper end, shares.

    Raises:
        ValueError: shapes do not fit, a person without clips, or one seed and one person.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13; crossed
    factors: Owen, The pigeonhole bootstrap, Annals of Applied Statistics 1 (2007); expansion:
    Hesterberg, What Teachers Should Know About the Bootstrap, The American Statistician 69 (2015).
    """
    num_seeds, num_persons = correct_SP.shape
    if total_P.shape != (num_persons,) or (total_P <= 0).any():
        raise ValueError(f"counts {correct_SP.shape} do not fit totals {total_P}")
    if num_seeds * num_persons < 2:
        raise ValueError("nothing to resample with one seed and one person")
    bits = np.random.PCG64(seed)
    seeds_RS = _draws(bits, resamples, num_seeds)
    persons_RP = _draws(bits, resamples, num_persons)
    alike = average == "persons"
    values_SP = correct_SP / total_P if alike else correct_SP * 1.0
    sums_R = np.einsum("rs,sp,rp->r", seeds_RS, values_SP, persons_RP, optimize=True)
    means_R = sums_R / (num_seeds * (num_persons if alike else persons_RP @ total_P))
    tail = _expanded_tail(num_persons if num_persons > 1 else num_seeds)
    low, high = np.quantile(means_R, [tail, 1.0 - tail])
    return float(low), float(high)


def _expanded_tail(count: int) -> float:
    """Return the share of resamples beyond each end, for a mean of ``count`` units."""
    quantile = student.ppf((1.0 + _LEVEL) / 2.0, count - 1) * np.sqrt(count / (count - 1.0))
    return float(norm.cdf(-quantile))


def _draws(bits: np.random.PCG64, resamples: int, count: int) -> NDArray[np.float64]:
    """Return how often each of ``count`` units is drawn in each resample, float64, (R, count)."""
    if count == 1:
        return np.ones((resamples, 1))
    # Raw bits are promised to stay what they are over releases of numpy; its samplers are not.
    shares = (bits.random_raw(resamples * count) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    drawn = (shares * count).astype(np.int64).reshape(resamples, count)
    drawn += count * np.arange(resamples)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=resamples * count)
    return counts.reshape(resamples, count).astype(np.float64)


def bonett_price_interval(
    only_a_F: NDArray[np.floating], only_b_F: NDArray[np.floating], total_F: Counts
) -> tuple[float, float]:
    """Return the adjusted Wald interval (95 %) of a mean over folds of paired differences.

    For one fold it is Bonett and Price's. For F folds, each counted alike whatever its clips, each
    has its own variance, and the one clip that is added for a and for b is shared out, 1/F to each
    fold, so that folds that are alike give the interval of all their clips as one fold. It always
    contains the difference, and in a simulation of eight folds it covered 94 to 96 %
    (tests/mtut_bench/statistics/test_coverage.py).

    It treats clips as independent and never has zero width. Means over seeds of the two counts give
    an interval that is, if anything, too wide: a mean over seeds varies no more than one seed.

    Args:
        only_a_F: clips of each fold that only a has right, (F,).
        only_b_F: clips of each fold that only b has right, (F,).
        total_F: all clips of each fold, int64, (F,), > 0.

    Returns:
        Lower and upper end of share a minus share b, in [-1, 1].

    Source: Bonett and Price, Adjusted Wald confidence interval for a difference of binomial
    proportions based on paired data, J. Educ. Behav. Stat. 37 (2012), equation 3; several strata:
    Price and Bonett, An improved confidence interval for a linear function of binomial proportions,
    Comput. Stat. Data Anal. 45 (2004). Combining the two is our step.
    """
    num_folds = len(total_F)
    more, trials_F = 1.0 / num_folds, total_F + 2.0 / num_folds
    a_F, b_F = (only_a_F + more) / trials_F, (only_b_F + more) / trials_F
    lead_F = a_F - b_F
    variance = float(((a_F + b_F - lead_F**2) / trials_F).sum()) / num_folds**2
    lead, margin = float(lead_F.mean()), float(norm.ppf((1.0 + _LEVEL) / 2.0)) * variance**0.5
    return max(-1.0, lead - margin), min(1.0, lead + margin)


def mcnemar(right_a_N: NDArray[np.bool_], right_b_N: NDArray[np.bool_]) -> float:
    """Return the two-sided p of the exact McNemar test; 1 where no clip tells the two apart.

    Args:
        right_a_N: whether a has each clip right, bool, (N,); of one seed, never pooled over seeds.
        right_b_N: the same of b, for the same clips in the same order.

    Source: McNemar, Psychometrika 12 (1947), with the binomial distribution instead of chi squared.
    """
    only_a = int(np.count_nonzero(right_a_N & ~right_b_N))
    unlike = int(np.count_nonzero(right_a_N ^ right_b_N))
    return float(binomtest(only_a, unlike).pvalue) if unlike else 1.0


class SignTest(NamedTuple):
    """A two-sided test whose null hypothesis is that each difference might have the other sign.

    Attributes:
        p: 1 where all differences are zero.
        exact: all signs were counted; otherwise drawn.
    """

    p: float
    exact: bool = True


def sign_flip_test(
    differences_N: NDArray[np.integer] | NDArray[np.floating], *, resamples: int = 99_999
) -> SignTest:
    """Return the permutation test of paired differences: signs are flipped, the sum is compared.

    Exact for whole numbers (their sums are convolved) and for up to 20 nonzero differences (all
    sign patterns are listed); otherwise p = (b + 1) / (n + 1), where b of n random sign patterns
    are at least as extreme. On differences of -1, 0 and 1 it is the exact McNemar test. SciPy's
    ``permutation_test`` compares sums of floats exactly, and misses ties.

    Args:
        differences_N: of each unit: a person (primary where there are :data:`MIN_UNITS`) or a clip;
            means or sums over seeds, finite.
        resamples: random patterns where it is not exact; the same ones in every call.

    Source: Fisher, The Design of Experiments (1935), section 21; the rule for random patterns:
    Phipson and Smyth, Stat. Appl. Genet. Mol. Biol. 9 (2010).
    """
    nonzero_N = differences_N[differences_N != 0]
    if np.issubdtype(differences_N.dtype, np.integer):
        return SignTest(_whole_numbers(nonzero_N.astype(np.int64)))
    # Sums of floats in another order differ in the last digits; a tie must stay one.
    bound = abs(nonzero_N.sum()) - 1e-9 * np.abs(nonzero_N).sum()
    if len(nonzero_N) <= _MAX_ENUMERATED:
        sums_R = np.zeros(1)
        for difference in nonzero_N:
            sums_R = np.concatenate([sums_R + difference, sums_R - difference])
        return SignTest(float(np.mean(np.abs(sums_R) >= bound)))
    rng, extreme = np.random.default_rng(0), 0
    for start in range(0, resamples, _DRAWS_AT_ONCE):
        drawn = min(_DRAWS_AT_ONCE, resamples - start)
        signs_RN = 2.0 * rng.integers(0, 2, (drawn, len(nonzero_N))) - 1.0
        extreme += int(np.count_nonzero(np.abs(signs_RN @ nonzero_N) >= bound))
    return SignTest((extreme + 1) / (resamples + 1), exact=False)


def _whole_numbers(differences_N: Counts) -> float:
    """Return the exact two-sided p of nonzero whole differences."""
    sizes, counts = np.unique(np.abs(differences_N), return_counts=True)
    chances = np.ones(1)
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        # k plus signs among ``count`` make a sum of size * (2 k - count).
        one = np.zeros(2 * size * count + 1)
        one[:: 2 * size] = binom.pmf(np.arange(count + 1), count, 0.5)
        chances = np.convolve(chances, one)
    largest = len(chances) // 2
    sums = np.abs(np.arange(-largest, largest + 1))
    return min(1.0, float(chances[sums >= abs(int(differences_N.sum()))].sum()))


def wilcoxon_test(differences_F: NDArray[np.floating]) -> float | None:
    """Return p of the exact Wilcoxon signed-rank test of paired differences, one for each fold.

    Zeros are dropped and ties share the mean of their ranks (Wilcoxon's rules); p is exact for
    these ranks, of any number. SciPy's exact method is wrong with ties, and its enumeration of
    signs takes seconds for 12 folds and more than a minute for 16.

    Args:
        differences_F: float, (F,), finite.

    Returns:
        p; None with fewer than :data:`MIN_UNITS` differences, or where all are zero.

    Source: Wilcoxon, Biometrics Bulletin 1 (1945).
    """
    # Shares that are equal on paper differ in the last digit of a float: they are ties.
    rounded_F = np.round(differences_F, 12)
    nonzero_F = rounded_F[rounded_F != 0]
    if len(differences_F) < MIN_UNITS or nonzero_F.size == 0:
        return None
    doubled_ranks_F = np.rint(2.0 * rankdata(np.abs(nonzero_F))).astype(np.int64)
    return _whole_numbers(np.sign(nonzero_F).astype(np.int64) * doubled_ranks_F)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return the p values of a family of tests, corrected by Holm's step-down rule.

    Args:
        p_values: of all tests of the family, in [0, 1]; the order is kept.

    Returns:
        Corrected values; each may be compared with the level of the whole family.

    Source: Holm, Scandinavian Journal of Statistics 6 (1979).
    """
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, (len(p_values) - rank) * p_values[index])
        corrected[index] = min(1.0, largest)
    return tuple(corrected)
