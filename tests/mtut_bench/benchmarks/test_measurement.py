"""Measured numbers: ratios, bounds, turns. Nothing here asserts a speed."""

import json

import pytest

from mtut_bench.benchmarks.measurement import (
    Benchmark,
    Measure,
    interleave,
    machine_facts,
    seconds_of,
)


@pytest.mark.parametrize(("value", "passed"), [(84.9, False), (85.0, True), (120.0, True)])
def test_a_rate_is_held_against_the_bare_rate(value, passed):
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


def test_timers_take_turns_and_medians_count():
    calls = []

    def timer(name, seconds):
        left = iter(seconds)
        return lambda: calls.append(name) or next(left)

    done = []
    found = interleave(
        {"a": timer("a", [3.0, 1.0, 2.0]), "b": timer("b", [5.0, 5.0, 9.0])},
        3,
        lambda *counts: done.append(counts),
    )
    assert found == {"a": 2.0, "b": 5.0}
    assert "".join(calls) == "abbaab"
    assert done[-1] == (6, 6)


def test_seconds_are_measured():
    assert seconds_of(lambda: None) >= 0


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
        "bare": 2.0,
        "floor": 0.85,
        "limit": None,
        "note": "",
        "ratio": 0.5,
        "passed": False,
    }
