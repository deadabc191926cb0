"""Runs written by hand, clip by clip, for the tests of comparisons."""

import json

import numpy as np
from record_bench import completed

from mtut_bench.contract import predictions
from mtut_bench.files import sha256_of_json
from mtut_bench.runs.finished import find_runs

OFFICIAL = {"folds": ["official"], "fold": "official"}
CLASSES = ('say "up"', "left & right", "<down>")


def predict(rights):
    """Predictions by a pattern for each modality: clip n has label n mod 3, right at a 1."""
    num_clips, num_classes = len(rights[0]), len(CLASSES)
    labels = np.arange(num_clips, dtype=np.int64) % num_classes
    stack = np.full((len(rights), num_clips, num_classes), 0.1, dtype=np.float32)
    for scores, right in zip(stack, rights, strict=True):
        marks = np.array([mark == "1" for mark in right])
        scores[np.arange(num_clips), np.where(marks, labels, (labels + 1) % num_classes)] = 0.8
    return labels, stack


def write_run(runs, right, method="mtut", fold="1", seed=0, modalities=("rgb",), **changes):
    """Write a run; ``right`` is a text of 0 and 1 per clip, or such a text for each modality.

    ``subjects`` (a letter per clip; default the fold's name), ``prefix`` of the clip ids; anything
    else goes to the identity, the store or the provenance, wherever such a key is.
    """
    labels, stack = predict([right] * len(modalities) if isinstance(right, str) else right)
    subjects = changes.pop("subjects", None) or [fold] * len(labels)
    prefix = changes.pop("prefix", f"fold{fold}-")
    ids = [f"{prefix}{n:03d}" for n in range(len(labels))]
    identity = {
        "protocol": {"name": "paper", "version": 1},
        "method": {"name": method},
        "modalities": list(modalities),
        "fold": fold,
        "seed": seed,
        "store_digest": "d" * 64,
        "weights_digest": None,
        "precision": "fp32",
        "overrides": {},
        "mirror": None,
    }
    store = {
        "name": "viva",
        "dataset": "viva",
        "origin": "recorded",
        "complete": True,
        "num_clips": 885,
        "expected_clips": 885,
        "digest": "d" * 64,
        "folds": list("12345678"),
        "classes": list(CLASSES),
        "subject_unit": "person",
    }
    provenance = {"device": "cpu"}
    for part in (identity, store, provenance):
        part |= {key: changes.pop(key) for key in list(changes) if key in part}
    assert not changes, changes
    identity |= {"store_digest": store["digest"], "num_classes": len(store["classes"])}
    run_id = sha256_of_json(identity)
    manifest = {
        "format_version": 2,
        "id": run_id,
        "state": "complete",
        "identity": identity,
        "method": {"name": method, "title": method.upper(), "fusion_title": method.upper()},
        "protocol": {"tables": ["1"], **identity["protocol"]},
        "store": store,
        "test_clips": ids,
        "test_subjects": list(subjects),
        "test_frames": [40] * len(labels),
        "padded_clips": [],
        "joint_learning_rate": dict.fromkeys(modalities, 0.001),
        "provenance": provenance,
    }
    folder = runs / store["name"] / run_id[:12]
    folder.mkdir(parents=True)
    predictions.write(
        folder / "predictions.npz",
        predictions.Predictions(tuple(ids), labels, tuple(modalities), np.log(stack), stack),
    )
    (folder / "manifest.json").write_text(json.dumps(completed(manifest)))
    return folder


def write_folds(runs, rights, **changes):
    """Write a run for each fold from 1 on."""
    return [write_run(runs, right, fold=str(n), **changes) for n, right in enumerate(rights, 1)]


def found(runs):
    return find_runs(runs).runs
