"""The command that lists datasets, methods, protocols, runs, stores, clips: list."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.cells import cell_len
from rich.markup import escape
from rich.table import Table

from mtut_bench.cli.options import (
    DATA,
    RUNS,
    DataOption,
    FoldUnit,
    RunsOption,
    Size,
    SizeOption,
    StoreOption,
    Subject,
    is_default,
)
from mtut_bench.cli.paths import refuse_missing_runs, store_path
from mtut_bench.cli.printing import console, say, say_how_to_start
from mtut_bench.errors import UsageError

__all__ = ["list_"]


def list_(
    context: typer.Context,
    subject: Annotated[Subject, typer.Argument()],
    data: DataOption = DATA,
    runs: RunsOption = RUNS,
    dataset: Annotated[
        str, typer.Option("--dataset", help="Of `clips`: dataset whose store is meant.")
    ] = "viva",
    store: StoreOption = None,
    size: SizeOption = Size.TINY,
    fold: Annotated[
        str | None,
        typer.Option("--fold", help="Of `clips`: show their side in it, or in several: 1,2; all."),
    ] = None,
    fold_unit: Annotated[
        FoldUnit, typer.Option("--fold-unit", help="Who is left out, as in `run`.")
    ] = FoldUnit.PERSON,
    method: Annotated[
        list[str] | None,
        typer.Option("--method", help="Of `methods`: also your own, file.py:build; repeatable."),
    ] = None,
) -> None:
    """List datasets, methods, protocols, runs, stores, or the clips of a store."""
    from mtut_bench.runs.listing import list_protocols, list_runs, list_stores

    if subject is Subject.CLIPS:
        _print_clips(store_path(data, store, dataset, size), fold, fold_unit)
        return
    _refuse_options_of_clips(context, subject)
    if method and subject is not Subject.METHODS:
        raise UsageError(f"list {subject.value} takes no --method", "Leave it out.")
    if subject is Subject.METHODS:
        _print_methods(method or ())
        return
    if subject is Subject.DATASETS:
        from mtut_preprocess import DATASETS

        lines = [(d.name, f"{d.summary}; {d.how_to_get}") for d in DATASETS.values()]
    elif subject is Subject.PROTOCOLS:
        lines = list_protocols()
    else:
        if subject is Subject.RUNS and not is_default(context, "runs"):
            refuse_missing_runs(runs)
        lines = list_runs(runs) if subject is Subject.RUNS else list_stores(data / "stores")
        if not lines:
            say(f"No {subject.value} in {runs if subject is Subject.RUNS else data / 'stores'}.")
            say_how_to_start(context, data, runs)
            return
    table = Table(subject.value, "", show_edge=False)
    for name, text in lines:
        table.add_row(escape(name), escape(text))
    console.print(table)


def _print_clips(path: Path, fold: str | None, unit: FoldUnit) -> None:
    """Print a line for each clip, which no terminal's width breaks."""
    from mtut_bench.progress import counted
    from mtut_bench.report.formats.plaintext import plain
    from mtut_bench.runs.listing import list_clips
    from mtut_bench.store.reader import StoreReader

    reader = StoreReader(path)
    lines = [[plain(text) for text in line] for line in list_clips(reader, fold, unit.value)]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    # As one text: a store has up to tens of thousands of clips.
    say("\n".join("  ".join(map(_padded, line, widths)).rstrip() for line in lines))
    what = "" if fold else "; --fold all shows on which side of each fold they are"
    say(f"\n{counted(len(lines) - 1, 'clip')} in {path}{what}")


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))


def _refuse_options_of_clips(context: typer.Context, subject: Subject) -> None:
    """Refuse an option that the subject would pass over without a word."""
    names = ("dataset", "store", "size", "fold", "fold_unit")
    given = [f"--{name.replace('_', '-')}" for name in names if not is_default(context, name)]
    if given:
        raise UsageError(
            f"`list {subject.value}` takes no {', '.join(given)}.",
            f"They choose clips: mtut-bench list clips {given[0]} ...",
        )


def _print_methods(own: Sequence[str]) -> None:
    """Print our methods, then the controls, then a user's own, each under a heading.

    Args:
        own: files of a user's own methods, as `run --method` takes them.
    """
    from mtut_baselines import CONTROLS, METHODS
    from mtut_bench.contract.method_file import load_method

    yours = [load_method(text, METHODS) for text in own]
    tables = (
        (
            "methods",
            [(name, one) for name, one in METHODS.items() if name not in CONTROLS],
        ),
        (
            "controls: one thing changed, and the question it answers",
            [(name, METHODS[name]) for name in CONTROLS],
        ),
        ("yours", [(loaded.file or loaded.method.name, loaded.method) for loaded in yours]),
    )
    for heading, methods in tables:
        if not methods:
            continue
        table = Table(
            "name",
            "network",
            "trains",
            "what it is",
            title=heading,
            title_justify="left",
            show_edge=False,
        )
        for name, one in methods:
            together = f"{one.min_modalities}+ together" if one.min_modalities > 1 else "each alone"
            table.add_row(*map(escape, (name, one.network, together, one.summary)))
        console.print(table)
