"""How `bench prepare|store` show what they found."""

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from mtut_bench.cli.printing import console, say

if TYPE_CHECKING:
    from mtut_bench.benchmarks.measurement import Benchmark, Measure

__all__ = ["print_measures"]


def print_measures(found: "Benchmark", *, as_json: bool) -> None:
    """Print what a benchmark found: a table and facts, or one JSON document."""
    if as_json:
        console.print_json(data=found.to_json())
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("")
    for title in ("measured", "bare calls", "ratio", "bound"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("")
    for measure in found.measures:
        table.add_row(*map(escape, _cells(measure)))
    console.print(table)
    for name, value in found.facts.items():
        say(f"{name}: {value}")


def _cells(measure: "Measure") -> tuple[str, ...]:
    bound = "" if measure.floor is None else f">= {measure.floor:g}"
    bound = bound if measure.limit is None else f"<= {measure.limit:,.0f}"
    missed = "below" if measure.limit is None else "above"
    return (
        measure.name,
        f"{_number(measure.value)} {measure.unit}",
        "" if measure.bare is None else _number(measure.bare),
        "" if measure.ratio is None else f"{measure.ratio:.3f}",
        bound,
        {None: "", True: "kept", False: missed}[measure.passed],
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
