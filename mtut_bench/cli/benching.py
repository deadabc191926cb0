"""Commands that measure training, loading and testing: `bench train|loader|evaluate`."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from mtut_bench.cli import completing
from mtut_bench.cli.options import (
    DATA,
    DataOption,
    Precision,
    Resident,
    ResidentOption,
    Size,
    SizeOption,
    StoreOption,
    WorkersOption,
    console,
    cores,
    find_dataset,
    readers,
    store_cure,
    store_path,
)
from mtut_bench.cli.speed_table import print_speed
from mtut_bench.errors import UsageError
from mtut_bench.progress import Reporter

if TYPE_CHECKING:
    import torch

    from mtut_bench.benchmarks.speed import Training
    from mtut_bench.runs.machine import Machine
    from mtut_bench.runs.spec import RunPlan

__all__ = ["evaluate", "loader", "train"]

DatasetOption = Annotated[
    str | None, typer.Option("--dataset", help="Default viva.", autocompletion=completing.datasets)
]
MethodOption = Annotated[
    str, typer.Option("--method", help="See `list methods`.", autocompletion=completing.methods)
]
ProtocolOption = Annotated[
    str,
    typer.Option("--protocol", help="From random weights.", autocompletion=completing.protocols),
]
ModalitiesOption = Annotated[
    str,
    typer.Option(
        "--modalities",
        help="Such as rgb,depth; default: all of the store's.",
        autocompletion=completing.modalities,
    ),
]
FoldOption = Annotated[
    str,
    typer.Option(
        "--fold", help="Name of a fold; default: the first.", autocompletion=completing.fold
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="name=value of the protocol, such as crop=112; repeatable."),
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N.")]
PrecisionOption = Annotated[
    Precision, typer.Option("--precision", help="auto: bf16 on a GPU, fp32 elsewhere.")
]
RecomputeOption = Annotated[
    bool, typer.Option("--recompute", help="Less memory, more time, the same numbers.")
]
SecondsOption = Annotated[
    float, typer.Option("--seconds", min=0.01, help="Least length of a window.")
]
RepeatsOption = Annotated[
    int, typer.Option("--repeats", min=1, help="Windows of each; the medians count.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@dataclass(frozen=True)
class Choice:
    """What the three commands have in common; plain values, so that a process can be told."""

    dataset: str | None
    store: str | None
    size: Size
    data: Path
    method: str
    protocol: str
    modalities: str
    fold: str
    settings: tuple[str, ...]
    device: str
    precision: Precision
    resident: Resident
    workers: int | None
    recompute: bool


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
    resident: ResidentOption = Resident.AUTO,
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
        resident=resident,
        workers=workers,
        recompute=recompute,
    )
    reporter = _reporter(as_json)
    plan, machine = _prepare(choice)
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


def loader(
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
    resident: ResidentOption = Resident.AUTO,
    workers: WorkersOption = None,
    seconds: SecondsOption = 5.0,
    repeats: RepeatsOption = 3,
    as_json: JsonOption = False,
) -> None:
    """Clips per second that arrive on the device as network inputs, streamed and resident."""
    from mtut_bench.benchmarks.speed import bench_loader

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
        precision=Precision.AUTO,
        resident=resident,
        workers=workers,
        recompute=False,
    )
    plan, machine = _prepare(choice)
    with _reporter(as_json).ticker("measure", unit="windows") as ticker:
        found = bench_loader(
            plan,
            machine,
            plain_workers=min(8, cores(None)),
            seconds=seconds,
            repeats=repeats,
            progress=ticker,
        )
    print_speed(found, as_json=as_json)


def evaluate(
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
    resident: ResidentOption = Resident.AUTO,
    workers: WorkersOption = None,
    seconds: SecondsOption = 5.0,
    repeats: RepeatsOption = 3,
    as_json: JsonOption = False,
) -> None:
    """Clips per second of the whole-clip test beside those of the training step."""
    from mtut_bench.benchmarks.speed import bench_evaluate

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
        resident=resident,
        workers=workers,
        recompute=False,
    )
    plan, machine = _prepare(choice)
    with _reporter(as_json).ticker("measure", unit="windows") as ticker:
        found = bench_evaluate(plan, machine, seconds=seconds, repeats=repeats, progress=ticker)
    print_speed(found, as_json=as_json)


def _prepare(choice: Choice) -> tuple["RunPlan", "Machine"]:
    """Return the run whose work is measured, from random weights, and the machine."""
    from mtut_baselines import METHODS
    from mtut_bench.loading.device_cache import Residence
    from mtut_bench.runs.machine import Machine, choose_device
    from mtut_bench.runs.planning import Planner, StoreHint
    from mtut_bench.runs.provenance import command_line
    from mtut_bench.runs.spec import RunSpec

    wanted = choice.dataset or ("" if choice.store else "viva")
    dataset = find_dataset(wanted or "viva")
    device = choose_device(choice.device)
    precision = choice.precision.value
    if choice.precision is Precision.AUTO:
        precision = "bf16" if device.type == "cuda" else "fp32"
    store = str(store_path(choice.data, choice.store, dataset.name, choice.size))
    spec = RunSpec(
        method=choice.method,
        store=store,
        protocol=choice.protocol,
        dataset=wanted,
        fold=choice.fold or "all",
        modalities=tuple(m.strip() for m in choice.modalities.split(",") if m.strip()),
        # Weights change no time.
        settings=("initialisation=scratch", *choice.settings),
        precision=precision,
    )
    cure = store_cure(wanted, choice.store, choice.size)
    plan = Planner(METHODS, hints={store: StoreHint(cure)}).runs([spec])[0]
    residence = Residence(choice.resident.value, device)
    count = readers(choice.workers, device.type)
    return plan, Machine(device, count, command_line(), choice.recompute, residence)


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

    return _Work(Training(*_prepare(choice)))


def _counts(text: str) -> list[int]:
    """Return the numbers of processes that a user gave, '1,2,4'."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise UsageError(f"--processes {text!r} is no list of numbers", "Give it as 1,2,4.")
    return [int(part) for part in parts]


def _reporter(as_json: bool) -> Reporter:
    return Reporter(Console(stderr=True) if as_json else console)
