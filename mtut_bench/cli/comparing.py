"""Commands that compare: report compare, score."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.padding import Padding
from rich.text import Text

from mtut_bench.cli import completing
from mtut_bench.cli.options import (
    DATA,
    RUNS,
    DataOption,
    FoldUnit,
    RunsOption,
    Size,
    SizeOption,
    StoreOption,
    console,
    open_store,
    refuse_missing_runs,
    say,
)
from mtut_bench.cli.suggesting import suggest
from mtut_bench.errors import UsageError

if TYPE_CHECKING:
    from mtut_bench.report.tables.published_tables import Table

__all__ = ["compare", "score"]

ExplainOption = Annotated[
    bool,
    typer.Option("--explain", help="Say how it was tested: every test, interval and setting."),
]
_TYPED = "COMMANDLINE"


def compare(
    context: typer.Context,
    a: Annotated[
        str,
        typer.Argument(
            help="A method's name, or ids of its runs (see `list runs`): id,id.",
            autocompletion=completing.methods_run,
        ),
    ],
    b: Annotated[
        str,
        typer.Argument(
            help="The method to compare it with.", autocompletion=completing.methods_run
        ),
    ],
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", help="Only runs on it.", autocompletion=completing.datasets),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            "--store",
            help="Only runs on the store of this name.",
            autocompletion=completing.stores_run,
        ),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            "--protocol",
            help="Only runs under it; see `list protocols`.",
            autocompletion=completing.protocols,
        ),
    ] = None,
    runs: RunsOption = RUNS,
    explain: ExplainOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Raw numbers.")] = False,
) -> None:
    """Compare two methods on the same clips, persons and seeds, by modality and on average."""
    _refuse_options_before(context)
    from mtut_bench.report.comparisons.compare import compare as compare_runs
    from mtut_bench.runs.finished import find_runs

    refuse_missing_runs(runs)
    found = find_runs(runs).runs
    result = compare_runs(
        found,
        a,
        b,
        dataset=dataset,
        store=store,
        protocol=protocol,
        methods=completing.METHOD_NAMES,
    )
    if as_json:
        _print_json({"title": result.title, "rows": result.rows, "notes": result.notes})
        return
    if explain:
        _paragraphs(result.title, *result.sentences)
    _notes(result.notes if explain else result.caveats)
    _conclude(result.summary, result.verdict, explain=explain)


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
    fold_unit: Annotated[
        FoldUnit, typer.Option("--fold-unit", help="Who is left out, as in `run`.")
    ] = FoldUnit.PERSON,
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
    explain: ExplainOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Raw numbers.")] = False,
) -> None:
    """Score your own predictions of one fold's test clips and pair them with stored runs.

    Every test clip once and no other; nothing is stored.
    """
    from mtut_bench.progress import counted
    from mtut_bench.report.comparisons.scoring import score as score_file
    from mtut_bench.report.comparisons.scoring import write_template
    from mtut_bench.runs.finished import find_runs

    reader = open_store(data, store, dataset, size)
    if template:
        number = write_template(predictions, reader, fold, fold_unit=fold_unit.value)
        clips = counted(number, "test clip")
        say(f"wrote {predictions}: the {clips} of fold {fold} of {reader.name}")
        classes = (f"{n} {name}" for n, name in enumerate(reader.attributes.classes))
        _lines(
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
        fold_unit=fold_unit.value,
    )
    if as_json:
        rows = [row for one in result.comparisons for row in one.rows]
        counts = {"correct": result.correct, "total": result.total, "macro": result.macro}
        _print_json({"title": result.title, **counts, "rows": rows, "notes": result.notes})
        return
    if explain:
        _paragraphs(result.title, *result.sentences)
        for comparison in result.comparisons:
            _paragraphs(comparison.title, *comparison.sentences)
        _notes(note for comparison in result.comparisons for note in comparison.notes)
    _notes(result.notes if result.comparisons else result.notes[:-1])
    _conclude(result.table, result.verdict, explain=explain)


def _refuse_options_before(context: typer.Context) -> None:
    """Refuse `report --runs X compare`: the option would be passed over without a word."""
    parent = context.parent
    if parent is None:
        return
    sources = {name: parent.get_parameter_source(name) for name in parent.params}
    given = [f"--{name}" for name, source in sources.items() if source and source.name == _TYPED]
    if given:
        words = [context.params["a"], context.params["b"]]
        for name in ("dataset", "store", "protocol"):
            words += [f"--{name}", context.params[name]] if context.params[name] else []
        raise UsageError(
            f"{', '.join(given)} stands before compare.",
            f"Put options behind it: `{suggest('report', 'compare', *words)}`.",
        )


def _notes(notes: Iterable[str]) -> None:
    """Print notes, each once."""
    from mtut_bench.report.formats.plaintext import plain

    for note in dict.fromkeys(notes):
        text = Padding(Text(plain(note), style="dim"), (0, 0, 0, 2), expand=False)
        console.print(text)


def _conclude(table: "Table", verdict: Sequence[str], *, explain: bool) -> None:
    """Print the numbers, then what they come to as the last lines."""
    from mtut_bench.report.formats.render import print_table

    if table.rows:
        print_table(table, console)
    else:
        _paragraphs(table.heading)
    more = "" if explain else "More: --explain."
    _lines(*verdict[:-1], *filter(None, [f"{verdict[-1]} {more}".strip()]))


def _paragraphs(*texts: str) -> None:
    for text in texts:
        _lines(text)
        console.print()


def _lines(*texts: str) -> None:
    # Names of methods, classes and predictions are the user's, and may hold a terminal's commands.
    from mtut_bench.report.formats.plaintext import plain

    for text in texts:
        console.print(plain(text), markup=False, highlight=False)


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, indent=1))
