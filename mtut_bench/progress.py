"""Progress of long work: a live bar on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

__all__ = ["Countdown", "Piece", "Reporter", "Ticker", "counted", "format_duration"]

_PLAIN_INTERVAL_S = 10.0


def format_duration(seconds: float) -> str:
    """Return seconds as '32 s', '4 min', '2.3 hours': the largest unit with a number above two.

    What is positive is at least '1 s'.
    """
    if seconds < 119.5:
        return f"{max(round(seconds), 1 if seconds > 0 else 0)} s"
    if seconds < 119.5 * 60:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:,.1f} hours"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: '1 run', '1,200 runs', '2 classes'."""
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"


@dataclass
class Piece:
    """A part of the work, in steps of one size.

    Attributes:
        kind: pieces of one kind are done at one rate.
        steps: that are left.
        size: units of work in a step.
        done: whether it is finished, perhaps by another process.
    """

    kind: str
    steps: int
    size: int
    done: Callable[[], bool] = lambda: False


class Countdown:
    """How long pieces of work still take, at the rates measured so far.

    Args:
        pieces: by name; they are done one at a time.
        rates: units a second of each kind, measured earlier; replaced once measured here.
    """

    def __init__(self, pieces: Mapping[str, Piece], rates: Mapping[str, float]) -> None:
        self._pieces = dict(pieces)
        self._earlier = dict(rates)
        self._measured: dict[str, tuple[int, float]] = {}
        self._under_way: tuple[str, float] | None = None

    def tick(self, name: str, steps_left: int) -> None:
        """Note that a piece begins or advances; unknown names are ignored."""
        piece = self._pieces.get(name)
        if piece is None:
            return
        now = time.monotonic()
        if self._under_way and self._under_way[0] == name and steps_left < piece.steps:
            units, seconds = self._measured.get(piece.kind, (0, 0.0))
            units += (piece.steps - steps_left) * piece.size
            self._measured[piece.kind] = units, seconds + now - self._under_way[1]
        self._under_way = name, now
        piece.steps = steps_left

    def seconds(self) -> float | None:
        """Return how long the rest takes; None without any rate.

        A kind without a rate is assumed as fast as the others on average.
        """
        left = [piece for piece in self._pieces.values() if piece.steps and not piece.done()]
        rates = self._earlier | {
            kind: units / max(seconds, 1e-9) for kind, (units, seconds) in self._measured.items()
        }
        if not rates:
            return None if left else 0.0
        usual = sum(rates.values()) / len(rates)
        return sum(piece.steps * piece.size / rates.get(piece.kind, usual) for piece in left)

    def text(self) -> str:
        """Return what is left in words; "" for nothing or unknown."""
        seconds = self.seconds()
        return f"about {format_duration(seconds)} of training left in total" if seconds else ""


class _Bar(Progress):
    """A bar with its note in the line below."""

    def get_renderables(self) -> Iterable[RenderableType]:
        """Yield the bar, then its note, cut to the terminal's width."""
        yield from super().get_renderables()
        for task in self.tasks:
            if note := task.fields["note"]:
                yield Text(f"    {note}", no_wrap=True, overflow="ellipsis")


def _whole() -> Column:
    """Return a column that a narrow terminal does not squeeze, unlike the bar."""
    return Column(no_wrap=True)


class _RateColumn(ProgressColumn):
    """How many a second, as rich measures it."""

    def __init__(self, unit: str) -> None:
        super().__init__(table_column=_whole())
        self._unit = unit

    def render(self, task: Task) -> Text:
        """Return the column's text."""
        return Text(f"{task.speed:.3g} {self._unit}/s" if task.speed else "")


class Ticker:
    """One piece of work under way; call it with (done, total) and an optional note."""

    def __init__(self, reporter: "Reporter", title: str, unit: str = "", piece: str = "") -> None:
        self._reporter = reporter
        self._piece = piece
        self._title = title
        self._unit = unit
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._start = self._last = time.monotonic()
        self._first = -1
        self._printed = (-1, -1)

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Show that ``done`` of ``total`` are finished."""
        countdown = self._reporter.countdown
        if self._piece and countdown:
            countdown.tick(self._piece, total - done)
            note = "; ".join(text for text in (note, countdown.text()) if text)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=total, note=note)
            return
        now = time.monotonic()
        self._first = done if self._first < 0 else self._first
        due = now - self._last >= _PLAIN_INTERVAL_S or done == total
        if due and (done, total) != self._printed:
            self._last, self._printed = now, (done, total)
            rate = (done - self._first) / max(now - self._start, 1e-9)
            text = f"{self._title}: {done}/{total}"
            if self._unit and rate > 0:
                text += f", {rate:.3g} {self._unit}/s"
            if 0 < done < total and rate > 0:
                text += f", about {format_duration((total - done) / rate)} left"
            self._reporter.line(f"{text}  {note}" if note else text)


class Reporter:
    """Prints a command's messages and progress.

    Args:
        console: rich console; plain lines if it is not a terminal.

    Attributes:
        countdown: of all that the command does, or None.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console()
        self.countdown: Countdown | None = None

    def line(self, text: str) -> None:
        """Print one line as it is."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def ticker(self, title: str, unit: str = "", piece: str = "") -> Iterator[Ticker]:
        """Show the progress of a block of work.

        Args:
            title: what is done.
            unit: what is counted ('clips'), to show the rate.
            piece: its name in the countdown, to show what is left of all.
        """
        ticker = Ticker(self, title, unit, piece)
        if not self.console.is_terminal:
            yield ticker
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(table_column=_whole()),
            TextColumn("elapsed"),
            TimeElapsedColumn(table_column=_whole()),
            TextColumn("left"),
            TimeRemainingColumn(table_column=_whole()),
            *([_RateColumn(unit)] if unit else []),
        )
        with _Bar(*columns, console=self.console, transient=True) as bar:
            ticker._bar = bar
            ticker._task = bar.add_task(escape(title), total=None, note="")
            yield ticker
