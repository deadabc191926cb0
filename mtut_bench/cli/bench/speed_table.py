"""How `bench train|loader|evaluate` show what they found."""

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from mtut_bench.cli.printing import console, say

if TYPE_CHECKING:
    from mtut_bench.benchmarks.speed import SpeedReport

__all__ = ["print_speed"]


def print_speed(found: "SpeedReport", *, as_json: bool) -> None:
    """Print what a benchmark found: a table and lines, or one JSON document.

    Args:
        found: the report.
        as_json: which of both.
    """
    if as_json:
        console.print_json(data=found.to_json())
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("")
    for title in ("clips/s", "ratio", "of the floor", "GPU memory"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("")
    for rate in found.rates:
        peak = rate.peak_bytes
        cells = (
            rate.name,
            _number(rate.clips_per_s),
            _number(rate.ratio_to(found.rates[0])),
            _percent(rate.floor_share(found.flops_per_s)),
            "" if peak is None else f"{peak / 1e9:.2f} GB",
            rate.not_run,
        )
        table.add_row(*map(escape, cells))
    console.print(table)
    for part, time in found.parts_ms.items():
        say(f"{part}: {time:,.3f} ms a step, {_percent(found.part_share(part))}")
    for rate in found.rates:
        if rate.flops_per_clip:
            say(f"{rate.name}: {rate.flops_per_clip / 1e9:,.4g} GFLOP a clip, counted")
    for name, value in found.ceilings.items():
        what, unit = name.split(", ")
        say(f"{what}: {value / 1e9:,.4g} G{unit}")
    for count, together in found.processes.items():
        say(f"{count} processes at once: {_number(together)} clips/s together")
    for name, fact in found.facts.items():
        say(f"{name}: {fact}")


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.3g} %"
