"""Predictions from elsewhere that are kept as runs."""

import json

import pytest
from command_line import call
from run_bench import MACHINE, Lines

from mtut_baselines import METHODS
from mtut_bench.contract.predictions import accuracies, read
from mtut_bench.errors import UsageError
from mtut_bench.runs.finished import find_runs
from mtut_bench.runs.given import keep_predictions
from mtut_bench.runs.spec import RunSpec
from mtut_bench.statistics.rows import result_rows
from mtut_bench.store.reader import StoreReader


@pytest.fixture
def spec(make_store, tmp_path):
    def make(**changes):
        values = {"method": "theirs", "protocol": "given", "fold": "1", "modalities": ("rgb",)}
        values |= {"store": str(make_store()), "runs": str(tmp_path / "runs")}
        return RunSpec(**(values | changes))

    return make


def right_but(reader, num_wrong):
    """Return the true class of every clip, but for the first few."""
    rows = reader.table.rows
    return {row.clip_id: (row.label + (n < num_wrong)) % 3 for n, row in enumerate(rows)}


def test_kept_predictions_are_a_run_like_any(spec):
    asked = spec()
    predicted = right_but(StoreReader(asked.store), 8)
    plan = keep_predictions("theirs", predicted, asked, METHODS, MACHINE, Lines())
    found = read(plan.folder / "predictions.npz")
    assert found.kind == "margins"
    wrong = [clip for clip in found.clip_ids if int(clip[4:]) < 8]
    assert accuracies(found) == {"rgb": 1 - len(wrong) / len(found.clip_ids)}
    (row,) = result_rows(find_runs(plan.runs).runs)
    assert (row["method"], row["protocol"], row["tables"]) == ("theirs", "given", "")
    assert row["learning_rate"] == ""


def test_other_predictions_are_another_run(spec):
    reader = StoreReader(spec().store)
    ids = {
        keep_predictions(
            "theirs", right_but(reader, number), spec(), METHODS, MACHINE, Lines()
        ).run_id
        for number in (0, 8, 8)
    }
    assert len(ids) == 2


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("mtut", {}, "is taken"),
        ("MTUT-F", {}, "is taken"),
        ("theirs", {"modalities": ()}, "need one modality"),
        ("theirs", {"modalities": ("rgb", "depth")}, "need one modality"),
        ("theirs", {"protocol": "none"}, "unknown protocol 'none'"),
    ],
)
def test_what_cannot_be_kept_is_refused(spec, name, changes, words):
    asked = spec(**changes)
    with pytest.raises(UsageError, match=words):
        keep_predictions(
            name, right_but(StoreReader(asked.store), 0), asked, METHODS, MACHINE, Lines()
        )
    assert find_runs(asked.runs).runs == ()


def test_score_keeps_what_it_scored_for_the_report(prepared, tmp_path):
    file, runs = tmp_path / "theirs.csv", ("--runs", tmp_path / "runs")
    where = ("--dataset", "viva-synthetic", "--data", prepared, *runs)
    for fold in ("1", "2"):
        file.unlink(missing_ok=True)
        call("score", file, "--fold", fold, "--template", *where)
        file.write_text(file.read_text().replace(",\n", ",3\n"))
        text = call(
            "score", file, "--fold", fold, "--keep", "--modality", "depth", "--json", *where
        )
        assert json.loads(text)["total"] == 19
    table = call("report", *runs)
    assert "protocol given" in " ".join(table.split())
    assert "theirs" in table
    (again,) = {run.record.method.name for run in find_runs(tmp_path / "runs").runs}
    assert again == "theirs"
