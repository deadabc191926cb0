"""Shell completion: names of datasets, methods, protocols, stores, runs ...

A shell waits for each answer, so nothing here imports torch. What cannot be read is left out: an
error message would end up in the line that somebody is typing.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from mtut_bench.runs.record import RunRecord

__all__ = [
    "datasets",
    "exportable",
    "fold",
    "folds",
    "fused_modalities",
    "methods",
    "methods_run",
    "modalities",
    "modality",
    "protocols",
    "runs",
    "runs_modality",
    "stores",
    "stores_run",
    "synthetic_datasets",
]

Offered = list[tuple[str, str]]
"""Names and, for shells that show it, a description of each."""


def _quiet(complete: Callable[[typer.Context, str], Offered]) -> Callable[..., Offered]:
    """Return a completion that offers nothing if it fails."""

    @wraps(complete)
    def offered(ctx: typer.Context, incomplete: str) -> Offered:
        try:
            return complete(ctx, incomplete)
        except Exception:
            return []

    return offered


@_quiet
def datasets(ctx: typer.Context, incomplete: str) -> Offered:
    """Offer the datasets."""
    from mtut_preprocess import DATASETS

    return [(one.name, one.summary) for one in DATASETS.values()]


@_quiet
def synthetic_datasets(ctx: typer.Context, incomplete: str) -> Offered:
    """Offer the datasets that are generated."""
    from mtut_preprocess import DATASETS

    return [(one.name, one.summary) for one in DATASETS.values() if one.is_synthetic]


@_quiet
def methods(ctx: typer.Context, incomplete: str) -> Offered:
    """Offer the methods; a shell itself offers files."""
    from mtut_baselines import METHODS

    return _plain(METHODS)


@_quiet
def protocols(ctx: typer.Context, incomplete: str) -> Offered:
    """Offer the protocols."""
    from mtut_bench.contract.protocol import PROTOCOLS

    return [(one.name, one.summary) for one in PROTOCOLS.values()]


@_quiet
def stores(ctx: typer.Context, incomplete: str) -> Offered:
    """Offer the stores below ``--data``."""
    return _plain(path.stem for path in _all_stores(ctx))


@_quiet
def modality(ctx: typer.Context, incomplete: str) -> Offered:
    """Offer a modality of the chosen store."""
    return _plain(_modalities_of_stores(ctx))


@_quiet
def modalities(ctx: typer.Context, incomplete: str) -> Offered:
    """Offer modalities of the chosen store, joined by commas."""
    return _joined(_modalities_of_stores(ctx), incomplete, ",")


@_quiet
def fused_modalities(ctx: typer.Context, incomplete: str) -> Offered:
    """Offer modalities of the chosen store, joined by plus signs."""
    return _joined(_modalities_of_stores(ctx), incomplete, "+")


@_quiet
def fold(ctx: typer.Context, incomplete: str) -> Offered:
    """Offer a fold of the chosen store."""
    return _plain(_folds_of_stores(ctx))


@_quiet
def folds(ctx: typer.Context, incomplete: str) -> Offered:
    """Offer folds of the chosen store, joined by commas, or all."""
    every = [] if "," in incomplete else ["all"]
    return _joined(_folds_of_stores(ctx), incomplete, ",") + _plain(every)


@_quiet
def runs(ctx: typer.Context, incomplete: str) -> Offered:
    """Offer the finished runs below ``--runs`` by their ids."""
    return _runs(ctx)


@_quiet
def exportable(ctx: typer.Context, incomplete: str) -> Offered:
    """Offer datasets or runs, as the ``--format`` of ``export`` needs."""
    given = ctx.get_parameter_source("file_format")
    if given is not None and given.name == "COMMANDLINE":
        of_store = ctx.params["file_format"].value == "hdf5"
        return datasets(ctx, incomplete) if of_store else _runs(ctx)
    return datasets(ctx, incomplete) + _runs(ctx)


@_quiet
def methods_run(ctx: typer.Context, incomplete: str) -> Offered:
    """Offer the methods of the finished runs, and the runs by their ids."""
    names = {record.method.name: None for _, record in _records(ctx)}
    return _plain(names) + _runs(ctx)


@_quiet
def stores_run(ctx: typer.Context, incomplete: str) -> Offered:
    """Offer the stores of finished runs."""
    return _plain({folder.parent.name: None for folder, _ in _records(ctx)})


@_quiet
def runs_modality(ctx: typer.Context, incomplete: str) -> Offered:
    """Offer a modality of the chosen run, or of any run."""
    wanted = str(ctx.params.get("run") or ctx.params.get("what") or "")
    digits = Path(wanted).name
    found = {
        name: None
        for folder, record in _records(ctx)
        if folder.name.startswith(digits)
        for name in record.identity.modalities
    }
    return _plain(found)


def _plain(names: Iterable[str]) -> Offered:
    return [(name, "") for name in names]


def _joined(names: Iterable[str], incomplete: str, sign: str) -> Offered:
    """Offer names after those that were typed already, each once."""
    before, _, _ = incomplete.rpartition(sign)
    typed = before.split(sign) if before else []
    begin = f"{before}{sign}" if before else ""
    return _plain(f"{begin}{name}" for name in names if name not in typed)


def _all_stores(ctx: typer.Context) -> list[Path]:
    return sorted((ctx.params["data"] / "stores").glob("*.zarr"))


def _meant(ctx: typer.Context) -> list[Path]:
    """Return the store that the options name so far, or all if it is missing."""
    from mtut_bench.cli.options import Size
    from mtut_bench.cli.paths import store_path

    given = ctx.params
    dataset = given.get("dataset") or given.get("what") or "viva"
    path = store_path(given["data"], given.get("store"), dataset, given.get("size", Size.TINY))
    return [path] if path.is_dir() else _all_stores(ctx)


def _attributes(store: Path) -> dict[str, Any]:
    """Return the attributes of a store: those of its Zarr v3 group."""
    attributes: dict[str, Any] = json.loads((store / "zarr.json").read_text())["attributes"]
    return attributes


def _modalities_of_stores(ctx: typer.Context) -> list[str]:
    found = {name: None for path in _meant(ctx) for name in _attributes(path)["modalities"]}
    return list(found)


def _folds_of_stores(ctx: typer.Context) -> list[str]:
    from mtut_bench.errors import MtutBenchError
    from mtut_bench.store.reader import StoreReader

    found: dict[str, None] = {}
    for path in _meant(ctx):
        with suppress(MtutBenchError):
            found |= {fold.name: None for fold in StoreReader(path).folds()}
    return list(found)


def _records(ctx: typer.Context) -> Iterator[tuple[Path, "RunRecord"]]:
    """Yield folder and record of each finished run below ``--runs``."""
    from mtut_bench.errors import RunError
    from mtut_bench.runs.record import read_record, run_folders

    for folder in run_folders(ctx.params["runs"]):
        with suppress(RunError):
            yield folder, read_record(folder / "manifest.json")


def _runs(ctx: typer.Context) -> Offered:
    return [(folder.name, _about(record)) for folder, record in _records(ctx)]


def _about(record: "RunRecord") -> str:
    trained = "+".join(record.identity.modalities)
    return f"{record.method.name}, {trained}, fold {record.identity.fold}"
