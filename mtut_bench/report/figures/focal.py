"""Figure 3 of the paper: the weight of the alignment over the losses of two networks."""

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm
from numpy.typing import NDArray

from mtut_bench.report.figures.canvas import MAGNITUDE, Figure, add_bar, finish, new_canvas

__all__ = ["BETA", "FocalWeight", "focal_figure", "focal_grid"]

BETA = 2.0
"""Sharpness at which the paper draws its figure 3."""

_LARGEST_LOSS = 2.0
_POINTS = 81
_TICKS = (0.0, 0.5, 1.0, 1.5, 2.0)
_LEVELS = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0)

Grid = NDArray[np.float64]
FocalWeight = Callable[[Grid, Grid], Grid]
"""Equation 3 at beta = 2: losses of the network in training and of the other one to rho."""


def focal_grid(focal_weight: FocalWeight) -> tuple[Grid, Grid, Grid]:
    """Return both losses, each from 0 to 2, and rho; all float64, (81, 81)."""
    axis = np.linspace(0.0, _LARGEST_LOSS, _POINTS)
    loss_m, loss_n = np.meshgrid(axis, axis, indexing="ij")
    return loss_m, loss_n, np.asarray(focal_weight(loss_m, loss_n), dtype=np.float64)


def focal_figure(focal_weight: FocalWeight) -> Figure:
    """Return rho as a surface, as the paper prints it, and as a map with its levels."""
    loss_m, loss_n, rho = focal_grid(focal_weight)
    canvas = new_canvas(3.1)
    _draw_surface(canvas.add_subplot(1, 2, 1, projection="3d"), loss_m, loss_n, rho)
    _draw_map(canvas.add_subplot(1, 2, 2), loss_m, loss_n, rho)
    largest = float(rho.max())
    return finish(
        canvas,
        "focal-weight",
        title="Figure 3: the focal weight \u03c1 over the two losses",
        caption=(
            "\u03c1(m, n) = max(0, exp(\u03b2 (loss of m - loss of n)) - 1) with "
            f"\u03b2 = {BETA:g}, computed by the function that trains; losses from 0 to "
            f"{_LARGEST_LOSS:g} as in the paper. Left: the surface as the paper prints it. Right: "
            "the same seen from above. Where the other network is not better, \u03c1 is 0 and "
            f"nothing is transferred; the largest value here is {largest:.1f}."
        ),
        alt=(
            "Surface and map of rho over the classification losses of two networks. It is 0 where "
            "the loss of the network in training is not above that of the other, and grows "
            f"exponentially with the gap, up to {largest:.1f} at a gap of {_LARGEST_LOSS:g}."
        ),
    )


def _draw_surface(
    axes: Any,  # noqa: ANN401 - axes of three dimensions, untyped
    loss_m: Grid,
    loss_n: Grid,
    rho: Grid,
) -> None:
    axes.plot_surface(loss_m, loss_n, rho, cmap=MAGNITUDE, rcount=27, ccount=27, linewidth=0.2)
    axes.set_xlabel("loss of m", labelpad=-4)
    axes.set_ylabel("loss of n", labelpad=-4)
    axes.zaxis.set_rotate_label(False)
    axes.set_zlabel("\u03c1(m, n)", labelpad=-5, rotation=90)
    axes.tick_params(pad=-2)
    axes.set_xticks([0, 1, 2])
    axes.set_yticks([0, 1, 2])
    axes.view_init(elev=24, azim=-142)
    axes.set_box_aspect(None, zoom=1.0)


def _draw_map(axes: Axes, loss_m: Grid, loss_n: Grid, rho: Grid) -> None:
    levels = [level for level in _LEVELS if level < rho.max()]
    levels.append(next((level for level in _LEVELS if level >= rho.max()), float(rho.max()) + 1.0))
    norm = BoundaryNorm(levels, 256)
    filled = axes.contourf(loss_m, loss_n, rho, levels, cmap=MAGNITUDE, norm=norm)
    axes.plot([0, _LARGEST_LOSS], [0, _LARGEST_LOSS], color="white", linestyle="--")
    axes.text(0.6, 1.4, "\u03c1 = 0:\nn is not better", color="white", ha="center", va="center")
    axes.set_xlabel("loss of m, the network in training")
    axes.set_ylabel("loss of n, the other network")
    axes.set_xticks(_TICKS)
    axes.set_yticks(_TICKS)
    axes.set_aspect("equal")
    add_bar(axes, filled, "\u03c1(m, n)", ticks=levels, format="%g")
