"""Numbers of a comparison as its sentences, verdict and table print them."""

import numpy as np

from mtut_bench.progress import counted
from mtut_bench.statistics.paired import LEVEL, ComparisonRow

__all__ = ["count_form", "interval", "p_value", "points", "units", "whose_clips"]


def points(share: float) -> str:
    """Return a difference of shares in percentage points, with its sign: '+1.3'."""
    value = round(100.0 * share, 1)
    return f"{value:+.1f}" if value else "0.0"


def interval(row: ComparisonRow) -> str:
    """Return the shown interval of a difference in points: '[-4.0, 6.6]'."""
    ends = (round(100.0 * row["ci_low"], 1) + 0.0, round(100.0 * row["ci_high"], 1) + 0.0)
    return f"[{ends[0]:.1f}, {ends[1]:.1f}]"


def units(row: ComparisonRow) -> str:
    """Return whom intervals and tests take as independent: '1 person', '8 folds'."""
    return counted(row["num_units"], row["unit"])


def whose_clips(row: ComparisonRow) -> str:
    """Return whose clips a test over clips speaks of."""
    who = f"this {row['unit']}" if row["num_units"] == 1 else f"these {units(row)}"
    return f"clips of {who} alone"


def p_value(value: float, name: str = "p") -> str:
    """Return a p: 'p = 0.016', 'p < 0.001'.

    Args:
        value: the p.
        name: what stands before it; "" for the number alone.
    """
    if value < 0.001:
        return f"{name} < 0.001".strip()
    texts = (f"{value:.{digits}g}" for digits in range(2, 18))
    # Rounding never carries a p over the level that it is read against, nor onto it.
    side = np.sign(value - LEVEL)
    text = next(text for text in texts if np.sign(float(text) - LEVEL) == side)
    return f"{name} = {text}" if name else text


def count_form(row: ComparisonRow) -> str:
    """Return the format of clips counted: a mean of counts has a digit after the point."""
    return ".1f" if row["mean_of"] or len(row["seeds"]) > 1 else ".0f"
