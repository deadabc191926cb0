"""Whether the tables that a folder keeps are what its rows give; reads no run, writes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from mtut_bench.errors import ReportError
from mtut_bench.report.contents import contents_of, stale_files
from mtut_bench.report.published import load_published
from mtut_bench.report.row_files import FOLDER, read_rows

__all__ = ["Checked", "check_report"]

_SHOWN = 60


@dataclass(frozen=True)
class Checked:
    """What was found to be as it should.

    Attributes:
        num_rows: numbers that were read.
        names: files that are what the rows give.
    """

    num_rows: int
    names: tuple[str, ...]


def check_report(out: Path, numbers: Sequence[str]) -> Checked:
    """Ensure that a report's tables are, byte for byte, what its rows give.

    Args:
        out: folder of a report.
        numbers: of the published tables that it shows.

    Raises:
        ReportError: a table is missing, differs or is one too many, or the rows are damaged; names
            file, line and cure.
    """
    rows = read_rows(out / FOLDER)
    files = contents_of(rows, numbers).files
    cure = (
        f"Write it anew: mtut-bench report --out {out}{_tables_option(numbers)}; where there are "
        "no runs, it takes the rows that the folder holds."
    )
    for name, expected in files.items():
        path = out / name
        if not path.is_file():
            raise ReportError(f"{path} is missing.", cure)
        difference = _first_difference(path.read_bytes(), expected)
        if difference:
            raise ReportError(f"{path} is not what its rows give: {difference}.", cure)
    kept = [path for path in stale_files(out, files) if path.parent == out]
    if kept:
        raise ReportError(f"{kept[0]} belongs to no table of this report.", cure)
    return Checked(len(rows), tuple(files))


def _tables_option(numbers: Sequence[str]) -> str:
    everything = list(numbers) == list(load_published().tables)
    return "" if everything else f" --tables {','.join(numbers)}"


def _first_difference(found: bytes, expected: bytes) -> str:
    """Return in words where two contents differ first, or ""."""
    if found == expected:
        return ""
    one, other = (text.decode(errors="replace").split("\n") for text in (found, expected))
    pairs = list(zip_longest(one, other))
    index = next(i for i, (here, wanted) in enumerate(pairs) if here != wanted)
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
