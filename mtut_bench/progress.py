"""Progress of long work: a live bar on a terminal, a plain line now and then elsewhere."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

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

__all__ = ["Reporter", "Ticker", "counted", "format_duration"]

_PLAIN_INTERVAL_S = 10.0


def format_duration(seconds: float) -> str:
    """Return a length of time in the largest unit that leaves a number above two.

    For example '32 s', '4 min', '2.3 hours'; what is positive is at least '1 s'. Whether it is
    exact ('about') is for the caller to say.

    Args:
        seconds: from 0.
    """
    if seconds < 119.5:
        return f"{max(round(seconds), 1 if seconds > 0 else 0)} s"
    if seconds < 119.5 * 60:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:,.1f} hours"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: '1 run', '1,200 runs'."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


class _Bar(Progress):
    """A bar with its note in a line below, so that neither takes the other's place."""

    def get_renderables(self) -> Iterable[RenderableType]:
        """Yield the bar, then its note, cut to the terminal's width."""
        yield from super().get_renderables()
        for task in self.tasks:
            if note := task.fields["note"]:
                yield Text(f"    {note}", no_wrap=True, overflow="ellipsis")


def _whole() -> Column:
    """Return a column that a narrow terminal does not squeeze; the bar gives way."""
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

    def __init__(self, reporter: "Reporter", title: str, unit: str = "") -> None:
        self._reporter = reporter
        self._title = title
        self._unit = unit
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._start = self._last = time.monotonic()
        self._first: int | None = None
        self._printed = (-1, -1)

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Show that ``done`` of ``total`` are finished."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=total, note=note)
            return
        now = time.monotonic()
        self._first = done if self._first is None else self._first
        due = now - self._last >= _PLAIN_INTERVAL_S or done == total
        if due and (done, total) != self._printed:
            self._last = now
            self._printed = (done, total)
            rate = (done - self._first) / max(now - self._start, 1e-9)
            speed = f", {rate:.3g} {self._unit}/s" if self._unit and rate > 0 else ""
            left = ""
            if 0 < done < total and rate > 0:
                left = f", about {format_duration((total - done) / rate)} left"
            note = f"  {note}" if note else ""
            self._reporter.line(f"{self._title}: {done}/{total}{speed}{left}{note}")


class Reporter:
    """Where a command's words go.

    Args:
        console: rich console; one that is no terminal gets plain lines.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console()

    def line(self, text: str) -> None:
        """Print one line as it is."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def ticker(self, title: str, unit: str = "") -> Iterator[Ticker]:
        """Show the progress of a block of work.

        Args:
            title: what is done.
            unit: what is counted ('clips'): the rate is then shown.
        """
        ticker = Ticker(self, title, unit)
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
