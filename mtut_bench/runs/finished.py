"""Finished runs under a folder: manifest and predictions, checked against each other.

A run is ``<runs>/<store>/<first 12 digits of its id>`` with ``manifest.json``, written last,
``predictions.npz``, ``log.jsonl`` (an entry per epoch and modality) and ``maps.npz``.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mtut_bench.contract import predictions
from mtut_bench.contract.predictions import Predictions
from mtut_bench.errors import PredictionError, RunError
from mtut_bench.files import StrPath
from mtut_bench.runs.record import HINT, RunRecord, read_record, refuse, run_folders

__all__ = ["FinishedRun", "Found", "find_runs"]


@dataclass(frozen=True)
class FinishedRun:
    """One finished run.

    Attributes:
        folder: its folder.
        record: its manifest.
        scores: its predictions; every test clip of the fold once.
        subjects: who is seen, in the order of ``scores.clip_ids``.
        num_frames: length of the clips, in the same order.
    """

    folder: Path
    record: RunRecord
    scores: Predictions
    subjects: tuple[str, ...]
    num_frames: tuple[int, ...]


@dataclass(frozen=True)
class Found:
    """Everything under a folder of runs.

    Attributes:
        runs: finished ones, by store and id; every id once.
        num_in_progress: run folders that are not finished.
        copies: folders of finished runs whose id is among ``runs`` already; not counted.
    """

    runs: tuple[FinishedRun, ...]
    num_in_progress: int
    copies: tuple[Path, ...] = ()


def find_runs(runs: StrPath) -> Found:
    """Return every finished run; reads only.

    Args:
        runs: folder of runs; may be absent, which is the same as empty.

    Raises:
        RunError: a manifest that is unreadable, of another format or contradicts itself,
            predictions that are missing, or two labels of a clip of one store and fold; names
            folders and hint.
        PredictionError: a predictions file that is truncated, corrupt or of other clips.
    """
    finished: list[FinishedRun] = []
    num_in_progress = 0
    for folder in run_folders(runs):
        run = _read(folder) if (folder / "manifest.json").exists() else None
        if run is None:
            num_in_progress += 1
        else:
            finished.append(run)
    counted = _each_once(finished)
    _check_labels(counted)
    folders = {run.folder for run in counted}
    copies = tuple(run.folder for run in finished if run.folder not in folders)
    return Found(tuple(counted), num_in_progress, copies)


def _each_once(runs: Sequence[FinishedRun]) -> list[FinishedRun]:
    """Return one run of each id: that in its store's own folder, or the first."""
    by_id: dict[str, list[FinishedRun]] = defaultdict(list)
    for run in runs:
        by_id[run.record.id].append(run)
    return [
        next((run for run in alike if run.folder.parent.name == run.record.store.name), alike[0])
        for alike in by_id.values()
    ]


def _check_labels(runs: Sequence[FinishedRun]) -> None:
    """Refuse runs that cannot both be right."""
    by_fold: dict[tuple[str, str], FinishedRun] = {}
    for run in runs:
        record = run.record
        first = by_fold.setdefault((record.store.digest, record.identity.fold), run)
        labels = _labels(first)
        for clip, label in _labels(run).items():
            if labels.get(clip, label) != label:
                classes = record.store.classes
                raise RunError(
                    f"{first.folder} and {run.folder} have the "
                    f"same store and fold, but clip {clip!r} is "
                    f"{classes[labels[clip]]!r} in one and {classes[label]!r} in the "
                    "other.",
                    "One of them was altered: move it out of the runs folder, or repeat it.",
                )


def _labels(run: FinishedRun) -> dict[str, int]:
    return dict(zip(run.scores.clip_ids, run.scores.labels_N.tolist(), strict=True))


def _read(folder: Path) -> FinishedRun | None:
    path = folder / "manifest.json"
    record = read_record(path)
    if record.state != "complete":
        return None
    if record.id[:12] != folder.name:
        refuse(path, f"belongs to run {record.id[:12]}, not to this folder")
    clip_ids, subjects, num_frames = record.test_clips, record.test_subjects, record.test_frames
    if not clip_ids:
        refuse(path, "has no 'test_clips'")
    if not len(clip_ids) == len(subjects) == len(num_frames):
        refuse(path, "has test_clips, test_subjects and test_frames of different lengths")
    if len(set(clip_ids)) != len(clip_ids):
        refuse(path, "has a duplicate test clip")
    scores = _read_predictions(folder, record)
    place = {clip_id: index for index, clip_id in enumerate(clip_ids)}
    order = [place[clip_id] for clip_id in scores.clip_ids]
    return FinishedRun(
        folder=folder,
        record=record,
        scores=scores,
        subjects=tuple(subjects[index] for index in order),
        num_frames=tuple(num_frames[index] for index in order),
    )


def _read_predictions(folder: Path, record: RunRecord) -> Predictions:
    path = folder / "predictions.npz"
    if not path.exists():
        raise RunError(f"{path} is missing although the run is complete.", HINT)
    try:
        scores = predictions.read(path)
    except PredictionError as fault:
        raise PredictionError(fault.what, HINT) from fault
    try:
        predictions.check_complete(scores, record.test_clips)
    except PredictionError as fault:
        raise PredictionError(f"{path}: {fault.what}", HINT) from fault
    trained_on = record.identity.modalities
    num_classes = len(record.store.classes)
    if sorted(scores.modalities) != sorted(trained_on) or scores.num_classes != num_classes:
        refuse(
            folder / "manifest.json",
            f"says {num_classes} classes of {list(trained_on)}, predictions.npz has "
            f"{scores.num_classes} of {list(scores.modalities)}",
        )
    return scores
