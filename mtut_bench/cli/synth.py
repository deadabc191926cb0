"""The command that generates synthetic recordings: synth."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from mtut_bench.cli import completing
from mtut_bench.cli.finding import find_dataset, twin_names
from mtut_bench.cli.opening import open_raw
from mtut_bench.cli.options import (
    DATA,
    Colour,
    DataOption,
    RawOption,
    Size,
    SizeOption,
    WorkersOption,
    cores,
)
from mtut_bench.cli.paths import raw_folder
from mtut_bench.cli.printing import console, say
from mtut_bench.errors import UsageError
from mtut_bench.progress import Reporter

if TYPE_CHECKING:
    from mtut_preprocess import Dataset
    from mtut_preprocess.datasets.adapter import RawDataset

__all__ = ["generate_twin", "synth"]


def synth(
    twin: Annotated[
        str,
        typer.Argument(
            help="A dataset whose name ends in -synthetic.", autocompletion=completing.twins
        ),
    ],
    data: DataOption = DATA,
    raw: RawOption = None,
    size: SizeOption = Size.TINY,
    seed: Annotated[int, typer.Option(help="Other persons, scenes and noise.")] = 0,
    whole: Annotated[
        bool, typer.Option("--whole", help="Whole recordings, not only the gestures' windows.")
    ] = False,
    contact_sheet: Annotated[
        bool, typer.Option("--contact-sheet", help="Also draw one row per class as a PNG.")
    ] = False,
    probes: Annotated[
        bool, typer.Option("--probes", help="Also measure what gives classes away but motion.")
    ] = False,
    difficulty: Annotated[
        list[str] | None,
        typer.Option("--difficulty", help="name=value: a knob of the twin; repeatable."),
    ] = None,
    workers: WorkersOption = None,
) -> None:
    """Generate synthetic recordings in a dataset's own raw layout. Resumes."""
    chosen, reporter = find_dataset(twin), Reporter(console)
    if not chosen.twin:
        raise UsageError(f"{twin} is recorded, not generated", "Use one of: " + twin_names() + ".")
    if probes:
        _check_measurable(chosen.twin)
    folder = raw_folder(data, raw, chosen, size)
    knobs = tuple(difficulty or ())
    generate_twin(
        chosen, folder, size, cores(workers), reporter, seed=seed, whole=whole, difficulty=knobs
    )
    opened = open_raw(chosen, folder, Colour.SK_COLOR)
    if contact_sheet:
        _draw_raw(opened)
    if probes:
        _print_probes(opened, cores(workers), reporter)


def generate_twin(
    dataset: "Dataset",
    folder: Path,
    size: Size,
    workers: int,
    reporter: Reporter,
    *,
    seed: int = 0,
    whole: bool = False,
    difficulty: tuple[str, ...] = (),
) -> None:
    """Generate the recordings of a twin, or what is missing of them."""
    from mtut_preprocess.synthetic import SYNTHETIC, generate
    from mtut_preprocess.synthetic.difficulty import changed

    with reporter.ticker(f"generate {dataset.twin} ({size.value})") as ticker:
        count = generate(
            dataset.twin,
            folder,
            size=size.value,
            seed=seed,
            whole=whole,
            difficulty=changed(dataset.twin, difficulty),
            workers=workers,
            progress=ticker,
        )
    reporter.line(f"generated {count} clips -> {folder}")
    if SYNTHETIC[dataset.twin].is_fixture:
        reporter.line(f"{dataset.twin} shows a layout: NOTHING CAN BE MEASURED ON IT")


def _check_measurable(twin: str) -> None:
    from mtut_preprocess.synthetic import SYNTHETIC

    if SYNTHETIC[twin].is_fixture:
        raise UsageError(
            f"{twin} is a layout fixture: nothing can be measured on it",
            "Leave --probes out, or take another twin.",
        )


def _draw_raw(opened: "RawDataset") -> None:
    """Draw one row per class, beside the raw folder: inside it a picture would be foreign."""
    from mtut_bench.store.inspect import draw_sheet
    from mtut_preprocess.synthetic.sheet import sheet_rows

    folder = opened.root.resolve()
    path = folder.with_name(f"{folder.name}-contact-sheet.png")
    draw_sheet(sheet_rows(opened), path)
    say(f"wrote {path}")


def _print_probes(opened: "RawDataset", workers: int, reporter: Reporter) -> None:
    from mtut_preprocess.verify.probes import PROBES, run_probes

    with reporter.ticker("probe", unit="clips") as ticker:
        found = run_probes(opened, workers=workers, progress=ticker)
    heads = ("1-NN on", "right", "95 % sure", "1/K", "shuffled", "asked")
    table = Table(*heads, show_edge=False)
    for probe in found:
        (low, high), (least, most) = probe.interval, probe.chance_range
        table.add_row(
            probe.name,
            f"{probe.num_correct}/{probe.num_clips} {probe.accuracy:.1%}",
            f"{100 * low:.1f}-{high:.1%}",
            f"{probe.chance:.1%}",
            f"{100 * least:.1f}-{most:.1%}",
            PROBES[probe.name],
        )
    console.print(table)
