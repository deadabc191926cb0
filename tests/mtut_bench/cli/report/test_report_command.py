"""`report` as a user types it."""

import shlex

import pytest
from command_line import run_here
from report_bench import add_run, names_in

from mtut_bench.contract.published import load_published


@pytest.fixture
def runs(tmp_path):
    """One run on a synthetic dataset."""
    add_run(tmp_path / "runs", origin="synthetic")
    return tmp_path / "runs"


def test_the_command_writes_and_checks(runs, tmp_path):
    run_here("report", "--runs", runs)
    out = runs / "report"
    found = run_here("report", "--check", "--runs", runs)
    assert found.stdout == f"{out}: 11 files match 3 rows\n"
    # What is printed is a choice, what is written is not; with --out the runs may be gone.
    before = {name: (out / name).read_bytes() for name in names_in(out)}
    gone = ("--runs", tmp_path / "gone", "--out", out)
    output = run_here("report", *gone, "--tables", "3").stdout
    assert "Table 3. " in output
    assert "Table 1. " not in output
    assert {name: (out / name).read_bytes() for name in names_in(out)} == before
    (out / "own.csv").write_text("changed")
    message = run_here("report", "--check", *gone, code=1).stderr
    assert f"{out / 'own.csv'} does not match the rows: line 1 has 'changed'" in message


def test_all_tables_can_be_printed_without_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    output = run_here("report", "--tables", "all").stdout
    assert all(f"Table {number}. " in output for number in load_published().tables)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "options", [("--check", "--tables", "1"), ("--tables", "8"), ("--out", ""), ("--out", " ")]
)
def test_options_that_do_not_fit_are_refused(runs, tmp_path, monkeypatch, options):
    monkeypatch.chdir(tmp_path)
    assert options[0] in run_here("report", "--runs", runs, *options, code=2).stderr.replace(
        "table '8'", "--tables"
    )
    assert list(tmp_path.iterdir()) == [runs]


def test_without_runs_no_folder_is_made_and_a_first_run_is_explained(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    output = run_here("report").stdout
    assert "no finished runs in runs" in output
    assert "81.33" not in output
    assert list(tmp_path.iterdir()) == []
    assert commands_in(output) == [
        ["prepare", "viva-synthetic", "--size", "tiny"],
        ["run", "--dataset", "viva-synthetic", "--size", "tiny", "--protocol", "demo"],
    ]
    run_here("report", "--check", code=1)


def test_the_first_run_goes_where_the_user_looked_for_one(tmp_path):
    data, runs = tmp_path / "my data", tmp_path / "runs"
    runs.mkdir()
    for command in (["report"], ["list", "runs"]):
        first, second = commands_in(run_here(*command, "--data", data, "--runs", runs).stdout)
        assert first[-2:] == ["--data", str(data)]
        assert second[-4:] == ["--data", str(data), "--runs", str(runs)]
    assert list(runs.iterdir()) == []


def commands_in(output):
    """The suggested commands, as a shell splits them."""
    lines = (line.strip() for line in output.splitlines())
    return [shlex.split(line)[1:] for line in lines if line.startswith("mtut-bench ")]


@pytest.mark.parametrize(
    "command",
    [("report",), ("report", "--check"), ("report", "compare", "a", "b"), ("list", "runs")],
)
def test_a_misspelt_folder_of_runs_is_refused(tmp_path, command):
    typo = tmp_path / "typo"
    assert str(typo) in run_here(*command, "--runs", typo, code=2).stderr
    assert not typo.exists()


def test_a_folder_of_runs_from_the_environment_is_no_default(tmp_path, monkeypatch):
    monkeypatch.setenv("MTUT_BENCH_RUNS", str(tmp_path / "typo"))
    run_here("report", code=2)
    assert not (tmp_path / "typo").exists()


def test_runs_that_are_a_file_are_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for out in ((), ("--out", tmp_path / "out")):
        assert "is a file" in run_here("report", "--runs", tmp_path / "file", *out, code=2).stderr
