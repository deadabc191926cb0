"""The command that compares a twin with recordings: bench twin."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from mtut_bench.cli.options import JsonOption, Size, SizeOption, cores
from mtut_bench.cli.printing import console, make_reporter, say

if TYPE_CHECKING:
    from mtut_preprocess.verify.realism import Comparison, Spread

__all__ = ["twin"]


def twin(
    real: Annotated[
        Path, typer.Option("--real", help="Raw folder of recordings, with sk_wrapped.avi.")
    ],
    raw: Annotated[
        Path | None, typer.Option("--raw", help="Raw folder of the twin; default: generate it.")
    ] = None,
    size: SizeOption = Size.TINY,
    as_json: JsonOption = False,
) -> None:
    """How much nvgesture-synthetic looks like recordings, statistic by statistic."""
    from mtut_preprocess.synthetic import generate
    from mtut_preprocess.verify.realism import compare_figures, measure_folder

    name, reporter, workers = "nvgesture-synthetic", make_reporter(as_json), cores(None)
    with tempfile.TemporaryDirectory(prefix="mtut-bench-") as scratch:
        with reporter.ticker(f"measure {real}", unit="clips") as ticker:
            recorded = measure_folder(real, workers=workers, progress=ticker)
        folder = raw or Path(scratch) / "raw"
        if raw is None:
            with reporter.ticker(f"generate {name}", unit="clips") as ticker:
                generate(name, folder, size=size.value, workers=workers, progress=ticker)
        with reporter.ticker(f"measure {name}", unit="clips") as ticker:
            drawn = measure_folder(folder, workers=workers, progress=ticker)
    titles = (f"{len(recorded)} clips of {real}", f"{len(drawn)} clips of {raw or name}")
    _print_comparison(compare_figures(recorded, drawn, titles=titles), as_json=as_json)


def _print_comparison(found: "Comparison", *, as_json: bool) -> None:
    if as_json:
        console.print_json(data=found.to_json())
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("", "real [10..90 %]", "twin [10..90 %]", "medians", "spreads"):
        # On a narrow terminal only the long cells break.
        table.add_column(title, justify="right" if title else "left", no_wrap="[" not in title)
    for line in found.lines:
        spreads = ""
        if line.spread_factor is not None:
            spreads = _verdict(line.spread_ratio, line.spread_factor, within=line.spread_within)
        medians = _verdict(line.ratio, line.factor, within=line.within)
        cells = (line.name, _spread(line.real), _spread(line.twin), medians, spreads)
        table.add_row(*map(escape, cells))
    console.print(table)
    for name, distance in found.distances.items():
        say(f"{name}: total variation {distance:.2f} (0 alike, 1 nothing in common)")
    say("twin / real of medians over clips and of 10..90 % spreads; in brackets the factor asked")
    say(f"real: {found.real}; twin: {found.twin}")


def _verdict(ratio: float, factor: float, *, within: bool | None) -> str:
    return f"{ratio:.2f} ({factor:g}) {'within' if within else 'outside'}"


def _spread(spread: "Spread") -> str:
    low, high = (f"{v:.0f}" if v >= 10 else f"{v:.2g}" for v in (spread.low, spread.high))
    return f"{spread.median:.3g} [{low}..{high}]"
