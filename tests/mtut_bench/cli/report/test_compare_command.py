"""`report compare` as a user types it."""

import json

import pytest
from command_line import call
from report_bench import OFFICIAL, write_run

from mtut_bench.errors import UsageError


def test_compare_ends_with_three_lines_and_explains_itself_when_asked(runs):
    command = ("report", "compare", "mtut", "i3d", "--runs", runs)
    lines = call(*command).splitlines()
    assert lines[-3].startswith("mtut against i3d, rgb: +50.0 points, 95 % interval [")
    assert lines[-2:] == [
        "Which is better is not established (p = 0.12; 1 person, 10 clips).",
        "More: --explain.",
    ]
    assert max(map(len, lines)) <= 80
    assert "McNemar" not in "".join(lines)
    explained = call(*command, "--explain")
    text = " ".join(explained.split())
    assert "rgb: mtut 90.0 % against i3d 40.0 %: +50.0 points" in text
    assert "Seeds are never pooled" in text
    assert explained.splitlines()[-2:] == lines[-3:-1]


def test_compare_says_what_was_left_out_without_being_asked(runs):
    write_run(runs, "1111110111", overrides={"epochs": 3}, **OFFICIAL)
    write_run(runs, "1111110111", seed=1, **OFFICIAL)
    text = " ".join(call("report", "compare", "mtut", "i3d", "--runs", runs).split())
    assert "1 of mtut's runs, which have changed settings" in text
    assert "seed 1 of mtut" in text


def test_compare_gives_raw_numbers_and_writes_nothing(runs):
    before = sorted(runs.rglob("*"))
    found = json.loads(call("report", "compare", "mtut", "i3d", "--runs", runs, "--json"))
    assert found["rows"][0]["p_clips"] == pytest.approx(0.125)
    assert found["title"].startswith("mtut against i3d: viva, 885 clips")
    assert sorted(runs.rglob("*")) == before


def test_options_before_compare_are_refused(runs):
    with pytest.raises(UsageError, match=r"--runs has no effect before compare"):
        call("report", "--runs", runs, "compare", "mtut", "i3d")


def test_methods_of_a_run_cannot_steer_the_terminal(runs):
    write_run(runs, "0000000000", method="x\x1b[2J", **OFFICIAL)
    text = call("report", "compare", "mtut", "x\x1b[2J", "--runs", runs)
    assert "\x1b" not in text
    assert "x\ufffd[2J" in text
