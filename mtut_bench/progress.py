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
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

__all__ = ["Reporter", "Ticker"]

_PLAIN_INTERVAL_S = 10.0


class Ticker:
    """One piece of work under way; call it with (done, total) and an optional note."""

    def __init__(self, reporter: "Reporter", title: str) -> None:
        self._reporter = reporter
        self._title = title
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
            left = f", {(total - done) / rate:.0f} s left" if 0 < done < total and rate > 0 else ""
            self._reporter.line(f"{self._title}: {done}/{total}{left}{'  ' + note if note else ''}")


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
    def ticker(self, title: str) -> Iterator[Ticker]:
        """Show the progress of a block of work."""
        ticker = Ticker(self, title)
        if not self.console.is_terminal:
            yield ticker
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*columns, console=self.console, transient=True) as bar:
            ticker._bar = bar
            ticker._task = bar.add_task(escape(title), total=None, note="")
            yield ticker
