"""A user's own predictions: read, refused, scored and paired."""

import csv

import pytest
from report_bench import found, write_run

from mtut_bench.errors import PredictionError, UsageError
from mtut_bench.report.comparisons.prediction_csv import read_predicted
from mtut_bench.report.comparisons.scoring import score
from mtut_bench.store.reader import StoreReader

CLASSES = ("left", "2", 'say, "up"')
CLIPS = ("a", "b", "c")


def write(path, *lines):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(lines)
    return path


def read(tmp_path, *lines):
    return read_predicted(write(tmp_path / "mine.csv", *lines), CLIPS, CLASSES).tolist()


def test_predicted_classes_by_name_and_number_in_any_order(tmp_path):
    lines = (["predicted", "clip_id"], ["0", "b"], ['say, "up"', "a"], [], ["left", " c "])
    assert read(tmp_path, *lines) == [2, 0, 0]


def test_a_name_comes_before_a_number(tmp_path):
    # "2" is the name of class 1 here, and also the number of class 2.
    assert read(tmp_path, ["clip_id", "predicted"], *([c, "2"] for c in CLIPS)) == [1, 1, 1]


@pytest.mark.parametrize("head", [('say, "up"', "left", "2"), ("2", "0", "1")])
def test_the_highest_score_counts_and_the_first_of_equal_ones(tmp_path, head):
    # The columns are those of classes 2, 0, 1.
    lines = [["a", "1e3", "-5", "7"], ["b", "0.1", "0.5", "0.5"], ["c", "0", "0", "0"]]
    assert read(tmp_path, ["clip_id", *head], *lines) == [2, 0, 0]


HEAD = ["clip_id", "predicted"]
GOOD = [["a", "0"], ["b", "0"], ["c", "0"]]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([HEAD, *GOOD[:1]], "2 missing (b, c)"),
        ([HEAD, *GOOD, ["a", "1"]], "1 twice (a)"),
        ([HEAD, *GOOD, ["x", "1"]], "1 not test clips of this fold (x)"),
        ([HEAD, *GOOD[:2], ["c", "right"]], "line 4 predicts 'right', which is neither a class"),
        ([HEAD, *GOOD[:2], ["c", "3"]], "nor one of the numbers 0 to 2"),
        ([HEAD, *GOOD[:2], ["c", ""]], "line 4 predicts ''"),
        ([HEAD, *GOOD[:2], ["c"]], "line 4 has 1 values, the header 2"),
        ([["clip", "predicted"], *GOOD], "needs one column clip_id"),
        ([["clip_id", "clip_id"], *GOOD], "needs one column clip_id"),
        ([["clip_id", "left"], *GOOD], '2 missing (2, say, "up"), 0 unknown ()'),
        ([["clip_id", "0", "1", "2", "3"]], "3 missing (a, b, c)"),
        (
            [["clip_id", "0", "1", "2"], *([c, "1", "nan", "0"] for c in CLIPS)],
            "line 2 has the score 'nan'",
        ),
        ([], "is empty"),
    ],
)
def test_a_spoilt_file_is_named_with_its_hint(tmp_path, lines, words):
    with pytest.raises(PredictionError) as fault:
        read(tmp_path, *lines)
    assert words in fault.value.what
    assert "mine.csv" in fault.value.what
    assert "clip_id, and either predicted" in fault.value.hint


@pytest.mark.parametrize("text", ["9" * 5000, "007", "-1", "\u0661"])
def test_a_class_is_a_number_only_as_it_is_written_in_a_head(tmp_path, text):
    with pytest.raises(PredictionError) as fault:
        read(tmp_path, HEAD, *GOOD[:2], ["c", text])
    assert "line 4 predicts" in fault.value.what
    assert text[:60] in fault.value.what
    assert text[:61] == text or text[:61] not in fault.value.what


@pytest.mark.parametrize("text", ["1_000", "\u0661", "inf", "1e999", "", "9" * 5000])
def test_a_score_is_a_finite_decimal(tmp_path, text):
    lines = [["a", "0", "1", "2"], ["b", "0", "1", text], ["c", "0", "1", "2"]]
    with pytest.raises(PredictionError, match="line 3 has the score") as fault:
        read(tmp_path, ["clip_id", "0", "1", "2"], *lines)
    assert len(fault.value.what) < len(str(tmp_path)) + 200


def test_scores_may_be_written_in_any_decimal_form(tmp_path):
    lines = [["a", "1.", "+.5", "-2"], ["b", "1E1", "11.0", "9e+0"], ["c", "1e-3", "2e-3", "0"]]
    assert read(tmp_path, ["clip_id", "0", "1", "2"], *lines) == [0, 1, 1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('clip_id,predicted\na,0\nb,"0\nc,0\n', "not valid CSV from line 3 on: unexpected end"),
        (
            f"clip_id,predicted\na,0\nb,{'x' * 200_000}\n",
            "not valid CSV from line 3 on: field larger",
        ),
        (f"clip_id,predicted\na,0\nb,0\n{'x' * 100_000},0\n", f"({'x' * 60}...)"),
    ],
)
def test_a_broken_line_is_named_and_a_long_value_is_cut(tmp_path, text, words):
    (tmp_path / "mine.csv").write_text(text)
    with pytest.raises(PredictionError) as fault:
        read_predicted(tmp_path / "mine.csv", CLIPS, CLASSES)
    assert words in fault.value.what
    assert len(fault.value.what) < len(str(tmp_path)) + 300


def test_blank_lines_are_passed_over_but_counted(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("clip_id,predicted\n\na,0\n  \nb,0\nc,left\n   ")
    assert read_predicted(path, CLIPS, CLASSES).tolist() == [0, 0, 0]
    path.write_text("clip_id,predicted\n\na,0\n  \nb,wrong\nc,1\n   ")
    with pytest.raises(PredictionError, match="line 5 predicts 'wrong'"):
        read_predicted(path, CLIPS, CLASSES)


def test_no_file_and_no_text_are_refused(tmp_path):
    with pytest.raises(PredictionError, match="No such file"):
        read_predicted(tmp_path / "absent.csv", CLIPS, CLASSES)
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PredictionError, match="not a UTF-8 CSV file"):
        read_predicted(tmp_path / "binary.csv", CLIPS, CLASSES)


@pytest.fixture
def scored(tmp_path, make_store):
    """Score the first ``right`` of the four test clips of fold 1 as right; runs stand beside."""
    reader = StoreReader(make_store())
    rows = [row for row in reader.table.rows if row.subject == "1"]

    def run(right, fold="1", **options):
        lines = [
            [row.clip_id, row.label if n < right else (row.label + 1) % 3]
            for n, row in enumerate(rows)
        ]
        path = write(tmp_path / "mine.csv", HEAD, *lines)
        return score(path, reader, fold, found(tmp_path / "runs"), **options)

    run.reader, run.rows = reader, rows
    return run


def beside(tmp_path, scored, right, **changes):
    """Write a run on the fixture's store and clips."""
    changes = {"ids": [row.clip_id for row in scored.rows]} | changes
    digest = scored.reader.attributes.digest
    write_run(tmp_path / "runs", right, folds=["1", "2"], digest=digest, **changes)


def test_the_score_is_counted_by_hand(tmp_path, scored):
    result = scored(3)
    assert (result.correct, result.total) == (3, 4)
    # Labels are 0, 1, 2, 0 and the last is wrong.
    assert result.macro == pytest.approx((1 / 2 + 1 + 1) / 3)
    assert "75.0 % of 4 test clips (3 right; Wilson 95 % interval" in result.sentence
    assert "synthetic" in result.title
    assert "No finished run on this store and fold" in result.notes[0]
    assert result.comparisons == ()


def test_an_unknown_fold_is_refused(scored):
    for fold in ("3", "all"):
        with pytest.raises(UsageError, match=r"has no fold") as fault:
            scored(1, fold=fold)
        assert "--fold 1, 2" in fault.value.hint


@pytest.mark.parametrize("modality", ["RGB", "", "rgb+", "rgb+rgb"])
def test_an_unknown_modality_is_refused_with_the_choices(scored, modality):
    with pytest.raises(UsageError, match="invalid --modality") as fault:
        scored(1, modality=modality)
    assert "rgb, depth" in fault.value.hint


def test_stored_runs_of_the_fold_are_paired_like_any_method(tmp_path, scored):
    for seed in (0, 1):
        beside(tmp_path, scored, "0000", seed=seed)
    beside(tmp_path, scored, "1111", method="i3d", modalities=("rgb", "depth"))
    beside(tmp_path, scored, "1111", method="other", fold="2")
    beside(tmp_path, scored, "1111", method="elsewhere", ids="wxyz")
    result = scored(4, name="ours")
    assert [one.title.split(":")[0] for one in result.comparisons] == [
        "ours against i3d",
        "ours against mtut",
    ]
    rows = [row for one in result.comparisons for row in one.rows]
    assert [row["tested_on"] for row in rows] == ["rgb", "depth", "rgb+depth", "rgb"]
    assert {row["family_size"] for row in rows} == {4}
    # All four clips against none, two seeds alike: 2 / 2**4, times the four of the family.
    assert (rows[3]["p_clips"], rows[3]["p_holm"]) == pytest.approx((0.125, 0.5))
    assert "INCOMPLETE, 1 of 2 folds" in result.comparisons[0].sentences[0]
    assert scored(4, name="mtut").title.startswith("mtut (yours) on tiny")
    only = scored(4, modality="depth")
    assert [one.rows[0]["tested_on"] for one in only.comparisons] == ["depth"]


def test_a_method_of_mixed_devices_is_left_out_and_said(tmp_path, scored):
    beside(tmp_path, scored, "0000", seed=0)
    beside(tmp_path, scored, "0000", seed=1, device="NVIDIA H200")
    result = scored(4)
    assert result.comparisons == ()
    assert "Not compared with mtut. " in result.notes[0]
