"""A report's folder: nothing of a user's is lost, and no half report passes for a whole one."""

import json
import shutil

import pytest
from report_bench import add_run, names_in, report

from mtut_bench import files as files_module
from mtut_bench.errors import MtutBenchError, ReportError
from mtut_bench.report.bundle import folder as folder_module
from mtut_bench.report.bundle.check import check_report
from mtut_bench.report.bundle.record import RECORD, digest_of, read_record

TABLES = {"own.csv", "tables.md", "tables.tex", *(f"table-{n}.csv" for n in "1234567")}
# Of the report that is stopped: all tables, and the rows of two stores.
NUM_FILES = len(TABLES) + 2


@pytest.fixture
def out(tmp_path):
    """The folder of a report with one run, whose folder is ``runs``."""
    add_run(tmp_path / "runs", 7, origin="synthetic")
    report(tmp_path)
    return tmp_path / "out"


def add_former(out, name):
    """Give the report a file that it wrote and that its runs no longer give."""
    path = out / name
    path.write_text("former")
    content = json.loads((out / RECORD).read_text())
    content["files"][name] = digest_of(path.read_bytes())
    (out / RECORD).write_text(json.dumps(content))
    return path


def bytes_in(folder):
    return {name: (folder / name).read_bytes() for name in names_in(folder)}


def test_the_record_lists_every_file_with_its_digest(out):
    record = read_record(out)
    assert record.complete
    assert set(record.files) == names_in(out) - {RECORD}
    assert all(record.wrote(name, (out / name).read_bytes()) for name in record.files)
    assert not record.wrote("own.csv", b"other")
    assert not record.wrote("mine.csv", (out / "own.csv").read_bytes())


def test_the_record_names_no_folder_of_this_machine_and_is_the_same_again(out):
    text = (out / RECORD).read_text()
    assert str(out.parent) not in text
    report(out.parent)
    assert (out / RECORD).read_text() == text


@pytest.mark.parametrize("name", ["tables.md", "table-1.csv", "own.csv"])
def test_a_file_that_no_report_wrote_is_never_replaced(tmp_path, name):
    add_run(tmp_path / "runs")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("mine")
    with pytest.raises(ReportError, match=f"{name} was written by no report of ours") as fault:
        report(tmp_path)
    assert "--out" in fault.value.hint
    assert bytes_in(tmp_path / "out") == {name: b"mine"}


def test_csv_files_among_the_rows_that_are_not_ours_stop_a_report_of_runs(out):
    (out / "rows" / "data.csv").write_text("a,b\n")
    before = bytes_in(out)
    with pytest.raises(ReportError, match=r"data\.csv was not written by the last report") as fault:
        report(out.parent)
    assert "Move it out" in fault.value.hint
    assert bytes_in(out) == before


def test_rows_of_ours_that_were_changed_are_not_removed(out):
    (path,) = (out / "rows").iterdir()
    path.write_text(path.read_text() + "mine")
    shutil.rmtree(out.parent / "runs")
    add_run(out.parent / "runs", 7, name="other", fold="2")
    with pytest.raises(ReportError, match=r"viva-paper\.csv .* was changed since"):
        report(out.parent)
    assert path.read_text().endswith("mine")


def test_a_former_file_that_was_changed_stays_and_is_said(out):
    changed, other = add_former(out, "table-8.csv"), add_former(out, "table-9.csv")
    changed.write_text("mine")
    result = report(out.parent)
    assert changed.read_text() == "mine"
    assert result.removed == (other,)
    assert f"Changed since it was written, so it stays: {changed}" in result.remarks
    check_report(out)


def test_a_damaged_table_of_ours_is_written_anew(out):
    (out / "tables.md").write_text("damaged")
    report(out.parent)
    check_report(out)


@pytest.mark.parametrize("name", ["tables.tex", "table-3.csv", "rows/viva-paper.csv"])
def test_a_folder_in_a_files_place_is_refused_before_anything_is_written(out, name):
    (out / name).unlink()
    (out / name).mkdir()
    before = bytes_in(out)
    with pytest.raises(ReportError, match=f"{name} is a folder"):
        report(out.parent)
    assert bytes_in(out) == before


@pytest.mark.parametrize("place", ["out", "out/rows", "out/figures"])
def test_a_file_in_a_folders_place_is_refused_before_the_work(tmp_path, monkeypatch, place):
    add_run(tmp_path / "runs")
    path = tmp_path / place
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    monkeypatch.setattr("mtut_bench.report.find_runs", None)
    with pytest.raises(ReportError, match=f"{path} is a file, no folder"):
        report(tmp_path)
    assert path.read_text() == "mine"


def test_a_folder_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ReportError, match=r"Cannot write to .*x/y: .*file is a file, no folder"):
        folder_module.ensure_writable(tmp_path / "file" / "x" / "y")


def test_a_folder_that_may_not_be_written_to_is_refused_and_nothing_is_left(tmp_path, monkeypatch):
    folder_module.ensure_writable(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []

    def refuse(dir):
        raise PermissionError(13, "Permission denied", str(dir))

    monkeypatch.setattr(folder_module.tempfile, "TemporaryFile", refuse)
    with pytest.raises(
        ReportError, match=f"Cannot write to {tmp_path}: Permission denied"
    ) as fault:
        folder_module.ensure_writable(tmp_path / "a")
    assert "you may write to" in fault.value.hint


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


@pytest.mark.parametrize("after", range(NUM_FILES))
def test_a_report_that_was_stopped_is_never_taken_for_whole(stopped, after):
    out = stopped(after)
    with pytest.raises(ReportError, match="was stopped while it was written"):
        check_report(out)


@pytest.mark.parametrize("after", range(NUM_FILES))
def test_the_next_report_after_one_that_was_stopped_is_whole(stopped, after):
    out = stopped(after)
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
    with pytest.raises(ReportError, match="was stopped while it was written, and there are no"):
        report(out.parent)


def test_check_fails_without_the_record(out):
    (out / RECORD).unlink()
    with pytest.raises(ReportError, match=r"report\.json, .* is missing: there is no whole report"):
        check_report(out)


def test_check_fails_where_the_record_is_of_other_rows(out):
    content = json.loads((out / RECORD).read_text())
    (out / RECORD).write_text(json.dumps(content | {"rows": "0" * 64}))
    with pytest.raises(ReportError, match="was written for other rows"):
        check_report(out)


@pytest.mark.parametrize("digest", ["0" * 64, None])
def test_check_fails_where_the_record_lists_another_table(out, digest):
    content = json.loads((out / RECORD).read_text())
    content["files"].pop("table-1.csv")
    content["files"] |= {"table-1.csv": digest} if digest else {}
    (out / RECORD).write_text(json.dumps(content))
    with pytest.raises(ReportError, match=r"does not list table-1\.csv as it is"):
        check_report(out)


@pytest.mark.parametrize(
    "damage",
    [
        (lambda rows: shutil.rmtree(rows)),
        (lambda rows: [path.unlink() for path in rows.iterdir()]),
        (lambda rows: (shutil.rmtree(rows), rows.write_text(""))),
    ],
)
def test_check_blames_rows_that_are_gone(out, damage):
    damage(out / "rows")
    with pytest.raises(ReportError, match=r"rows/viva-paper\.csv is missing: rows") as fault:
        check_report(out)
    assert "from its runs" in fault.value.hint


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format_version": 2}, "format version 2"),
        ({"files": {"../precious": "0" * 64}}, "precious"),
        ({"files": {"/precious": "0" * 64}}, "precious"),
        ({"files": {"a/b/c": "0" * 64}}, "a/b/c"),
        ({"files": {"own.csv": "0"}}, "no record of a report"),
        ({"files": ["own.csv"]}, "no record of a report"),
        ({"rows": 3}, "no record of a report"),
        ({"complete": "yes"}, "no record of a report"),
    ],
)
def test_a_damaged_record_is_refused_and_removes_nothing(out, changes, words):
    (out.parent / "precious").write_text("mine")
    content = json.loads((out / RECORD).read_text())
    (out / RECORD).write_text(json.dumps(content | changes))
    before = bytes_in(out)
    for do in (lambda: report(out.parent), lambda: check_report(out)):
        with pytest.raises(ReportError, match=words):
            do()
    assert bytes_in(out) == before
    assert (out.parent / "precious").exists()


def test_a_link_to_another_file_is_removed_and_not_the_file(out):
    path = add_former(out, "table-8.csv")
    path.rename(out.parent / "kept.csv")
    path.symlink_to(out.parent / "kept.csv")
    report(out.parent)
    assert not path.is_symlink()
    assert (out.parent / "kept.csv").exists()
