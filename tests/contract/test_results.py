"""The committed results: tables that follow from the rows, columns that are explained."""

import re
import shutil
from pathlib import Path

from mtut_bench.report import write_report
from mtut_bench.report.bundle.check import check_report
from mtut_bench.report.bundle.record import RECORD, read_record
from mtut_bench.report.bundle.row_files import FOLDER
from mtut_bench.statistics.rows import ResultRow

RESULTS = Path(__file__).resolve().parents[2] / "results"


def test_committed_tables_are_what_the_committed_rows_give():
    checked = check_report(RESULTS)
    assert {f"table-{number}.csv" for number in "1234567"} < set(checked.names)


def test_committed_tables_of_the_tuning_are_what_its_rows_give():
    checked = check_report(RESULTS / "tuning")
    assert checked.num_rows == 84


def test_committed_tables_of_the_readings_are_what_their_rows_give():
    checked = check_report(RESULTS / "reading")
    assert checked.num_rows == 239


def test_committed_record_lists_the_committed_report_and_no_folder_of_a_machine():
    record = read_record(RESULTS)
    files = {path.relative_to(RESULTS).as_posix() for path in RESULTS.glob("*.*")}
    assert set(record.files) | {RECORD, "README.md", "STUDY.md", "realism.md"} >= files
    assert str(RESULTS.parent) not in (RESULTS / RECORD).read_text()


def test_the_documented_command_gives_the_committed_files(tmp_path):
    rows = RESULTS / FOLDER
    if rows.is_dir():
        shutil.copytree(rows, tmp_path / FOLDER)
    result = write_report(tmp_path / "runs", tmp_path)
    for path in result.paths:
        name = path.relative_to(tmp_path)
        if name.as_posix() != RECORD:
            assert path.read_bytes() == (RESULTS / name).read_bytes()


def test_every_column_of_the_rows_is_explained():
    text = (RESULTS / "README.md").read_text()
    lines = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    explained = {name for line in lines for name in re.findall(r"`([a-z_]+)`", line)}
    assert set(ResultRow.__annotations__) - explained == set()
