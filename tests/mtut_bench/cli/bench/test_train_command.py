"""`bench train`: its document, its processes."""

import json

import pytest

from mtut_bench.cli.bench.train import _counts
from mtut_bench.errors import UsageError


def test_training_and_its_processes_as_one_document(bench_command):
    arguments = ("train", "--processes", "1", "--json", "--device-cache", "always")
    found = json.loads(bench_command(*arguments).stdout)
    assert found["what"] == "train"
    assert set(found["processes"]) == {"1"}
    assert all(rate > 0 for rate in found["processes"].values())
    assert found["facts"]["command"].startswith("mtut-bench bench train --processes 1 ")
    assert found["facts"]["clips"] == "live in the device's memory"
    assert "9 x 32 x 32" in found["facts"]["step"]


@pytest.mark.parametrize("text", ["0", "1,x", "-1", "1.5"])
def test_numbers_of_processes_that_are_none(text):
    with pytest.raises(UsageError, match="no list of numbers"):
        _counts(text)


def test_numbers_of_processes():
    assert _counts("1, 2,4") == [1, 2, 4]
    assert _counts("") == []
