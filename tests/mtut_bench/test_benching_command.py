"""`bench train|loader|evaluate` as commands: their documents, tables and faults."""

import json
import subprocess
import sys

import pytest

from mtut_bench.cli.benching import _counts
from mtut_bench.cli.speed_table import print_speed
from mtut_bench.errors import UsageError
from mtut_bench.speed import Rate, SpeedReport, Window

SMALL = (
    "clip_length=9",
    "crop=32",
    "short_side=36",
    "width=0.125",
    "batch_size=2",
)


@pytest.fixture
def bench_command(make_store, tmp_path):
    """Return a function that runs `mtut-bench bench` on a tiny store: (exit code, out, err)."""
    store = make_store("viva", size=(40, 40))

    def run(*arguments):
        command = [sys.executable, "-m", "mtut_bench.cli", "bench", *arguments]
        at = ["--store", "viva", "--data", str(store.parents[1]), "--protocol", "demo"]
        small = [part for setting in SMALL for part in ("--set", setting)]
        short = ["--seconds", "0.01", "--repeats", "1", "--device", "cpu"]
        found = subprocess.run([*command, *at, *small, *short], capture_output=True, text=True)
        return found.returncode, found.stdout, found.stderr

    return run


def test_training_and_its_processes_as_one_document(bench_command):
    code, out, err = bench_command("train", "--processes", "1,2", "--json", "--resident", "always")
    assert code == 0, err
    found = json.loads(out)
    assert found["what"] == "train"
    assert set(found["processes"]) == {"1", "2"}
    assert all(rate > 0 for rate in found["processes"].values())
    assert found["facts"]["command"].startswith("mtut-bench bench train --processes 1,2")
    assert found["facts"]["clips"] == "live in the device's memory"
    assert "9 x 32 x 32" in found["facts"]["step"]


def test_the_test_beside_training_as_a_table(bench_command):
    code, out, err = bench_command("evaluate", "--modalities", "rgb", "--method", "i3d")
    assert code == 0, err
    assert "whole-clip test" in out
    assert "of the floor" in out
    assert "GFLOP a clip, counted" in out


def test_a_modality_that_is_not_there_is_one_message(bench_command):
    code, out, err = bench_command("loader", "--modalities", "flow")
    assert (code, out) == (2, "")
    assert "no modality 'flow'" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("text", ["0", "1,x", "-1", "1.5"])
def test_numbers_of_processes_that_are_none(text):
    with pytest.raises(UsageError, match="no list of numbers"):
        _counts(text)


def test_numbers_of_processes():
    assert _counts("1, 2,4") == [1, 2, 4]
    assert _counts("") == []


def test_a_row_that_was_not_run_shows_why_and_no_number(capsys):
    rates = (
        Rate("plain loop", (Window(20, 10.0, 3 * 10**9),), 5e9),
        Rate("eager [bf16]", (), 5e9, "not run on this device: it has no bf16 units"),
        Rate("training step", (Window(60, 10.0, 2 * 10**9),), 5e9),
    )
    report = SpeedReport(
        "train",
        rates,
        {"device": "cpu"},
        {"load": 1.0, "forward": 3.0},
        {"float32 product, FLOP/s": 120e9, "copy, bytes/s": 8e9},
        {2: 5.5},
    )
    print_speed(report, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["plain", "loop", "2", "1", "8.33", "%", "3.00", "GB"]
    assert lines[2].strip().startswith("eager [bf16]")
    text = " ".join("\n".join(lines).split())
    assert "not run on this device" in text
    assert "training step 6 3 25 % 2.00 GB" in text
    assert "load: 1.000 ms a step, 25 %" in lines
    assert "copy: 8 Gbytes/s" in lines
    assert "2 processes at once: 5.5 clips/s together" in lines
    assert "device: cpu" in lines
