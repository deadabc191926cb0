import io

import pytest
from rich.console import Console

from mtut_bench import progress
from mtut_bench.progress import Reporter


@pytest.fixture
def clock(monkeypatch):
    """Return a clock that tests move by hand."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def reporter_into(stream, **options):
    return Reporter(Console(file=stream, width=60, **options))


def test_elsewhere_the_last_tick_alone_is_a_line(clock):
    out = io.StringIO()
    with reporter_into(out).ticker("work") as tick:
        for done in range(1, 101):
            tick(done, 100)
    assert out.getvalue() == "work: 100/100\n"


def test_a_line_every_ten_seconds_with_the_time_left(clock):
    out = io.StringIO()
    with reporter_into(out).ticker("work") as tick:
        for done in range(31):
            tick(done, 30)
            clock[0] += 1
    assert out.getvalue().splitlines() == [
        "work: 10/30, 20 s left",
        "work: 20/30, 10 s left",
        "work: 30/30",
    ]


def test_the_end_is_said_once(clock):
    out = io.StringIO()
    with reporter_into(out).ticker("work") as tick:
        tick(3, 3, "note")
        tick(3, 3, "note")
    assert out.getvalue() == "work: 3/3  note\n"


def test_work_taken_up_half_way_is_not_counted_as_speed(clock):
    out = io.StringIO()
    with reporter_into(out).ticker("work") as tick:
        tick(50, 100)
        clock[0] += 10
        tick(60, 100)
    assert out.getvalue() == "work: 60/100, 40 s left\n"


def test_lines_are_printed_as_they_are(clock):
    out = io.StringIO()
    reporter_into(out).line("[bold]not markup[/bold] " + "x" * 100)
    assert out.getvalue() == "[bold]not markup[/bold] " + "x" * 100 + "\n"


def test_a_terminal_gets_a_bar_and_no_line():
    out = io.StringIO()
    with reporter_into(out, force_terminal=True).ticker("work") as tick:
        tick(1, 2, "note")
        tick(2, 2, "note")
    assert "work: " not in out.getvalue()
    assert "2/2" in out.getvalue()
