"""Execute runs: shared artefacts, fitting, test, manifest; skip finished ones, resume the rest.

``<runs>/<store>/<id12>/``: manifest.json (written last), predictions.npz, log.jsonl, files of the
model (network-<modality>.safetensors), maps.npz of networks, predictions-val.npz of a validation
split; during training, checkpoint.pt.
``<runs>/stages/<id12>/``: an artefact that runs share (checkpoint.pt of stage one) and its
manifest.json.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

import numpy as np
from msgspec import structs

from mtut_bench.contract.method import Clips, Model, Scores, entries_of
from mtut_bench.contract.method_file import where
from mtut_bench.contract.predictions import Predictions, accuracies, check_complete, read, write
from mtut_bench.errors import MtutBenchError, RunError, UsageError
from mtut_bench.files import hold_lock, read_json, write_atomic
from mtut_bench.progress import Reporter, counted
from mtut_bench.runs.executor import Engine, Task, in_turn, tasks_of
from mtut_bench.runs.feature_maps import save_maps
from mtut_bench.runs.job import RunJob, remove_leftovers
from mtut_bench.runs.machine import Machine, explain_memory
from mtut_bench.runs.method_trial import distinct_trials, try_method
from mtut_bench.runs.plan import RunPlan
from mtut_bench.runs.precision import PrecisionChecks
from mtut_bench.runs.provenance import provenance
from mtut_bench.runs.record import (
    MethodRecord,
    ProtocolRecord,
    RunProvenance,
    RunRecord,
    StoreRecord,
    Validation,
    write_record,
)
from mtut_bench.runs.workload import count_down
from mtut_bench.store.clips import StoreClips
from mtut_bench.training.two_stage import TrainedNetworks, TwoStageMethod
from mtut_bench.training.whole_clip_test import to_probabilities

__all__ = ["execute"]

_DAMAGED = "Delete the run's folder and repeat the run."
_T = TypeVar("_T")


def execute(
    plans: Sequence[RunPlan],
    machine: Machine,
    reporter: Reporter,
    checks: PrecisionChecks | None = None,
    engine: Engine = in_turn,
) -> None:
    """Execute every run that is not finished. Several processes may share a folder of runs.

    Before anything is trained each method that trains networks is tried on a made-up batch, and
    each network's precision compared with fp32.

    Args:
        plans: runs; several may share artefacts.
        machine: device, workers, command.
        reporter: where progress goes.
        checks: earlier comparisons with fp32.
        engine: decides in which order and where tasks are done.

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
    checks = checks or PrecisionChecks(machine, reporter.line)
    _check_before_training([plan for plan in plans if not plan.done()], machine, checks)
    titles = {
        plan.run_id: f"[{number}/{len(plans)}] {plan.method.name} on {plan.store.stem},"
        f" {plan.fold_title}, {'+'.join(plan.modalities)}, seed {plan.seed}"
        for number, plan in enumerate(plans, start=1)
    }
    runs: dict[str, _Run] = {}

    def do(task: Task) -> None:
        run = runs.get(task.plan.run_id)
        if run is None:
            reporter.line(titles[task.plan.run_id])
            run = runs[task.plan.run_id] = _Run(task.plan, machine, reporter, checks)
        run.do(task.shared)

    engine(tasks_of(plans), do, reporter.line)


def _check_before_training(
    plans: Sequence[RunPlan], machine: Machine, checks: PrecisionChecks
) -> None:
    for plan in distinct_trials(plans):
        if isinstance(plan.method, TwoStageMethod):
            explain_memory(plan, machine, partial(try_method, plan, machine))
            checks.check([plan])


class _Run:
    """A run that is being executed; arguments as of :func:`execute`."""

    def __init__(
        self, plan: RunPlan, machine: Machine, reporter: Reporter, checks: PrecisionChecks
    ) -> None:
        self._plan, self._machine, self._reporter, self._checks = plan, machine, reporter, checks
        self._job = RunJob(plan, machine, reporter)
        self._started, self._clock = datetime.now(UTC), time.monotonic()
        self._resumed = plan.begun()
        if plan.done():
            return
        if (
            plan.reader.attributes.mirror is None
            and getattr(plan.method.recipe, "flip", "none") != "none"
        ):
            reporter.line("  clips are not mirrored: the store has no mirror pairs")
        if plan.spec.fold_unit != "person":
            reporter.line(f"  folds by {plan.spec.fold_unit}: one person may be on both sides")

    def do(self, shared: str) -> None:
        """Make an artefact of the run by its name, or the run itself ("").

        Raises:
            BusyError: another process does.
        """
        if shared:
            self._guarded(lambda: self._job.make_declared(shared))
            return
        plan = self._plan
        name = plan.run_id[:12]
        with hold_lock(plan.runs / ".locks" / name, f"the run {name}"):
            if plan.done():
                _check_result(plan)
                self._reporter.line(f"  done already -> {plan.folder}")
            else:
                self._guarded(self._finish)
            # Left by a kill after the manifest was written.
            (plan.folder / "checkpoint.pt").unlink(missing_ok=True)

    def _guarded(self, work: Callable[[], _T]) -> _T:
        """Return what some work returns; errors of a user's own method name its file and line."""
        plan = self._plan
        try:
            return explain_memory(plan, self._machine, work)
        except MtutBenchError:
            raise
        except Exception as error:
            file = plan.loaded.file
            if not file:
                raise
            raise UsageError(
                f"method {plan.method.name} fails: {where(file.rpartition(':')[0], error)}",
                f"Correct {file} and repeat the command.",
            ) from error

    def _finish(self) -> None:
        plan, reporter, job = self._plan, self._reporter, self._job
        remove_leftovers(plan.folder)
        agreement = self._checks.of(plan)
        model = plan.method.fit(job.train, job)
        predictions = _predictions(plan, model, job.test)
        # Reported; it chooses nothing.
        validation = _predictions(plan, model, job.validation) if job.validation else None
        if isinstance(model, TrainedNetworks):
            save_maps(plan.folder / "maps.npz", model.networks, plan, self._machine.device)
        plan.folder.mkdir(parents=True, exist_ok=True)
        model.save(plan.folder)
        lines = "".join(json.dumps(entry) + "\n" for entry in entries_of(model))
        write_atomic(plan.folder / "log.jsonl", lines.encode())
        write(plan.folder / "predictions.npz", predictions)
        if validation:
            write(plan.folder / "predictions-val.npz", validation)
        made_by = RunProvenance(
            **structs.asdict(provenance(self._machine.device, self._machine.command)),
            started=self._started.isoformat(timespec="seconds"),
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            seconds=round(time.monotonic() - self._clock, 3),
            resumed=self._resumed,
        )
        record = _record(plan, getattr(model, "facts", {}), agreement, validation, made_by)
        write_record(plan.folder / "manifest.json", record)
        if validation:
            reporter.line(f"  validation, chooses nothing: {_scores(validation)}")
        reporter.line(f"  {_scores(predictions)}  -> {plan.folder}")


def _check_result(plan: RunPlan) -> None:
    """Ensure that the result of a finished run can be read."""
    path = plan.folder / "manifest.json"
    manifest = read_json(path, RunError, _DAMAGED)
    if not isinstance(manifest, dict) or manifest.get("id") != plan.run_id:
        raise RunError(f"{path} is not the manifest of run {plan.run_id[:12]}", _DAMAGED)
    check_complete(read(plan.folder / "predictions.npz"), plan.fold.test)


def _predictions(plan: RunPlan, model: Model, clips: StoreClips) -> Predictions:
    """Return a model's scores with the labels, which it was not given.

    Raises:
        UsageError: the scores break the contract.
    """
    scores = model.predict(clips)
    problem = _check_scores(plan, scores, clips)
    if problem:
        place = f" ({plan.loaded.file})" if plan.loaded.file else ""
        raise UsageError(
            f"method {plan.method.name}{place} breaks the contract on the {clips.side} clips:"
            f" {problem}",
            "See mtut_bench/contract/method.py.",
        )
    values_MNK = np.stack([scores[m].values_NK for m in plan.modalities]).astype(np.float32)
    kind = scores[plan.modalities[0]].kind
    probabilities_MNK = to_probabilities(values_MNK) if kind == "logits" else None
    if kind == "probabilities":
        probabilities_MNK = values_MNK
    table = plan.reader.table
    labels_N = np.array([table.rows[table.index[i]].label for i in clips.ids], np.int64)
    found = Predictions(clips.ids, labels_N, plan.modalities, values_MNK, probabilities_MNK, kind)
    check_complete(found, clips.ids)
    return found


def _check_scores(plan: RunPlan, scores: object, clips: Clips) -> str:
    """Return what is wrong with the scores of a model, or ""."""
    if not isinstance(scores, Mapping) or set(scores) != set(plan.modalities):
        return f"no scores for exactly {', '.join(plan.modalities)}"
    shape = (len(clips), plan.identity["num_classes"])
    for modality in plan.modalities:
        found = scores[modality]
        if not isinstance(found, Scores):
            return f"{modality}: a {type(found).__name__}, not Scores"
        if np.shape(found.values_NK) != shape:
            return f"{modality}: scores {np.shape(found.values_NK)}, not {shape}"
        if not np.isfinite(found.values_NK).all():
            return f"{modality}: scores that are not finite"
    if len({scores[modality].kind for modality in plan.modalities}) > 1:
        return "scores of several kinds"
    return ""


def _record(
    plan: RunPlan,
    facts: Mapping[str, Any],
    agreement: dict[str, Any] | None,
    validation: Predictions | None,
    made_by: RunProvenance,
) -> RunRecord:
    reader = plan.reader
    attributes, table = reader.attributes, reader.table
    method, protocol = plan.method, plan.protocol
    # Statistics and figures need these facts, and no store.
    tested = [table.rows[table.index[clip_id]] for clip_id in plan.fold.test]
    return RunRecord(
        id=plan.run_id,
        state="complete",
        hashed=plan.identity,
        spec=plan.spec,
        stages={name: plan.stage_id(name)[:12] for name in plan.shared_keys},
        method=MethodRecord(
            name=method.name,
            title=method.title,
            fusion_title=method.fusion_title,
            file=plan.loaded.file,
        ),
        protocol=ProtocolRecord(
            name=protocol.name, version=protocol.version, tables=protocol.tables
        ),
        store=StoreRecord(
            name=reader.name,
            dataset=attributes.dataset,
            origin=attributes.origin,
            complete=attributes.complete,
            num_clips=len(table.rows),
            expected_clips=attributes.expected_clips,
            digest=attributes.digest,
            modalities=reader.modalities,
            folds=tuple(fold.name for fold in reader.folds(plan.spec.fold_unit)),
            classes=tuple(attributes.classes),
            subject_unit=attributes.subject_unit,
            # How recordings are converted for the networks of this run.
            frame_size=reader.frame_size,
            fps=attributes.fps,
            colour=attributes.colour,
            depth_polarity=attributes.depth_polarity,
            flow=attributes.flow,
            source=attributes.source,
            licence=attributes.licence,
        ),
        test_clips=plan.fold.test,
        test_subjects=tuple(row.subject for row in tested),
        test_frames=tuple(row.num_frames for row in tested),
        provenance=made_by,
        joint_learning_rate=facts.get("joint_learning_rate", {}),
        precision_check=agreement,
        weights={m: tuple(notes) for m, notes in facts.get("weights", {}).items()},
        padded_clips=tuple(facts.get("padded_clips", ())),
        training=facts.get("training", {}),
        validation=Validation(clips=len(plan.fold.val), accuracy=accuracies(validation))
        if validation
        else None,
    )


def _scores(predictions: Predictions) -> str:
    parts = [f"{name} {value:.1%}" for name, value in accuracies(predictions).items()]
    return "accuracy " + ", ".join(parts)
