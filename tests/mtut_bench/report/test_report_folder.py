"""A report's folder: nothing of a user's is lost, and no half report passes for a whole one."""

import json
import os
import shutil

import pytest
from report_bench import add_run, names_in, report

from mtut_bench import files as files_module
from mtut_bench.contract.metrics import wilson_interval
from mtut_bench.errors import MtutBenchError, ReportError
from mtut_bench.report.bundle import folder as folder_module
from mtut_bench.report.bundle.folder import RECORD, check_report

TABLES = {"own.csv", "tables.md", "tables.tex", *(f"table-{n}.csv" for n in "1234567")}
# Of the report that is stopped: all tables, and the rows of two stores.
NUM_FILES = len(TABLES) + 2


@pytest.fixture
def out(tmp_path):
    """The folder of a report with one run, whose folder is ``runs``."""
    add_run(tmp_path / "runs", 7, origin="synthetic")
    report(tmp_path)
    return tmp_path / "out"


def bytes_in(folder):
    return {name: (folder / name).read_bytes() for name in names_in(folder)}


def edit_list(out, **changes):
    """Change report.json."""
    content = json.loads((out / RECORD).read_text())
    (out / RECORD).write_text(json.dumps(content | changes))
    return content["files"]


def add_former(out, name):
    """Give the report a file that it wrote and that its runs no longer give."""
    (out / name).write_text("former")
    files = json.loads((out / RECORD).read_text())["files"]
    edit_list(out, files=files | {name: "0" * 64})
    return out / name


def test_the_same_runs_give_the_same_folder_and_every_file_is_listed(out):
    before = bytes_in(out)
    assert set(json.loads(before[RECORD])["files"]) == before.keys() - {RECORD}
    report(out.parent)
    assert bytes_in(out) == before


@pytest.mark.parametrize("name", ["own.csv", "notes.txt"])
def test_a_folder_that_no_report_created_is_refused(tmp_path, name):
    add_run(tmp_path / "runs")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("mine")
    with pytest.raises(ReportError, match=f"{tmp_path / 'out'}: not created by") as fault:
        report(tmp_path)
    assert "--out" in fault.value.hint
    assert bytes_in(tmp_path / "out") == {name: b"mine"}


def test_other_files_in_a_report_stay_and_former_ones_of_it_go(out):
    mine = {"rows.csv", "notes.csv", "table-8.csv", "rows/notes.txt"}
    for name in mine:
        (out / name).write_text("mine")
    former = add_former(out, "table-9.csv")
    result = report(out.parent)
    assert names_in(out) == mine | TABLES | {"rows/viva-paper.csv", RECORD}
    assert result.removed == (former,)
    check_report(out)


@pytest.mark.parametrize("name", ["../precious", "/precious"])
def test_nothing_outside_the_folder_is_removed(out, name):
    (out.parent / "precious").write_text("mine")
    listed = name if name.startswith(".") else str(out.parent / "precious")
    files = json.loads((out / RECORD).read_text())["files"]
    edit_list(out, files=files | {listed: "0" * 64})
    report(out.parent)
    assert (out.parent / "precious").exists()


def test_a_link_to_another_file_is_removed_and_not_the_file(out):
    path = add_former(out, "table-8.csv")
    path.rename(out.parent / "kept.csv")
    path.symlink_to(out.parent / "kept.csv")
    report(out.parent)
    assert not path.is_symlink()
    assert (out.parent / "kept.csv").exists()


def test_other_csv_files_among_the_rows_stop_a_report(out):
    (out / "rows" / "data.csv").write_text("a,b\n")
    before = bytes_in(out)
    with pytest.raises(ReportError, match=r"data\.csv") as fault:
        report(out.parent)
    assert "Move it" in fault.value.hint
    assert bytes_in(out) == before


def test_a_damaged_table_is_written_again(out):
    (out / "tables.md").write_text("damaged")
    report(out.parent)
    check_report(out)


@pytest.mark.parametrize("place", ["out", "out/below"])
def test_a_file_in_the_folders_place_is_refused_before_the_work(tmp_path, monkeypatch, place):
    (tmp_path / "out").write_text("mine")
    monkeypatch.setattr("mtut_bench.report.find_runs", None)
    with pytest.raises(ReportError, match=f"{tmp_path / 'out'} is not a writable folder"):
        folder_module.open_folder(tmp_path / place)
    assert (tmp_path / "out").read_text() == "mine"


def test_a_folder_that_may_not_be_written_to_is_refused(tmp_path, monkeypatch):
    folder_module.open_folder(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(ReportError, match=f"{tmp_path} is not a writable folder"):
        folder_module.open_folder(tmp_path / "a")


@pytest.fixture
def stopped(out, monkeypatch):
    """Write another report over the first, stopped after some of its files."""

    def stop(after):
        shutil.rmtree(out.parent / "runs")
        add_run(out.parent / "runs", 9, origin="synthetic", fold="2")
        add_run(out.parent / "runs", 9, origin="synthetic", fold="2", name="more", seed=1)
        left = [after]

        def write(path, content):
            if not left[0]:
                raise MtutBenchError("stopped")
            left[0] -= 1
            files_module.write_atomic(path, content)

        with monkeypatch.context() as patch:
            patch.setattr(folder_module, "write_atomic", write)
            with pytest.raises(MtutBenchError, match="stopped"):
                report(out.parent)
        return out

    return stop


@pytest.mark.parametrize("after", [0, 1, 5, NUM_FILES - 1])
def test_a_report_that_was_stopped_is_never_taken_for_whole_and_the_next_one_is(stopped, after):
    out = stopped(after)
    with pytest.raises(ReportError, match="is incomplete"):
        check_report(out)
    (out / "figures").mkdir()
    (out / "figures" / "mine.png").write_text("mine")
    report(out.parent)
    rows = {"rows/viva-paper.csv", "rows/more-paper.csv"}
    assert names_in(out) == {"figures/mine.png", *TABLES, *rows, RECORD}
    check_report(out)


def test_a_report_stopped_twice_still_knows_its_files(stopped, tmp_path):
    path = add_former(tmp_path / "out", "table-8.csv")
    stopped(1)
    out = stopped(2)
    assert path.exists()
    report(tmp_path)
    check_report(out)
    assert not path.exists()


def test_rows_of_two_reports_are_not_taken_for_one(stopped):
    out = stopped(1)
    (out.parent / "runs").rename(out.parent / "elsewhere")
    with pytest.raises(ReportError, match="is incomplete") as fault:
        report(out.parent)
    assert "--runs" in fault.value.hint


def test_check_of_what_was_written_passes_and_writes_nothing(out):
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    checked = check_report(out)
    assert checked.num_rows == 3
    assert set(checked.names) == TABLES | {"rows/viva-paper.csv"}
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def test_check_needs_a_report(tmp_path, out):
    (out / RECORD).unlink()
    for folder in (out, tmp_path / "absent"):
        with pytest.raises(ReportError, match=RECORD):
            check_report(folder)


def test_check_makes_the_tables_from_the_rows(out):
    """Eight of ten clips right in the rows, seven in the tables."""
    (path,) = (out / "rows").iterdir()
    text = path.read_text()
    low, high = (repr(end) for end in wilson_interval(8, 10))
    old = ",".join(["7", "10", "0.7", *map(repr, wilson_interval(7, 10))])
    assert text.count(old) == 3
    text = text.replace(old, f"8,10,0.8,{low},{high}").replace("[7,10]", "[8,10]")
    path.write_text(text)
    with pytest.raises(ReportError) as fault:
        check_report(out)
    assert str(out / "tables.md") in fault.value.what
    assert "70.0 (1 of 8" in fault.value.what
    assert "80.0 (1 of 8" in fault.value.what


@pytest.mark.parametrize(
    "name", ["tables.md", "tables.tex", "table-3.csv", "own.csv", "rows/viva-paper.csv"]
)
def test_check_names_the_file_and_the_first_line_that_differs(out, name):
    path = out / name
    content = path.read_bytes()
    lines = content.splitlines(keepends=True)
    changed = b"changed " + lines[1]
    if name.startswith("rows/"):
        # The same value in other characters, as a spreadsheet writes it.
        changed = lines[1].replace(b",7,10,0.7,", b",7,10,0.70,")
    path.write_bytes(b"".join([lines[0], changed, *lines[2:]]))
    with pytest.raises(ReportError) as fault:
        check_report(out)
    assert f"{path} does not match" in fault.value.what
    assert "line 2 has" in fault.value.what
    assert f"mtut-bench report --out {out}" in fault.value.hint
    path.write_bytes(b"".join(lines[:-1]))
    if not name.startswith("rows/"):
        with pytest.raises(ReportError, match=f"line {len(lines)} has ''"):
            check_report(out)


@pytest.mark.parametrize("name", ["table-2.csv", "rows/viva-paper.csv"])
def test_check_finds_a_missing_file(out, name):
    (out / name).unlink()
    with pytest.raises(ReportError, match=f"{out / name} is missing"):
        check_report(out)


@pytest.mark.parametrize(
    "changes",
    [{"format_version": 2}, {"files": {"own.csv": 0}}, {"files": ["own.csv"]}, {"complete": "yes"}],
)
def test_a_damaged_list_is_refused_and_removes_nothing(out, changes):
    edit_list(out, **changes)
    before = bytes_in(out)
    for do in (lambda: report(out.parent), lambda: check_report(out)):
        with pytest.raises(ReportError, match=f"{out / RECORD} .*{next(iter(changes))}"):
            do()
    assert bytes_in(out) == before
