"""The command that derives a store for controls from another one: derive."""

from typing import Annotated

import typer

from mtut_bench.cli import completing
from mtut_bench.cli.opening import open_store
from mtut_bench.cli.options import DATA, DataOption, OverwriteOption, Size, SizeOption, StoreOption
from mtut_bench.cli.paths import store_path
from mtut_bench.cli.printing import console
from mtut_bench.errors import UsageError
from mtut_bench.progress import Reporter

__all__ = ["derive"]


def derive(
    new: Annotated[str, typer.Option("--as", help="Name of the new store.")],
    dataset: Annotated[
        str, typer.Argument(help="See `list datasets`.", autocompletion=completing.datasets)
    ] = "viva",
    data: DataOption = DATA,
    store: StoreOption = None,
    size: SizeOption = Size.TINY,
    modalities: Annotated[
        str,
        typer.Option(
            "--modalities",
            help="Modalities to keep, such as rgb,depth; default: all.",
            autocompletion=completing.modalities,
        ),
    ] = "",
    copies: Annotated[
        list[str] | None,
        typer.Option("--copy", help="NEW=OLD: add modality NEW as a copy of OLD; repeatable."),
    ] = None,
    same_class: Annotated[
        list[str] | None,
        typer.Option(
            "--same-class",
            help="Take this modality from another clip of the same class and person; repeatable.",
            autocompletion=completing.modality,
        ),
    ] = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Derive a control store: copy a modality, or take it from other clips of the same class."""
    from mtut_bench.store.data_card import check_card, write_card
    from mtut_bench.store.derive import Derivation, derive_store

    pairs = [text.partition("=") for text in copies or ()]
    if not all(old for _, _, old in pairs):
        raise UsageError("--copy needs NEW=OLD", "Write --copy NEW=OLD.")
    reporter = Reporter(console)
    reader = open_store(data, store, dataset, size)
    path = store_path(data, new, "", Size.TINY)
    check_card(path)
    derivation = Derivation(
        tuple(modalities.split(",")) if modalities else reader.modalities,
        {name: old for name, _, old in pairs},
        tuple(same_class or ()),
    )
    with reporter.ticker(f"derive {new}", unit="clips") as ticker:
        digest = derive_store(reader, path, derivation, overwrite=overwrite, progress=ticker)
    card = write_card(path)
    reporter.line(f"digest {digest[:12]} -> {path}, {card.name}")
