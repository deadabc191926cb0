"""`list` as a user types it."""

import json
import re

import pytest
from command_line import call
from report_bench import OFFICIAL, write_run
from typer.testing import CliRunner

from mtut_baselines import CONTROLS, METHODS
from mtut_bench.cli import app
from mtut_bench.cli.printing import console
from mtut_bench.errors import UsageError
from mtut_bench.runs.listing import list_runs
from mtut_bench.store.reader import StoreReader


def test_methods_are_listed_by_what_differs(monkeypatch):
    # What COLUMNS says is read when the program starts.
    monkeypatch.setattr(console, "_width", 300)
    text = CliRunner().invoke(app, ["list", "methods"]).output
    methods, controls = text.split("\ncontrols")
    for name, method in METHODS.items():
        assert method.summary
        part = controls if name in CONTROLS else methods
        (line,) = [line for line in part.splitlines() if line.split()[:1] == [name]]
        assert method.summary in line


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
    with pytest.raises(UsageError, match="unknown fold '3'"):
        call("list", "clips", *options, "--fold", "3")


def test_folds_of_unknown_persons_are_those_of_users(make_store, tmp_path):
    make_store("users", subject_unit="user")
    lines = call("list", "clips", "--store", "users", "--data", tmp_path, "--fold", "2")
    head, *rows = [re.split("  +", line) for line in lines.splitlines()[:-2]]
    assert head[3:] == ["user", "frames", "fold 2"]
    assert all((row[3] == "2") == (row[5] == "test") for row in rows)


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
