"""Rows as files: what is read is what was written, and damage is named with file and line."""

import csv

import pytest
from report_bench import (
    MTUT,
    add_folds,
    add_run,
    measured,
    own,
    printed,
    report,
)

from mtut_bench.errors import ReportError
from mtut_bench.report.bundle.folder import check_report
from mtut_bench.report.bundle.row_files import read_rows, row_files, sort_rows
from mtut_bench.statistics.rows import COLUMNS, ResultRow

HOSTILE = {**MTUT, "title": 'a "b", <c> & d\ne\r\nf;\u00e9'}


@pytest.fixture
def kept(tmp_path):
    """The folder of a report with one run; the run is gone."""
    folder = add_run(tmp_path / "runs", 7, origin="synthetic")
    report(tmp_path)
    folder.rename(tmp_path / "elsewhere")
    return tmp_path / "out"


def rows_file(out):
    (path,) = (out / "rows").iterdir()
    return path


def edit_row(out, line, **changes):
    """Change values of one row, the first being line 2."""
    path = rows_file(out)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows[line - 2] |= changes
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_rows_are_read_as_they_were_written(tmp_path):
    add_folds(tmp_path / "runs", range(1, 9), method=HOSTILE, num_test_clips=7)
    add_run(tmp_path / "runs", name="Other store, (2)", weights_digest="w")
    result = report(tmp_path)
    found = read_rows(tmp_path / "out" / "rows")
    assert found == sort_rows(result.rows)
    written = sort_rows(result.rows)[0]
    assert all(type(value) is type(written[name]) for name, value in found[0].items())
    assert set(COLUMNS) == written.keys() == ResultRow.__annotations__.keys()
    assert row_files(result.rows) == row_files(result.rows[::-1])
    names = sorted(path.name for path in (tmp_path / "out" / "rows").iterdir())
    assert names == ["other-store-2--paper.csv", "viva-paper.csv"]


@pytest.mark.parametrize("title", ["a\rb", "a" * 140_000])
def test_a_title_that_no_file_gives_back_is_refused(tmp_path, title):
    add_run(tmp_path / "runs", method=MTUT | {"title": title})
    with pytest.raises(ReportError, match=r"viva-paper\.csv"):
        report(tmp_path)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("title", ["a\r\nb", 'a\r"b', "a\x00b", "\ufeffa\x85\u2028b", "'"])
def test_other_titles_are_read_as_they_were_written(tmp_path, title):
    add_run(tmp_path / "runs", method=MTUT | {"title": title})
    rows = report(tmp_path).rows
    assert read_rows(tmp_path / "out" / "rows") == sort_rows(rows)
    assert {row["title"] for row in rows} == {title}


def test_tables_come_from_the_rows_alone(tmp_path):
    add_folds(tmp_path / "runs", range(1, 9))
    first = report(tmp_path)
    (tmp_path / "runs").rename(tmp_path / "elsewhere")
    files = {path: path.read_bytes() for path in first.paths}
    second = report(tmp_path)
    assert measured(second) == measured(first) != {}
    assert {path: path.read_bytes() for path in second.paths} == files
    assert "All numbers are from the rows in" in " ".join(second.remarks)


def test_no_path_of_this_machine_is_in_a_file(tmp_path):
    add_run(tmp_path / "runs", origin="synthetic")
    for path in report(tmp_path).paths:
        assert str(tmp_path) not in path.read_text()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("correct", "x"),
        ("correct", "11"),
        ("complete", "yes"),
        ("value", "nan"),
        ("value", "0.71"),
        ("total", "0"),
        ("num_folds", "0"),
        ("ci_low", "0.38"),
        ("ci_high", "0.9"),
        ("overrides", "{"),
        ("settings", "[]"),
        ("per_subject", "{}"),
        ("per_subject", '{"1":[7,9]}'),
        ("per_subject", '{"1":["7","10"]}'),
    ],
)
def test_a_damaged_value_is_named_with_file_and_line(kept, name, value):
    path = edit_row(kept, 4, **{name: value})
    with pytest.raises(ReportError) as fault:
        read_rows(kept / "rows")
    assert f"{path}, line 4: " in fault.value.what
    assert name in fault.value.what
    assert fault.value.hint


def test_a_number_that_is_there_twice_is_refused(kept):
    path = rows_file(kept)
    lines = path.read_text().splitlines(keepends=True)
    (kept / "rows" / "copy.csv").write_text(lines[0] + lines[1])
    with pytest.raises(ReportError, match=r"is also in .*copy\.csv, line 2"):
        read_rows(kept / "rows")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda text: "", "line 1"),
        (lambda text: text.replace("run,store", "store,run"), "line 1"),
        (lambda text: text.replace(",device,", ",dev,"), "dev, device"),
        (lambda text: text[: text.rindex(",")] + "\n", f"line 4: {len(COLUMNS) - 1} values"),
        (lambda text: text + '"', "CSV"),
        (lambda text: text.encode().replace(b"MTUT", b"\xff"), "CSV"),
    ],
)
def test_a_damaged_file_is_named(kept, spoil, words):
    path = rows_file(kept)
    spoilt = spoil(path.read_text())
    path.write_bytes(spoilt if isinstance(spoilt, bytes) else spoilt.encode())
    with pytest.raises(ReportError) as fault:
        report(kept.parent)
    assert str(path) in fault.value.what
    assert words in fault.value.what


def test_damaged_rows_do_not_stop_a_report_of_runs(kept):
    add_run(kept.parent / "runs", 7, origin="synthetic")
    rows_file(kept).write_text("broken")
    assert "damaged" in " ".join(report(kept.parent).remarks)
    assert len(read_rows(kept / "rows")) == 3


def test_rows_whose_runs_are_gone_are_removed_and_said(tmp_path):
    add_run(tmp_path / "runs", origin="synthetic", name="first").rename(tmp_path / "kept")
    old = add_run(tmp_path / "runs", origin="synthetic", name="second")
    report(tmp_path)
    old.rename(tmp_path / "elsewhere")
    add_run(tmp_path / "runs", origin="synthetic", name="third", fold="2")
    result = report(tmp_path)
    gone = tmp_path / "out" / "rows" / "second-paper.csv"
    assert result.removed == (gone,)
    assert not gone.exists()
    assert f"removed {gone}" in printed(result)
    assert "1 run of an earlier report" in " ".join(result.remarks)
    assert {row["store"] for row in result.rows} == {"third"}
    check_report(tmp_path / "out")


def test_hostile_titles_reach_every_file_whole(tmp_path):
    add_run(tmp_path / "runs", origin="synthetic", method=HOSTILE)
    result = report(tmp_path)
    assert own(result)[0].rows[0][0] == HOSTILE["title"]
    assert r'| a "b", \<c\> \& d e f;é |' in (tmp_path / "out" / "tables.md").read_text()
    tex = (tmp_path / "out" / "tables.tex").read_text()
    assert r"a \textquotedbl{}b\textquotedbl{}, \textless{}c\textgreater{} \& d e f;é &" in tex
    check_report(tmp_path / "out")
