"""Two streams of one recording: which colour frame belongs to which depth frame."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mtut_bench.errors import DatasetError
from mtut_bench.files import StrPath

__all__ = ["Log", "Pairing", "pair_frames", "read_log"]

Log = NDArray[np.int64] | None
"""Time of each frame of a stream in nanoseconds; None where there is no log."""

_LOG_LINE = re.compile(r"img(?P<number>[0-9]{1,9})\.png (?P<time>[0-9]{1,18}|[1-8][0-9]{18})$")
_MAX_APART_NS = 1_000_000_000


def read_log(path: StrPath) -> Log:
    """Return the time of each frame in nanoseconds, or None where there is no log.

    Raises:
        DatasetError: a line is malformed or frame numbers have a gap.
    """
    path = Path(path)
    if not path.is_file():
        return None
    times: list[int] = []
    text = path.read_text(encoding="utf-8-sig", errors="replace").rstrip()
    for number, line in enumerate(text.splitlines(), start=1):
        match = _LOG_LINE.match(line.strip())
        if match is None or int(match["number"]) != len(times):
            raise DatasetError(
                f"{path}:{number}: expected 'img{len(times):05d}.png <time in ns>', found {line!r}",
                "Restore the dataset's log; without the file, frames are paired by number.",
            )
        times.append(int(match["time"]))
    return np.array(times, np.int64) if times else None


@dataclass(frozen=True)
class Pairing:
    """The colour frame that belongs to each frame of depth's window.

    Attributes:
        colour: frame numbers of the colour stream, one per depth frame, not decreasing.
        found_by: 'timestamps' or 'position'.
        lag: median over the window of colour number minus depth number, both counted from the
            start of their streams, a half counting as none; positive: colour began earlier.
        apart_ms: median of colour time minus depth time, of frames of the same number and of the
            frames as paired; None unless found by timestamps.
    """

    colour: tuple[int, ...]
    found_by: str
    lag: int
    apart_ms: tuple[float, float] | None


def pair_frames(
    depth_window: tuple[int, int],
    colour_window: tuple[int, int],
    depth_times: Log,
    colour_times: Log,
    where: str,
) -> Pairing:
    """Return the colour frame for each frame of depth's window.

    With both logs: the colour frame nearest in time (ties: the earlier one). Without: by position
    within the two windows.

    Args:
        depth_window: half-open, frames of the depth stream.
        colour_window: half-open, frames of the colour stream.
        depth_times: log of the depth stream.
        colour_times: log of the colour stream.
        where: list and line, for the message.

    Raises:
        DatasetError: no logs, and windows of different lengths; logs of two recordings.
    """
    depth, colour = np.arange(*depth_window), np.arange(*colour_window)
    apart_ms = None
    if depth_times is not None and colour_times is not None:
        # A window may pass the end of its stream by a frame or two: hold the last time.
        targets = depth_times[np.minimum(depth, len(depth_times) - 1)]
        apart = np.abs(colour_times[None, :] - targets[:, None])
        if apart.min(axis=1).max() > _MAX_APART_NS:
            raise DatasetError(
                f"{where}: the colour frame nearest to a depth frame is"
                f" {apart.min(axis=1).max() / 1e9:.1f} s away; the logs are of two recordings",
                "Restore the logs; without them, frames are paired by number.",
            )
        colour = np.maximum.accumulate(apart.argmin(axis=1))
        same = colour_times[np.minimum(depth, len(colour_times) - 1)]
        apart_ms = _median_ms(same - targets), _median_ms(colour_times[colour] - targets)
    elif len(colour) != len(depth):
        raise DatasetError(
            f"{where}: the depth window has {len(depth)} frames, the colour window {len(colour)},"
            " and there are no logs to pair them by",
            "Restore the logs, or give both windows the same length.",
        )
    return Pairing(
        colour=tuple(colour.tolist()),
        found_by="timestamps" if apart_ms else "position",
        lag=int(np.median(colour - depth)),
        apart_ms=apart_ms,
    )


def _median_ms(times_ns: NDArray[np.int64]) -> float:
    return float(np.median(times_ns)) / 1e6
