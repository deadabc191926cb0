"""The command that measures training: bench train."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from mtut_bench.cli.bench.measured_run import (
    Choice,
    DatasetOption,
    DeviceOption,
    FoldOption,
    MethodOption,
    ModalitiesOption,
    PrecisionOption,
    ProtocolOption,
    RecomputeOption,
    RepeatsOption,
    SecondsOption,
    SetOption,
    plan_measured_run,
)
from mtut_bench.cli.bench.speed_table import print_speed
from mtut_bench.cli.options import (
    DATA,
    DataOption,
    DeviceCacheMode,
    DeviceCacheOption,
    JsonOption,
    Precision,
    Size,
    SizeOption,
    StoreOption,
    WorkersOption,
    cores,
)
from mtut_bench.cli.printing import make_reporter
from mtut_bench.errors import UsageError

if TYPE_CHECKING:
    import torch

    from mtut_bench.benchmarks.speed import Training

__all__ = ["train"]


def train(
    dataset: DatasetOption = None,
    store: StoreOption = None,
    size: SizeOption = Size.TINY,
    data: DataOption = DATA,
    method: MethodOption = "mtut",
    protocol: ProtocolOption = "paper",
    modalities: ModalitiesOption = "",
    fold: FoldOption = "",
    settings: SetOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = Precision.AUTO,
    device_cache: DeviceCacheOption = DeviceCacheMode.AUTO,
    workers: WorkersOption = None,
    recompute: RecomputeOption = False,
    processes: Annotated[
        str, typer.Option("--processes", help="Also so many at once, such as 1,2,4.")
    ] = "",
    seconds: SecondsOption = 5.0,
    repeats: RepeatsOption = 3,
    as_json: JsonOption = False,
) -> None:
    """Clips per second of the training step and time of its parts, beside two plain loops."""
    from functools import partial

    from mtut_bench.benchmarks.speed import bench_train, measure_together

    counts = _counts(processes)
    choice = Choice(
        dataset=dataset,
        store=store,
        size=size,
        data=data,
        method=method,
        protocol=protocol,
        modalities=modalities,
        fold=fold,
        settings=tuple(settings or ()),
        device=device,
        precision=precision,
        device_cache=device_cache,
        workers=workers,
        recompute=recompute,
    )
    reporter = make_reporter(as_json)
    plan, machine = plan_measured_run(choice)
    with reporter.ticker("measure", unit="windows") as ticker:
        found = bench_train(
            plan,
            machine,
            plain_workers=min(8, cores(None)),
            seconds=seconds,
            repeats=repeats,
            progress=ticker,
        )
    together: dict[int, float] = {}
    for count in counts:
        reporter.line(f"measure {count} processes at once")
        together[count] = measure_together(count, partial(_training, choice), seconds)
    print_speed(replace(found, processes=together), as_json=as_json)


@dataclass(frozen=True)
class _Work:
    """The training of one of several processes."""

    training: "Training"

    @property
    def device(self) -> "torch.device":
        return self.training.machine.device

    def step(self) -> int:
        return self.training.step()


def _training(choice: Choice) -> _Work:
    from mtut_bench.benchmarks.speed import Training

    return _Work(Training(*plan_measured_run(choice)))


def _counts(text: str) -> list[int]:
    """Return the numbers of processes that a user gave, '1,2,4'."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise UsageError(f"--processes {text!r} is no list of numbers", "Give it as 1,2,4.")
    return [int(part) for part in parts]
