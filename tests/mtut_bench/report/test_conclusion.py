"""The three lines in which a comparison ends."""

import pytest
from report_bench import OFFICIAL, found, write_folds, write_run

from mtut_bench.report.comparisons.compare import compare
from mtut_bench.report.comparisons.sentences import kind_of_store, score_conclusion


def conclusion(runs, a="mtut", b="i3d"):
    return compare(found(runs), a, b).conclusion


def test_the_mean_over_modalities_is_the_question(tmp_path):
    # rgb 90 and 40 %, depth 60 and 40 %: the mean leads by 35 points, in each of eight folds.
    both = {"modalities": ("rgb", "depth")}
    write_folds(tmp_path, [["1111110111", "1100001111"]] * 8, **both)
    write_folds(tmp_path, ["0000001111"] * 8, method="i3d", **both)
    lines = conclusion(tmp_path)
    assert lines[0].startswith("mtut against i3d, mean of rgb, depth: +35.0 points, 95 % interval")
    # Eight persons who all lean to one side: 2 of 2**8 signs.
    assert lines[1:] == (
        "Established at the 5 % level: mtut is better (p = 0.0078; 8 persons, 80 clips).",
        "",
    )
    assert "Established at the 5 % level: mtut is better" in conclusion(tmp_path, "i3d", "mtut")[1]


def test_of_few_persons_it_speaks_of_their_clips_alone(tmp_path):
    write_run(tmp_path, "1" * 20, **OFFICIAL)
    write_run(tmp_path, "1" * 8 + "0" * 12, method="i3d", **OFFICIAL)
    assert conclusion(tmp_path)[1].startswith(
        "Established for clips of this person alone: mtut is better (p < 0.001; 1 person, 20 clips"
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"origin": "synthetic"}, "synthetic, 1 of 8 folds"),
        ({"complete": False, "num_clips": 25}, "25 of 885 clips, 1 of 8 folds"),
        ({"protocol": {"name": "demo", "version": 1, "tables": []}}, "protocol demo, 1 of 8 folds"),
        ({"overrides": {"epochs": 3}}, "changed options, 1 of 8 folds"),
        ({}, "1 of 8 folds"),
    ],
)
def test_what_is_not_comparable_with_published_numbers_says_why(tmp_path, changes, words):
    for method in ("mtut", "i3d"):
        write_run(tmp_path, "1100", method=method, **changes)
    assert conclusion(tmp_path)[2] == f"Not comparable with published numbers: {words}."


def test_several_sets_are_told_apart(tmp_path):
    for sets, right in ((("rgb",), "1111110111"), (("rgb", "depth"), "0000001111")):
        write_folds(tmp_path, [right] * 8, modalities=sets)
        write_folds(tmp_path, ["0000001111"] * 8, method="i3d", modalities=sets)
    assert conclusion(tmp_path)[:2] == (
        "mtut minus i3d in points, by modalities trained on: rgb +50.0, rgb+depth 0.0.",
        "Established at the 5 % level: rgb; not established: rgb+depth.",
    )


def row(b, difference, *, established, tested_on="rgb"):
    return {
        "a": "mine",
        "b": b,
        "tested_on": tested_on,
        "difference": difference,
        "established": established,
        "primary": "clips",
        "num_units": 2,
        "unit": "person",
    }


def test_predictions_are_better_or_worse_than_what_is_established():
    rows = [
        row("c3d", 0.1, established=True),
        row("i3d", 0.05, established=False),
        row("mtut", -0.1, established=True, tested_on="depth"),
    ]
    who = "Established for clips of these 2 persons alone: mine is"
    assert score_conclusion(
        rows
    ) == f"{who} better than c3d on rgb and worse than mtut on depth; " + ("nothing else is.")
    assert score_conclusion(rows[:1]) == f"{who} better than c3d on rgb."
    assert score_conclusion(rows[1:2]) == (
        "No difference between mine and a stored run is established."
    )


def test_a_complete_real_dataset_needs_no_word():
    assert kind_of_store("recorded", 885, 885) == ""
    assert kind_of_store("recorded", 38, 1885) == "38 of 1,885 clips"
    assert kind_of_store("synthetic", 885, 885) == "synthetic"
