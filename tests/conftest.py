"""Tiny stores and a tiny network: the real code paths in milliseconds, without any video."""

import hashlib
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from command_line import run_here
from hypothesis import HealthCheck, settings
from msgspec import convert
from planned import varied
from torch import nn
from torch.nn import functional

from mtut_baselines import METHODS
from mtut_bench.contract.networks import NetworkOutput
from mtut_bench.contract.protocol import PROTOCOLS
from mtut_bench.contract.types import ClipRow, num_channels
from mtut_bench.files import hold_lock
from mtut_bench.store.attributes import StoreFacts
from mtut_bench.store.format import Geometry, StorePlan
from mtut_bench.store.writer import StoreWriter, write_unit

# Hypothesis counts seconds too, which say how busy the machine is.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

FACTS = {
    "dataset": "viva",
    "origin": "synthetic",
    "complete": True,
    "expected_clips": 8,
    "classes": ["left", "right", "up"],
    "mirror": [1, 0, -1],
    "fold_rule": "subject",
    "subject_unit": "person",
    "fps": 15.0,
    "depth_polarity": "near is bright",
    "flow": {},
    "colour": "rgb",
    "alignment": {},
    "assumptions": [],
    "source": "numpy",
    "licence": "none needed",
}


def clip_rows(num_clips=8, num_classes=3, lengths=(12, 5, 9), subjects=("1", "2"), splits=("",)):
    """Return rows whose label, length, subject and split go round."""
    return tuple(
        ClipRow(
            clip_id=f"clip{n:02d}",
            subject=subjects[n % len(subjects)],
            label=n // len(subjects) % num_classes,
            repetition=n,
            split=splits[n % len(splits)],
            num_frames=lengths[n % len(lengths)],
        )
        for n in range(num_clips)
    )


def clip_frames(row, modality, size):
    """Return noise that is a function of clip and modality, brighter in a column per class."""
    key = int.from_bytes(hashlib.sha256(f"{row.clip_id}{modality}".encode()).digest()[:8], "big")
    shape = (row.num_frames, *size, num_channels(modality))
    frames = np.random.default_rng(key).integers(1, 128, shape, dtype=np.uint8)
    width = size[1] // 4
    frames[:, :, row.label * width : (row.label + 1) * width] += 127
    return frames


def build_store(path, rows=None, size=(12, 16), modalities=("rgb", "depth"), **facts):
    """Write a store from numpy and return its path."""
    rows = clip_rows() if rows is None else rows
    geometry = Geometry(modalities, *size)
    plan = StorePlan(rows, ("{}",) * len(rows), geometry, convert(FACTS | facts, StoreFacts))
    writer = StoreWriter(path, plan)
    writer.begin()
    for unit, indices in writer.pending():
        clips = ((n, {m: clip_frames(rows[n], m, size) for m in modalities}) for n in indices)
        write_unit(writer.partial, plan.geometry, unit, clips)
    writer.finish({})
    return path


@pytest.fixture(scope="session", autouse=True)
def _fsync_returns():
    """No test can cut the power, and disks take seconds in all: descriptors are checked alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", os.fstat)
        yield


@pytest.fixture(scope="session")
def built_stores(tmp_path_factory):
    return tmp_path_factory.mktemp("built")


@pytest.fixture
def make_store(tmp_path, built_stores):
    """Return build_store(name, ...) with the test's own folder; equal stores are built once."""

    def make(name="tiny", **options):
        key = hashlib.sha256(repr(sorted(options.items())).encode()).hexdigest()
        if not (built_stores / key).exists():
            build_store(built_stores / key, **options)
        path = tmp_path / "stores" / f"{name}.zarr"
        shutil.rmtree(path, ignore_errors=True)
        return shutil.copytree(built_stores / key, path)

    return make


@pytest.fixture
def make_rows():
    return clip_rows


@pytest.fixture(scope="session")
def prepared(tmp_path_factory, worker_id):
    """A data folder with viva-synthetic-tiny, raw and prepared; to be read, never written.

    The processes of pytest-xdist share one: it takes ten seconds.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "prepared"
    with hold_lock(folder.with_suffix(".lock"), "the prepared recordings", wait=True):
        if not (folder / "stores").exists():
            tiny = ("viva-synthetic", "--size", "tiny")
            run_here("prepare", *tiny, "--data", folder, "--workers", "1")
    return folder


class TinyNetwork(nn.Module):
    """Convolution, batch norm, pooled head with dropout; 2 x 2 x 2 blocks at 8 x 8 x 8."""

    min_frames = 4

    def __init__(self, spec):
        super().__init__()
        self.dropout = spec.dropout
        self.conv = nn.Conv3d(spec.in_channels, 12, 4, stride=4)
        self.bn = nn.BatchNorm3d(12, momentum=spec.bn_momentum)
        self.head = nn.Linear(12, spec.num_classes)

    def forward(self, clip_NCTHW):
        missing = max(0, self.min_frames - clip_NCTHW.shape[2])
        clip_NCTHW = functional.pad(clip_NCTHW, (0, 0, 0, 0, 0, missing))
        features = self.bn(self.conv(clip_NCTHW)).relu()
        pooled_NTC = features.mean(dim=(3, 4)).transpose(1, 2)
        logits = self.head(functional.dropout(pooled_NTC, self.dropout, self.training))
        return NetworkOutput(logits.transpose(1, 2), features)


@pytest.fixture
def tiny_methods():
    """Return the real methods with TinyNetwork in the place of I3D."""
    return {
        name: replace(method, network="tiny", build_network=TinyNetwork)
        for name, method in METHODS.items()
    }


@pytest.fixture
def tiny_protocol():
    """Return the demo protocol at 8 x 8 x 8, 3 + 2 epochs, batch 3."""
    return varied(
        PROTOCOLS["demo"],
        name="tiny",
        clip_length=8,
        short_side=10,
        crop=8,
        batch_size=3,
        epochs_alone=3,
        epochs_joint=2,
        evaluation_batch=3,
        scaling="unit",
    )


@pytest.fixture
def tiny_recipe(tiny_protocol):
    """Return the recipe of the tiny protocol."""
    return tiny_protocol.recipe


@pytest.fixture
def cpu():
    return torch.device("cpu")
