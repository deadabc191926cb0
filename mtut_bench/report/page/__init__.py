"""The report as one HTML file that needs nothing else: no network, no other file, no script.

Style and script are allowed by their SHA-256 in the page's own content security policy, so that a
handler or script that slipped in through a name would not run even if it were not escaped.
"""

import base64
import hashlib
import unicodedata
from collections.abc import Sequence
from functools import cache
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined

from mtut_bench import __version__
from mtut_bench.report.comparisons.confused import ConfusedGroup
from mtut_bench.report.comparisons.sentences import Comparison
from mtut_bench.report.figures.canvas import Figure
from mtut_bench.report.page.grid import Grid, grid
from mtut_bench.report.page.overview import overview
from mtut_bench.report.page.provenance import provenance
from mtut_bench.report.tables.table import Table
from mtut_bench.runs.finished import FinishedRun

__all__ = ["render_page"]

# A drawing of thousands of marks is larger as SVG than as pixels, and slow to show.
_MAX_SVG_BYTES = 300_000


def render_page(
    *,
    title: str,
    remarks: Sequence[str],
    tables: Sequence[Table],
    figures: Sequence[Figure],
    comparisons: Sequence[Comparison],
    runs: Sequence[FinishedRun],
    confused: Sequence[ConfusedGroup],
) -> str:
    """Return the page; the same arguments give the same text.

    Args:
        title: of the page.
        remarks: sentences about the whole.
        tables: published ones and those of their own, each kind in the order to show.
        figures: in the order to show.
        comparisons: paired tests, in the order to show.
        runs: all finished runs behind it.
        confused: as ``most_confused`` returns them.

    Returns:
        HTML of one self-contained file, all text of it escaped.

    Raises:
        RunError: a manifest without a field that the page needs; names it and the hint.
    """
    style, script = _asset("page.css"), _asset("page.js")
    published = [table for table in tables if not table.own]
    own = [table for table in tables if table.own]
    paired = _grids([comparison.table for comparison in comparisons], "paired")
    return (
        _environment()
        .get_template("page.html")
        .render(
            title=title,
            version=__version__,
            style=style,
            script=script,
            style_hash=_csp_hash(style),
            script_hash=_csp_hash(script),
            overview=overview(tables, runs),
            remarks=remarks,
            own=_grids(own, "own"),
            published=_grids(published, "published"),
            figures=[(figure, _image(figure)) for figure in figures],
            comparisons=list(zip(comparisons, paired, strict=True)),
            confused=confused,
            provenance=provenance(runs),
        )
    )


def _grids(tables: Sequence[Table], kind: str) -> list[Grid]:
    return [grid(table, f"{kind}-{number}") for number, table in enumerate(tables, 1)]


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

    Names are the user's: control characters, halves of characters and invisible marks are shown
    as U+FFFD. What is HTML already (style, script, macros) is ours.
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
    if figure.svg and (len(figure.svg) <= _MAX_SVG_BYTES or not figure.png):
        kind, content = "svg+xml", figure.svg
    else:
        kind, content = "png", figure.png
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
