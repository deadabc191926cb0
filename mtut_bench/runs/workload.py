"""Remaining work of some runs: updates, clip passes, clips to test, disk space, time."""

import json
import statistics
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from mtut_bench.contract.networks import NetworkSpec
from mtut_bench.errors import RunError
from mtut_bench.progress import Countdown, Piece, counted, format_duration
from mtut_bench.runs.plan import RunPlan
from mtut_bench.runs.record import read_stage
from mtut_bench.store.expected import UNMADE
from mtut_bench.training.train_state import network_spec
from mtut_bench.training.two_stage import TwoStageMethod

__all__ = ["Workload", "count_down", "describe_plans", "measured_rate"]


def describe_plans(plans: Sequence[RunPlan], clips_per_s: float | None = None) -> list[str]:
    """Return what is to be done, one line each: runs, steps, disk space, hours.

    Args:
        plans: the runs.
        clips_per_s: clips that one network trains on per second; None: no hours are forecast.
    """
    work = Workload.of(plans)
    lines = [_describe_plan(plan) for plan in plans]
    lines.append(
        f"{counted(work.num_runs, 'run')} to do: {counted(work.stage_one_steps, 'network step')} in"
        f" stage one ({counted(work.num_stages, 'training')}), {work.stage_two_steps:,} in stage"
        f" two; {counted(work.test_clips, 'clip')} to test"
    )
    lines.append(
        f"clip passes: {work.clip_passes:,}; without sharing stage one {work.unshared:,}"
        f" ({work.saved:.0%} saved)"
    )
    names = {p.method.name for p in plans if not (p.done() or isinstance(p.method, TwoStageMethod))}
    if names:
        lines.append(f"not counted, since its cost is unknown: fitting {', '.join(sorted(names))}")
    if clips_per_s:
        duration = format_duration(work.clip_passes / clips_per_s)
        lines.append(f"about {duration} of training at {clips_per_s:,.2f} clips/s")
    lines.append(
        f"disk: {work.kept_bytes / 1e6:,.0f} MB to keep, "
        f"up to {work.extra_bytes / 1e6:,.0f} MB more during training"
    )
    return lines


def _describe_plan(plan: RunPlan) -> str:
    fold = plan.fold
    return (
        f"{plan.run_id[:12] if _has_id(plan) else 'no id yet   '}  {plan.method.name},"
        f" {plan.fold_title}, {'+'.join(plan.modalities)}, seed {plan.seed}: {len(fold.train)}"
        " train,"
        + (f" {len(fold.val)} val," if fold.val else "")
        + f" {len(fold.test)} test clip{'' if len(fold.test) == 1 else 's'},"
        f" {'done' if plan.done() else 'to do'}"
    )


def _has_id(plan: RunPlan) -> bool:
    """Return whether everything in the run's identity is known."""
    none = plan.protocol.initialisation == "scratch" or plan.method.weights is None
    ready = none or plan.weights.keys() >= set(plan.modalities)
    return ready and not str(plan.identity["store_digest"]).startswith(UNMADE)


def measured_rate(plans: Sequence[RunPlan]) -> float | None:
    """Return clips per second of one network, as stage one of the same kind logged them.

    Returns:
        The median over all epochs of the same protocol and network in the plans' folders of runs;
        None without any.

    Raises:
        RunError: a manifest or log is damaged.
    """
    wanted = {(plan.protocol.name, plan.method.network) for plan in plans}
    rates: list[float] = []
    hint = "Delete its folder."
    for folder in {plan.runs / "stages" for plan in plans}:
        for path in sorted(folder.glob("*/manifest.json")):
            identity, log = read_stage(path).identity, path.with_name("log.jsonl")
            if identity.get("stage") != "alone":
                continue
            try:
                kind = (identity["protocol"]["name"], identity["network"])
                if kind in wanted and log.is_file():
                    entries = [json.loads(line) for line in log.read_text().splitlines()]
                    rates += [entry["clips_per_s"] for entry in entries]
            except (KeyError, TypeError, ValueError) as error:
                raise RunError(f"{path} or its log is damaged: {error}", hint) from error
    return statistics.median(rates) if rates else None


@dataclass
class Workload:
    """Remaining work of some runs.

    Attributes:
        num_runs: runs to do.
        num_stages: trainings of stage one, one for each network.
        stage_one_steps, stage_two_steps: updates of one network.
        clip_passes: forward and backward passes of one clip through one network.
        unshared: the same if runs did not share stage one.
        test_clips: clips to predict, with those of the validation split, counted per modality.
        kept_bytes, extra_bytes: disk space of results, and more while it trains.
    """

    num_runs: int = 0
    num_stages: int = 0
    stage_one_steps: int = 0
    stage_two_steps: int = 0
    clip_passes: int = 0
    unshared: int = 0
    test_clips: int = 0
    kept_bytes: int = 0
    extra_bytes: int = 0

    @property
    def saved(self) -> float:
        """Share of the unshared clip passes that need not be done, 0..1."""
        return 1 - self.clip_passes / self.unshared if self.unshared else 0.0

    @classmethod
    def of(cls, plans: Sequence[RunPlan]) -> "Workload":
        """Return the work of runs that are not done."""
        left = [plan for plan in plans if not plan.done()]
        work = cls(num_runs=len(left))
        for plan in left:
            work.test_clips += (len(plan.fold.test) + len(plan.fold.val)) * len(plan.modalities)
            if isinstance(plan.method, TwoStageMethod):
                epochs = plan.recipe.epochs_alone + plan.recipe.epochs_joint
                work.unshared += len(plan.fold.train) * epochs * len(plan.modalities)
        for one in _trainings(left):
            num_clips, num_networks = len(one.plan.fold.train), len(one.modalities)
            steps = -(-num_clips // one.plan.recipe.batch_size) * one.epochs * num_networks
            size = sum(_network_bytes(one.plan, modality) for modality in one.modalities)
            work.clip_passes += num_clips * one.epochs * num_networks
            if one.stage == "alone":
                work.num_stages += 1
                work.stage_one_steps += steps
                # A checkpoint holds a momentum beside every weight.
                work.kept_bytes += 2 * size
            else:
                work.stage_two_steps += steps
                work.kept_bytes += size
                # The new checkpoint is whole before the old one goes.
                work.extra_bytes = max(work.extra_bytes, 4 * size)
        return work


class _Training(NamedTuple):
    """A stage that is not trained yet; ``stage`` as in logs, 'alone' or 'joint'."""

    plan: RunPlan
    folder: Path
    stage: str
    modalities: tuple[str, ...]
    epochs: int
    done: Callable[[], bool]


def _trainings(plans: Sequence[RunPlan]) -> list[_Training]:
    """Return what is to be trained for some runs, shared stages once."""
    found: dict[Path, _Training] = {}
    for plan in plans:
        # How long a method without networks takes is unknown.
        if plan.done() or not isinstance(plan.method, TwoStageMethod):
            continue
        one, two = plan.recipe.epochs_alone, plan.recipe.epochs_joint
        for modality in plan.modalities:
            if not plan.stage_done(modality):
                folder, done = plan.stage_folder(modality), partial(plan.stage_done, modality)
                found[folder] = _Training(plan, folder, "alone", (modality,), one, done)
        folder = plan.folder
        found[folder] = _Training(plan, folder, "joint", plan.modalities, two, plan.done)
    return list(found.values())


def _network_bytes(plan: RunPlan, modality: str) -> int:
    spec = network_spec(modality, plan.identity["num_classes"], plan.recipe)
    return _bytes_of(plan.network_method.build_network, spec)


@cache
def _bytes_of(build_network: Callable[[NetworkSpec], nn.Module], spec: NetworkSpec) -> int:
    """Return the size of a network's state, bytes."""
    with torch.device("meta"):
        network = build_network(spec)
    return sum(tensor.nbytes for tensor in network.state_dict().values())


def count_down(plans: Sequence[RunPlan]) -> Countdown:
    """Return the countdown of all remaining epochs, starting from the rates of earlier runs.

    A unit is one clip through one network, a step is an epoch. Pieces are named by the folders of
    runs and of what they share.
    """
    pieces: dict[str, Piece] = {}
    rates: dict[str, float] = {}
    kinds: dict[str, list[RunPlan]] = {}
    for one in _trainings(plans):
        kind = f"{one.plan.protocol.name} {one.plan.method.network}"
        kinds.setdefault(kind, []).append(one.plan)
        epochs = one.epochs - _epochs_in(one.folder, one.stage)
        num_clips = len(one.plan.fold.train) * len(one.modalities)
        pieces[one.folder.name] = Piece(kind, epochs, num_clips, one.done)
    for kind, some in kinds.items():
        # These runs may not need the artefact that is damaged.
        with suppress(RunError):
            if rate := measured_rate(some):
                rates[kind] = rate
    return Countdown(pieces, rates)


def _epochs_in(folder: Path, stage: str) -> int:
    """Return the logged epochs of a stage; 0 where it starts anew."""
    if not (folder / "checkpoint.pt").is_file():
        return 0
    try:
        entries = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        return len({entry["epoch"] for entry in entries if entry["stage"] == stage})
    except (OSError, ValueError, KeyError, TypeError):
        # Reported when the checkpoint is read.
        return 0
