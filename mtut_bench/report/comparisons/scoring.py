"""A user's own predictions: read, checked, scored and paired with stored runs like any method.

Axis letters (suffixes of array names): S seed, N clip, K class.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mtut_bench.contract.types import ClipRow, name_recordings
from mtut_bench.errors import ComparisonError, UsageError, did_you_mean
from mtut_bench.files import StrPath, write_atomic
from mtut_bench.progress import counted
from mtut_bench.report.comparisons.prediction_csv import empty_predictions, read_predicted
from mtut_bench.report.comparisons.sentences import (
    Comparison,
    describe,
    interval,
    kind_of_store,
    not_comparable,
    points,
    score_conclusion,
)
from mtut_bench.report.tables.table import Number, Table
from mtut_bench.runs.finished import FinishedRun
from mtut_bench.statistics import comparable
from mtut_bench.statistics.notes import setting_notes
from mtut_bench.statistics.paired import ComparisonRow, correct_for_family, measure
from mtut_bench.statistics.rows import RunFacts, modality_order, numbers_of, run_facts, tested_sets
from mtut_bench.statistics.sides import Paired, gather, right_clips, tested_on
from mtut_bench.store.reader import StoreReader

__all__ = ["Score", "score", "write_template"]


@dataclass(frozen=True)
class Score:
    """The score of a user's predictions.

    Attributes:
        title: whose, on what.
        sentence: accuracy, interval and mean over classes.
        conclusion: three short lines; without comparisons the last of the notes is among them.
        table: the predictions beside each stored method.
        comparisons: with each stored method on the same clips.
        notes: what could not be compared, and why.
        correct: clips right.
        total: test clips of the fold.
        macro: mean of the accuracies of the classes that occur, in [0, 1].
        predicted: class of each test clip.
    """

    title: str
    sentence: str
    conclusion: tuple[str, str, str]
    table: Table
    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...]
    correct: int
    total: int
    macro: float
    predicted: dict[str, int]


def score(
    path: StrPath,
    reader: StoreReader,
    fold: str,
    runs: Iterable[FinishedRun],
    *,
    name: str | None = None,
    modality: str | None = None,
) -> Score:
    """Return the accuracy of a file of predictions, and its paired comparisons.

    Args:
        path: CSV; see :func:`mtut_bench.report.comparisons.prediction_csv.read_predicted`.
        reader: the store whose clips were predicted.
        fold: name of one of its folds.
        runs: stored runs; those of this store's digest and this fold's clips are compared.
        name: what to call the predictions; default: the file's name without its ending.
        modality: compare only with this modality of the runs, or modalities joined by '+';
            default: with each by itself and all together.

    Raises:
        PredictionError: the file is unreadable, incomplete, or names unknown clips or classes.
        UsageError: there is no such fold or modality.
        StoreError: the store cannot be read.
    """
    _check_modality(modality, reader)
    attributes, classes = reader.attributes, reader.attributes.classes
    num_folds, clips = _test_clips(reader, fold)
    ids = [clip.clip_id for clip in clips]
    labels_N = np.array([clip.label for clip in clips], dtype=np.int64)
    predicted_N = read_predicted(path, ids, list(classes))
    runs = list(runs)
    name = name or Path(path).stem
    if name in {run.record.method.name for run in runs}:
        name += " (yours)"
    pairs, notes = _pairs(runs, attributes.digest, fold, clips, predicted_N, name, modality)
    measured = [[measure(two, [tested]) for tested in two.right_a] for two in pairs]
    corrected = iter(correct_for_family([row for rows in measured for row in rows]))
    comparisons = tuple(
        describe([two], [next(corrected) for _ in rows])
        for two, rows in zip(pairs, measured, strict=True)
    )
    subjects = [clip.subject for clip in clips]
    numbers = numbers_of(np.eye(len(classes))[predicted_N], labels_N, subjects)
    correct, total, macro = numbers["correct"], numbers["total"], numbers["macro"]
    low, high = 100.0 * numbers["ci_low"], 100.0 * numbers["ci_high"]
    right = f"{name}: {100.0 * correct / total:.1f} % of {counted(total, 'test clip')}"
    chance = f"chance {100.0 / len(classes):.1f} %."
    rows = [row for comparison in comparisons for row in comparison.rows]
    of_folds = f"1 of {num_folds} folds" if num_folds > 1 else ""
    kind = kind_of_store(attributes.origin, len(reader.table.rows), attributes.expected_clips)
    title = _title(name, reader, fold, num_folds)
    return Score(
        title=title,
        sentence=f"{right} ({correct:,} right; Wilson 95 % interval of the clips "
        f"[{low:.1f}, {high:.1f}]); mean over classes {100.0 * macro:.1f} %; {chance}",
        conclusion=(
            f"{right}, 95 % interval [{low:.1f}, {high:.1f}]; {chance}",
            score_conclusion(rows) if rows else notes[-1],
            not_comparable(kind, of_folds),
        ),
        table=_table(title, rows),
        comparisons=comparisons,
        notes=tuple(notes),
        correct=correct,
        total=total,
        macro=macro,
        predicted=dict(zip(ids, predicted_N.tolist(), strict=True)),
    )


def write_template(path: StrPath, reader: StoreReader, fold: str) -> int:
    """Write a file of predictions to fill in: the head, and a line for each test clip of a fold.

    Args:
        path: CSV to write; its folder is made if absent.
        reader: the store whose clips are to be predicted.
        fold: name of one of its folds.

    Returns:
        The number of test clips.

    Raises:
        UsageError: the path exists, or there is no such fold.
        StoreError: the store cannot be read.
    """
    _, clips = _test_clips(reader, fold)
    if Path(path).exists():
        raise UsageError(f"{path} already exists.", "Give another name, or move it.")
    write_atomic(Path(path), empty_predictions([clip.clip_id for clip in clips]))
    return len(clips)


def _test_clips(reader: StoreReader, name: str) -> tuple[int, list[ClipRow]]:
    """Return the number of folds, and the test clips of one in the order of their ids."""
    folds = {fold.name: fold for fold in reader.folds()}
    if name not in folds:
        raise UsageError(
            f"{reader.name} has no fold {name!r}.",
            f"{did_you_mean(name, folds)}Choose the fold whose test clips are "
            f"predicted: --fold {', '.join(folds)}.",
        )
    rows, index = reader.table.rows, reader.table.index
    return len(folds), [rows[index[clip]] for clip in sorted(folds[name].test)]


def _check_modality(modality: str | None, reader: StoreReader) -> None:
    if modality is None:
        return
    names, there = modality.split("+"), reader.modalities
    unknown = [name for name in names if name not in there]
    if unknown or len(set(names)) < len(names):
        raise UsageError(
            f"invalid --modality {modality!r} for {reader.name}",
            f"{did_you_mean(unknown[0], there) if unknown else ''}Choose from {', '.join(there)};"
            " join several by '+'.",
        )


def _title(name: str, reader: StoreReader, fold: str, num_folds: int) -> str:
    attributes, num_clips = reader.attributes, len(reader.table.rows)
    by_user = " by user" if reader.fold_unit == "user" else ""
    of_folds = f" (1 of {num_folds})" if num_folds > 1 else ""
    worth = "not comparable with published numbers"
    if attributes.origin == "recorded" and attributes.complete:
        worth = "it is unknown how these predictions were made"
    return (
        f"{name} on {reader.name}, fold {fold}{by_user}{of_folds}: "
        f"{name_recordings(attributes.origin)} ({attributes.dataset}, {num_clips:,} of "
        f"{counted(attributes.expected_clips, 'clip')}); {worth}"
    )


def _table(title: str, rows: Sequence[ComparisonRow]) -> Table:
    """Return the predictions beside each stored method, as a first look needs it."""
    lines = [
        (
            row["b"],
            row["tested_on"],
            Number(100 * row["accuracy_b"], 1),
            points(row["difference"]),
            interval(row),
            "yes" if row["established"] else "no",
        )
        for row in rows
    ]
    heads = ("Beside", "Tested on", "Theirs %", "Difference", "95 % interval", "Established")
    return Table("score", title, heads, tuple(lines), num_labels=2)


def _pairs(
    runs: Iterable[FinishedRun],
    digest: str,
    fold: str,
    clips: Sequence[ClipRow],
    predicted_N: NDArray[np.int64],
    name: str,
    modality: str | None,
) -> tuple[list[Paired], list[str]]:
    """Return the predictions beside each method, and remarks on what cannot be compared."""
    groups: dict[tuple[str, ...], list[FinishedRun]] = defaultdict(list)
    facts: dict[tuple[str, ...], RunFacts] = {}
    ids = {clip.clip_id for clip in clips}
    for run in runs:
        row = run_facts(run)
        same = (row["store_digest"], row["fold"]) == (digest, fold)
        if same and set(run.scores.clip_ids) == ids:
            key = (row["method"], *comparable.key(row, "score"))
            groups[key].append(run)
            facts.setdefault(key, row)
    right_N = predicted_N == np.array([clip.label for clip in clips])
    pairs: list[Paired] = []
    notes: list[str] = []
    for key, some in sorted(groups.items()):
        try:
            label = _label(facts[key], facts.values())
            pairs += _beside(label, some, clips, right_N, name, modality)
        except ComparisonError as fault:
            notes.append(f"Not compared with {key[0]}. {fault.what}")
    if not pairs and not notes:
        wanted = f" tested on {modality}" if modality else ""
        notes.append(f"No finished run on this store and fold{wanted} to compare with.")
    return pairs, notes


def _label(row: RunFacts, others: Iterable[RunFacts]) -> str:
    """Return a method's name, with what tells it from others of that name."""
    alike = [other for other in others if other["method"] == row["method"]]
    told = comparable.described(row, comparable.differing(alike, "score"))
    return f"{row['method']} ({told})" if told else row["method"]


def _beside(
    label: str,
    runs: Sequence[FinishedRun],
    clips: Sequence[ClipRow],
    right_N: NDArray[np.bool_],
    name: str,
    modality: str | None,
) -> list[Paired]:
    side = gather(label, runs)
    ids = [clip.clip_id for clip in clips]
    scores = [run.scores for run in side.runs]
    tested = tested_on(scores)
    if modality is not None:
        wanted = tuple(sorted(modality.split("+"), key=modality_order))
        tested = [some for some in tested_sets(scores) if some == wanted]
        if not tested:
            return []
    right_b = {
        "+".join(some): np.stack([right_clips(one, ids, some) for one in scores]) for some in tested
    }
    return [
        Paired(
            names=(name, label),
            row=side.row,
            seeds=side.seeds,
            folds=side.folds,
            folds_N=side.folds * len(ids),
            subjects_N=tuple(clip.subject for clip in clips),
            right_a={key: np.repeat(right_N[None], len(scores), 0) for key in right_b},
            right_b=right_b,
            notes=(),
            settings=(
                f"{name}: training method and data are unknown.",
                *setting_notes([side.row]),
            ),
        )
    ]
