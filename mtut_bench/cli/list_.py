"""The command that lists datasets, methods, protocols, runs, stores, clips: list."""

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
    FoldsOption,
    RunsOption,
    Size,
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
    store: StoreOption = None,
    fold: FoldsOption = "",
) -> None:
    """List datasets, methods, protocols, runs, stores, or the clips of a store.

    `list clips` takes --store (default viva), and --fold to show on which side each clip is.
    """
    from mtut_bench.runs.listing import list_protocols, list_runs, list_stores

    if subject is Subject.CLIPS:
        _print_clips(store_path(data, store, "viva", Size.TINY), fold)
        return
    _refuse_options_of_clips(context, subject)
    if subject is Subject.METHODS:
        _print_methods()
        return
    if subject is Subject.DATASETS:
        from mtut_preprocess import DATASETS

        lines = [(d.name, f"{d.summary}; {d.how_to_get}") for d in DATASETS.values()]
    elif subject is Subject.PROTOCOLS:
        lines = list_protocols()
    else:
        of_runs = subject is Subject.RUNS
        if of_runs and not is_default(context, "runs"):
            refuse_missing_runs(runs)
        folder = runs if of_runs else data / "stores"
        lines = list_runs(folder) if of_runs else list_stores(folder)
        if not lines:
            say(f"No {subject.value} in {folder}.")
            say_how_to_start(context, data, runs)
            return
    table = Table(subject.value, "", show_edge=False)
    for name, text in lines:
        table.add_row(escape(name), escape(text))
    console.print(table)


def _print_clips(path: Path, fold: str) -> None:
    """Print a line for each clip, which no terminal's width breaks."""
    from mtut_bench.progress import counted
    from mtut_bench.report.formats.plaintext import plain
    from mtut_bench.runs.listing import list_clips
    from mtut_bench.store.reader import StoreReader

    lines = [[plain(text) for text in line] for line in list_clips(StoreReader(path), fold)]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    # As one text: a store has up to tens of thousands of clips.
    say("\n".join("  ".join(map(_padded, line, widths)).rstrip() for line in lines))
    what = "" if fold else "; --fold all shows their side in each fold"
    say(f"\n{counted(len(lines) - 1, 'clip')} in {path}{what}")


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))


def _refuse_options_of_clips(context: typer.Context, subject: Subject) -> None:
    """Refuse an option that the subject would ignore."""
    given = [f"--{name}" for name in ("store", "fold") if not is_default(context, name)]
    if given:
        raise UsageError(
            f"`list {subject.value}` takes no {', '.join(given)}.",
            f"They select clips: mtut-bench list clips {given[0]} ...",
        )


def _print_methods() -> None:
    """Print the methods, then the controls, each under a heading."""
    from mtut_baselines import CONTROLS, METHODS

    for heading, names in (
        ("methods", [name for name in METHODS if name not in CONTROLS]),
        ("controls: each changes one thing to answer one question", list(CONTROLS)),
    ):
        table = Table(
            "name",
            "network",
            "trains",
            "what it is",
            title=heading,
            title_justify="left",
            show_edge=False,
        )
        for name in names:
            one = METHODS[name]
            together = f"{one.min_modalities}+ together" if one.min_modalities > 1 else "each alone"
            table.add_row(*map(escape, (name, one.network, together, one.summary)))
        console.print(table)
