"""The mean over modalities of a comparison: plain loops, limit cases, its words and its family."""

import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from report_bench import OFFICIAL, found, write_run
from scipy.stats import norm, rankdata, t

from mtut_bench.report.comparisons.compare import all_comparisons, compare
from mtut_bench.statistics.tests import holm

TWO = ("rgb", "depth")
THREE = ("rgb", "depth", "flow")
WORDS = {"tested_on", "mean_of", "p_mcnemar", "p_holm", "family_size", "established"}


def compared(runs, a="mtut", b="i3d"):
    return compare(found(runs), a, b)


def text(marks):
    return "".join("1" if mark else "0" for mark in marks)


def write_sides(runs, right, subjects=None):
    """Write both methods; ``right[method][seed][fold][modality]`` lists the clips."""
    for method, by_seed in right.items():
        for seed, by_fold in enumerate(by_seed):
            for fold, by_modality in by_fold.items():
                write_run(
                    runs,
                    [text(marks) for marks in by_modality.values()],
                    method=method,
                    fold=fold,
                    seed=seed,
                    modalities=tuple(by_modality),
                    folds=list(by_fold),
                    subjects=subjects,
                )


def drawn(clips, modalities, num_seeds, seed=5):
    """Return random sides, a the better one; ``clips`` by fold."""
    rng = np.random.default_rng(seed)
    return {
        method: [
            {
                fold: {name: rng.random(n) < share for name in modalities}
                for fold, n in clips.items()
            }
            for _ in range(num_seeds)
        ]
        for method, share in (("mtut", 0.7), ("i3d", 0.55))
    }


# The oracle: float64 and plain loops over modalities, seeds and clips.


def leads(right, modalities):
    """Return for each seed the clips in order: (fold, mean difference, share only a, only b)."""
    return [
        [
            (
                fold,
                sum(float(a[fold][m][n]) - float(b[fold][m][n]) for m in modalities)
                / len(modalities),
                sum(bool(a[fold][m][n] and not b[fold][m][n]) for m in modalities)
                / len(modalities),
                sum(bool(b[fold][m][n] and not a[fold][m][n]) for m in modalities)
                / len(modalities),
            )
            for fold in a
            for n in range(len(a[fold][modalities[0]]))
        ]
        for a, b in zip(right["mtut"], right["i3d"], strict=True)
    ]


def slow_bootstrap(by_seed, units, alike, resamples=10_000):
    """Return the interval on the draws that the package promises: PCG64's raw bits, seed 0."""
    bits = np.random.PCG64(0)

    def draws(count):
        if count == 1:
            return [[0]] * resamples
        raw = bits.random_raw(resamples * count)
        picked = [int((int(word) >> 11) * 2.0**-53 * count) for word in raw]
        return [picked[r * count : (r + 1) * count] for r in range(resamples)]

    names = sorted(set(units))
    sums = [[0.0] * len(names) for _ in by_seed]
    sizes = [float(units.count(name)) for name in names]
    for s, clips in enumerate(by_seed):
        for unit, clip in zip(units, clips, strict=True):
            sums[s][names.index(unit)] += clip[1]
    means = []
    for seeds, persons in zip(draws(len(by_seed)), draws(len(names)), strict=True):
        total = 0.0
        for s in seeds:
            if alike:
                total += sum(sums[s][p] / sizes[p] for p in persons) / len(persons)
            else:
                total += sum(sums[s][p] for p in persons) / sum(sizes[p] for p in persons)
        means.append(total / len(seeds))
    count = len(names)
    tail = norm.cdf(-t.ppf(0.975, count - 1) * math.sqrt(count / (count - 1)))
    return tuple(np.quantile(means, [tail, 1.0 - tail]))


def slow_clips(by_seed, folds):
    """Return Bonett and Price's interval of N clips, not of N in each modality."""
    names = sorted(set(folds))
    lead, variance, more = 0.0, 0.0, 1.0 / len(names)
    for name in names:
        own = [clip for clips in by_seed for clip, f in zip(clips, folds, strict=True) if f == name]
        trials = folds.count(name) + 2.0 * more
        a = (sum(clip[2] for clip in own) / len(by_seed) + more) / trials
        b = (sum(clip[3] for clip in own) / len(by_seed) + more) / trials
        lead += (a - b) / len(names)
        variance += (a + b - (a - b) ** 2) / trials / len(names) ** 2
    margin = norm.ppf(0.975) * math.sqrt(variance)
    return lead - margin, lead + margin


def slow_signs(values):
    """Return the two-sided p of all sign patterns."""
    bound = abs(sum(values)) - 1e-9
    patterns = list(product((-1.0, 1.0), repeat=len(values)))
    hits = sum(
        abs(sum(s * v for s, v in zip(signs, values, strict=True))) >= bound for signs in patterns
    )
    return hits / len(patterns)


def slow_permutation(whole):
    """Return the exact p of whole numbers whose signs are flipped, one number after another."""
    chances = {0: Fraction(1)}
    for value in whole:
        after = {}
        for total, chance in chances.items():
            for new in (total + value, total - value):
                after[new] = after.get(new, 0) + chance / 2
        chances = after
    return float(sum(c for total, c in chances.items() if abs(total) >= abs(sum(whole))))


def check(row, right, modalities, units, several):
    by_seed = leads(right, modalities)
    num_seeds, folds = len(by_seed), [clip[0] for clip in by_seed[0]]
    assert (row["tested_on"], row["mean_of"]) == (f"mean of {', '.join(modalities)}", [*modalities])
    assert row["num_clips"] == len(folds)
    by_clip = [sum(clips[n][1] for clips in by_seed) / num_seeds for n in range(len(folds))]
    by_unit = [
        sum(lead for lead, unit in zip(by_clip, units, strict=True) if unit == name)
        / (units.count(name) if several else 1)
        for name in sorted(set(units))
    ]
    mean = sum(by_unit) / len(by_unit) if several else sum(by_clip) / len(by_clip)
    assert row["difference"] == pytest.approx(mean, abs=1e-12)
    assert row["accuracy_a"] - row["accuracy_b"] == pytest.approx(mean, abs=1e-12)
    for key, place in (("only_a", 2), ("only_b", 3)):
        total = sum(clip[place] for clips in by_seed for clip in clips) / num_seeds
        assert row[key] == pytest.approx(total, abs=1e-9)
    bootstrap = slow_bootstrap(by_seed, units, several)
    assert (row["bootstrap_low"], row["bootstrap_high"]) == pytest.approx(bootstrap, abs=1e-9)
    clips = slow_clips(by_seed, folds if several else ["one"] * len(folds))
    assert (row["clips_low"], row["clips_high"]) == pytest.approx(clips, abs=1e-9)
    assert row["p_units"] == pytest.approx(slow_signs(by_unit), abs=1e-9)
    whole = [round(lead * num_seeds * len(modalities)) for lead in by_clip]
    assert row["p_clips"] == pytest.approx(slow_permutation(whole), abs=1e-9)
    assert row["p_mcnemar"] == []
    if several and len(by_unit) >= 6:
        sizes = [lead for lead in by_unit if abs(lead) > 1e-12]
        ranks = rankdata([round(abs(lead), 12) for lead in sizes])
        signed = [math.copysign(rank, lead) for rank, lead in zip(ranks, sizes, strict=True)]
        assert row["p_wilcoxon"] == pytest.approx(slow_signs(signed), abs=1e-9)
    else:
        assert row["p_wilcoxon"] is None


@pytest.mark.parametrize(("modalities", "num_seeds"), [(TWO, 1), (TWO, 3), (THREE, 2)])
def test_folds_agree_with_plain_loops(tmp_path, modalities, num_seeds):
    clips = dict(zip("12345678", (9, 14, 5, 11, 30, 8, 12, 10), strict=True))
    right = drawn(clips, modalities, num_seeds)
    write_sides(tmp_path, right)
    row = compared(tmp_path).rows[0]
    check(row, right, modalities, [fold for fold, n in clips.items() for _ in range(n)], True)
    assert (row["primary"], row["p_primary"]) == ("units", row["p_units"])


@pytest.mark.parametrize(
    ("subjects", "primary"), [("aabbbbcccddddddeefffggggg" * 2, "units"), ("aab" * 15, "clips")]
)
@pytest.mark.parametrize(("modalities", "num_seeds"), [(TWO, 2), (THREE, 1)])
def test_one_test_set_agrees_with_plain_loops(tmp_path, subjects, primary, modalities, num_seeds):
    right = drawn({"official": len(subjects)}, modalities, num_seeds)
    write_sides(tmp_path, right, subjects)
    row = compared(tmp_path).rows[0]
    check(row, right, modalities, list(subjects), several=False)
    assert (row["primary"], row["p_primary"]) == (primary, row[f"p_{primary}"])


@pytest.mark.parametrize(
    ("modalities", "num_seeds", "clips"),
    [
        (TWO, 1, {"official": 40}),
        (TWO, 3, dict.fromkeys("1234567", 12) | {"8": 40}),
        (THREE, 1, dict.fromkeys("1234567", 12) | {"8": 40}),
    ],
)
def test_modalities_that_say_the_same_are_as_one(tmp_path, modalities, num_seeds, clips):
    right = drawn(clips, ["rgb"], num_seeds)
    copied = {
        method: [
            {fold: dict.fromkeys(modalities, by["rgb"]) for fold, by in by_fold.items()}
            for by_fold in by_seed
        ]
        for method, by_seed in right.items()
    }
    write_sides(tmp_path, copied)
    mean, single, *_ = (dict(row) for row in compared(tmp_path).rows)
    assert single["tested_on"] == "rgb"
    for key in mean.keys() - WORDS:
        assert mean[key] == (pytest.approx(single[key]) if single[key] is not None else None), key
    assert mean["p_primary"] == mean["p_holm"] < single["p_holm"]


def test_modalities_that_cancel_leave_nothing(tmp_path):
    rest = "0000"
    # The first clips are mtut's in rgb and i3d's in depth: half a clip more each, of every one.
    write_run(tmp_path, ("111111" + rest, "000000" + rest), modalities=TWO, **OFFICIAL)
    write_run(
        tmp_path, ("000000" + rest, "111111" + rest), method="i3d", modalities=TWO, **OFFICIAL
    )
    mean, rgb, depth, _ = compared(tmp_path).rows
    assert (rgb["only_a"], rgb["only_b"], depth["only_a"], depth["only_b"]) == (6, 0, 0, 6)
    assert rgb["p_clips"] == depth["p_clips"] == pytest.approx(2 / 2**6)
    assert (mean["only_a"], mean["only_b"], mean["difference"]) == (3.0, 3.0, 0.0)
    assert mean["accuracy_a"] == mean["accuracy_b"] == pytest.approx(3 / (6 + len(rest)))
    assert (mean["p_clips"], mean["p_units"], mean["established"]) == (1.0, 1.0, False)
    assert mean["clips_low"] == pytest.approx(-mean["clips_high"])


def test_clips_of_several_modalities_are_no_further_clips(tmp_path):
    # Five clips only mtut has right, in both: p = 2 / 2**5 of five clips, not 2 / 2**10 of ten.
    write_run(tmp_path, "1111100000", modalities=TWO, **OFFICIAL)
    write_run(tmp_path, "0000000000", method="i3d", modalities=TWO, **OFFICIAL)
    result = compared(tmp_path)
    assert result.rows[0]["p_clips"] == pytest.approx(2 / 2**5)
    assert not result.rows[0]["established"]
    # Another five in one modality alone: leads of 2 and 1, all signs alike.
    write_run(tmp_path / "b", ("1" * 10, "1111100000"), modalities=TWO, **OFFICIAL)
    write_run(tmp_path / "b", "0000000000", method="i3d", modalities=TWO, **OFFICIAL)
    assert compared(tmp_path / "b").rows[0]["p_clips"] == pytest.approx(2 / 2**10)


def test_the_sentence_and_the_table_of_a_mean(tmp_path):
    write_run(tmp_path, ("1111110111", "1111000111"), modalities=TWO, **OFFICIAL)
    write_run(tmp_path, ("0000001111", "0001000111"), method="i3d", modalities=TWO, **OFFICIAL)
    result = compared(tmp_path)
    sentence = result.sentences[0]
    assert sentence.startswith("mean of rgb, depth: mtut 80.0 % against i3d 40.0 %: +40.0 points")
    # Six and three clips only mtut has right, one and none only i3d.
    words = "4.5 clips only mtut has right, 0.5 only i3d (means of 2 modalities): permutation over"
    assert words in sentence
    assert "McNemar" not in sentence
    assert "fusion" not in sentence
    assert "6 clips only mtut has right, 1 only i3d: exact McNemar" in result.sentences[1]
    columns = result.table.columns
    line = dict(zip(columns, result.table.rows[0], strict=True))
    shown = tuple(str(line[head]) for head in ("Tested on", "Only mtut", "Only i3d"))
    assert shown == ("mean of rgb, depth", "4.5", "0.5")
    assert not any("seed by seed" in note for note in result.notes)
    assert sum("primary question" in note for note in result.notes) == 1


def test_a_mean_of_several_seeds_is_not_listed_seed_by_seed(tmp_path):
    for seed in range(2):
        write_run(tmp_path, "1110", seed=seed, modalities=TWO, **OFFICIAL)
        write_run(tmp_path, "1000", seed=seed, method="i3d", modalities=TWO, **OFFICIAL)
    result = compared(tmp_path)
    assert "(means of 2 modalities and 2 seeds): permutation over clips" in result.sentences[0]
    assert "(means of 2 seeds): permutation over clips" in result.sentences[1]
    listed = [note.split(", seed by seed")[0] for note in result.notes if "seed by seed" in note]
    assert listed == [f"Exact McNemar of mtut and i3d, {x}" for x in ("rgb", "depth", "rgb+depth")]


def test_every_set_of_modalities_has_its_mean_and_one_alone_has_none(tmp_path):
    for method, mark in (("mtut", "1"), ("i3d", "0")):
        for names in (("rgb",), TWO, THREE):
            write_run(tmp_path, mark * 6, method=method, modalities=names, **OFFICIAL)
    result = compared(tmp_path)
    rows = [(row["trained_on"], row["tested_on"], row["family_size"]) for row in result.rows]
    assert rows[:3] == [
        ("rgb", "rgb", 8),
        ("rgb+depth", "mean of rgb, depth", 2),
        ("rgb+depth", "rgb", 8),
    ]
    assert rows[5] == ("rgb+depth+flow", "mean of rgb, depth, flow", 2)
    assert len(rows) == len(result.sentences) == len(result.table.rows) == 10
    assert "mean of rgb, depth, trained on rgb+depth: mtut" in result.sentences[1]


def test_means_are_a_family_of_their_own_and_change_no_other(tmp_path):
    sides = {"i3d": ("0000000", "0000001"), "mtut": ("1111110", "1111100")}
    for method, right in (sides | {"ssa": ("1111000", "1110000")}).items():
        write_run(tmp_path, right, method=method, modalities=TWO, **OFFICIAL)
    results = all_comparisons(found(tmp_path))
    assert [result.rows[0]["tested_on"] for result in results] == ["mean of rgb, depth"] * 3
    rows = [row for result in results for row in result.rows]
    for means, size in ((True, 3), (False, 9)):
        own = [row for row in rows if bool(row["mean_of"]) == means]
        corrected = holm([row["p_primary"] for row in own])
        assert [row["p_holm"] for row in own] == pytest.approx(corrected)
        assert {row["family_size"] for row in own} == {size}
    assert "Holm-corrected over 3 tests" in results[0].sentences[0]
    assert "Holm-corrected over 9 tests" in results[0].sentences[1]
