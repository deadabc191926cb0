"""`bench train|loader|evaluate` on a tiny store."""

import pytest
from command_line import run_here

from mtut_bench.benchmarks.speed import machine_limits
from mtut_bench.cli.bench import loader, train

SMALL = (
    "clip_length=9",
    "crop=32",
    "short_side=36",
    "width=0.125",
    "batch_size=2",
)


@pytest.fixture
def bench_command(make_store, monkeypatch):
    """Return a function that runs `mtut-bench bench` on a tiny store."""
    store = make_store("viva", size=(40, 40))
    monkeypatch.setattr(machine_limits, "_PRODUCT_SIZE", {"cpu": 64})
    monkeypatch.setattr(machine_limits, "_COPY_BYTES", {"cpu": 4096})
    # One process of the plain loop on every machine: each imports torch.
    for command in (train, loader):
        monkeypatch.setattr(command, "cores", lambda asked: 1 if asked is None else asked)

    def run(*arguments, code=0):
        at = ["--store", "viva", "--data", store.parents[1], "--protocol", "demo"]
        small = [part for setting in SMALL for part in ("--set", setting)]
        short = ["--seconds", "0.01", "--repeats", "1", "--device", "cpu"]
        return run_here("bench", *arguments, *at, *small, *short, code=code)

    return run
