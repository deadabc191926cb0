"""Commands on pretrained weights: fetch, convert, check."""

from pathlib import Path
from typing import Annotated

import typer

from mtut_bench.cli.options import DATA, DataOption, console, examples, say
from mtut_bench.errors import UsageError, did_you_mean
from mtut_bench.progress import Reporter

__all__ = ["weights_app"]


weights_app = typer.Typer(
    no_args_is_help=True,
    help="Pretrained weights: fetch public files, convert them, check what they compute.",
)


@weights_app.command(epilog=examples("weights fetch i3d-rgb i3d-flow"))
def fetch(
    names: Annotated[list[str] | None, typer.Argument(help="Known files; none: list them.")] = None,
    data: DataOption = DATA,
    url: Annotated[
        str | None, typer.Option("--url", help="Another address for the one file named.")
    ] = None,
    sha256: Annotated[
        str | None, typer.Option("--sha256", help="Expected digest of the one file named.")
    ] = None,
) -> None:
    """Download public weight files and convert them to what `run` looks for. Resumes."""
    from mtut_baselines.weights.download import KNOWN
    from mtut_baselines.weights.download import fetch as download
    from mtut_baselines.weights.load import convert

    reporter = Reporter(console)
    if not names:
        for name, known in KNOWN.items():
            reporter.line(f"{name}: {known.url} -> {data / 'weights' / known.fills}.safetensors")
        return
    unknown = [name for name in names if name not in KNOWN]
    if unknown or (len(names) > 1 and (url or sha256)):
        what = f"there is no known file {unknown[0]!r}" if unknown else "--url names one file"
        meant = did_you_mean(unknown[0], KNOWN) if unknown else ""
        raise UsageError(what, f"{meant}Name one of: {', '.join(KNOWN)}.")
    for name in names:
        known = KNOWN[name]
        path = data / "weights" / "files" / f"{name}{Path(known.url).suffix}"
        with reporter.ticker(f"fetch {name}, bytes") as ticker:
            digest = download(url or known.url, path, sha256, ticker)
        reporter.line(f"{path}: SHA-256 {digest}")
        out = data / "weights" / f"{known.fills}.safetensors"
        for text in convert(path, out).lines():
            reporter.line(f"  {text}")
        reporter.line(f"wrote {out}")


@weights_app.command(
    name="convert", epilog=examples("weights convert rgb_imagenet.pt --as i3d-rgb")
)
def convert_(
    file: Annotated[Path, typer.Argument(help="A public weight file.")],
    fills: Annotated[
        str, typer.Option("--as", help="What `run` looks for: i3d-rgb, i3d-flow, c3d-rgb.")
    ],
    data: DataOption = DATA,
) -> None:
    """Convert a weight file that you have to what `run` looks for."""
    from mtut_baselines import METHODS
    from mtut_baselines.weights.load import convert

    known = sorted(
        {name for method in METHODS.values() for name in (method.weights or {}).values()}
    )
    if fills not in known:
        raise UsageError(
            f"no method looks for {fills!r}",
            f"{did_you_mean(fills, known)}Choose one of: {', '.join(known)}.",
        )
    out = data / "weights" / f"{fills}.safetensors"
    for text in convert(file, out).lines():
        say(text)
    say(f"wrote {out}")


@weights_app.command(epilog=examples("weights check data/weights/i3d-rgb.safetensors"))
def check(
    file: Annotated[Path, typer.Argument(help="A weight file, public or converted.")],
    demo_rgb: Annotated[
        Path | None, typer.Option("--demo-rgb", help="v_CricketShot_g04_c01_rgb.npy")
    ] = None,
    demo_flow: Annotated[
        Path | None, typer.Option("--demo-flow", help="v_CricketShot_g04_c01_flow.npy")
    ] = None,
    partner: Annotated[
        Path | None, typer.Option("--partner", help="Weight file of the other modality.")
    ] = None,
) -> None:
    """Say what a file holds and expects; run the public demo clip through it if you have it."""
    from mtut_baselines.weights.check import check as check_weights

    result = check_weights(file, demo_rgb, demo_flow, partner=partner)
    for text in result.lines:
        say(text)
    if result.passed is False:
        raise typer.Exit(1)
