"""Runs that share stage one, and processes that share a folder of runs."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from planned import Request, plan_runs, varied
from processes import started
from run_bench import MACHINE, Lines
from safetensors.torch import load_file

from mtut_baselines import METHODS
from mtut_bench.contract.method_file import load_method
from mtut_bench.contract.protocol import PROTOCOLS
from mtut_bench.runs.execute import execute
from mtut_bench.runs.trained import open_run
from mtut_bench.store.clips import StoreClips
from mtut_bench.training import two_stage
from mtut_bench.training.whole_clip_test import whole_clip_logits


def predictions(plan):
    return (plan.folder / "predictions.npz").read_bytes()


@pytest.mark.parametrize(
    ("method", "settings"),
    [("i3d+ssa", ()), ("mtut", ("stage_two=restart",)), ("mtut", ("lambda=9", "rho_per=batch"))],
)
def test_a_shared_stage_one_is_bit_equal_to_that_of_a_single_run(do, tmp_path, method, settings):
    own, _ = do(method, runs=tmp_path / "own", settings=settings)
    # Of one modality: the other is trained now.
    do("i3d", modalities=("rgb",))
    shared, text = do(method, settings=settings)
    assert text.count("stage one: shared") == 1
    assert predictions(own) == predictions(shared)
    for modality in ("rgb", "depth"):
        names = [p.folder / f"network-{modality}.safetensors" for p in (own, shared)]
        assert names[0].read_bytes() == names[1].read_bytes()


@pytest.mark.parametrize("stage_two", ["continue", "restart"])
def test_stage_two_continues_or_restarts_momentum_and_rate(
    do, monkeypatch, tiny_protocol, stage_two
):
    train, seen = two_stage.train, {}

    def spy(train_states, clips, stage, *arguments, **options):
        if stage.name == "joint":
            for modality, train_state in train_states.items():
                rate = train_state.optimiser.param_groups[0]["lr"]
                seen[modality] = (rate, len(train_state.optimiser.state_dict()["state"]))
        return train(train_states, clips, stage, *arguments, **options)

    monkeypatch.setattr(two_stage, "train", spy)
    # Every epoch is a plateau: the rate ends at its floor.
    protocol = varied(
        tiny_protocol,
        rate_schedule="plateau",
        stage_two=stage_two,
        plateau_patience=0,
        plateau_threshold=0.99,
    )
    plan, _ = do(protocol=protocol)
    rate, momenta = (1e-2, 0) if stage_two == "restart" else (1e-4, 6)
    assert seen == {m: (pytest.approx(rate), momenta) for m in ("rgb", "depth")}
    log = [json.loads(line) for line in (plan.folder / "log.jsonl").read_text().splitlines()]
    joint = [entry["learning_rate"] for entry in log if entry["stage"] == "joint"]
    assert joint == pytest.approx([rate] * 4)


@pytest.mark.parametrize("moment", ["stage two, epochs 1", "stage two, epochs 2"])
def test_a_restarted_stage_two_is_resumed_not_restarted_again(do, tmp_path, moment):
    settings = ("stage_two=restart",)
    undisturbed, _ = do(runs=tmp_path / "undisturbed", settings=settings)
    with pytest.raises(KeyboardInterrupt):
        do(stop_at=moment, settings=settings)
    resumed, _ = do(settings=settings)
    assert predictions(resumed) == predictions(undisturbed)


def test_the_manifest_names_overrides_precision_and_its_check(do):
    plan, _ = do(settings=("momentum=0.5",), precision="bf16")
    manifest = json.loads((plan.folder / "manifest.json").read_text())
    assert manifest["identity"]["overrides"] == {"momentum": 0.5}
    assert manifest["identity"]["precision"] == "bf16"
    assert manifest["precision_check"].keys() == {"rgb", "depth"}
    plain, _ = do()
    assert json.loads((plain.folder / "manifest.json").read_text())["precision_check"] is None


@pytest.mark.parametrize("kind", ["running", "recomputed"])
def test_the_manifest_tells_how_each_network_fits_its_training_clips(do, tiny_methods, kind):
    plan, _ = do("i3d", settings=(f"bn_statistics={kind}",))
    manifest = json.loads((plan.folder / "manifest.json").read_text())
    log = [json.loads(line) for line in (plan.folder / "log.jsonl").read_text().splitlines()]
    assert manifest["training"].keys() == {"rgb", "depth"}
    run = open_run(plan.folder, tiny_methods)
    clips = StoreClips(plan.reader, plan.fold.train, "train")
    rows, index = plan.reader.table.rows, plan.reader.table.index
    labels_N = np.array([rows[index[clip]].label for clip in clips.ids])
    for modality, found in manifest["training"].items():
        assert found.keys() == {"training_mode", "running", "recomputed"}
        last = [entry for entry in log if entry["modality"] == modality][-1]
        assert found["training_mode"]["accuracy"] == last["accuracy"]
        # The network on disk is the one that was tested.
        network = {modality: run.network(modality)}
        (logits_NK,) = whole_clip_logits(network, clips, plan.recipe, MACHINE.device)
        right = float((logits_NK.argmax(axis=1) == labels_N).mean())
        assert found[kind]["accuracy"] == right
    assert manifest["training"]["rgb"]["running"] != manifest["training"]["rgb"]["recomputed"]


def test_of_many_training_clips_some_are_scored(do, monkeypatch):
    monkeypatch.setattr(two_stage, "FIT_CLIPS", 3)
    manifests = []
    for seed in (0, 1):
        plan, _ = do("i3d", seed=seed)
        assert len(plan.fold.train) == 4
        manifests.append(json.loads((plan.folder / "manifest.json").read_text()))
    scored = [manifest["training"]["rgb"]["running"] for manifest in manifests]
    assert [fit["num_clips"] for fit in scored] == [3, 3]


def test_the_choice_of_statistics_changes_the_test_and_no_stage(do):
    plain, _ = do("i3d", settings=("bn_statistics=running",))
    recomputed, text = do("i3d")
    assert text.count("stage one: shared") == 2
    assert plain.run_id != recomputed.run_id
    assert predictions(plain) != predictions(recomputed)
    states = [load_file(plan.folder / "network-rgb.safetensors") for plan in (plain, recomputed)]
    changed = {name for name in states[0] if not states[0][name].equal(states[1][name])}
    assert changed == {"bn.running_mean", "bn.running_var"}


def test_wrong_statistics_are_warned_of(do, monkeypatch):
    """As of a network whose running statistics belong to other weights."""
    real = two_stage.TrainedNetworks.settle

    def spoil(model, train):
        for network in model.networks.values():
            network.bn.running_mean.fill_(50.0)
        real(model, train)

    monkeypatch.setattr(two_stage.TrainedNetworks, "settle", spoil)
    _, text = do("i3d", settings=("bn_statistics=running",))
    assert "warning: rgb: evaluation mode predicts one class for all training clips" in text
    assert "bn_statistics=recomputed" in text
    _, text = do("i3d")
    assert "--set bn_statistics" not in text


def test_a_run_without_stage_one(do):
    plan, _ = do(settings=("epochs_alone=0",))
    log = [json.loads(line) for line in (plan.folder / "log.jsonl").read_text().splitlines()]
    assert {entry["stage"] for entry in log} == {"joint"}


def test_recomputation_is_a_fact_of_the_machine(make_request, tmp_path):
    protocol = varied(
        PROTOCOLS["demo"], width=0.125, clip_length=9, short_side=32, crop=32, epochs_alone=1
    )
    found = []
    for name, machine in (("a", MACHINE), ("b", replace(MACHINE, recompute=True))):
        request = make_request(protocol=protocol, runs=tmp_path / name, modalities=("rgb", "depth"))
        plan = plan_runs([replace(request, method=METHODS["mtut"])])[0]
        execute([plan], machine, Lines())
        found.append(plan)
    assert found[0].run_id == found[1].run_id
    assert predictions(found[0]) == predictions(found[1])
    states = [load_file(plan.folder / "network-rgb.safetensors") for plan in found]
    assert all(states[0][name].equal(states[1][name]) for name in states[0])


OWN = """\
import torch
from mtut_bench.contract.networks import NetworkOutput
from mtut_bench.training.two_stage import TwoStageMethod
from mtut_bench.training.step import classification_losses


class Small(torch.nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.conv = torch.nn.Conv3d(spec.in_channels, spec.num_classes, 4, stride=4)

    def forward(self, clip):
        features = self.conv(clip)
        return NetworkOutput(features.mean(dim=(3, 4)), features)


def build():
    return TwoStageMethod(
        name="own",
        title="Own",
        fusion_title="Own",
        network="small",
        build_network=Small,
        build_objective=lambda settings: classification_losses,
    )
"""

OTHER = """\
import pathlib, sys
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/runs"]
from run_bench import MACHINE
from test_sharing import Meeting, plans
from mtut_bench.runs.execute import execute

def meet():
    print("at work", flush=True)
    sys.stdin.readline()

here = pathlib.Path(sys.argv[2])
lines = Meeting(meet)
execute(plans(here, here / "runs"), MACHINE, lines)
(here / "lines").write_text(lines.text)
"""


class Meeting(Lines):
    """Meets the other process in the middle of its first run: each is at one."""

    def __init__(self, meet):
        super().__init__()
        self.meet = meet

    def ticker(self, title, piece=""):
        meet, self.meet = self.meet, lambda: None
        meet()
        return super().ticker(title, piece)


def plans(here, runs):
    """Return the plans of an own method on every fold, from the files in a folder."""
    protocol = varied(
        PROTOCOLS["demo"], clip_length=8, short_side=10, crop=8, batch_size=2, epochs_alone=4
    )
    method = load_method(f"{here / 'own.py'}:build", {})
    store = here / "stores" / "folds.zarr"
    return plan_runs([Request(store, method, protocol, "all", ("rgb",), 0, runs)])


def test_two_processes_divide_the_folds_and_compute_each_once(make_store, make_rows, tmp_path):
    make_store("folds", rows=make_rows(num_clips=12, subjects=("1", "2", "3", "4")))
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "other.py").write_text(OTHER)
    here = Path(__file__).parents[1]
    path = os.pathsep.join(name for name in sys.path if name)
    command = [sys.executable, tmp_path / "other.py", here, tmp_path]
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with started(command, env=os.environ | {"PYTHONPATH": path}, **options) as other:

        def meet():
            assert other.stdout.readline() == "at work\n"
            other.stdin.close()

        lines = Meeting(meet)
        execute(plans(tmp_path, tmp_path / "runs"), MACHINE, lines)
        assert other.wait() == 0
    texts = [lines.text, (tmp_path / "lines").read_text()]
    shared = plans(tmp_path, tmp_path / "runs")
    assert len(shared) == 4
    assert all("  accuracy" in text for text in texts)
    for plan in shared:
        results = [
            line for text in texts for line in text.splitlines() if line.endswith(str(plan.folder))
        ]
        assert sum(line.startswith("  accuracy") for line in results) == 1
    alone = plans(tmp_path, tmp_path / "alone")
    execute(alone, MACHINE, Lines())
    assert [predictions(p) for p in alone] == [predictions(p) for p in shared]


def test_a_repetition_shares_stage_one_and_draws_stage_two_anew(do):
    first, _ = do("i3d")
    again, text = do("i3d-again")
    other, _ = do("i3d-again", settings=("joint_seed=2",))
    assert text.count("stage one: shared") == 2
    assert len({predictions(plan) for plan in (first, again, other)}) == 3
    logs = [
        [json.loads(line) for line in (plan.folder / "log.jsonl").read_text().splitlines()]
        for plan in (first, again)
    ]
    alone = [[entry["loss"] for entry in log if entry["stage"] == "alone"] for log in logs]
    joint = [[entry["loss"] for entry in log if entry["stage"] == "joint"] for log in logs]
    assert alone[0] == alone[1]
    assert joint[0] != joint[1]


def test_what_keys_a_repetition_concerns_no_other_method(plan_with):
    changed = plan_with(method="mtut", protocol={"joint_seed": 5, "rho_constant": 3.0})
    assert changed.run_id == plan_with(method="mtut").run_id
    repeated = plan_with(method="i3d-again", protocol={"joint_seed": 5})
    assert repeated.run_id != plan_with(method="i3d-again").run_id
