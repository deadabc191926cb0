"""The report as one HTML file that needs nothing else: no network, no other file, no script.

The page's content security policy allows its style and script by SHA-256 alone: a script that came
in with a name would not run even if it were not escaped.
"""

import base64
import hashlib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined

from mtut_bench import __version__
from mtut_bench.report.comparisons.confused import ConfusedGroup
from mtut_bench.report.comparisons.sentences import Comparison
from mtut_bench.report.figures.canvas import Figure
from mtut_bench.report.page.overview import overview
from mtut_bench.report.page.provenance import run_details, runs_table
from mtut_bench.report.tables.table import Number, Table, TableCell
from mtut_bench.runs.finished import FinishedRun

__all__ = ["grid", "render_page"]

# A drawing of thousands of marks is larger as SVG than as pixels, and slow to show.
_MAX_SVG_BYTES = 300_000


@dataclass(frozen=True)
class Grid:
    """A table as the page shows it.

    Attributes:
        id: unique on the page.
        table: heading, heads and notes.
        numeric: of each column, whether every cell that is not empty is a number.
        num_marks: of each column, the most marks in a cell, for which all cells leave room.
        rows: cells, each with whether it repeats the line above: then it shows only where lines
            are sorted.
    """

    id: str
    table: Table
    numeric: tuple[bool, ...]
    num_marks: tuple[int, ...]
    rows: tuple[tuple[tuple[TableCell, bool], ...], ...]


def render_page(
    *,
    remarks: Sequence[str],
    tables: Sequence[Table],
    figures: Sequence[Figure],
    comparisons: Sequence[Comparison],
    runs: Sequence[FinishedRun],
    confused: Sequence[ConfusedGroup],
) -> str:
    """Return the page; the same arguments give the same text.

    Returns:
        HTML of one self-contained file, all text of it escaped.

    Raises:
        RunError: a manifest without a field that the page needs; names it and the hint.
    """
    style, script = _asset("page.css"), _asset("page.js")
    paired = _grids([comparison.table for comparison in comparisons], "paired")
    return (
        _environment()
        .get_template("page.html")
        .render(
            version=__version__,
            style=style,
            script=script,
            style_hash=_csp_hash(style),
            script_hash=_csp_hash(script),
            overview=overview(tables, runs),
            remarks=remarks,
            local=_grids([table for table in tables if table.local], "own"),
            published=_grids([table for table in tables if not table.local], "published"),
            figures=[(figure, _image(figure)) for figure in figures],
            comparisons=list(zip(comparisons, paired, strict=True)),
            confused=confused,
            runs=grid(runs_table(runs), "runs"),
            details=[run_details(run.record) for run in runs],
        )
    )


def _grids(tables: Sequence[Table], kind: str) -> list[Grid]:
    return [grid(table, f"{kind}-{number}") for number, table in enumerate(tables, 1)]


def grid(table: Table, identifier: str) -> Grid:
    """Return a table of which every line names its method."""
    rows: list[tuple[tuple[TableCell, bool], ...]] = []
    for row in table.rows:
        continued = bool(rows) and not row[0]
        labels = [
            (rows[-1][i][0], True) if continued and not cell else (cell, False)
            for i, cell in enumerate(row[: table.num_labels])
        ]
        rows.append((*labels, *((cell, False) for cell in row[table.num_labels :])))
    numeric, num_marks = [], []
    for index in range(len(table.columns)):
        cells = [row[index] for row in table.rows]
        numbers = [cell for cell in cells if isinstance(cell, Number)]
        words = any(isinstance(cell, str) and cell for cell in cells)
        measures = index >= table.num_labels or any(n.sort is not None for n in numbers)
        numeric.append(measures and not words)
        num_marks.append(max((len(number.marks) for number in numbers), default=0))
    return Grid(identifier, table, tuple(numeric), tuple(num_marks), tuple(rows))


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader(__name__, ""),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_clean,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _clean(value: object) -> object:
    """Return what a template prints, a text without characters that HTML may not hold.

    Names are the user's: control characters, lone surrogates and invisible marks are shown as
    U+FFFD. What is HTML already (style, script, macros) is ours.
    """
    if not isinstance(value, str) or hasattr(value, "__html__") or value.isprintable():
        return value
    return "".join(c if _may_stand(c) else "\ufffd" for c in value)


def _may_stand(character: str) -> bool:
    return (
        character.isprintable() or character in "\t\n\r" or unicodedata.category(character) == "Zs"
    )


@cache
def _asset(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")


def _csp_hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _image(figure: Figure) -> str:
    """Return the figure as a data URI: the drawing, or its pixels where that is lighter."""
    if len(figure.svg) <= _MAX_SVG_BYTES:
        kind, content = "svg+xml", figure.svg
    else:
        kind, content = "png", figure.png
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
