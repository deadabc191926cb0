"""The page on Python, run to the letter: every example as a program of its own."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from planned import Request, plan_runs, varied
from safetensors.torch import save_file

from mtut_baselines import METHODS
from mtut_baselines.networks.i3d import build_i3d
from mtut_bench.progress import Reporter
from mtut_bench.runs.execute import execute
from mtut_bench.runs.machine import Machine

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "mtut_bench" / "README.md").read_text().split("\n## Python\n")[1].split("\n## ")[0]
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.fixture
def place(make_store, tmp_path):
    """A folder with the store that the page speaks of."""
    (tmp_path / "data").symlink_to(tmp_path)
    make_store("viva-synthetic-tiny")
    return tmp_path


@pytest.fixture
def finished(place, tiny_protocol):
    """A finished run beside the store."""
    rules = varied(tiny_protocol, width=0.125, crop=32, short_side=36, clip_length=9)
    request = Request(
        store=place / "stores" / "viva-synthetic-tiny.zarr",
        method=METHODS["mtut"],
        protocol=varied(rules, epochs_alone=1, epochs_joint=1),
        fold="1",
        modalities=(),
        seed=0,
        runs=place / "runs",
        store_hint="",
    )
    execute(plan_runs([request]), Machine(torch.device("cpu"), 0, "test"), Reporter())


@pytest.fixture
def example(place, monkeypatch, capsys):
    """Run an example of the page, found by a text in it; return what it printed."""

    def run(text):
        (source,) = [source for source in EXAMPLES if text in source]
        (place / "example.py").write_text(source)
        if "__main__" not in source:
            monkeypatch.chdir(place)
            runpy.run_path("example.py", run_name="__main__")
            return capsys.readouterr().out
        # Its workers may import the file: a process of its own.
        packages = os.pathsep.join(map(str, (ROOT, ROOT / "preprocess", ROOT / "baselines")))
        done = subprocess.run(
            [sys.executable, "-W", "error", "example.py"],
            cwd=place,
            env={**os.environ, "PYTHONPATH": packages},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_every_example_has_its_test():
    named = ("StoreDataset(path)", "load_weights", "AlignmentObjective(", "wilson_interval")
    assert [[name in source for source in EXAMPLES].count(True) for name in named] == [1] * 4
    assert len(EXAMPLES) == 4


def test_a_store_in_torch(example):
    text = example("StoreDataset(path)")
    assert "torch.Size([12, 12, 16, 3]) left clip00" in text
    assert "torch.Size([4, 3, 32, 48, 48])" in text
    assert re.search(r"tensor\(\[\d, \d, \d, \d\]\) [\[(]'clip0\d'", text)


@pytest.mark.usefixtures("finished")
def test_networks_with_given_weights(example, place):
    (place / "weights").mkdir()
    save_file(build_i3d(400).state_dict(), place / "weights" / "i3d-rgb.safetensors")
    text = example("load_weights")
    assert re.search(r"^(left|right|up) is left$", text, flags=re.MULTILINE)
    assert "logits" in text


def test_the_objective_in_a_loop(example):
    text = example("AlignmentObjective(")
    rho = {name: float(v) for name, v in re.findall(r"^(\w+) cross.* rho ([\d.]+)", text, re.M)}
    assert rho.keys() == {"rgb", "depth"}
    # exp(2 * 0.5) - 1
    assert "better by 0.5: 1.718" in text


@pytest.mark.usefixtures("finished")
def test_predictions_in_numpy(example):
    text = example("wilson_interval")
    assert "('rgb', 'depth') (2, 4, 3)" in text
    assert "fused " in text


def test_the_page_names_what_there_is():
    import mtut_baselines
    import mtut_bench

    text = PAGE.split("The stable names")[1].split("The examples read")[0]
    listed = set(re.findall(r"`(\w+)`", text)) - {
        "mtut_bench",
        "mtut_baselines",
        "__all__",
        "str",
        "Path",
    }
    assert len(listed) > 10
    assert listed <= {*mtut_bench.__all__, *mtut_baselines.__all__}


def test_the_core_imports_no_torch():
    code = "import sys, mtut_bench; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
