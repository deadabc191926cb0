"""The run whose work `bench train|loader|evaluate` measure, by their common options."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mtut_bench.cli import completing
from mtut_bench.cli.finding import find_dataset
from mtut_bench.cli.options import (
    DatasetOption,
    DeviceCacheMode,
    DeviceOption,
    MethodOption,
    ModalitiesOption,
    Precision,
    PrecisionOption,
    ProtocolOption,
    RecomputeOption,
    SetOption,
    Size,
    readers,
)
from mtut_bench.cli.paths import store_hint, store_path

if TYPE_CHECKING:
    from mtut_bench.runs.machine import Machine
    from mtut_bench.runs.plan import RunPlan

__all__ = [
    "Choice",
    "DatasetOption",
    "DeviceOption",
    "FoldOption",
    "MethodOption",
    "ModalitiesOption",
    "PrecisionOption",
    "ProtocolOption",
    "RecomputeOption",
    "RepeatsOption",
    "SecondsOption",
    "SetOption",
    "plan_measured_run",
]

FoldOption = Annotated[
    str,
    typer.Option(
        "--fold", help="Name of a fold; default: the first.", autocompletion=completing.fold
    ),
]
SecondsOption = Annotated[
    float, typer.Option("--seconds", min=0.01, help="Least length of a window.")
]
RepeatsOption = Annotated[
    int, typer.Option("--repeats", min=1, help="Windows of each; the medians count.")
]


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
    device_cache: DeviceCacheMode
    workers: int | None
    recompute: bool


def plan_measured_run(choice: Choice) -> tuple["RunPlan", "Machine"]:
    """Return the run whose work is measured, from random weights, and the machine."""
    from mtut_baselines import METHODS
    from mtut_bench.loading.device_cache import DeviceCache
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
    hint = store_hint(wanted, choice.store, choice.size)
    plan = Planner(METHODS, hints={store: StoreHint(hint)}).runs([spec])[0]
    device_cache = DeviceCache(choice.device_cache.value, device)
    count = readers(choice.workers, device.type)
    return plan, Machine(device, count, command_line(), choice.recompute, device_cache)
