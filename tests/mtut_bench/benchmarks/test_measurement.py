"""Measured numbers: ratios, bounds, turns. Nothing here asserts a speed."""

import json

import pytest

from mtut_bench.benchmarks.measurement import (
    Benchmark,
    Measure,
    machine_facts,
    take_turns,
)


@pytest.mark.parametrize(("value", "passed"), [(84.9, False), (85.0, True), (120.0, True)])
def test_a_rate_is_compared_with_its_baseline(value, passed):
    measure = Measure("colour", value, "frames/s", 100.0, floor=0.85)
    assert measure.ratio == value / 100
    assert measure.passed is passed


@pytest.mark.parametrize(("value", "passed"), [(14.0, True), (15.0, True), (15.1, False)])
def test_a_limit_is_an_upper_one(value, passed):
    measure = Measure("open", value, "ms", limit=15.0)
    assert measure.ratio is None
    assert measure.passed is passed


def test_a_number_without_bound_neither_passes_nor_fails():
    assert Measure("two workers", 3.0, "frames/s", 4.0).passed is None


def test_actions_take_turns_back_and_forth():
    calls, done = [], []

    def action(name, values):
        left = iter(values)
        return lambda: calls.append(name) or next(left)

    found = take_turns(
        {"a": action("a", [3, 1, 2]), "b": action("b", [5, 5, 9])}, 3, lambda *n: done.append(n)
    )
    assert found == {"a": [3, 1, 2], "b": [5, 5, 9]}
    assert "".join(calls) == "abbaab"
    assert done == [(n, 6) for n in range(1, 7)]


def test_json_holds_ratios_and_facts():
    facts = machine_facts(["numpy"])
    assert {"processor", "cores", "load before", "python", "numpy"} <= facts.keys()
    found = Benchmark((Measure("colour", 1.0, "frames/s", 2.0, floor=0.85),), facts)
    document = json.loads(json.dumps(found.to_json()))
    assert document["facts"] == facts
    assert document["measures"][0] == {
        "name": "colour",
        "value": 1.0,
        "unit": "frames/s",
        "baseline": 2.0,
        "floor": 0.85,
        "limit": None,
        "note": "",
        "ratio": 0.5,
        "passed": False,
    }
