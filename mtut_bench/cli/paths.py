"""Where stores, raw recordings and runs lie, by what the user gave."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from mtut_bench.cli.finding import find_dataset
from mtut_bench.cli.options import Size
from mtut_bench.errors import StoreError, UsageError, did_you_mean

if TYPE_CHECKING:
    from mtut_preprocess import Dataset

__all__ = ["existing_store", "raw_folder", "refuse_missing_runs", "store_hint", "store_path"]


def store_path(
    data: Path, store: str | None, dataset: str, size: Size, table: Path | None = None
) -> Path:
    """Return where a store lies.

    Args:
        data: root folder.
        store: name that the user gave, if any.
        dataset: whose store it is otherwise.
        size: of a synthetic dataset.
        table: of the user's own recordings; names their store.

    Raises:
        UsageError: the name is invalid, or there is no such dataset.
    """
    name = store or (f"{dataset}-{size.value}" if _is_synthetic(dataset) else dataset)
    if table is not None and not store:
        name = table.stem
    from mtut_bench.contract.types import NOT_STORES

    plain = Path(name).name == name and name.isprintable() and not name.startswith(".")
    if name in NOT_STORES:
        raise UsageError(f"invalid store name {name!r}: reserved", "Give another name.")
    if store == "" or not plain:
        raise UsageError(
            f"invalid store name {name!r}",
            "Give a name without a path; see `mtut-bench list stores`.",
        )
    return data / "stores" / f"{name}.zarr"


def _is_synthetic(name: str) -> bool:
    return bool(name) and find_dataset(name).is_synthetic


def store_hint(dataset: str, store: str | None, size: Size) -> str:
    """Return how to get a store that is not there.

    Args:
        dataset: whose store it would be; "" if only the store was named.
        store: name that the user gave, if any.
        size: of a synthetic dataset.
    """
    if not dataset:
        return "Prepare a dataset under this name: see `mtut-bench prepare --help`."
    chosen = find_dataset(dataset)
    if chosen.needs_table:
        return "Prepare your own recordings with --table: see `mtut-bench prepare --help`."
    words = ["mtut-bench", "prepare", dataset]
    words += ["--size", size.value] if chosen.is_synthetic else []
    words += ["--store", store] if store else []
    return f"Prepare it: `{shlex.join(words)}` (recordings: {chosen.how_to_get})."


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
        hint = store_hint("" if store else dataset, store, size)
        raise StoreError(
            f"store {path} does not exist", f"{did_you_mean(path.stem, known)}{there} {hint}"
        )
    return path


def raw_folder(
    data: Path, raw: Path | None, dataset: "Dataset", size: Size, table: Path | None = None
) -> Path:
    """Return the folder of a dataset's raw recordings.

    The user's, or that of the table, or the one below ``data``.
    """
    if table and not raw:
        return table.parent
    name = f"{dataset.name}-{size.value}" if dataset.is_synthetic else dataset.name
    return raw or data / "raw" / name


def refuse_missing_runs(runs: Path) -> None:
    """Ensure that a folder of runs is there.

    Raises:
        UsageError: it is not, or it is a file.
    """
    if runs.is_dir():
        return
    what = (
        f"{runs} is a file, not a runs folder"
        if runs.exists()
        else f"runs folder {runs} does not exist"
    )
    raise UsageError(what, "Give the folder that holds the runs: --runs DIR.")
