"""The commands `report compare` and `score`, as a user types them."""

import csv
import json
import re

import pytest
from paired_runs import write_run
from typer.testing import CliRunner

from mtut_bench.cli import app
from mtut_bench.cli.options import show_error
from mtut_bench.errors import ComparisonError, PredictionError, UsageError
from mtut_bench.runs.listing import list_runs
from mtut_bench.store.reader import StoreReader

OFFICIAL = {"folds": ["official"], "fold": "official"}


def call(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def runs(tmp_path):
    write_run(tmp_path / "runs", "1111110111", **OFFICIAL)
    write_run(tmp_path / "runs", "0000001111", method="i3d", **OFFICIAL)
    return tmp_path / "runs"


def test_compare_ends_with_three_lines_and_explains_itself_when_asked(runs):
    command = ("report", "compare", "mtut", "i3d", "--runs", runs)
    lines = call(*command).splitlines()
    assert lines[-3].startswith("mtut against i3d, rgb: +50.0 points, 95 % interval [")
    assert lines[-2:] == [
        "Which is better is not established (p = 0.12; 1 person, 10 clips).",
        "More: --explain.",
    ]
    assert max(map(len, lines)) <= 80
    assert "McNemar" not in "".join(lines)
    explained = call(*command, "--explain")
    text = " ".join(explained.split())
    assert "rgb: mtut 90.0 % against i3d 40.0 %: +50.0 points" in text
    assert "Seeds are never pooled" in text
    assert explained.splitlines()[-2:] == lines[-3:-1]


def test_compare_says_what_was_left_out_without_being_asked(runs):
    write_run(runs, "1111110111", overrides={"epochs": 3}, **OFFICIAL)
    write_run(runs, "1111110111", seed=1, **OFFICIAL)
    text = " ".join(call("report", "compare", "mtut", "i3d", "--runs", runs).split())
    assert "1 of mtut's runs, with changed options" in text
    assert "seed 1 of mtut" in text


def test_compare_gives_raw_numbers(runs):
    found = json.loads(call("report", "compare", "mtut", "i3d", "--runs", runs, "--json"))
    assert found["rows"][0]["p_clips"] == pytest.approx(0.125)
    assert found["title"].startswith("mtut against i3d: viva, 885 clips")


def test_report_itself_still_writes_tables(runs, tmp_path):
    assert "Table 1." in call("report", "--runs", runs, "--out", tmp_path / "out")
    assert (tmp_path / "out" / "rows" / "viva-paper.csv").exists()
    assert not (runs / "report").exists()


def test_compare_writes_nothing(runs):
    before = sorted(runs.rglob("*"))
    call("report", "compare", "mtut", "i3d", "--runs", runs)
    assert sorted(runs.rglob("*")) == before


def test_options_before_compare_are_refused(runs):
    with pytest.raises(UsageError, match=r"--runs stands before compare"):
        call("report", "--runs", runs, "compare", "mtut", "i3d")


def test_a_missing_method_is_named(runs):
    with pytest.raises(ComparisonError, match="no finished run of c3d; there are runs of i3d, mt"):
        call("report", "compare", "mtut", "c3d", "--runs", runs)


def test_score_of_a_file(make_store, tmp_path):
    reader = StoreReader(make_store("mine"))
    path = tmp_path / "guess [1].csv"
    with path.open("w", newline="") as file:
        clips = [row for row in reader.table.rows if row.subject == "2"]
        csv.writer(file).writerows(
            [["clip_id", "predicted"], *([row.clip_id, row.label] for row in clips)]
        )
    options = ["--fold", "2", "--store", "mine", "--data", tmp_path, "--runs", tmp_path / "runs"]
    output = call("score", path, *options)
    assert output.splitlines()[-3:] == [
        "guess [1]: 100.0 % of 4 test clips, 95 % interval [51.0, 100.0]; chance 33.3 %.",
        "No stored run of this store and fold: nothing to compare with.",
        "Not comparable with published numbers: synthetic, 1 of 2 folds. More: --explain.",
    ]
    text = " ".join(call("score", path, *options, "--explain").split())
    assert "guess [1]: 100.0 % of 4 test clips (4 right; Wilson 95 %" in text
    found = json.loads(call("score", path, *options, "--json"))
    assert (found["correct"], found["total"], found["macro"], found["rows"]) == (4, 4, 1.0, [])


def test_a_template_filled_in_is_scored(make_store, tmp_path):
    reader = StoreReader(make_store("mine"))
    path = tmp_path / "new" / "guess.csv"
    options = ["--fold", "2", "--store", "mine", "--data", tmp_path, "--runs", tmp_path / "runs"]
    text = " ".join(call("score", path, "--template", *options).split())
    assert "the 4 test clips of fold 2 of mine" in text
    assert "0 left, 1 right, 2 up" in text
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    test = [row for row in reader.table.rows if row.subject == "2"]
    assert [line["clip_id"] for line in lines] == sorted(row.clip_id for row in test)
    assert {line["predicted"] for line in lines} == {""}
    with pytest.raises(PredictionError, match="line 2 has no prediction"):
        call("score", path, *options)
    for line in lines:
        line["predicted"] = "left"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, lines[0])
        writer.writeheader()
        writer.writerows(lines)
    right = sum(row.label == 0 for row in test)
    found = json.loads(call("score", path, *options, "--json"))
    assert (found["correct"], found["total"]) == (right, 4)


def test_a_template_replaces_nothing_and_wants_a_fold(make_store, tmp_path):
    make_store("mine")
    path = tmp_path / "guess.csv"
    options = ["--template", "--store", "mine", "--data", tmp_path]
    with pytest.raises(UsageError, match="no fold 'official'"):
        call("score", path, *options)
    assert not path.exists()
    path.write_text("mine")
    with pytest.raises(UsageError, match=r"guess\.csv is there already"):
        call("score", path, *options, "--fold", "1")
    assert path.read_text() == "mine"


def test_clips_are_listed_with_what_predictions_need(make_store, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    reader = StoreReader(make_store("mine"))
    options = ["--store", "mine", "--data", tmp_path]
    lines = call("list", "clips", *options, "--fold", "all").splitlines()
    assert [re.split("  +", line) for line in lines[:-2]] == [
        ["clip_id", "label", "class", "person", "frames", "fold 1", "fold 2"],
        *(
            [
                row.clip_id,
                str(row.label),
                ("left", "right", "up")[row.label],
                row.subject,
                str(row.num_frames),
                *(("test", "train") if row.subject == "1" else ("train", "test")),
            ]
            for row in reader.table.rows
        ),
    ]
    assert lines[-1].startswith("8 clips in ")
    assert "fold 1" not in call("list", "clips", *options)
    with pytest.raises(UsageError, match="no fold '3'"):
        call("list", "clips", *options, "--fold", "3")


def test_clips_of_a_split_say_which(make_store, make_rows, tmp_path):
    rows = make_rows(subjects=("1", "2", "3"), splits=("train", "val", "test"))
    make_store("split", rows=rows, fold_rule="split")
    lines = call("list", "clips", "--store", "split", "--data", tmp_path, "--fold", "official")
    cells = [re.split("  +", line) for line in lines.splitlines()[:-2]]
    assert cells[0][3:] == ["person", "split", "frames", "fold official"]
    assert all(line[4] == line[6] for line in cells[1:])


def test_options_of_clips_are_refused_elsewhere(tmp_path):
    with pytest.raises(UsageError, match=r"`list stores` takes no --fold\."):
        call("list", "stores", "--data", tmp_path, "--fold", "1")


def test_listed_runs_show_their_accuracies(runs):
    write_run(runs, ["1111100000", "1111111000"], modalities=("rgb", "depth"), **OFFICIAL)
    broken = write_run(runs, "1111111111", seed=3, **OFFICIAL)
    (broken / "predictions.npz").write_bytes(b"")
    write_run(runs, "1110000000", seed=4, overrides={"epochs": 3}, **OFFICIAL)
    for path in runs.glob("*/*/manifest.json"):
        manifest = json.loads(path.read_text())
        manifest["provenance"]["finished"] = "2026-01-02T03:04:05+00:00"
        path.write_text(json.dumps(manifest))
    found = [text for _, text in list_runs(runs)]
    assert sorted(text.partition("; finished")[0].partition(": ")[2] for text in found)[1:] == [
        "rgb 30.0%",
        "rgb 40.0%",
        # Where one is right and the other as sure of the next class, the lower class counts:
        # that of clip 6, of label 0, but not of clip 5, of label 2.
        "rgb 50.0%, depth 70.0%, fused 60.0%",
        "rgb 90.0%",
    ]
    assert any("predictions.npz: truncated or corrupt" in text for text in found)
    assert any("protocol paper with epochs=3: rgb 30.0%" in text for text in found)


def test_names_cannot_steer_the_terminal(make_store, tmp_path):
    reader = StoreReader(make_store("mine"))
    path = tmp_path / "guess.csv"
    clips = [row for row in reader.table.rows if row.subject == "2"]
    path.write_text("clip_id,predicted\n" + "".join(f"{c.clip_id},{c.label}\n" for c in clips))
    options = ["--fold", "2", "--store", "mine", "--data", tmp_path, "--runs", tmp_path / "runs"]
    text = call("score", path, *options, "--name", "a\nb\x1b[31mred\x07")
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "a b\ufffd[31mred\ufffd on mine" in " ".join(text.split())


def test_methods_of_a_run_cannot_steer_the_terminal(runs):
    write_run(runs, "0000000000", method="x\x1b[2J", **OFFICIAL)
    text = call("report", "compare", "mtut", "x\x1b[2J", "--runs", runs)
    assert "\x1b" not in text
    assert "x\ufffd[2J" in text


def test_errors_cannot_steer_the_terminal(capsys):
    show_error(UsageError("no \x1b[2Jname\nof it", "try \x9b[bold]"))
    said = capsys.readouterr().err
    assert "no \ufffd[2Jname\nof it" in said
    assert "try \ufffd[bold]" in said
