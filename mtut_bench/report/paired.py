"""The numbers of a comparison: two methods on the same clips, persons and seeds.

Axis letters (suffixes of array names): S seed, N clip, F fold, U unit: a fold where there are
several (it leaves one person out, and every fold counts alike), otherwise a person of the one test
set.
"""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from mtut_bench.report.arms import Paired
from mtut_bench.statistics import (
    MIN_UNITS,
    Average,
    Counts,
    FoldTest,
    McNemar,
    bonett_price_interval,
    bootstrap_difference,
    holm,
    mcnemar,
    sign_flip_test,
    wilcoxon_test,
)

__all__ = ["LEVEL", "ComparisonRow", "correct_for_family", "doubts", "measure"]

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
    only_a: float
    only_b: float
    p_clips: float
    p_mcnemar: list[float]
    p_units: float
    p_units_exact: bool
    p_wilcoxon: float | None
    wilcoxon_note: str
    primary: str
    p_primary: float


class ComparisonRow(_Intervals, _Tests):
    """One comparison in raw numbers: accuracies and their difference as shares, never rounded.

    Keys that need words: ``unit``: whom intervals and tests take as independent, 'person', 'user'
    or 'fold'. ``ci_kind``: 'bootstrap' over units and seeds, or 'clips' (Bonett and Price): the
    wider of the two, which follow; None where there is nothing to resample. Both are of
    ``difference``, where several folds count alike whatever their clips. ``only_a``: clips that
    only a has right, mean over seeds. ``p_clips``: permutation over clips of the mean over seeds;
    of one seed the exact McNemar test. ``p_mcnemar``: exact McNemar of each seed. ``p_units``:
    permutation over units, ``p_wilcoxon``: over folds, both of the mean over seeds. ``primary``:
    'units' or 'clips', the test whose p ``p_holm`` corrects, over the ``family_size`` primary tests
    made together. ``established``: corrected p at most 0.05, and 0 outside both intervals, on the
    same side; where the test over clips is primary, the clips that it counts lead to that side too.
    """

    a: str
    b: str
    trained_on: str
    tested_on: str
    accuracy_a: float
    accuracy_b: float
    difference: float
    folds: list[str]
    num_folds: int
    seeds: list[int]
    unit: str
    num_units: int
    num_clips: int
    p_holm: float
    family_size: int
    established: bool


def measure(paired: Paired, tested_on: str) -> ComparisonRow:
    """Return the numbers of one comparison, as a family of its own.

    Args:
        paired: the two sides.
        tested_on: modalities, as keys of their right clips.
    """
    a_SN, b_SN = paired.right_a[tested_on], paired.right_b[tested_on]
    unit_N, unit = _units(paired)
    a_SU, b_SU = _counts(a_SN, unit_N), _counts(b_SN, unit_N)
    total_U = np.bincount(unit_N)
    several = len(paired.folds) > 1
    average: Average = "persons" if several else "clips"
    accuracy_a, accuracy_b = _mean(a_SU, total_U, average), _mean(b_SU, total_U, average)
    each = [mcnemar(a_N, b_N) for a_N, b_N in zip(a_SN, b_SN, strict=True)]
    row: ComparisonRow = {
        "a": paired.names[0],
        "b": paired.names[1],
        "trained_on": paired.row["modalities"],
        "tested_on": tested_on,
        "accuracy_a": accuracy_a,
        "accuracy_b": accuracy_b,
        "difference": accuracy_a - accuracy_b,
        "folds": list(paired.folds),
        "num_folds": paired.row["num_folds"],
        "seeds": list(paired.seeds),
        "unit": unit,
        "num_units": len(total_U),
        "num_clips": a_SN.shape[1],
        **_intervals(a_SU, b_SU, total_U, average, _of_clips(a_SN, b_SN, unit_N, average)),
        **_tests(a_SU - b_SU, total_U, (a_SN.astype(np.int64) - b_SN).sum(axis=0), average, each),
        "p_holm": 1.0,
        "family_size": 1,
        "established": False,
    }
    return correct_for_family([row])[0]


def correct_for_family(rows: Sequence[ComparisonRow]) -> list[ComparisonRow]:
    """Return rows whose primary tests are corrected as one family, by Holm's rule.

    Args:
        rows: of all tests that were made together.
    """
    corrected = holm([row["p_primary"] for row in rows])
    result = []
    for row, p in zip(rows, corrected, strict=True):
        new = row.copy()
        new["p_holm"], new["family_size"] = p, len(rows)
        new["established"] = p <= LEVEL and not doubts(row)
        result.append(new)
    return result


def doubts(row: ComparisonRow) -> str:
    """Return what speaks against a difference beside its p, in words; "" if nothing does.

    Args:
        row: the comparison; its p and what follows from it play no part.
    """
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
    return "" if alike else "the clips and the folds, counted alike, do not lean to the same side"


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


def _counts(right_SN: NDArray[np.bool_], unit_N: Counts) -> Counts:
    """Return the clips right of each seed and unit, int64, (S, U)."""
    num_units = int(unit_N.max()) + 1
    return np.stack([np.bincount(unit_N[right_N], minlength=num_units) for right_N in right_SN])


def _mean(correct_SU: Counts, total_U: Counts, average: Average) -> float:
    if average == "persons":
        return float((correct_SU / total_U).mean())
    return float(correct_SU.sum() / (len(correct_SU) * total_U.sum()))


def _of_clips(
    a_SN: NDArray[np.bool_], b_SN: NDArray[np.bool_], unit_N: Counts, average: Average
) -> tuple[float, float]:
    """Return the interval of the clips, of the difference that is printed."""
    # Several folds count alike and are the units; one test set is one fold, whoever is in it.
    fold_N = unit_N if average == "persons" else np.zeros_like(unit_N)
    only_a_F, only_b_F = (
        _counts(right_SN, fold_N).mean(axis=0) for right_SN in (a_SN & ~b_SN, b_SN & ~a_SN)
    )
    return bonett_price_interval(only_a_F, only_b_F, np.bincount(fold_N))


def _intervals(
    a_SU: Counts, b_SU: Counts, total_U: Counts, average: Average, clips: tuple[float, float]
) -> _Intervals:
    bootstrap = (
        bootstrap_difference(a_SU, b_SU, total_U, average=average) if a_SU.size > 1 else None
    )
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


def _unlike(each: Sequence[McNemar]) -> tuple[float, float]:
    """Return the clips that only a, and only b, has right: means over seeds."""
    only_a = np.mean([test.only_a for test in each])
    return float(only_a), float(np.mean([test.only_b for test in each]))


def _tests(
    lead_SU: Counts, total_U: Counts, lead_N: Counts, average: Average, each: Sequence[McNemar]
) -> _Tests:
    """Return all tests of a lead of a over b, in clips, of each seed and unit and of each clip."""
    several = average == "persons"
    by_unit_U = (lead_SU / total_U).mean(axis=0)
    # In one test set every clip counts alike, and whole numbers are tested exactly.
    over_units = sign_flip_test(by_unit_U if several else lead_SU.sum(axis=0))
    p_clips = each[0].p if len(each) == 1 else sign_flip_test(lead_N).p
    over_folds = wilcoxon_test(by_unit_U) if several else FoldTest(None, 1, reason="one test set")
    primary = "units" if len(total_U) >= MIN_UNITS else "clips"
    only_a, only_b = _unlike(each)
    return _Tests(
        only_a=only_a,
        only_b=only_b,
        p_clips=p_clips,
        p_mcnemar=[test.p for test in each],
        p_units=over_units.p,
        p_units_exact=over_units.exact,
        p_wilcoxon=over_folds.p,
        wilcoxon_note=over_folds.reason,
        primary=primary,
        p_primary=over_units.p if primary == "units" else p_clips,
    )
