import io
import re

import pytest
from rich.console import Console

from mtut_bench import progress
from mtut_bench.progress import Reporter, counted, format_duration


@pytest.fixture
def clock(monkeypatch):
    """Return a clock that tests move by hand."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def reporter_into(stream, width=60, **options):
    return Reporter(Console(file=stream, width=width, **options))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.01, "1 s"),
        (32.4, "32 s"),
        (119.4, "119 s"),
        (119.6, "2 min"),
        (240, "4 min"),
        (119.4 * 60, "119 min"),
        (119.6 * 60, "2.0 hours"),
        (2.3 * 3600, "2.3 hours"),
        (12_345.67 * 3600, "12,345.7 hours"),
    ],
)
def test_a_duration_has_the_unit_that_fits_it(seconds, text):
    assert format_duration(seconds) == text


def test_a_noun_stands_in_the_plural_but_for_one():
    assert [counted(n, "run") for n in (0, 1, 2, 1200)] == [
        "0 runs",
        "1 run",
        "2 runs",
        "1,200 runs",
    ]


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
        "work: 10/30, about 20 s left",
        "work: 20/30, about 10 s left",
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
    assert out.getvalue() == "work: 60/100, about 40 s left\n"


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


@pytest.mark.parametrize("width", [60, 80, 140])
def test_the_two_times_of_a_bar_are_labelled_however_narrow_the_terminal(width):
    out = io.StringIO()
    note = "cross-entropy rgb 2.934, depth 2.911"
    reporter = reporter_into(out, width, force_terminal=True, color_system=None)
    with reporter.ticker("  rgb alone, epochs") as tick:
        tick(1, 60, note)
    assert re.search(
        r"rgb alone, epochs .* 1/60 elapsed \d:\d\d:\d\d left \S+\s*\n", out.getvalue()
    )
    assert note in out.getvalue()


def test_elsewhere_nothing_steers_a_terminal(clock):
    out = io.StringIO()
    reporter = reporter_into(out)
    reporter.line("first")
    with reporter.ticker("work", unit="clips") as tick:
        for done in range(31):
            tick(done, 30, "note")
            clock[0] += 1
    assert all(text.isprintable() for text in out.getvalue().splitlines())
