"""Tables on a terminal, and as CSV."""

import csv
import io
from collections.abc import Mapping, Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from mtut_bench.report.formats.plaintext import aligned, parts, plain
from mtut_bench.report.tables.table import Table

__all__ = ["print_table", "to_csv"]

# A rule under the heads and nothing else: numbers stand two spaces apart and 80 columns go far.
_LINES = box.Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)


def to_csv(columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> bytes:
    """Return rows as CSV with a head; raw numbers, quoted where needed."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def print_table(table: Table, console: Console) -> None:
    """Print a table; one that is too wide is printed in parts, each with the rows' names."""
    console.print(Text(plain(table.heading), style="bold"))
    columns = [_column(table, index) for index in range(len(table.columns))]
    for part in parts(columns, table.num_labels, console.width):
        console.print()
        console.print(_rich(columns, part, table.num_labels))
    console.print()
    for note in table.lines:
        console.print(Padding(Text(plain(note), style="dim"), (0, 0, 0, 2), expand=False))
    if table.lines:
        console.print()


def _column(table: Table, index: int) -> list[str]:
    """Return the head and the cells of a column, numbers padded to one width."""
    head, cells = plain(table.columns[index]), [row[index] for row in table.rows]
    if index < table.num_labels:
        return [head, *(plain(str(cell)) for cell in cells)]
    figures = aligned(cells)
    with_marks = max((len(marks) for _, marks in figures), default=0)
    gap = " " if with_marks else ""
    widest = max((cell_len(figure) for figure, _ in figures), default=0)
    texts = [f"{figure:>{widest}}{gap}{marks:<{with_marks}}" for figure, marks in figures]
    width = max(cell_len(text) for text in (head, *texts))
    return [text.rjust(width) for text in (head, *texts)]


def _rich(columns: Sequence[Sequence[str]], part: Sequence[int], num_labels: int) -> RichTable:
    result = RichTable(box=_LINES, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for index in part:
        head = Text(columns[index][0])
        result.add_column(head, no_wrap=index >= num_labels, overflow="fold")
    for cells in zip(*(columns[index][1:] for index in part), strict=True):
        result.add_row(*(Text(cell) for cell in cells))
    return result
