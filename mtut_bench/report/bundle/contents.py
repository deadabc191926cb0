"""Tables and the files that show them, from rows alone: what rows give never depends on runs."""

from collections.abc import Sequence
from dataclasses import dataclass

from mtut_bench.contract.published import Published, load_published
from mtut_bench.progress import counted
from mtut_bench.report.bundle.row_files import sort_rows
from mtut_bench.report.formats.latex import to_latex_document
from mtut_bench.report.formats.markdown import to_markdown_document
from mtut_bench.report.formats.render import to_csv
from mtut_bench.report.tables.own import own_tables
from mtut_bench.report.tables.published_tables import placed, published_table
from mtut_bench.report.tables.slips import figure_notes
from mtut_bench.report.tables.table import Table
from mtut_bench.statistics.cells import CellRow
from mtut_bench.statistics.ensembles import is_ensemble
from mtut_bench.statistics.rows import ResultRow

__all__ = ["Contents", "contents_of"]

_CELL_COLUMNS = tuple(CellRow.__annotations__)
# Cells are made of this metric; the other rows are for whoever reads the files.
_METRIC = "accuracy"


@dataclass(frozen=True)
class Contents:
    """What some rows say.

    Attributes:
        tables: those of their own, which are all measured, then the published ones in order.
        remarks: sentences about the rows as a whole.
        files: content of each file by its name; of the rows alone.
    """

    tables: tuple[Table, ...]
    remarks: tuple[str, ...]
    files: dict[str, bytes]


def contents_of(rows: Sequence[ResultRow]) -> Contents:
    """Return the tables that rows give, and the files that show them.

    Args:
        rows: in any order.
    """
    published = load_published()
    counted = [row for row in sort_rows(rows) if row["metric"] == _METRIC]
    printed = [published_table(table, counted, published) for table in published.tables.values()]
    own = own_tables([row for row in counted if not placed(row, published)])
    remarks = _remarks(rows)
    return Contents((*own, *printed), remarks, _files(own, printed, remarks, published))


def _remarks(rows: Sequence[ResultRow]) -> tuple[str, ...]:
    if not rows:
        return ()
    ids = {(row["store"], row["run"], is_ensemble(row)) for row in rows}
    num_pairs = sum(averaged for _, _, averaged in ids)
    pairs = f"{counted(num_pairs, 'pair')} of seeds, " if num_pairs else ""
    runs = counted(len(ids) - num_pairs, "run")
    return (f"Measured: {runs}, {pairs}{counted(len(rows), 'number')}.", *_changed_stores(rows))


def _changed_stores(rows: Sequence[ResultRow]) -> list[str]:
    """Return a sentence on each store whose content differs between runs."""
    remarks = []
    rows = [row for row in rows if not is_ensemble(row)]
    for store in sorted({row["store"] for row in rows}):
        found = {(row["store_digest"], row["run"]) for row in rows if row["store"] == store}
        digests = sorted({digest for digest, _ in found})
        if len(digests) > 1:
            runs = (sum(own == digest for own, _ in found) for digest in digests)
            parts = [
                f"{counted(number, 'run')} on {digest[:12]}"
                for number, digest in zip(runs, digests, strict=True)
            ]
            remarks.append(
                f"The store {store} has changed between runs: {', '.join(parts)}. "
                "Numbers of different content are never mixed."
            )
    return remarks


def _files(
    own: Sequence[Table],
    printed: Sequence[Table],
    remarks: Sequence[str],
    published: Published,
) -> dict[str, bytes]:
    tables = (*own, *printed)
    introduction = [f"Published: {published.source}", *remarks, *figure_notes()]
    files = {
        "tables.md": to_markdown_document(tables, introduction).encode(),
        "tables.tex": to_latex_document(tables, introduction).encode(),
    }
    for table in printed:
        files[f"table-{table.key}.csv"] = to_csv(_CELL_COLUMNS, table.cells)
    files["own.csv"] = to_csv(_CELL_COLUMNS, [cell for table in own for cell in table.cells])
    return files
