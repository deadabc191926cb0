"""The command line: the one place where referee, adapters and players meet.

Commands parse, call one library function and print what it wrote. Nothing heavy is imported before
a command needs it: ``mtut-bench --help`` loads no torch.
"""

import os
import signal
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mtut_bench import __version__
from mtut_bench.errors import InterruptedRunError, MtutBenchError, UsageError
from mtut_bench.progress import Reporter

if TYPE_CHECKING:
    from mtut_bench.planning import Request
    from mtut_preprocess import Dataset
    from mtut_preprocess.adapter import RawDataset

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Train with several modalities, test with one: a paired, repeated, reproducible benchmark"
    " of dynamic hand-gesture recognition.",
    epilog="Try it without any recordings: [bold]mtut-bench prepare viva-synthetic --size tiny"
    "[/bold], then [bold]mtut-bench run --dataset viva-synthetic --size tiny --protocol demo"
    "[/bold], then [bold]mtut-bench report[/bold].",
)
console = Console()


class Size(StrEnum):
    """Sizes of a synthetic twin."""

    TINY = "tiny"
    MINI = "mini"
    FULL = "full"


class Colour(StrEnum):
    """Colour streams of NVGesture."""

    SK_COLOR = "sk_color"
    SK_WRAPPED = "sk_wrapped"


class Precision(StrEnum):
    """Precisions of training and test."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"


class Subject(StrEnum):
    """What ``list`` can list."""

    DATASETS = "datasets"
    METHODS = "methods"
    PROTOCOLS = "protocols"
    RUNS = "runs"
    STORES = "stores"


DataOption = Annotated[
    Path,
    typer.Option(
        "--data", envvar="MTUT_BENCH_DATA", help="Holds raw/<dataset>, stores/<name>.zarr."
    ),
]
RunsOption = Annotated[
    Path, typer.Option("--runs", envvar="MTUT_BENCH_RUNS", help="Folder of runs.")
]
RawOption = Annotated[
    Path | None, typer.Option("--raw", help="Raw folder, if not <data>/raw/<dataset>.")
]
StoreOption = Annotated[
    str | None,
    typer.Option("--store", help="Name of the store, if not the dataset (and size of a twin)."),
]
SizeOption = Annotated[Size, typer.Option("--size", help="Of a synthetic twin.")]
ColourOption = Annotated[
    Colour,
    typer.Option(
        "--colour", help="NVGesture: sk_color (the paper's) or sk_wrapped (registered to depth)."
    ),
]
WorkersOption = Annotated[
    int | None, typer.Option("--workers", min=0, help="Processes; changes no result.")
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Say what would be done; do nothing.")
]
DATA, RUNS = Path("data"), Path("runs")


@app.command(
    epilog="[bold]mtut-bench prepare nvgesture --raw /disk/nvGesture_v1[/bold]    "
    "[bold]mtut-bench prepare viva-synthetic --size tiny[/bold]"
)
def prepare(
    dataset: Annotated[str, typer.Argument(help="See `mtut-bench list datasets`.")],
    data: DataOption = DATA,
    raw: RawOption = None,
    store: StoreOption = None,
    size: SizeOption = Size.TINY,
    colour: ColourOption = Colour.SK_COLOR,
    workers: WorkersOption = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Make the store anew, whatever is there.")
    ] = False,
    dry_run: DryRunOption = False,
) -> None:
    """Turn raw recordings into a store; a twin's recordings are generated first. Resumes."""
    from mtut_preprocess.convert import describe_plan, plan_store
    from mtut_preprocess.convert import prepare as prepare_store

    reporter, chosen = Reporter(console), _dataset(dataset)
    path = _store_path(data, store, dataset, size)
    if dry_run and chosen.twin and not _raw_folder(data, raw, chosen, size).exists():
        reporter.line(f"would generate {dataset} ({size.value}), then prepare {path}")
        return
    opened = _raw_dataset(chosen, data, raw, size, colour, workers, reporter)
    if dry_run:
        for text in describe_plan(*plan_store(opened), path):
            reporter.line(text)
        return
    with reporter.ticker(f"prepare {path.stem}") as ticker:
        done = prepare_store(
            opened, path, workers=_cores(workers), overwrite=overwrite, progress=ticker
        )
    for text in done.notes:
        reporter.line(f"note: {text}")
    state = "prepared" if done.new else "nothing to do: already prepared,"
    reporter.line(f"{state} {done.num_clips} clips, digest {done.digest[:12]} -> {done.path}")


@app.command(epilog="[bold]mtut-bench synth nvgesture-synthetic --size tiny --whole[/bold]")
def synth(
    twin: Annotated[str, typer.Argument(help="viva-synthetic or nvgesture-synthetic.")],
    data: DataOption = DATA,
    raw: RawOption = None,
    size: SizeOption = Size.TINY,
    seed: Annotated[int, typer.Option(help="Other persons, scenes and noise.")] = 0,
    whole: Annotated[
        bool, typer.Option("--whole", help="Whole recordings, not only the gestures' windows.")
    ] = False,
    workers: WorkersOption = None,
) -> None:
    """Generate synthetic recordings in a dataset's own raw layout. Resumes."""
    chosen = _dataset(twin)
    if not chosen.twin:
        raise UsageError(f"{twin} is recorded, not generated", "Use one of: " + _twins() + ".")
    folder = _raw_folder(data, raw, chosen, size)
    _generate(chosen, folder, size, _cores(workers), Reporter(console), seed=seed, whole=whole)


@app.command(
    epilog="[bold]mtut-bench verify nvgesture --raw /disk/nvGesture_v1[/bold]    "
    "[bold]mtut-bench verify --store mini[/bold]"
)
def verify(
    dataset: Annotated[str, typer.Argument(help="Dataset whose raw folder is checked.")] = "",
    data: DataOption = DATA,
    raw: RawOption = None,
    store: StoreOption = None,
    size: SizeOption = Size.TINY,
    colour: ColourOption = Colour.SK_COLOR,
    workers: WorkersOption = None,
) -> None:
    """Check a raw folder (every file decoded) or a store (every frame hashed); exit 1 on faults."""
    from mtut_bench.verification import verify_store
    from mtut_preprocess.verify import verify_raw

    reporter, bad = Reporter(console), False
    if not dataset and store is None:
        raise UsageError("nothing to verify", "Name a dataset, or a store with --store.")
    if dataset:
        chosen = _dataset(dataset)
        opened = chosen.open_raw(_raw_folder(data, raw, chosen, size), colour.value)
        with reporter.ticker(f"decode {dataset}") as ticker:
            report = verify_raw(opened, _cores(workers), ticker)
        bad |= _print_findings(str(opened.root), report.describe(), report.faults)
    if store is not None or (dataset and _store_path(data, None, dataset, size).exists()):
        path = _store_path(data, store, dataset, size)
        with reporter.ticker(f"hash {path.stem}") as ticker:
            found = verify_store(path, ticker)
        bad |= _print_findings(str(path), found.describe(), found.faults)
    if bad:
        raise typer.Exit(1)


@app.command(epilog="[bold]mtut-bench inspect --store viva-synthetic-tiny --contact-sheet[/bold]")
def inspect(
    dataset: Annotated[str, typer.Argument(help="Dataset whose store is meant.")] = "viva",
    data: DataOption = DATA,
    store: StoreOption = None,
    size: SizeOption = Size.TINY,
    contact_sheet: Annotated[
        bool, typer.Option("--contact-sheet", help="Also draw one row per class as a PNG.")
    ] = False,
) -> None:
    """Summarise a store; with --contact-sheet draw eight moments of each class."""
    from mtut_bench.inspection import contact_sheet as draw
    from mtut_bench.inspection import summarise
    from mtut_bench.store_reader import StoreReader

    reader = StoreReader(_store_path(data, store, dataset, size))
    reader.check_files()
    table = Table("", escape(str(reader.path)), show_edge=False)
    for what, value in summarise(reader):
        table.add_row(escape(what), escape(value))
    console.print(table)
    if contact_sheet:
        path = reader.path.with_name(f"{reader.name}-contact-sheet.png")
        draw(reader, path)
        console.print(f"wrote {path}", markup=False, highlight=False, soft_wrap=True)


@app.command(
    epilog="[bold]mtut-bench run --method mtut --fold all[/bold]    "
    "[bold]mtut-bench run --table 7 --dataset viva-synthetic --protocol demo --dry-run[/bold]"
)
def run(
    method: Annotated[
        str, typer.Option("--method", help="See `list methods`; or your own: file.py:build.")
    ] = "mtut",
    dataset: Annotated[str | None, typer.Option("--dataset", help="Default viva.")] = None,
    fold: Annotated[str, typer.Option("--fold", help="Name of a fold, or all.")] = "all",
    modalities: Annotated[
        str, typer.Option("--modalities", help="Such as rgb,depth; default: all of the store's.")
    ] = "",
    protocol: Annotated[
        str | None, typer.Option("--protocol", help="See `list protocols`. Default paper.")
    ] = None,
    table: Annotated[
        str, typer.Option("--table", "--tables", help="All that tables need: 7, or 1,4, or all.")
    ] = "",
    seed: Annotated[int, typer.Option("--seed", help="One of the protocol's.")] = 0,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="name=value: a marked variant of the protocol; repeatable."),
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N.")] = "auto",
    precision: Annotated[
        Precision, typer.Option("--precision", help="auto: bf16 on a GPU, fp32 elsewhere.")
    ] = Precision.AUTO,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Less memory, more time, the same numbers.")
    ] = False,
    data: DataOption = DATA,
    runs: RunsOption = RUNS,
    store: StoreOption = None,
    size: SizeOption = Size.TINY,
    workers: WorkersOption = None,
    dry_run: DryRunOption = False,
    clips_per_second: Annotated[
        float | None,
        typer.Option("--clips-per-second", min=0.001, help="For --dry-run's hours."),
    ] = None,
) -> None:
    """Train and test methods on a prepared store. Skips what is done, resumes what was killed."""
    from mtut_bench.machine import Machine, choose_device
    from mtut_bench.planning import describe_plans, measured_rate, plan_runs

    chosen = choose_device(device)
    common = _Choice(
        fold=fold,
        seed=seed,
        data=data,
        runs=runs,
        store=store,
        size=size,
        settings=tuple(settings or ()),
        precision=_precision(precision, chosen.type),
    )
    if table:
        if method != "mtut" or modalities:
            raise UsageError("--table chooses methods and modalities", "Leave those options out.")
        requests = _table_requests(table, dataset, protocol, common)
    else:
        requests = [_request(method, dataset or "viva", protocol or "paper", modalities, common)]
    plans = plan_runs(requests)
    if dry_run or table:
        for text in describe_plans(plans, clips_per_second or measured_rate(plans)):
            console.print(text, markup=False, highlight=False, soft_wrap=True)
    if dry_run:
        return
    from mtut_bench.runs import command_line, execute

    readers = min(8, _cores(None)) if chosen.type == "cuda" else 0
    machine = Machine(chosen, readers if workers is None else workers, command_line(), recompute)
    execute(plans, machine, Reporter(console))
    text = f"tables: mtut-bench report --runs {runs}"
    console.print(text, markup=False, highlight=False, soft_wrap=True)


@app.command()
def report(
    runs: RunsOption = RUNS,
    out: Annotated[
        Path | None, typer.Option("--out", help="Where to write; default <runs>/report.")
    ] = None,
) -> None:
    """Print and write the paper's tables beside what was measured; trains nothing."""
    from mtut_bench.report import write_report

    write_report(runs, out or runs / "report").print(console)


weights_app = typer.Typer(
    no_args_is_help=True,
    help="Pretrained weights: fetch public files, convert them, check what they compute.",
)
app.add_typer(weights_app, name="weights")


@weights_app.command(epilog="[bold]mtut-bench weights fetch i3d-rgb i3d-flow[/bold]")
def fetch(
    names: Annotated[list[str] | None, typer.Argument(help="Known files; none: list them.")] = None,
    data: DataOption = DATA,
    url: Annotated[
        str | None, typer.Option("--url", help="Another address for the one file named.")
    ] = None,
    sha256: Annotated[
        str | None, typer.Option("--sha256", help="Expected digest of the one file named.")
    ] = None,
) -> None:
    """Download public weight files and convert them to what `run` looks for. Resumes."""
    from mtut_baselines.download import KNOWN
    from mtut_baselines.download import fetch as download
    from mtut_baselines.weights import convert

    reporter = Reporter(console)
    if not names:
        for name, known in KNOWN.items():
            reporter.line(f"{name}: {known.url} -> {data / 'weights' / known.fills}.safetensors")
        return
    unknown = [name for name in names if name not in KNOWN]
    if unknown or (len(names) > 1 and (url or sha256)):
        what = f"there is no known file {unknown[0]!r}" if unknown else "--url names one file"
        raise UsageError(what, f"Name one of: {', '.join(KNOWN)}.")
    for name in names:
        known = KNOWN[name]
        path = data / "weights" / "files" / f"{name}{Path(known.url).suffix}"
        with reporter.ticker(f"fetch {name}, bytes") as ticker:
            digest = download(url or known.url, path, sha256, ticker)
        reporter.line(f"{path}: SHA-256 {digest}")
        out = data / "weights" / f"{known.fills}.safetensors"
        for text in convert(path, out).lines():
            reporter.line(f"  {text}")
        reporter.line(f"wrote {out}")


@weights_app.command(name="convert")
def convert_(
    file: Annotated[Path, typer.Argument(help="A public weight file.")],
    fills: Annotated[
        str, typer.Option("--as", help="What `run` looks for: i3d-rgb, i3d-flow, c3d-rgb.")
    ],
    data: DataOption = DATA,
) -> None:
    """Convert a weight file that you have to what `run` looks for."""
    from mtut_baselines import METHODS
    from mtut_baselines.weights import convert

    known = sorted({name for method in METHODS.values() for name in method.weights.values()})
    if fills not in known:
        raise UsageError(f"no method looks for {fills!r}", f"Choose one of: {', '.join(known)}.")
    out = data / "weights" / f"{fills}.safetensors"
    for text in convert(file, out).lines():
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    console.print(f"wrote {out}", markup=False, highlight=False, soft_wrap=True)


@weights_app.command()
def check(
    file: Annotated[Path, typer.Argument(help="A weight file, public or converted.")],
    demo_rgb: Annotated[
        Path | None, typer.Option("--demo-rgb", help="v_CricketShot_g04_c01_rgb.npy")
    ] = None,
    demo_flow: Annotated[
        Path | None, typer.Option("--demo-flow", help="v_CricketShot_g04_c01_flow.npy")
    ] = None,
    partner: Annotated[
        Path | None, typer.Option("--partner", help="Weight file of the other modality.")
    ] = None,
) -> None:
    """Say what a file holds and expects; run the public demo clip through it if you have it."""
    from mtut_baselines.weight_check import check as check_weights

    result = check_weights(file, demo_rgb, demo_flow, partner=partner)
    for text in result.lines:
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    if result.passed is False:
        raise typer.Exit(1)


@app.command(name="list")
def list_(
    subject: Annotated[Subject, typer.Argument()],
    data: DataOption = DATA,
    runs: RunsOption = RUNS,
) -> None:
    """List datasets, methods, protocols, runs or stores."""
    from mtut_bench.listing import list_protocols, list_runs, list_stores

    if subject is Subject.DATASETS:
        from mtut_preprocess import DATASETS

        lines = [(d.name, f"{d.summary}; {d.how_to_get}") for d in DATASETS.values()]
    elif subject is Subject.METHODS:
        from mtut_baselines import METHODS

        kinds = {True: "trained together", False: "each trained alone"}
        lines = [
            (m.name, f"{m.title}: one {m.network} per modality, {kinds[m.min_modalities > 1]}")
            for m in METHODS.values()
        ]
    elif subject is Subject.PROTOCOLS:
        lines = list_protocols()
    else:
        lines = list_runs(runs) if subject is Subject.RUNS else list_stores(data / "stores")
    table = Table(subject.value, "", show_edge=False)
    for name, text in lines:
        table.add_row(escape(name), escape(text))
    console.print(table)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        console.print(f"mtut-bench {__version__}", highlight=False)
        raise typer.Exit


def main() -> None:
    """Run the command line; faults that a user can cure end in one message, without a traceback."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        app()
    except _InterruptSignal:
        _fail(
            InterruptedRunError(
                "interrupted; what was finished is kept", "The same command takes it up again."
            )
        )
    except MtutBenchError as error:
        _fail(error)
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        _fail(
            MtutBenchError(
                f"{error.strerror or error}{where}",
                "Check the disk's space and the folder's permissions; finished work is kept.",
            )
        )


class _InterruptSignal(BaseException):
    """Ctrl-C or SIGTERM; unlike KeyboardInterrupt, typer does not swallow it without a word."""


def _interrupt(signum: int, frame: object) -> None:
    raise _InterruptSignal


def _fail(error: MtutBenchError) -> None:
    screen = Console(stderr=True)
    screen.print(f"[bold red]error:[/] {escape(error.what)}", highlight=False, soft_wrap=True)
    if error.cure:
        screen.print(f"  {escape(error.cure)}", highlight=False, soft_wrap=True)
    sys.exit(error.exit_code)


def _dataset(name: str) -> "Dataset":
    from mtut_preprocess import DATASETS

    if name not in DATASETS:
        raise UsageError(f"there is no dataset {name!r}", f"Choose one of: {', '.join(DATASETS)}.")
    return DATASETS[name]


def _twins() -> str:
    from mtut_preprocess import DATASETS

    return ", ".join(d.name for d in DATASETS.values() if d.twin)


def _is_twin(name: str) -> bool:
    return bool(name) and bool(_dataset(name).twin)


def _store_path(data: Path, store: str | None, dataset: str, size: Size) -> Path:
    name = store or (f"{dataset}-{size.value}" if _is_twin(dataset) else dataset)
    if Path(name).name != name or name.startswith("."):
        raise UsageError(f"{name!r} is no name of a store", "Give a plain name; see `list stores`.")
    return data / "stores" / f"{name}.zarr"


def _raw_folder(data: Path, raw: Path | None, dataset: "Dataset", size: Size) -> Path:
    name = f"{dataset.name}-{size.value}" if dataset.twin else dataset.name
    return raw or data / "raw" / name


def _raw_dataset(
    dataset: "Dataset",
    data: Path,
    raw: Path | None,
    size: Size,
    colour: Colour,
    workers: int | None,
    reporter: Reporter,
) -> "RawDataset":
    folder = _raw_folder(data, raw, dataset, size)
    # A finished twin is taken as it is, with whatever seed or length `synth` gave it.
    if dataset.twin and raw is None and not (folder / "synthetic.json").exists():
        _generate(dataset, folder, size, _cores(workers), reporter)
    return dataset.open_raw(folder, colour.value)


def _generate(
    dataset: "Dataset",
    folder: Path,
    size: Size,
    workers: int,
    reporter: Reporter,
    *,
    seed: int = 0,
    whole: bool = False,
) -> None:
    from mtut_preprocess.synthetic import generate

    with reporter.ticker(f"generate {dataset.twin} ({size.value})") as ticker:
        count = generate(
            dataset.twin,
            folder,
            size=size.value,
            seed=seed,
            whole=whole,
            workers=workers,
            progress=ticker,
        )
    reporter.line(f"generated {count} clips -> {folder}")


@dataclass(frozen=True)
class _Choice:
    """What all methods of one `run` have in common."""

    fold: str
    seed: int
    data: Path
    runs: Path
    store: str | None
    size: Size
    settings: tuple[str, ...]
    precision: str


def _request(
    method: str, dataset: str, protocol: str, modalities: str, common: _Choice
) -> "Request":
    from mtut_baselines import METHODS
    from mtut_bench.method_file import load_method
    from mtut_bench.planning import Request
    from mtut_bench.protocol import PROTOCOLS

    chosen = _dataset(dataset)
    if protocol not in PROTOCOLS:
        known = ", ".join(PROTOCOLS)
        raise UsageError(f"there is no protocol {protocol!r}", f"Choose one of: {known}.")
    return Request(
        store=_store_path(common.data, common.store, dataset, common.size),
        method=load_method(method, METHODS),
        protocol=PROTOCOLS[protocol],
        fold=common.fold,
        modalities=tuple(part.strip() for part in modalities.split(",") if part.strip()),
        seed=common.seed,
        runs=common.runs,
        store_cure=f"Make it: mtut-bench prepare {dataset} (recordings: {chosen.how_to_get}).",
        weights=common.data / "weights",
        settings=common.settings,
        precision=common.precision,
    )


def _table_requests(
    table: str, dataset: str | None, protocol: str | None, common: _Choice
) -> list["Request"]:
    from mtut_baselines import METHODS
    from mtut_bench.protocol import PROTOCOLS
    from mtut_bench.table_plan import choose_tables, needed_runs
    from mtut_preprocess import DATASETS

    needs = needed_runs(
        choose_tables(table), METHODS, PROTOCOLS, dataset=dataset, protocol=protocol
    )
    absent = {need.dataset for need in needs} - set(DATASETS)
    if absent and table == "all":
        names = ", ".join(sorted(absent))
        console.print(f"left out: {names}, which this version cannot prepare", highlight=False)
        needs = [need for need in needs if need.dataset not in absent]
    return [
        _request(need.method, need.dataset, need.protocol, ",".join(need.modalities), common)
        for need in needs
    ]


def _precision(precision: Precision, device: str) -> str:
    if precision is Precision.AUTO:
        return "bf16" if device == "cuda" else "fp32"
    return precision.value


def _cores(workers: int | None) -> int:
    return workers if workers is not None else len(os.sched_getaffinity(0))


def _print_findings(what: str, lines: list[str], faults: tuple[str, ...]) -> bool:
    for text in [what, *(f"  {line}" for line in lines)]:
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    for fault in faults:
        console.print(f"  FAULT {fault}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"  {len(faults)} faults" if faults else "  no fault", markup=False)
    return bool(faults)


if __name__ == "__main__":
    main()
