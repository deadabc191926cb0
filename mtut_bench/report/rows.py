"""Finished runs as long-form rows: one row for each run and each set of modalities it is tested on.

A run is ``<runs>/<store>/<first 12 digits of its id>`` with ``manifest.json``, written last, and
``predictions.npz``. Columns are constant, so that rows of different releases can be concatenated.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, TypedDict

from mtut_bench import metrics, predictions
from mtut_bench.errors import PredictionError, RunError
from mtut_bench.files import canonical_json, sha256_of_json
from mtut_bench.predictions import Predictions
from mtut_bench.report.manifest import CURE, Manifest, read_manifest
from mtut_bench.types import MODALITIES

__all__ = ["Collected", "ResultRow", "collect", "modality_order"]

_NOT_STORES = ("stages",)
_RUN_FOLDER = re.compile(r"[0-9a-f]{12}")


class ResultRow(TypedDict):
    """One number of one run; raw, never rounded.

    Keys that need words: ``complete``: the store holds every clip of its dataset. ``tables``:
    published tables that the protocol may fill, separated by spaces. ``overrides`` and ``settings``
    (of the method): canonical JSON. ``printed_as``: the name under which published tables print
    this number. ``modalities`` (trained on) and ``tested_on``: joined with '+'. ``padded_clips``:
    test clips shorter than the network's minimum, which were padded to it. ``learning_rate``: of
    stage two, for each modality tested on. ``family``: digest of all of the run's identity but
    fold, seed and modalities; numbers of different families are never averaged. ``value``,
    ``ci_low``, ``ci_high``: in [0, 1], Wilson 95 percent interval of the clips.
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
    printed_as: str
    settings: str
    modalities: str
    fold: str
    num_folds: int
    seed: int
    precision: str
    weights_digest: str
    padded_clips: int
    learning_rate: str
    family: str
    metric: str
    tested_on: str
    correct: int
    total: int
    value: float
    ci_low: float
    ci_high: float
    device: str


@dataclass(frozen=True)
class Collected:
    """Everything found under a folder of runs.

    Attributes:
        rows: sorted by store, run and modalities tested on.
        num_runs: finished runs behind the rows.
        num_in_progress: run folders that are not finished.
    """

    rows: tuple[ResultRow, ...]
    num_runs: int
    num_in_progress: int


def collect(runs: Path) -> Collected:
    """Return the rows of every finished run; reads only.

    Args:
        runs: folder of runs; may be absent, which is the same as empty.

    Raises:
        RunError: a manifest that is unreadable or of another format, or predictions that are
            missing or belong to other clips; names the folder and the cure.
        PredictionError: a predictions file that is truncated or corrupt.
    """
    rows: list[ResultRow] = []
    num_runs = num_in_progress = 0
    for folder in _run_folders(runs):
        found = _rows(folder) if (folder / "manifest.json").exists() else None
        if found is None:
            num_in_progress += 1
        else:
            num_runs += 1
            rows.extend(found)
    return Collected(tuple(rows), num_runs, num_in_progress)


def modality_order(tested_on: str) -> tuple[int, tuple[int, ...], str]:
    """Return a sort key: single modalities first, then fusions, each in the project's order.

    Args:
        tested_on: modalities joined with '+'.
    """
    names = tested_on.split("+")
    known: dict[str, int] = {name: index for index, name in enumerate(MODALITIES)}
    return len(names), tuple(known.get(name, len(known)) for name in names), tested_on


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


def _rows(folder: Path) -> list[ResultRow] | None:
    manifest = read_manifest(folder / "manifest.json")
    if manifest.get("state", str) != "complete":
        return None
    if manifest.get("id", str)[:12] != folder.name:
        manifest.refuse(f"belongs to run {manifest.content['id'][:12]}, not to this folder")
    scores = _read_predictions(folder, manifest)
    common = _common(manifest)
    rows = []
    for tested in _subsets(scores.modalities):
        fused_NK = predictions.fuse(scores, tested)
        correct, total = metrics.num_correct(fused_NK, scores.labels_N), len(scores.clip_ids)
        low, high = metrics.wilson_interval(correct, total)
        row = common.copy()
        row["tested_on"] = "+".join(tested)
        row["printed_as"] = manifest.get(
            "method.fusion_title" if len(tested) > 1 else "method.title", str
        )
        rates = manifest.get("joint_learning_rate", dict)
        row["learning_rate"] = " ".join(f"{rates[name]:g}" for name in tested)
        row["correct"], row["total"], row["value"] = correct, total, correct / total
        row["ci_low"], row["ci_high"] = low, high
        rows.append(row)
    return rows


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


def _common(manifest: Manifest) -> ResultRow:
    get = manifest.get
    identity: dict[str, Any] = get("identity", dict)
    folds, fold = get("store.folds", list), get("identity.fold", str)
    if fold not in folds:
        manifest.refuse(f"has fold {fold!r}, which is none of the store's {folds}")
    shared = {k: v for k, v in identity.items() if k not in ("fold", "seed", "modalities")}
    settings = {k: v for k, v in get("identity.method", dict).items() if k != "name"}
    return ResultRow(
        run=get("id", str)[:12],
        store=get("store.name", str),
        store_digest=get("store.digest", str),
        dataset=get("store.dataset", str),
        origin=get("store.origin", str),
        complete=get("store.complete", bool),
        num_clips=get("store.num_clips", int),
        expected_clips=get("store.expected_clips", int),
        num_classes=len(get("store.classes", list)),
        protocol=get("protocol.name", str),
        protocol_version=get("protocol.version", int),
        tables=" ".join(str(number) for number in get("protocol.tables", list)),
        overrides=canonical_json(get("identity.overrides", dict)),
        method=get("method.name", str),
        title=get("method.title", str),
        printed_as="",
        settings=canonical_json(settings),
        modalities="+".join(sorted(get("identity.modalities", list), key=modality_order)),
        fold=fold,
        num_folds=len(folds),
        seed=get("identity.seed", int),
        precision=get("identity.precision", str),
        weights_digest=get("identity.weights_digest", str, type(None)) or "",
        padded_clips=len(get("padded_clips", list)),
        learning_rate="",
        family=sha256_of_json(shared)[:12],
        metric="accuracy",
        tested_on="",
        correct=0,
        total=0,
        value=0.0,
        ci_low=0.0,
        ci_high=0.0,
        device=get("provenance.device", str),
    )


def _subsets(modalities: Sequence[str]) -> Iterator[tuple[str, ...]]:
    ordered = sorted(modalities, key=modality_order)
    for size in range(1, len(ordered) + 1):
        yield from combinations(ordered, size)
