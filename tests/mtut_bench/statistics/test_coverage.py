"""How often the intervals hold the truth: as their docstrings say.

Persons have an accuracy of 75 +- 8 % (standard deviation) and 110 clips each, one seed. With 1,000
repetitions a share is good to 1.4 points at 95 %, and the limits below leave twice that.
"""

import numpy as np
import pytest

from mtut_bench.contract.metrics import wilson_interval
from mtut_bench.statistics.tests import bonett_price_interval, bootstrap_over_persons_and_seeds

REPETITIONS, CLIPS, MEAN, SPREAD = 1_000, 110, 0.75, 0.08


def holds(interval, truth):
    return interval[0] <= truth <= interval[1]


def coverage(num_persons):
    """Return the shares of: the wider of both, the plain percentile interval, Wilson's alone."""
    rng = np.random.default_rng(num_persons)
    hits = np.zeros(3)
    for repetition in range(REPETITIONS):
        # Clipping at 8 and 98 % of a distribution this narrow moves the mean by under 0.1 point.
        shares = np.clip(rng.normal(MEAN, SPREAD, num_persons), 0.08, 0.98)
        correct = rng.binomial(CLIPS, shares)
        bootstrap = bootstrap_over_persons_and_seeds(
            correct[None],
            np.full(num_persons, CLIPS),
            average="persons",
            resamples=2_000,
            seed=repetition,
        )
        drawn = rng.integers(0, num_persons, (2_000, num_persons))
        plain = np.quantile((correct / CLIPS)[drawn].mean(axis=1), [0.025, 0.975])
        wilson = wilson_interval(int(correct.sum()), num_persons * CLIPS)
        wider = max(bootstrap, wilson, key=np.ptp)
        hits += [holds(interval, MEAN) for interval in (wider, plain, wilson)]
    return hits / REPETITIONS


@pytest.mark.parametrize(
    ("num_persons", "wider", "plain", "wilson"),
    [(2, 0.674, 0.483, 0.604), (4, 0.882, 0.802, 0.640), (8, 0.941, 0.876, 0.623)],
)
def test_interval_of_a_cell_covers_what_is_said(num_persons, wider, plain, wilson):
    assert coverage(num_persons) == pytest.approx([wider, plain, wilson], abs=0.03)


@pytest.mark.parametrize("totals", [[110] * 8, [500] + [20] * 7])
def test_interval_of_a_difference_covers_95_percent(totals):
    rng, hits = np.random.default_rng(3), 0
    only_a, only_b = 0.12, 0.07
    for _ in range(REPETITIONS):
        counts = np.array(
            [rng.multinomial(n, [only_a, only_b, 1 - only_a - only_b]) for n in totals]
        )
        interval = bonett_price_interval(counts[:, 0], counts[:, 1], np.array(totals))
        hits += holds(interval, only_a - only_b)
    assert 0.93 <= hits / REPETITIONS <= 0.97
