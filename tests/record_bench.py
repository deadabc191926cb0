"""Runs for tests: predictions, and records changed by dotted names."""

import json
from dataclasses import replace

import msgspec
import numpy as np

from mtut_bench.contract.predictions import Predictions
from mtut_bench.files import sha256_of_json
from mtut_bench.runs.record import RunRecord
from mtut_bench.typed import typed

DELETED = object()


def scores_of(said, labels, num_classes=3, modalities=("rgb",), sure=0.8, prefix="clip"):
    """Predictions of given classes.

    Args:
        said: predicted class of each clip, or one such list for each modality.
        labels: true class of each clip.
        num_classes: K.
        modalities: of the run.
        sure: probability of the predicted class; the others share the rest.
        prefix: of the clips' ids.
    """
    said_MN = np.broadcast_to(np.asarray(said), (len(modalities), len(labels)))
    rest = (1.0 - sure) / (num_classes - 1)
    probabilities_MNK = np.full((*said_MN.shape, num_classes), rest, np.float32)
    np.put_along_axis(probabilities_MNK, said_MN[..., None], np.float32(sure), axis=2)
    ids = tuple(f"{prefix}{n}" for n in range(len(labels)))
    logits_MNK = np.log(probabilities_MNK)
    labels_N = np.array(labels, np.int64)
    return Predictions(ids, labels_N, tuple(modalities), logits_MNK, probabilities_MNK)


def completed(content):
    """The content of a manifest with the fields that few tests look at."""
    identity, method = content["identity"], {"file": ""} | content["method"]
    protocol, store = content["protocol"], content["store"]
    empty = {"stages": {}, "joint_learning_rate": {}, "precision_check": None, "weights": {}}
    empty |= {"padded_clips": [], "training": {}}
    store = {
        "modalities": identity["modalities"],
        "frame_size": [8, 10],
        "fps": 30.0,
        "colour": "rgb",
        "depth_polarity": "",
        "flow": {},
        "source": "",
        "licence": "",
    } | store
    provenance = {
        "threads": 1,
        "versions": {},
        "git": None,
        "command": "mtut-bench run",
        "started": "2026-01-02T03:04:05+00:00",
        "finished": "2026-01-02T04:04:05+00:00",
        "seconds": 3600.0,
        "resumed": False,
    } | content["provenance"]
    spec = {
        "method": method["file"] or method["name"],
        "store": f"data/stores/{store['name']}.zarr",
        "protocol": protocol["name"],
        "modalities": identity["modalities"],
        "precision": identity["precision"],
    }
    parts = {"method": method, "store": store, "provenance": provenance}
    return {**empty, "spec": spec, **content, **parts}


def manifest(method="mtut", changes=()):
    """The content of the manifest of a small run, with some fields changed; its id fits."""
    content = {
        "format_version": 2,
        "id": "",
        "state": "complete",
        "identity": {
            "protocol": {"name": "demo", "version": 1},
            "overrides": {},
            "method": {"name": method},
            "modalities": ["rgb", "depth"],
            "store_digest": "d" * 64,
            "num_classes": 2,
            "fold": "1",
            "mirror": None,
            "seed": 0,
            "precision": "fp32",
            "weights_digest": None,
        },
        "method": {"name": method, "title": method.upper(), "fusion_title": method.upper()},
        "protocol": {"name": "demo", "version": 1, "tables": []},
        "store": {
            "name": "tiny",
            "dataset": "viva",
            "origin": "synthetic",
            "complete": False,
            "num_clips": 2,
            "expected_clips": 885,
            "digest": "d" * 64,
            "folds": ["1", "2"],
            "classes": ["left", "right"],
            "subject_unit": "person",
        },
        "test_clips": ["a"],
        "test_subjects": ["1"],
        "test_frames": [40],
        "provenance": {"device": "cpu", "command": "mtut-bench run"},
    }
    content = edited(completed(content), dict(changes))
    return content | {"id": sha256_of_json(content["identity"])}


def content_of(record):
    """The content of a record's manifest, all of it new."""
    return json.loads(json.dumps(msgspec.to_builtins(record)))


def edited(content, changes):
    """Set or delete fields of a manifest's content; a number in a name is an index of a list."""
    for dotted, value in changes.items():
        *outer, last = (int(key) if key.isdigit() else key for key in dotted.split("."))
        part = content
        for key in outer:
            part = part[key]
        if value is DELETED:
            del part[last]
        else:
            part[last] = value
    return content


def changed(run, changes):
    """A finished or trained run whose record has other fields; its id stays as it is."""
    return replace(run, record=typed(edited(content_of(run.record), changes), RunRecord))
