"""Options of several commands, one definition each, and what their values mean."""

import os
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from mtut_bench.cli import completing
from mtut_bench.errors import UsageError


class Size(StrEnum):
    """Sizes of a synthetic dataset."""

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


DATA, RUNS = Path("data"), Path("runs")

# Groups of options in the help of every command.
_what = partial(typer.Option, rich_help_panel="What to run")
_data = partial(typer.Option, rich_help_panel="Data")
_machine = partial(typer.Option, rich_help_panel="Machine")
_output = partial(typer.Option, rich_help_panel="Output")

MethodOption = Annotated[
    str,
    _what(
        "--method",
        help="See `list methods`; your own: file.py:build.",
        autocompletion=completing.methods,
    ),
]
RunMethodOption = Annotated[
    str, _what("--method", help="For a run of your own method: file.py:build.")
]
ProtocolOption = Annotated[
    str,
    _what(
        "--protocol",
        help="See `list protocols`; default paper.",
        autocompletion=completing.protocols,
    ),
]
ModalitiesOption = Annotated[
    str,
    _what(
        "--modalities",
        help="For example rgb,depth; default: all in the store.",
        autocompletion=completing.modalities,
    ),
]
StudyOption = Annotated[Path | None, _what("--study", help="Run a study: its TOML file.")]
PublishedTablesOption = Annotated[
    str,
    _what(
        "--table", "--tables", help="All runs that these published tables need: 7, or 1,4, or all."
    ),
]
SeedOption = Annotated[int, _what("--seed", help="A seed of the protocol.")]
SetOption = Annotated[
    list[str] | None,
    _what(
        "--set",
        help="Override a setting: name=value; reported as a variant of the protocol; repeatable.",
    ),
]
DatasetOption = Annotated[
    str | None,
    _data(
        "--dataset", help="See `list datasets`; default viva.", autocompletion=completing.datasets
    ),
]
StoreOption = Annotated[
    str | None,
    _data(
        "--store",
        help="Store name; default: the dataset's, with the size of a synthetic one.",
        autocompletion=completing.stores,
    ),
]
SizeOption = Annotated[Size, _data("--size", help="Size of the synthetic dataset.")]
FoldsOption = Annotated[
    str,
    _data("--fold", help="A fold's name, several (1,2), or all.", autocompletion=completing.folds),
]
FoldUnitOption = Annotated[
    FoldUnit, _data("--fold-unit", help="Unit left out per fold; user is reported as a variant.")
]
DataOption = Annotated[
    Path,
    _data(
        "--data",
        envvar="MTUT_BENCH_DATA",
        help="Folder that holds raw/<dataset> and stores/<name>.zarr.",
    ),
]
RunsOption = Annotated[
    Path, _data("--runs", envvar="MTUT_BENCH_RUNS", help="Folder that holds the runs.")
]
RawOption = Annotated[Path | None, _data("--raw", help="Raw folder; default <data>/raw/<dataset>.")]
ColourOption = Annotated[
    Colour,
    _data(
        "--colour", help="NVGesture: sk_color (the paper's) or sk_wrapped (registered to depth)."
    ),
]
TableOption = Annotated[
    Path | None,
    _data("--table", help="For dataset `manifest`: the CSV file that lists your recordings."),
]
DeviceOption = Annotated[str, _machine("--device", help="auto, cpu, cuda, cuda:N.")]
PrecisionOption = Annotated[
    Precision,
    _machine("--precision", help="auto: bf16 on a GPU that computes it correctly, else fp32."),
]
RecomputeOption = Annotated[
    bool, _machine("--recompute", help="Gradient checkpointing: less memory, slower, same results.")
]
DeviceCacheOption = Annotated[
    DeviceCacheMode,
    _machine(
        "--device-cache", help="Cache clips in GPU memory; auto: if they need at most half of it."
    ),
]
WorkersOption = Annotated[
    int | None, _machine("--workers", min=0, help="Worker processes; does not affect results.")
]
DryRunOption = Annotated[bool, _output("--dry-run", help="Show what would be done; do nothing.")]
ClipsPerSecondOption = Annotated[
    float | None,
    _output(
        "--clips-per-second",
        min=0.001,
        help="Speed for --dry-run's time estimate; default: measured in earlier runs.",
    ),
]
OverwriteOption = Annotated[
    bool, _output("--overwrite", help="Replace existing output of this name.")
]
ExplainOption = Annotated[
    bool, _output("--explain", help="Explain every test, interval and setting.")
]
JsonOption = Annotated[bool, _output("--json", help="Print one JSON document.")]


def folder_to_write(text: str) -> Path:
    """Return the folder that an option names; an empty text names none, not the current one.

    Raises:
        UsageError: the text is empty.
    """
    if not text.strip():
        raise UsageError("--out is empty.", "Give a folder; '.' is the current one.")
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
