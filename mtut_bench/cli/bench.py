"""Commands that measure this machine: bench train, loader, evaluate, prepare, store."""

import tempfile
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer
from rich.markup import escape
from rich.table import Table

from mtut_bench.cli import completing
from mtut_bench.cli.finding import find_dataset
from mtut_bench.cli.opening import open_raw
from mtut_bench.cli.options import (
    DATA,
    Colour,
    ColourOption,
    DataOption,
    DatasetOption,
    DeviceCacheMode,
    DeviceCacheOption,
    DeviceOption,
    JsonOption,
    MethodOption,
    ModalitiesOption,
    Precision,
    PrecisionOption,
    ProtocolOption,
    RawOption,
    RecomputeOption,
    SetOption,
    Size,
    SizeOption,
    StoreOption,
    TableOption,
    WorkersOption,
    cores,
    readers,
)
from mtut_bench.cli.paths import raw_folder, store_hint, store_path
from mtut_bench.cli.printing import console, examples, make_reporter, say
from mtut_bench.errors import UsageError

if TYPE_CHECKING:
    from mtut_bench.benchmarks.loops import Loading, Training
    from mtut_bench.benchmarks.measurement import Benchmark
    from mtut_bench.benchmarks.speed import SpeedReport, What
    from mtut_bench.loading.device_cache import Mode
    from mtut_bench.runs.machine import Machine
    from mtut_bench.runs.spec import RunSpec

__all__ = ["bench_app"]

bench_app = typer.Typer(
    no_args_is_help=True,
    help="Measure speed and memory on this machine, next to a "
    "baseline. Missed targets are marked; they are not errors.",
)

_effort = partial(typer.Option, rich_help_panel="Effort")

SecondsOption = Annotated[
    float, _effort("--seconds", min=0.01, help="Minimum duration of one measurement.")
]
RepeatsOption = Annotated[
    int, _effort("--repeats", min=1, help="Measurements of each; medians are reported.")
]


def speed(
    context: typer.Context,
    dataset: DatasetOption = None,
    store: StoreOption = None,
    size: SizeOption = Size.TINY,
    data: DataOption = DATA,
    method: MethodOption = "mtut",
    protocol: ProtocolOption = "paper",
    modalities: ModalitiesOption = "",
    settings: SetOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = Precision.AUTO,
    device_cache: DeviceCacheOption = DeviceCacheMode.AUTO,
    workers: WorkersOption = None,
    recompute: RecomputeOption = False,
    processes: Annotated[
        str, _effort("--processes", help="Also measure this many processes at once, e.g. 1,2,4.")
    ] = "",
    seconds: SecondsOption = 5.0,
    repeats: RepeatsOption = 3,
    as_json: JsonOption = False,
) -> None:
    """Measure the first fold of a run as the command says: train, loader or evaluate."""
    from mtut_baselines import METHODS
    from mtut_bench.benchmarks.speed import What, measure_speed, measure_together
    from mtut_bench.loading.device_cache import DeviceCache
    from mtut_bench.runs.machine import Machine, choose_device
    from mtut_bench.runs.planning import Planner, StoreHint
    from mtut_bench.runs.provenance import command_line
    from mtut_bench.runs.spec import RunSpec

    (what,) = (one for one in get_args(What) if one == context.info_name)
    counts = _counts(processes)
    wanted = dataset or ("" if store else "viva")
    path = str(store_path(data, store, find_dataset(wanted or "viva").name, size))
    place = choose_device(device)
    auto = "bf16" if place.type == "cuda" else "fp32"
    spec = RunSpec(
        method=method,
        store=path,
        protocol=protocol,
        dataset=wanted,
        fold="all",
        modalities=tuple(m.strip() for m in modalities.split(",") if m.strip()),
        # Weights change no time.
        settings=("initialisation=scratch", *(settings or ())),
        precision=auto if precision is Precision.AUTO else precision.value,
    )
    hint = StoreHint(store_hint(wanted, store, size))
    plan = Planner(METHODS, hints={path: hint}).runs([spec])[0]
    machine = Machine(place, readers(workers, place.type), command_line(), recompute)
    cached = replace(machine, device_cache=DeviceCache(device_cache.value, place))
    reporter = make_reporter(as_json)
    with reporter.ticker("measure", unit="windows") as ticker:
        found = measure_speed(
            what, plan, cached, min(8, cores(None)), seconds, repeats, progress=ticker
        )
    for count in counts:
        reporter.line(f"measure {count} concurrent processes")
        make = partial(_own_loop, what, spec, machine, device_cache.value)
        found.processes[count] = measure_together(count, make, seconds)
    _print_speed(found, as_json=as_json)


bench_app.command(
    "train",
    help="Training speed in clips per second, time per part, and two plain loops as baselines.",
    epilog=examples(
        "bench train --dataset viva-synthetic --protocol demo",
        "bench train --dataset nvgesture --processes 1,2,4 --json",
    ),
)(speed)
bench_app.command(
    "loader",
    help="Loading speed in clips per second, network inputs on the device; streamed and cached.",
    epilog=examples("bench loader --dataset nvgesture --device-cache always"),
)(speed)
bench_app.command(
    "evaluate",
    help="Whole-clip test speed in clips per second, next to the training step's.",
    epilog=examples("bench evaluate --dataset nvgesture"),
)(speed)


def _counts(text: str) -> list[int]:
    """Return the numbers of processes that a user gave, '1,2,4'."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise UsageError(
            f"--processes {text!r} is not a list of positive integers",
            "Write numbers joined by commas, such as 1,2,4.",
        )
    return [int(part) for part in parts]


def _own_loop(
    what: "What", spec: "RunSpec", machine: "Machine", cache_mode: "Mode"
) -> "Training | Loading":
    """Return the work of one of several processes, each with a cache of its own."""
    from mtut_baselines import METHODS
    from mtut_bench.benchmarks.speed import own_loop
    from mtut_bench.loading.device_cache import DeviceCache
    from mtut_bench.runs.planning import Planner

    cached = replace(machine, device_cache=DeviceCache(cache_mode, machine.device))
    return own_loop(what, Planner(METHODS).runs([spec])[0], cached)


@bench_app.command(epilog=examples("bench prepare nvgesture --raw /disk/nvGesture_v1"))
def prepare(
    dataset: Annotated[
        str,
        typer.Argument(
            help="Dataset to measure on; synthetic recordings are generated.",
            autocompletion=completing.datasets,
        ),
    ] = "nvgesture-synthetic",
    data: DataOption = DATA,
    raw: RawOption = None,
    table: TableOption = None,
    colour: ColourOption = Colour.SK_COLOR,
    seconds: SecondsOption = 6.0,
    repeats: RepeatsOption = 3,
    as_json: JsonOption = False,
) -> None:
    """Speed and memory of preparing colour, depth and flow, with one and two workers."""
    from mtut_preprocess.benchmark import bench_prepare
    from mtut_preprocess.synthetic import generate

    chosen = find_dataset(dataset)
    reporter = make_reporter(as_json)
    with tempfile.TemporaryDirectory(prefix="mtut-bench-") as scratch:
        if chosen.is_synthetic and raw is None:
            raw = Path(scratch) / "raw"
            with reporter.ticker(f"generate {dataset}", unit="clips") as ticker:
                # Whole, as recordings are: a clip is a window in the midst of its file.
                generate(
                    dataset, raw, size="tiny", whole=True, workers=cores(None), progress=ticker
                )
        folder = raw_folder(data, raw, chosen, Size.TINY, table)
        opened = open_raw(chosen, folder, colour, table)
        found = bench_prepare(
            opened, Path(scratch), seconds=seconds, repeats=repeats, say=reporter.line
        )
    _print_measures(found, as_json=as_json)


@bench_app.command(epilog=examples("bench store --keep /tmp/stores"))
def store(
    clips: Annotated[
        int, _effort("--clips", min=1, help="Clips in the large store; default: as in EgoGesture.")
    ] = 24_161,
    keep: Annotated[
        Path | None, _effort("--keep", help="Keep the stores in this folder; reuse existing ones.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Speed of opening and reading a store, and its number of files."""
    from mtut_bench.benchmarks.store_benchmark import bench_store

    with (
        tempfile.TemporaryDirectory(prefix="mtut-bench-") as scratch,
        make_reporter(as_json).ticker("write synthetic stores") as ticker,
    ):
        found = bench_store(keep or Path(scratch), num_clips=clips, progress=ticker)
    _print_measures(found, as_json=as_json)


def _print_speed(found: "SpeedReport", *, as_json: bool) -> None:
    if as_json:
        console.print_json(data=found.to_json())
        return
    rows = []
    for rate in found.rates:
        memory = "" if rate.peak_bytes is None else f"{rate.peak_bytes / 1e9:.2f} GB"
        share = _percent(rate.floor_share)
        numbers = (_number(rate.clips_per_s), _number(rate.ratio), share, memory)
        rows.append((rate.name, *numbers, rate.not_run))
    _print_table(("clips/s", "ratio", "of the floor", "GPU memory"), rows)
    for part, time in found.parts_ms.items():
        say(f"{part}: {time:,.3f} ms a step, {_percent(time / sum(found.parts_ms.values()))}")
    for rate in found.rates:
        if rate.flops_per_clip:
            say(f"{rate.name}: {rate.flops_per_clip / 1e9:,.4g} GFLOP a clip, counted")
    for name, value in found.ceilings.items():
        what, unit = name.split(", ")
        say(f"{what}: {value / 1e9:,.4g} G{unit}")
    for count, together in found.processes.items():
        say(f"{count} concurrent processes: {_number(together)} clips/s together")
    for name, fact in found.facts.items():
        say(f"{name}: {fact}")


def _print_measures(found: "Benchmark", *, as_json: bool) -> None:
    if as_json:
        console.print_json(data=found.to_json())
        return
    rows = []
    for one in found.measures:
        bound, missed = ("", "") if one.floor is None else (f">= {one.floor:g}", "below")
        if one.limit is not None:
            bound, missed = f"<= {one.limit:,.0f}", "above"
        numbers = (f"{_number(one.value)} {one.unit}", _number(one.baseline), _number(one.ratio))
        rows.append((one.name, *numbers, bound, {None: "", True: "met", False: missed}[one.passed]))
    _print_table(("measured", "baseline", "ratio", "bound"), rows)
    for name, fact in found.facts.items():
        say(f"{name}: {fact}")


def _print_table(titles: Iterable[str], rows: Iterable[tuple[str, ...]]) -> None:
    """Print numbers between a name and a remark."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("")
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("")
    for row in rows:
        table.add_row(*map(escape, row))
    console.print(table)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.3g} %"
