"""The visible training loop: both stages, one checkpoint per epoch, every draw a pure function.

Stage one trains each network on its classification loss (60 epochs in the paper); stage two trains
all of them on the method's objective, at a frozen learning rate (15 epochs). Window, crop and flip
depend on (seed, epoch, clip id), dropout on (seed, modality, step): an interrupted training goes on
to the same bytes, and a network does not depend on which others are trained beside it. On the CPU
this holds for one number of torch's threads, which divide sums differently.
"""

import json
import math
import resource
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mtut_bench.contract.networks import Objective
from mtut_bench.errors import RunError
from mtut_bench.loading.device_cache import DeviceCache
from mtut_bench.loading.prefetch import Prefetcher
from mtut_bench.loading.training_clips import EpochSampler, TrainingClips, split_batch
from mtut_bench.training.checkpoint import load_checkpoint, save_checkpoint
from mtut_bench.training.log import TrainingLog
from mtut_bench.training.step import Terms, train_step
from mtut_bench.training.train_state import TrainState

__all__ = ["Stage", "peak_bytes", "train"]

EpochNote = Callable[[int, int, str], None]
StageNote = Callable[[int, int], None]


@dataclass(frozen=True)
class Stage:
    """Which epochs to train and how.

    Attributes:
        name: as logged, 'alone' (stage one) or 'joint' (stage two).
        first_epoch, last_epoch: half-open range, counted over both stages.
        adapt_rate: whether the schedule may lower the learning rate.
        objective: losses of a step.
        checkpoint: written after every epoch; where it exists, training resumes from it.
    """

    name: str
    first_epoch: int
    last_epoch: int
    adapt_rate: bool
    objective: Objective
    checkpoint: Path


def train(
    train_states: Mapping[str, TrainState],
    clips: TrainingClips,
    stage: Stage,
    device: torch.device,
    *,
    precision: str = "fp32",
    workers: int = 0,
    device_cache: DeviceCache | None = None,
    begin: StageNote | None = None,
    progress: EpochNote | None = None,
) -> list[dict[str, Any]]:
    """Train networks in place through one stage, or what is left of it.

    Args:
        train_states: per modality, in order; loaded from the stage's checkpoint where it exists.
        clips: training side of the fold, with these modalities.
        stage: epochs, objective, checkpoint.
        device: of the networks.
        precision: 'fp32', or 'bf16' for autocast.
        workers: reading processes.
        device_cache: None: clips are streamed.
        begin: called once with (epochs in the checkpoint, epochs of the stage).
        progress: called after each epoch with (epochs done, epochs of the stage, note).

    Returns:
        One log entry per epoch and modality of this stage.

    Raises:
        TrainingDivergedError: a loss is not finite.
        RunError: the checkpoint is damaged or of another training, or the clips must be cached and
            do not fit.
    """
    recipe = clips.recipe
    log, start = _resume(train_states, stage)
    sampler = EpochSampler(len(clips), recipe.batch_size, clips.seed)
    prefetcher = Prefetcher(clips, sampler, workers, device, device_cache)
    total = stage.last_epoch - stage.first_epoch
    if begin:
        begin(start - stage.first_epoch, total)
    with closing(TrainingLog(stage.checkpoint.parent)) as board:
        for epoch in range(start, stage.last_epoch):
            sampler.epoch = epoch
            began = time.monotonic()
            tally = _Tally(tuple(train_states))
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(device)
            for train_state in train_states.values():
                train_state.network.train()
            for number, batch in enumerate(prefetcher):
                step = epoch * len(sampler) + number
                parts = split_batch(batch, recipe.accumulation)
                for terms, size in train_step(
                    train_states,
                    parts,
                    stage.objective,
                    recipe,
                    clips.seed,
                    step,
                    device,
                    precision,
                ):
                    tally.add(terms, size)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            seconds = time.monotonic() - began
            entries = tally.entries(stage.name, epoch, len(clips) / seconds, train_states)
            if stage.adapt_rate:
                for modality, train_state in train_states.items():
                    train_state.end_epoch(tally.mean(modality, "cross_entropy"))
            for entry in entries:
                entry["peak_bytes"] = peak_bytes(device)
            log += entries
            # The log first: an epoch whose checkpoint is missing is trained and logged again.
            board.write(log, epoch)
            save_checkpoint(
                stage.checkpoint,
                {
                    "next_epoch": epoch + 1,
                    "train_states": {m: one.state() for m, one in train_states.items()},
                    "log": json.dumps(log),
                },
            )
            if progress:
                progress(epoch + 1 - stage.first_epoch, total, tally.note())
    return log


def _resume(
    train_states: Mapping[str, TrainState], stage: Stage
) -> tuple[list[dict[str, Any]], int]:
    if not stage.checkpoint.exists():
        return [], stage.first_epoch
    state = load_checkpoint(stage.checkpoint)
    try:
        for modality, train_state in train_states.items():
            train_state.load(state["train_states"][modality])
        return json.loads(state["log"]), int(state["next_epoch"])
    except torch.OutOfMemoryError:
        raise
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        # From load_state_dict and the look-ups above, for a state of another network.
        raise RunError(
            f"{stage.checkpoint} does not match this run: {error}",
            "Delete the file; training then starts from the beginning.",
        ) from error


def peak_bytes(device: torch.device) -> int:
    """Return the most memory used: of the GPU this epoch, or of this process ever."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024


class _Tally:
    """Clip-weighted means (and maxima, of names ending in '_max') of an epoch's log terms."""

    def __init__(self, modalities: tuple[str, ...]) -> None:
        self.num_clips = 0
        self.terms: dict[str, dict[str, float]] = {m: {} for m in modalities}

    def add(self, found: Terms, num_clips: int) -> None:
        self.num_clips += num_clips
        for modality, terms in self.terms.items():
            for name, value in found[modality].items():
                if name.endswith("_max"):
                    terms[name] = max(terms.get(name, -math.inf), value)
                else:
                    terms[name] = terms.get(name, 0.0) + value * num_clips

    def mean(self, modality: str, name: str) -> float:
        value = self.terms[modality][name]
        return value if name.endswith("_max") else value / self.num_clips

    def entries(
        self, stage: str, epoch: int, clips_per_s: float, train_states: Mapping[str, TrainState]
    ) -> list[dict[str, Any]]:
        return [
            {
                "stage": stage,
                "epoch": epoch,
                "modality": modality,
                "learning_rate": train_state.optimiser.param_groups[0]["lr"],
                **{name: self.mean(modality, name) for name in self.terms[modality]},
                "clips_per_s": clips_per_s,
            }
            for modality, train_state in train_states.items()
        ]

    def note(self) -> str:
        parts = [f"{m} {self.mean(m, 'cross_entropy'):.3f}" for m in self.terms]
        return "cross-entropy " + ", ".join(parts)
