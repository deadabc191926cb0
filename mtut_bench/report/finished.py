"""Finished runs under a folder: manifest and predictions, checked against each other.

A run is ``<runs>/<store>/<first 12 digits of its id>`` with ``manifest.json``, written last,
``predictions.npz``, ``log.jsonl`` (an entry per epoch and modality) and ``maps.npz``.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mtut_bench import predictions
from mtut_bench.errors import PredictionError, RunError
from mtut_bench.predictions import Predictions
from mtut_bench.report.manifest import CURE, Manifest, read_manifest

__all__ = ["FinishedRun", "Found", "find_runs"]

_NOT_STORES = ("stages",)
_RUN_FOLDER = re.compile(r"[0-9a-f]{12}")


@dataclass(frozen=True)
class FinishedRun:
    """One finished run.

    Attributes:
        folder: its folder.
        manifest: of the run.
        scores: its predictions; every test clip of the fold once.
        subjects: who is seen, in the order of ``scores.clip_ids``.
        num_frames: length of the clips, in the same order.
    """

    folder: Path
    manifest: Manifest
    scores: Predictions
    subjects: tuple[str, ...]
    num_frames: tuple[int, ...]


@dataclass(frozen=True)
class Found:
    """Everything under a folder of runs.

    Attributes:
        runs: finished ones, by store and id.
        num_in_progress: run folders that are not finished.
    """

    runs: tuple[FinishedRun, ...]
    num_in_progress: int


def find_runs(runs: Path) -> Found:
    """Return every finished run; reads only.

    Args:
        runs: folder of runs; may be absent, which is the same as empty.

    Raises:
        RunError: a manifest that is unreadable or of another format, or predictions that are
            missing or belong to other clips; or two runs that cannot both be right: one id in two
            folders, or two labels of a clip of one store and fold. Names folders and cure.
        PredictionError: a predictions file that is truncated or corrupt.
    """
    finished: list[FinishedRun] = []
    num_in_progress = 0
    for folder in _run_folders(runs):
        run = _read(folder) if (folder / "manifest.json").exists() else None
        if run is None:
            num_in_progress += 1
        else:
            finished.append(run)
    _check_together(finished)
    return Found(tuple(finished), num_in_progress)


def _check_together(runs: Sequence[FinishedRun]) -> None:
    """Refuse runs that cannot both be right."""
    by_id: dict[str, FinishedRun] = {}
    by_fold: dict[tuple[str, str], FinishedRun] = {}
    for run in runs:
        get = run.manifest.get
        same = by_id.setdefault(get("id", str), run)
        if same is not run:
            raise RunError(
                f"{same.folder} and {run.folder} are the same run twice.",
                "Move one of them out of the runs; a run may count only once.",
            )
        first = by_fold.setdefault((get("store.digest", str), get("identity.fold", str)), run)
        labels = _labels(first)
        for clip, label in _labels(run).items():
            if labels.get(clip, label) != label:
                raise RunError(
                    f"{first.folder} and {run.folder} are of the same store and fold, and clip "
                    f"{clip!r} has label {labels[clip]} in one and {label} in the other.",
                    "One of them was altered: move it out of the runs, or repeat it.",
                )


def _labels(run: FinishedRun) -> dict[str, int]:
    return dict(zip(run.scores.clip_ids, run.scores.labels_N.tolist(), strict=True))


def _run_folders(runs: Path) -> Iterator[Path]:
    if not runs.is_dir():
        return
    for store in sorted(runs.iterdir()):
        if store.name.startswith(".") or store.name in _NOT_STORES or not store.is_dir():
            continue
        for folder in sorted(store.iterdir()):
            if folder.name.startswith("."):
                continue
            # A report or notes may lie among the stores: only what looks like a run is one.
            if _RUN_FOLDER.fullmatch(folder.name) or (folder / "manifest.json").exists():
                yield folder


def _read(folder: Path) -> FinishedRun | None:
    manifest = read_manifest(folder / "manifest.json")
    if manifest.get("state", str) != "complete":
        return None
    if manifest.get("id", str)[:12] != folder.name:
        manifest.refuse(f"belongs to run {manifest.content['id'][:12]}, not to this folder")
    scores = _read_predictions(folder, manifest)
    clip_ids = manifest.get("test_clips", list)
    subjects, num_frames = manifest.get("test_subjects", list), manifest.get("test_frames", list)
    if not len(clip_ids) == len(subjects) == len(num_frames):
        manifest.refuse("has test_clips, test_subjects and test_frames of different lengths")
    if len(set(clip_ids)) != len(clip_ids):
        manifest.refuse("names a test clip twice")
    place = {clip_id: index for index, clip_id in enumerate(clip_ids)}
    order = [place[clip_id] for clip_id in scores.clip_ids]
    return FinishedRun(
        folder=folder,
        manifest=manifest,
        scores=scores,
        subjects=tuple(str(subjects[index]) for index in order),
        num_frames=tuple(int(num_frames[index]) for index in order),
    )


def _read_predictions(folder: Path, manifest: Manifest) -> Predictions:
    path = folder / "predictions.npz"
    if not path.exists():
        raise RunError(f"{path} is missing although the run is complete.", CURE)
    scores = predictions.read(path)
    try:
        predictions.check_complete(scores, manifest.get("test_clips", list))
    except PredictionError as fault:
        raise PredictionError(f"{path}: {fault.what}", CURE) from fault
    trained_on = manifest.get("identity.modalities", list)
    num_classes = len(manifest.get("store.classes", list))
    if sorted(scores.modalities) != sorted(trained_on) or scores.logits_MNK.shape[2] != num_classes:
        manifest.refuse(
            f"says {num_classes} classes of {trained_on}, predictions.npz has "
            f"{scores.logits_MNK.shape[2]} of {list(scores.modalities)}"
        )
    return scores
