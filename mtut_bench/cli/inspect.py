"""The command that shows what is in a store: inspect."""

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from mtut_bench.cli import completing
from mtut_bench.cli.opening import open_store
from mtut_bench.cli.options import DATA, DataOption, Size, SizeOption, StoreOption
from mtut_bench.cli.printing import console, say

__all__ = ["inspect"]


def inspect(
    dataset: Annotated[
        str,
        typer.Argument(help="Dataset of the store.", autocompletion=completing.datasets),
    ] = "viva",
    data: DataOption = DATA,
    store: StoreOption = None,
    size: SizeOption = Size.TINY,
    contact_sheet: Annotated[
        bool,
        typer.Option(
            "--contact-sheet", help="Also draw a PNG, one row per class.", rich_help_panel="Output"
        ),
    ] = False,
    by_user: Annotated[
        bool,
        typer.Option(
            "--by-user",
            help="Also draw each user, and write a table to fill in with persons.",
            rich_help_panel="Output",
        ),
    ] = False,
) -> None:
    """Summarise a store; optionally draw eight frames per class or user."""
    from mtut_bench.store.inspect import contact_sheet as draw_classes
    from mtut_bench.store.inspect import summarise, user_sheet, write_person_table

    reader = open_store(data, store, dataset, size)
    reader.check_files()
    table = Table(show_edge=False)
    table.add_column("")
    table.add_column(escape(str(reader.path)), overflow="fold")
    for what, value in summarise(reader):
        table.add_row(escape(what), escape(value))
    console.print(table)
    if contact_sheet:
        path = reader.path.with_name(f"{reader.name}-contact-sheet.png")
        draw_classes(reader, path)
        say(f"wrote {path}")
    if by_user:
        path = reader.path.with_name(f"{reader.name}-persons.json")
        write_person_table(reader, path)
        say(f"wrote {path}: fill it in and save it in the raw folder as viva.json")
        path = reader.path.with_name(f"{reader.name}-users.png")
        user_sheet(reader, path)
        say(f"wrote {path}")
