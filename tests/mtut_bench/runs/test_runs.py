import json
import threading
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from planned import plan_runs, varied
from run_bench import MACHINE, Lines

from mtut_baselines import METHODS
from mtut_bench.contract.predictions import read
from mtut_bench.contract.protocol import PROTOCOLS
from mtut_bench.errors import PredictionError, RunError, StoreError, UsageError
from mtut_bench.files import hold_lock
from mtut_bench.runs.execute import execute
from mtut_bench.runs.finished import find_runs
from mtut_bench.runs.listing import list_runs
from mtut_bench.runs.plan import make_plan
from mtut_bench.runs.workload import describe_plans
from mtut_bench.statistics.rows import result_rows
from mtut_bench.store.reader import StoreReader
from mtut_bench.training import two_stage


@pytest.fixture
def trained(monkeypatch):
    """Return the list of (stage, modalities) that were really trained, at least one epoch."""
    stages, train = [], two_stage.train

    def spy(train_states, clips, stage, *arguments, progress, **options):
        def note(*tick):
            stages.append((stage.name, *train_states))
            progress(*tick)

        return train(train_states, clips, stage, *arguments, progress=note, **options)

    monkeypatch.setattr(two_stage, "train", spy)
    return stages


def content(plan):
    return (plan.folder / "predictions.npz").read_bytes()


CHANGES = {
    "fold": {"fold": "2"},
    "seed": {"seed": 1},
    "method": {"method": "i3d"},
    "modalities": {"modalities": ("rgb", "depth", "flow")},
    "protocol": {"protocol": {"momentum": 0.8}},
    "version": {"protocol": {"version": 99}},
    "objective": {"protocol": {"beta": 3.0}},
    "precision": {"precision": "bf16"},
    "override of the objective": {"overrides": {"lambda": 3.0}},
    "override of training": {"overrides": {"momentum": 0.5}},
    "mirror": {"name": "b", "mirror": None},
    "classes": {"name": "b", "classes": ["left", "right", "up", "down"]},
}


@pytest.mark.parametrize("part", CHANGES)
def test_identity_changes_with_each_part(part, plan_with):
    assert plan_with(**CHANGES[part]).run_id != plan_with().run_id


def test_identity_is_of_frames_not_of_names(plan_with, make_rows):
    assert plan_with("renamed").run_id == plan_with().run_id
    assert plan_with("b", rows=make_rows(num_clips=7)).run_id != plan_with().run_id


@pytest.mark.parametrize(
    "protocol", [{"summary": "x"}, {"tables": ("1",)}, {"seeds": (0,)}, {"evaluation_batch": 1}]
)
def test_identity_leaves_out_what_changes_no_number(plan_with, protocol):
    assert plan_with(protocol=protocol).run_id == plan_with().run_id


def test_objective_settings_do_not_concern_a_method_without_them(plan_with):
    changed = plan_with(method="i3d", protocol={"lambda_": 9.0, "rho_max": 1.0})
    assert changed.run_id == plan_with(method="i3d").run_id


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "i3d"},
        {"protocol": {"beta": 3.0}},
        {"protocol": {"epochs_joint": 9}},
        {"protocol": {"stage_two": "restart"}},
        {"overrides": {"lambda": 3.0, "rho_per": "batch", "epochs_joint": 9}},
    ],
)
def test_stage_one_is_shared_over_methods_objectives_and_stage_two(plan_with, changes):
    assert plan_with(**changes).stage_id("rgb") == plan_with().stage_id("rgb")


def test_stage_one_is_shared_over_modality_sets(plan_with):
    assert plan_with(modalities=("rgb", "flow")).stage_id("rgb") == plan_with().stage_id("rgb")


@pytest.mark.parametrize(
    "part",
    ["fold", "seed", "protocol", "mirror", "classes", "precision", "override of training"],
)
def test_stage_one_is_not_shared_over_what_it_sees(part, plan_with):
    assert plan_with(**CHANGES[part]).stage_id("rgb") != plan_with().stage_id("rgb")


def test_stage_one_differs_by_modality_and_network(plan_with):
    plan = plan_with()
    assert plan.stage_id("rgb") != plan.stage_id("depth")
    other = replace(plan.loaded, method=replace(plan.method, network="c3d"))
    moved = make_plan(plan.spec, plan.reader, plan.fold, other, plan.protocol, {}, {})
    assert moved.stage_id("rgb") != plan.stage_id("rgb")


def test_a_run_ends_with_its_files(do):
    plan, text = do()
    names = sorted(path.name for path in plan.folder.iterdir())
    assert names == [
        "log.jsonl",
        "manifest.json",
        "maps.npz",
        "network-depth.safetensors",
        "network-rgb.safetensors",
        "predictions.npz",
        "tensorboard",
    ]
    assert plan.folder == plan.runs / "tiny" / plan.run_id[:12]
    assert "accuracy rgb" in text
    found = read(plan.folder / "predictions.npz")
    assert (found.clip_ids, found.modalities) == (plan.fold.test, ("rgb", "depth"))
    assert not np.array_equal(found.scores_MNK[0], found.scores_MNK[1])
    log = [json.loads(line) for line in (plan.folder / "log.jsonl").read_text().splitlines()]
    counts = Counter((entry["stage"], entry["modality"]) for entry in log)
    assert counts == {(s, m): n for s, n in (("alone", 3), ("joint", 2)) for m in ("rgb", "depth")}
    rows = result_rows(find_runs(plan.runs).runs)
    assert [row["tested_on"] for row in rows] == ["rgb", "depth", "rgb+depth"]
    assert {row["learning_rate"] for row in rows} == {"0.001", "0.001 0.001"}


def test_a_finished_run_is_skipped(do, trained):
    plan, _ = do()
    before = (plan.folder / "manifest.json").read_bytes()
    trained.clear()
    _, text = do()
    assert "done already" in text
    assert trained == []
    assert (plan.folder / "manifest.json").read_bytes() == before


def test_stage_one_is_shared_by_i3d_and_mtut(do, trained):
    do("i3d")
    assert trained.count(("alone", "rgb")) == trained.count(("alone", "depth")) == 3
    trained.clear()
    _, text = do("mtut")
    assert trained == [("joint", "rgb", "depth")] * 2
    assert text.count("stage one: shared") == 2


def test_a_damaged_shared_stage_is_named(do):
    plan, _ = do("i3d")
    file = plan.stage_folder("rgb") / "checkpoint.pt"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(RunError, match=f"{file} is damaged"):
        do("mtut")


def test_a_shared_stage_without_weights_is_trained_again(do, trained):
    plan, _ = do("i3d")
    expected, _ = do("mtut")
    before = content(expected)
    (plan.stage_folder("rgb") / "checkpoint.pt").unlink()
    (expected.folder / "manifest.json").unlink()
    assert not plan.stage_done("rgb")
    trained.clear()
    _, text = do("mtut")
    assert trained.count(("alone", "rgb")) == 3
    assert "rgb stage one: shared" not in text
    assert content(expected) == before


@pytest.mark.parametrize(
    ("moment", "said"),
    [
        ("rgb stage one, epochs 1", "resuming rgb stage one after epoch 1 of 3"),
        # Killed between the last checkpoint and the manifest that says so.
        ("rgb stage one, epochs 3", "resuming rgb stage one after epoch 3 of 3"),
        ("depth stage one, epochs 2", "resuming depth stage one after epoch 2 of 3"),
        ("mtut stage two, epochs 1", "resuming mtut stage two after epoch 1 of 2"),
        ("mtut stage two, epochs 2", "resuming mtut stage two after epoch 2 of 2"),
        ("test 8", "resuming mtut stage two after epoch 2 of 2"),
    ],
)
def test_an_interrupted_run_ends_with_the_bytes_of_an_undisturbed_one(do, tmp_path, moment, said):
    undisturbed, text = do(runs=tmp_path / "undisturbed")
    assert "resuming" not in text
    with pytest.raises(KeyboardInterrupt):
        do(stop_at=moment)
    plan, text = do()
    assert [line.strip() for line in text.splitlines() if "resuming" in line] == [said]
    assert content(plan) == content(undisturbed)
    manifest = json.loads((plan.folder / "manifest.json").read_text())
    assert manifest["provenance"]["resumed"] is True
    assert not (plan.folder / "checkpoint.pt").exists()


def test_leftovers_of_a_killed_write_are_removed(do):
    plan, _ = do()
    (plan.folder / "manifest.json").unlink()
    for folder in (plan.folder, plan.stage_folder("rgb")):
        (folder / ".checkpoint.pt.123.tmp").write_bytes(b"half")
    do()
    assert not list(plan.runs.rglob("*.tmp"))


@pytest.mark.parametrize("damage", ["", "[]", '{"id": "0"}'])
def test_a_damaged_manifest_is_named_not_skipped(do, damage):
    plan, _ = do()
    (plan.folder / "manifest.json").write_text(damage)
    with pytest.raises(RunError, match=str(plan.folder / "manifest.json")) as caught:
        do()
    assert "Delete the run's folder" in caught.value.hint


def test_damaged_predictions_are_named_not_skipped(do):
    plan, _ = do()
    file = plan.folder / "predictions.npz"
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(PredictionError, match="truncated"):
        do()


def test_a_run_whose_manifest_is_damaged_is_listed_as_such(do):
    plan, _ = do()
    broken, _ = do("i3d")
    (broken.folder / "manifest.json").write_text("{")
    (plan.runs / "tiny" / ("0" * 12)).mkdir()
    found = {name.split("/")[1]: text for name, text in list_runs(plan.runs)}
    assert found[plan.run_id[:12]].startswith("mtut, rgb+depth, fold 1, seed 0, protocol tiny")
    assert "cannot be read" in found[broken.run_id[:12]]
    assert found["0" * 12] == "not finished"
    assert len(found) == 3


def test_manifest_says_what_by_what_and_when(do):
    plan, _ = do()
    manifest = json.loads((plan.folder / "manifest.json").read_text())
    assert manifest["id"] == plan.run_id
    assert manifest["state"] == "complete"
    assert manifest["identity"] == plan.identity
    assert manifest["stages"] == {m: plan.stage_id(m)[:12] for m in ("rgb", "depth")}
    assert manifest["test_clips"] == list(plan.fold.test)
    assert manifest["test_subjects"] == ["1"] * len(plan.fold.test)
    assert len(manifest["test_frames"]) == len(plan.fold.test)
    assert manifest["joint_learning_rate"] == pytest.approx({"rgb": 0.001, "depth": 0.001})
    assert manifest["padded_clips"] == []
    assert manifest["store"]["folds"] == ["1", "2"]
    provenance = manifest["provenance"]
    assert provenance["resumed"] is False
    assert provenance["command"] == "mtut-bench run"
    assert {"device", "threads", "git", "started", "finished", "seconds"} <= provenance.keys()
    assert {"mtut-bench", "python", "torch", "numpy", "zarr"} == provenance["versions"].keys()


def test_padded_clips_are_listed(do, make_store, make_rows):
    store = make_store("short", rows=make_rows(lengths=(3, 9)))
    plan, _ = do(store=store)
    manifest = json.loads((plan.folder / "manifest.json").read_text())
    assert manifest["padded_clips"] == ["clip00", "clip02", "clip04", "clip06"]


def test_unknown_mirror_pairs_are_said(do, make_store):
    _, text = do(store=make_store("unknown", mirror=None))
    assert "clips are not mirrored" in text


class Watched(Lines):
    """A reporter that tells when a text came, and may hold the work there."""

    def __init__(self, text, *, hold=False):
        super().__init__()
        self.watched, self.came, self.release = text, threading.Event(), threading.Event()
        if not hold:
            self.release.set()

    def line(self, text):
        super().line(text)
        if self.watched in text:
            self.came.set()
            self.release.wait()


def begin(plans, lines):
    """Execute plans in a thread; one that fails keeps nobody waiting."""

    def work():
        try:
            execute(plans, MACHINE, lines)
        finally:
            lines.came.set()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_a_second_process_waits_and_computes_nothing(make_request, trained):
    plans = plan_runs([make_request()])
    first, second = Watched("accuracy", hold=True), Watched("skipped for now")
    threads = [begin(plans, first)]
    first.came.wait()
    count = len(trained)
    threads.append(begin(plans, second))
    second.came.wait()
    first.release.set()
    for thread in threads:
        thread.join()
    assert "in use by process" in second.text
    assert second.lines[-1].startswith("  done already")
    assert len(trained) == count


def test_a_run_in_use_does_not_keep_others_from_being_done(make_request):
    plans = plan_runs([make_request("i3d", fold="all")])
    lines = Watched(str(plans[1].folder))
    lock = plans[0].runs / ".locks" / plans[0].run_id[:12]
    with hold_lock(lock, "test"):
        thread = begin(plans, lines)
        lines.came.wait()
        assert plans[1].done()
        assert not plans[0].done()
    thread.join()
    assert plans[0].done()


def test_an_unknown_modality_is_named(make_request):
    with pytest.raises(UsageError, match="'nonsense'") as caught:
        plan_runs([make_request(modalities=("rgb", "nonsense"))])
    assert "rgb, depth" in caught.value.hint


@pytest.mark.parametrize("names", [("rgb",), ("rgb", "rgb")])
def test_mtut_with_one_modality_is_refused(make_request, names):
    with pytest.raises(UsageError, match="mtut needs two modalities, --modalities names only rgb"):
        plan_runs([make_request(modalities=names)])


def test_modalities_are_put_in_the_projects_order(make_request):
    assert plan_runs([make_request(modalities=("depth", "rgb"))])[0].modalities == ("rgb", "depth")


@pytest.mark.parametrize("seed", [-1, 10])
def test_a_seed_outside_the_protocol_is_refused(make_request, seed):
    with pytest.raises(UsageError, match=f"seed {seed} "):
        plan_runs([make_request(), make_request(seed=seed)])


def test_a_truncated_store_is_refused_before_training(make_request, make_store):
    store = make_store("torn")
    shard = next(store.glob("frames/rgb/c/*/0/0/0"))
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(StoreError, match="truncated"):
        plan_runs([make_request(store=store)])


def test_a_dry_run_counts_the_disk(make_request):
    request = replace(make_request(protocol=PROTOCOLS["paper-scratch"]), method=METHODS["mtut"])
    plans = plan_runs([request])
    size = 12_300_000 * 4  # I3D with three classes, float32
    kept, more = (int(word) for word in describe_plans(plans)[-1].split() if word.isdecimal())
    # Two networks and two checkpoints with momentum; in stage two the old one and the new one.
    assert kept == pytest.approx(6 * size / 1e6, rel=0.01)
    assert more == pytest.approx(8 * size / 1e6, rel=0.01)


def test_a_validation_split_is_reported(do, validated):
    plan, text = do(store=validated, fold="official")
    manifest = json.loads((plan.folder / "manifest.json").read_text())
    found = read(plan.folder / "predictions-val.npz")
    assert found.clip_ids == plan.fold.val == ("clip01", "clip04", "clip07")
    assert manifest["test_clips"] == list(plan.fold.test)
    assert manifest["validation"]["clips"] == 3
    accuracies = manifest["validation"]["accuracy"]
    assert list(accuracies) == ["rgb", "depth", "fused"]
    right = found.probabilities_MNK.argmax(axis=2) == found.labels_N
    assert [accuracies["rgb"], accuracies["depth"]] == right.mean(axis=1).tolist()
    assert "validation, chooses nothing: accuracy rgb" in text
    assert {row["total"] for row in result_rows(find_runs(plan.runs).runs)} == {3}


def test_validation_clips_change_no_result(do, validated, make_store, make_rows):
    rows = [row for row in StoreReader(validated).table.rows if row.split != "val"]
    without = make_store("without", rows=tuple(rows), fold_rule="split")
    plans = [do(store=store, fold="official")[0] for store in (validated, without)]
    one, other = (read(plan.folder / "predictions.npz") for plan in plans)
    np.testing.assert_array_equal(one.scores_MNK, other.scores_MNK)


def test_a_run_that_trains_on_validation_clips_validates_nothing(do, validated, tiny_protocol):
    protocol = varied(tiny_protocol, train_on="train+val")
    plan, text = do(store=validated, fold="official", protocol=protocol)
    manifest = json.loads((plan.folder / "manifest.json").read_text())
    assert "validation" not in manifest
    assert "validation" not in text
    assert not (plan.folder / "predictions-val.npz").exists()
    assert {row["total"] for row in result_rows(find_runs(plan.runs).runs)} == {3}


def test_a_run_opens_its_store_once(make_request, monkeypatch):
    opened, begin = [], StoreReader.__init__

    def count(reader, path, *arguments, **options):
        opened.append(path)
        begin(reader, path, *arguments, **options)

    request = make_request(precision="bf16")
    monkeypatch.setattr(StoreReader, "__init__", count)
    execute(plan_runs([request]), MACHINE, Lines())
    assert len(opened) == 1
