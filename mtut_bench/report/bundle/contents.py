"""Tables and the files that show them, from rows alone: nothing here depends on runs."""

from collections.abc import Sequence
from dataclasses import dataclass

from mtut_bench.contract.published import load_published
from mtut_bench.progress import counted
from mtut_bench.report.bundle.row_files import sort_rows
from mtut_bench.report.formats.latex import to_latex_document
from mtut_bench.report.formats.markdown import to_markdown_document
from mtut_bench.report.formats.render import to_csv
from mtut_bench.report.tables.errata import FIGURE_ERRATA
from mtut_bench.report.tables.local import local_tables
from mtut_bench.report.tables.published_tables import has_counterpart, published_table
from mtut_bench.report.tables.table import Table
from mtut_bench.statistics.cells import CellRow
from mtut_bench.statistics.ensembles import is_ensemble
from mtut_bench.statistics.rows import ResultRow

__all__ = ["Contents", "contents_of"]

_CELL_COLUMNS = tuple(CellRow.__annotations__)


@dataclass(frozen=True)
class Contents:
    """What some rows say.

    Attributes:
        tables: local tables, which are all measured, then the published ones in order.
        remarks: sentences about the rows as a whole.
        files: content of each file by its name.
    """

    tables: tuple[Table, ...]
    remarks: tuple[str, ...]
    files: dict[str, bytes]


def contents_of(rows: Sequence[ResultRow]) -> Contents:
    """Return the tables that rows give, and the files that show them."""
    published, rows = load_published(), sort_rows(rows)
    printed = [published_table(table, rows, published) for table in published.tables.values()]
    local = local_tables([row for row in rows if not has_counterpart(row, published)])
    tables, remarks = (*local, *printed), _remarks(rows)
    introduction = [f"Published: {published.source}", *remarks, *FIGURE_ERRATA]
    files = {
        "tables.md": to_markdown_document(tables, introduction).encode(),
        "tables.tex": to_latex_document(tables, introduction).encode(),
    }
    for table in printed:
        files[f"table-{table.key}.csv"] = to_csv(_CELL_COLUMNS, table.cells)
    files["own.csv"] = to_csv(_CELL_COLUMNS, [cell for table in local for cell in table.cells])
    return Contents(tables, remarks, files)


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
    runs: dict[str, dict[str, set[str]]] = {}
    for row in rows:
        if not is_ensemble(row):
            digests = runs.setdefault(row["store"], {})
            digests.setdefault(row["store_digest"], set()).add(row["run"])
    remarks = []
    for store, digests in sorted(runs.items()):
        parts = [f"{counted(len(of), 'run')} on {d[:12]}" for d, of in sorted(digests.items())]
        if len(parts) > 1:
            remarks.append(
                f"The store {store} has changed between runs: {', '.join(parts)}. "
                "Results on different content are kept apart."
            )
    return remarks
