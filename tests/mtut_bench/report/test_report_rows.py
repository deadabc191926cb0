import csv
import json
import shlex
import shutil
import sys

import pytest
from report_bench import (
    MTUT,
    add_folds,
    add_run,
    edit,
    measured,
    names_in,
    own,
    printed,
    report,
)

from mtut_bench import cli
from mtut_bench.contract.metrics import wilson_interval
from mtut_bench.errors import MtutBenchError, ReportError, RunError
from mtut_bench.report import write_report
from mtut_bench.report.bundle.check import check_report
from mtut_bench.report.bundle.contents import contents_of
from mtut_bench.report.bundle.row_files import ROW_COLUMNS, read_rows, row_files, sort_rows
from mtut_bench.statistics.rows import ResultRow, result_rows

TABLES = {"own.csv", "tables.md", "tables.tex", *(f"table-{n}.csv" for n in "1234567")}
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
        writer = csv.DictWriter(file, ROW_COLUMNS, lineterminator="\n")
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
    assert set(ROW_COLUMNS) == written.keys() == ResultRow.__annotations__.keys()
    names = sorted(path.name for path in (tmp_path / "out" / "rows").iterdir())
    assert names == ["other-store-2--paper.csv", "viva-paper.csv"]


def test_files_of_rows_are_the_same_whatever_the_order(tmp_path):
    add_folds(tmp_path / "runs", range(1, 9))
    rows = report(tmp_path).rows
    assert row_files(rows) == row_files(rows[::-1])


def test_tables_come_from_the_rows_alone(tmp_path):
    add_folds(tmp_path / "runs", range(1, 9))
    first = report(tmp_path)
    (tmp_path / "runs").rename(tmp_path / "elsewhere")
    files = {path: path.read_bytes() for path in first.paths}
    second = report(tmp_path)
    assert measured(second) == measured(first) != {}
    assert {path: path.read_bytes() for path in second.paths} == files
    assert "All numbers are from the rows kept in" in " ".join(second.remarks)


def test_other_metrics_fill_no_cell(tmp_path):
    add_run(tmp_path / "runs", 7, origin="synthetic")
    rows = report(tmp_path).rows
    others = tuple({**row, "metric": "a first one", "value": 0.1} for row in rows)
    with_others, without = (contents_of(found).tables for found in (others + rows, rows))
    assert with_others == without


def test_no_path_of_this_machine_is_in_a_file(tmp_path):
    add_run(tmp_path / "runs", origin="synthetic")
    for path in report(tmp_path).paths:
        assert str(tmp_path) not in path.read_text()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"correct": "x"}, "correct is 'x'; a whole number is wanted"),
        ({"correct": "1.0"}, "correct is '1.0'"),
        ({"value": "nan"}, "value is 'nan'; a finite number is wanted"),
        ({"value": ""}, "value is ''; a number is wanted"),
        ({"value": "0.71"}, "value is 0.71, not 7 / 10"),
        ({"correct": "11"}, "correct is 11 of total 10"),
        ({"ci_high": "1.5"}, "ci_high is 1.5, outside 0..1"),
        ({"total": "0"}, "total is 0, less than 1"),
        ({"complete": "yes"}, "complete is 'yes'; True or False is wanted"),
        ({"ci_low": "0.38"}, "ci_low is 0.38, not 0.39"),
        ({"ci_high": "0.9"}, "ci_high is 0.9, not 0.89"),
        ({"macro": "0.99"}, "macro is 0.99, which 7 of 10 clips cannot give"),
        ({"macro": "1.0"}, "macro is 1.0, which 7 of 10 clips cannot give"),
        ({"macro": "0.1"}, "macro is 0.1, which 7 of 10 clips cannot give"),
        ({"macro": "0.0"}, "macro is 0.0, which 7 of 10 clips cannot give"),
        ({"padded_clips": "11"}, "padded_clips is 11 of total 10"),
        ({"overrides": "{"}, "overrides is '{', no JSON object"),
        ({"settings": "[]"}, "settings is '[]', no JSON object"),
        ({"macro": "-0.1"}, "macro is -0.1, outside 0..1"),
        ({"per_subject": "{}"}, "per_subject does not add up to 7 of 10"),
        ({"per_subject": '{"1":[7,9]}'}, "per_subject does not add up to 7 of 10"),
        ({"per_subject": '{"1":[11,3],"2":[-4,7]}'}, "per_subject does not add up to 7 of 10"),
        ({"per_subject": '{"1":[7.0,10]}'}, "per_subject does not add up to 7 of 10"),
        ({"per_subject": '{"1":["7","10"]}'}, "per_subject does not add up to 7 of 10"),
        ({"per_subject": '{"1":[7,10,0]}'}, "per_subject does not add up to 7 of 10"),
        ({"per_subject": '{"1":[7,10],"2":[0,0]}'}, "per_subject does not add up to 7 of 10"),
        ({"per_subject": '{"1": [7, 10]}'}, "per_subject is '{\"1\": [7, 10]}', not written as"),
        ({"per_subject": '{"1":[0,10],"1":[7,10]}'}, 'per_subject is \'{"1":[0,10],"1":[7,1'),
        ({"per_subject": '{"1":7}'}, "per_subject does not add up to 7 of 10"),
        ({"tested_on": "flow"}, "tested on flow, trained on rgb+depth only"),
    ],
)
def test_a_damaged_value_is_named_with_file_and_line(kept, changes, words):
    path = edit_row(kept, 4, **changes)
    with pytest.raises(ReportError) as fault:
        read_rows(kept / "rows")
    assert f"{path}, line 4: {words}" in fault.value.what
    assert fault.value.hint


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"\n", b"\r\n", "line 1 has"),
        (b",7,10,0.7,", b",07,10,0.7,", "line 2 has"),
        (b",7,10,0.7,", b",7,10,7e-1,", "line 2 has"),
        (b"0.7,", b"0.70,", "line 2 has"),
        (b",7,10,", b",7,\xd9\xa1\xd9\xa0,", "line 2 has"),
        (b",mtut,", b',"mtut",', "line 2 has"),
    ],
)
def test_rows_that_say_the_same_in_other_bytes_are_refused(kept, old, new, words):
    path = rows_file(kept)
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))
    for read in (lambda: read_rows(kept / "rows"), lambda: check_report(kept)):
        with pytest.raises(ReportError) as fault:
            read()
        assert f"{path} is not as it was written: {words}" in fault.value.what


def test_rows_in_another_order_or_file_are_refused(kept):
    path = rows_file(kept)
    head, *lines = path.read_text().splitlines(keepends=True)
    whole = path.read_bytes()
    path.write_text("".join([head, *lines[::-1]]))
    with pytest.raises(ReportError, match="is not as it was written: line 2"):
        read_rows(kept / "rows")
    path.write_bytes(whole)
    path.rename(path.with_name("other.csv"))
    with pytest.raises(ReportError, match=r"other\.csv holds no rows that belong under its name"):
        read_rows(kept / "rows")


def test_all_right_or_none_leaves_one_macro_accuracy(tmp_path):
    for right, wrong in ((10, "0.9999999999"), (0, "1e-10")):
        add_run(tmp_path / str(right), right, origin="synthetic")
        write_report(tmp_path / str(right), tmp_path / f"out{right}")
        read_rows(tmp_path / f"out{right}" / "rows")
        edit_row(tmp_path / f"out{right}", 2, macro=wrong)
        with pytest.raises(ReportError, match=f"macro is {wrong}, which {right} of 10"):
            read_rows(tmp_path / f"out{right}" / "rows")


@pytest.mark.parametrize("number", ["1", "8"])
def test_fewer_folds_than_runs_are_of_are_refused(tmp_path, number):
    add_folds(tmp_path / "runs", [5, 6], origin="synthetic")
    report(tmp_path)
    path = rows_file(tmp_path / "out")
    text = path.read_text()
    assert text.count(",8,0,fp32,") == 6
    path.write_text(text.replace(",8,0,fp32,", f",{number},0,fp32,"))
    if number == "8":
        assert len(read_rows(path.parent)) == 6
        return
    with pytest.raises(ReportError, match=r"store viva has 1 folds, its runs 1, 2\."):
        read_rows(path.parent)


def test_runs_that_count_the_folds_of_a_store_differently_are_refused(tmp_path):
    add_run(tmp_path / "runs", fold="1")
    add_run(tmp_path / "runs", fold="2", folds=list("12"))
    with pytest.raises(ReportError, match=r"differ in how many folds it has: run .* says 2, run"):
        report(tmp_path)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("title", ["a\rb", "a" * 140_000])
def test_a_text_that_no_file_gives_back_is_refused_with_its_run(tmp_path, title):
    folder = add_run(tmp_path / "runs", method=MTUT | {"title": title})
    with pytest.raises(RunError) as fault:
        report(tmp_path)
    assert str(folder / "manifest.json") in fault.value.what
    assert f"title is {title[:80]!r}, a text that no CSV file gives back" in fault.value.what
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("title", ["a\r\nb", "a\r,b", 'a\r"b', "a\x00b", "\ufeffa\x85\u2028b", "'"])
def test_a_text_that_is_not_refused_is_read_as_it_was_written(tmp_path, title):
    add_run(tmp_path / "runs", method=MTUT | {"title": title})
    rows = report(tmp_path).rows
    assert {row["title"] for row in read_rows(tmp_path / "out" / "rows")} == {title}
    assert read_rows(tmp_path / "out" / "rows") == sort_rows(rows)


def test_rows_of_runs_that_give_one_number_twice_are_refused(tmp_path, monkeypatch):
    add_run(tmp_path / "runs")
    monkeypatch.setattr("mtut_bench.report.result_rows", lambda runs: result_rows(runs) * 2)
    with pytest.raises(ReportError, match=r"accuracy of run .* on rgb is also in store viva"):
        report(tmp_path)
    assert not (tmp_path / "out").exists()


def test_a_number_that_is_there_twice_is_refused(kept):
    path = rows_file(kept)
    lines = path.read_text().splitlines(keepends=True)
    elsewhere = lines[1].replace(",cpu,", ",NVIDIA H200,")
    assert elsewhere != lines[1]
    (kept / "rows" / "copy.csv").write_text(lines[0] + elsewhere)
    with pytest.raises(ReportError, match=r"is also in .*copy\.csv, line 2"):
        read_rows(kept / "rows")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda text: "", "line 1: the columns are not those"),
        (lambda text: text.replace("run,store", "store,run"), "another order"),
        (lambda text: text.replace(",device,", ",dev,"), "without device; with 'dev'"),
        (lambda text: text[:-1], "the file ends inside a line"),
        (lambda text: text[: text.rindex(",")] + "\n", "line 4: 33 values"),
        (lambda text: text + "\n", "line 5: 0 values"),
        (lambda text: text + '"', "cannot be read as CSV"),
        (lambda text: text.encode().replace(b"MTUT", b"\xff"), "cannot be read as CSV"),
    ],
)
def test_a_damaged_file_is_named(kept, spoil, words):
    path = rows_file(kept)
    spoilt = spoil(path.read_text())
    path.write_bytes(spoilt if isinstance(spoilt, bytes) else spoilt.encode())
    words = words.replace("33", str(len(ROW_COLUMNS) - 1))
    with pytest.raises(ReportError) as fault:
        report(kept.parent)
    assert str(path) in fault.value.what
    assert words in fault.value.what


def test_damaged_rows_do_not_stop_a_report_of_runs(kept):
    add_run(kept.parent / "runs", 7, origin="synthetic")
    rows_file(kept).write_text("broken")
    assert "written anew" in " ".join(report(kept.parent).remarks)
    assert len(read_rows(kept / "rows")) == 3


def test_check_of_what_was_written_passes(kept):
    checked = check_report(kept)
    assert checked.num_rows == 3
    assert {"tables.md", "tables.tex", "table-1.csv", "own.csv"} <= set(checked.names)


def test_check_reads_rows_alone(kept):
    low, high = wilson_interval(8, 10)
    ends = {"ci_low": repr(low), "ci_high": repr(high)}
    edit_row(kept, 2, correct="8", value="0.8", per_subject='{"1":[8,10]}', **ends)
    with pytest.raises(ReportError, match="is not what its rows give") as fault:
        check_report(kept)
    assert str(kept / "tables.md") in fault.value.what
    assert "70.0 (1 of 8" in fault.value.what
    assert "80.0 (1 of 8" in fault.value.what


@pytest.mark.parametrize("name", ["tables.md", "tables.tex", "table-3.csv", "own.csv"])
def test_check_names_the_file_and_the_first_line_that_differs(kept, name):
    path = kept / name
    lines = path.read_text().splitlines(keepends=True)
    lines[1] = "changed " + lines[1]
    path.write_text("".join(lines))
    with pytest.raises(ReportError) as fault:
        check_report(kept)
    assert f"{path} is not what its rows give: line 2 has 'changed" in fault.value.what
    assert f"mtut-bench report --out {kept}" in fault.value.hint


def test_check_finds_a_file_cut_short(kept):
    path = kept / "own.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]))
    with pytest.raises(ReportError, match=rf"line {len(lines)} has '', the rows give 'own-1"):
        check_report(kept)


def test_check_finds_a_missing_table(kept):
    (kept / "table-2.csv").unlink()
    with pytest.raises(ReportError, match=r"table-2\.csv is missing"):
        check_report(kept)


def test_check_finds_a_table_that_the_report_no_longer_has(tmp_path):
    add_run(tmp_path / "runs")
    report(tmp_path)
    out = tmp_path / "out"
    (out / "table-8.csv").write_text("mine")
    check_report(out)
    record = json.loads((out / "report.json").read_text())
    record["files"]["table-8.csv"] = "0" * 64
    (out / "report.json").write_text(json.dumps(record))
    with pytest.raises(ReportError, match=r"table-8\.csv belongs to no table") as fault:
        check_report(out)
    assert f"mtut-bench report --out {out}`;" in fault.value.hint


def test_check_writes_nothing(kept):
    before = {path: path.stat().st_mtime_ns for path in kept.rglob("*")}
    check_report(kept)
    assert {path: path.stat().st_mtime_ns for path in kept.rglob("*")} == before


def test_check_of_an_empty_folder_fails(tmp_path):
    with pytest.raises(ReportError, match=r"report\.json, which .* is missing: there is no whole"):
        check_report(tmp_path)


def test_files_of_an_earlier_report_are_removed_and_said_and_no_others(tmp_path):
    add_run(tmp_path / "runs", origin="synthetic")
    gone = add_run(tmp_path / "runs", origin="synthetic", name="gone")
    report(tmp_path)
    shutil.rmtree(gone)
    out = tmp_path / "out"
    mine = {"rows.csv", "notes.csv", "table-8.csv", "rows/notes.txt"}
    for name in mine:
        (out / name).write_text("mine")
    result = report(tmp_path)
    assert names_in(out) == mine | TABLES | {"rows/viva-paper.csv", "report.json"}
    assert result.removed == (out / "rows" / "gone-paper.csv",)
    assert f"removed {out / 'rows' / 'gone-paper.csv'}" in printed(result)
    check_report(out)


def test_rows_whose_runs_are_gone_are_removed_and_said(tmp_path):
    add_run(tmp_path / "runs", origin="synthetic", name="first").rename(tmp_path / "kept")
    old = add_run(tmp_path / "runs", origin="synthetic", name="second")
    report(tmp_path)
    old.rename(tmp_path / "elsewhere")
    add_run(tmp_path / "runs", origin="synthetic", name="third", fold="2")
    result = report(tmp_path)
    assert [path.name for path in result.removed] == ["second-paper.csv"]
    assert "1 run of an earlier report" in " ".join(result.remarks)
    assert {row["store"] for row in result.rows} == {"third"}


def test_nothing_is_written_where_a_run_cannot_be_read(tmp_path):
    folder = add_run(tmp_path / "runs", origin="synthetic")
    report(tmp_path)
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.*")}
    edit(folder, format_version=1)
    with pytest.raises(MtutBenchError):
        report(tmp_path)
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.*")} == before


def test_hostile_titles_reach_every_file_whole(tmp_path):
    add_run(tmp_path / "runs", origin="synthetic", method=HOSTILE)
    result = report(tmp_path)
    assert own(result)[0].rows[0][0] == HOSTILE["title"]
    assert r'| a "b", \<c\> \& d e f;é |' in (tmp_path / "out" / "tables.md").read_text()
    tex = (tmp_path / "out" / "tables.tex").read_text()
    assert r"a \textquotedbl{}b\textquotedbl{}, \textless{}c\textgreater{} \& d e f;é &" in tex
    check_report(tmp_path / "out")


@pytest.fixture
def bench(monkeypatch, capsys):
    """Run the command line; return its exit code and its output."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["mtut-bench", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        output = capsys.readouterr()
        return caught.value.code, output.out + output.err

    return run


def test_the_command_checks_what_it_wrote(tmp_path, bench):
    runs, out = tmp_path / "runs", tmp_path / "out"
    add_run(runs, origin="synthetic")
    assert bench("report", "--runs", runs, "--out", out)[0] == 0
    code, output = bench("report", "--check", "--out", out)
    assert (code, output) == (0, f"{out}: 10 files are what its 3 rows give\n")
    (out / "own.csv").write_text("changed")
    code, output = bench("report", "--check", "--out", out)
    assert code == 1
    assert f"{out / 'own.csv'} is not what its rows give: line 1 has 'changed'" in output


def test_tables_chooses_what_is_printed_and_every_table_is_written(tmp_path, bench):
    runs, out = tmp_path / "runs", tmp_path / "out"
    add_run(runs, origin="synthetic")
    assert bench("report", "--runs", runs, "--out", out)[0] == 0
    before = {name: (out / name).read_bytes() for name in names_in(out)}
    code, output = bench("report", "--runs", runs, "--out", out, "--tables", "3")
    assert code == 0
    assert "Table 3. " in output
    assert "Table 1. " not in output
    assert "removed" not in output
    assert {name: (out / name).read_bytes() for name in names_in(out)} == before
    assert bench("report", "--check", "--out", out)[0] == 0


def test_published_prints_all_tables_also_without_runs(tmp_path, bench, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, output = bench("report", "--published")
    assert code == 0
    assert [f"Table {number}. " in output for number in range(1, 8)] == [True] * 7
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "options",
    [("--check", "--tables", "1"), ("--check", "--published"), ("--published", "--tables", "1")],
)
def test_options_that_contradict_each_other_are_refused(kept, bench, options):
    code, output = bench("report", "--out", kept, *options)
    assert code == 2
    assert "do not go together" in output


def test_the_command_writes_beside_the_runs_if_not_told_otherwise(tmp_path, bench):
    add_run(tmp_path / "runs", origin="synthetic")
    assert bench("report", "--runs", tmp_path / "runs")[0] == 0
    assert (tmp_path / "runs" / "report" / "tables.tex").is_file()
    assert bench("report", "--runs", tmp_path / "runs", "--check")[0] == 0
    assert bench("report", "--runs", tmp_path / "runs", "--tables", "8")[0] == 2


def test_without_runs_no_folder_is_made_and_a_first_run_is_explained(tmp_path, bench, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, output = bench("report")
    assert code == 0
    assert "No finished run in runs" in output
    assert "81.33" not in output
    assert list(tmp_path.iterdir()) == []
    assert commands_in(output) == [
        ["prepare", "viva-synthetic", "--size", "tiny"],
        ["run", "--dataset", "viva-synthetic", "--size", "tiny", "--protocol", "demo"],
    ]
    assert bench("report", "--check")[0] == 1


def test_the_first_run_goes_where_the_user_looked_for_one(tmp_path, bench):
    data, runs = tmp_path / "my data", tmp_path / "runs"
    runs.mkdir()
    for command in (["report"], ["list", "runs"]):
        code, output = bench(*command, "--data", data, "--runs", runs)
        assert code == 0
        first, second = commands_in(output)
        assert first[-2:] == ["--data", str(data)]
        assert second[-4:] == ["--data", str(data), "--runs", str(runs)]
    assert list(runs.iterdir()) == []


def commands_in(output):
    """The suggested commands, as a shell splits them."""
    lines = (line.strip() for line in output.splitlines())
    return [shlex.split(line)[1:] for line in lines if line.startswith("mtut-bench ")]


@pytest.mark.parametrize("more", [(), ("--check",), ("--tables", "1")])
def test_a_misspelt_folder_of_runs_is_refused(tmp_path, bench, more):
    code, output = bench("report", "--runs", tmp_path / "typo", *more)
    assert code == 2
    assert f"no folder of runs {tmp_path / 'typo'}" in output
    assert not (tmp_path / "typo").exists()


def test_a_folder_of_runs_from_the_environment_is_no_default(tmp_path, bench, monkeypatch):
    monkeypatch.setenv("MTUT_BENCH_RUNS", str(tmp_path / "typo"))
    assert bench("report")[0] == 2
    assert not (tmp_path / "typo").exists()


def test_with_out_the_runs_may_be_gone(kept, bench):
    assert bench("report", "--runs", kept.parent / "gone", "--out", kept)[0] == 0


def test_runs_that_are_a_file_are_refused(tmp_path, bench):
    (tmp_path / "file").write_text("")
    for out in ((), ("--out", tmp_path / "out")):
        code, output = bench("report", "--runs", tmp_path / "file", *out)
        assert code == 2
        assert "is a file, no folder of runs" in output


def test_list_says_that_there_is_no_folder_of_runs(tmp_path, bench):
    code, output = bench("list", "runs", "--runs", tmp_path / "typo")
    assert code == 2
    assert f"no folder of runs {tmp_path / 'typo'}" in output
    # Nothing was named, and nothing was run yet.
    assert bench("list", "runs")[0] == 0


def test_compare_says_that_there_is_no_folder_of_runs(tmp_path, bench):
    code, output = bench("report", "compare", "a", "b", "--runs", tmp_path / "typo")
    assert code == 2
    assert f"no folder of runs {tmp_path / 'typo'}" in output


@pytest.mark.parametrize("out", ["", " "])
def test_an_empty_folder_to_write_to_is_refused(tmp_path, bench, monkeypatch, out):
    monkeypatch.chdir(tmp_path)
    code, output = bench("report", "--out", out)
    assert code == 2
    assert "--out is empty" in output
    assert list(tmp_path.iterdir()) == []
