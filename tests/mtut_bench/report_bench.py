"""What the tests of the report share: run folders made by hand, and reports of them."""

import csv
import io
import json
from dataclasses import replace

import numpy as np
from record_bench import completed, manifest, scores_of
from rich.console import Console

from mtut_bench.contract import predictions
from mtut_bench.files import sha256_of_json
from mtut_bench.report import write_report
from mtut_bench.runs.finished import find_runs

FOLDS = tuple("12345678")
OFFICIAL = {"folds": ["official"], "fold": "official"}
CLASSES = ('say "up"', "left & right", "<down>")
I3D = {"name": "i3d", "title": "I3D", "fusion_title": "I3D"}
MTUT = {"name": "mtut", "title": "MTUT", "fusion_title": "MTUT-F"}


def scores(right, num_classes=5, modalities=("rgb", "depth"), num_clips=10, prefix="c"):
    """Predictions with the given number of clips right in every modality."""
    labels = np.arange(num_clips) % num_classes
    said = np.where(np.arange(num_clips) < right, labels, (labels + 1) % num_classes)
    sure = 1.0 - 0.1 * (num_classes - 1)
    return scores_of(said, labels, num_classes, modalities, sure, prefix)


def save_run(runs, found, method, fold, seed, *, subjects=None, padded=0, **changes):
    """Write a run of predictions; a change goes to the part of the manifest that has its name.

    ``identity``, ``protocol`` and ``provenance`` change these parts; ``subjects``: of each clip,
    by default the fold's name; ``padded``: the number of padded clips.
    """
    content = manifest(method["name"]) | {
        "method": method,
        "test_clips": list(found.clip_ids),
        "test_subjects": list(subjects or [fold] * len(found.clip_ids)),
        "test_frames": [40] * len(found.clip_ids),
        "padded_clips": list(found.clip_ids[:padded]),
        "joint_learning_rate": dict.fromkeys(found.modalities, 0.001),
    }
    protocol, store, identity = (content[part] for part in ("protocol", "store", "identity"))
    protocol |= {"name": "paper", "tables": list("123456")} | changes.pop("protocol", {})
    store |= {"name": "viva", "origin": "recorded", "complete": True, "folds": list(FOLDS)}
    identity |= {"modalities": list(found.modalities), "fold": fold, "seed": seed}
    own = changes.pop("identity", {})
    content["provenance"] |= changes.pop("provenance", {})
    for name, value in changes.items():
        part = next(p for p in (store, identity, content["provenance"]) if name in p)
        part[name] = value
    identity |= {
        "protocol": {"name": protocol["name"], "version": protocol["version"]},
        "store_digest": store["digest"],
        "num_classes": len(store["classes"]),
    }
    identity |= own
    content["id"] = sha256_of_json(identity)
    # What was typed follows from the rest.
    del content["spec"]
    folder = runs / store["name"] / content["id"][:12]
    folder.mkdir(parents=True)
    predictions.write(folder / "predictions.npz", found)
    (folder / "manifest.json").write_text(json.dumps(completed(content)))
    return folder


def add_run(
    runs,
    right=5,
    method=MTUT,
    fold="1",
    seed=0,
    modalities=("rgb", "depth"),
    num_test_clips=10,
    **changes,
):
    """Write a run of five classes with so many clips right."""
    found = scores(right, modalities=modalities, num_clips=num_test_clips, prefix=f"fold{fold}-")
    viva = {"num_clips": 80, "expected_clips": 80, "classes": list("abcde")}
    return save_run(runs, found, method, fold, seed, **(viva | changes))


def write_run(
    runs, right, method="mtut", fold="1", seed=0, modalities=("rgb",), ids=None, **changes
):
    """Write a run whose clip n has label n mod 3.

    ``right``: a text of 0 and 1 per clip, right at a 1, or such a text for each modality.
    """
    patterns = [right] if isinstance(right, str) else right
    labels = np.arange(len(patterns[0])) % len(CLASSES)
    said = [(labels + [mark == "0" for mark in marks]) % len(CLASSES) for marks in patterns]
    found = scores_of(said, labels, len(CLASSES), modalities, prefix=f"fold{fold}-")
    found = replace(found, clip_ids=tuple(ids or found.clip_ids))
    names = {"name": method, "title": method.upper(), "fusion_title": method.upper()}
    viva = {"num_clips": 885, "classes": list(CLASSES)}
    return save_run(runs, found, names, fold, seed, **(viva | changes))


def write_folds(runs, rights, **changes):
    """Write a run for each fold from 1 on."""
    return [write_run(runs, right, fold=str(n), **changes) for n, right in enumerate(rights, 1)]


def found(runs):
    return find_runs(runs).runs


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
