"""Commands that measure: speeds as ratios to bare calls of the same run, sizes, memory."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mtut_bench.cli import completing
from mtut_bench.cli.options import (
    DATA,
    Colour,
    ColourOption,
    DataOption,
    RawOption,
    Size,
    SizeOption,
    TableOption,
    WorkersOption,
    console,
    cores,
    examples,
    find_dataset,
    open_raw,
    raw_folder,
    say,
)
from mtut_bench.progress import Reporter

if TYPE_CHECKING:
    from mtut_bench.benchmarks.measurement import Benchmark, Measure
    from mtut_preprocess.verify.realism import Comparison, Spread

__all__ = ["bench_app"]

bench_app = typer.Typer(
    no_args_is_help=True,
    help="Measure this machine: rates as ratios to bare calls of the same run, sizes, memory."
    " Nothing fails; what misses its bound is marked.",
)

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@bench_app.command(epilog=examples("bench prepare nvgesture --raw /disk/nvGesture_v1"))
def prepare(
    dataset: Annotated[
        str,
        typer.Argument(
            help="Whose recordings; those of a twin are generated for it.",
            autocompletion=completing.datasets,
        ),
    ] = "nvgesture-synthetic",
    data: DataOption = DATA,
    raw: RawOption = None,
    table: TableOption = None,
    colour: ColourOption = Colour.SK_COLOR,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0.1, help="That one bare loop shall take.")
    ] = 6.0,
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="The medians count.")] = 3,
    as_json: JsonOption = False,
) -> None:
    """Speed of preparing colour, depth and flow, with one worker and two, and their memory."""
    from mtut_preprocess.benchmark import bench_prepare
    from mtut_preprocess.synthetic import generate

    chosen = find_dataset(dataset)
    reporter = _reporter(as_json)
    with tempfile.TemporaryDirectory(prefix="mtut-bench-") as scratch:
        if chosen.twin and raw is None:
            raw = Path(scratch) / "raw"
            with reporter.ticker(f"generate {chosen.twin}", unit="clips") as ticker:
                # Whole, as recordings are: a clip is a window in the midst of its file.
                generate(
                    chosen.twin, raw, size="tiny", whole=True, workers=cores(None), progress=ticker
                )
        folder = raw_folder(data, raw, chosen, Size.TINY, table)
        opened = open_raw(chosen, folder, colour, table)
        found = bench_prepare(
            opened, Path(scratch), seconds=seconds, repeats=repeats, say=reporter.line
        )
    _print(found, as_json=as_json)


@bench_app.command(epilog=examples("bench store --keep /tmp/stores"))
def store(
    clips: Annotated[
        int, typer.Option("--clips", min=1, help="Of the large store; default EgoGesture's.")
    ] = 24_161,
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="The medians count.")] = 25,
    keep: Annotated[
        Path | None, typer.Option("--keep", help="Keep the stores here, and use those there are.")
    ] = None,
    workers: WorkersOption = None,
    as_json: JsonOption = False,
) -> None:
    """Speed of opening a store and of reading from it, and its number of files."""
    from mtut_bench.benchmarks.store_benchmark import bench_store

    reporter = _reporter(as_json)
    with (
        tempfile.TemporaryDirectory(prefix="mtut-bench-") as scratch,
        reporter.ticker("write synthetic stores") as ticker,
    ):
        found = bench_store(
            keep or Path(scratch),
            num_clips=clips,
            workers=cores(workers),
            repeats=repeats,
            progress=ticker,
        )
    _print(found, as_json=as_json)


@bench_app.command(epilog=examples("bench twin --real /disk/nvGesture_v1"))
def twin(
    real: Annotated[
        Path, typer.Option("--real", help="Raw folder of recordings, with sk_wrapped.avi.")
    ],
    raw: Annotated[
        Path | None, typer.Option("--raw", help="Raw folder of the twin; default: generate it.")
    ] = None,
    size: SizeOption = Size.TINY,
    as_json: JsonOption = False,
) -> None:
    """How much nvgesture-synthetic looks like recordings, statistic by statistic."""
    from mtut_preprocess.synthetic import generate
    from mtut_preprocess.verify.realism import compare_figures, measure_folder

    name, reporter, workers = "nvgesture-synthetic", _reporter(as_json), cores(None)
    with tempfile.TemporaryDirectory(prefix="mtut-bench-") as scratch:
        with reporter.ticker(f"measure {real}", unit="clips") as ticker:
            recorded = measure_folder(real, workers=workers, progress=ticker)
        folder = raw or Path(scratch) / "raw"
        if raw is None:
            with reporter.ticker(f"generate {name}", unit="clips") as ticker:
                generate(name, folder, size=size.value, workers=workers, progress=ticker)
        with reporter.ticker(f"measure {name}", unit="clips") as ticker:
            drawn = measure_folder(folder, workers=workers, progress=ticker)
    titles = (f"{len(recorded)} clips of {real}", f"{len(drawn)} clips of {raw or name}")
    _print_comparison(compare_figures(recorded, drawn, titles=titles), as_json=as_json)


def _reporter(as_json: bool) -> Reporter:
    # A JSON document stands alone on the output; progress goes to the other one.
    return Reporter(Console(stderr=True) if as_json else console)


def _print(found: "Benchmark", *, as_json: bool) -> None:
    if as_json:
        console.print_json(data=found.to_json())
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("")
    for title in ("measured", "bare calls", "ratio", "bound"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("")
    for measure in found.measures:
        table.add_row(*map(escape, _cells(measure)))
    console.print(table)
    for name, value in found.facts.items():
        say(f"{name}: {value}")


def _print_comparison(found: "Comparison", *, as_json: bool) -> None:
    if as_json:
        console.print_json(data=found.to_json())
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("", "real [10..90 %]", "twin [10..90 %]", "ratio", "factor", ""):
        # On a narrow terminal only the long cells break.
        table.add_column(title, justify="right" if title else "left", no_wrap="[" not in title)
    for line in found.lines:
        cells = (line.name, _spread(line.real), _spread(line.twin), f"{line.ratio:.2f}")
        verdict = "within" if line.within else "outside"
        table.add_row(*map(escape, (*cells, f"{line.factor:g}", verdict)))
    console.print(table)
    for name, distance in found.distances.items():
        say(f"{name}: total variation {distance:.2f} (0 alike, 1 nothing in common)")
    say(f"real: {found.real}; twin: {found.twin}; medians over clips")


def _spread(spread: "Spread") -> str:
    low, high = (f"{v:.0f}" if v >= 10 else f"{v:.2g}" for v in (spread.low, spread.high))
    return f"{spread.median:.3g} [{low}..{high}]"


def _cells(measure: "Measure") -> tuple[str, ...]:
    bound = "" if measure.floor is None else f">= {measure.floor:g}"
    bound = bound if measure.limit is None else f"<= {measure.limit:,.0f}"
    missed = "below" if measure.limit is None else "above"
    return (
        measure.name,
        f"{_number(measure.value)} {measure.unit}",
        "" if measure.bare is None else _number(measure.bare),
        "" if measure.ratio is None else f"{measure.ratio:.3f}",
        bound,
        {None: "", True: "kept", False: missed}[measure.passed],
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
