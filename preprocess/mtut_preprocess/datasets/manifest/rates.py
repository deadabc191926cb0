"""Frames per second of a table's recordings: one number, for times in words and for ``predict``.

Frames are stored as they are recorded, whatever the rate, so it must be the recordings' own:
``predict`` reads what has another rate at the store's, and would then see other frames than the
test did.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median_low
from typing import NamedTuple

from mtut_bench.files import StrPath
from mtut_preprocess.datasets.manifest.recordings import Recording, Recordings
from mtut_preprocess.datasets.manifest.table import Fault, Line, refuse
from mtut_preprocess.reading.decode import same_rate

__all__ = ["DEFAULT_FPS", "find_rate"]

DEFAULT_FPS = 30.0
"""Where neither the table nor a recording says: images alone."""


class _Use(NamedTuple):
    """A recording, and where the table names it first."""

    line: Line
    modality: str
    recording: Recording

    @property
    def rate(self) -> float | None:
        timing = self.recording.timing
        return timing.rate if timing else None


def find_rate(
    lines: Sequence[Line], modalities: Sequence[str], recordings: Recordings, table: StrPath
) -> tuple[float, tuple[str, ...]]:
    """Return the frames per second of a table's recordings, and what is doubtful about them.

    The table's ``fps`` counts even against the files: the header of a file may say what its writer
    was told and not what the camera did. Without it the files count: the median of their rates, of
    which none may differ by more than ``predict`` takes for the same rate (5 %).

    Raises:
        DatasetError: the table says nothing and the files have several rates.
    """
    table = Path(table)
    uses = list(_uses(lines, modalities, recordings))
    text = lines[0].cells.get("fps")
    fps = float(text) if text else _rate_of_files(uses, table)
    doubts = _against_table(uses, fps) if text else _about_files(uses, fps)
    return fps, (*doubts, *_about_uneven(uses))


def _uses(
    lines: Sequence[Line], modalities: Sequence[str], recordings: Recordings
) -> Iterator[_Use]:
    """Yield each recording once, in the order of the table."""
    seen: set[str] = set()
    for line in lines:
        for modality in modalities:
            recording = recordings.find(line.cells[modality])
            if recording.name not in seen:
                seen.add(recording.name)
                yield _Use(line, modality, recording)


def _rate_of_files(uses: Sequence[_Use], table: Path) -> float:
    rates = [use.rate for use in uses if use.rate is not None]
    if not rates:
        return DEFAULT_FPS
    fps = median_low(rates)
    usual = next(use for use in uses if use.rate == fps)
    other = f"{usual.recording.name} (line {usual.line.number}) has {fps:.4g}"
    hint = (
        "Bring the files to one rate, or add a column 'fps': its number then counts for all of"
        " them, and frames are taken as they are."
    )
    faults: list[Fault] = [
        (
            use.line,
            f"{use.modality}: {use.recording.name} has {use.rate:.4g} frames a second, {other}",
            hint,
        )
        for use in uses
        if use.rate is not None and not same_rate(use.rate, fps)
    ]
    refuse(table, faults)
    return fps


def _against_table(uses: Sequence[_Use], fps: float) -> Iterator[str]:
    odd = [use for use in uses if use.rate is not None and not same_rate(use.rate, fps)]
    if odd:
        yield (
            f"fps: the table says {fps:g}, {_some(odd)} {odd[0].rate:.4g}; the table counts, so"
            f" predict wants --fps {fps:g} for such files"
        )


def _about_files(uses: Sequence[_Use], fps: float) -> Iterator[str]:
    rates = [use.rate for use in uses if use.rate is not None]
    silent = [use for use in uses if use.rate is None]
    if not rates:
        yield f"fps: neither the table nor the recordings say; {fps:g} is assumed"
    elif silent:
        yield f"fps: not stated by {_some(silent)}; {fps:.4g}, as the others have, is assumed"
    if rates and f"{min(rates):.4g}" != f"{max(rates):.4g}":
        yield f"fps: the recordings have {min(rates):.4g} to {max(rates):.4g}; {fps:.4g} is taken"


def _about_uneven(uses: Sequence[_Use]) -> Iterator[str]:
    uneven = [use for use in uses if use.recording.timing and use.recording.timing.is_uneven]
    if uneven:
        timing = uneven[0].recording.timing
        assert timing is not None
        yield (
            f"time: the frames of {_some(uneven)} come unevenly, up to {timing.drift_s:.2g} s from"
            f" {timing.rate:.4g} a second; they are taken one after the other"
        )


def _some(uses: Sequence[_Use]) -> str:
    """Return the name of the first recording and how many more there are."""
    more = f" and {len(uses) - 1} more" if len(uses) > 1 else ""
    return f"{uses[0].recording.name}{more}"
