"""The committed results: tables that follow from the rows, columns that are explained."""

import re
from pathlib import Path

from mtut_bench.report.check import check_report
from mtut_bench.report.published import load_published
from mtut_bench.report.rows import ResultRow

RESULTS = Path(__file__).resolve().parents[2] / "results"


def test_committed_tables_are_what_the_committed_rows_give():
    checked = check_report(RESULTS, tuple(load_published().tables))
    assert {f"table-{number}.csv" for number in "1234567"} < set(checked.names)


def test_every_column_of_the_rows_is_explained():
    text = (RESULTS / "README.md").read_text()
    lines = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    explained = {name for line in lines for name in re.findall(r"`([a-z_]+)`", line)}
    assert set(ResultRow.__annotations__) - explained == set()
