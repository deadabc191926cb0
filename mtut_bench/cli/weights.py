"""Commands on pretrained weights: weights fetch, convert, check."""

from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from mtut_bench.cli.options import DATA, DataOption
from mtut_bench.cli.printing import console, examples, say
from mtut_bench.errors import UsageError, did_you_mean
from mtut_bench.progress import Reporter

__all__ = ["weights_app"]

weights_app = typer.Typer(
    no_args_is_help=True,
    help="Pretrained weights: download, convert and check public files.",
)

_what = partial(typer.Option, rich_help_panel="What")


@weights_app.command(epilog=examples("weights fetch i3d-rgb i3d-flow"))
def fetch(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Files to fetch; without names, list the known files."),
    ] = None,
    data: DataOption = DATA,
    url: Annotated[
        str | None,
        _what("--url", help="Download the file from this address instead (one file only)."),
    ] = None,
    sha256: Annotated[
        str | None, _what("--sha256", help="Expected SHA-256 (one file only).")
    ] = None,
) -> None:
    """Download public weight files and convert them for `run`. Resumes."""
    from mtut_baselines.weights.download import KNOWN
    from mtut_baselines.weights.download import fetch as download

    reporter = Reporter(console)
    if not names:
        for name, known in KNOWN.items():
            reporter.line(f"{name}: {known.url} -> {_converted(data, known.fills)}")
        return
    if len(names) > 1 and (url or sha256):
        raise UsageError("--url and --sha256 need exactly one file", "Name one file.")
    for name in names:
        _refuse_unknown(name, KNOWN)
    for name in names:
        known = KNOWN[name]
        path = data / "weights" / "files" / f"{name}{Path(known.url).suffix}"
        with reporter.ticker(f"fetch {name}, bytes") as ticker:
            digest = download(url or known.url, path, sha256, ticker)
        reporter.line(f"{path}: SHA-256 {digest}")
        _convert(path, _converted(data, known.fills))


@weights_app.command(epilog=examples("weights convert rgb_imagenet.pt --as i3d-rgb"))
def convert(
    file: Annotated[Path, typer.Argument(help="Public weight file.")],
    fills: Annotated[
        str, _what("--as", help="Name that `run` expects: i3d-rgb, i3d-flow, c3d-rgb.")
    ],
    data: DataOption = DATA,
) -> None:
    """Convert a local weight file for `run`."""
    from mtut_baselines.weights.download import KNOWN

    _refuse_unknown(fills, {known.fills for known in KNOWN.values()})
    _convert(file, _converted(data, fills))


@weights_app.command(epilog=examples("weights check data/weights/i3d-rgb.safetensors"))
def check(
    files: Annotated[
        list[Path],
        typer.Argument(help="Weight files, public or converted; give rgb and flow together."),
    ],
    demo: Annotated[
        Path | None,
        _what("--demo", help="The data folder of kinetics-i3d, with its demo clips."),
    ] = None,
) -> None:
    """Show contents and expected inputs of weight files; run kinetics-i3d's demo clip if given."""
    from mtut_baselines.weights.check import check as check_weights

    result = check_weights(files, demo)
    for text in result.lines:
        say(text)
    if result.passed is False:
        raise typer.Exit(1)


def _converted(data: Path, fills: str) -> Path:
    return data / "weights" / f"{fills}.safetensors"


def _refuse_unknown(name: str, known: Collection[str]) -> None:
    if name not in known:
        raise UsageError(
            f"unknown weights {name!r}",
            f"{did_you_mean(name, known)}Choose one of: {', '.join(sorted(known))}.",
        )


def _convert(path: Path, out: Path) -> None:
    from mtut_baselines.weights.load import convert

    for text in convert(path, out).lines():
        say(f"  {text}")
    say(f"wrote {out}")
