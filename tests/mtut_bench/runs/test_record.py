"""Manifests of finished runs: typed, in agreement with themselves, every id once."""

import json
import shlex
import shutil
from pathlib import Path

import pytest
from msgspec import to_builtins
from record_bench import DELETED, edited, manifest
from report_bench import add_run, report
from run_bench import write_stage_record
from typer.main import get_command

from mtut_bench.cli import app
from mtut_bench.errors import PredictionError, RunError
from mtut_bench.files import sha256_of_json
from mtut_bench.runs.finished import find_runs
from mtut_bench.runs.record import HINT, RunRecord, read_record, read_stage, write_record
from mtut_bench.runs.spec import RunSpec
from mtut_bench.typed import typed


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
        # Written by every version but the earliest.
        ("spec", DELETED, "'spec', which format version 2 requires"),
        ("store.fps", DELETED, "'store.fps', which format version 2 requires"),
        ("provenance.seconds", DELETED, "'provenance.seconds'"),
        ("provenance.device", None, "'provenance.device' = None: expected `str`, got `null`"),
        ("test_clips", [], "'test_clips'"),
        ("test_frames.0", -3, "'test_frames[0]' = -3"),
        ("test_frames.0", 10**30, "'test_frames[0]' = 1000"),
        ("test_subjects.0", "\ud800", "JSON"),
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
    assert fault.value.hint == HINT


def test_a_record_that_is_read_and_written_is_the_same_file(do, validated, tmp_path):
    plans = do("mtut")[0], do("mtut", store=validated, fold="official")[0]
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


def test_what_a_newer_release_adds_is_passed_over(tmp_path):
    path = add_run(tmp_path / "runs") / "manifest.json"
    before = read_record(path)
    content = json.loads(path.read_text())
    for part in (content, content["store"], content["method"], content["provenance"]):
        part["added"] = {"later": 1}
    path.write_text(json.dumps(content))
    assert read_record(path) == before


def test_a_damaged_stage_is_named(tmp_path):
    write_stage_record(tmp_path, "0" * 64, {"network": "i3d"})
    path = tmp_path / "manifest.json"
    content = json.loads(path.read_text())
    assert read_stage(path).files == ("checkpoint.pt",)
    path.write_text(json.dumps(content | {"files": ["a.npy", 3]}))
    with pytest.raises(RunError, match=r"manifest\.json has 'files\[1\]' = 3"):
        read_stage(path)


def test_a_method_without_a_learning_rate_has_rows(tmp_path):
    folder = add_run(tmp_path / "runs", origin="synthetic")
    change(folder, "joint_learning_rate", {})
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
    assert fault.value.hint == HINT


OWN = {"identity.method.source": "f" * 64}


def record(**changes):
    return typed(manifest("mutual", {"store.name": "my store", **changes}), RunRecord)


def parsed(command):
    program, name, *words = shlex.split(command)
    assert (program, name) == ("mtut-bench", "run")
    command = get_command(app).commands[name]
    with command.make_context(name, words) as context:
        return context.params


def test_what_was_typed_is_kept_and_typed_again():
    spec = RunSpec(
        method="my methods/a.py:build",
        store="my data/stores/my store.zarr",
        protocol="demo",
        fold="1",
        fold_unit="user",
        modalities=("depth",),
        seed=3,
        settings=("crop=112",),
        precision="bf16",
    )
    like = record(**OWN, **{"method.file": "my methods/a.py:build", "spec": to_builtins(spec)})
    assert like.spec == spec
    found = parsed(like.command("2", 4))
    assert (found["method"], found["store"]) == ("my methods/a.py:build", "my store")
    assert (found["fold"], found["seed"], found["modalities"]) == ("2", 4, "depth")
    assert (found["settings"], found["data"]) == (["crop=112"], Path("my data"))
    assert (found["fold_unit"].value, found["precision"].value) == ("user", "bf16")


def test_predictions_from_elsewhere_are_scored_again_not_run():
    spec = RunSpec(method="theirs", store="data/stores/my store.zarr", protocol="given")
    like = record(**OWN, **{"method.file": "", "spec": to_builtins(spec)})
    words = shlex.split(like.command("2", 0))
    assert words[:3] == ["mtut-bench", "score", "FILE.csv"]
    assert words[words.index("--name") + 1] == "theirs"
    assert "--keep" in words
