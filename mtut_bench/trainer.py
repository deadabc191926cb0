"""The visible training loop: both stages, one checkpoint per epoch, every draw a pure function.

Stage one trains each network alone on its classification loss (60 epochs in the paper); stage two
applies the method's objective to all of them, at a frozen learning rate (15 epochs). Window, crop
and flip depend on (seed, epoch, clip id), dropout on (seed, modality, step): so an interrupted
training continues to the same bytes, and a stage trained alone equals one trained in company. On
the CPU this holds for one number of torch's threads, which share out sums differently.
"""

import json
import math
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import ReduceLROnPlateau

from mtut_bench.checkpoint import load_checkpoint, save_checkpoint
from mtut_bench.errors import RunError, TrainingDivergedError
from mtut_bench.loader import Batch, EpochSampler, TrainingClips, make_loader, split_batch
from mtut_bench.method import Method, NetworkOutput, NetworkSpec, Objective, ObjectiveOutput
from mtut_bench.protocol import Protocol
from mtut_bench.sampling import keyed_seed
from mtut_bench.training_log import TrainingLog
from mtut_bench.transforms import network_channels, to_input

__all__ = [
    "Learner",
    "Stage",
    "build_learner",
    "classification_losses",
    "network_spec",
    "train",
]

EpochNote = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Learner:
    """The network of one modality with what trains it.

    Attributes:
        network, optimiser, scheduler: the training.
        weight_notes: what became of the pretrained weights, line by line; empty from scratch.
    """

    network: nn.Module
    optimiser: torch.optim.SGD
    scheduler: ReduceLROnPlateau
    weight_notes: tuple[str, ...] = ()

    def state(self) -> dict[str, Any]:
        """Return all that a continuation needs."""
        return {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scheduler": self.scheduler.state_dict(),
        }

    def restart(self, learning_rate: float) -> None:
        """Forget momentum and go back to a learning rate."""
        self.optimiser.state.clear()
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up a state that :meth:`state` returned."""
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scheduler.load_state_dict(state["scheduler"])


@dataclass(frozen=True)
class Stage:
    """Which epochs to train and how.

    Attributes:
        name: 'alone' or 'joint', for the log.
        first_epoch, last_epoch: half-open range, counted over both stages.
        adapt_rate: whether the plateau rule may lower the learning rate.
        objective: losses of a step.
        checkpoint: file that is written after every epoch and taken up where it exists.
    """

    name: str
    first_epoch: int
    last_epoch: int
    adapt_rate: bool
    objective: Objective
    checkpoint: Path


def network_spec(
    modality: str, num_classes: int, protocol: Protocol, *, recompute: bool = False
) -> NetworkSpec:
    """Return what a method builds the network of one modality from."""
    return NetworkSpec(
        num_classes=num_classes,
        in_channels=network_channels(modality, protocol),
        crop_px=protocol.crop,
        recompute=recompute,
        width=protocol.width,
        dropout=protocol.dropout,
        bn_momentum=protocol.bn_momentum,
    )


def build_learner(
    method: Method,
    modality: str,
    num_classes: int,
    protocol: Protocol,
    seed: int,
    device: torch.device,
    *,
    weights: Path | None = None,
    recompute: bool = False,
) -> Learner:
    """Return a freshly initialised network with its optimiser and plateau rule.

    Args:
        method: whose network.
        modality: its input; also keys the initialisation.
        num_classes: K.
        protocol: sizes, rates, plateau rule.
        seed: of the run.
        device: where the network lives.
        weights: pretrained weights to start from; the layers they lack keep their random ones.
        recompute: save memory by computing activations twice.

    Raises:
        MtutBenchError: the weights do not fit.
    """
    spec = network_spec(modality, num_classes, protocol, recompute=recompute)
    with seeded(keyed_seed("initialisation", seed, modality), torch.device("cpu")):
        network = method.build_network(spec)
    notes: tuple[str, ...] = ()
    if weights is not None:
        if method.load_weights is None:
            raise RunError(
                f"method {method.name} cannot load weights", "Use a protocol from scratch."
            )
        notes = tuple(method.load_weights(network, weights))
    network.to(device)
    optimiser = torch.optim.SGD(
        network.parameters(),
        lr=protocol.learning_rate,
        momentum=protocol.momentum,
        weight_decay=protocol.weight_decay,
    )
    scheduler = ReduceLROnPlateau(
        optimiser,
        factor=protocol.plateau_factor,
        patience=protocol.plateau_patience,
        threshold=protocol.plateau_threshold,
        threshold_mode="rel",
        min_lr=protocol.learning_rate_floor,
    )
    return Learner(network, optimiser, scheduler, notes)


def train(
    learners: Mapping[str, Learner],
    clips: TrainingClips,
    stage: Stage,
    protocol: Protocol,
    device: torch.device,
    *,
    precision: str = "fp32",
    workers: int = 0,
    progress: EpochNote | None = None,
) -> list[dict[str, Any]]:
    """Train networks in place through one stage, or what is left of it.

    Args:
        learners: per modality, in order; loaded from the stage's checkpoint where it exists.
        clips: training side of the fold, with these modalities.
        stage: epochs, objective, checkpoint.
        protocol: batch size and input geometry.
        device: of the networks.
        precision: 'fp32', or 'bf16' for autocast.
        workers: reading processes.
        progress: called with (epochs done, epochs of the stage, note).

    Returns:
        One log entry per epoch and modality of this stage.

    Raises:
        TrainingDivergedError: a loss is not finite.
        RunError: the checkpoint is damaged or of another training.
    """
    log, start = _take_up(learners, stage)
    sampler = EpochSampler(len(clips), protocol.batch_size, clips.seed)
    loader = make_loader(clips, sampler, workers)
    total = stage.last_epoch - stage.first_epoch
    with closing(TrainingLog(stage.checkpoint.parent)) as board:
        for epoch in range(start, stage.last_epoch):
            sampler.epoch = epoch
            began = time.monotonic()
            tally = _Tally(tuple(learners))
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(device)
            for learner in learners.values():
                learner.network.train()
            for number, batch in enumerate(loader):
                step = epoch * len(sampler) + number
                parts = split_batch(batch, protocol.accumulation)
                for output, size in _step(
                    learners, parts, stage.objective, protocol, clips.seed, step, device, precision
                ):
                    tally.add(output, size)
            seconds = time.monotonic() - began
            entries = tally.entries(stage.name, epoch, len(clips) / seconds, learners)
            if stage.adapt_rate:
                for modality, learner in learners.items():
                    learner.scheduler.step(tally.mean(modality, "cross_entropy"))
            for entry in entries:
                entry["peak_bytes"] = peak_bytes(device)
            log += entries
            # First the log: an epoch whose checkpoint is missing is trained and logged once more.
            board.write(log, epoch)
            save_checkpoint(
                stage.checkpoint,
                {
                    "next_epoch": epoch + 1,
                    "learners": {m: learner.state() for m, learner in learners.items()},
                    "log": json.dumps(log),
                },
            )
            if progress:
                progress(epoch + 1 - stage.first_epoch, total, tally.note())
    return log


def _take_up(learners: Mapping[str, Learner], stage: Stage) -> tuple[list[dict[str, Any]], int]:
    if not stage.checkpoint.exists():
        return [], stage.first_epoch
    state = load_checkpoint(stage.checkpoint)
    try:
        for modality, learner in learners.items():
            learner.load(state["learners"][modality])
        return json.loads(state["log"]), int(state["next_epoch"])
    except torch.OutOfMemoryError:
        raise
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        # What load_state_dict and the look-ups above raise for a state of another network.
        raise RunError(
            f"{stage.checkpoint} does not fit this training: {error}",
            "Delete the file; the training starts again from zero.",
        ) from error


def _step(
    learners: Mapping[str, Learner],
    parts: Sequence[Batch],
    objective: Objective,
    protocol: Protocol,
    seed: int,
    step: int,
    device: torch.device,
    precision: str,
) -> list[tuple[ObjectiveOutput, int]]:
    """Do one update of every network on the same clips; return the losses before it, per part."""
    for learner in learners.values():
        learner.optimiser.zero_grad(set_to_none=True)
    total = sum(len(part.clip_ids) for part in parts)
    results: list[tuple[ObjectiveOutput, int]] = []
    for number, part in enumerate(parts):
        labels, valid = part.labels_N.to(device), part.valid_NT.to(device)
        # The first part's masks are those of an undivided batch.
        key = (seed, step) if number == 0 else (seed, step, number)
        with autocast(device, precision):
            outputs: dict[str, NetworkOutput] = {}
            for modality, learner in learners.items():
                frames = part.frames[modality].to(device)
                clip = to_input(frames, modality, part.crops, protocol, valid)
                with seeded(keyed_seed("dropout", key[0], modality, *key[1:]), device):
                    outputs[modality] = learner.network(clip)
            result = objective(outputs, labels, valid)
        _check_finite(result, step)
        # Networks share no parameter, so the gradient of the sum is each loss's own gradient.
        share = len(part.clip_ids) / total
        (torch.stack(list(result.losses.values())).sum() * share).backward()
        results.append((result, len(part.clip_ids)))
    for learner in learners.values():
        if protocol.gradient_clip is not None:
            nn.utils.clip_grad_norm_(learner.network.parameters(), protocol.gradient_clip)
        learner.optimiser.step()
    return results


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Return the context of a forward pass: bfloat16 where the precision is 'bf16'."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def peak_bytes(device: torch.device) -> int:
    """Return the most memory used: of the GPU this epoch, or of this process ever."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024


def _check_finite(result: ObjectiveOutput, step: int) -> None:
    for modality, loss in result.losses.items():
        if not math.isfinite(float(loss.detach())):
            terms = ", ".join(f"{k} {v:.6g}" for k, v in result.log.get(modality, {}).items())
            raise TrainingDivergedError(
                f"the loss of {modality} is {float(loss.detach())} at step {step} ({terms})",
                "The run stops here; its last finished epoch is kept. Another seed or a protocol"
                " with a lower learning rate or lambda is another run.",
            )


def classification_losses(
    outputs: Mapping[str, NetworkOutput], labels_N: Tensor, valid_NT: Tensor | None = None
) -> ObjectiveOutput:
    """Return stage one's losses: cross-entropy of the time-averaged logits, batch mean.

    Args:
        outputs: per modality.
        labels_N: class indices, int64.
        valid_NT: not looked at; padding frames are classified like others.
    """
    losses = {
        modality: functional.cross_entropy(output.logits_NKT.float().mean(dim=2), labels_N)
        for modality, output in outputs.items()
    }
    return ObjectiveOutput(
        losses, {m: {"cross_entropy": float(loss.detach())} for m, loss in losses.items()}
    )


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch for a block and put its generators back afterwards.

    Args:
        seed: 64-bit.
        device: whose generator the block draws from, besides the CPU's.
    """
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


class _Tally:
    """Clip-weighted means (and maxima, of names ending in '_max') of an epoch's log terms."""

    def __init__(self, modalities: tuple[str, ...]) -> None:
        self.num_clips = 0
        self.terms: dict[str, dict[str, float]] = {m: {} for m in modalities}

    def add(self, output: ObjectiveOutput, num_clips: int) -> None:
        self.num_clips += num_clips
        for modality, terms in self.terms.items():
            values = {"loss": float(output.losses[modality].detach()), **output.log[modality]}
            for name, value in values.items():
                if name.endswith("_max"):
                    terms[name] = max(terms.get(name, -math.inf), value)
                else:
                    terms[name] = terms.get(name, 0.0) + value * num_clips

    def mean(self, modality: str, name: str) -> float:
        value = self.terms[modality][name]
        return value if name.endswith("_max") else value / self.num_clips

    def entries(
        self, stage: str, epoch: int, clips_per_s: float, learners: Mapping[str, Learner]
    ) -> list[dict[str, Any]]:
        return [
            {
                "stage": stage,
                "epoch": epoch,
                "modality": modality,
                "learning_rate": learner.optimiser.param_groups[0]["lr"],
                **{name: self.mean(modality, name) for name in self.terms[modality]},
                "clips_per_s": clips_per_s,
            }
            for modality, learner in learners.items()
        ]

    def note(self) -> str:
        parts = [f"{m} {self.mean(m, 'cross_entropy'):.3f}" for m in self.terms]
        return "cross-entropy " + ", ".join(parts)
