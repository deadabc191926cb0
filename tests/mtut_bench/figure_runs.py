"""Finished runs made by hand, of any classes, modalities and clips, for the figures."""

import json

import numpy as np

from mtut_bench.contract import predictions
from mtut_bench.files import sha256_of_json
from mtut_bench.runs.finished import FinishedRun
from mtut_bench.runs.record import RunRecord
from mtut_bench.typed import typed

TITLES = {"i3d": "I3D", "mtut": "MTUT", "c3d": "C3D"}


def make_scores(labels, said, num_classes, clip_ids=None):
    """Predictions of one class for each clip: `said` per modality, probability 0.6."""
    labels = np.asarray(labels, dtype=np.int64)
    ids = clip_ids or [f"clip{n}" for n in range(len(labels))]
    rest = 0.4 / max(num_classes - 1, 1)
    stack = np.full((len(said), len(labels), num_classes), rest, dtype=np.float32)
    for part, classes in zip(stack, said.values(), strict=True):
        part[np.arange(len(labels)), list(classes)] = 0.6 if num_classes > 1 else 1.0
    return predictions.Predictions(tuple(ids), labels, tuple(said), np.log(stack), stack)


def make_run(
    folder,
    labels=(0, 1, 2, 0),
    said=None,
    *,
    method="i3d",
    fold="1",
    seed=0,
    classes=("left", "right", "up"),
    subjects=None,
    num_frames=None,
    clip_ids=None,
    folds=("1",),
    store=(),
    identity=(),
):
    """A finished run whose folder is made; `said` per modality, all right by default."""
    said = {"rgb": labels, "depth": labels} if said is None else said
    scores = make_scores(labels, said, len(classes), clip_ids)
    path = folder / f"{method}-{fold}-{seed}-{'+'.join(said)}"
    path.mkdir(parents=True, exist_ok=True)
    identity = {
        "protocol": {"name": "demo", "version": 1},
        "method": {"name": method},
        "modalities": list(said),
        "fold": fold,
        "seed": seed,
        "store_digest": "d" * 64,
        "num_classes": len(classes),
        "weights_digest": None,
        "precision": "fp32",
        "overrides": {},
    } | dict(identity)
    content = {
        "format_version": 2,
        "id": sha256_of_json(identity),
        "state": "complete",
        "identity": identity,
        "method": {"name": method, "title": TITLES[method], "fusion_title": TITLES[method]},
        "protocol": {"name": "demo", "version": 1, "tables": []},
        "store": {
            "name": "tiny",
            "dataset": "viva-synthetic",
            "origin": "synthetic",
            "complete": False,
            "num_clips": len(labels),
            "expected_clips": 885,
            "digest": "d" * 64,
            "folds": list(folds),
            "classes": list(classes),
            "subject_unit": "person",
        }
        | dict(store),
        "test_clips": list(scores.clip_ids),
        "test_subjects": list(subjects or ["1"] * len(labels)),
        "test_frames": list(num_frames or [20 + 3 * n for n in range(len(labels))]),
        "padded_clips": [],
        "joint_learning_rate": dict.fromkeys(said, 0.01),
        "provenance": {"device": "cpu"},
    }
    return FinishedRun(
        folder=path,
        record=typed(content, RunRecord),
        scores=scores,
        subjects=tuple(content["test_subjects"]),
        num_frames=tuple(content["test_frames"]),
    )


def add_maps(run, *, steps=2, side=2, size=(8, 12), correlate=True, moments=2):
    """Write maps.npz of the first and last test clip, noise of a fixed seed."""
    random = np.random.default_rng(7)
    arrays = {}
    for number, clip_id in enumerate(sorted({run.scores.clip_ids[0], run.scores.clip_ids[-1]})):
        arrays[f"{number}/id"] = np.array(clip_id)
        for modality in run.scores.modalities:
            channels = {"rgb": 3, "flow": 2}.get(modality, 1)
            blocks = steps * side * side
            arrays[f"{number}/{modality}/map"] = random.random((steps, side, side)).astype("f4")
            if correlate:
                matrix = np.corrcoef(random.random((blocks, 9)))
                arrays[f"{number}/{modality}/correlation"] = matrix.astype("f4")
            shape = (moments, *size, channels)
            arrays[f"{number}/{modality}/thumbs"] = random.integers(1, 255, shape, np.uint8)
    np.savez_compressed(run.folder / "maps.npz", **arrays)
    return run


def log_entry(stage, epoch, modality, cross_entropy, **terms):
    return {"stage": stage, "epoch": epoch, "modality": modality} | {
        "cross_entropy": cross_entropy,
        **terms,
    }


def add_log(run, entries):
    lines = "".join(json.dumps(entry) + "\n" for entry in entries)
    (run.folder / "log.jsonl").write_text(lines)
    return run
