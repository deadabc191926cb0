"""Commands that take a store elsewhere and back: export, import."""

from pathlib import Path
from typing import Annotated

import typer

from mtut_bench.cli.options import (
    DATA,
    DataOption,
    ExportFormat,
    Size,
    SizeOption,
    StoreOption,
    console,
    store_path,
)
from mtut_bench.errors import UsageError
from mtut_bench.progress import Reporter

__all__ = ["export", "import_"]

OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace what is there under this name.")
]


def export(
    dataset: Annotated[str, typer.Argument(help="Dataset whose store is meant.")] = "",
    data: DataOption = DATA,
    store: StoreOption = None,
    size: SizeOption = Size.TINY,
    file_format: Annotated[
        ExportFormat, typer.Option("--format", help="hdf5: one file, read without mtut-bench.")
    ] = ExportFormat.HDF5,
    out: Annotated[
        Path | None, typer.Option("--out", help="File to write; default <store>.h5.")
    ] = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Write a store as one file of another format."""
    from mtut_bench.hdf5 import export_hdf5
    from mtut_bench.store_reader import StoreReader

    if not dataset and store is None:
        raise UsageError("nothing to export", "Name a dataset, or a store with --store.")
    reporter = Reporter(console)
    reader = StoreReader(store_path(data, store, dataset, size))
    path = out or Path(f"{reader.name}.h5")
    if path.is_dir():
        raise UsageError(f"--out {path} is a folder", "Name the file to write.")
    with reporter.ticker(f"export {reader.name} ({file_format.value})", unit="clips") as ticker:
        export_hdf5(reader, path, overwrite=overwrite, progress=ticker)
    reporter.line(f"digest {reader.attributes['digest'][:12]} -> {path}")


def import_(
    file: Annotated[Path, typer.Argument(help="What `export --format hdf5` wrote.")],
    data: DataOption = DATA,
    store: StoreOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Make a store of an exported file; its digest is that of the store that was exported."""
    from mtut_bench.data_card import check_card, write_card
    from mtut_bench.hdf5 import import_hdf5

    reporter = Reporter(console)
    path = store_path(data, store or file.stem, "", Size.TINY)
    check_card(path)
    with reporter.ticker(f"import {file.name}", unit="clips") as ticker:
        digest = import_hdf5(file, path, overwrite=overwrite, progress=ticker)
    card = write_card(path)
    reporter.line(f"digest {digest[:12]} -> {path}, {card.name}")
