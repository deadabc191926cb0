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
from mtut_bench.progress import Reporter

if TYPE_CHECKING:
    from mtut_bench.store.reader import StoreReader

__all__ = ["score"]


def score(
    predictions: Annotated[
        Path,
        typer.Argument(
            help="CSV with a head: clip_id, and either predicted (a class's name or 0-based number)"
            " or one column of scores per class, headed by its name or number."
        ),
    ],
    dataset: Annotated[
        str,
        typer.Option("--dataset", help="See `list datasets`.", autocompletion=completing.datasets),
    ] = "viva",
    fold: Annotated[
        str,
        typer.Option("--fold", help="Whose test clips they are.", autocompletion=completing.fold),
    ] = "official",
    name: Annotated[
        str | None, typer.Option("--name", help="Of the predictions; default the file's.")
    ] = None,
    modality: Annotated[
        str | None,
        typer.Option(
            "--modality",
            help="Compare with this alone: rgb, or rgb+depth. Default all.",
            autocompletion=completing.fused_modalities,
        ),
    ] = None,
    store: StoreOption = None,
    size: SizeOption = Size.TINY,
    data: DataOption = DATA,
    runs: RunsOption = RUNS,
    template: Annotated[
        bool, typer.Option("--template", help="Write this file, with a line per clip to fill in.")
    ] = False,
    keep: Annotated[
        bool,
        typer.Option(
            "--keep", help="As a run of a method of this --name, seen in the test: --modality."
        ),
    ] = False,
    protocol: Annotated[
        str,
        typer.Option(
            "--protocol",
            help="With --keep: the one that was followed, by your word; default given, none.",
            autocompletion=completing.protocols,
        ),
    ] = "given",
    explain: ExplainOption = False,
    as_json: JsonOption = False,
) -> None:
    """Score your own predictions of one fold's test clips and pair them with stored runs.

    Every test clip once and no other; nothing is stored without --keep.
    """
    from mtut_bench.progress import counted
    from mtut_bench.report.comparisons.scoring import score as score_file
    from mtut_bench.report.comparisons.scoring import write_template
    from mtut_bench.runs.finished import find_runs

    reader = open_store(data, store, dataset, size)
    if template:
        number = write_template(predictions, reader, fold)
        clips = counted(number, "test clip")
        say(f"wrote {predictions}: the {clips} of fold {fold} of {reader.name}")
        classes = (f"{n} {name}" for n, name in enumerate(reader.attributes.classes))
        print_lines(
            f"Fill in 'predicted' with a class or its number: {', '.join(classes)}.",
            "Then the same command without --template scores it.",
        )
        return
    result = score_file(
        predictions,
        reader,
        fold,
        find_runs(runs).runs,
        name=name,
        modality=modality,
    )
    if keep:
        _keep(predictions, name or predictions.stem, reader, fold, modality, protocol, runs)
    if as_json:
        rows = [row for one in result.comparisons for row in one.rows]
        counts = {"correct": result.correct, "total": result.total, "macro": result.macro}
        print_json({"title": result.title, **counts, "rows": rows, "notes": result.notes})
        return
    if explain:
        print_paragraphs(result.title, *result.sentences)
        for comparison in result.comparisons:
            print_paragraphs(comparison.title, *comparison.sentences)
        print_notes(note for comparison in result.comparisons for note in comparison.notes)
    print_notes(result.notes if result.comparisons else result.notes[:-1])
    print_conclusion(result.table, result.verdict, explain=explain)


def _keep(
    file: Path,
    name: str,
    reader: "StoreReader",
    fold: str,
    modality: str | None,
    protocol: str,
    runs: Path,
) -> None:
    """Write the predictions as a run; they are scored already, so that they are whole."""
    import torch

    from mtut_baselines import METHODS
    from mtut_bench.report.comparisons.prediction_csv import read_predicted
    from mtut_bench.report.comparisons.scoring import clips_of_test
    from mtut_bench.runs.given import keep_predictions
    from mtut_bench.runs.machine import Machine
    from mtut_bench.runs.provenance import command_line
    from mtut_bench.runs.spec import RunSpec

    ids = clips_of_test(reader, fold)
    classes = read_predicted(file, ids, list(reader.attributes.classes)).tolist()
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
    predicted = dict(zip(ids, classes, strict=True))
    # Standard output may be JSON.
    reporter = Reporter(Console(stderr=True))
    keep_predictions(name, predicted, spec, METHODS, machine, reporter)
