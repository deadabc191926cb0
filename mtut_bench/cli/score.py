"""The command that scores a user's own predictions: score."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from mtut_bench.cli import completing
from mtut_bench.cli.opening import open_store
from mtut_bench.cli.options import (
    DATA,
    RUNS,
    DataOption,
    ExplainOption,
    JsonOption,
    RunsOption,
    Size,
    SizeOption,
    StoreOption,
)
from mtut_bench.cli.printing import (
    print_conclusion,
    print_json,
    print_lines,
    print_notes,
    print_paragraphs,
    say,
)
from mtut_bench.progress import Reporter, counted

if TYPE_CHECKING:
    from mtut_bench.store.reader import StoreReader

__all__ = ["score"]

_DATA, _COMPARE, _KEEP = "Data", "What to compare", "Keep the predictions"


def score(
    predictions: Annotated[
        Path,
        typer.Argument(
            help="CSV with a header: clip_id, and either predicted (class name or "
            "0-based number) or one score column per class, named by class or number."
        ),
    ],
    dataset: Annotated[
        str,
        typer.Option(
            "--dataset",
            help="See `list datasets`.",
            autocompletion=completing.datasets,
            rich_help_panel=_DATA,
        ),
    ] = "viva",
    fold: Annotated[
        str,
        typer.Option(
            "--fold",
            help="Fold whose test clips are predicted.",
            autocompletion=completing.fold,
            rich_help_panel=_DATA,
        ),
    ] = "official",
    store: StoreOption = None,
    size: SizeOption = Size.TINY,
    data: DataOption = DATA,
    runs: RunsOption = RUNS,
    name: Annotated[
        str | None,
        typer.Option(
            "--name", help="Name of the method; default: the file's name.", rich_help_panel=_COMPARE
        ),
    ] = None,
    modality: Annotated[
        str | None,
        typer.Option(
            "--modality",
            help="Compare only with networks tested on this: rgb, or rgb+depth. Default: all.",
            autocompletion=completing.fused_modalities,
            rich_help_panel=_COMPARE,
        ),
    ] = None,
    keep: Annotated[
        bool,
        typer.Option(
            "--keep",
            help="Store the predictions as a run, with --name as method, tested on --modality.",
            rich_help_panel=_KEEP,
        ),
    ] = False,
    protocol: Annotated[
        str,
        typer.Option(
            "--protocol",
            help="Protocol that you followed; default given: unknown.",
            autocompletion=completing.protocols,
            rich_help_panel=_KEEP,
        ),
    ] = "given",
    template: Annotated[
        bool,
        typer.Option(
            "--template",
            help="Write this file as a template, with one line per clip.",
            rich_help_panel="Output",
        ),
    ] = False,
    explain: ExplainOption = False,
    as_json: JsonOption = False,
) -> None:
    """Score your own predictions for a fold's test clips and compare them with finished runs.

    Every test clip once and no other; nothing is stored without --keep.
    """
    from mtut_bench.report.comparisons.scoring import score as score_file
    from mtut_bench.report.comparisons.scoring import write_template
    from mtut_bench.runs.finished import find_runs

    reader = open_store(data, store, dataset, size)
    if template:
        clips = counted(write_template(predictions, reader, fold), "test clip")
        say(f"wrote {predictions}: the {clips} of fold {fold} of {reader.name}")
        classes = (f"{n} {name}" for n, name in enumerate(reader.attributes.classes))
        print_lines(
            f"Fill in 'predicted' with a class or its number: {', '.join(classes)}.",
            "Then the same command without --template scores it.",
        )
        return
    found = find_runs(runs).runs
    result = score_file(predictions, reader, fold, found, name=name, modality=modality)
    if keep:
        called = name or predictions.stem
        _keep(result.predicted, called, reader, fold, modality, protocol, runs)
    rows = [row for one in result.comparisons for row in one.rows]
    if as_json:
        counts = {"correct": result.correct, "total": result.total, "macro": result.macro}
        print_json({"title": result.title, **counts, "rows": rows, "notes": result.notes})
        return
    if explain:
        print_paragraphs(result.title, result.sentence)
        for comparison in result.comparisons:
            print_paragraphs(comparison.title, *comparison.sentences)
        print_notes(note for comparison in result.comparisons for note in comparison.notes)
    print_notes(result.notes if rows else result.notes[:-1])
    print_conclusion(result.table, result.conclusion, explain=explain)


def _keep(
    predicted: dict[str, int],
    name: str,
    reader: "StoreReader",
    fold: str,
    modality: str | None,
    protocol: str,
    runs: Path,
) -> None:
    """Write the predictions as a run; they have been scored, and so checked."""
    import torch

    from mtut_baselines import METHODS
    from mtut_bench.runs.given import keep_predictions
    from mtut_bench.runs.machine import Machine
    from mtut_bench.runs.provenance import command_line
    from mtut_bench.runs.spec import RunSpec

    spec = RunSpec(
        method=name,
        store=str(reader.path),
        protocol=protocol,
        fold=fold,
        fold_unit=reader.fold_unit,
        modalities=tuple(modality.split("+")) if modality else (),
        runs=str(runs),
    )
    machine = Machine(torch.device("cpu"), 0, command_line())
    # Standard output may be JSON.
    keep_predictions(name, predicted, spec, METHODS, machine, Reporter(Console(stderr=True)))
