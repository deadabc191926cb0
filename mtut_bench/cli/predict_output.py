"""How predictions are made and shown: a table for each recording, or lines of JSON."""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table

from mtut_bench.cli.printing import console, show_error
from mtut_bench.contract.types import name_recordings
from mtut_bench.errors import MtutBenchError
from mtut_bench.progress import Reporter

if TYPE_CHECKING:
    from mtut_bench.inference.recordings import Prediction, Predictor, Segment, Windowing
    from mtut_bench.runs.trained import TrainedRun
    from mtut_preprocess.derive.stream import Wanted

__all__ = ["Work", "predict_all"]

_PICTURE_ROWS = 40
_NEW_COPY = "Copy or record it again, or leave it out."


@dataclass(frozen=True)
class Work:
    """What is done with each recording.

    Attributes:
        run: whose network it is.
        predictor: the network.
        wanted: what recordings must become for it.
        windowing: how long ones are cut.
        top: how many classes are shown; 0: all.
    """

    run: "TrainedRun"
    predictor: "Predictor"
    wanted: "Wanted"
    windowing: "Windowing"
    top: int

    def remarks(self) -> Iterator[str]:
        """Yield what holds for all recordings."""
        from mtut_bench.inference.recordings import run_precision

        record = self.run.record
        store = record.store
        yield (
            f"{record.method.title}, {self.wanted.modality}, run {self.run.folder.name}: trained on"
            f" {store.name} ({name_recordings(store.origin)}), protocol {record.protocol.name}"
        )
        if self.wanted.plane == "luma":
            yield f"{self.wanted.modality} of this store: {store.depth_polarity or 'unknown'}"
        if self.wanted.flow:
            now = self.wanted.flow.attributes("")["library"]
            then = self.run.flow[self.wanted.modality]["library"]
            if now != then:
                yield f"optical flow by {now}; the store's is by {then}"
        if self.predictor.precision != run_precision(self.run):
            yield f"computed in {self.predictor.precision}; the test was {run_precision(self.run)}"

    def classes(self, verdict: "Prediction") -> list[tuple[int, str, float]]:
        """Return (index, name, probability) of the most probable classes."""
        return [
            (k, self.run.classes[k], float(verdict.probabilities_K[k]))
            for k in verdict.ranking()[: self.top or None]
        ]


def predict_all(
    videos: Sequence[Path], work: Work, *, as_json: bool, picture: Path | None = None
) -> None:
    """Predict each recording; one that fails does not stop the others.

    Args:
        videos: recordings.
        work: what is done with each.
        as_json: a line of JSON per verdict instead of tables.
        picture: PNG to draw, one row per verdict; None: none.

    Raises:
        typer.Exit: some failed; the code is that of the gravest.
    """
    # Lines of JSON stand alone on the output; remarks and faults go to the other one.
    aside = Reporter(Console(stderr=True))
    for text in work.remarks():
        aside.line(text)
    code, shown = 0, _Shown() if picture else None
    try:
        for path in videos:
            try:
                (_print_lines if as_json else _print_table)(path, work, aside, shown)
            except MtutBenchError as error:
                show_error(_curable(error))
                code = max(code, error.exit_code)
    except BrokenPipeError:
        # `| head` has seen enough. What Python still wants to write at its end goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None
    if shown and picture:
        shown.draw(picture, aside)
    if code:
        raise typer.Exit(code)


def _curable(error: MtutBenchError) -> MtutBenchError:
    """Return the error with a hint for a single recording, which is in no dataset's lists."""
    from mtut_preprocess.reading.frames import COPY_HINT

    return MtutBenchError(error.what, _NEW_COPY if error.hint == COPY_HINT else error.hint)


class _Shown:
    """Rows of a picture, one per verdict, as they are made."""

    def __init__(self) -> None:
        self.rows: list[tuple[tuple[str, ...], dict[str, Any]]] = []
        self.total = 0

    def add(self, path: Path, work: Work, verdict: "Prediction") -> None:
        self.total += 1
        if len(self.rows) < _PICTURE_ROWS:
            label = verdict.ranking()[0]
            lines = (
                f"{work.run.classes[label]}, {verdict.probabilities_K[label]:.0%}",
                _shown(Path(path.name)),
                f"frames {verdict.first} to {verdict.stop - 1}",
            )
            self.rows.append((lines, {work.wanted.modality: verdict.shown_THWC}))

    def draw(self, path: Path, aside: Reporter) -> None:
        from mtut_bench.store.inspect import draw_sheet

        if self.rows:
            draw_sheet(self.rows, path)
            first = f", the first {len(self.rows)} of {self.total} windows" * (
                self.total > len(self.rows)
            )
            aside.line(f"wrote {path}{first}")


def _verdicts(
    path: Path, work: Work, aside: Reporter, shown: _Shown | None
) -> Iterator["Prediction"]:
    """Yield the verdicts on a recording; remarks on it go to the side."""
    from mtut_preprocess.derive.stream import stream_frames

    def say(text: str) -> None:
        aside.line(f"{_shown(path)}: {text}")

    moments = stream_frames(path, work.wanted, say)
    for verdict in work.predictor.verdicts(moments, work.windowing):
        shortest = work.predictor.min_frames
        if verdict.num_frames < shortest:
            frames = f"{verdict.num_frames} frame{'' if verdict.num_frames == 1 else 's'}"
            say(f"{frames}: the network pads to {shortest}, as in the test")
        if shown:
            shown.add(path, work, verdict)
        yield verdict


def _print_lines(path: Path, work: Work, aside: Reporter, shown: _Shown | None) -> None:
    for verdict in _verdicts(path, work, aside, shown):
        # ASCII, so that a name in any encoding is a valid line.
        print(json.dumps(_record(path, work, verdict)), flush=True)


def _record(path: Path, work: Work, verdict: "Prediction") -> dict[str, Any]:
    record = work.run.record
    return {
        "path": _shown(path),
        "run": record.id,
        "method": work.run.method.name,
        "modality": work.wanted.modality,
        "dataset": record.store.dataset,
        "origin": record.store.origin,
        "frames": [verdict.first, verdict.stop],
        "seconds": [round(verdict.start_s, 6), round(verdict.end_s, 6)],
        "num_frames": verdict.num_frames,
        "window": verdict.is_window,
        "top": [
            {"class": name, "index": k, "probability": probability}
            for k, name, probability in work.classes(verdict)
        ],
    }


class _Watch:
    """Verdicts on their way to a timeline.

    Attributes:
        first: the first of them.
        fault: what broke them off; a long recording's timeline is shown up to there.
    """

    def __init__(self) -> None:
        self.first: Prediction | None = None
        self.fault: MtutBenchError | None = None

    def watch(
        self, verdicts: Iterable["Prediction"], status: Status, name: str
    ) -> Iterator["Prediction"]:
        try:
            for verdict in verdicts:
                self.first = self.first or verdict
                status.update(f"{escape(name)} {_clock(verdict.end_s)}")
                yield verdict
        except MtutBenchError as error:
            self.fault = error


def _print_table(path: Path, work: Work, aside: Reporter, shown: _Shown | None) -> None:
    from mtut_bench.inference.recordings import merge_predictions

    watch, name = _Watch(), _shown(path)
    with aside.console.status(escape(name)) as status:
        segments = list(
            merge_predictions(watch.watch(_verdicts(path, work, aside, shown), status, name))
        )
    if watch.first and watch.first.is_window:
        _print_timeline(name, work, segments)
    elif watch.first:
        _print_clip(name, work, watch.first)
    if watch.fault:
        raise watch.fault


def _print_clip(name: str, work: Work, clip: "Prediction") -> None:
    rows = [(f"{probability:.1%}", label) for _, label, probability in work.classes(clip)]
    title = f"{name}: frames {clip.first} to {clip.stop - 1}, {clip.end_s - clip.start_s:.1f} s"
    _print(title, ("probability", "class"), rows)


def _print_timeline(name: str, work: Work, segments: Sequence["Segment"]) -> None:
    length = work.windowing.length
    rows = [
        (
            f"{_clock(segment.start_s)} - {_clock(segment.end_s)}",
            f"{segment.probability:.1%}",
            str(segment.num_windows),
            work.run.classes[segment.label],
        )
        for segment in segments
    ]
    title = (
        f"{name}: windows of {length} frames ({length / work.wanted.fps:.2g} s), every"
        f" {work.windowing.stride}; probabilities are means"
    )
    _print(title, ("from - to", "probability", "windows", "class"), rows)


def _print(title: str, columns: Sequence[str], rows: Sequence[tuple[str, ...]]) -> None:
    console.print(f"\n{escape(title)}", highlight=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        # Only the name of a class may break on a narrow terminal.
        right = column in ("probability", "windows")
        table.add_column(
            column, justify="right" if right else "left", no_wrap=column != "class", overflow="fold"
        )
    for row in rows:
        table.add_row(*map(escape, row))
    console.print(table)


def _clock(seconds: float) -> str:
    """Return a time as it stands beside a player's bar: 1:02:03.4."""
    minutes, tenths = divmod(round(seconds * 10), 600)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{head}:{tenths / 10:04.1f}"


def _shown(path: Path) -> str:
    """Return a path that any output can print; bytes that are no text are replaced."""
    return os.fsencode(path).decode("utf-8", "replace")
