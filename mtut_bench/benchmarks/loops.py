"""What is measured: the run's own training step, loading and test, and the loops beside them.

All are endless: a step does one piece of work and returns clips times networks. Nothing is learnt:
the learning rate is 0, so that no loss can diverge. The work is the same.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import cycle, pairwise
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from mtut_bench.contract.networks import NetworkOutput
from mtut_bench.errors import UsageError
from mtut_bench.loading.prefetch import Prefetcher
from mtut_bench.loading.training_clips import Batch, EpochSampler, TrainingClips, split_batch
from mtut_bench.loading.transforms import to_input
from mtut_bench.runs.machine import Machine
from mtut_bench.runs.plan import RunPlan
from mtut_bench.training.step import PARTS, Clock, no_clock, train_step
from mtut_bench.training.train_state import TrainState, autocast, build_train_state
from mtut_bench.training.two_stage import TwoStageMethod
from mtut_bench.training.whole_clip_test import predict

__all__ = [
    "EagerBf16",
    "Loading",
    "PartClock",
    "PlainLoop",
    "Training",
    "WholeClipTest",
    "plain_batches",
    "wait_for",
]

_T = TypeVar("_T")


def wait_for(device: torch.device) -> None:
    """Wait until a GPU is done; a CPU is."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class PartClock:
    """How long each part of a training step takes.

    On a GPU its stream is timed, not this process: work is queued and done later.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._marks: list[tuple[str, Any]] = []

    def __call__(self, part: str) -> None:
        """Begin a part, which ends the one before it; "" ends a step."""
        if self._device.type == "cuda":
            now: Any = torch.cuda.Event(enable_timing=True)
            now.record(torch.cuda.current_stream(self._device))
        else:
            now = time.perf_counter()
        self._marks.append((part, now))

    def milliseconds(self) -> dict[str, float]:
        """Return the mean time of every part over the steps since the last call; {}: no step."""
        if not self._marks:
            return {}
        wait_for(self._device)
        found = dict.fromkeys(PARTS, 0.0)
        steps = sum(part == "" for part, _ in self._marks)
        for (part, begun), (_, ended) in pairwise(self._marks):
            if part:
                cuda = self._device.type == "cuda"
                taken = begun.elapsed_time(ended) if cuda else 1e3 * (ended - begun)
                found[part] += taken / steps
        self._marks = []
        return found


class _FullBatches(EpochSampler):
    """The batches of an epoch without a shorter last one, so that every step is the same work."""

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        size = min(self.batch_size, self.num_clips)
        return (batch for batch in super().__iter__() if len(batch) == size)


def _training_clips(plan: RunPlan) -> tuple[TrainingClips, _FullBatches]:
    clips = TrainingClips(plan.reader, plan.fold.train, plan.modalities, plan.recipe, plan.seed)
    return clips, _FullBatches(len(clips), plan.recipe.batch_size, plan.seed)


def _cycle(batches: Iterable[_T], sampler: EpochSampler) -> Iterator[_T]:
    while True:
        yield from batches
        sampler.epoch += 1


class Batches(Iterator[Batch]):
    """The run's own batches, epoch after epoch; `are_cached` says whether on the device."""

    def __init__(self, plan: RunPlan, machine: Machine) -> None:
        clips, sampler = _training_clips(plan)
        prefetcher = Prefetcher(
            clips, sampler, machine.workers, machine.device, machine.device_cache
        )
        self.are_cached = prefetcher.cached is not None
        self._batches = _cycle(prefetcher, sampler)

    def __next__(self) -> Batch:
        return next(self._batches)


class Loading:
    """The run's own loading, up to the networks' inputs."""

    def __init__(self, plan: RunPlan, machine: Machine) -> None:
        self.plan, self.machine = plan, machine
        self.batches = Batches(plan, machine)

    def step(self) -> int:
        """Make the inputs of one batch."""
        batch = next(self.batches)
        for modality, frames in batch.frames.items():
            to_input(frames, modality, batch.crops, self.plan.recipe, batch.valid_NT)
        return len(batch.clip_ids) * len(batch.frames)


class _Networks:
    """The networks of a run in stage two, random, and their objective.

    Raises:
        UsageError: the method has no objective.
    """

    def __init__(self, plan: RunPlan, machine: Machine) -> None:
        if not isinstance(plan.method, TwoStageMethod):
            raise UsageError(
                f"method {plan.method.name} is not trained in two stages: no training "
                "step to measure",
                "Choose another: `mtut-bench list methods`.",
            )
        self.plan, self.machine = plan, machine
        self.objective = plan.method.objective()
        self.train_states: dict[str, TrainState] = {}
        for modality in plan.modalities:
            train_state = build_train_state(
                plan.network_method,
                modality,
                plan.identity["num_classes"],
                plan.recipe,
                plan.seed,
                machine.device,
                recompute=machine.recompute,
            )
            train_state.restart(0.0)
            train_state.network.train()
            self.train_states[modality] = train_state

    def _update(self, outputs: dict[str, NetworkOutput], labels_N: Tensor, valid_NT: Tensor) -> int:
        """Do what public loops do with the outputs; return clips times networks."""
        result = self.objective(outputs, labels_N, valid_NT)
        for train_state in self.train_states.values():
            train_state.optimiser.zero_grad(set_to_none=True)
        torch.stack(list(result.losses.values())).sum().backward()
        limit = self.plan.recipe.gradient_clip
        for train_state in self.train_states.values():
            if limit is not None:
                nn.utils.clip_grad_norm_(train_state.network.parameters(), limit)
            train_state.optimiser.step()
        return len(labels_N) * len(outputs)


class Training(_Networks):
    """The trainer's own step.

    Args:
        plan: the run.
        machine: device, workers, device_cache.
        clock: is told each part of a step as it begins, and "" at its end.
    """

    def __init__(self, plan: RunPlan, machine: Machine, clock: Clock = no_clock) -> None:
        super().__init__(plan, machine)
        self.clock = clock
        self.batches = Batches(plan, machine)
        self.num_steps = 0

    def step(self) -> int:
        """Do one update of all networks."""
        plan = self.plan
        self.clock("load")
        batch = next(self.batches)
        train_step(
            self.train_states,
            split_batch(batch, plan.recipe.accumulation),
            self.objective,
            plan.recipe,
            plan.seed,
            self.num_steps,
            self.machine.device,
            plan.precision,
            clock=self.clock,
        )
        self.clock("")
        self.num_steps += 1
        return len(batch.clip_ids) * len(self.train_states)


class WholeClipTest(Training):
    """The run's own test, and its training step with the same networks."""

    def __init__(self, plan: RunPlan, machine: Machine) -> None:
        super().__init__(plan, machine)
        test = plan.fold.test
        # Processes that read are started for each call: as a run does, for the whole test side.
        whole = machine.test_workers > 0 and not self.batches.are_cached
        size = len(test) if whole else 4 * plan.recipe.evaluation_batch
        self._chunks = cycle([test[start : start + size] for start in range(0, len(test), size)])

    def train(self) -> int:
        """Do one update of all networks."""
        for train_state in self.train_states.values():
            train_state.network.train()
        return super().step()

    def step(self) -> int:
        """Test some clips, whole."""
        chunk = next(self._chunks)
        predict(
            {modality: one.network for modality, one in self.train_states.items()},
            self.plan.reader,
            chunk,
            self.plan.recipe,
            self.machine.device,
            precision=self.plan.precision,
            device_cache=self.machine.device_cache,
            workers=self.machine.test_workers,
        )
        return len(chunk) * len(self.train_states)


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


def plain_batches(plan: RunPlan, device: torch.device, workers: int) -> Iterator[Any]:
    """Return endless (inputs per modality, valid frames, labels) on the device, made by workers."""
    clips, sampler = _training_clips(plan)
    loader = DataLoader(
        _FloatClips(clips),
        batch_sampler=sampler,
        num_workers=workers,
        pin_memory=device.type == "cuda",
        persistent_workers=workers > 0,
        multiprocessing_context="spawn" if workers > 0 else None,
    )
    for inputs, valid_NT, labels_N in _cycle(loader, sampler):
        moved = {m: clip.to(device, non_blocking=True) for m, clip in inputs.items()}
        yield (
            moved,
            valid_NT.to(device, non_blocking=True),
            labels_N.to(device, non_blocking=True),
        )


class PlainLoop(_Networks):
    """The loop of public code: eager, contiguous, TF32, autotuned, float32 clips made by workers.

    Args:
        plan: the run.
        machine: device.
        workers: processes that make clips.
    """

    def __init__(self, plan: RunPlan, machine: Machine, workers: int) -> None:
        super().__init__(plan, machine)
        self._batches = plain_batches(plan, machine.device, workers)

    def step(self) -> int:
        """Do one update of all networks."""
        with _public_settings():
            inputs, valid_NT, labels_N = next(self._batches)
            outputs = {m: x.network(inputs[m]) for m, x in self.train_states.items()}
            return self._update(outputs, labels_N, valid_NT)


class EagerBf16(_Networks):
    """The step as one would first speed it up: bf16 autocast, channels last, our uint8 batches."""

    def __init__(self, plan: RunPlan, machine: Machine) -> None:
        super().__init__(plan, machine)
        for train_state in self.train_states.values():
            train_state.network.to(memory_format=torch.channels_last_3d)
        self._batches = Batches(plan, machine)

    def step(self) -> int:
        """Do one update of all networks."""
        batch = next(self._batches).to(self.machine.device)
        with _public_settings(), autocast(self.machine.device, "bf16"):
            outputs = {}
            for m, train_state in self.train_states.items():
                clip = to_input(batch.frames[m], m, batch.crops, self.plan.recipe, batch.valid_NT)
                clip = clip.contiguous(memory_format=torch.channels_last_3d)
                outputs[m] = train_state.network(clip)
        with _public_settings():
            return self._update(outputs, batch.labels_N, batch.valid_NT)


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
