"""What formats share: harmless text, aligned decimal points, parts of wide tables."""

from collections.abc import Iterator, Sequence

from rich.cells import cell_len

from mtut_bench.report.tables.table import Number, TableCell

__all__ = ["aligned", "parts", "plain"]


def plain(text: str) -> str:
    """Return a text on one line, without control and invisible characters."""
    words = " ".join(text.split())
    return "".join(c if c.isprintable() else "\ufffd" for c in words)


def aligned(cells: Sequence[TableCell]) -> list[tuple[str, str]]:
    """Return the texts of one column, padded so that decimal points align, and their marks."""
    longest = max((cell.tail or 0 for cell in cells if isinstance(cell, Number)), default=0)
    return [
        (plain(cell), "") if isinstance(cell, str) else (_padded(cell, longest), cell.marked)
        for cell in cells
    ]


def _padded(number: Number, longest: int) -> str:
    gap = 0 if number.tail is None else longest - number.tail
    return f"{number.text}{number.qualifier}{' ' * gap}"


def parts(columns: Sequence[Sequence[str]], num_labels: int, width: int) -> Iterator[list[int]]:
    """Yield the columns of each part of a table: the rows' names and as many others as fit.

    Args:
        columns: heads and cells of each column.
        num_labels: leading columns that name a row.
        width: characters that fit beside each other; columns stand two apart.
    """
    sizes = [2 + max(cell_len(cell) for cell in cells) for cells in columns]
    labels = list(range(num_labels))
    part: list[int] = []
    for column in range(num_labels, len(columns)):
        if part and sum(sizes[i] for i in [*labels, *part, column]) - 2 > width:
            yield labels + part
            part = []
        part.append(column)
    yield labels + part
