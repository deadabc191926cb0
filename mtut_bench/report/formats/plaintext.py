"""What every format shares: harmless text, plurals, and figures apart from their marks."""

import re
from collections.abc import Iterator, Sequence

from rich.cells import cell_len

__all__ = ["aligned", "parts", "plain", "split_marks"]

_MARKS = re.compile(r"(?P<figure>.*?)(?P<marks>(?: \(\d+\))+)")
_DECIMAL = re.compile(r"[+-]?\d+(?P<tail>(?:\.\d+)?)")


def plain(text: str) -> str:
    """Return a text on one line, without characters that steer a terminal or hide themselves.

    Args:
        text: any text; names of classes and methods are the user's.
    """
    words = " ".join(text.split())
    return "".join(c if c.isprintable() else "\ufffd" for c in words)


def split_marks(cell: str) -> tuple[str, str]:
    """Return a figure and the marks of its notes: ``("82.28", "(1) (2)")``.

    Args:
        cell: of a column that measures; one that names may end in a number in brackets itself.
    """
    found = _MARKS.fullmatch(cell)
    return (found["figure"], found["marks"].strip()) if found else (cell, "")


def aligned(cells: Sequence[str]) -> list[tuple[str, str]]:
    """Return figures, padded behind so that their points stand in one line, and their marks.

    Args:
        cells: of one column that measures.
    """
    parts = [split_marks(cell) for cell in cells]
    found = [_DECIMAL.fullmatch(figure) for figure, _ in parts]
    tails = [len(match["tail"]) if match else None for match in found]
    longest = max((tail for tail in tails if tail is not None), default=0)
    return [
        (figure if tail is None else figure + " " * (longest - tail), marks)
        for (figure, marks), tail in zip(parts, tails, strict=True)
    ]


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
