"""Cells: which interval is printed, what is never mixed, and that rows alone are enough."""

import json

import pytest
from report_bench import OFFICIAL, found, write_folds, write_run

from mtut_bench.contract.published import load_published
from mtut_bench.report.tables.local import local_tables
from mtut_bench.report.tables.published_tables import published_table
from mtut_bench.report.tables.table import number_of
from mtut_bench.statistics.cells import aggregate, legend
from mtut_bench.statistics.rows import result_rows


def texts(table):
    return [[*map(str, row)] for row in table.rows]


def rows_of(runs):
    return result_rows(found(runs))


def cell_of(runs):
    return aggregate(rows_of(runs))


def test_a_row_counts_each_person(tmp_path):
    write_run(tmp_path, "110100", subjects="bab" + "abb", **OFFICIAL)
    (row,) = rows_of(tmp_path)
    assert json.loads(row["per_subject"]) == {"a": [2, 2], "b": [1, 4]}
    assert row["subject_unit"] == "person"
    # Labels are 0 1 2 0 1 2; right are clips 0, 1 and 3: classes 2/2, 1/2, 0/2.
    assert row["macro"] == pytest.approx((1 + 0.5 + 0) / 3)


def test_persons_that_differ_give_the_bootstrap(tmp_path):
    write_folds(tmp_path, ["1" * 30, "0" * 30] * 4)
    cell = cell_of(tmp_path)
    assert cell.interval == cell.bootstrap
    # Means of eight draws of 0 or 1: the binomial's 2.5 % quantiles are 1 and 7 of 8.
    assert cell.interval == pytest.approx((12.5, 87.5))
    assert cell.num_persons == 8
    assert str(number_of(cell, 2)) == "50.00 [12.5, 87.5] \u00b1 53.45"


def test_two_persons_alike_give_wilson_and_never_an_interval_without_width(tmp_path):
    write_folds(tmp_path, ["10", "10"], folds=["1", "2"])
    cell = cell_of(tmp_path)
    assert cell.bootstrap == pytest.approx((50.0, 50.0))
    # Wilson of 2 of 4 by hand: (0.5 + z2/8 -+ z sqrt(1/16 + z2/64)) / (1 + z2/4), z2 = 3.8415.
    assert cell.interval == pytest.approx((15.0036, 84.9964), abs=1e-3)
    assert cell.interval == cell.wilson


def test_one_test_set_resamples_its_persons_and_counts_clips_alike(tmp_path):
    write_run(tmp_path, "1" * 40 + "0" * 20, subjects="a" * 40 + "b" * 20, **OFFICIAL)
    cell = cell_of(tmp_path)
    assert cell.mean == pytest.approx(100 * 40 / 60)
    assert cell.bootstrap == pytest.approx((0.0, 100.0))
    assert str(number_of(cell, 1)) == "66.7 [0.0, 100.0]"


def test_one_person_and_one_seed_have_wilson_alone(tmp_path):
    write_run(tmp_path, "110", **OFFICIAL)
    cell = cell_of(tmp_path)
    assert cell.bootstrap is None
    assert cell.interval == cell.wilson


def test_the_legend_explains_what_is_there(tmp_path):
    write_folds(tmp_path, ["1101", "0101"], folds=list("12"))
    complete = cell_of(tmp_path)
    assert "wider of the bootstrap over persons and seeds" in legend([complete])
    assert "standard deviation over folds" in legend([complete])
    write_run(tmp_path / "b", "1", fold="1")
    assert legend([cell_of(tmp_path / "b")]) == (
        "accuracy in percent; incomplete where a number of finished folds is given"
    )
    assert legend([]) == ""


def test_devices_are_never_mixed_in_a_cell_of_an_own_table(tmp_path):
    write_run(tmp_path, "1101", fold="1", folds=["1", "2"], modalities=("rgb", "depth"))
    changes = {"device": "NVIDIA H200", "modalities": ("rgb", "depth")}
    write_run(tmp_path, "1111", fold="2", folds=["1", "2"], **changes)
    write_run(
        tmp_path, "1100", fold="1", folds=["1", "2"], method="i3d", modalities=("rgb", "depth")
    )
    (table,) = local_tables(rows_of(tmp_path))
    assert texts(table) == [
        ["I3D", "1/2", "1", *["50.0 (1 of 2 folds)"] * 3],
        ["MTUT", "-", "-", "-", "-", "-"],
    ]
    words = "MTUT: Matching runs differ in device (NVIDIA H200, cpu) and are not mixed."
    assert words in table.notes
    raw = [cell for cell in table.cells if cell["method"] == "MTUT"]
    assert {cell["measured"] for cell in raw} == {""}
    assert {cell["note"] for cell in raw} == {words.removeprefix("MTUT: ")}


def test_devices_are_never_mixed_beside_a_printed_number(tmp_path):
    write_folds(tmp_path, ["1101"] * 7, modalities=("rgb", "depth"))
    write_run(tmp_path, "1101", fold="8", modalities=("rgb", "depth"), device="NVIDIA H200")
    published = load_published()
    table = published_table(published.tables["1"], rows_of(tmp_path), published)
    assert all(cell["measured"] == "" for cell in table.cells)
    assert any("differ in device (NVIDIA H200, cpu)" in note for note in table.numbered)


def test_wilson_of_uneven_folds_has_the_variance_of_their_mean(tmp_path):
    write_folds(tmp_path, ["1" * 40 + "0" * 40, "1100", "1100", "1100"], folds=list("1234"))
    cell = cell_of(tmp_path)
    # Worth 16 / (1/80 + 3/4) = 20.98 clips, not 92: p (1 - p) sum(1 / n) / 16 = p (1 - p) / 20.98.
    n, z2 = 16 / (1 / 80 + 3 / 4), 3.841458820694124
    half = (z2 * (0.25 / n + z2 / (4 * n * n))) ** 0.5 / (1 + z2 / n)
    assert cell.wilson == pytest.approx((50 - 100 * half, 50 + 100 * half))
    assert cell.wilson == pytest.approx((30.4, 69.6), abs=0.1)


def refusal(rows):
    (table,) = local_tables(rows)
    assert texts(table) == [["MTUT", "-", "-", "-"]]
    assert {cell["measured"] for cell in table.cells} == {""}
    assert not any("at chance" in note for note in table.notes)
    return table.cells[0]["note"]


def test_two_runs_of_one_fold_and_seed_are_not_chosen_between(tmp_path):
    names = [write_run(tmp_path, "1101", seed=seed, **OFFICIAL) for seed in (0, 1)]
    said = refusal([{**row, "seed": 0} for row in rows_of(tmp_path)])
    assert said.endswith("both have fold official and seed 0: neither is used.")
    assert all(folder.name in said for folder in names)


def test_seeds_that_tested_other_persons_are_not_mixed(tmp_path):
    for seed, subjects in enumerate(("aabb", "aabc")):
        write_run(tmp_path, "1101", seed=seed, subjects=subjects, **OFFICIAL)
    assert "tested different clips or persons of fold official" in refusal(rows_of(tmp_path))


@pytest.mark.parametrize("clips", [31, 33])
def test_folds_that_do_not_hold_all_clips_fill_no_published_cell(tmp_path, clips):
    published = load_published()
    write_folds(tmp_path / "whole", ["1101"] * 8, modalities=("rgb", "depth"), num_clips=32)
    table = published_table(published.tables["1"], rows_of(tmp_path / "whole"), published)
    assert [cell["measured"] for cell in table.cells if cell["measured"] != ""] == [75.0] * 2
    write_folds(tmp_path / "part", ["1101"] * 8, modalities=("rgb", "depth"), num_clips=clips)
    table = published_table(published.tables["1"], rows_of(tmp_path / "part"), published)
    assert all(cell["measured"] == "" for cell in table.cells)
    assert any(f"test 32 clips, but the store has {clips}" in note for note in table.numbered)


def test_the_lines_that_share_a_name_say_what_differs(tmp_path):
    write_run(tmp_path, "1101", **OFFICIAL)
    write_run(tmp_path, "1101", weights_digest="b", **OFFICIAL)
    write_run(tmp_path, "1101", method="i3d", weights_digest="a", **OFFICIAL)
    (table,) = local_tables(rows_of(tmp_path))
    assert "Lines of the same name differ in starting weights." in table.notes
