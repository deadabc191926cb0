"""The command that measures stores: bench store."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from mtut_bench.cli.bench.measure_table import print_measures
from mtut_bench.cli.options import JsonOption, WorkersOption, cores
from mtut_bench.cli.printing import make_reporter

__all__ = ["store"]


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

    reporter = make_reporter(as_json)
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
    print_measures(found, as_json=as_json)
