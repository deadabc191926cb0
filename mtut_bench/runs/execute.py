"""Do runs: shared first stages, joint stage, test, manifest. Skip what is done, resume the rest.

``<runs>/<store>/<id12>/``: manifest.json (written last), predictions.npz, log.jsonl,
network-<modality>.safetensors, predictions-val.npz of a validation split; while it trains,
checkpoint.pt.
``<runs>/stages/<id12>/``: checkpoint.pt of stage one and its manifest.json.
"""

import json
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import zarr

from mtut_bench import __version__
from mtut_bench.contract.folds import make_folds
from mtut_bench.contract.metrics import accuracy
from mtut_bench.contract.predictions import Predictions, check_complete, fuse, read, write
from mtut_bench.errors import BusyError, RunError
from mtut_bench.files import hold_lock, read_json, write_atomic, write_json
from mtut_bench.loading.sampling import keyed_seed
from mtut_bench.loading.training_clips import TrainingClips
from mtut_bench.progress import Reporter, Ticker, counted
from mtut_bench.runs.feature_maps import save_maps
from mtut_bench.runs.machine import Machine, explain_memory, fresh_learner
from mtut_bench.runs.method_trial import distinct_trials, try_method
from mtut_bench.runs.precision import PrecisionChecks
from mtut_bench.runs.remaining import count_down
from mtut_bench.runs.spec import RunPlan
from mtut_bench.store.reader import StoreReader
from mtut_bench.training.checkpoint import save_network
from mtut_bench.training.loop import Stage, train
from mtut_bench.training.step import classification_losses
from mtut_bench.training.train_state import Learner
from mtut_bench.training.whole_clip_test import clips_below_minimum, predict

__all__ = ["MANIFEST_VERSION", "command_line", "execute"]

MANIFEST_VERSION = 2

_DAMAGED = "Delete the run's folder and repeat the run."


def execute(
    plans: Sequence[RunPlan],
    machine: Machine,
    reporter: Reporter,
    checks: PrecisionChecks | None = None,
) -> None:
    """Do every run that is not done yet. Several processes may share a runs folder.

    Before anything is trained each method is tried on a made-up batch, and each network's precision
    compared with fp32. A run that another process is at is left to it; at the end its result is
    waited for.

    Args:
        plans: runs; several may share first stages.
        machine: device, workers, command.
        reporter: where progress goes.
        checks: what has been compared already, if anything.

    Raises:
        StoreError: the store is damaged.
        RunError: a finished result or a checkpoint is damaged; names the file.
        PredictionError: the predictions of a finished run are damaged.
        PrecisionError: bfloat16 is wrong on this device.
        UsageError: a user's own method fails.
        TrainingDivergedError: a loss is not finite.
    """
    reporter.countdown = count_down(plans)
    if left := reporter.countdown.text():
        to_do = sum(not plan.done() for plan in plans)
        reporter.line(f"{counted(to_do, 'run')} to do, {left}, at the rate of earlier runs")
    titles = {
        plan.run_id: f"[{number}/{len(plans)}] {plan.method.name} on {plan.store.stem},"
        f" {plan.fold_title}, {'+'.join(plan.modalities)}, seed {plan.seed}"
        for number, plan in enumerate(plans, start=1)
    }
    checks = checks or PrecisionChecks(machine, reporter.line)
    _check_before_training([plan for plan in plans if not plan.done()], machine, checks)
    deferred: list[RunPlan] = []
    for plan in plans:
        try:
            _run_once(plan, titles[plan.run_id], machine, reporter, checks, wait=False)
        except BusyError as error:
            reporter.line(f"  {error.what}; left to it for now")
            deferred.append(plan)
    for plan in deferred:
        _run_once(plan, titles[plan.run_id], machine, reporter, checks, wait=True)


def _check_before_training(
    plans: Sequence[RunPlan], machine: Machine, checks: PrecisionChecks
) -> None:
    for plan in distinct_trials(plans):
        explain_memory(plan, machine, partial(try_method, plan, machine))
        checks.check([plan])


def _run_once(
    plan: RunPlan,
    title: str,
    machine: Machine,
    reporter: Reporter,
    checks: PrecisionChecks,
    *,
    wait: bool,
) -> None:
    reporter.line(title)
    what = f"the run {plan.run_id[:12]}"
    with hold_lock(plan.runs / ".locks" / plan.run_id[:12], what, wait=wait):
        if plan.done():
            _check_result(plan)
            reporter.line(f"  done already -> {plan.folder}")
        else:
            explain_memory(plan, machine, lambda: _run(plan, machine, reporter, checks))
        # A kill after the manifest leaves it behind.
        (plan.folder / "checkpoint.pt").unlink(missing_ok=True)


def _check_result(plan: RunPlan) -> None:
    """Refuse to skip a run whose result cannot be read."""
    path = plan.folder / "manifest.json"
    manifest = read_json(path, RunError, _DAMAGED)
    if not isinstance(manifest, dict) or manifest.get("id") != plan.run_id:
        raise RunError(f"{path} is not the manifest of run {plan.run_id[:12]}", _DAMAGED)
    check_complete(read(plan.folder / "predictions.npz"), plan.fold.test)


def _run(plan: RunPlan, machine: Machine, reporter: Reporter, checks: PrecisionChecks) -> None:
    started, clock = datetime.now(UTC), time.monotonic()
    resumed = plan.begun()
    _sweep(plan.folder)
    reader = StoreReader(plan.store)
    if reader.attributes.mirror is None and plan.protocol.flip != "none":
        reporter.line("  no clip is mirrored: the store's mirror pairs are unknown")
    if plan.fold_unit != "person":
        reporter.line(f"  folds by {plan.fold_unit}: one person may be on both sides")
    agreement = checks.of(plan)
    log: list[dict[str, Any]] = []
    learners: dict[str, Learner] = {}
    for modality in plan.modalities:
        learner, entries = _stage_one(plan, modality, machine, reporter)
        learners[modality] = learner
        log += entries
    log += _stage_two(plan, learners, machine, reporter)
    networks = {modality: learner.network for modality, learner in learners.items()}
    predictions = _predict(plan, networks, "test", machine, reporter)
    # After the last update: it is reported and chooses nothing.
    validation = _predict(plan, networks, "val", machine, reporter) if plan.fold.val else None
    save_maps(plan.folder / "maps.npz", networks, reader, plan, machine.device)
    for modality, network in networks.items():
        save_network(plan.folder / f"network-{modality}.safetensors", network.state_dict())
    lines = "".join(json.dumps(entry) + "\n" for entry in log)
    write_atomic(plan.folder / "log.jsonl", lines.encode())
    write(plan.folder / "predictions.npz", predictions)
    if validation:
        write(plan.folder / "predictions-val.npz", validation)
    manifest = _manifest(plan, reader, machine)
    # "The rate at epoch 60 stands in every row": stage one's plateau rule decides it.
    manifest["joint_learning_rate"] = {
        entry["modality"]: entry["learning_rate"] for entry in log if entry["stage"] == "joint"
    }
    manifest["precision_check"] = agreement
    manifest["weights"] = {m: list(learner.weight_notes) for m, learner in learners.items()}
    manifest["padded_clips"] = clips_below_minimum(networks, reader, plan.fold.test)
    if validation:
        manifest["validation"] = {"clips": len(plan.fold.val), "accuracy": _accuracies(validation)}
    manifest["provenance"] |= {
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - clock, 3),
        # Time of an interrupted run is that of its last part.
        "resumed": resumed,
    }
    write_json(plan.folder / "manifest.json", manifest)
    if validation:
        reporter.line(f"  validation, chooses nothing: {_scores(validation)}")
    reporter.line(f"  {_scores(predictions)}  -> {plan.folder}")


def _predict(
    plan: RunPlan,
    networks: Mapping[str, torch.nn.Module],
    side: Literal["test", "val"],
    machine: Machine,
    reporter: Reporter,
) -> Predictions:
    with reporter.ticker(f"  {side}") as ticker:
        return predict(
            networks,
            StoreReader(plan.store),
            plan.fold.test if side == "test" else plan.fold.val,
            plan.protocol,
            machine.device,
            precision=plan.arm.precision,
            residence=machine.residence,
            workers=machine.test_workers,
            progress=ticker,
        )


def _stage_one(
    plan: RunPlan, modality: str, machine: Machine, reporter: Reporter
) -> tuple[Learner, list[dict[str, Any]]]:
    """Return the network after stage one, trained now or taken from a run that shares it."""
    folder = plan.stage_folder(modality)
    protocol = plan.protocol
    learner = fresh_learner(plan, modality, machine)
    lock = plan.runs / ".locks" / folder.name
    with ExitStack() as stack:
        try:
            stack.enter_context(hold_lock(lock, f"the first stage {folder.name}"))
        except BusyError as error:
            reporter.line(f"  {error.what}; waiting for it")
            stack.enter_context(hold_lock(lock, f"the first stage {folder.name}", wait=True))
        stage = Stage(
            "alone",
            0,
            protocol.epochs_alone,
            adapt_rate=True,
            objective=classification_losses,
            checkpoint=folder / "checkpoint.pt",
        )
        _sweep(folder)
        shared = plan.stage_done(modality)
        if shared:
            reporter.line(f"  {modality} alone: shared ({folder})")
        with reporter.ticker(
            f"  {modality} alone, epochs", piece=plan.stage_id(modality)
        ) as ticker:
            log = train(
                {modality: learner},
                _training_clips(plan, (modality,), plan.seed),
                stage,
                protocol,
                machine.device,
                precision=plan.arm.precision,
                workers=machine.workers,
                residence=machine.residence,
                begin=None if shared else _begin(modality, ticker, reporter),
                progress=ticker,
            )
        if not shared:
            write_json(
                folder / "manifest.json",
                {
                    "format_version": MANIFEST_VERSION,
                    "id": plan.stage_id(modality),
                    "identity": plan.stage_identities[modality],
                    "provenance": _provenance(machine),
                },
            )
    return learner, log


def _stage_two(
    plan: RunPlan, learners: Mapping[str, Learner], machine: Machine, reporter: Reporter
) -> list[dict[str, Any]]:
    protocol = plan.protocol
    if protocol.stage_two == "restart":
        for learner in learners.values():
            learner.restart(protocol.learning_rate)
    stage = Stage(
        "joint",
        protocol.epochs_alone,
        protocol.epochs_alone + protocol.epochs_joint,
        adapt_rate=False,
        objective=plan.method.build_objective(protocol.objective_settings()),
        checkpoint=plan.folder / "checkpoint.pt",
    )
    title = f"  {plan.method.name} objective, epochs"
    with reporter.ticker(title, piece=plan.run_id) as ticker:
        return train(
            learners,
            _training_clips(plan, plan.modalities, _joint_seed(plan)),
            stage,
            protocol,
            machine.device,
            precision=plan.arm.precision,
            workers=machine.workers,
            residence=machine.residence,
            begin=_begin(plan.method.name, ticker, reporter),
            progress=ticker,
        )


def _begin(what: str, ticker: Ticker, reporter: Reporter) -> Callable[[int, int], None]:
    """Return what says that a stage begins, or after which epoch it goes on."""

    def begin(done: int, total: int) -> None:
        if done:
            reporter.line(f"  resuming {what} after epoch {done} of {total}")
        if done < total:
            ticker(done, total)

    return begin


def _sweep(folder: Path) -> None:
    """Remove what a kill in the middle of a write left; the caller holds the folder's lock."""
    for leftover in folder.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)


def _joint_seed(plan: RunPlan) -> int:
    """Return the seed of stage two's draws: the run's own, but for a method that repeats itself."""
    if "joint_seed" not in plan.method.settings:
        return plan.seed
    return keyed_seed("joint", plan.seed, plan.protocol.joint_seed)


def _training_clips(plan: RunPlan, modalities: tuple[str, ...], seed: int) -> TrainingClips:
    return TrainingClips(plan.store, plan.fold.train, modalities, plan.protocol, seed)


def _manifest(plan: RunPlan, reader: StoreReader, machine: Machine) -> dict[str, Any]:
    attributes = reader.attributes
    method, protocol = plan.method, plan.protocol
    folds = make_folds(
        reader.table.rows, attributes.fold_rule, attributes.subject_unit, plan.fold_unit
    )
    return {
        "format_version": MANIFEST_VERSION,
        "id": plan.run_id,
        "state": "complete",
        "identity": plan.identity,
        "stages": {m: plan.stage_id(m)[:12] for m in plan.modalities},
        "method": {
            "name": method.name,
            "title": method.title,
            "fusion_title": method.fusion_title,
            "file": method.file,
        },
        "protocol": {
            "name": protocol.name,
            "version": protocol.version,
            "tables": list(protocol.tables),
        },
        "store": {
            "name": reader.name,
            "dataset": attributes.dataset,
            "origin": attributes.origin,
            "complete": attributes.complete,
            "num_clips": len(reader.table.rows),
            "expected_clips": attributes.expected_clips,
            "digest": attributes.digest,
            "modalities": list(reader.modalities),
            "folds": [fold.name for fold in folds],
            "classes": list(attributes.classes),
            "subject_unit": attributes.subject_unit,
            # What a recording must become before a network of this run may see it.
            "frame_size": list(reader.frame_size),
            "fps": attributes.fps,
            "colour": attributes.colour,
            "depth_polarity": attributes.depth_polarity,
            "flow": attributes.flow,
            "source": attributes.source,
            "licence": attributes.licence,
        },
        **_test_side(plan, reader),
        "provenance": _provenance(machine),
    }


def _test_side(plan: RunPlan, reader: StoreReader) -> dict[str, Any]:
    """Return what statistics and figures ask of the test clips, so that they need no store."""
    rows = [reader.table.rows[reader.table.index[clip_id]] for clip_id in plan.fold.test]
    return {
        "test_clips": list(plan.fold.test),
        "test_subjects": [row.subject for row in rows],
        "test_frames": [row.num_frames for row in rows],
    }


def _provenance(machine: Machine) -> dict[str, Any]:
    cuda = machine.device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(machine.device) if cuda else "cpu",
        "threads": torch.get_num_threads(),
        "versions": {
            "mtut-bench": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "zarr": zarr.__version__,
        },
        "git": _git_revision(),
        "command": machine.command,
    }


def _git_revision() -> str | None:
    """Return the revision of the source tree this runs from, '+' where it has changes."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        head = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        ).stdout.strip()
        changes = subprocess.run(
            ["git", "-C", str(root), "status", "--porcelain", "--untracked-files=no"],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
    return head + ("+" if changes else "")


def _accuracies(predictions: Predictions) -> dict[str, float]:
    found = {
        modality: accuracy(scores, predictions.labels_N)
        for modality, scores in zip(
            predictions.modalities, predictions.probabilities_MNK, strict=True
        )
    }
    if len(found) > 1:
        fused = fuse(predictions, predictions.modalities)
        found["fused"] = accuracy(fused, predictions.labels_N)
    return found


def _scores(predictions: Predictions) -> str:
    parts = [f"{name} {value:.1%}" for name, value in _accuracies(predictions).items()]
    return "accuracy " + ", ".join(parts)


def command_line() -> str:
    """Return what the user typed, quoted for a shell; the program's name instead of its path."""
    return shlex.join(["mtut-bench", *sys.argv[1:]])
