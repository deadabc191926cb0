"""The benchmark of stores at a tiny size: what it builds and reports, never how fast."""

import pytest

from mtut_bench.benchmarks import store_benchmark
from mtut_bench.benchmarks.store_benchmark import bench_store
from mtut_bench.store.format import Geometry
from mtut_bench.store.reader import StoreReader
from mtut_bench.store.verify import verify_store


@pytest.fixture(autouse=True)
def small_frames(monkeypatch):
    monkeypatch.setattr(store_benchmark, "_ORDINARY", Geometry(("rgb", "depth"), 12, 16))
    monkeypatch.setattr(store_benchmark, "_REPEATS", 2)


def measure(folder, **options):
    return bench_store(folder, num_clips=40, **options)


def test_every_number_is_there_with_its_bound(tmp_path):
    found = {m.name: m for m in measure(tmp_path).measures}
    bounds = {name: m.floor or m.limit for name, m in found.items()}
    assert bounds == {
        "open a store": 15,
        "read the clip table": 100,
        "files": 4500,
        "64-frame windows, rgb": 0.75,
        "64-frame windows, depth": 0.75,
    }
    assert all(m.value > 0 for m in found.values())
    windows = found["64-frame windows, rgb"]
    assert windows.ratio == windows.value / windows.baseline
    files = [path for path in (tmp_path / "clips-40.zarr").rglob("*") if path.is_file()]
    assert found["files"].value == len(files)


def test_stores_are_sound(tmp_path):
    turns = []
    measure(tmp_path, progress=lambda *turn: turns.append(turn))
    assert turns[-1][0] == turns[-1][1]
    for name, num_clips in (("clips-40", 40), ("frames", 8)):
        path = tmp_path / f"{name}.zarr"
        assert verify_store(path).faults == ()
        assert len(StoreReader(path).table.rows) == num_clips


def test_stores_that_are_there_are_used(tmp_path):
    measure(tmp_path)
    before = [path.stat().st_mtime_ns for path in sorted(tmp_path.rglob("*")) if path.is_file()]
    measure(tmp_path)
    after = [path.stat().st_mtime_ns for path in sorted(tmp_path.rglob("*")) if path.is_file()]
    assert before == after


def test_lengths_are_like_egogestures():
    lengths = store_benchmark._lengths(store_benchmark.EGOGESTURE_CLIPS)
    assert len(lengths) == 24_161
    assert min(lengths) >= 3
    assert max(lengths) <= 196
    assert sum(lengths) / len(lengths) == pytest.approx(40, abs=0.5)
