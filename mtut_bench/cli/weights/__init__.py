"""Commands on pretrained weights: weights fetch, convert, check."""

import typer

from mtut_bench.cli.printing import examples
from mtut_bench.cli.weights import check, convert, fetch

__all__ = ["weights_app"]

weights_app = typer.Typer(
    no_args_is_help=True,
    help="Pretrained weights: fetch public files, convert them, check what they compute.",
)

weights_app.command(epilog=examples("weights fetch i3d-rgb i3d-flow"))(fetch.fetch)
weights_app.command(
    name="convert", epilog=examples("weights convert rgb_imagenet.pt --as i3d-rgb")
)(convert.convert_)
weights_app.command(epilog=examples("weights check data/weights/i3d-rgb.safetensors"))(check.check)
