"""Comparisons of stored runs: hand-counted sentences, and everything that is refused."""

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from report_bench import OFFICIAL, found, write_folds, write_run

from mtut_bench.errors import ComparisonError, UsageError
from mtut_bench.report.comparisons.compare import _by_id, all_comparisons, compare
from mtut_bench.report.comparisons.sentences import p_value
from mtut_bench.report.tables.table import Table
from mtut_bench.statistics.paired import correct_for_family, objection


def compared(runs, a="mtut", b="i3d", **limits):
    return compare(found(runs), a, b, **limits)


def test_one_test_set_of_one_person_is_exact_mcnemar(tmp_path):
    # Six clips only mtut has right, one only i3d: p = 2 (1 + 7) / 2**7 = 0.125.
    write_run(tmp_path, "1111110" + "111", **OFFICIAL)
    write_run(tmp_path, "0000001" + "111", method="i3d", **OFFICIAL)
    result = compared(tmp_path)
    (sentence,) = result.sentences
    assert sentence.startswith("rgb: mtut 90.0 % against i3d 40.0 %: +50.0 points (95 % interval [")
    assert "Bonett-Price over 10 clips of 1 person)" in sentence
    assert "6 clips only mtut has right, 1 only i3d: exact McNemar p = 0.12;" in sentence
    assert sentence.endswith(
        "1 person, too few for a test over persons; the difference is not established."
    )
    (row,) = result.rows
    assert (row["p_primary"], row["primary"], row["bootstrap_low"]) == (0.125, "clips", None)
    assert isinstance(result.table, Table)
    assert all(len(line) == len(result.table.columns) for line in result.table.rows)


def test_eight_folds_are_tested_over_persons(tmp_path):
    # mtut has one clip of ten more in every fold: all signs alike, p = 2 / 2**8.
    write_folds(tmp_path, ["1111100000"] * 8)
    write_folds(tmp_path, ["1111000000"] * 8, method="i3d")
    result = compared(tmp_path, dataset="viva", protocol="paper")
    (row,) = result.rows
    assert (row["primary"], row["unit"], row["num_units"]) == ("units", "person", 8)
    assert row["p_units"] == pytest.approx(2 / 256)
    assert row["p_wilcoxon"] == pytest.approx(2 / 256)
    assert (row["only_a"], row["only_b"]) == (8, 0)
    assert row["p_clips"] == pytest.approx(2 / 256)
    assert row["established"]
    (sentence,) = result.sentences
    assert "+10.0 points" in sentence
    assert "exact permutation over 8 persons p = 0.0078; 8 clips only mtut has right" in sentence
    assert "Wilcoxon over 8 folds p = 0.0078" in sentence
    assert sentence.endswith("the difference is established at the 5 % level.")
    assert compared(tmp_path, "i3d", "mtut").rows[0]["difference"] == pytest.approx(-0.1)


def test_a_lead_that_one_person_makes_is_not_established(tmp_path):
    # 24 clips to none: McNemar is sure. All of them are of one person: nobody should be.
    write_folds(tmp_path, ["1" * 24, *["0" * 24] * 7])
    write_folds(tmp_path, ["0" * 24] * 8, method="i3d")
    (row,) = compared(tmp_path).rows
    assert row["p_clips"] < 1e-6
    assert row["p_primary"] == 1.0
    assert row["ci_kind"] == "bootstrap"
    assert not row["established"]


def test_folds_count_alike_whatever_their_clips(tmp_path):
    for method, rights in (("mtut", ("11", "0000")), ("i3d", ("10", "1000"))):
        write_folds(tmp_path, rights, method=method, folds=["1", "2"])
    (row,) = compared(tmp_path).rows
    assert row["accuracy_a"] == pytest.approx((1.0 + 0.0) / 2)
    assert row["accuracy_b"] == pytest.approx((0.5 + 0.25) / 2)
    # Bonett and Price of 1 and 1 of 6 clips is [-0.49, 0.49]; two persons: -0.25 or 0.5.
    assert (row["bootstrap_low"], row["bootstrap_high"]) == pytest.approx((-0.25, 0.5))
    assert row["ci_kind"] == "clips"


def test_several_seeds_are_averaged_and_never_pooled(tmp_path):
    for seed in range(3):
        write_run(tmp_path, "1111110111", seed=seed, **OFFICIAL)
        write_run(tmp_path, "0000001111", seed=seed, method="i3d", **OFFICIAL)
    result = compared(tmp_path)
    (row,) = result.rows
    # Three seeds that say the same are no more evidence than one.
    assert row["p_clips"] == pytest.approx(0.125)
    assert row["p_mcnemar"] == pytest.approx([0.125] * 3)
    assert (row["only_a"], row["num_clips"], row["seeds"]) == (6.0, 10, [0, 1, 2])
    assert "6.0 clips only mtut has right, 1.0 only i3d (means of 3 seeds)" in result.sentences[0]
    assert any("seed 2 p = 0.12" in note for note in result.notes)


def test_only_seeds_that_both_have_count(tmp_path):
    for seed, method in ((0, "mtut"), (1, "mtut"), (1, "i3d"), (2, "i3d")):
        write_run(tmp_path, "1" * (seed + 1) + "0" * (3 - seed), seed=seed, method=method)
    result = compared(tmp_path)
    (row,) = result.rows
    assert (row["seeds"], row["accuracy_a"], row["accuracy_b"]) == ([1], 0.5, 0.5)
    assert "seed 0 of mtut" in " ".join(result.notes)
    assert "seed 2 of i3d" in " ".join(result.notes)


def test_every_modality_and_the_fusion_are_one_family_beside_their_mean(tmp_path):
    kinds = {"modalities": ("depth", "rgb"), **OFFICIAL}
    write_run(tmp_path, "1111110", **kinds)
    write_run(tmp_path, "0000000", method="i3d", **kinds)
    result = compared(tmp_path)
    names = ["mean of rgb, depth", "rgb", "depth", "rgb+depth"]
    assert [row["tested_on"] for row in result.rows] == names
    # Six to none: p = 2 / 2**6; Holm over three equal ones: times three. The mean is asked alone.
    assert [row["p_holm"] for row in result.rows] == pytest.approx([1 / 32, *[3 / 32] * 3])
    assert "p = 0.031, Holm-corrected over 3 tests 0.094" in result.sentences[1]
    assert "Holm" not in result.sentences[0]
    assert result.sentences[3].startswith("rgb+depth (fusion): ")


def test_incomplete_folds_and_data_that_prove_nothing_are_said(tmp_path):
    write_folds(tmp_path, ["11"] * 7, origin="synthetic", num_clips=38)
    write_folds(tmp_path, ["10"] * 7, method="i3d", origin="synthetic", num_clips=38)
    result = compared(tmp_path)
    assert result.sentences[0].startswith("INCOMPLETE, 7 of 8 folds: rgb: ")
    assert "Synthetic recordings (viva, 38 of 885 clips), protocol paper: not com" in result.title


def other(**changes):
    """A store of two complete methods, one of them under other conditions."""

    def write(runs):
        write_run(runs, "1110", **OFFICIAL)
        write_run(runs, "1100", method="i3d", **(OFFICIAL | changes))

    return write


def mixed(**changes):
    """Two seeds of mtut, one of another kind."""

    def write(runs):
        other()(runs)
        write_run(runs, "1111", seed=1, **(OFFICIAL | changes))

    return write


def other_folds(runs):
    write_folds(runs, ["11"] * 8)
    write_folds(runs, ["10"] * 7, method="i3d")


def no_common_seed(runs):
    write_run(runs, "11", seed=0, **OFFICIAL)
    write_run(runs, "10", seed=1, method="i3d", **OFFICIAL)


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (other(digest="e" * 64), "differ in store digest: dddd"),
        (other(mirror=[1, 0, -1]), "table of mirrored classes: null and [1,0,-1]"),
        (other(modalities=("depth",)), "no common set of modalities"),
        (other(ids="wxyz"), "not tested on the same clips: foldofficial-0"),
        (other(subjects="abab"), "not tested on the same clips: foldofficial-0 has another"),
        (mixed(device="NVIDIA H200"), "The runs of mtut differ in device (NVIDIA H200, cpu)"),
        (mixed(complete=False), "The runs of mtut differ in completeness of the store"),
        (other_folds, "mtut has folds 1, 2, 3, 4, 5, 6, 7, 8; i3d has 1, 2, 3, 4, 5, 6, 7:"),
        (no_common_seed, "none in common"),
        (lambda runs: write_run(runs, "11"), "no finished run of i3d; there are runs of mtut"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_a_hint(tmp_path, write, words):
    write(tmp_path)
    with pytest.raises(ComparisonError) as fault:
        compared(tmp_path)
    assert words in fault.value.what
    assert fault.value.hint
    if write is no_common_seed:
        assert re.search(r"`mtut-bench run --method i3d .*--seed \d", fault.value.hint)


def test_missing_folds_of_one_seed_are_one_command(tmp_path):
    write_folds(tmp_path, ["11"] * 4)
    write_folds(tmp_path, ["10"] * 2, method="i3d")
    with pytest.raises(ComparisonError) as fault:
        compared(tmp_path)
    assert fault.value.hint.count("`mtut-bench run") == 1
    assert "run --method i3d --store viva --protocol paper --fold 3,4 --seed 0" in fault.value.hint


def test_a_method_without_runs_is_named_only_if_there_is_one(tmp_path):
    write_run(tmp_path, "11")
    for name, known, made in (
        ("i3d", ("mtut", "i3d"), "run --method i3d --protocol paper`"),
        ("mutt", ("mtut", "i3d"), None),
    ):
        with pytest.raises(ComparisonError) as fault:
            compare(found(tmp_path), "mtut", name, protocol="paper", methods=known)
        assert (made in fault.value.hint) if made else ("--method" not in fault.value.hint)
        assert ("Did you mean" in fault.value.hint) is (made is None)
    with pytest.raises(ComparisonError) as fault:
        compare(found(tmp_path), "mtut", "i3d", protocol="papr", methods=("mtut", "i3d"))
    assert "Did you mean paper?" in fault.value.hint
    assert "run --method" not in fault.value.hint


def test_a_side_may_be_runs_by_id(tmp_path):
    other()(tmp_path)
    variant = write_run(tmp_path, "1111", overrides={"beta": 3.0}, **OFFICIAL)
    # A name means the protocol's own runs, and says which it leaves out.
    named = compared(tmp_path)
    assert "mtut 75.0 % against i3d 50.0 %" in named.sentences[0]
    assert any("1 of mtut's runs, which have changed settings" in note for note in named.notes)
    plain = next(
        run.folder.name
        for run in found(tmp_path)
        if run.folder != variant and run.record.method.name == "mtut"
    )
    assert "mtut 75.0 % against i3d 50.0 %" in compared(tmp_path, plain).sentences[0]
    with pytest.raises(ComparisonError, match="overridden options"):
        compared(tmp_path, variant.name)
    with pytest.raises(ComparisonError, match="'0123456789ab', and no finished run"):
        compared(tmp_path, f"{plain},0123456789ab")
    with pytest.raises(ComparisonError, match="share a run"):
        compared(tmp_path, plain, plain)


def contrast(both, only_a, only_b, neither):
    """Return the patterns of two methods with so many clips of each kind."""
    a = "1" * (both + only_a) + "0" * (only_b + neither)
    return a, "1" * both + "0" * only_a + "1" * only_b + "0" * neither


def write_contrasts(runs, contrasts):
    folds = [str(n) for n in range(1, len(contrasts) + 1)]
    for method, rights in zip(("mtut", "i3d"), zip(*contrasts, strict=True), strict=True):
        write_folds(runs, rights, method=method, folds=folds)


def test_a_wider_interval_without_0_does_not_hide_a_narrower_one_with_0():
    row = {"clips_low": 0.01, "clips_high": 0.3, "bootstrap_low": -0.01, "bootstrap_high": 0.1}
    row |= {"primary": "units", "p_primary": 0.01, "only_a": 5.0, "only_b": 1.0}
    row |= {"ci_low": 0.01, "ci_high": 0.3}
    (corrected,) = correct_for_family([row])
    assert not corrected["established"]
    assert objection(row) == "the interval of the bootstrap contains 0"
    (other,) = correct_for_family([row | {"bootstrap_low": 0.001}])
    assert other["established"]
    (alone,) = correct_for_family([row | {"bootstrap_low": None, "bootstrap_high": None}])
    assert alone["established"]
    (opposite,) = correct_for_family([row | {"bootstrap_low": -0.2, "bootstrap_high": -0.1}])
    assert not opposite["established"]


def test_clips_that_outvote_their_folds_establish_nothing(tmp_path):
    # Three folds, too few for a test over them: 60 clips lead to mtut, two whole folds to i3d.
    all_i3d = contrast(0, 0, 6, 0)
    write_contrasts(tmp_path, [contrast(0, 60, 0, 140), all_i3d, all_i3d])
    result = compared(tmp_path)
    (row,) = result.rows
    assert row["p_clips"] < 0.001
    assert row["difference"] == pytest.approx((0.3 - 2) / 3)
    assert not row["established"]
    assert objection(row | {"bootstrap_low": -0.9, "bootstrap_high": -0.1}).startswith(
        "the differences over clips and over folds"
    )


def test_what_speaks_against_a_small_p_is_said(tmp_path):
    # Seven folds lean to mtut by one clip of 100 each: p = 2 / 2**7, but few clips say so.
    write_contrasts(tmp_path, [contrast(50, 1, 0, 49)] * 6 + [contrast(50, 10, 9, 31)])
    (row,) = compared(tmp_path).rows
    assert row["p_holm"] == pytest.approx(2 / 2**7)
    assert row["clips_low"] < 0.0 < row["bootstrap_low"]
    result = compared(tmp_path)
    why = "is not established: the interval of the clips contains 0"
    assert all(why in text for text in (result.sentences[0], result.conclusion[1]))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.05, "p = 0.05"),
        (0.0496, "p = 0.0496"),
        (0.050001, "p = 0.050001"),
        (0.0078125, "p = 0.0078"),
        (0.0009, "p < 0.001"),
        (1.0, "p = 1"),
    ],
)
def test_a_printed_p_is_on_the_side_of_the_level_on_which_it_is(value, text):
    assert p_value(value) == text


def test_ids_may_be_shortened_and_written_in_capitals(tmp_path):
    other()(tmp_path)
    full = {run.record.method.name: run.record for run in found(tmp_path)}
    a, b = (full[name].id for name in ("mtut", "i3d"))
    for names in ((a[:4], b[:5]), (a[:12].upper(), b), (f"{a[:6]}, {a}", "i3d")):
        assert "mtut 75.0 % against i3d 50.0 %" in compared(tmp_path, *names).sentences[0]


def test_what_is_no_id_is_refused_as_one(tmp_path):
    other()(tmp_path)
    start = found(tmp_path)[0].record.id[:12]
    for name, words in (("ffff0000", "ffff0000"), (f"{start},zz", "zz"), (f"{start[:3]},", "")):
        with pytest.raises(ComparisonError, match="no finished run has an id") as fault:
            compared(tmp_path, name)
        assert words in fault.value.what
        assert "--method" not in fault.value.hint


def test_digits_that_several_ids_begin_with_are_refused():
    class Run:
        def __init__(self, run_id):
            self.folder, self.record = Path(run_id[:12]), SimpleNamespace(id=run_id)

    runs = [Run(f"abcd{n}".ljust(64, "0")) for n in range(2)]
    assert _by_id(runs, "abcd1", {}) is runs[1]
    with pytest.raises(ComparisonError, match="ids of 2 runs start with abcd: abcd0000"):
        _by_id(runs, "abcd", {})


@pytest.mark.parametrize("names", [("", ""), ("mtut", " "), ("", "i3d")])
def test_a_side_without_a_name_is_a_usage_error(tmp_path, names):
    other()(tmp_path)
    with pytest.raises(UsageError, match="is empty"):
        compared(tmp_path, *names)


def test_other_devices_and_weights_on_the_two_sides_are_said(tmp_path):
    other(device="NVIDIA H200", weights_digest="f" * 64)(tmp_path)
    notes = " ".join(compared(tmp_path).notes)
    assert "Devices differ between the methods: mtut cpu, i3d NVIDIA H200." in notes
    assert "Starting weights differ" in notes


def test_all_comparisons_pair_every_two_methods_as_one_family(tmp_path):
    for method, right in (("i3d", "0000000"), ("mtut", "1111110"), ("ssa", "1111100")):
        write_run(tmp_path, right, method=method, **OFFICIAL)
    write_run(tmp_path, "0101010", method="alone", **(OFFICIAL | {"precision": "bf16"}))
    results = all_comparisons(found(tmp_path))
    titles = [result.title.split(":")[0] for result in results]
    assert titles == ["mtut against i3d", "ssa against i3d", "ssa against mtut"]
    rows = [row for result in results for row in result.rows]
    # Uncorrected 2/64, 2/32 and 1; Holm over three.
    assert [row["p_holm"] for row in rows] == pytest.approx([6 / 64, 4 / 32, 1.0])
    assert {row["family_size"] for row in rows} == {3}


def test_all_comparisons_say_why_two_are_not_compared(tmp_path):
    other_folds(tmp_path)
    (result,) = all_comparisons(found(tmp_path))
    assert result.sentences == ()
    assert result.rows == result.table.rows == ()
    assert "Not compared. mtut has folds" in result.notes[0]
    assert all_comparisons([]) == []


def test_numbers_agree_with_the_tables_cells(tmp_path):
    """The same runs through the report's cells: mean and interval of one method."""
    from mtut_bench.statistics.cells import aggregate
    from mtut_bench.statistics.rows import result_rows

    rng = np.random.default_rng(1)
    rights = ["".join(rng.choice(["0", "1"], n)) for n in (9, 12, 10, 11, 8, 10, 12, 9)]
    write_folds(tmp_path, rights)
    write_folds(tmp_path, ["0" * len(right) for right in rights], method="i3d")
    rows = [row for row in result_rows(found(tmp_path)) if row["method"] == "mtut"]
    cell = aggregate(rows)
    (row,) = compared(tmp_path).rows
    assert 100 * row["accuracy_a"] == pytest.approx(cell.mean)
    # Against nothing at all, the difference is the accuracy.
    assert cell.bootstrap is not None
    assert row["bootstrap_low"] * 100 == pytest.approx(cell.bootstrap[0])
    assert row["bootstrap_high"] * 100 == pytest.approx(cell.bootstrap[1])
