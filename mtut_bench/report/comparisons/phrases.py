"""Numbers of a comparison as its sentences, verdict and table print them."""

import numpy as np

from mtut_bench.progress import counted
from mtut_bench.report.tables.table import Number
from mtut_bench.statistics.paired import LEVEL, ComparisonRow

__all__ = ["count_digits", "interval", "p_number", "p_value", "points", "units", "whose_clips"]


def points(share: float) -> Number:
    """Return a difference of shares in percentage points, with its sign: '+1.3'."""
    value = round(100.0 * share, 1) + 0.0
    return Number(value, 1, "+" if value else "")


def interval(row: ComparisonRow) -> Number:
    """Return the shown interval of a difference in points: '[-4.0, 6.6]'."""
    low, high = (round(100.0 * end, 1) + 0.0 for end in (row["ci_low"], row["ci_high"]))
    return Number(None, interval=(low, high))


def units(row: ComparisonRow) -> str:
    """Return whom intervals and tests take as independent: '1 person', '8 folds'."""
    return counted(row["num_units"], row["unit"])


def whose_clips(row: ComparisonRow) -> str:
    """Return whose clips a test over clips speaks of."""
    who = f"this {row['unit']}" if row["num_units"] == 1 else f"these {units(row)}"
    return f"clips of {who} alone"


def p_number(value: float) -> Number:
    """Return a p: '0.016', '< 0.001'; rounding never carries it over its level, nor onto it."""
    if value < 0.001:
        return Number(0.001, 3, below=True)
    rounded = (float(f"{value:.{digits}g}") for digits in range(2, 18))
    side = np.sign(value - LEVEL)
    shown = next(near for near in rounded if np.sign(near - LEVEL) == side)
    return Number(shown, next(digits for digits in range(20) if round(shown, digits) == shown))


def p_value(value: float) -> str:
    """Return a p in a sentence: 'p = 0.016', 'p < 0.001'."""
    number = p_number(value)
    return f"p {number}" if number.below else f"p = {number}"


def count_digits(row: ComparisonRow) -> int:
    """Return the digits of clips counted: a mean of counts has one after the point."""
    return 1 if row["mean_of"] or len(row["seeds"]) > 1 else 0
