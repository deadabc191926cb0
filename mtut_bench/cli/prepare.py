"""The command that turns raw recordings into a store: prepare."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mtut_bench.cli import completing
from mtut_bench.cli.finding import find_dataset
from mtut_bench.cli.opening import open_raw
from mtut_bench.cli.options import (
    DATA,
    Colour,
    ColourOption,
    DataOption,
    DryRunOption,
    Flow,
    OverwriteOption,
    RawOption,
    Size,
    SizeOption,
    StoreOption,
    TableOption,
    WorkersOption,
    cores,
)
from mtut_bench.cli.paths import raw_folder, store_path
from mtut_bench.cli.printing import console, say
from mtut_bench.cli.synth import generate_recordings
from mtut_bench.progress import Reporter

if TYPE_CHECKING:
    from mtut_preprocess import Dataset

__all__ = ["prepare"]

_what = partial(typer.Option, rich_help_panel="What to store")


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
    limit: Annotated[
        int | None, _what("--limit", min=1, help="Only this many clips, spread over the dataset.")
    ] = None,
    only: Annotated[
        list[str] | None,
        _what("--only", help="Only clips whose id matches this shell pattern; repeatable."),
    ] = None,
    flow: Annotated[
        Flow | None,
        _what("--flow", help="Optical flow to compute; default: what the paper uses."),
    ] = None,
    raft_weights: Annotated[
        Path | None, _what("--raft-weights", help="For --flow raft: torchvision's weight file.")
    ] = None,
    short_side: Annotated[
        int,
        _what(
            "--short-side",
            min=16,
            max=256,
            help="Maximum short side of stored frames in pixels; smaller means less disk "
            "and faster training, but below 256 the store cannot fill the paper's tables.",
        ),
    ] = 256,
    workers: WorkersOption = None,
    overwrite: OverwriteOption = False,
    skip_unreadable: Annotated[
        bool,
        typer.Option(
            "--skip-unreadable",
            help="Leave out clips that cannot be read.",
            rich_help_panel="Output",
        ),
    ] = False,
    dry_run: DryRunOption = False,
    list_clips: Annotated[
        bool,
        typer.Option(
            "--list", help="Like --dry-run, with one line per clip.", rich_help_panel="Output"
        ),
    ] = False,
) -> None:
    """Turn raw recordings into a store; synthetic ones are generated first. Resumes."""
    from mtut_bench.store.data_card import check_card, write_card
    from mtut_preprocess.convert.prepare import prepare as prepare_store
    from mtut_preprocess.convert.survey import (
        FlowChoice,
        describe_clips,
        describe_survey,
        survey_dataset,
    )
    from mtut_preprocess.synthetic import check_size

    reporter, chosen = Reporter(console), find_dataset(dataset)
    path = store_path(data, store, dataset, size, table)
    if (limit or only) and not store:
        path = path.with_name(f"{path.stem}-part.zarr")
    dry_run = dry_run or list_clips
    if (
        dry_run
        and chosen.is_synthetic
        and not raw
        and not raw_folder(data, raw, chosen, size).exists()
    ):
        check_size(dataset, size.value)
        reporter.line(f"would generate {dataset} ({size.value}), then prepare {path}")
        return
    _generate_if_missing(chosen, data, raw, size, workers, reporter)
    folder = raw_folder(data, raw, chosen, size, table)
    opened = open_raw(chosen, folder, colour, table, store)
    survey = survey_dataset(
        opened,
        FlowChoice(flow.value if flow else None, raft_weights),
        limit=limit,
        only=only or (),
        short_side=short_side,
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
    for clip_id, reason in done.skipped:
        reporter.line(f"not in the store: {clip_id}: {reason}")
    state = "prepared" if done.new else "nothing to do: already prepared,"
    reporter.line(
        f"{state} {done.num_clips} clips, digest {done.digest[:12]} -> {done.path}, {card.name}"
    )
    if done.skipped and not skip_unreadable:
        say(
            "these clips are not in the store; repair their files and prepare again with "
            "--overwrite"
        )
        raise typer.Exit(1)


def _generate_if_missing(
    dataset: "Dataset",
    data: Path,
    raw: Path | None,
    size: Size,
    workers: int | None,
    reporter: Reporter,
) -> None:
    folder = raw_folder(data, raw, dataset, size)
    # A finished folder is used with whatever seed or length `synth` gave it.
    if dataset.is_synthetic and raw is None and not (folder / "synthetic.json").exists():
        generate_recordings(dataset, folder, size, cores(workers), reporter)
