"""Finished runs made by hand, of any classes, modalities and clips, for the figures."""

import json
from dataclasses import replace

import numpy as np
from page_bench import finished_run

from mtut_bench.contract import predictions
from mtut_bench.files import sha256_of_json

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
    path = folder / f"{method}-{fold}-{seed}-{'+'.join(said)}"
    path.mkdir(parents=True, exist_ok=True)
    kinds = {
        "method": {"name": method, "title": TITLES[method], "fusion_title": TITLES[method]},
        "identity": {"method": {"name": method}, "fold": fold, "seed": seed} | dict(identity),
        "store": {"dataset": "viva-synthetic", "folds": list(folds), "classes": list(classes)}
        | dict(store),
    }
    kinds["identity"] |= {"num_classes": len(classes)}
    run = finished_run(
        make_scores(labels, said, len(classes), clip_ids),
        int(sha256_of_json(kinds), 16),
        **{
            f"{kind}__{name}": value for kind, part in kinds.items() for name, value in part.items()
        },
    )
    return replace(
        run,
        folder=path,
        subjects=tuple(subjects or ["1"] * len(labels)),
        num_frames=tuple(num_frames or [20 + 3 * n for n in range(len(labels))]),
    )


def add_maps(run, *, steps=2, side=2, size=(8, 12), correlate=True, num_thumbs=2):
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
            shape = (num_thumbs, *size, channels)
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
