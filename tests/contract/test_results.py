"""The committed results: tables that follow from the rows, columns that are explained."""

import json
import re
from pathlib import Path

import pytest

from mtut_bench.report.bundle.folder import RECORD, check_report
from mtut_bench.statistics.rows import ResultRow

RESULTS = Path(__file__).resolve().parents[2] / "results"


@pytest.mark.parametrize(("folder", "num_rows"), [("", None), ("tuning", 84), ("reading", 239)])
def test_committed_tables_are_what_the_committed_rows_give(folder, num_rows):
    checked = check_report(RESULTS / folder)
    assert num_rows in (None, checked.num_rows)
    assert {f"table-{number}.csv" for number in "1234567"} < set(checked.names)


def test_the_committed_list_holds_the_committed_report_and_no_folder_of_a_machine():
    text = (RESULTS / RECORD).read_text()
    files = {path.relative_to(RESULTS).as_posix() for path in RESULTS.glob("*.*")}
    assert {*json.loads(text)["files"], RECORD, "README.md", "STUDY.md", "realism.md"} >= files
    assert str(RESULTS.parent) not in text


def test_every_column_of_the_rows_is_explained():
    text = (RESULTS / "README.md").read_text()
    lines = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    explained = {name for line in lines for name in re.findall(r"`([a-z_]+)`", line)}
    assert set(ResultRow.__annotations__) - explained == set()
