"""Oracles: cases counted by hand, plain enumeration in fractions, and SciPy's own tests."""

from fractions import Fraction
from itertools import product
from statistics import NormalDist

import numpy as np
import pytest
from scipy.stats import binomtest, wilcoxon

from mtut_bench.statistics.tests import (
    bonett_price_interval,
    bootstrap_over_persons_and_seeds,
    holm,
    mcnemar,
    sign_flip_test,
    wilcoxon_test,
)


def whole(*numbers):
    return np.array(numbers, dtype=np.int64)


def all_signs(differences):
    """The exact two-sided p, in fractions, by listing every pattern of signs."""
    values = [Fraction(d).limit_denominator(10**6) for d in differences]
    observed = abs(sum(values))
    patterns = list(product((1, -1), repeat=len(values)))
    extreme = sum(
        abs(sum(s * v for s, v in zip(signs, values, strict=True))) >= observed
        for signs in patterns
    )
    return extreme / len(patterns)


def slow_bootstrap(correct_SP, total_P, average, resamples=8000):
    """Expanded percentile interval of seven persons, by plain loops with another generator."""
    rng = np.random.default_rng(7)
    num_seeds, num_persons = correct_SP.shape
    means = []
    for _ in range(resamples):
        seeds = rng.integers(0, num_seeds, num_seeds)
        persons = rng.integers(0, num_persons, num_persons)
        by_seed = []
        for s in seeds:
            right = [float(correct_SP[s, p]) for p in persons]
            clips = [float(total_P[p]) for p in persons]
            if average == "persons":
                by_seed.append(np.mean([r / c for r, c in zip(right, clips, strict=True)]))
            else:
                by_seed.append(sum(right) / sum(clips))
        means.append(np.mean(by_seed))
    # Student's t of six degrees of freedom at 97.5 %, from a printed table: 2.447.
    tail = NormalDist().cdf(-2.447 * (7 / 6) ** 0.5)
    return np.quantile(means, [tail, 1 - tail])


def test_two_persons_give_the_interval_of_their_own_accuracies():
    # Resampled means are 0.2 (1 in 4), 0.5 (2 in 4) and 0.8 (1 in 4).
    counts = whole(2, 8)[None]
    for average in ("persons", "clips"):
        found = bootstrap_over_persons_and_seeds(counts, whole(10, 10), average=average)
        assert found == pytest.approx((0.2, 0.8))


@pytest.mark.parametrize("average", ["persons", "clips"])
def test_the_bootstrap_agrees_with_plain_loops(average):
    rng = np.random.default_rng(3)
    total = rng.integers(5, 60, 7)
    correct = rng.binomial(total, 0.6, (3, 7))
    fast = bootstrap_over_persons_and_seeds(correct, total, average=average)
    slow = slow_bootstrap(correct, total, average)
    # 0.4 % of 8,000 draws lie beyond an end, which is good to 0.01; 2.5 % would be 0.035 away.
    assert fast == pytest.approx(slow, abs=0.015)


def test_one_seed_or_one_person_is_not_resampled():
    total = whole(10, 10, 10)
    alike = np.array([[1, 5, 9]] * 4)
    # All three drawn alike has a chance of 1 in 27, more than the 2.5 % beyond an end.
    one_seed = bootstrap_over_persons_and_seeds(alike[:1], total, average="persons")
    assert one_seed == pytest.approx((0.1, 0.9))
    seeds_only = bootstrap_over_persons_and_seeds(
        np.array([[2], [8]]), whole(10), average="persons"
    )
    assert seeds_only == pytest.approx((0.2, 0.8))
    with pytest.raises(ValueError, match="nothing to resample"):
        bootstrap_over_persons_and_seeds(np.array([[2]]), whole(10), average="clips")
    with pytest.raises(ValueError, match="do not fit"):
        bootstrap_over_persons_and_seeds(alike, whole(10, 0, 10), average="clips")


def test_seeds_that_agree_add_nothing_and_seeds_that_differ_widen():
    total = whole(*[20] * 8)
    one = whole(10, 12, 8, 15, 9, 11, 14, 13)[None]
    same = bootstrap_over_persons_and_seeds(np.repeat(one, 5, 0), total, average="persons")
    alone = bootstrap_over_persons_and_seeds(one, total, average="persons")
    assert same == pytest.approx(alone, abs=0.01)
    apart = np.concatenate([one - 6, one, one + 5])
    wide = bootstrap_over_persons_and_seeds(apart, total, average="persons")
    assert wide[1] - wide[0] > 1.5 * (alone[1] - alone[0])


def test_the_bootstrap_repeats_and_its_draws_are_frozen():
    counts, total = np.arange(20)[None], whole(*[20] * 20)
    kinds = {"average": "clips", "resamples": 300}
    first = bootstrap_over_persons_and_seeds(counts, total, **kinds)
    assert first == bootstrap_over_persons_and_seeds(counts, total, **kinds)
    assert first != bootstrap_over_persons_and_seeds(counts, total, seed=1, **kinds)
    # Committed tables are regenerated elsewhere: other numbers here would break them.
    assert first == pytest.approx((0.3343709203654601, 0.6062581592690796), rel=1e-9)


def test_what_is_hard_for_both_cancels_in_a_paired_difference():
    b = whole(1, 5, 9, 3, 7, 2)[None]
    found = bootstrap_over_persons_and_seeds((b + 1) - b, whole(*[10] * 6), average="persons")
    assert found == pytest.approx((0.1, 0.1))


def test_bonett_price_by_hand():
    # 8 and 2 of 40: 9/42 and 3/42, difference 1/7; margin 1.959964 * sqrt((12/42 - 1/49) / 42).
    low, high = bonett_price_interval(*whole([8], [2], [40]))
    margin = 1.959963984540054 * ((12 / 42 - 1 / 49) / 42) ** 0.5
    assert (low, high) == pytest.approx((1 / 7 - margin, 1 / 7 + margin))
    assert bonett_price_interval(*whole([0], [0], [10]))[1] > 0.0
    assert bonett_price_interval(*whole([2], [8], [40])) == pytest.approx((-high, -low))


def uneven():
    """Eight folds: 125 to 80 of 500 clips in one, 5 to 6 of 20 in each of the others."""
    return whole(125, *[5] * 7), whole(80, *[6] * 7), whole(500, *[20] * 7)


def test_an_interval_over_uneven_folds_is_of_their_mean_by_hand():
    # 1/8 clip more for a and for b in each fold: leads 45 / 500.25 and -1 / 20.25.
    large = (205.25 / 500.25 - (45 / 500.25) ** 2) / 500.25
    small = (11.25 / 20.25 - (1 / 20.25) ** 2) / 20.25
    lead = (45 / 500.25 - 7 / 20.25) / 8
    margin = 1.959963984540054 * ((large + 7 * small) / 64) ** 0.5
    low, high = bonett_price_interval(*uneven())
    assert (low, high) == pytest.approx((lead - margin, lead + margin))
    # The mean of folds is -3.2 points; the pooled clips lead by 5.9: another quantity.
    assert (low, high) == pytest.approx((-0.1393, 0.0754), abs=1e-4)
    assert low < (45 / 500 - 7 / 20) / 8 < high


def test_folds_that_are_alike_give_the_interval_of_all_their_clips():
    expected = bonett_price_interval(*whole([16], [4], [80]))
    assert bonett_price_interval(*whole([4] * 4, [1] * 4, [20] * 4)) == pytest.approx(expected)


def test_an_interval_of_clips_contains_the_difference_that_it_is_of():
    rng = np.random.default_rng(4)
    for count in (1, 2, 3, 8, 30):
        for total_F in (np.full(count, 1), np.full(count, 20), rng.integers(1, 300, count)):
            none_F = np.zeros(count, dtype=np.int64)
            some_F = rng.integers(0, total_F + 1)
            for a_F, b_F in ((total_F, none_F), (some_F, total_F - some_F), (none_F, none_F)):
                low, high = bonett_price_interval(a_F, b_F, total_F)
                assert low <= ((a_F - b_F) / total_F).mean() <= high


def test_mcnemar_by_hand():
    # Six clips only a has right, one only b: 2 * (1 + 7) / 2**7 = 0.125.
    a = np.array([True] * 6 + [False] + [True, False] * 3)
    b = np.array([False] * 6 + [True] + [True, False] * 3)
    assert mcnemar(a, b) == mcnemar(b, a) == pytest.approx(0.125)
    assert mcnemar(a, a) == 1.0


@pytest.mark.parametrize("only", [(0, 0), (5, 0), (61, 44), (300, 201), (7, 7)])
def test_flipping_clips_of_one_seed_is_exact_mcnemar(only):
    differences = whole(*[1] * only[0], *[-1] * only[1], *[0] * 30)
    expected = binomtest(only[0], sum(only)).pvalue if sum(only) else 1.0
    assert sign_flip_test(differences).p == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    "differences", [(3, 1, -2, 2, 0, 1), (1, 2, 3, 4, 5, 6), (-1, -1, 4), (2, -2)]
)
def test_flipping_signs_is_all_patterns_counted(differences):
    expected = all_signs(differences)
    assert sign_flip_test(whole(*differences)).p == pytest.approx(expected)
    shares = np.array(differences) / 7.0
    assert sign_flip_test(shares).p == pytest.approx(expected)


def test_ties_of_floats_stay_ties():
    # 0.1 + 0.2 - 0.3 is not zero in floats; on paper every pattern is as extreme as this one.
    assert sign_flip_test(np.array([0.1, 0.2, -0.3])).p == 1.0


def test_many_persons_are_drawn_and_never_give_zero():
    rng = np.random.default_rng(0)
    strong = rng.uniform(0.1, 0.2, 40)
    assert sign_flip_test(strong, resamples=999) == (pytest.approx(1 / 1000), False)
    weak = rng.integers(-9, 10, 40)
    drawn = sign_flip_test(weak / 10.0)
    assert not drawn.exact
    # The standard error of 99,999 draws is at most 0.0016.
    assert drawn.p == pytest.approx(sign_flip_test(weak).p, abs=0.007)


def test_six_units_are_the_fewest_that_can_be_significant():
    assert sign_flip_test(np.array([0.1] * 5)).p == pytest.approx(1 / 16)
    assert sign_flip_test(np.array([0.1] * 6)).p == pytest.approx(1 / 32)


def test_wilcoxon_is_scipys_without_ties_and_zeros():
    for seed in range(5):
        differences = np.random.default_rng(seed).normal(0.5, 1.0, 8)
        expected = wilcoxon(differences, method="exact").pvalue
        assert wilcoxon_test(differences) == pytest.approx(expected)


def test_wilcoxon_drops_zeros_and_shares_ranks():
    # Without the zero: sizes 1 1 2 3 4 have ranks 1.5 1.5 3 4 5, the negative one 1.5 of 15.
    found = wilcoxon_test(np.array([0.1, -0.1, 0.2, 0.3, 0.4, 0.0]))
    assert found == pytest.approx(all_signs([1.5, -1.5, 3, 4, 5]))
    # 0.3 - 0.2 and 0.1 differ in the last digit of a float: still ties.
    nearly = np.array([0.3 - 0.2, -0.1, 0.2, 0.3, 0.4, 0.0])
    assert wilcoxon_test(nearly) == found


def test_wilcoxon_has_no_p_of_few_or_of_zeros():
    assert wilcoxon_test(np.array([0.1] * 5)) is None
    assert wilcoxon_test(np.array([0.0] * 8)) is None


def test_holm_by_hand():
    # Sorted: 0.01 * 4, 0.02 * 3, 0.03 * 2 (raised to 0.06 before it), 0.5 * 1.
    assert holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx((0.06, 0.04, 0.5, 0.06))
    assert holm([0.7, 0.6]) == (1.0, 1.0)
    assert holm([]) == ()
