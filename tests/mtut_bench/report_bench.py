"""What the tests of the report share: run folders made by hand, and reports of them."""

import csv
import io
import json

import numpy as np
from record_bench import completed
from rich.console import Console

from mtut_bench.contract import predictions
from mtut_bench.files import sha256_of_json
from mtut_bench.report import write_report

FOLDS = tuple("12345678")
I3D = {"name": "i3d", "title": "I3D", "fusion_title": "I3D"}
MTUT = {"name": "mtut", "title": "MTUT", "fusion_title": "MTUT-F"}


def scores(right, num_classes=5, modalities=("rgb", "depth"), num_clips=10, prefix="c"):
    """Predictions with the given number of clips right in every modality."""
    labels = np.arange(num_clips, dtype=np.int64) % num_classes
    said = np.where(np.arange(num_clips) < right, labels, (labels + 1) % num_classes)
    probabilities = np.full((num_clips, num_classes), 0.1, dtype=np.float32)
    probabilities[np.arange(num_clips), said] = 1.0 - 0.1 * (num_classes - 1)
    stack = np.stack([probabilities] * len(modalities))
    ids = tuple(f"{prefix}{n}" for n in range(num_clips))
    return predictions.Predictions(ids, labels, tuple(modalities), np.log(stack), stack)


def add_run(runs, right=5, method=MTUT, fold="1", seed=0, modalities=("rgb", "depth"), **changes):
    """Write one run; changes go to the store, or to the part of the manifest they name."""
    protocol = {"name": "paper", "version": 1, "tables": list("123456")}
    protocol |= changes.pop("protocol", {})
    provenance = {"device": "cpu", "resumed": False} | changes.pop("provenance", {})
    padded, num_test_clips = changes.pop("padded", 0), changes.pop("num_test_clips", 10)
    found = scores(right, modalities=modalities, num_clips=num_test_clips, prefix=f"fold{fold}-")
    changed_identity = changes.pop("identity", {})
    store = {
        "name": "viva",
        "dataset": "viva",
        "origin": "recorded",
        "complete": True,
        "num_clips": 80,
        "expected_clips": 80,
        "digest": "d" * 64,
        "modalities": list(modalities),
        "folds": list(FOLDS),
        "classes": list("abcde"),
        "subject_unit": "person",
    } | changes
    identity = {
        "protocol": {"name": protocol["name"], "version": protocol["version"]},
        "method": {"name": method["name"]},
        "modalities": list(modalities),
        "fold": fold,
        "seed": seed,
        "store_digest": store["digest"],
        "num_classes": len(store["classes"]),
        "weights_digest": None,
        "precision": "fp32",
        "overrides": {},
        "mirror": None,
    } | changed_identity
    run_id = sha256_of_json(identity)
    manifest = {
        "format_version": 2,
        "id": run_id,
        "state": "complete",
        "identity": identity,
        "method": method,
        "protocol": protocol,
        "store": store,
        "test_clips": list(found.clip_ids),
        "test_subjects": [fold] * len(found.clip_ids),
        "test_frames": [40] * len(found.clip_ids),
        "padded_clips": list(found.clip_ids[:padded]),
        "joint_learning_rate": dict.fromkeys(modalities, 0.001),
        "provenance": provenance,
    }
    folder = runs / store["name"] / run_id[:12]
    folder.mkdir(parents=True)
    predictions.write(folder / "predictions.npz", found)
    (folder / "manifest.json").write_text(json.dumps(completed(manifest)))
    return folder


def add_folds(runs, rights, **changes):
    for fold, right in zip(FOLDS, rights, strict=False):
        add_run(runs, right, fold=fold, **changes)


def edit(folder, **changes):
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def nvgesture(**changes):
    return {
        "name": "nvgesture",
        "dataset": "nvgesture",
        "folds": ["official"],
        "fold": "official",
        "num_clips": 1532,
        "expected_clips": 1532,
    } | changes


def report(tmp_path, **options):
    return write_report(tmp_path / "runs", tmp_path / "out", **options)


def measured(result):
    """Measured cells beside printed ones, by table, method and modalities."""
    return {
        (cell["table"], cell["method"], cell["tested_on"]): cell["measured"]
        for table in result.tables
        if not table.local
        for cell in table.cells
        if cell["measured"] != ""
    }


def own(result):
    return [table for table in result.tables if table.local]


def paper(result, number):
    (table,) = (table for table in result.tables if table.key == number)
    return table


def printed(result, width=100, published=None):
    console = Console(file=io.StringIO(), width=width)
    result.print(console, published)
    return console.file.getvalue()


def read_csv(path):
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def names_in(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
