"""Options of several commands, one definition each, and what their values mean."""

import os
from enum import StrEnum
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
_WHAT, _DATA, _MACHINE, _OUTPUT = "What to run", "Data", "Machine", "Output"

MethodOption = Annotated[
    str,
    typer.Option(
        "--method",
        help="See `list methods`; or your own: file.py:build.",
        autocompletion=completing.methods,
        rich_help_panel=_WHAT,
    ),
]
RunMethodOption = Annotated[
    str,
    typer.Option(
        "--method",
        help="Of a run of your own method: file.py:build.",
        rich_help_panel=_WHAT,
    ),
]
ProtocolOption = Annotated[
    str,
    typer.Option(
        "--protocol",
        help="See `list protocols`; default paper.",
        autocompletion=completing.protocols,
        rich_help_panel=_WHAT,
    ),
]
ModalitiesOption = Annotated[
    str,
    typer.Option(
        "--modalities",
        help="Such as rgb,depth; default: all of the store's.",
        autocompletion=completing.modalities,
        rich_help_panel=_WHAT,
    ),
]
StudyOption = Annotated[
    Path | None,
    typer.Option("--study", help="All runs of a study: its TOML file.", rich_help_panel=_WHAT),
]
PublishedTablesOption = Annotated[
    str,
    typer.Option(
        "--table",
        "--tables",
        help="All runs that published tables need: 7, or 1,4, or all.",
        rich_help_panel=_WHAT,
    ),
]
SeedOption = Annotated[
    int, typer.Option("--seed", help="One of the protocol's.", rich_help_panel=_WHAT)
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="name=value: a marked variant of the protocol; repeatable.",
        rich_help_panel=_WHAT,
    ),
]
DatasetOption = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        help="See `list datasets`; default viva.",
        autocompletion=completing.datasets,
        rich_help_panel=_DATA,
    ),
]
StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        help="Name of the store, if not the dataset (and size of a synthetic one).",
        autocompletion=completing.stores,
        rich_help_panel=_DATA,
    ),
]
SizeOption = Annotated[
    Size, typer.Option("--size", help="Of a synthetic dataset.", rich_help_panel=_DATA)
]
FoldsOption = Annotated[
    str,
    typer.Option(
        "--fold",
        help="Name of a fold, or several: 1,2; or all.",
        autocompletion=completing.folds,
        rich_help_panel=_DATA,
    ),
]
FoldUnitOption = Annotated[
    FoldUnit,
    typer.Option(
        "--fold-unit", help="Who is left out; user: a marked variant.", rich_help_panel=_DATA
    ),
]
DataOption = Annotated[
    Path,
    typer.Option(
        "--data",
        envvar="MTUT_BENCH_DATA",
        help="Holds raw/<dataset>, stores/<name>.zarr.",
        rich_help_panel=_DATA,
    ),
]
RunsOption = Annotated[
    Path,
    typer.Option("--runs", envvar="MTUT_BENCH_RUNS", help="Folder of runs.", rich_help_panel=_DATA),
]
RawOption = Annotated[
    Path | None,
    typer.Option("--raw", help="Raw folder, if not <data>/raw/<dataset>.", rich_help_panel=_DATA),
]
ColourOption = Annotated[
    Colour,
    typer.Option(
        "--colour",
        help="NVGesture: sk_color (the paper's) or sk_wrapped (registered to depth).",
        rich_help_panel=_DATA,
    ),
]
TableOption = Annotated[
    Path | None,
    typer.Option(
        "--table",
        help="Of `manifest`: the CSV file that lists your own recordings.",
        rich_help_panel=_DATA,
    ),
]
DeviceOption = Annotated[
    str, typer.Option("--device", help="auto, cpu, cuda, cuda:N.", rich_help_panel=_MACHINE)
]
PrecisionOption = Annotated[
    Precision,
    typer.Option(
        "--precision",
        help="auto: bf16 on a GPU that computes it correctly, else fp32.",
        rich_help_panel=_MACHINE,
    ),
]
RecomputeOption = Annotated[
    bool,
    typer.Option(
        "--recompute",
        help="Less memory, more time, the same numbers.",
        rich_help_panel=_MACHINE,
    ),
]
DeviceCacheOption = Annotated[
    DeviceCacheMode,
    typer.Option(
        "--device-cache",
        help="Cache clips in GPU memory; auto: if they need at most half of it.",
        rich_help_panel=_MACHINE,
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers", min=0, help="Processes; changes no result.", rich_help_panel=_MACHINE
    ),
]
DryRunOption = Annotated[
    bool,
    typer.Option("--dry-run", help="Say what would be done; do nothing.", rich_help_panel=_OUTPUT),
]
ClipsPerSecondOption = Annotated[
    float | None,
    typer.Option(
        "--clips-per-second",
        min=0.001,
        help="For --dry-run's hours; default: as earlier runs measured.",
        rich_help_panel=_OUTPUT,
    ),
]
OverwriteOption = Annotated[
    bool,
    typer.Option(
        "--overwrite", help="Replace what is there under this name.", rich_help_panel=_OUTPUT
    ),
]
ExplainOption = Annotated[
    bool,
    typer.Option(
        "--explain",
        help="Say how it was tested: every test, interval and setting.",
        rich_help_panel=_OUTPUT,
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document.", rich_help_panel=_OUTPUT)
]


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
