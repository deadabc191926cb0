"""The command that says what a weight file holds: weights check."""

from pathlib import Path
from typing import Annotated

import typer

from mtut_bench.cli.printing import say

__all__ = ["check"]


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
