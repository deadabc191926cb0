"""The command that measures preparing: bench prepare."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from mtut_bench.cli import completing
from mtut_bench.cli.bench.measure_table import print_measures
from mtut_bench.cli.finding import find_dataset
from mtut_bench.cli.opening import open_raw
from mtut_bench.cli.options import (
    DATA,
    Colour,
    ColourOption,
    DataOption,
    JsonOption,
    RawOption,
    Size,
    TableOption,
    cores,
)
from mtut_bench.cli.paths import raw_folder
from mtut_bench.cli.printing import make_reporter

__all__ = ["prepare"]


def prepare(
    dataset: Annotated[
        str,
        typer.Argument(
            help="Whose recordings; synthetic ones are generated for it.",
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
    print_measures(found, as_json=as_json)
