"""Printing: lines, errors, notes, examples, JSON."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.text import Text

from mtut_bench.cli.options import is_default
from mtut_bench.cli.suggesting import complete
from mtut_bench.errors import MtutBenchError
from mtut_bench.progress import Reporter

if TYPE_CHECKING:
    from mtut_bench.report.tables.table import Table

console = Console()


def say(text: str) -> None:
    """Print one line of any length; its commands get the folders of this call."""
    console.print(complete(text), markup=False, highlight=False, soft_wrap=True)


def show_error(error: MtutBenchError) -> None:
    """Print what is wrong and its hint to the error output."""
    screen = Console(stderr=True)
    what, hint = (escape(_harmless(complete(text))) for text in (error.what, error.hint))
    screen.print(f"[bold red]error:[/] {what}", highlight=False, soft_wrap=True)
    if hint:
        screen.print(f"  {hint}", highlight=False, soft_wrap=True)


def _harmless(text: str) -> str:
    """Return a text without control characters; errors quote what the user typed."""
    return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text)


def examples(*lines: str) -> str:
    """Return commands as an epilogue of `--help`, one a line at 80 columns too.

    Args:
        *lines: what follows the program's name, at most 67 characters.
    """
    # A single line break would be taken for a space.
    return "\n\n".join(f"[bold]mtut-bench {line}[/bold]" for line in lines)


def make_reporter(as_json: bool) -> Reporter:
    """Return where progress goes, for a command that may print JSON."""
    # Standard output is the JSON document alone.
    return Reporter(Console(stderr=True) if as_json else console)


def say_how_to_start(context: typer.Context, data: Path, runs: Path) -> None:
    """Print commands of a first run without any recordings, in the folders of this call."""
    at_data = "" if is_default(context, "data") else f" --data {quote(str(data))}"
    at_runs = "" if is_default(context, "runs") else f" --runs {quote(str(runs))}"
    say("A first run, without recordings:")
    say(f"  mtut-bench prepare viva-synthetic --size tiny{at_data}")
    say(f"  mtut-bench run --dataset viva-synthetic --size tiny --protocol demo{at_data}{at_runs}")


def print_notes(notes: Iterable[str]) -> None:
    """Print notes, each once."""
    from mtut_bench.report.formats.plaintext import plain

    for note in dict.fromkeys(notes):
        text = Padding(Text(plain(note), style="dim"), (0, 0, 0, 2), expand=False)
        console.print(text)


def print_conclusion(table: "Table", conclusion: Sequence[str], *, explain: bool) -> None:
    """Print the numbers, then the conclusion as the last lines."""
    from mtut_bench.report.formats.render import print_table

    if table.rows:
        print_table(table, console)
    else:
        print_paragraphs(table.heading)
    *lines, last = conclusion
    last = f"{last} {'' if explain else 'More: --explain.'}".strip()
    print_lines(*lines, *([last] if last else []))


def print_paragraphs(*texts: str) -> None:
    """Print texts, an empty line after each."""
    for text in texts:
        print_lines(text)
        console.print()


def print_lines(*texts: str) -> None:
    """Print texts without control characters."""
    # Names of methods, classes and predictions are the user's.
    from mtut_bench.report.formats.plaintext import plain

    for text in texts:
        console.print(plain(text), markup=False, highlight=False)


def print_json(value: object) -> None:
    """Print a value as one JSON document."""
    typer.echo(json.dumps(value, indent=1))
