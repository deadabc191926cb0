import csv
import io

import pytest
from figure_runs import add_log, log_entry, make_run

from mtut_bench.errors import RunError
from mtut_bench.report.figures.training_rows import training_csv


def lines(content):
    return list(csv.DictReader(io.StringIO(content.decode())))


def test_stage_two_of_every_run_is_kept_as_numbers(tmp_path):
    alone = add_log(
        make_run(tmp_path, method="i3d", fold="2", folds=("1", "2")),
        [log_entry("alone", 0, "rgb", 2.5), log_entry("joint", 1, "rgb", 0.1 + 0.2)],
    )
    mtut = add_log(
        make_run(tmp_path, method="mtut", seed=3, identity={"overrides": {"beta": 1.0}}),
        [log_entry("joint", 1, "rgb", 1.0, ssa=4.0), log_entry("joint", 1, "depth", 2.0, ssa=5.0)],
    )
    found = lines(training_csv([alone, mtut]))
    assert [(r["method"], r["fold"], r["seed"], r["modality"], r["ssa"]) for r in found] == [
        ("i3d", "2", "0", "rgb", ""),
        ("mtut", "1", "3", "rgb", "4.0"),
        ("mtut", "1", "3", "depth", "5.0"),
    ]
    assert float(found[0]["cross_entropy"]) == 0.1 + 0.2
    assert [r["overrides"] for r in found] == ["{}", '{"beta":1.0}', '{"beta":1.0}']
    assert {r["run"] for r in found} == {run.record.id[:12] for run in (alone, mtut)}


def test_without_logs_there_is_no_file(tmp_path):
    assert training_csv([]) == b""
    assert training_csv([make_run(tmp_path)]) == b""


def test_a_damaged_log_is_named(tmp_path):
    run = make_run(tmp_path)
    (run.folder / "log.jsonl").write_text("{")
    with pytest.raises(RunError, match=r"log\.jsonl, line 1"):
        training_csv([run])
