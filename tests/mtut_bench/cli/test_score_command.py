"""`score` as a user types it."""

import csv
import json

import pytest
from command_line import call

from mtut_bench.errors import PredictionError, UsageError
from mtut_bench.store.reader import StoreReader


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
        "No finished run on this store and fold to compare with.",
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
    with pytest.raises(PredictionError, match="line 2 predicts ''"):
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
    with pytest.raises(UsageError, match=r"guess\.csv already exists"):
        call("score", path, *options, "--fold", "1")
    assert path.read_text() == "mine"


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


def test_folds_of_unknown_persons_are_marked(make_store, tmp_path):
    reader = StoreReader(make_store("users", subject_unit="user"))
    path = tmp_path / "guess.csv"
    clips = [row.clip_id for row in reader.table.rows if row.subject == "2"]
    path.write_text(
        "".join(f"{line}\n" for line in ["clip_id,predicted", *(f"{c},0" for c in clips)])
    )
    options = ["--fold", "2", "--store", "users", "--data", tmp_path, "--runs", tmp_path / "runs"]
    assert "fold 2 by user" in " ".join(call("score", path, *options, "--explain").split())
