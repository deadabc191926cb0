"""How fast training, loading and testing are, beside plain loops measured in the same run."""

from mtut_bench.benchmarks.speed.benches import bench_evaluate, bench_loader, bench_train
from mtut_bench.benchmarks.speed.processes import measure_together
from mtut_bench.benchmarks.speed.rates import Rate, SpeedReport, Window
from mtut_bench.benchmarks.speed.training import Training

__all__ = [
    "Rate",
    "SpeedReport",
    "Training",
    "Window",
    "bench_evaluate",
    "bench_loader",
    "bench_train",
    "measure_together",
]
