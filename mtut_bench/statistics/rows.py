"""Finished runs as long-form rows: one for each run and each set of modalities it is tested on."""

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from mtut_bench.contract import metrics, predictions
from mtut_bench.contract.predictions import Predictions
from mtut_bench.contract.types import MODALITIES
from mtut_bench.files import canonical_json, sha256_of_json
from mtut_bench.runs.finished import FinishedRun
from mtut_bench.runs.record import RunRecord, refuse

__all__ = [
    "COLUMNS",
    "NO_FIT",
    "Numbers",
    "ResultRow",
    "RunFacts",
    "modality_order",
    "numbers_of",
    "result_rows",
    "run_facts",
    "tested_sets",
]


class RunFacts(TypedDict):
    """What is known of a run without looking at a score.

    ``run``, ``seed``, ``family``: of an ensemble, see :mod:`mtut_bench.statistics.ensembles`.
    ``complete``: the store holds every clip of its dataset. ``tables``: published tables that the
    protocol may fill, separated by spaces. ``overrides``, ``settings`` (of the method) and
    ``mirror`` (classes that a mirrored clip turns into): canonical JSON. ``modalities``: trained
    on, joined with '+'. ``padded_clips``: test clips that were padded to the network's minimum.
    ``family``: digest of all of the run's identity but fold, seed and modalities; numbers of
    different families are never averaged.
    """

    run: str
    store: str
    store_digest: str
    dataset: str
    origin: str
    complete: bool
    num_clips: int
    expected_clips: int
    num_classes: int
    protocol: str
    protocol_version: int
    tables: str
    overrides: str
    method: str
    title: str
    settings: str
    modalities: str
    fold: str
    num_folds: int
    seed: int
    precision: str
    weights_digest: str
    padded_clips: int
    family: str
    subject_unit: str
    device: str
    mirror: str


class Numbers(TypedDict):
    """What is counted of scores, see :class:`ResultRow`."""

    correct: int
    total: int
    value: float
    ci_low: float
    ci_high: float
    macro: float
    per_subject: str


class ResultRow(RunFacts, Numbers):
    """One number of one run, or of two that are averaged; raw, never rounded.

    ``printed_as``: the name in published tables. ``learning_rate``: of stage two, for each modality
    tested on; "" for a method without one. ``tested_on``: modalities joined with '+'. ``value``,
    ``ci_low``, ``ci_high``: in [0, 1], Wilson 95 percent interval of the clips. ``fit``: canonical
    JSON of :class:`mtut_bench.training.fit.Fit` on the training clips, in 'training' and
    'evaluation' mode with the statistics of the test; of methods that align, in 'start', the
    objective's terms where stage two begins, S ('ssa') and lambda * S ('w') among them.
    """

    printed_as: str
    learning_rate: str
    metric: str
    tested_on: str
    fit: str


COLUMNS = (
    *("run", "store", "store_digest", "dataset", "origin", "complete", "num_clips"),
    *("expected_clips", "num_classes", "protocol", "protocol_version", "tables", "overrides"),
    *("method", "title", "printed_as", "settings", "modalities", "fold", "num_folds", "seed"),
    *("precision", "weights_digest", "padded_clips", "learning_rate", "family", "metric"),
    *("tested_on", "correct", "total", "value", "ci_low", "ci_high", "macro", "subject_unit"),
    *("per_subject", "device", "mirror", "fit"),
)
"""Columns of a row, in the order in which they are written; new ones are added at the end."""


NO_FIT = "{}"
"""Of fused modalities, methods without networks and runs of earlier releases."""


def result_rows(runs: Iterable[FinishedRun]) -> tuple[ResultRow, ...]:
    """Return the rows of finished runs, sorted by store, run and modalities tested on.

    Raises:
        RunError: a manifest without a field; names it and the hint.
    """
    return tuple(row for run in runs for row in _rows(run))


def modality_order(tested_on: str) -> tuple[int, tuple[int, ...], str]:
    """Return a sort key: single modalities first, then fusions, each in the project's order."""
    names = tested_on.split("+")
    known: dict[str, int] = {name: index for index, name in enumerate(MODALITIES)}
    return len(names), tuple(known.get(name, len(known)) for name in names), tested_on


def _rows(run: FinishedRun) -> list[ResultRow]:
    facts, method, scores = run_facts(run), run.record.method, run.scores
    rows = []
    for tested in tested_sets([scores]):
        numbers = numbers_of(predictions.fuse(scores, tested), scores.labels_N, run.subjects)
        row = ResultRow(
            **facts,
            printed_as=method.fusion_title if len(tested) > 1 else method.title,
            learning_rate=_learning_rate(run, tested),
            metric="accuracy",
            tested_on="+".join(tested),
            fit=_fit(run.record, tested),
            **numbers,
        )
        rows.append(row)
    return rows


def tested_sets(scores: Iterable[Predictions]) -> list[tuple[str, ...]]:
    """Return every set of modalities that runs on the same ones are tested on, in order.

    Where some scores are margins, which have no mean, that is each modality by itself.
    """
    scores = list(scores)
    ordered = sorted(scores[0].modalities, key=modality_order)
    largest = len(ordered) if all(one.can_be_fused for one in scores) else 1
    return [some for size in range(1, largest + 1) for some in combinations(ordered, size)]


def _learning_rate(run: FinishedRun, tested: Sequence[str]) -> str:
    rates = run.record.joint_learning_rate
    for name in tested if rates else ():
        if name not in rates:
            refuse(run.folder / "manifest.json", f"has no 'joint_learning_rate.{name}'")
    return " ".join(f"{rates[name]:g}" for name in tested if rates)


def _fit(record: RunRecord, tested: Sequence[str]) -> str:
    found = record.training.get(tested[0], {}) if len(tested) == 1 else {}
    kind = str(record.identity.protocol.get("bn_statistics", "running"))
    # A network without batch norms has nothing to recompute.
    evaluation = found.get(kind, found.get("running"))
    if evaluation is None or "training_mode" not in found:
        return NO_FIT
    fit = {"training": found["training_mode"], "evaluation": evaluation}
    if "stage_two_start" in found:
        fit["start"] = found["stage_two_start"]
    return canonical_json(fit)


def numbers_of(
    scores_NK: NDArray[np.float64], labels_N: NDArray[np.int64], subjects: Sequence[str]
) -> Numbers:
    """Return the numbers of scores, (N, K), of clips with labels and subjects, (N,)."""
    correct, total = metrics.num_correct(scores_NK, labels_N), len(labels_N)
    low, high = metrics.wilson_interval(correct, total)
    return Numbers(
        correct=correct,
        total=total,
        value=correct / total,
        ci_low=low,
        ci_high=high,
        macro=float(np.nanmean(metrics.per_class_accuracy(scores_NK, labels_N))),
        per_subject=_per_subject(subjects, scores_NK.argmax(axis=1) == labels_N),
    )


def _per_subject(subjects: Sequence[str], right_N: NDArray[np.bool_]) -> str:
    counts: dict[str, list[int]] = {}
    for subject, right in zip(subjects, right_N.tolist(), strict=True):
        count = counts.setdefault(subject, [0, 0])
        count[0] += right
        count[1] += 1
    return canonical_json(counts)


def run_facts(run: FinishedRun) -> RunFacts:
    """Return what is known of a run without looking at a score."""
    record = run.record
    identity, store = record.identity, record.store
    shared = {k: v for k, v in record.hashed.items() if k not in ("fold", "seed", "modalities")}
    settings = {k: v for k, v in identity.method.items() if k != "name"}
    return RunFacts(
        run=record.id[:12],
        store=store.name,
        store_digest=store.digest,
        dataset=store.dataset,
        origin=store.origin,
        complete=store.complete,
        num_clips=store.num_clips,
        expected_clips=store.expected_clips,
        num_classes=len(store.classes),
        protocol=record.protocol.name,
        protocol_version=record.protocol.version,
        tables=" ".join(map(str, record.protocol.tables)),
        overrides=canonical_json(identity.overrides),
        method=record.method.name,
        title=record.method.title,
        settings=canonical_json(settings),
        modalities="+".join(sorted(identity.modalities, key=modality_order)),
        fold=identity.fold,
        num_folds=len(store.folds),
        seed=identity.seed,
        precision=identity.precision,
        weights_digest=identity.weights_digest or "",
        padded_clips=len(record.padded_clips),
        family=sha256_of_json(shared)[:12],
        subject_unit=store.subject_unit,
        device=record.provenance.device,
        mirror=canonical_json(identity.mirror),
    )
