import csv
import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from mtut_bench import predictions
from mtut_bench.errors import PredictionError, RunError, UsageError
from mtut_bench.report import write_report
from mtut_bench.report.finished import find_runs
from mtut_bench.report.published import load_published
from mtut_bench.report.render import to_csv, to_markdown
from mtut_bench.report.rows import ResultRow, result_rows
from mtut_bench.report.slips import footnotes
from mtut_bench.report.tables import Table

PAPER = Path(__file__).parents[3] / "shared" / "paper" / "published_tables.json"
FOLDS = tuple("12345678")
I3D = {"name": "i3d", "title": "I3D", "fusion_title": "I3D"}
MTUT = {"name": "mtut", "title": "MTUT", "fusion_title": "MTUT-F"}


def scores(right, num_classes=5, modalities=("rgb", "depth"), num_clips=10, prefix="c"):
    """Predictions with the given number of clips right in every modality."""
    labels = np.arange(num_clips, dtype=np.int64) % num_classes
    said = np.where(np.arange(num_clips) < right, labels, (labels + 1) % num_classes)
    probabilities = np.full((num_clips, num_classes), 0.1, dtype=np.float32)
    probabilities[np.arange(num_clips), said] = 1.0 - 0.1 * (num_classes - 1)
    stack = np.stack([probabilities] * len(modalities))
    ids = tuple(f"{prefix}{n}" for n in range(num_clips))
    return predictions.Predictions(ids, labels, tuple(modalities), np.log(stack), stack)


def add_run(runs, right=5, method=MTUT, fold="1", seed=0, modalities=("rgb", "depth"), **changes):
    """Write one run; changes go to the store, or to the part of the manifest they name."""
    identity = {
        "protocol": {"name": "paper", "version": 1},
        "method": {"name": method["name"]},
        "modalities": list(modalities),
        "fold": fold,
        "seed": seed,
        "store_digest": "d" * 64,
        "weights_digest": None,
        "precision": "fp32",
        "overrides": {},
        "mirror": None,
    } | changes.pop("identity", {})
    padded = changes.pop("padded", 0)
    protocol = {"name": "paper", "version": 1, "tables": list("123456")}
    protocol |= changes.pop("protocol", {})
    provenance = {"device": "cpu", "resumed": False} | changes.pop("provenance", {})
    found = scores(right, modalities=modalities, prefix=f"fold{fold}-")
    store = {
        "name": "viva",
        "dataset": "viva",
        "origin": "recorded",
        "complete": True,
        "num_clips": 885,
        "expected_clips": 885,
        "digest": "d" * 64,
        "modalities": list(modalities),
        "folds": list(FOLDS),
        "classes": list("abcde"),
        "subject_unit": "person",
    } | changes
    run_id = hashlib.sha256(json.dumps([identity, store["name"]]).encode()).hexdigest()
    manifest = {
        "format_version": 2,
        "id": run_id,
        "state": "complete",
        "identity": identity,
        "method": method,
        "protocol": protocol,
        "store": store,
        "test_clips": list(found.clip_ids),
        "test_subjects": [fold] * len(found.clip_ids),
        "test_frames": [40] * len(found.clip_ids),
        "padded_clips": list(found.clip_ids[:padded]),
        "joint_learning_rate": dict.fromkeys(modalities, 0.001),
        "provenance": provenance,
    }
    folder = runs / store["name"] / run_id[:12]
    folder.mkdir(parents=True)
    predictions.write(folder / "predictions.npz", found)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def add_folds(runs, rights, **changes):
    for fold, right in zip(FOLDS, rights, strict=False):
        add_run(runs, right, fold=fold, **changes)


def report(tmp_path, **options):
    return write_report(tmp_path / "runs", tmp_path / "out", **options)


def measured(result):
    """Measured cells beside printed ones, by table, method and modalities."""
    return {
        (cell["table"], cell["method"], cell["tested_on"]): cell["measured"]
        for table in result.tables
        if not table.key.startswith("own")
        for cell in table.cells
        if cell["measured"] != ""
    }


def own(result):
    return [table for table in result.tables if table.key.startswith("own")]


def printed(result, width=100):
    console = Console(file=io.StringIO(), width=width)
    result.print(console)
    return console.file.getvalue()


@pytest.mark.real
def test_published_numbers_are_the_papers_transcription():
    if not PAPER.exists():
        pytest.skip("../shared/paper is absent")
    ours = Path(predictions.__file__).parent / "report" / "published.json"
    assert json.loads(ours.read_text()) == json.loads(PAPER.read_text())


def test_every_published_table_is_loaded():
    published = load_published()
    assert list(published.tables) == list("1234567")
    assert published.tables["3"].rows[0].values == (24.5, 36.3, None)
    assert published.tables["6"].rows[2].trained_on == ("rgb", "depth")


def test_systems_that_train_their_networks_alone_come_from_the_tables():
    alone = load_published().trained_alone
    assert "I3D" in alone
    assert "MTUT-F" not in alone


def test_without_runs_the_printed_numbers_stand_alone(tmp_path):
    result = report(tmp_path)
    assert [table.key for table in result.tables] == ["1", "3", "4", "6", "7"]
    assert measured(result) == {}
    text = printed(result)
    assert "No runs were found" in text
    assert "mtut-bench run --help" in text
    assert "81.33" in text
    assert {path.name for path in result.paths} == {
        path.name for path in (tmp_path / "out").iterdir()
    }


def test_complete_recorded_runs_of_the_papers_protocol_stand_beside_it(tmp_path):
    add_folds(tmp_path / "runs", range(1, 9))
    result = report(tmp_path)
    assert measured(result) == {
        ("1", "MTUT", "rgb"): pytest.approx(45.0),
        ("1", "MTUT", "depth"): pytest.approx(45.0),
        ("4", "MTUT-F", "rgb+depth"): pytest.approx(45.0),
    }
    assert own(result) == []
    cell = result.tables[0].cells[-1]
    assert cell["difference"] == pytest.approx(45.0 - 81.31)
    assert cell["spread"] == pytest.approx(np.std(np.arange(1, 9) * 10.0, ddof=1))
    assert (cell["correct"], cell["total"]) == (36, 80)
    # Student's interval by hand: 45 -+ 2.365 * 24.495 / sqrt(8) = [24.5, 65.5].
    assert (cell["ci_low"], cell["ci_high"]) == pytest.approx((24.5, 65.5), abs=2.0)
    interval = f"[{cell['ci_low']:.1f}, {cell['ci_high']:.1f}]"
    assert f"45.00 {interval} \u00b1 {cell['spread']:.2f}" in printed(result)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"origin": "synthetic"}, "Synthetic recordings (viva, 885 of 885 clips), protocol paper"),
        ({"complete": False, "num_clips": 25}, "Recorded but partial: 25 of 885 clips"),
        ({"protocol": {"name": "demo", "tables": []}}, "Protocol demo, not the paper's"),
        ({"protocol": {"tables": ["7"], "name": "scratch"}, "dataset": "other"}, "nothing printed"),
        ({"dataset": "viva-like"}, "nothing printed"),
        ({"identity": {"overrides": {"epochs": 3}}}, "Protocol paper with epochs=3 changed"),
        ({"identity": {"overrides": {"fold_unit": "user"}}}, "Protocol paper, folds by user (one"),
    ],
)
def test_nothing_else_ever_stands_beside_a_printed_number(tmp_path, changes, words):
    add_folds(tmp_path / "runs", [5] * 8, **changes)
    result = report(tmp_path, tables=tuple("1234567"))
    assert measured(result) == {}
    (table,) = own(result)
    assert words in table.heading
    assert table.columns[-3:] == ("rgb", "depth", "rgb+depth")
    assert table.rows[0][-1] == "50.0 [39.3, 60.7] \u00b1 0.0"


@pytest.mark.parametrize(
    "changes",
    [{"origin": "synthetic"}, {"complete": False}, {"protocol": {"name": "demo", "tables": []}}],
)
def test_folds_by_user_are_marked_whatever_else_a_heading_says(tmp_path, changes):
    identity = {"overrides": {"beta": 3.0, "fold_unit": "user"}}
    add_run(tmp_path / "runs", identity=identity, **changes)
    (table,) = own(report(tmp_path))
    assert "with beta=3.0 changed, folds by user (one person may be on" in table.heading


def test_folds_by_user_and_by_person_stand_in_two_tables_and_in_the_rows(tmp_path):
    for overrides in ({}, {"fold_unit": "user"}):
        add_run(tmp_path / "runs", identity={"overrides": overrides}, origin="synthetic")
    result = report(tmp_path)
    assert ["by user" in table.heading for table in own(result)] == [True, False]
    assert {row["overrides"] for row in result.rows} == {"{}", '{"fold_unit":"user"}'}


def test_seven_of_eight_folds_are_no_average(tmp_path):
    add_folds(tmp_path / "runs", [5] * 7)
    result = report(tmp_path)
    assert measured(result) == {}
    assert own(result) == []
    assert "7 of 8 folds are done" in printed(result)


def test_an_incomplete_cell_of_an_own_table_says_so(tmp_path):
    add_folds(tmp_path / "runs", [5, 6, 10], origin="synthetic")
    (table,) = own(report(tmp_path))
    assert table.rows == (("MTUT", "3/8", "1", *["70.0 (3 of 8 folds)"] * 3),)
    assert "30 test clips in 3 of 8 folds" in table.notes[0]


def test_seeds_are_averaged_after_folds_and_a_partial_seed_is_left_out(tmp_path):
    add_folds(tmp_path / "runs", [4] * 8, seed=0)
    add_folds(tmp_path / "runs", [8] * 8, seed=1)
    add_folds(tmp_path / "runs", [10] * 3, seed=2)
    cell = report(tmp_path).tables[0].cells[-1]
    assert cell["measured"] == pytest.approx(60.0)
    assert (cell["seeds"], cell["correct"], cell["total"]) == ("0 1", 48, 80)
    assert "seed 2 (3) of 8" in cell["note"]


def test_different_kinds_of_runs_are_never_mixed_in_one_cell(tmp_path):
    add_folds(tmp_path / "runs", [4] * 8)
    newer = {"version": 2}
    add_folds(
        tmp_path / "runs", [8] * 8, protocol=newer, identity={"protocol": newer | {"name": "paper"}}
    )
    result = report(tmp_path)
    assert measured(result) == {}
    assert "differ in protocol version" in printed(result)


def test_own_tables_keep_kinds_of_runs_apart(tmp_path):
    add_run(tmp_path / "runs", 4, origin="synthetic")
    add_run(tmp_path / "runs", 8, origin="synthetic", identity={"precision": "bf16"})
    (table,) = own(report(tmp_path))
    assert sorted(row[-1] for row in table.rows) == ["40.0 (1 of 8 folds)", "80.0 (1 of 8 folds)"]
    assert "Lines of the same name differ in precision." in table.notes


def nvgesture(**changes):
    return {
        "name": "nvgesture",
        "dataset": "nvgesture",
        "folds": ["official"],
        "fold": "official",
        "num_clips": 1532,
        "expected_clips": 1532,
    } | changes


def test_rows_that_name_their_training_set_want_exactly_it(tmp_path):
    add_run(tmp_path / "runs", 6, modalities=("rgb", "depth"), **nvgesture())
    assert measured(report(tmp_path)) == {("6", "MTUT-F", "rgb+depth"): pytest.approx(60.0)}
    (table,) = own(report(tmp_path))
    assert table.heading.startswith("Recorded and complete (nvgesture, 1,532 clips)")
    assert table.columns[-2:] == ("rgb", "depth")
    add_run(tmp_path / "runs", 7, modalities=("rgb", "depth", "flow"), **nvgesture())
    found = [
        (cell["trained_on"], cell["tested_on"], round(cell["measured"]))
        for cell in report(tmp_path).tables[3].cells
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
    assert table.rows[0][-1] == "60.0 [31.3, 83.2]"


def test_chance_is_said(tmp_path):
    add_run(tmp_path / "runs", 2, origin="synthetic", **nvgesture())
    (table,) = own(report(tmp_path))
    assert "Chance is 20.0 % (1 of 5 classes); 10 test clips" in table.notes[0]
    assert "at chance" in table.notes[1]
    add_run(tmp_path / "runs", 9, seed=1, method=I3D, origin="synthetic", **nvgesture())
    (table,) = own(report(tmp_path))
    assert not any("at chance" in note for note in table.notes)


def test_what_stands_behind_a_measured_number_is_said(tmp_path):
    add_folds(tmp_path / "runs", [5] * 8)
    table = report(tmp_path).tables[0]
    assert "Store viva (dddddddddddd), protocol paper version 1, device cpu." in table.notes
    assert any("seed 0." in note for note in table.notes)


def test_departures_and_settings_are_said(tmp_path):
    settings = {"method": {"name": "mtut", "settings": {"rho_grad": "detach", "lambda": 0.05}}}
    add_run(tmp_path / "runs", 2, origin="synthetic", identity=settings)
    notes = " ".join(own(report(tmp_path))[0].notes)
    assert "lambda 0.05" in notes
    assert "does not run through rho" in notes


def test_rows_hold_every_subset_with_hand_counted_numbers(tmp_path):
    add_run(tmp_path / "runs", 7, modalities=("flow", "rgb", "depth"))
    found = result_rows(find_runs(tmp_path / "runs").runs)
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
    assert all(tuple(row) == tuple(ResultRow.__annotations__) for row in found)


def test_runs_in_progress_are_counted_and_other_folders_passed_over(tmp_path):
    runs = tmp_path / "runs"
    folder = add_run(runs)
    for name in ("viva/0123456789ab", "stages/0123456789ab", ".cache/0123456789ab", "report/x"):
        (runs / name).mkdir(parents=True)
    (runs / "notes.txt").write_text("mine")
    found = find_runs(runs)
    assert (len(found.runs), found.num_in_progress) == (1, 1)
    assert found.runs[0].folder == folder
    assert "Not finished, not counted: 1 run" in " ".join(report(tmp_path).remarks)


def edit(folder, **changes):
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: edit(folder, format_version=1), "format version 1"),
        (lambda folder: (folder / "manifest.json").write_text('{"format_'), "manifest.json"),
        (lambda folder: (folder / "manifest.json").write_text("[]"), "format version None"),
        (lambda folder: (folder / "predictions.npz").unlink(), "predictions.npz is missing"),
        (lambda folder: edit(folder, store={}), "store.classes"),
        (lambda folder: edit(folder, id="f" * 64), "belongs to run ffffffffffff"),
        (lambda folder: edit(folder, provenance={"device": 3}), "device' = 3"),
    ],
)
def test_a_spoilt_run_is_named_with_its_cure(tmp_path, spoil, words):
    folder = add_run(tmp_path / "runs")
    spoil(folder)
    with pytest.raises(RunError) as fault:
        report(tmp_path)
    assert words in fault.value.what
    assert folder.name in fault.value.what
    assert fault.value.cure
    assert not (tmp_path / "out").exists()


def test_predictions_of_other_clips_are_refused(tmp_path):
    folder = add_run(tmp_path / "runs")
    edit(folder, test_clips=["somebody-else"])
    with pytest.raises(PredictionError, match=folder.name):
        report(tmp_path)


def test_truncated_predictions_are_refused(tmp_path):
    path = add_run(tmp_path / "runs") / "predictions.npz"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(PredictionError, match="truncated or corrupt"):
        report(tmp_path)


def test_an_unknown_table_is_refused(tmp_path):
    with pytest.raises(UsageError, match="8"):
        report(tmp_path, tables=("1", "8"))


def test_numbers_of_tables_not_asked_for_are_mentioned(tmp_path):
    add_folds(tmp_path / "runs", [5] * 8)
    result = report(tmp_path, tables=("7",))
    assert own(result) == []
    assert "Measured but not shown here: Table 1, 4." in result.remarks


def test_slips_are_computed_from_the_tables():
    tables = load_published().tables
    marked = {number: footnotes(table) for number, table in tables.items()}
    (odd,) = [note for note in marked["3"] if "1/482" in note.text]
    assert [tables["3"].rows[line].values[column] for line, column in odd.places] == [82.28]
    assert not any("1/482" in note.text for note in marked["6"])
    (below,) = [note for note in marked["6"] if "85.68" in note.text]
    assert {tables["6"].rows[line].values[0] for line, _ in below.places} == {85.48}
    assert "3.08 (rgb) and 6.85 (depth); the table gives 3.08 and 6.85" in str(marked["1"])
    assert "1.09 (depth); the table gives 2.15 and 1.36" in str(marked["2"])
    assert ["5 of 6" in str(marked["1"]), "12 of 12" in str(marked["7"])] == [True, True]


def read_csv(path):
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def test_csv_holds_raw_numbers_in_constant_columns(tmp_path):
    add_folds(tmp_path / "runs", [1, 2, 2, 3, 3, 4, 4, 5])
    report(tmp_path)
    lines = read_csv(tmp_path / "out" / "rows.csv")
    assert list(lines[0]) == list(ResultRow.__annotations__)
    assert len(lines) == 24
    cells = [read_csv(tmp_path / "out" / f"table-{number}.csv") for number in "13467"]
    assert len({tuple(table[0]) for table in cells}) == 1
    assert float(cells[0][-1]["measured"]) == pytest.approx(30.0)
    assert cells[0][0]["measured"] == ""


def test_markup_in_names_is_escaped():
    table = Table("own-1", "a|b <i>*", ("x|y", "n"), (("p|q", "1"),), ("_no_",), 1, ())
    text = to_markdown(table)
    assert "| p\\|q | 1 |" in text
    assert "a\\|b \\<i\\>\\*" in text
    rows = [{"a": 'say "x", y', "b": 1}]
    assert list(csv.DictReader(io.StringIO(to_csv(["a", "b"], rows).decode()))) == [
        {"a": 'say "x", y', "b": "1"}
    ]


@pytest.mark.parametrize("width", [60, 80, 100])
def test_no_line_is_wider_than_the_terminal_and_no_number_is_cut(tmp_path, width):
    for seed in (0, 1):
        add_run(tmp_path / "runs", 6, seed=seed, modalities=("rgb", "depth", "flow"), **nvgesture())
    add_run(
        tmp_path / "runs",
        6,
        modalities=("rgb", "depth", "flow"),
        **nvgesture(name="twin", origin="synthetic"),
    )
    lines = printed(report(tmp_path), width).splitlines()
    assert max(len(line.rstrip()) for line in lines if not line.startswith("wrote")) <= width
    assert not any("\u2026" in line for line in lines)


def test_padded_clips_and_stage_two_rate_stand_with_the_numbers(tmp_path):
    add_run(tmp_path, padded=2, origin="synthetic")
    report = write_report(tmp_path, tmp_path / "out")
    notes = " ".join(report.tables[-1].notes)
    assert "2 test clips are shorter" in notes
    assert "Learning rate of stage two: 0.001." in notes
    assert {row["learning_rate"] for row in report.rows} == {"0.001", "0.001 0.001"}


def test_what_the_paper_prints_and_what_is_our_choice_is_said(tmp_path):
    settings = {"lambda": 0.05, "beta": 2.0, "rho_max": None, "target": "detach"}
    method = {"name": "mtut", "network": "i3d", "settings": settings, "source": ""}
    add_run(tmp_path, origin="synthetic", identity={"method": method})
    notes = " ".join(write_report(tmp_path, tmp_path / "out").tables[-1].notes)
    assert "The paper prints beta, lambda; our choice: rho_max, target." in notes
    assert "source" not in notes
