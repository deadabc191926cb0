import json
from dataclasses import replace

import numpy as np
import pytest
from report_bench import (
    I3D,
    add_folds,
    add_run,
    edit,
    measured,
    nvgesture,
    own,
    paper,
    printed,
    report,
    scores,
)

from mtut_bench.contract import predictions
from mtut_bench.errors import PredictionError, RunError
from mtut_bench.runs.finished import find_runs
from mtut_bench.statistics.rows import COLUMNS, result_rows


def test_without_runs_nothing_is_written_and_the_printed_numbers_can_be_shown(tmp_path):
    result = report(tmp_path)
    assert [table.key for table in result.tables] == list("1234567")
    assert measured(result) == {}
    text = printed(result)
    assert f"no finished runs in {tmp_path / 'runs'}" in " ".join(text.split())
    assert "81.33" not in text
    assert "81.33" in printed(result, published=("1",))
    assert (result.rows, result.paths) == ((), ())
    assert list(tmp_path.iterdir()) == []


def test_what_was_measured_is_printed_first_and_other_tables_not_at_all(tmp_path):
    add_folds(tmp_path / "runs", range(1, 9))
    add_run(tmp_path / "runs", name="drawn", origin="synthetic")
    result = report(tmp_path)
    assert [table.key for table in result.tables] == ["own-1", *"1234567"]
    text = printed(result)
    heads = ["Synthetic recordings (", "Table 1. ", "Table 4. ", "Measured: "]
    places = [text.index(head) for head in heads]
    assert places == sorted(places)
    assert [f"Table {number}. " in text for number in "23567"] == [False] * 5
    assert "Table 2, 3, 5, 6, 7 of the paper; `--tables all`" in text


def test_complete_recorded_runs_of_the_papers_protocol_stand_beside_it(tmp_path):
    add_folds(tmp_path / "runs", range(1, 9))
    result = report(tmp_path)
    assert measured(result) == {
        ("1", "MTUT", "rgb"): pytest.approx(45.0),
        ("1", "MTUT", "depth"): pytest.approx(45.0),
        ("4", "MTUT-F", "rgb+depth"): pytest.approx(45.0),
    }
    assert own(result) == []
    cell = paper(result, "1").cells[-1]
    assert cell["difference"] == pytest.approx(45.0 - 81.31)
    assert cell["spread"] == pytest.approx(np.std(np.arange(1, 9) * 10.0, ddof=1))
    assert (cell["correct"], cell["total"]) == (36, 80)
    # Student's interval by hand: 45 -+ 2.365 * 24.495 / sqrt(8) = [24.5, 65.5].
    assert (cell["ci_low"], cell["ci_high"]) == pytest.approx((24.5, 65.5), abs=2.0)
    interval = f"[{cell['ci_low']:.1f}, {cell['ci_high']:.1f}]"
    assert f"45.00 {interval} \u00b1 {cell['spread']:.2f}" in printed(result)
    notes = paper(result, "1").notes
    assert "Store viva (dddddddddddd), protocol paper version 1, device cpu." in notes
    assert any("seed 0." in note for note in notes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"origin": "synthetic"}, "Synthetic recordings (viva, 80 of 80 clips), protocol paper"),
        ({"complete": False, "num_clips": 25}, "Real recordings (viva, 25 of 80 clips)"),
        ({"protocol": {"name": "demo", "tables": []}}, "Protocol demo, not the paper's"),
        ({"dataset": "viva-like"}, "no published counterpart"),
        ({"identity": {"overrides": {"epochs": 3}}}, "Protocol paper with epochs=3 changed"),
        ({"identity": {"overrides": {"fold_unit": "user"}}}, "Protocol paper, folds by user (one"),
    ],
)
def test_nothing_else_ever_stands_beside_a_printed_number(tmp_path, changes, words):
    add_folds(tmp_path / "runs", [5] * 8, **changes)
    result = report(tmp_path)
    assert measured(result) == {}
    (table,) = own(result)
    assert words in table.heading
    assert table.columns[-3:] == ("rgb", "depth", "rgb+depth")
    assert str(table.rows[0][-1]) == "50.0 [39.3, 60.7] \u00b1 0.0"


@pytest.mark.parametrize(
    "changes",
    [{"origin": "synthetic"}, {"complete": False}, {"protocol": {"name": "demo", "tables": []}}],
)
def test_folds_by_user_are_marked_whatever_else_a_heading_says(tmp_path, changes):
    identity = {"overrides": {"beta": 3.0, "fold_unit": "user"}}
    add_run(tmp_path / "runs", identity=identity, **changes)
    (table,) = own(report(tmp_path))
    assert "with beta=3.0 changed, folds by user (one person may be on" in table.heading


def test_seven_of_eight_folds_are_no_average_and_the_reason_is_printed(tmp_path):
    add_folds(tmp_path / "runs", [5] * 7)
    result = report(tmp_path)
    assert measured(result) == {}
    assert own(result) == []
    text = printed(result)
    assert "Table 1. " in text
    assert "Table 3. " not in text
    assert "Done: 7 of 8 folds" in text
    assert "has changed" not in text


def test_an_incomplete_cell_of_a_local_table_says_so(tmp_path):
    add_folds(tmp_path / "runs", [5, 6, 10], origin="synthetic")
    (table,) = own(report(tmp_path))
    assert [*map(str, table.rows[0])] == ["MTUT", "3/8", "1", *["70.0 (3 of 8 folds)"] * 3]
    assert "30 test clips in 3 of 8 folds" in table.notes[0]


def test_seeds_are_averaged_after_folds_and_a_partial_seed_is_left_out(tmp_path):
    add_folds(tmp_path / "runs", [4] * 8, seed=0)
    add_folds(tmp_path / "runs", [8] * 8, seed=1)
    add_folds(tmp_path / "runs", [10] * 3, seed=2)
    cell = paper(report(tmp_path), "1").cells[-1]
    assert cell["measured"] == pytest.approx(60.0)
    assert (cell["seeds"], cell["correct"], cell["total"]) == ("0 1", 48, 80)
    assert "seed 2 (3) of 8" in cell["note"]


def changed_store(**changes):
    return {"digest": "e" * 64, "identity": {"store_digest": "e" * 64}} | changes


def test_a_store_that_changed_between_folds_fills_no_cell_and_is_said(tmp_path):
    add_folds(tmp_path / "runs", [5] * 7)
    add_run(tmp_path / "runs", fold="8", **changed_store())
    result = report(tmp_path)
    assert measured(result) == {}
    text = printed(result, width=200)
    assert "Matching runs differ in store digest and are not mixed." in text
    assert (
        "The store viva has changed between runs: 7 runs on dddddddddddd, 1 run on eeeeeeeeeeee."
    ) in text


def test_a_store_that_changed_has_two_local_tables_with_two_headings(tmp_path):
    add_run(tmp_path / "runs", 4, origin="synthetic")
    add_run(tmp_path / "runs", 8, fold="2", origin="synthetic", **changed_store())
    first, second = own(report(tmp_path))
    shown = [str(table.rows[0][-1]) for table in (first, second)]
    assert shown == ["40.0 (1 of 8 folds)", "80.0 (1 of 8 folds)"]
    assert "store digest dddddddddddd" in first.heading
    assert "store digest eeeeeeeeeeee" in second.heading


def test_rows_that_name_their_training_set_want_exactly_it(tmp_path):
    add_run(tmp_path / "runs", 6, modalities=("rgb", "depth"), **nvgesture())
    assert measured(report(tmp_path)) == {("6", "MTUT-F", "rgb+depth"): pytest.approx(60.0)}
    (table,) = own(report(tmp_path))
    assert table.heading.startswith("Real recordings (nvgesture, all 1,532 clips)")
    assert table.columns[-2:] == ("rgb", "depth")
    add_run(tmp_path / "runs", 7, modalities=("rgb", "depth", "flow"), **nvgesture())
    found = [
        (cell["trained_on"], cell["tested_on"], round(cell["measured"]))
        for cell in paper(report(tmp_path), "6").cells
        if cell["measured"] != ""
    ]
    assert found == [
        ("rgb+depth", "rgb+depth", 60),
        ("rgb+depth+flow", "rgb+depth", 70),
        ("rgb+depth+flow", "rgb+flow", 70),
        ("rgb+depth+flow", "rgb+depth+flow", 70),
    ]


def test_networks_trained_alone_fill_cells_from_any_set_that_holds_them(tmp_path):
    add_run(tmp_path / "runs", 6, method=I3D, modalities=("rgb", "depth"), **nvgesture())
    found = measured(report(tmp_path))
    assert set(found) == {
        ("3", "I3D", "rgb"),
        ("3", "I3D", "depth"),
        ("6", "I3D", "rgb+depth"),
    }
    add_run(tmp_path / "runs", 6, method=I3D, modalities=("rgb", "depth", "flow"), **nvgesture())
    assert len(measured(report(tmp_path))) == 6
    (table,) = own(report(tmp_path))
    assert table.columns[-1] == "depth+flow"


def test_a_joint_method_of_another_set_does_not_answer_a_line_without_one(tmp_path):
    add_folds(tmp_path / "runs", [5] * 8, modalities=("rgb", "depth", "flow"))
    result = report(tmp_path)
    assert measured(result) == {}
    assert len(own(result)) == 1


def test_one_test_set_shows_the_interval_of_its_clips(tmp_path):
    add_run(tmp_path / "runs", 6, origin="synthetic", **nvgesture())
    (table,) = own(report(tmp_path))
    assert str(table.rows[0][-1]) == "60.0 [31.3, 83.2]"


def test_chance_is_said(tmp_path):
    add_run(tmp_path / "runs", 2, origin="synthetic", **nvgesture())
    (table,) = own(report(tmp_path))
    assert "Chance is 20.0 % (1 of 5 classes); 10 test clips" in table.notes[0]
    assert "untested on real ones" in table.notes[1]
    assert "at chance" in table.notes[2]
    add_run(tmp_path / "runs", 9, seed=1, method=I3D, origin="synthetic", **nvgesture())
    (table,) = own(report(tmp_path))
    assert not any("at chance" in note for note in table.notes)
    assert not any("above chance" in note for note in table.notes)


def test_that_every_number_is_above_chance_is_said_of_some_of_the_folds_too(tmp_path):
    # Ten of ten clips in one of eight folds; Wilson's interval starts at 72.2 %.
    add_run(tmp_path / "runs", 10, origin="synthetic")
    (table,) = own(report(tmp_path))
    assert "(1 of 8 folds)" in str(table.rows[0][-1])
    (note,) = (note for note in table.notes if "above chance" in note)
    assert "starts at 72.2 %" in note


def test_rows_hold_every_subset_with_hand_counted_numbers(tmp_path):
    add_run(tmp_path / "runs", 7, modalities=("flow", "rgb", "depth"))
    rows = result_rows(find_runs(tmp_path / "runs").runs)
    found = [row for row in rows if row["metric"] == "accuracy"]
    assert [row["tested_on"] for row in found] == [
        "rgb",
        "depth",
        "flow",
        "rgb+depth",
        "rgb+flow",
        "depth+flow",
        "rgb+depth+flow",
    ]
    assert {(row["correct"], row["total"], row["value"]) for row in found} == {(7, 10, 0.7)}
    assert {row["modalities"] for row in found} == {"rgb+depth+flow"}
    assert all(set(row) == set(COLUMNS) for row in rows)


def test_runs_in_progress_are_counted_and_other_folders_passed_over(tmp_path):
    runs = tmp_path / "runs"
    folder = add_run(runs)
    for name in ("viva/0123456789ab", "stages/0123456789ab", ".cache/0123456789ab", "report/x"):
        (runs / name).mkdir(parents=True)
    (runs / "notes.txt").write_text("mine")
    found = find_runs(runs)
    assert (len(found.runs), found.num_in_progress) == (1, 1)
    assert found.runs[0].folder == folder
    assert "Unfinished and not counted: 1 run" in " ".join(report(tmp_path).remarks)


def predict_twice(folder):
    found = scores(5, prefix="fold1-")
    ids = (*found.clip_ids[:9], found.clip_ids[0])
    predictions.write(folder / "predictions.npz", replace(found, clip_ids=ids))


def name_twice(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    lists = {name: [*manifest[name], manifest[name][0]] for name in ("test_clips", "test_subjects")}
    edit(folder, **lists, test_frames=[40] * 11)


def truncate(folder):
    path = folder / "predictions.npz"
    path.write_bytes(path.read_bytes()[:-40])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: edit(folder, format_version=3), "format version 3"),
        (lambda folder: (folder / "predictions.npz").unlink(), "predictions.npz"),
        (lambda folder: edit(folder, store={}), "store.name"),
        (lambda folder: folder.rename(folder.with_name("f" * 12)), "folder"),
        (lambda folder: edit(folder, test_clips=[f"other-{n}" for n in range(10)]), "10 missing"),
        (predict_twice, "1 missing (fold1-9); 1 doubled (fold1-0)"),
        (name_twice, "has a duplicate test clip"),
        (truncate, "truncated or corrupt"),
    ],
)
def test_a_spoilt_run_is_named_with_its_hint(tmp_path, spoil, words):
    folder = add_run(tmp_path / "runs")
    spoil(folder)
    with pytest.raises((RunError, PredictionError)) as fault:
        report(tmp_path)
    assert words in fault.value.what
    assert folder.name in fault.value.what
    assert fault.value.hint
    assert not (tmp_path / "out").exists()


def test_settings_are_said_with_whose_choice_they_are(tmp_path):
    settings = {"lambda": 0.05, "rho_max": None, "rho_grad": "detach", "rho_form": "saturating"}
    method = {"name": "mtut", "network": "i3d", "settings": settings, "source": ""}
    add_run(tmp_path / "runs", origin="synthetic", identity={"method": method})
    notes = " ".join(own(report(tmp_path))[0].notes)
    for words in (
        "lambda 0.05",
        "Stated in the paper: lambda; our choice: rho_form, rho_grad, rho_max.",
        "no gradient flows through rho",
        "unlike equation 3",
    ):
        assert words in notes
    assert "source" not in notes


def test_numbers_of_tables_not_asked_for_are_mentioned(tmp_path):
    add_folds(tmp_path / "runs", [5] * 8)
    result = report(tmp_path)
    assert own(result) == []
    text = printed(result, published=("7",))
    assert "Measured but not printed here: Table 1, 4." in text
    assert "Table 7. " in text
    assert "Table 1. " not in text


def test_macro_accuracy_weighs_classes_not_clips(tmp_path):
    # Seven clips: classes 0 and 1 twice, 2, 3 and 4 once; the first two clips right.
    add_run(tmp_path / "runs", 2, num_test_clips=7)
    row = report(tmp_path).rows[0]
    assert (row["macro"], row["value"]) == (pytest.approx((0.5 + 0.5) / 5), pytest.approx(2 / 7))


def test_padded_clips_and_stage_two_rate_stand_with_the_numbers(tmp_path):
    add_run(tmp_path / "runs", padded=2, origin="synthetic")
    result = report(tmp_path)
    notes = " ".join(own(result)[0].notes)
    assert "2 test clips shorter" in notes
    assert "Learning rate of stage two: 0.001." in notes
    assert {row["learning_rate"] for row in result.rows} == {"0.001", "0.001 0.001"}


def test_two_labels_of_one_clip_are_refused(tmp_path):
    folders = [add_run(tmp_path / "runs", seed=seed) for seed in (0, 1)]
    path = folders[1] / "predictions.npz"
    found = predictions.read(path)
    labels = found.labels_N.copy()
    labels[3] = 0
    predictions.write(path, replace(found, labels_N=labels))
    with pytest.raises(RunError, match=r"clip 'fold1-3' is '[ad]' in one and '[ad]' in") as fault:
        report(tmp_path)
    assert all(str(folder) in fault.value.what for folder in folders)
    assert not (tmp_path / "out").exists()
