import io
import re

import pytest
from rich.console import Console

from mtut_bench import progress
from mtut_bench.progress import Countdown, Piece, Reporter, counted, format_duration


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
        (119.4, "119 s"),
        (119.6, "2 min"),
        (119.4 * 60, "119 min"),
        (119.6 * 60, "2.0 hours"),
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


def test_a_line_every_ten_seconds_with_rate_and_time_left(clock):
    out = io.StringIO()
    with reporter_into(out).ticker("work", unit="clips") as tick:
        for done in range(31):
            tick(done, 30)
            clock[0] += 1
    assert out.getvalue().splitlines() == [
        "work: 10/30, 1 clips/s, about 20 s left",
        "work: 20/30, 1 clips/s, about 10 s left",
        "work: 30/30, 1 clips/s",
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


@pytest.mark.parametrize("width", [60, 140])
def test_the_two_times_of_a_bar_are_labelled_however_narrow_the_terminal(width):
    out = io.StringIO()
    note = "cross-entropy rgb 2.934, depth 2.911"
    reporter = reporter_into(out, width, force_terminal=True, color_system=None)
    with reporter.ticker("  rgb stage one, epochs") as tick:
        tick(1, 60, note)
    assert re.search(
        r"rgb stage one, epochs .* 1/60 elapsed \d:\d\d:\d\d left \S+\s*\n", out.getvalue()
    )
    assert note in out.getvalue()


def test_a_countdown_is_unknown_until_a_rate_is_measured(clock):
    countdown = Countdown({"a": Piece("x", 3, 10), "b": Piece("x", 1, 20)}, {})
    assert (countdown.seconds(), countdown.text()) == (None, "")
    countdown.tick("a", 3)
    assert countdown.seconds() is None
    clock[0] += 5
    countdown.tick("a", 2)
    # 10 units in 5 s; 2 x 10 and 1 x 20 are left.
    assert countdown.seconds() == pytest.approx(20)
    assert countdown.text() == "about 20 s of training left in total"


def test_a_rate_is_measured_over_all_pieces_of_a_kind_and_not_between_them(clock):
    pieces = {"a": Piece("x", 2, 10), "b": Piece("x", 2, 30)}
    countdown = Countdown(pieces, {"x": 1000.0})
    # At first at the rate of earlier work.
    assert countdown.seconds() == pytest.approx(80 / 1000)
    countdown.tick("a", 2)
    clock[0] += 1
    countdown.tick("a", 0)
    assert countdown.seconds() == pytest.approx(60 / 20)
    clock[0] += 1000  # a test, another's lock
    countdown.tick("b", 2)
    clock[0] += 9
    countdown.tick("b", 1)
    assert countdown.seconds() == pytest.approx(30 / (50 / 10))


def test_each_kind_has_its_rate_and_an_unknown_one_the_mean():
    pieces = {name: Piece(name, 1, 60) for name in ("fast", "slow", "new")}
    countdown = Countdown(pieces, {"fast": 60.0, "slow": 20.0})
    assert countdown.seconds() == pytest.approx(60 / 60 + 60 / 20 + 60 / 40)


def test_what_is_taken_up_or_done_by_another_process_is_not_counted(clock):
    pieces = {"begun": Piece("x", 6, 10), "done": Piece("x", 6, 10, lambda: True)}
    countdown = Countdown(pieces, {})
    countdown.tick("begun", 2)
    clock[0] += 1
    countdown.tick("begun", 1)
    countdown.tick("unknown", 99)
    assert countdown.seconds() == pytest.approx(1.0)
    countdown.tick("begun", 0)
    assert (countdown.seconds(), countdown.text()) == (0.0, "")


def test_a_ticker_says_what_is_left_of_all(clock):
    out = io.StringIO()
    reporter = reporter_into(out)
    reporter.countdown = Countdown({"a": Piece("x", 2, 1), "b": Piece("x", 240, 1)}, {})
    with reporter.ticker("a", piece="a") as tick:
        tick(0, 2)
        clock[0] += 1
        tick(1, 2)
        clock[0] += 1
        tick(2, 2, "note")
    with reporter.ticker("other") as tick:
        tick(1, 1)
    assert out.getvalue() == ("a: 2/2  note; about 4 min of training left in total\nother: 1/1\n")
