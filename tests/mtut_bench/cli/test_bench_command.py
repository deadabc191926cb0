"""`bench train|loader|evaluate` on a tiny store; what all `bench` commands print."""

import json

import pytest
from command_line import run_here

from mtut_bench.benchmarks import speed
from mtut_bench.benchmarks.measurement import Benchmark, Measure
from mtut_bench.benchmarks.speed import SpeedReport, Window, compare_rates
from mtut_bench.cli import bench
from mtut_bench.cli.bench import _counts, _print_measures, _print_speed
from mtut_bench.errors import UsageError

SMALL = ("clip_length=9", "crop=32", "short_side=36", "width=0.125", "batch_size=2")


@pytest.fixture
def bench_command(make_store, monkeypatch):
    """Return a function that runs `mtut-bench bench` on a tiny store."""
    store = make_store("viva", size=(40, 40))
    monkeypatch.setattr(speed, "_PRODUCT_SIZE", {"cpu": 64})
    monkeypatch.setattr(speed, "_COPY_BYTES", {"cpu": 4096})
    monkeypatch.setattr(speed, "_CEILING_S", 0.01)
    # One process of the plain loop on every machine: each imports torch.
    monkeypatch.setattr(bench, "cores", lambda asked: 1 if asked is None else asked)

    def run(*arguments, code=0):
        at = ["--store", "viva", "--data", store.parents[1], "--protocol", "demo"]
        small = [part for setting in SMALL for part in ("--set", setting)]
        short = ["--seconds", "0.01", "--repeats", "1", "--device", "cpu"]
        return run_here("bench", *arguments, *at, *small, *short, code=code)

    return run


def test_training_and_its_processes_as_one_document(bench_command):
    arguments = ("train", "--processes", "1", "--json", "--device-cache", "always")
    found = json.loads(bench_command(*arguments).stdout)
    assert found["what"] == "train"
    assert set(found["processes"]) == {"1"}
    assert all(rate > 0 for rate in found["processes"].values())
    assert found["facts"]["command"].startswith("mtut-bench bench train --processes 1 ")
    assert found["facts"]["clips"].startswith("cached")
    assert "9 x 32 x 32" in found["facts"]["step"]


def test_the_test_beside_training_as_a_table(bench_command):
    out = bench_command("evaluate", "--modalities", "rgb", "--method", "i3d").stdout
    assert "whole-clip test" in out
    assert "of the floor" in out
    assert "GFLOP a clip, counted" in out


def test_a_modality_that_is_not_there_is_one_message(bench_command):
    found = bench_command("loader", "--modalities", "flow", code=2)
    assert found.stdout == ""
    assert "no modality 'flow'" in found.stderr


@pytest.mark.parametrize("text", ["0", "1,x", "1.5"])
def test_numbers_of_processes_that_are_none(text):
    with pytest.raises(UsageError, match=text):
        _counts(text)


def test_numbers_of_processes():
    assert _counts("1, 2,4") == [1, 2, 4]
    assert _counts("") == []


def test_a_row_that_was_not_run_shows_why_and_no_number(capsys):
    ways = {
        "plain loop": [Window(20, 10.0, 3 * 10**9)],
        "eager [bf16]": "not run on this device: it has no bf16 units",
        "training step": [Window(60, 10.0, 2 * 10**9)],
    }
    report = SpeedReport(
        "train",
        compare_rates(ways, dict.fromkeys(ways, 5e9), 120e9),
        {"device": "cpu"},
        {"load": 1.0, "forward": 3.0},
        {"float32 product, FLOP/s": 120e9, "copy, bytes/s": 8e9},
        {2: 5.5},
    )
    _print_speed(report, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["plain", "loop", "2", "1", "8.33", "%", "3.00", "GB"]
    assert lines[2].strip().startswith("eager [bf16]")
    text = " ".join("\n".join(lines).split())
    assert "not run on this device" in text
    assert "training step 6 3 25 % 2.00 GB" in text
    assert "load: 1.000 ms a step, 25 %" in lines
    assert "copy: 8 Gbytes/s" in lines
    assert "5.5 clips/s together" in text
    assert "device: cpu" in lines


def test_a_measure_stands_beside_its_bound(capsys):
    measures = (
        Measure("colour", 84.0, "frames/s", 100.0, floor=0.85),
        Measure("open", 14.0, "ms", limit=15.0),
    )
    _print_measures(Benchmark(measures, {"cores": "2"}), as_json=False)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[1:] == ["colour 84 frames/s 100 0.84 >= 0.85 below", "open 14 ms <= 15 met"] + [
        "cores: 2"
    ]
