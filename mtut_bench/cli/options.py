"""Options that several commands have, and what their values mean."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mtut_bench.cli import completing
from mtut_bench.errors import UsageError


class Size(StrEnum):
    """Sizes of a synthetic twin."""

    TINY = "tiny"
    DEMO = "demo"
    MINI = "mini"
    FULL = "full"


class Colour(StrEnum):
    """Colour streams of NVGesture."""

    SK_COLOR = "sk_color"
    SK_WRAPPED = "sk_wrapped"


class Flow(StrEnum):
    """Optical flows that can be prepared."""

    FARNEBACK = "farneback"
    DIS = "dis"
    RAFT = "raft"
    NONE = "none"


class FoldUnit(StrEnum):
    """Who is left out of training."""

    PERSON = "person"
    USER = "user"


class ExportFormat(StrEnum):
    """What `export` writes."""

    HDF5 = "hdf5"
    SAFETENSORS = "safetensors"
    ONNX = "onnx"


class Precision(StrEnum):
    """Precisions of training and test."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"


class DeviceCacheMode(StrEnum):
    """Where clips live while networks train and are tested."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class Subject(StrEnum):
    """What ``list`` can list."""

    DATASETS = "datasets"
    METHODS = "methods"
    PROTOCOLS = "protocols"
    RUNS = "runs"
    STORES = "stores"
    CLIPS = "clips"


DataOption = Annotated[
    Path,
    typer.Option(
        "--data",
        envvar="MTUT_BENCH_DATA",
        help="Holds raw/<dataset>, stores/<name>.zarr.",
        rich_help_panel="Data",
    ),
]
RunsOption = Annotated[
    Path, typer.Option("--runs", envvar="MTUT_BENCH_RUNS", help="Folder of runs.")
]
RawOption = Annotated[
    Path | None,
    typer.Option("--raw", help="Raw folder, if not <data>/raw/<dataset>.", rich_help_panel="Data"),
]
StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        help="Name of the store, if not the dataset (and size of a twin).",
        autocompletion=completing.stores,
        rich_help_panel="Data",
    ),
]
SizeOption = Annotated[
    Size, typer.Option("--size", help="Of a synthetic twin.", rich_help_panel="Data")
]
ColourOption = Annotated[
    Colour,
    typer.Option(
        "--colour", help="NVGesture: sk_color (the paper's) or sk_wrapped (registered to depth)."
    ),
]
TableOption = Annotated[
    Path | None,
    typer.Option(
        "--table",
        help="Of `manifest`: the CSV file that lists your own recordings.",
        rich_help_panel="Data",
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers", min=0, help="Processes; changes no result.", rich_help_panel="Machine"
    ),
]
DeviceCacheOption = Annotated[
    DeviceCacheMode,
    typer.Option(
        "--device-cache",
        help="Cache clips in GPU memory; auto: if they need at most half of it.",
        rich_help_panel="Machine",
    ),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Say what would be done; do nothing.")
]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace what is there under this name.")
]
ExplainOption = Annotated[
    bool,
    typer.Option("--explain", help="Say how it was tested: every test, interval and setting."),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document.", rich_help_panel="Output")
]
DATA, RUNS = Path("data"), Path("runs")


def folder_to_write(text: str) -> Path:
    """Return the folder that an option names; an empty text names none, not the current one.

    Raises:
        UsageError: the text is empty.
    """
    if not text.strip():
        raise UsageError("--out is empty.", "Name a folder; '.' is the current one.")
    return Path(text)


def cores(workers: int | None) -> int:
    """Return how many processes to use: the user's number, or one per core that we may use."""
    if workers is not None:
        return workers
    # A container may allow fewer cores than the machine has; macOS cannot say so.
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def readers(workers: int | None, device: str) -> int:
    """Return how many processes read clips: the user's number, or up to eight beside a GPU."""
    if workers is not None:
        return workers
    return min(8, cores(None)) if device == "cuda" else 0


def is_default(context: typer.Context, name: str) -> bool:
    """Return whether the user, or the environment, gave no value for an option."""
    source = context.get_parameter_source(name)
    return source is None or source.name == "DEFAULT"
