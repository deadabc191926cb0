"""The command that converts a weight file: weights convert."""

from pathlib import Path
from typing import Annotated

import typer

from mtut_bench.cli.options import DATA, DataOption
from mtut_bench.cli.printing import say
from mtut_bench.errors import UsageError, did_you_mean

__all__ = ["convert_"]


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
