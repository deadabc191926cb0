"""Speed and size of stores: one of EgoGesture's many clips, and one of ordinary frames.

Both are synthetic. Times of opening and of the clip table do not depend on the size of frames, nor
does the number of files; so the many clips have tiny frames. Files are cached when they are read.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from mtut_bench.benchmarks.measurement import (
    Benchmark,
    Measure,
    Progress,
    machine_facts,
    seconds_of,
    take_turns,
)
from mtut_bench.contract.types import ClipRow, Split
from mtut_bench.files import StrPath, canonical_json
from mtut_bench.store.attributes import StoreFacts
from mtut_bench.store.format import Geometry, StorePlan
from mtut_bench.store.reader import StoreReader
from mtut_bench.store.writer import StoreWriter, write_unit

__all__ = ["EGOGESTURE_CLIPS", "bench_store"]

EGOGESTURE_CLIPS = 24_161

_OPEN_LIMIT_MS, _TABLE_LIMIT_MS, _FILES_LIMIT = 15.0, 100.0, 4_500.0
_READ_FLOOR = 0.75
_REPEATS, _WINDOW = 25, 64
_PACKAGES = ("mtut-bench", "numpy", "numcodecs", "zarr")
_TINY = Geometry(("rgb", "depth"), 4, 4)
_ORDINARY = Geometry(("rgb", "depth"), 240, 320)

MakeFrames = Callable[[int, tuple[int, int, int, int]], NDArray[np.uint8]]


def bench_store(
    folder: StrPath, *, num_clips: int = EGOGESTURE_CLIPS, progress: Progress | None = None
) -> Benchmark:
    """Measure opening, clip table, number of files and random windows of synthetic stores.

    Args:
        folder: for the stores; those that are there already are measured as they are.
        num_clips: of the large store.
        progress: called with (units written, units in all).
    """
    many, frames = Path(folder) / f"clips-{num_clips}.zarr", Path(folder) / "frames.zarr"
    facts = machine_facts(_PACKAGES)
    _build(many, _plan(_lengths(num_clips), _TINY), _flat_frames, progress)
    _build(frames, _plan([80] * 8, _ORDINARY), _moving_frames, None)
    facts["stores"] = (
        f"synthetic: {num_clips:,} clips of {_TINY.width}x{_TINY.height}, 8 clips of 80 frames of"
        f" {_ORDINARY.width}x{_ORDINARY.height}, {'+'.join(_TINY.modalities)}: {folder}"
    )
    return Benchmark((*_bench_opening(many), *_bench_windows(frames)), facts)


def _bench_opening(path: Path) -> list[Measure]:
    rows = StoreReader(path).table.rows  # once before: imports are done, files are cached

    def time_table() -> float:
        reader = StoreReader(path)
        return seconds_of(lambda: reader.table)

    found = take_turns(
        {"open": lambda: seconds_of(partial(StoreReader, path)), "table": time_table}, _REPEATS
    )
    opened, table = (median(found[name]) * 1e3 for name in ("open", "table"))
    num_files = sum(file.is_file() for file in path.rglob("*"))
    note = f"{len(rows):,} clips, median of {_REPEATS}"
    return [
        Measure("open a store", opened, "ms", limit=_OPEN_LIMIT_MS, note=note),
        Measure("read the clip table", table, "ms", limit=_TABLE_LIMIT_MS, note=note),
        Measure("files", num_files, "files", limit=_FILES_LIMIT, note="+".join(_TINY.modalities)),
    ]


def _bench_windows(path: Path) -> list[Measure]:
    """Return the rate of random windows through the reader, beside zarr's own of the same array."""
    reader = StoreReader(path)
    rng, rounds = np.random.default_rng(0), 4 * _REPEATS
    measures: list[Measure] = []
    for modality in reader.modalities:
        array: Any = zarr.open_array(path / "frames" / modality, mode="r")
        reader.read(0, modality)
        # A window begins at a frame of a clip: of the store for zarr.
        drawn = [_draw_window(reader, rng) for _ in range(rounds)]
        ours = iter(partial(reader.read, clip, modality, at, at + _WINDOW) for clip, at, _ in drawn)
        zarrs = iter(partial(array.__getitem__, slice(at, at + _WINDOW)) for _, _, at in drawn)
        found = take_turns(
            {"ours": partial(_time_next, ours), "zarr": partial(_time_next, zarrs)}, rounds
        )
        rate, baseline = (1 / median(found[name]) for name in ("ours", "zarr"))
        name, note = f"{_WINDOW}-frame windows, {modality}", f"median of {rounds}"
        measures.append(Measure(name, rate, "windows/s", baseline, _READ_FLOOR, note=note))
    return measures


def _time_next(reads: Iterator[Callable[[], object]]) -> float:
    return seconds_of(next(reads))


def _draw_window(reader: StoreReader, rng: np.random.Generator) -> tuple[int, int, int]:
    """Return a clip, a frame of it, and the same frame's place in the store."""
    clip = int(rng.integers(len(reader.table.rows)))
    start = int(rng.integers(reader.table.rows[clip].num_frames - _WINDOW + 1))
    return clip, start, reader.table.offsets[clip] + start


def _lengths(num_clips: int) -> list[int]:
    """Return lengths like EgoGesture's: 3 to 196 frames, on average 40."""
    drawn = np.random.default_rng(0).normal(40, 12, num_clips)
    return [int(length) for length in np.clip(np.rint(drawn), 3, 196)]


def _plan(lengths: Sequence[int], geometry: Geometry) -> StorePlan:
    splits: tuple[Split, ...] = ("train", "val", "test")
    rows: list[ClipRow] = []
    sources: list[str] = []
    for number, length in enumerate(lengths):
        subject, scene = number // 484 + 1, number // 81 % 6 + 1
        video = f"subject{subject:02d}/scene{scene}/group{number // 9 % 9 + 1}"
        window = [number % 2000, number % 2000 + length]
        clip_id = f"{video}/{number:06d}-{window[1]:06d}"
        rows.append(ClipRow(clip_id, str(subject), number % 83, -1, splits[subject % 3], length))
        paths = {m: f"images/{video}/{m}/%06d.jpg" for m in geometry.modalities}
        sources.append(canonical_json({**paths, "window": window}))
    return StorePlan(tuple(rows), tuple(sources), geometry, _facts(len(rows)))


def _facts(num_clips: int) -> StoreFacts:
    return StoreFacts(
        dataset="store-benchmark",
        origin="synthetic",
        complete=True,
        expected_clips=num_clips,
        classes=tuple(f"gesture {number}" for number in range(1, 84)),
        mirror=None,
        fold_rule="split",
        subject_unit="person",
        fps=30.0,
        depth_polarity="",
        flow={},
        colour="generated",
        alignment={},
        assumptions=(),
        source="",
        licence="",
    )


def _build(path: Path, plan: StorePlan, make: MakeFrames, progress: Progress | None) -> None:
    """Write a store, unless it is there."""
    if path.exists():
        return
    writer, geometry = StoreWriter(path, plan), plan.geometry
    with writer.lock():
        writer.begin()
        units = [unit for unit, _ in writer.pending()]
        for done, unit in enumerate(units, 1):
            clips = (
                (
                    index,
                    {m: make(index, geometry.shape(m, stop - start)) for m in geometry.modalities},
                )
                for index, (start, stop) in unit.places.items()
            )
            write_unit(writer.partial, geometry, unit, clips)
            if progress:
                progress(done, len(units))
        writer.finish({})


def _flat_frames(index: int, shape: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    return np.full(shape, index % 251, np.uint8)


def _moving_frames(index: int, shape: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """Return waves that move, with the noise of a camera: zstd packs them as it packs videos."""
    length, height, width, channels = shape
    noise_HWC = np.random.default_rng(index).integers(-1, 2, (height + length, width, channels))
    y_H, x_W = np.linspace(0, 4 * math.pi, height), np.linspace(0, 5 * math.pi, width)
    frames = np.empty(shape, np.uint8)
    for t in range(length):
        wave_HW = 128 + 50 * np.sin(y_H + 0.1 * t)[:, None] + 50 * np.cos(x_W - 0.2 * t)
        frames[t] = wave_HW.astype(np.int64)[..., None] + noise_HWC[t : t + height]
    return frames
