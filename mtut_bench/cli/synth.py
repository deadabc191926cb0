"""The command that generates synthetic recordings: synth."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mtut_bench.cli import completing
from mtut_bench.cli.finding import find_dataset
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
    from mtut_preprocess.datasets.adapter import RawClip, RawDataset

__all__ = ["generate_recordings", "synth"]

_CONTENT = "Content"


def synth(
    dataset: Annotated[
        str,
        typer.Argument(
            help="A dataset whose name ends in -synthetic.",
            autocompletion=completing.synthetic_datasets,
        ),
    ],
    data: DataOption = DATA,
    raw: RawOption = None,
    size: SizeOption = Size.TINY,
    seed: Annotated[
        int,
        typer.Option(
            "--seed", help="Random seed of persons, scenes and noise.", rich_help_panel=_CONTENT
        ),
    ] = 0,
    whole: Annotated[
        bool,
        typer.Option(
            "--whole",
            help="Generate whole recordings, not only the gestures.",
            rich_help_panel=_CONTENT,
        ),
    ] = False,
    difficulty: Annotated[
        list[str] | None,
        typer.Option(
            "--difficulty",
            help="Difficulty setting: name=value; repeatable.",
            rich_help_panel=_CONTENT,
        ),
    ] = None,
    contact_sheet: Annotated[
        bool,
        typer.Option(
            "--contact-sheet", help="Also draw a PNG, one row per class.", rich_help_panel="Output"
        ),
    ] = False,
    workers: WorkersOption = None,
) -> None:
    """Generate synthetic recordings in a dataset's raw layout. Resumes."""
    from mtut_preprocess.synthetic import SYNTHETIC

    chosen, reporter = find_dataset(dataset), Reporter(console)
    if not chosen.is_synthetic:
        names = ", ".join(SYNTHETIC)
        raise UsageError(f"{dataset} is not a synthetic dataset", f"Use one of: {names}.")
    folder = raw_folder(data, raw, chosen, size)
    generate_recordings(
        chosen,
        folder,
        size,
        cores(workers),
        reporter,
        seed=seed,
        whole=whole,
        difficulty=tuple(difficulty or ()),
    )
    if contact_sheet:
        _draw_raw(open_raw(chosen, folder, Colour.SK_COLOR))


def generate_recordings(
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
    """Generate the recordings of a synthetic dataset, or what is missing of them."""
    from mtut_preprocess.synthetic import generate
    from mtut_preprocess.synthetic.difficulty import changed

    with reporter.ticker(f"generate {dataset.name} ({size.value})") as ticker:
        count = generate(
            dataset.name,
            folder,
            size=size.value,
            seed=seed,
            whole=whole,
            difficulty=changed(dataset.name, difficulty),
            workers=workers,
            progress=ticker,
        )
    reporter.line(f"generated {count} clips -> {folder}")


def _draw_raw(opened: "RawDataset") -> None:
    """Draw one row per class, beside the raw folder: inside it a picture would be foreign."""
    from mtut_bench.contract.types import sort_modalities
    from mtut_bench.store.inspect import draw_sheet

    facts, clips = opened.read()
    first: dict[int, RawClip] = {}
    for clip in clips:
        first.setdefault(clip.row.label, clip)

    def rows() -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
        for label, clip in sorted(first.items()):
            row = clip.row
            person = f"{facts.subject_unit} {row.subject}, {row.num_frames} frames"
            frames = {name: clip.sources[name].read() for name in sort_modalities(clip.sources)}
            yield (facts.class_names[label], row.clip_id, person), frames

    folder = opened.root.resolve()
    path = folder.with_name(f"{folder.name}-contact-sheet.png")
    draw_sheet(rows(), path)
    say(f"wrote {path}")
