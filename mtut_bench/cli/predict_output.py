"""Make and print predictions: a table for each recording, or lines of JSON."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
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
from mtut_bench.progress import Reporter, counted

if TYPE_CHECKING:
    from mtut_bench.inference.recordings import Prediction, Predictor, Segment, Windowing
    from mtut_bench.runs.trained import TrainedRun
    from mtut_preprocess.derive.stream import Wanted

__all__ = ["Work", "predict_all"]

_PICTURE_ROWS = 40
_NEW_COPY = "Copy or record the file again, or leave it out."


@dataclass(frozen=True)
class Work:
    """What is done with each recording.

    Attributes:
        run: of the network.
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

    def notes(self) -> Iterator[str]:
        """Yield what holds for all recordings."""
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
        if self.predictor.precision != record.identity.precision:
            tested = record.identity.precision
            yield f"computed in {self.predictor.precision}; the run was tested in {tested}"

    def classes(self, prediction: "Prediction") -> list[tuple[int, str, float]]:
        """Return (index, name, probability) of the most probable classes."""
        return [
            (k, self.run.classes[k], float(prediction.probabilities_K[k]))
            for k in prediction.ranking()[: self.top or None]
        ]


def predict_all(
    videos: Sequence[Path], work: Work, *, as_json: bool, picture: Path | None = None
) -> None:
    """Predict each recording; one that fails does not stop the others.

    Args:
        videos: recordings.
        work: what is done with each.
        as_json: a line of JSON per prediction instead of tables.
        picture: PNG to draw, one row per prediction; None: none.

    Raises:
        typer.Exit: some failed; with the highest exit code.
    """
    # Lines of JSON stand alone on the output; notes and errors go to the other one.
    notes = Reporter(Console(stderr=True))
    for text in work.notes():
        notes.line(text)
    code, drawn = 0, _Picture() if picture else None
    try:
        for path in videos:
            try:
                (_print_lines if as_json else _print_table)(path, work, notes, drawn)
            except MtutBenchError as error:
                show_error(_curable(error))
                code = max(code, error.exit_code)
    except BrokenPipeError:
        # `| head` has seen enough. What Python still wants to write at its end goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None
    if drawn and picture:
        drawn.draw(picture, notes)
    if code:
        raise typer.Exit(code)


def _curable(error: MtutBenchError) -> MtutBenchError:
    """Return the error with a hint for a single recording, which is in no dataset's lists."""
    from mtut_preprocess.reading.frames import COPY_HINT

    return MtutBenchError(error.what, _NEW_COPY if error.hint == COPY_HINT else error.hint)


class _Picture:
    """Rows of a picture, one per prediction, as they are made."""

    def __init__(self) -> None:
        self.rows: list[tuple[tuple[str, ...], dict[str, Any]]] = []
        self.total = 0

    def add(self, path: Path, work: Work, prediction: "Prediction") -> None:
        self.total += 1
        if len(self.rows) < _PICTURE_ROWS:
            label = prediction.ranking()[0]
            lines = (
                f"{work.run.classes[label]}, {prediction.probabilities_K[label]:.0%}",
                _shown(Path(path.name)),
                f"frames {prediction.first} to {prediction.stop - 1}",
            )
            self.rows.append((lines, {work.wanted.modality: prediction.shown_THWC}))

    def draw(self, path: Path, notes: Reporter) -> None:
        from mtut_bench.store.inspect import draw_sheet

        if self.rows:
            draw_sheet(self.rows, path)
            cut = self.total > len(self.rows)
            first = f", the first {len(self.rows)} of {self.total} windows" if cut else ""
            notes.line(f"wrote {path}{first}")


def _predict(
    path: Path, work: Work, notes: Reporter, picture: _Picture | None
) -> Iterator["Prediction"]:
    """Yield the predictions on a recording; print notes on it."""
    from mtut_preprocess.derive.stream import stream_frames

    def say(text: str) -> None:
        notes.line(f"{_shown(path)}: {text}")

    frames = stream_frames(path, work.wanted, say)
    for prediction in work.predictor.predict(frames, work.windowing):
        shortest = work.predictor.min_frames
        if prediction.num_frames < shortest:
            length = counted(prediction.num_frames, "frame")
            say(f"{length}: the network pads to {shortest}, as in the test")
        if picture:
            picture.add(path, work, prediction)
        yield prediction


def _print_lines(path: Path, work: Work, notes: Reporter, picture: _Picture | None) -> None:
    for prediction in _predict(path, work, notes, picture):
        # ASCII, so that a name in any encoding is a valid line.
        print(json.dumps(_record(path, work, prediction)), flush=True)


def _record(path: Path, work: Work, prediction: "Prediction") -> dict[str, Any]:
    record = work.run.record
    return {
        "path": _shown(path),
        "run": record.id,
        "method": work.run.method.name,
        "modality": work.wanted.modality,
        "dataset": record.store.dataset,
        "origin": record.store.origin,
        "frames": [prediction.first, prediction.stop],
        "seconds": [round(prediction.start_s, 6), round(prediction.end_s, 6)],
        "num_frames": prediction.num_frames,
        "window": prediction.is_window,
        "top": [
            {"class": name, "index": k, "probability": probability}
            for k, name, probability in work.classes(prediction)
        ],
    }


def _print_table(path: Path, work: Work, notes: Reporter, picture: _Picture | None) -> None:
    from mtut_bench.inference.recordings import merge_predictions

    name = _shown(path)
    first: list[Prediction] = []
    faults: list[MtutBenchError] = []

    def watched(status: Status) -> Iterator["Prediction"]:
        try:
            for prediction in _predict(path, work, notes, picture):
                if not first:
                    first.append(prediction)
                status.update(f"{escape(name)} {_clock(prediction.end_s)}")
                yield prediction
        except MtutBenchError as error:
            # The timeline is shown up to here.
            faults.append(error)

    with notes.console.status(escape(name)) as status:
        segments = list(merge_predictions(watched(status)))
    if first and first[0].is_window:
        _print_timeline(name, work, segments)
    elif first:
        _print_clip(name, work, first[0])
    if faults:
        raise faults[0]


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
    """Return a time as media players show it: 1:02:03.4."""
    minutes, tenths = divmod(round(seconds * 10), 600)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{head}:{tenths / 10:04.1f}"


def _shown(path: Path) -> str:
    """Return a path as printable text; bytes that are not text are replaced."""
    return os.fsencode(path).decode("utf-8", "replace")
