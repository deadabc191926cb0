"""Tables as text: a terminal's, Markdown, CSV."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from mtut_bench.report.tables import Table

__all__ = ["escape", "print_table", "to_csv", "to_markdown"]


# A rule under the heads and nothing else: numbers stand two spaces apart and 80 columns go far.
_LINES = box.Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)


def to_csv(columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> bytes:
    """Return rows as CSV with a head; raw numbers, quoted where needed.

    Args:
        columns: keys in order; every row has exactly these.
        rows: what to write.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def to_markdown(table: Table) -> str:
    """Return a table as GitHub Markdown: heading, table, notes.

    Args:
        table: what to write.
    """
    align = ["---" if i < table.num_labels else "---:" for i in range(len(table.columns))]
    lines = [f"## {escape(table.heading)}", ""]
    for cells in (table.columns, align, *table.rows):
        texts = cells if cells is align else [escape(cell) for cell in cells]
        lines.append(f"| {' | '.join(texts)} |")
    lines.append("")
    lines += [f"- {escape(note)}" for note in table.notes]
    return "\n".join(lines) + "\n"


def print_table(table: Table, console: Console) -> None:
    """Print a table; one that is too wide is printed in parts, each with the rows' names.

    Args:
        table: what to print.
        console: a terminal or a file.
    """
    console.print(Text(table.heading, style="bold"))
    for columns in _parts(table, console.width):
        console.print()
        console.print(_rich(table, columns))
    console.print()
    for note in table.notes:
        console.print(Padding(Text(note, style="dim"), (0, 0, 0, 2), expand=False))
    console.print()


def escape(text: str) -> str:
    """Return a text that Markdown shows as it is, on one line.

    Args:
        text: any text.
    """
    for character in "\\|*_<>`[]":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())


def _rich(table: Table, columns: Sequence[int]) -> RichTable:
    result = RichTable(box=_LINES, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for column in columns:
        label = column < table.num_labels
        result.add_column(
            Text(table.columns[column]),
            justify="left" if label else "right",
            no_wrap=not label,
            overflow="fold",
        )
    for row in table.rows:
        result.add_row(*(Text(row[column]) for column in columns))
    return result


def _parts(table: Table, width: int) -> Iterator[list[int]]:
    """Return the columns of each part: the names of the rows and as many others as fit."""
    sizes = [
        2 + max(len(cells[column]) for cells in (table.columns, *table.rows))
        for column in range(len(table.columns))
    ]
    labels = list(range(table.num_labels))
    part: list[int] = []
    for column in range(table.num_labels, len(table.columns)):
        if part and sum(sizes[i] for i in [*labels, *part, column]) - 2 > width:
            yield labels + part
            part = []
        part.append(column)
    yield labels + part
