"""The commands `report compare` and `score`, as a user types them."""

import csv
import json

import pytest
from paired_runs import write_run
from typer.testing import CliRunner

from mtut_bench.cli import app
from mtut_bench.cli.options import show_error
from mtut_bench.errors import ComparisonError, UsageError
from mtut_bench.store_reader import StoreReader

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


def test_compare_prints_a_sentence_and_what_it_rests_on(runs):
    text = " ".join(call("report", "compare", "mtut", "i3d", "--runs", runs).split())
    assert "rgb: mtut 90.0 % against i3d 40.0 %: +50.0 points" in text
    assert "Seeds are never pooled" in text


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
    text = " ".join(call("score", path, *options).split())
    assert "guess [1]: 100.0 % of 4 test clips (4 right; Wilson 95 %" in text
    assert "No stored run of this store and fold" in text
    found = json.loads(call("score", path, *options, "--json"))
    assert (found["correct"], found["total"], found["macro"], found["rows"]) == (4, 4, 1.0, [])


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
