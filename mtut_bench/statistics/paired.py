"""The numbers of a comparison: two methods on the same clips, persons and seeds.

Axis letters (suffixes of array names): M modality, S seed, N clip, F fold, U unit: a fold where
there are several (each leaves one person out and counts alike), else a person of the one test set.
A single modality is measured as a mean over M = 1.
"""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from mtut_bench.statistics.sides import Paired
from mtut_bench.statistics.tests import (
    MIN_UNITS,
    Average,
    Counts,
    bonett_price_interval,
    bootstrap_over_persons_and_seeds,
    holm,
    mcnemar,
    sign_flip_test,
    wilcoxon_test,
)

__all__ = [
    "LEVEL",
    "ComparisonRow",
    "correct_for_family",
    "correct_two_families",
    "measure",
    "measure_all",
    "objection",
]

LEVEL = 0.05
"""Of the tests; the intervals cover 1 - LEVEL."""


class _Intervals(TypedDict):
    ci_kind: str
    ci_low: float
    ci_high: float
    bootstrap_low: float | None
    bootstrap_high: float | None
    clips_low: float
    clips_high: float


class _Tests(TypedDict):
    p_clips: float
    p_units: float
    p_units_exact: bool
    p_wilcoxon: float | None
    primary: str
    p_primary: float


class ComparisonRow(_Intervals, _Tests):
    """One comparison in raw numbers: accuracies and their difference as shares, never rounded.

    ``mean_of``: the modalities over which everything is a mean, each counted alike; empty where
    ``tested_on`` is one of them or their fusion. ``unit``: what intervals and tests take as
    independent, 'person', 'user' or 'fold'. ``ci_kind``: 'bootstrap' over units and seeds, or
    'clips' (Bonett and Price), the wider of the two, which follow; None where there is nothing to
    resample. ``only_a``: clips that only a has right, mean over seeds and ``mean_of``. ``p_clips``:
    permutation over clips of that mean; of one seed and one modality the exact McNemar test.
    ``p_mcnemar``: exact McNemar of each seed; empty for a mean over modalities, since a clip may be
    right in one and wrong in another. ``p_units``: permutation over units; ``p_wilcoxon``: over
    folds; None with fewer than six, or where all are equal. ``primary``: 'units' or 'clips', the
    test whose p ``p_holm`` corrects over the ``family_size`` primary tests made together.
    ``established``: ``p_holm`` at most 0.05, and no :func:`objection`.
    """

    a: str
    b: str
    trained_on: str
    tested_on: str
    mean_of: list[str]
    accuracy_a: float
    accuracy_b: float
    difference: float
    folds: list[str]
    num_folds: int
    seeds: list[int]
    unit: str
    num_units: int
    num_clips: int
    only_a: float
    only_b: float
    p_mcnemar: list[float]
    p_holm: float
    family_size: int
    established: bool


def measure_all(paired: Paired) -> list[ComparisonRow]:
    """Return the numbers of the mean over modalities, where there are several, and of each test."""
    mean = [measure(paired, paired.single)] if len(paired.single) > 1 else []
    return mean + [measure(paired, [tested_on]) for tested_on in paired.right_a]


def measure(paired: Paired, tested: Sequence[str]) -> ComparisonRow:
    """Return the numbers of one comparison, as a family by itself.

    Args:
        paired: the two sides.
        tested: keys of ``paired.right_a``; of several, their mean is measured.
    """
    a_MSN, b_MSN = (
        np.stack([right[name] for name in tested]) for right in (paired.right_a, paired.right_b)
    )
    several_modalities = len(tested) > 1
    unit_N, unit = _units(paired)
    a_SU, b_SU = _counts(a_MSN, unit_N), _counts(b_MSN, unit_N)
    total_U = len(tested) * np.bincount(unit_N)
    average: Average = "persons" if len(paired.folds) > 1 else "clips"
    accuracy_a, accuracy_b = _mean(a_SU, total_U, average), _mean(b_SU, total_U, average)
    only_a_MSN, only_b_MSN = a_MSN & ~b_MSN, b_MSN & ~a_MSN
    # A clip is not simply right or wrong in several modalities at once: no McNemar test of them.
    p_mcnemar = (
        []
        if several_modalities
        else [mcnemar(a_N, b_N) for a_N, b_N in zip(a_MSN[0], b_MSN[0], strict=True)]
    )
    lead_N = (a_MSN.astype(np.int64) - b_MSN).sum(axis=(0, 1))
    row: ComparisonRow = {
        "a": paired.names[0],
        "b": paired.names[1],
        "trained_on": paired.row["modalities"],
        "tested_on": f"mean of {', '.join(tested)}" if several_modalities else tested[0],
        "mean_of": list(tested) if several_modalities else [],
        "accuracy_a": accuracy_a,
        "accuracy_b": accuracy_b,
        "difference": accuracy_a - accuracy_b,
        "folds": list(paired.folds),
        "num_folds": paired.row["num_folds"],
        "seeds": list(paired.seeds),
        "unit": unit,
        "num_units": len(total_U),
        "num_clips": len(unit_N),
        **_intervals(
            a_SU - b_SU, total_U, average, _of_clips(only_a_MSN, only_b_MSN, unit_N, average)
        ),
        "only_a": _mean_count(only_a_MSN),
        "only_b": _mean_count(only_b_MSN),
        "p_mcnemar": p_mcnemar,
        **_tests(a_SU - b_SU, total_U, lead_N, average, p_mcnemar),
        "p_holm": 1.0,
        "family_size": 1,
        "established": False,
    }
    return correct_for_family([row])[0]


def correct_for_family(rows: Sequence[ComparisonRow]) -> list[ComparisonRow]:
    """Return rows whose primary tests are corrected as one family, by Holm's rule."""
    corrected = holm([row["p_primary"] for row in rows])
    result = []
    for row, p in zip(rows, corrected, strict=True):
        new = row.copy()
        new["p_holm"], new["family_size"] = p, len(rows)
        new["established"] = p <= LEVEL and not objection(row)
        result.append(new)
    return result


def correct_two_families(rows: Sequence[ComparisonRow]) -> list[ComparisonRow]:
    """Return rows in their order, corrected as two families: means over modalities, and all others.

    The mean is the question asked first: what else is tested does not weaken it, nor does it change
    the result for a modality or a fusion.
    """
    means = iter(correct_for_family([row for row in rows if row["mean_of"]]))
    others = iter(correct_for_family([row for row in rows if not row["mean_of"]]))
    return [next(means if row["mean_of"] else others) for row in rows]


def objection(row: ComparisonRow) -> str:
    """Return what speaks against a difference whatever its p, in words; or ""."""
    intervals = {"of the clips": (row["clips_low"], row["clips_high"])}
    if row["bootstrap_low"] is not None and row["bootstrap_high"] is not None:
        intervals["of the bootstrap"] = (row["bootstrap_low"], row["bootstrap_high"])
    with_zero = [name for name, (low, high) in intervals.items() if low <= 0.0 <= high]
    if with_zero:
        return f"the interval {' and that '.join(with_zero)} contains 0"
    # Over folds of unlike size, the clips of a large one may outvote the folds.
    leads = [low for low, _ in intervals.values()]
    if row["primary"] == "clips":
        leads.append(row["only_a"] - row["only_b"])
    alike = len({lead > 0.0 for lead in leads}) == 1
    return (
        ""
        if alike
        else "the differences over clips and over folds (equally weighted) have opposite signs"
    )


def _units(paired: Paired) -> tuple[NDArray[np.int64], str]:
    """Return the number of each clip's unit, int64, (N,), and what the units are."""
    persons = str(paired.row["subject_unit"])
    if len(paired.folds) == 1:
        return np.unique(np.array(paired.subjects_N), return_inverse=True)[1], persons
    named = np.array(paired.folds_N)
    one_each = all(
        len({s for s, f in zip(paired.subjects_N, paired.folds_N, strict=True) if f == fold}) == 1
        for fold in paired.folds
    )
    return np.unique(named, return_inverse=True)[1], persons if one_each else "fold"


def _counts(right_MSN: NDArray[np.bool_], unit_N: Counts) -> Counts:
    """Return the clips right of each seed and unit, summed over modalities, int64, (S, U)."""
    num_units = int(unit_N.max()) + 1
    return np.array(
        [
            [np.bincount(unit_N[right_N], minlength=num_units) for right_N in right_SN]
            for right_SN in right_MSN
        ]
    ).sum(axis=0)


def _mean(correct_SU: Counts, total_U: Counts, average: Average) -> float:
    if average == "persons":
        return float((correct_SU / total_U).mean())
    return float(correct_SU.sum() / (len(correct_SU) * total_U.sum()))


def _mean_count(right_MSN: NDArray[np.bool_]) -> float:
    return float(right_MSN.sum() / (right_MSN.shape[0] * right_MSN.shape[1]))


def _of_clips(
    only_a_MSN: NDArray[np.bool_],
    only_b_MSN: NDArray[np.bool_],
    unit_N: Counts,
    average: Average,
) -> tuple[float, float]:
    """Return the interval of the clips.

    Modalities show the same clips, so M of them are not M * N independent clips: the mean of their
    counts is taken out of N, as if each clip had the same outcome in all of them. That can only
    widen it: with d a clip's difference in one modality, -1, 0 or 1, its mean of d**2 is taken
    where the square of its mean of d belongs, which is never larger.
    """
    # Several folds count alike and are the units; one test set is one fold, whoever is in it.
    fold_N = unit_N if average == "persons" else np.zeros_like(unit_N)
    only_a_F, only_b_F = (
        _counts(only_MSN, fold_N).mean(axis=0) / len(only_MSN)
        for only_MSN in (only_a_MSN, only_b_MSN)
    )
    return bonett_price_interval(only_a_F, only_b_F, np.bincount(fold_N))


def _intervals(
    lead_SU: Counts, total_U: Counts, average: Average, clips: tuple[float, float]
) -> _Intervals:
    bootstrap = None
    if lead_SU.size > 1:
        bootstrap = bootstrap_over_persons_and_seeds(lead_SU, total_U, average=average)
    wider = bootstrap if bootstrap and np.ptp(bootstrap) > np.ptp(clips) else clips
    return _Intervals(
        ci_kind="clips" if wider is clips else "bootstrap",
        ci_low=wider[0],
        ci_high=wider[1],
        bootstrap_low=bootstrap[0] if bootstrap else None,
        bootstrap_high=bootstrap[1] if bootstrap else None,
        clips_low=clips[0],
        clips_high=clips[1],
    )


def _tests(
    lead_SU: Counts,
    total_U: Counts,
    lead_N: Counts,
    average: Average,
    p_mcnemar: Sequence[float],
) -> _Tests:
    """Return all tests of a lead of a over b, in clips, of each seed and unit and of each clip."""
    several = average == "persons"
    by_unit_U = (lead_SU / total_U).mean(axis=0)
    # In one test set every clip counts alike, and whole numbers are tested exactly.
    over_units = sign_flip_test(by_unit_U if several else lead_SU.sum(axis=0))
    p_clips = p_mcnemar[0] if len(p_mcnemar) == 1 else sign_flip_test(lead_N).p
    primary = "units" if len(total_U) >= MIN_UNITS else "clips"
    return _Tests(
        p_clips=p_clips,
        p_units=over_units.p,
        p_units_exact=over_units.exact,
        p_wilcoxon=wilcoxon_test(by_unit_U) if several else None,
        primary=primary,
        p_primary=over_units.p if primary == "units" else p_clips,
    )
