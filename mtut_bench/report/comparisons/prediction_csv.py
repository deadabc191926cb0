"""A user's own predictions from a CSV file, checked clip by clip.

Axis letters (suffixes of array names): N clip, K class.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mtut_bench.errors import PredictionError
from mtut_bench.files import StrPath

__all__ = ["empty_predictions", "read_predicted"]

_CLIP, _PREDICTED = "clip_id", "predicted"
_NUM_NAMED = 5
_LONGEST_SHOWN = 60
# What else float() takes (1_000, other scripts' digits, nan) is more often a mistake.
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_FORMAT = (
    "Write one line per test clip: clip_id, and either predicted (class name "
    "or 0-based number) or one score column per class, named by class or number."
)


def read_predicted(
    path: StrPath, clip_ids: Sequence[str], classes: Sequence[str]
) -> NDArray[np.int64]:
    """Return the predicted class of each clip, int64, (N,), in the order of ``clip_ids``.

    The file is CSV with a head: ``clip_id`` and either ``predicted``, a class's name or, where it
    is no class's name, its 0-based number; or one column of scores for each class, all headed by
    names or all by numbers, of which the highest counts (of equal ones the first class).

    Args:
        path: the file, UTF-8.
        clip_ids: all test clips of the fold.
        classes: names, in the order of the store's labels.

    Raises:
        PredictionError: no file, no such columns, a clip missing, twice or unknown, a class unknown
            or a score that is no finite number; names the first few.
    """
    path = Path(path)
    head, lines = _read_csv(path)
    if head.count(_CLIP) != 1 or len(set(head)) < len(head):
        raise _fault(path, f"needs one column {_CLIP} and no duplicate columns, has {_named(head)}")
    place = head.index(_CLIP)
    _check_clips(path, [line[place] for _, line in lines], clip_ids)
    columns = [column for column in head if column != _CLIP]
    if columns == [_PREDICTED]:
        chosen = head.index(_PREDICTED)
        found = {line[place]: _class(path, at, line[chosen], classes) for at, line in lines}
    else:
        order = _class_columns(path, head, columns, classes)
        found = {line[place]: _highest(path, at, [line[i] for i in order]) for at, line in lines}
    return np.array([found[clip] for clip in clip_ids], dtype=np.int64)


def empty_predictions(clip_ids: Sequence[str]) -> bytes:
    """Return a file as :func:`read_predicted` takes it, its column of predictions empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([(_CLIP, _PREDICTED), *((clip, "") for clip in clip_ids)])
    return text.getvalue().encode()


def _read_csv(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the head, and the other lines with the number on which each begins; no blank ones."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as fault:
        raise PredictionError(f"{path} cannot be read: {fault.strerror}.", _FORMAT) from fault
    except UnicodeDecodeError as fault:
        raise PredictionError(f"{path} is not a UTF-8 CSV file: {fault}.", _FORMAT) from fault
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    lines: list[tuple[int, list[str]]] = []
    at = 1
    try:
        for line in reader:
            cells = [cell.strip() for cell in line]
            if any(cells):
                lines.append((at, cells))
            at = reader.line_num + 1
    except csv.Error as fault:
        # A quote that is never closed is found at the end of the file, or when it grew too long.
        raise _fault(
            path, f"is not valid CSV from line {at} on: {fault} (perhaps an unclosed quote)"
        ) from fault
    if not lines:
        raise _fault(path, "is empty")
    (_, head), *lines = lines
    for at, line in lines:
        if len(line) != len(head):
            raise _fault(path, f"line {at} has {len(line)} values, the header {len(head)}")
    return head, lines


def _check_clips(path: Path, found: Sequence[str], expected: Sequence[str]) -> None:
    counts, wanted = Counter(found), set(expected)
    kinds = {
        "missing": [clip for clip in expected if clip not in counts],
        "twice": [clip for clip, count in counts.items() if count > 1],
        "not test clips of this fold": [clip for clip in counts if clip not in wanted],
    }
    faults = [f"{len(clips)} {kind} ({_named(clips)})" for kind, clips in kinds.items() if clips]
    if faults:
        complaint = f"does not have each of the {len(expected):,} test clips exactly once"
        raise _fault(path, f"{complaint}: {'; '.join(faults)}")


def _numbers(classes: Sequence[str]) -> list[str]:
    """Return the number of each class as it is written: 7 is one, 007 is a text."""
    return [str(index) for index in range(len(classes))]


def _class(path: Path, at: int, text: str, classes: Sequence[str]) -> int:
    for names in (list(classes), _numbers(classes)):
        if text in names:
            return names.index(text)
    raise _fault(
        path,
        f"line {at} predicts {_excerpt(text)!r}, which is neither a class ({_named(classes)}) nor "
        f"one of the numbers 0 to {len(classes) - 1}",
    )


def _class_columns(
    path: Path, head: Sequence[str], columns: Sequence[str], classes: Sequence[str]
) -> list[int]:
    """Return the place of each class's column."""
    for names in (list(classes), _numbers(classes)):
        if set(columns) == set(names):
            return [head.index(name) for name in names]
    missing = [name for name in classes if name not in columns]
    unknown = [name for name in columns if name not in classes]
    raise _fault(
        path,
        f"has neither a column {_PREDICTED} nor a column for each of the {len(classes)} classes: "
        f"{len(missing)} missing ({_named(missing)}), {len(unknown)} unknown ({_named(unknown)})",
    )


def _highest(path: Path, at: int, texts: Sequence[str]) -> int:
    scores_K = np.array([float(text) if _NUMBER.fullmatch(text) else np.nan for text in texts])
    finite_K = np.isfinite(scores_K)
    if not finite_K.all():
        first = _excerpt(texts[int(finite_K.argmin())])
        raise _fault(
            path, f"line {at} has the score {first!r}, which is not a finite decimal number"
        )
    return int(scores_K.argmax())


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(map(_excerpt, names[:_NUM_NAMED]))
    return shown + (", ..." if len(names) > _NUM_NAMED else "")


def _excerpt(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def _fault(path: Path, complaint: str) -> PredictionError:
    return PredictionError(f"{path} {complaint}.", _FORMAT)
