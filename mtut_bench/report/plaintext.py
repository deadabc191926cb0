"""What every format of a table shares: harmless text, and figures apart from their marks."""

import re
from collections.abc import Sequence

__all__ = ["aligned", "plain", "split_marks"]

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
