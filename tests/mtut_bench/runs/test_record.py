"""Manifests of finished runs: typed, in agreement with themselves, every id once."""

import copy
import json
import shutil

import pytest
from record_bench import DELETED, edited
from report_bench import add_run, report

from mtut_bench.errors import PredictionError, RunError
from mtut_bench.files import sha256_of_json
from mtut_bench.runs.finished import find_runs
from mtut_bench.runs.record import CURE, read_record, read_stage, write_record


def change(folder, dotted, value):
    """Set or delete one field of a manifest."""
    path = folder / "manifest.json"
    path.write_text(json.dumps(edited(json.loads(path.read_text()), {dotted: value})))


def rename(folder):
    """Give a run whose identity was changed the id and the folder of the new one."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["id"] = sha256_of_json(manifest["identity"])
    path.write_text(json.dumps(manifest))
    return folder.rename(folder.with_name(manifest["id"][:12]))


@pytest.mark.parametrize(
    ("dotted", "value", "words"),
    [
        ("joint_learning_rate.rgb", DELETED, "'joint_learning_rate.rgb'"),
        # Of a mapping all is shown.
        ("joint_learning_rate.rgb", "x", "'joint_learning_rate' = {'rgb': 'x', "),
        ("identity.fold", DELETED, "'identity.fold'"),
        ("identity.seed", "0", "'identity.seed' = '0': expected `int`, got `str`"),
        ("store", [], "'store' = []: expected `object`, got `array`"),
        ("method", DELETED, "'method'"),
        ("provenance.device", None, "'provenance.device' = None: expected `str`, got `null`"),
        ("test_clips.1", [], "'test_clips[1]' = []"),
        ("test_clips", [], "'test_clips'"),
        ("test_frames.0", -3, "'test_frames[0]' = -3"),
        ("test_frames.2", 0, "'test_frames[2]' = 0"),
        ("test_frames.0", 1.5, "'test_frames[0]' = 1.5"),
        ("test_frames.0", True, "'test_frames[0]' = True"),
        ("test_frames.0", 10**30, "'test_frames[0]' = 1000"),
        ("test_subjects.0", "\ud800", "JSON"),
        ("provenance.\ud800", 1, "JSON"),
        ("store.num_clips", float("nan"), "JSON"),
        ("format_version", 2.0, "format version 2.0"),
    ],
)
def test_a_damaged_field_is_named_with_its_file(tmp_path, dotted, value, words):
    folder = add_run(tmp_path / "runs")
    change(folder, dotted, value)
    with pytest.raises(RunError) as fault:
        report(tmp_path)
    assert words in fault.value.what
    assert str(folder / "manifest.json") in fault.value.what
    assert "To leave the run out, move its folder out of the runs" in fault.value.hint
    assert not (tmp_path / "out").exists()


def test_a_damaged_modality_of_the_identity_is_named(tmp_path):
    folder = add_run(tmp_path / "runs")
    change(folder, "identity.modalities.0", 3)
    rename(folder)
    with pytest.raises(RunError, match=r"'identity.modalities\[0\]' = "):
        report(tmp_path)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": ' + "9" * 5000 + "}", "null", '"x"', "3"])
def test_json_that_is_no_manifest_is_refused(tmp_path, text):
    folder = add_run(tmp_path / "runs")
    (folder / "manifest.json").write_text(text)
    with pytest.raises(RunError, match=folder.name):
        report(tmp_path)


@pytest.mark.parametrize(
    ("dotted", "value", "words"),
    [
        ("protocol.version", 2, "'protocol.version' = 2 and 'identity.protocol.version' = 1"),
        ("store.digest", "e" * 64, "'store.digest' = 'eeee"),
        ("store.classes", list("abcdef"), "6 'store.classes' and 'identity.num_classes' = 5"),
        ("store.folds", ["2"], "'identity.fold' = '1', which is not in 'store.folds' ['2']"),
        ("identity.seed", 5, "an 'id' that is not the SHA-256 of its 'identity'"),
        ("identity.num_classes", 6, "5 'store.classes' and 'identity.num_classes' = 6"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(tmp_path, dotted, value, words):
    folder = add_run(tmp_path / "runs")
    read_record(folder / "manifest.json")
    change(folder, dotted, value)
    with pytest.raises(RunError) as fault:
        report(tmp_path)
    assert words in fault.value.what
    assert fault.value.hint == CURE


OPTIONAL = (
    ("joint_learning_rate", "precision_check", "weights", "padded_clips", "stages", "validation")
    + ("method.file", "store.fps", "store.frame_size", "store.colour", "store.depth_polarity")
    + ("store.flow", "store.source", "store.licence", "store.modalities", "identity.mirror")
    + ("provenance.versions", "provenance.git", "provenance.command", "provenance.seconds")
)


def test_a_record_that_is_read_and_written_is_the_same_file(do, make_store, make_rows, tmp_path):
    rows = make_rows(9, subjects=("1", "2", "3"), splits=("train", "val", "test"))
    store = make_store("validated", rows=rows, fold_rule="split")
    plans = do("mtut")[0], do("mtut", store=store, fold="official")[0]
    assert read_record(plans[0].folder / "manifest.json").validation is None
    assert read_record(plans[1].folder / "manifest.json").validation.clips == 3
    again = tmp_path / "again.json"
    for plan in plans:
        path = plan.folder / "manifest.json"
        write_record(again, read_record(path))
        assert again.read_bytes() == path.read_bytes()
        for path in (plan.stage_folder(m) / "manifest.json" for m in plan.modalities):
            write_record(again, read_stage(path))
            assert again.read_bytes() == path.read_bytes()


def test_what_an_earlier_release_did_not_write_stays_away(do, tmp_path):
    whole = json.loads((do("mtut")[0].folder / "manifest.json").read_text())
    whole |= {"validation": {"clips": 3, "accuracy": {"rgb": 0.5}}}
    defaults = {"joint_learning_rate": {}, "precision_check": None, "weights": {}}
    defaults |= {"padded_clips": [], "stages": {}}
    for name in OPTIONAL:
        content = edited(copy.deepcopy(whole), {name: DELETED})
        content["id"] = sha256_of_json(content["identity"])
        (tmp_path / "manifest.json").write_text(json.dumps(content))
        write_record(tmp_path / "again.json", read_record(tmp_path / "manifest.json"))
        expected = content | {k: v for k, v in defaults.items() if k == name}
        assert json.loads((tmp_path / "again.json").read_text()) == expected, name


def test_what_a_newer_release_adds_is_passed_over(tmp_path):
    path = add_run(tmp_path / "runs") / "manifest.json"
    before = read_record(path)
    content = json.loads(path.read_text())
    for part in (content, content["store"], content["method"], content["provenance"]):
        part["added"] = {"later": 1}
    path.write_text(json.dumps(content))
    assert read_record(path) == before


def test_a_stage_without_files_is_a_checkpoint_and_a_damaged_one_is_named(tmp_path):
    path = tmp_path / "manifest.json"
    content = {"format_version": 2, "id": "0" * 64, "identity": {"network": "i3d"}}
    content["provenance"] = {"device": "cpu"}
    path.write_text(json.dumps(content))
    assert read_stage(path).files == ("checkpoint.pt",)
    path.write_text(json.dumps(content | {"files": ["a.npy", 3]}))
    with pytest.raises(RunError, match=r"manifest\.json has 'files\[1\]' = 3"):
        read_stage(path)


def test_a_method_without_a_learning_rate_has_rows(tmp_path):
    folder = add_run(tmp_path / "runs", origin="synthetic")
    for name in ("joint_learning_rate", "padded_clips"):
        change(folder, name, DELETED)
    result = report(tmp_path)
    assert {(row["learning_rate"], row["padded_clips"]) for row in result.rows} == {("", 0)}
    assert "Learning rate" not in (tmp_path / "out" / "tables.md").read_text()
    # Kept rows are read as they were written.
    (tmp_path / "runs").rename(tmp_path / "elsewhere")
    assert report(tmp_path).rows == result.rows


def test_runs_of_the_trainer_agree_with_themselves(do):
    plan, _ = do("mtut")
    assert read_record(plan.folder / "manifest.json").hashed == plan.identity
    assert len(find_runs(plan.runs).runs) == 1


def test_a_copied_folder_counts_once_whatever_it_is_called(tmp_path):
    runs = tmp_path / "runs"
    folder = add_run(runs, 7, origin="synthetic")
    shutil.copytree(folder.parent, runs / "a-copy")
    shutil.copytree(folder.parent, runs / "z-copy")
    found = find_runs(runs)
    assert [run.folder for run in found.runs] == [folder]
    assert [path.parent.name for path in found.copies] == ["a-copy", "z-copy"]
    result = report(tmp_path)
    assert len(result.rows) == 3
    (remark,) = (text for text in result.remarks if "counted once" in text)
    assert f"a-copy/{folder.name}, z-copy/{folder.name}" in remark
    assert str(tmp_path) not in (tmp_path / "out" / "tables.md").read_text()


def test_an_equal_run_on_a_store_of_another_name_counts_once(tmp_path):
    runs = tmp_path / "runs"
    folder = add_run(runs, 7)
    shutil.copytree(folder, runs / "other" / folder.name)
    change(runs / "other" / folder.name, "store.name", "other")
    assert len(find_runs(runs).runs) == 1
    assert {row["store"] for row in report(tmp_path).rows} == {"other"}


def test_a_run_in_a_renamed_folder_counts(tmp_path):
    folder = add_run(tmp_path / "runs", 7)
    folder.parent.rename(tmp_path / "runs" / "renamed")
    found = find_runs(tmp_path / "runs")
    assert (len(found.runs), found.copies) == (1, ())


@pytest.mark.parametrize("name", ["predictions.npz", "manifest.json"])
def test_every_run_that_cannot_be_read_has_one_hint(tmp_path, name):
    folder = add_run(tmp_path / "runs")
    (folder / name).write_bytes(b"broken")
    with pytest.raises((RunError, PredictionError)) as fault:
        report(tmp_path)
    assert fault.value.hint == CURE
