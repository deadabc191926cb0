"""Progress of long work: a live bar on a terminal, a plain line now and then elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
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
from rich.text import Text

__all__ = ["Reporter", "Ticker"]

_PLAIN_INTERVAL_S = 10.0


class _RateColumn(ProgressColumn):
    """How many a second, as rich measures it."""

    def __init__(self, unit: str) -> None:
        super().__init__()
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
            left = f", {(total - done) / rate:.0f} s left" if 0 < done < total and rate > 0 else ""
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
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            *([_RateColumn(unit)] if unit else []),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*columns, console=self.console, transient=True) as bar:
            ticker._bar = bar
            ticker._task = bar.add_task(escape(title), total=None, note="")
            yield ticker
