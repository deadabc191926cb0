"""The real training step as a piece of work, its parts timed, and the loops it is held against."""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from mtut_bench.benchmarks.speed.rates import wait_for
from mtut_bench.contract.networks import NetworkOutput, Objective
from mtut_bench.errors import UsageError
from mtut_bench.loading.prefetch import Prefetcher
from mtut_bench.loading.training_clips import Batch, EpochSampler, TrainingClips, split_batch
from mtut_bench.loading.transforms import to_input
from mtut_bench.runs.machine import Machine
from mtut_bench.runs.plan import RunPlan
from mtut_bench.training.step import PARTS, Clock, no_clock, train_step
from mtut_bench.training.train_state import TrainState, autocast, build_train_state
from mtut_bench.training.two_stage import TwoStageMethod

__all__ = ["EagerBf16", "FullBatches", "PartClock", "PlainLoop", "Training", "plain_loader"]


_T = TypeVar("_T")


class PartClock:
    """How long each part of a step takes.

    On a GPU its stream is timed, not this process: work is queued and done later.

    Args:
        device: of the networks.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._marks: list[tuple[str, Any]] = []

    def __call__(self, part: str) -> None:
        """Begin a part; the one before it ends."""
        self._marks.append((part, self._now()))

    def milliseconds(self) -> dict[str, float]:
        """Return the time of every part since the last call, all steps together; ends the last."""
        marks = [*self._marks, ("", self._now())]
        wait_for(self._device)
        found = dict.fromkeys(PARTS, 0.0)
        for (part, begun), (_, ended) in pairwise(marks):
            if isinstance(begun, float):
                found[part] += 1e3 * (ended - begun)
            else:
                found[part] += begun.elapsed_time(ended)
        self._marks = []
        return found

    def _now(self) -> float | torch.cuda.Event:
        if self._device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self._device))
        return event


class FullBatches(EpochSampler):
    """The batches of an epoch without a shorter last one, so that every step is the same work."""

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        size = min(self.batch_size, self.num_clips)
        return (batch for batch in super().__iter__() if len(batch) == size)


class Training:
    """The networks of a run and endless batches: :meth:`step` is the trainer's own.

    Nothing is learnt: the learning rate is 0, so that no loss can diverge. The work is the same.

    Args:
        plan: the run.
        machine: device, workers, device_cache.
    """

    def __init__(self, plan: RunPlan, machine: Machine) -> None:
        self.plan, self.machine = plan, machine
        self.train_states = _build(plan, machine)
        self.objective = _objective(plan)
        self.prefetcher, self.batches = endless(plan, machine)
        self.num_steps = 0

    def step(self, clock: Clock = no_clock) -> int:
        """Do one update of all networks; return clips times networks."""
        plan, machine = self.plan, self.machine
        clock("load")
        batch = next(self.batches)
        train_step(
            self.train_states,
            split_batch(batch, plan.recipe.accumulation),
            self.objective,
            plan.recipe,
            plan.seed,
            self.num_steps,
            machine.device,
            plan.precision,
            clock=clock,
        )
        self.num_steps += 1
        return len(batch.clip_ids) * len(self.train_states)


def endless(plan: RunPlan, machine: Machine) -> tuple[Prefetcher, Iterator[Batch]]:
    """Return the run's prefetcher, and its batches epoch after epoch."""
    clips = training_clips(plan)
    sampler = FullBatches(len(clips), plan.recipe.batch_size, plan.seed)
    prefetcher = Prefetcher(clips, sampler, machine.workers, machine.device, machine.device_cache)
    return prefetcher, _cycle(prefetcher, sampler)


def _cycle(batches: Iterable[_T], sampler: EpochSampler) -> Iterator[_T]:
    while True:
        yield from batches
        sampler.epoch += 1


def training_clips(plan: RunPlan) -> TrainingClips:
    """Return the training side of a run's fold."""
    return TrainingClips(plan.reader, plan.fold.train, plan.modalities, plan.recipe, plan.seed)


def _objective(plan: RunPlan) -> Objective:
    """Return the objective of stage two.

    Raises:
        UsageError: the method has none.
    """
    if not isinstance(plan.method, TwoStageMethod):
        raise UsageError(
            f"method {plan.method.name} is not trained in two stages: there is no step to measure",
            "Choose another: `mtut-bench list methods`.",
        )
    return plan.method.objective()


def _build(plan: RunPlan, machine: Machine) -> dict[str, TrainState]:
    num_classes = plan.identity["num_classes"]
    train_states: dict[str, TrainState] = {}
    for modality in plan.modalities:
        train_states[modality] = build_train_state(
            plan.network_method,
            modality,
            num_classes,
            plan.recipe,
            plan.seed,
            machine.device,
            recompute=machine.recompute,
        )
        train_states[modality].restart(0.0)
        train_states[modality].network.train()
    return train_states


class _FloatClips(Dataset[tuple[dict[str, Tensor], Tensor, int]]):
    """Training clips as public loops make them: float32 network inputs, one by one, in a worker."""

    def __init__(self, clips: TrainingClips) -> None:
        self.clips = clips

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, key: tuple[int, int]) -> tuple[dict[str, Tensor], Tensor, int]:
        item = self.clips[key]
        valid_NT = item.valid_T[None]
        inputs = {
            modality: to_input(frames[None], modality, [item.crop], self.clips.recipe, valid_NT)[0]
            for modality, frames in item.frames.items()
        }
        return inputs, item.valid_T, item.label


def plain_loader(plan: RunPlan, device: torch.device, workers: int) -> Iterator[Any]:
    """Return endless (inputs per modality, valid frames, labels) on the device, made by workers."""
    clips = training_clips(plan)
    sampler = FullBatches(len(clips), plan.recipe.batch_size, plan.seed)
    loader = DataLoader(
        _FloatClips(clips),
        batch_sampler=sampler,
        num_workers=workers,
        pin_memory=device.type == "cuda",
        persistent_workers=workers > 0,
        multiprocessing_context="spawn" if workers > 0 else None,
    )
    for inputs, valid, labels in _cycle(loader, sampler):
        moved = {m: clip.to(device, non_blocking=True) for m, clip in inputs.items()}
        yield (
            moved,
            valid.to(device, non_blocking=True),
            labels.to(device, non_blocking=True),
        )


class PlainLoop:
    """The loop of public code: eager, contiguous, TF32, autotuned, float32 clips made by workers.

    Args:
        plan: the run.
        machine: device.
        workers: processes that make clips.
    """

    def __init__(self, plan: RunPlan, machine: Machine, workers: int) -> None:
        self.plan = plan
        self.train_states = _build(plan, machine)
        self.objective = _objective(plan)
        self._batches = plain_loader(plan, machine.device, workers)

    def step(self) -> int:
        """Do one update of all networks; return clips times networks."""
        with _public_settings():
            inputs, valid_NT, labels_N = next(self._batches)
            outputs = {m: x.network(inputs[m]) for m, x in self.train_states.items()}
            _update(self, outputs, labels_N, valid_NT)
        return len(labels_N) * len(self.train_states)


class EagerBf16:
    """The step as one would first speed it up: bf16 autocast, channels last, our uint8 batches.

    Args:
        plan: the run.
        machine: device, workers, device_cache.
    """

    def __init__(self, plan: RunPlan, machine: Machine) -> None:
        self.plan, self.machine = plan, machine
        self.train_states = _build(plan, machine)
        for train_state in self.train_states.values():
            train_state.network.to(memory_format=torch.channels_last_3d)
        self.objective = _objective(plan)
        _, self._batches = endless(plan, machine)

    def step(self) -> int:
        """Do one update of all networks; return clips times networks."""
        batch = next(self._batches).to(self.machine.device)
        with _public_settings(), autocast(self.machine.device, "bf16"):
            outputs = {}
            for m, train_state in self.train_states.items():
                clip = to_input(batch.frames[m], m, batch.crops, self.plan.recipe, batch.valid_NT)
                clip = clip.contiguous(memory_format=torch.channels_last_3d)
                outputs[m] = train_state.network(clip)
        with _public_settings():
            _update(self, outputs, batch.labels_N, batch.valid_NT)
        return len(batch.clip_ids) * len(self.train_states)


def _update(
    loop: PlainLoop | EagerBf16,
    outputs: Mapping[str, NetworkOutput],
    labels_N: Tensor,
    valid_NT: Tensor,
) -> None:
    result = loop.objective(outputs, labels_N, valid_NT)
    for train_state in loop.train_states.values():
        train_state.optimiser.zero_grad(set_to_none=True)
    torch.stack(list(result.losses.values())).sum().backward()
    limit = loop.plan.recipe.gradient_clip
    for train_state in loop.train_states.values():
        if limit is not None:
            nn.utils.clip_grad_norm_(train_state.network.parameters(), limit)
        train_state.optimiser.step()


@contextmanager
def _public_settings() -> Iterator[None]:
    """TF32 and cuDNN's autotuning, as public loops switch them on; put back afterwards."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        with torch.backends.cudnn.flags(
            enabled=True, benchmark=True, deterministic=False, allow_tf32=True
        ):
            yield
    finally:
        torch.set_float32_matmul_precision(before)
