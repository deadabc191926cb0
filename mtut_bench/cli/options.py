"""What the commands share: their options, and the paths that follow from them."""

import os
import shlex
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from mtut_bench.cli import completing
from mtut_bench.cli.suggesting import complete
from mtut_bench.errors import MtutBenchError, StoreError, UsageError, did_you_mean

if TYPE_CHECKING:
    from mtut_bench.runs.trained import TrainedRun
    from mtut_bench.store.reader import StoreReader
    from mtut_preprocess import Dataset
    from mtut_preprocess.datasets.adapter import RawDataset

console = Console()


def say(text: str) -> None:
    """Print one line as it is, however long; its commands get the folders of this call."""
    console.print(complete(text), markup=False, highlight=False, soft_wrap=True)


def show_error(error: MtutBenchError) -> None:
    """Print what is wrong and its cure to the error output."""
    screen = Console(stderr=True)
    what, cure = (escape(_harmless(complete(text))) for text in (error.what, error.cure))
    screen.print(f"[bold red]error:[/] {what}", highlight=False, soft_wrap=True)
    if cure:
        screen.print(f"  {cure}", highlight=False, soft_wrap=True)


def _harmless(text: str) -> str:
    """Return a text without characters that steer a terminal; faults quote what the user gave."""
    return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text)


class Size(StrEnum):
    """Sizes of a synthetic twin."""

    TINY = "tiny"
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


class Resident(StrEnum):
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
        "--data", envvar="MTUT_BENCH_DATA", help="Holds raw/<dataset>, stores/<name>.zarr."
    ),
]
RunsOption = Annotated[
    Path, typer.Option("--runs", envvar="MTUT_BENCH_RUNS", help="Folder of runs.")
]
RawOption = Annotated[
    Path | None, typer.Option("--raw", help="Raw folder, if not <data>/raw/<dataset>.")
]
StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        help="Name of the store, if not the dataset (and size of a twin).",
        autocompletion=completing.stores,
    ),
]
SizeOption = Annotated[Size, typer.Option("--size", help="Of a synthetic twin.")]
ColourOption = Annotated[
    Colour,
    typer.Option(
        "--colour", help="NVGesture: sk_color (the paper's) or sk_wrapped (registered to depth)."
    ),
]
TableOption = Annotated[
    Path | None,
    typer.Option("--table", help="Of `manifest`: the CSV file that lists your own recordings."),
]
WorkersOption = Annotated[
    int | None, typer.Option("--workers", min=0, help="Processes; changes no result.")
]
ResidentOption = Annotated[
    Resident,
    typer.Option(
        "--resident",
        help="Clips live in the device's memory: auto does what fits into half of a GPU's.",
    ),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Say what would be done; do nothing.")
]
DATA, RUNS = Path("data"), Path("runs")


def examples(*lines: str) -> str:
    """Return commands as an epilogue of `--help`, one a line at 80 columns too.

    Args:
        *lines: what follows the program's name, at most 67 characters.
    """
    # A single line break would be taken for a space.
    return "\n\n".join(f"[bold]mtut-bench {line}[/bold]" for line in lines)


def folder_to_write(text: str) -> Path:
    """Return the folder that an option names; an empty text names none, not the current one.

    Raises:
        UsageError: the text is empty.
    """
    if not text.strip():
        raise UsageError("--out is empty.", "Name a folder; '.' is the current one.")
    return Path(text)


def refuse_missing_runs(runs: Path) -> None:
    """Ensure that a folder of runs is there.

    Raises:
        UsageError: it is not, or it is a file.
    """
    if runs.is_dir():
        return
    what = f"{runs} is a file, no folder of runs." if runs.exists() else f"no folder of runs {runs}"
    raise UsageError(what, "Give the folder that holds the runs: --runs DIR.")


def find_dataset(name: str) -> "Dataset":
    """Return the dataset of a name.

    Raises:
        UsageError: there is none; names those there are.
    """
    from mtut_preprocess import DATASETS

    if name not in DATASETS:
        raise UsageError(
            f"there is no dataset {name!r}",
            f"{did_you_mean(name, DATASETS)}Choose one of: {', '.join(DATASETS)}.",
        )
    return DATASETS[name]


def twin_names() -> str:
    """Return the names of the synthetic twins."""
    from mtut_preprocess import DATASETS

    return ", ".join(d.name for d in DATASETS.values() if d.twin)


def _is_twin(name: str) -> bool:
    return bool(name) and bool(find_dataset(name).twin)


def store_path(
    data: Path, store: str | None, dataset: str, size: Size, table: Path | None = None
) -> Path:
    """Return where a store lies.

    Args:
        data: root folder.
        store: name that the user gave, if any.
        dataset: whose store it is otherwise.
        size: of a twin.
        table: of the user's own recordings; names their store.

    Raises:
        UsageError: the name is no plain name, or there is no such dataset.
    """
    name = store or (f"{dataset}-{size.value}" if _is_twin(dataset) else dataset)
    if table is not None and not store:
        name = table.stem
    from mtut_bench.contract.types import NOT_STORES

    plain = Path(name).name == name and name.isprintable() and not name.startswith(".")
    if name in NOT_STORES:
        raise UsageError(
            f"a store cannot be named {name!r}: in a folder of runs that is something else",
            "Give another name.",
        )
    if store == "" or not plain:
        raise UsageError(
            f"{name!r} is no name of a store", "Give a plain name; see `mtut-bench list stores`."
        )
    return data / "stores" / f"{name}.zarr"


def store_cure(dataset: str, store: str | None, size: Size) -> str:
    """Return how to get a store that is not there.

    Args:
        dataset: whose store it would be; "" if only the store was named.
        store: name that the user gave, if any.
        size: of a twin.
    """
    if not dataset:
        return "Prepare a dataset under this name; how: `mtut-bench prepare --help`."
    chosen = find_dataset(dataset)
    if chosen.needs_table:
        return "Prepare your own recordings with --table; how: `mtut-bench prepare --help`."
    words = ["mtut-bench", "prepare", dataset]
    words += ["--size", size.value] if chosen.twin else []
    words += ["--store", store] if store else []
    return f"Make it: `{shlex.join(words)}` (recordings: {chosen.how_to_get})."


def existing_store(data: Path, store: str | None, dataset: str, size: Size) -> Path:
    """Return where a store lies that must be there; arguments and errors as :func:`store_path`.

    Raises:
        StoreError: it is not there; names those that are.
    """
    from mtut_bench.store.reader import list_stores

    path = store_path(data, store, dataset, size)
    if not path.exists():
        known = [one.stem for one in list_stores(path.parent)]
        there = f"Stores there: {', '.join(known) or 'none'}."
        cure = store_cure("" if store else dataset, store, size)
        raise StoreError(
            f"there is no store {path}", f"{did_you_mean(path.stem, known)}{there} {cure}"
        )
    return path


def open_store(data: Path, store: str | None, dataset: str, size: Size) -> "StoreReader":
    """Return a store that must be there; arguments and errors as :func:`existing_store`.

    Raises:
        StoreError: it cannot be read.
    """
    from mtut_bench.store.reader import StoreReader

    return StoreReader(existing_store(data, store, dataset, size))


def raw_folder(
    data: Path, raw: Path | None, dataset: "Dataset", size: Size, table: Path | None = None
) -> Path:
    """Return the folder of a dataset's raw recordings.

    The user's, or that of the table, or the one below ``data``.
    """
    if table and not raw:
        return table.parent
    name = f"{dataset.name}-{size.value}" if dataset.twin else dataset.name
    return raw or data / "raw" / name


def open_raw(
    dataset: "Dataset",
    folder: Path,
    colour: Colour,
    table: Path | None = None,
    name: str | None = None,
) -> "RawDataset":
    """Return the adapter of a dataset's raw recordings.

    Args:
        dataset: whose.
        folder: of the recordings.
        colour: stream of NVGesture.
        table: of a user's own recordings.
        name: of a user's own dataset; default: that of the table.

    Raises:
        UsageError: a table is missing, or the dataset has none.
    """
    from mtut_preprocess import RawChoice

    if (table is not None) != dataset.needs_table:
        raise UsageError(
            f"{dataset.name} {'needs' if dataset.needs_table else 'takes no'} --table",
            "Your own recordings: the dataset manifest, and --table with the CSV file that lists"
            " them.",
        )
    chosen = name or (table.stem if table else "")
    return dataset.open_raw(RawChoice(folder, colour.value, table, chosen))


def cores(workers: int | None) -> int:
    """Return how many processes to use: the user's number, or one per core that we may use."""
    if workers is not None:
        return workers
    # A container may allow fewer cores than the machine has; macOS cannot say so.
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def open_trained(text: str, runs: Path, method: str) -> "TrainedRun":
    """Return a finished run that a user named.

    Args:
        text: its folder, or the first digits of its id.
        runs: folder of runs.
        method: 'file.py:build' of a run of a user's own method, or "".

    Raises:
        UsageError: there is no such run or method, or several runs begin so.
        RunError: the run is damaged, unfinished or of another release.
    """
    from mtut_baselines import METHODS
    from mtut_bench.contract.method_file import load_method
    from mtut_bench.runs.trained import find_run, open_run

    own = load_method(method, METHODS) if method else None
    return open_run(find_run(text, runs), METHODS, own)


def readers(workers: int | None, device: str) -> int:
    """Return how many processes read clips: the user's number, or up to eight beside a GPU."""
    if workers is not None:
        return workers
    return min(8, cores(None)) if device == "cuda" else 0
