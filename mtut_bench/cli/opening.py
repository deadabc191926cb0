"""Opens what a user named: stores, raw recordings, finished runs."""

from pathlib import Path
from typing import TYPE_CHECKING

from mtut_bench.cli.options import Colour, Size
from mtut_bench.cli.paths import existing_store
from mtut_bench.errors import UsageError

if TYPE_CHECKING:
    from mtut_bench.runs.trained import TrainedRun
    from mtut_bench.store.reader import StoreReader
    from mtut_preprocess import Dataset
    from mtut_preprocess.datasets.adapter import RawDataset

__all__ = ["open_raw", "open_store", "open_trained"]


def open_store(data: Path, store: str | None, dataset: str, size: Size) -> "StoreReader":
    """Return a store that must be there; arguments and errors as :func:`existing_store`.

    Raises:
        StoreError: it cannot be read.
    """
    from mtut_bench.store.reader import StoreReader

    return StoreReader(existing_store(data, store, dataset, size))


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
            "For your own recordings use dataset manifest, "
            "and --table with the CSV file that lists them.",
        )
    chosen = name or (table.stem if table else "")
    return dataset.open_raw(RawChoice(folder, colour.value, table, chosen))


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
