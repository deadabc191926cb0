"""Commands on data: prepare, synth, verify, inspect."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mtut_bench.cli import completing
from mtut_bench.cli.options import (
    DATA,
    Colour,
    ColourOption,
    DataOption,
    DryRunOption,
    Flow,
    RawOption,
    Size,
    SizeOption,
    StoreOption,
    TableOption,
    WorkersOption,
    console,
    cores,
    existing_store,
    find_dataset,
    open_raw,
    open_store,
    raw_folder,
    say,
    store_path,
    twin_names,
)
from mtut_bench.errors import UsageError
from mtut_bench.progress import Reporter

if TYPE_CHECKING:
    from mtut_preprocess import Dataset
    from mtut_preprocess.datasets.adapter import RawDataset

__all__ = ["inspect", "prepare", "synth", "verify"]


def prepare(
    dataset: Annotated[
        str,
        typer.Argument(help="See `mtut-bench list datasets`.", autocompletion=completing.datasets),
    ],
    data: DataOption = DATA,
    raw: RawOption = None,
    store: StoreOption = None,
    table: TableOption = None,
    size: SizeOption = Size.TINY,
    colour: ColourOption = Colour.SK_COLOR,
    flow: Annotated[
        Flow | None,
        typer.Option("--flow", help="Optical flow from colour; default: what the paper uses."),
    ] = None,
    raft_weights: Annotated[
        Path | None, typer.Option("--raft-weights", help="Weights of torchvision's RAFT.")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="Of RAFT: auto, cpu, cuda.")] = "auto",
    limit: Annotated[
        int | None, typer.Option("--limit", help="So many clips, spread over the dataset.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="Clips whose id fits this shell pattern; may be repeated."),
    ] = None,
    workers: WorkersOption = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Make the store anew, whatever is there.")
    ] = False,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Finish without clips that cannot be read.")
    ] = False,
    dry_run: DryRunOption = False,
    list_clips: Annotated[
        bool, typer.Option("--list", help="With --dry-run: also one line per clip.")
    ] = False,
) -> None:
    """Turn raw recordings into a store; a twin's recordings are generated first. Resumes."""
    from mtut_bench.store.data_card import check_card, write_card
    from mtut_preprocess.convert.prepare import prepare as prepare_store
    from mtut_preprocess.convert.survey import (
        FlowChoice,
        Selection,
        describe_clips,
        describe_survey,
        survey_dataset,
    )
    from mtut_preprocess.synthetic import check_size

    if list_clips and not dry_run:
        raise UsageError("--list lists without preparing", "Give it with --dry-run.")
    reporter, chosen = Reporter(console), find_dataset(dataset)
    selection = Selection(limit, tuple(only or ()))
    path = store_path(data, store, dataset, size, table)
    if selection.is_part and not store:
        path = path.with_name(f"{path.stem}-part.zarr")
    if dry_run and chosen.twin and not raw and not raw_folder(data, raw, chosen, size).exists():
        check_size(chosen.twin, size.value)
        reporter.line(f"would generate {dataset} ({size.value}), then prepare {path}")
        return
    _generate_if_missing(chosen, data, raw, size, workers, reporter)
    folder = raw_folder(data, raw, chosen, size, table)
    opened = open_raw(chosen, folder, colour, table, store)
    survey = survey_dataset(
        opened, selection, FlowChoice(flow.value if flow else None, raft_weights, device)
    )
    for text in describe_survey(survey, path):
        reporter.line(text)
    if dry_run:
        for text in describe_clips(survey) if list_clips else ():
            reporter.line(text)
        return
    check_card(path)
    with reporter.ticker(f"prepare {path.stem}", unit="clips") as ticker:
        done = prepare_store(
            survey,
            path,
            workers=cores(workers),
            overwrite=overwrite,
            skip_unreadable=skip_unreadable,
            progress=ticker,
        )
    card = write_card(path)
    for clip_id, reason in done.set_aside:
        reporter.line(f"not in the store: {clip_id}: {reason}")
    state = "prepared" if done.new else "nothing to do: already prepared,"
    reporter.line(
        f"{state} {done.num_clips} clips, digest {done.digest[:12]} -> {done.path}, {card.name}"
    )
    if done.set_aside and not skip_unreadable:
        say("the store lacks these clips; repaired, they get in with --overwrite")
        raise typer.Exit(1)


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
    _generate(
        chosen, folder, size, cores(workers), reporter, seed=seed, whole=whole, difficulty=knobs
    )
    opened = open_raw(chosen, folder, Colour.SK_COLOR)
    if contact_sheet:
        _draw_raw(opened)
    if probes:
        _print_probes(opened, cores(workers), reporter)


def verify(
    dataset: Annotated[
        str,
        typer.Argument(
            help="Dataset whose raw folder is checked.", autocompletion=completing.datasets
        ),
    ] = "",
    data: DataOption = DATA,
    raw: RawOption = None,
    store: StoreOption = None,
    table: TableOption = None,
    size: SizeOption = Size.TINY,
    colour: ColourOption = Colour.SK_COLOR,
    workers: WorkersOption = None,
    write_index: Annotated[
        bool,
        typer.Option("--write-index", help="Record the SHA-256 of the raw files; checked later."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Check a raw folder (every file decoded) or a store (every frame hashed); exit 1 on faults."""
    from mtut_bench.store.verify import verify_store
    from mtut_preprocess.verify.raw import verify_raw

    # A JSON document stands alone on the output; progress goes to the other one.
    reporter = Reporter(Console(stderr=True) if as_json else console)
    if not dataset and store is None:
        raise UsageError("nothing to verify", "Name a dataset, or a store with --store.")
    if write_index and not dataset:
        raise UsageError("--write-index is of raw files", "Name the dataset whose they are.")
    found: dict[str, Findings] = {}
    if dataset:
        chosen = find_dataset(dataset)
        folder = raw_folder(data, raw, chosen, size, table)
        opened = open_raw(chosen, folder, colour, table, store)
        with reporter.ticker(f"decode {dataset}") as ticker:
            found[str(opened.root)] = verify_raw(
                opened, cores(workers), ticker, write_index=write_index
            )
    path = store_path(data, store, dataset, size, table)
    if store is not None or path.exists():
        existing_store(data, path.stem, "", size)
        with reporter.ticker(f"hash {path.stem}", unit="clips") as ticker:
            found[str(path)] = verify_store(path, ticker)
    if as_json:
        documents = [{"path": name, **report.to_json()} for name, report in found.items()]
        console.print_json(data=documents)
    else:
        for name, report in found.items():
            _print_findings(name, report)
    if any(report.faults for report in found.values()):
        raise typer.Exit(1)


def inspect(
    dataset: Annotated[
        str,
        typer.Argument(help="Dataset whose store is meant.", autocompletion=completing.datasets),
    ] = "viva",
    data: DataOption = DATA,
    store: StoreOption = None,
    size: SizeOption = Size.TINY,
    contact_sheet: Annotated[
        bool, typer.Option("--contact-sheet", help="Also draw one row per class as a PNG.")
    ] = False,
    by_user: Annotated[
        bool,
        typer.Option("--by-user", help="Draw each user and write a table of persons to fill in."),
    ] = False,
) -> None:
    """Summarise a store; draw eight moments of each class, or the users that are its persons."""
    from mtut_bench.store.inspect import contact_sheet as draw_classes
    from mtut_bench.store.inspect import summarise, user_sheet, write_person_table

    reader = open_store(data, store, dataset, size)
    reader.check_files()
    table = Table(show_edge=False)
    table.add_column("")
    table.add_column(escape(str(reader.path)), overflow="fold")
    for what, value in summarise(reader):
        table.add_row(escape(what), escape(value))
    console.print(table)
    if contact_sheet:
        path = reader.path.with_name(f"{reader.name}-contact-sheet.png")
        draw_classes(reader, path)
        say(f"wrote {path}")
    if by_user:
        path = reader.path.with_name(f"{reader.name}-persons.json")
        write_person_table(reader, path)
        say(f"wrote {path}: fill it in, and put it into the raw folder as viva.json")
        path = reader.path.with_name(f"{reader.name}-users.png")
        user_sheet(reader, path)
        say(f"wrote {path}")


def _generate_if_missing(
    dataset: "Dataset",
    data: Path,
    raw: Path | None,
    size: Size,
    workers: int | None,
    reporter: Reporter,
) -> None:
    folder = raw_folder(data, raw, dataset, size)
    # A finished twin is taken as it is, with whatever seed or length `synth` gave it.
    if dataset.twin and raw is None and not (folder / "synthetic.json").exists():
        _generate(dataset, folder, size, cores(workers), reporter)


def _generate(
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
    from mtut_preprocess.synthetic import TWINS, generate
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
    if TWINS[dataset.twin].is_fixture:
        reporter.line(f"{dataset.twin} shows a layout: NOTHING CAN BE MEASURED ON IT")


def _check_measurable(twin: str) -> None:
    from mtut_preprocess.synthetic import TWINS

    if TWINS[twin].is_fixture:
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


class Findings(Protocol):
    """What a check found, of a raw folder or of a store."""

    @property
    def faults(self) -> Sequence[Any]: ...

    def describe(self) -> list[str]: ...

    def to_json(self) -> dict[str, Any]: ...


def _print_findings(what: str, found: Findings) -> None:
    for text in [what, *(f"  {line}" for line in found.describe())]:
        say(text)
    for fault in found.faults:
        say(f"  FAULT {fault}")
    plural = "" if len(found.faults) == 1 else "s"
    say(f"  {len(found.faults)} fault{plural}" if found.faults else "  no fault")
