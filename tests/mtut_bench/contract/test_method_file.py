import os
from dataclasses import replace

import pytest
from own_file import OWN
from planned import plan_runs
from run_bench import MACHINE, Lines

from mtut_baselines import METHODS
from mtut_bench.contract.method_file import LoadedMethod, load_method
from mtut_bench.contract.predictions import read
from mtut_bench.errors import UsageError
from mtut_bench.runs.execute import execute
from mtut_bench.runs.finished import find_runs
from mtut_bench.statistics.rows import result_rows


@pytest.fixture
def write(tmp_path):
    def write(text=OWN, name="own.py"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def refused(text):
    with pytest.raises(UsageError) as caught:
        load_method(text, METHODS)
    return caught.value


def test_a_built_in_method_is_found_by_name():
    assert load_method("mtut", METHODS) == LoadedMethod(METHODS["mtut"])


def test_a_method_of_a_file_is_planned_run_and_reported(write, make_request):
    request = make_request()
    own = load_method(f"{write()}:build", METHODS)
    plans = plan_runs([replace(request, method=own)])
    execute(plans, MACHINE, Lines())
    assert read(plans[0].folder / "predictions.npz").modalities == ("rgb", "depth")
    rows = result_rows(find_runs(plans[0].runs).runs)
    assert [row["title"] for row in rows] == ["Own", "Own", "Own"]


def test_a_changed_file_is_another_method(write, make_request):
    first = load_method(f"{write()}:build", METHODS)
    same = load_method(f"{write(name='copy.py')}:build", METHODS)
    second = load_method(f"{write(OWN + chr(10))}:build", METHODS)
    plans = [plan_runs([replace(make_request(), method=m)])[0] for m in (first, same, second)]
    assert plans[0].run_id == plans[1].run_id != plans[2].run_id
    assert plans[0].stage_id("rgb") == plans[1].stage_id("rgb") != plans[2].stage_id("rgb")


def test_the_file_and_the_summary_are_no_part_of_an_identity(write, make_request):
    plain = load_method(f"{write()}:build", METHODS)
    assert plain.file == f"{write()}:build"
    method = replace(plain.method, summary="averages")
    told = replace(plain, method=method, file="elsewhere.py:build")
    first, second = (plan_runs([replace(make_request(), method=m)])[0] for m in (plain, told))
    assert first.identity == second.identity
    assert first.shared_keys == second.shared_keys


def test_an_own_network_shares_no_stage_with_ours_of_the_same_name(write, make_request):
    own = load_method(f"{write(OWN.replace('mean', 'tiny', 1))}:build", METHODS)
    own = replace(own, method=replace(own.method, network="tiny"))
    mine, ours = plan_runs([replace(make_request(), method=own), make_request("i3d")])
    assert mine.stage_id("rgb") != ours.stage_id("rgb")


def test_a_change_of_one_byte_within_a_second_is_seen(write):
    """Python's own cache goes by size and whole seconds."""
    found = []
    for title in ("Aaa", "Bbb"):
        path = write(OWN.replace('"Own"', f'"{title}"'))
        os.utime(path, (1e9, 1e9))
        found.append(load_method(f"{path}:build", METHODS).method.title)
    assert found == ["Aaa", "Bbb"]
    assert not (path.parent / "__pycache__").exists()


def test_a_file_may_hold_dataclasses_and_have_the_name_of_a_module(write):
    text = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n" + OWN
    ).replace("class Mean", "@dataclass\nclass Size:\n    side: int = 3\n\n\nclass Mean")
    assert load_method(f"{write(text, 'json.py')}:build", METHODS).method.name == "own"


@pytest.mark.parametrize("text", ["nonsense", "own.txt:build", "own.py", ":build", ""])
def test_an_unknown_name_lists_ours_and_the_form_of_a_file(text):
    error = refused(text)
    assert repr(text) in error.what
    assert all(name in error.hint for name in METHODS)
    assert "file.py:build" in error.hint


def test_a_missing_file_is_named(tmp_path):
    path = tmp_path / "no.py"
    assert str(path) in refused(f"{path}:build").what


def test_a_missing_function_is_named(write):
    path = write()
    error = refused(f"{path}:make")
    assert f"{path} has no function 'make'" in error.what
    assert "def make()" in error.hint
    assert "no function ''" in refused(f"{path}:").what
    assert "no function 'torch'" in refused(f"{path}:torch").what


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("import torch\n\n1 / 0\n", 3, "ZeroDivisionError: division by zero"),
        ("def f():\n    [].pop()\n\n\ndef build():\n    f()\n", 2, "IndexError: pop from"),
        ("import json\n\n\ndef build():\n    json.loads('{')\n", 5, "JSONDecodeError"),
        ("def build(x):\n    pass\n", None, "TypeError: build() missing 1 required"),
    ],
)
def test_a_failing_file_is_named_with_its_line(write, monkeypatch, text, line, words):
    path = write(text)
    monkeypatch.chdir(path.parent)
    for name in (path.name, str(path)):
        place = name if line is None else f"{name}:{line}"
        assert refused(f"{name}:build").what.startswith(f"{place}: {words}")


def test_a_syntax_error_is_named_with_its_line(write):
    path = write("def build():\n    return (\n")
    what = refused(f"{path}:build").what
    assert what.startswith(f"{path}")
    assert "SyntaxError" in what
    assert "line 2" in what


@pytest.mark.parametrize("value", ["None", "TwoStageMethod", "'mtut'"])
def test_what_is_no_method_is_refused(write, value):
    head = "from mtut_bench.training.two_stage import TwoStageMethod\n"
    path = write(f"{head}def build():\n    return {value}\n")
    assert "not a Method" in refused(f"{path}:build").what


@pytest.mark.parametrize(
    ("old", "new"), [('"own"', '"mtut"'), ('"Own"', '"MTUT"'), ('"Own-F"', '"MTUT-F"')]
)
def test_a_built_in_name_or_title_is_refused(write, old, new):
    """Rows of the published tables are found by title."""
    error = refused(f"{write(OWN.replace(old, new))}:build")
    assert repr(new[1:-1]) in error.what
