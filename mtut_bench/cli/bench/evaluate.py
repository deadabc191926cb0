"""The command that measures testing: bench evaluate."""

from mtut_bench.cli.bench.measured_run import (
    Choice,
    DatasetOption,
    DeviceOption,
    FoldOption,
    MethodOption,
    ModalitiesOption,
    PrecisionOption,
    ProtocolOption,
    RepeatsOption,
    SecondsOption,
    SetOption,
    plan_measured_run,
)
from mtut_bench.cli.bench.speed_table import print_speed
from mtut_bench.cli.options import (
    DATA,
    DataOption,
    DeviceCacheMode,
    DeviceCacheOption,
    JsonOption,
    Precision,
    Size,
    SizeOption,
    StoreOption,
    WorkersOption,
)
from mtut_bench.cli.printing import make_reporter

__all__ = ["evaluate"]


def evaluate(
    dataset: DatasetOption = None,
    store: StoreOption = None,
    size: SizeOption = Size.TINY,
    data: DataOption = DATA,
    method: MethodOption = "mtut",
    protocol: ProtocolOption = "paper",
    modalities: ModalitiesOption = "",
    fold: FoldOption = "",
    settings: SetOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = Precision.AUTO,
    device_cache: DeviceCacheOption = DeviceCacheMode.AUTO,
    workers: WorkersOption = None,
    seconds: SecondsOption = 5.0,
    repeats: RepeatsOption = 3,
    as_json: JsonOption = False,
) -> None:
    """Clips per second of the whole-clip test beside those of the training step."""
    from mtut_bench.benchmarks.speed import bench_evaluate

    choice = Choice(
        dataset=dataset,
        store=store,
        size=size,
        data=data,
        method=method,
        protocol=protocol,
        modalities=modalities,
        fold=fold,
        settings=tuple(settings or ()),
        device=device,
        precision=precision,
        device_cache=device_cache,
        workers=workers,
        recompute=False,
    )
    plan, machine = plan_measured_run(choice)
    with make_reporter(as_json).ticker("measure", unit="windows") as ticker:
        found = bench_evaluate(plan, machine, seconds=seconds, repeats=repeats, progress=ticker)
    print_speed(found, as_json=as_json)
