"""Commands that measure: speeds as ratios to bare calls of the same run, sizes, memory."""

import typer

from mtut_bench.cli.bench import evaluate, loader, prepare, store, train
from mtut_bench.cli.printing import examples

__all__ = ["bench_app"]

bench_app = typer.Typer(
    no_args_is_help=True,
    help="Measure this machine: rates as ratios to bare calls of the same run, sizes, memory."
    " Nothing fails; what misses its bound is marked.",
)

bench_app.command(epilog=examples("bench prepare nvgesture --raw /disk/nvGesture_v1"))(
    prepare.prepare
)
bench_app.command(epilog=examples("bench store --keep /tmp/stores"))(store.store)
bench_app.command(
    epilog=examples(
        "bench train --dataset viva-synthetic --protocol demo",
        "bench train --dataset nvgesture --processes 1,2,4 --json",
    )
)(train.train)
bench_app.command(epilog=examples("bench loader --dataset nvgesture --device-cache always"))(
    loader.loader
)
bench_app.command(epilog=examples("bench evaluate --dataset nvgesture"))(evaluate.evaluate)
