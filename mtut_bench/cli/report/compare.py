"""The command that compares two methods: report compare."""

from typing import Annotated

import typer

from mtut_bench.cli import completing
from mtut_bench.cli.options import RUNS, ExplainOption, JsonOption, RunsOption
from mtut_bench.cli.paths import refuse_missing_runs
from mtut_bench.cli.printing import print_conclusion, print_json, print_notes, print_paragraphs
from mtut_bench.errors import UsageError

__all__ = ["compare"]

_DATA = "Data"
_TYPED = "COMMANDLINE"


def compare(
    context: typer.Context,
    a: Annotated[
        str,
        typer.Argument(
            help="A method, or ids of its runs joined by commas (see `list runs`).",
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
        typer.Option(
            "--dataset",
            help="Only runs on this dataset.",
            autocompletion=completing.datasets,
            rich_help_panel=_DATA,
        ),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            "--store",
            help="Only runs on the store of this name.",
            autocompletion=completing.stores_run,
            rich_help_panel=_DATA,
        ),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            "--protocol",
            help="Only runs with this protocol; see `list protocols`.",
            autocompletion=completing.protocols,
            rich_help_panel=_DATA,
        ),
    ] = None,
    runs: RunsOption = RUNS,
    explain: ExplainOption = False,
    as_json: JsonOption = False,
) -> None:
    """Compare two methods on the same clips, persons and seeds, by modality and on average."""
    _refuse_options_before(context)
    from mtut_baselines import METHODS
    from mtut_bench.report.comparisons.compare import compare as compare_runs
    from mtut_bench.runs.finished import find_runs

    refuse_missing_runs(runs)
    found = find_runs(runs).runs
    result = compare_runs(
        found, a, b, dataset=dataset, store=store, protocol=protocol, methods=list(METHODS)
    )
    if as_json:
        print_json({"title": result.title, "rows": result.rows, "notes": result.notes})
        return
    if explain:
        print_paragraphs(result.title, *result.sentences)
    print_notes(result.notes if explain else result.caveats)
    print_conclusion(result.summary, result.conclusion, explain=explain)


def _refuse_options_before(context: typer.Context) -> None:
    """Refuse `report --runs X compare`, where the option would have no effect."""
    parent = context.parent
    sources = {name: parent.get_parameter_source(name) for name in parent.params} if parent else {}
    given = [f"--{name}" for name, source in sources.items() if source and source.name == _TYPED]
    if given:
        raise UsageError(
            f"{', '.join(given)} has no effect before compare.",
            "Put options after the two methods: report compare A B --runs DIRECTORY.",
        )
