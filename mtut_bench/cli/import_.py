"""The command that turns an exported file back into a store: import."""

from pathlib import Path
from typing import Annotated

import typer

from mtut_bench.cli.options import DATA, DataOption, OverwriteOption, Size, StoreOption
from mtut_bench.cli.paths import store_path
from mtut_bench.cli.printing import console
from mtut_bench.progress import Reporter

__all__ = ["import_"]


def import_(
    file: Annotated[Path, typer.Argument(help="HDF5 file written by `export --format hdf5`.")],
    data: DataOption = DATA,
    store: StoreOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Import an exported HDF5 file as a store with the same digest."""
    from mtut_bench.store.data_card import check_card, write_card
    from mtut_bench.store.hdf5 import import_hdf5

    reporter = Reporter(console)
    path = store_path(data, store or file.stem, "", Size.TINY)
    check_card(path)
    with reporter.ticker(f"import {file.name}", unit="clips") as ticker:
        digest = import_hdf5(file, path, overwrite=overwrite, progress=ticker)
    card = write_card(path)
    reporter.line(f"digest {digest[:12]} -> {path}, {card.name}")
