"""The command that downloads public weights: weights fetch."""

from pathlib import Path
from typing import Annotated

import typer

from mtut_bench.cli.options import DATA, DataOption
from mtut_bench.cli.printing import console
from mtut_bench.errors import UsageError, did_you_mean
from mtut_bench.progress import Reporter

__all__ = ["fetch"]


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
