"""Commands on data: prepare, synth, verify, inspect."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from mtut_bench.cli.options import (
    DATA,
    Colour,
    ColourOption,
    DataOption,
    DryRunOption,
    RawOption,
    Size,
    SizeOption,
    StoreOption,
    WorkersOption,
    console,
    cores,
    find_dataset,
    raw_folder,
    say,
    store_path,
    twin_names,
)
from mtut_bench.errors import UsageError
from mtut_bench.progress import Reporter

if TYPE_CHECKING:
    from mtut_preprocess import Dataset
    from mtut_preprocess.adapter import RawDataset

__all__ = ["inspect", "prepare", "synth", "verify"]


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

    reporter, chosen = Reporter(console), find_dataset(dataset)
    path = store_path(data, store, dataset, size)
    if dry_run and chosen.twin and not raw and not raw_folder(data, raw, chosen, size).exists():
        reporter.line(f"would generate {dataset} ({size.value}), then prepare {path}")
        return
    opened = _raw_dataset(chosen, data, raw, size, colour, workers, reporter)
    if dry_run:
        for text in describe_plan(*plan_store(opened), path):
            reporter.line(text)
        return
    with reporter.ticker(f"prepare {path.stem}") as ticker:
        done = prepare_store(
            opened, path, workers=cores(workers), overwrite=overwrite, progress=ticker
        )
    for text in done.notes:
        reporter.line(f"note: {text}")
    state = "prepared" if done.new else "nothing to do: already prepared,"
    reporter.line(f"{state} {done.num_clips} clips, digest {done.digest[:12]} -> {done.path}")


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
    chosen = find_dataset(twin)
    if not chosen.twin:
        raise UsageError(f"{twin} is recorded, not generated", "Use one of: " + twin_names() + ".")
    folder = raw_folder(data, raw, chosen, size)
    _generate(chosen, folder, size, cores(workers), Reporter(console), seed=seed, whole=whole)


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
        chosen = find_dataset(dataset)
        opened = chosen.open_raw(raw_folder(data, raw, chosen, size), colour.value)
        with reporter.ticker(f"decode {dataset}") as ticker:
            report = verify_raw(opened, cores(workers), ticker)
        bad |= _print_findings(str(opened.root), report.describe(), report.faults)
    if store is not None or (dataset and store_path(data, None, dataset, size).exists()):
        path = store_path(data, store, dataset, size)
        with reporter.ticker(f"hash {path.stem}") as ticker:
            found = verify_store(path, ticker)
        bad |= _print_findings(str(path), found.describe(), found.faults)
    if bad:
        raise typer.Exit(1)


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

    reader = StoreReader(store_path(data, store, dataset, size))
    reader.check_files()
    table = Table(show_edge=False)
    table.add_column("")
    table.add_column(escape(str(reader.path)), overflow="fold")
    for what, value in summarise(reader):
        table.add_row(escape(what), escape(value))
    console.print(table)
    if contact_sheet:
        path = reader.path.with_name(f"{reader.name}-contact-sheet.png")
        draw(reader, path)
        say(f"wrote {path}")


def _raw_dataset(
    dataset: "Dataset",
    data: Path,
    raw: Path | None,
    size: Size,
    colour: Colour,
    workers: int | None,
    reporter: Reporter,
) -> "RawDataset":
    folder = raw_folder(data, raw, dataset, size)
    # A finished twin is taken as it is, with whatever seed or length `synth` gave it.
    if dataset.twin and raw is None and not (folder / "synthetic.json").exists():
        _generate(dataset, folder, size, cores(workers), reporter)
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


def _print_findings(what: str, lines: list[str], faults: tuple[str, ...]) -> bool:
    for text in [what, *(f"  {line}" for line in lines)]:
        say(text)
    for fault in faults:
        say(f"  FAULT {fault}")
    plural = "" if len(faults) == 1 else "s"
    say(f"  {len(faults)} fault{plural}" if faults else "  no fault")
    return bool(faults)
