"""Fit of training clips: from a run's record to a row, to notes of a table."""

import json

import pytest
from report_bench import add_run, report

from mtut_bench.runs.finished import find_runs
from mtut_bench.statistics.notes import fit_notes
from mtut_bench.statistics.rows import NO_FIT, result_rows

TRAINING = {"accuracy": 0.9, "cross_entropy": 0.3}
GOOD = {"accuracy": 0.95, "cross_entropy": 0.2, "num_named": 3}
BAD = {"accuracy": 0.4, "cross_entropy": 33.0, "num_named": 2}


@pytest.fixture
def add(tmp_path):
    """Write a run whose rgb network fits its training clips so; its depth network is not known."""

    def make(running=GOOD, recomputed=BAD, start=None, **options):
        folder = add_run(tmp_path / "runs", **options)
        path = folder / "manifest.json"
        manifest = json.loads(path.read_text())
        found = {"training_mode": TRAINING, "running": running, "recomputed": recomputed}
        if start:
            found["stage_two_start"] = start
        manifest["training"] = {"rgb": found}
        path.write_text(json.dumps(manifest))
        return folder

    return make


def rows_of(tmp_path):
    return {row["tested_on"]: row for row in result_rows(find_runs(tmp_path / "runs").runs)}


def test_a_row_has_the_fit_of_its_network_with_the_statistics_of_the_test(add, tmp_path):
    add()
    rows = rows_of(tmp_path)
    assert json.loads(rows["rgb"]["fit"]) == {"training": TRAINING, "evaluation": GOOD}
    assert rows["depth"]["fit"] == rows["rgb+depth"]["fit"] == NO_FIT


def test_a_good_fit_is_told_and_a_bad_one_is_warned_of(add, tmp_path):
    add()
    (line,) = fit_notes(rows_of(tmp_path).values())
    assert "rgb 95.0%, cross-entropy 0.2 (in training mode 90.0%, cross-entropy 0.3)" in line
    add(running=BAD, seed=1)
    warning, line = fit_notes(result_rows(find_runs(tmp_path / "runs").runs))
    assert warning.startswith("Warning: ")
    assert "on rgb (1 of 2 runs): evaluation mode" in warning
    assert "rgb 67.5%, cross-entropy 16.6" in line


def test_where_stage_two_began_is_told_of_methods_that_align(add, tmp_path):
    add(start={"ssa": 8.0, "w": 4.0, "rho_mean": 0.5})
    add(start={"ssa": 12.0, "w": 6.0, "rho_mean": 0.5}, seed=1)
    rows = result_rows(find_runs(tmp_path / "runs").runs)
    assert {json.loads(row["fit"])["start"]["w"] for row in rows if row["fit"] != NO_FIT} == {4, 6}
    _, line = fit_notes(rows)
    assert "rgb S 10, w 5" in line
    # An objective of a user's own that logs neither.
    add(start={"cross_entropy": 1.0}, seed=2)
    _, line = fit_notes(result_rows(find_runs(tmp_path / "runs").runs))
    assert "rgb S 10, w 5" in line


def test_runs_of_earlier_releases_have_nothing_to_tell(tmp_path):
    add_run(tmp_path / "runs")
    assert fit_notes(rows_of(tmp_path).values()) == []


def test_the_warning_stands_below_the_table_and_on_paper(add, tmp_path):
    add(running=BAD, complete=False)
    result = report(tmp_path)
    assert any("Warning: " in note for table in result.tables for note in table.notes)
    assert "Warning: " in (tmp_path / "out" / "tables.md").read_text()
