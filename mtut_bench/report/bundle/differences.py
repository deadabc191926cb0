"""Where two contents of a file differ first, in words."""

from itertools import zip_longest

__all__ = ["first_difference"]

_SHOWN = 60


def first_difference(found: bytes, expected: bytes) -> str:
    """Return in words where two contents differ first, or "".

    Args:
        found: content of a file.
        expected: what its rows give.
    """
    if found == expected:
        return ""
    one, other = (text.decode(errors="replace").split("\n") for text in (found, expected))
    pairs = list(zip_longest(one, other))
    # Bytes that are no text may look alike.
    index = next((i for i, (here, wanted) in enumerate(pairs) if here != wanted), 0)
    here, wanted = pairs[index]
    place = _common(here or "", wanted or "")
    return f"line {index + 1} has {_excerpt(here, place)}, the rows give {_excerpt(wanted, place)}"


def _common(one: str, other: str) -> int:
    """Return how many characters two lines share at their start."""
    pairs = zip(one, other, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _excerpt(line: str | None, place: int) -> str:
    if line is None:
        return "nothing more"
    start = max(0, place - _SHOWN // 3)
    text = line[start : start + _SHOWN]
    return f"{'...' if start else ''}{text!r}{'...' if start + _SHOWN < len(line) else ''}"
