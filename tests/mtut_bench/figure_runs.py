"""Finished runs made by hand, of any classes, modalities and clips, for the figures."""

import json
from dataclasses import replace

import numpy as np
from page_bench import finished_run
from record_bench import scores_of

from mtut_bench.files import sha256_of_json

TITLES = {"i3d": "I3D", "mtut": "MTUT", "c3d": "C3D"}


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
        scores_of(list(said.values()), labels, len(classes), tuple(said), sure=0.6),
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
