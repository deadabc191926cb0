"""Small stores with known frames, for the tests of everything that reads a store."""

import numpy as np
from msgspec import convert

from mtut_bench.contract.types import ClipRow
from mtut_bench.store.attributes import StoreFacts
from mtut_bench.store.format import Geometry, StorePlan
from mtut_bench.store.writer import StoreWriter, write_unit

FACTS = {
    "dataset": "handmade",
    "origin": "synthetic",
    "complete": False,
    "expected_clips": 99,
    "classes": ["wave", "swipe left", "swipe right"],
    "mirror": [0, 2, 1],
    "fold_rule": "split",
    "subject_unit": "person",
    "fps": 30.0,
    "depth_polarity": "nearer is brighter",
    "flow": {"flow": {"algorithm": "farneback", "source": "rgb"}},
    "colour": "rgb",
    "alignment": {"time": "frame by frame"},
    "assumptions": ["made by hand"],
    "source": "made by hand",
    "licence": "none needed",
}


def make_plan(lengths, modalities=("rgb", "depth"), height=3, width=4, **changes):
    rows = tuple(
        ClipRow(f"clip{i}", f"p{i % 2}", i % 3, i, "train" if i % 2 == 0 else "test", length)
        for i, length in enumerate(lengths)
    )
    sources = tuple(f'{{"rgb":"{row.clip_id}.avi"}}' for row in rows)
    geometry = Geometry(tuple(modalities), height, width)
    return StorePlan(rows, sources, geometry, convert(FACTS | changes, StoreFacts))


def make_frames(plan, seed=0):
    """Random frames of every clip and modality."""
    rng = np.random.default_rng(seed)
    return [
        {
            m: rng.integers(0, 256, plan.geometry.shape(m, row.num_frames), np.uint8)
            for m in plan.geometry.modalities
        }
        for row in plan.rows
    ]


def write_units(writer: StoreWriter, frames, pending=None) -> None:
    """Write pending (unit, clips); a text in place of frames skips a clip."""
    for unit, indices in writer.pending() if pending is None else pending:
        clips = ((index, frames[index]) for index in indices)
        write_unit(writer.partial, writer.plan.geometry, unit, clips)


def write_store(path, plan, frames=None):
    """Write a whole store; return its digest."""
    writer = StoreWriter(path, plan)
    with writer.lock():
        writer.begin()
        write_units(writer, make_frames(plan) if frames is None else frames)
        return writer.finish({"mtut-bench": "test"})
