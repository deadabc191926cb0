"""The command that checks raw recordings and stores: verify."""

from collections.abc import Sequence
from typing import Annotated, Any, Protocol

import typer

from mtut_bench.cli import completing
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
    SizeOption,
    StoreOption,
    TableOption,
    WorkersOption,
    cores,
)
from mtut_bench.cli.paths import existing_store, raw_folder, store_path
from mtut_bench.cli.printing import console, make_reporter, say
from mtut_bench.errors import UsageError

__all__ = ["verify"]


def verify(
    dataset: Annotated[
        str,
        typer.Argument(
            help="Dataset whose raw folder to check.", autocompletion=completing.datasets
        ),
    ] = "",
    data: DataOption = DATA,
    raw: RawOption = None,
    store: StoreOption = None,
    table: TableOption = None,
    size: SizeOption = Size.TINY,
    colour: ColourOption = Colour.SK_COLOR,
    workers: WorkersOption = None,
    write_index: Annotated[
        bool,
        typer.Option(
            "--write-index",
            help="Save the SHA-256 of the raw files for later checks.",
            rich_help_panel="Output",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check a raw folder (every file decoded) or a store (every frame hashed); exit 1 on faults."""
    from mtut_bench.store.verify import verify_store
    from mtut_preprocess.verify.raw import verify_raw

    reporter = make_reporter(as_json)
    if not dataset and store is None:
        raise UsageError("nothing to verify", "Name a dataset, or a store with --store.")
    if write_index and not dataset:
        raise UsageError("--write-index is for raw files", "Give their dataset.")
    found: dict[str, Findings] = {}
    if dataset:
        chosen = find_dataset(dataset)
        folder = raw_folder(data, raw, chosen, size, table)
        opened = open_raw(chosen, folder, colour, table, store)
        with reporter.ticker(f"decode {dataset}") as ticker:
            found[str(opened.root)] = verify_raw(
                opened, cores(workers), ticker, write_index=write_index
            )
    path = store_path(data, store, dataset, size, table)
    if store is not None or path.exists():
        existing_store(data, path.stem, "", size)
        with reporter.ticker(f"hash {path.stem}", unit="clips") as ticker:
            found[str(path)] = verify_store(path, ticker)
    if as_json:
        documents = [{"path": name, **report.to_json()} for name, report in found.items()]
        console.print_json(data=documents)
    else:
        for name, report in found.items():
            _print_findings(name, report)
    if any(report.faults for report in found.values()):
        raise typer.Exit(1)


class Findings(Protocol):
    """What a check found, of a raw folder or of a store."""

    @property
    def faults(self) -> Sequence[Any]: ...

    def describe(self) -> list[str]: ...

    def to_json(self) -> dict[str, Any]: ...


def _print_findings(what: str, found: Findings) -> None:
    for text in [what, *(f"  {line}" for line in found.describe())]:
        say(text)
    for fault in found.faults:
        say(f"  FAULT {fault}")
    plural = "" if len(found.faults) == 1 else "s"
    say(f"  {len(found.faults)} fault{plural}" if found.faults else "  no fault")
