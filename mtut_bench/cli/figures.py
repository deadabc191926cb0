"""What figures need of a player: the command line gives it to the report."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mtut_bench.report.figures import FocalWeight

__all__ = ["focal_weight"]


def focal_weight() -> "FocalWeight":
    """Return equation 3 as the players train with it, for arrays, at the paper's beta."""
    import numpy as np
    import torch

    from mtut_baselines.objectives.alignment import focal_weight as weight
    from mtut_bench.report.figures import BETA

    def of_arrays(
        loss_m: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]",
        loss_n: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]",
    ) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
        return weight(torch.from_numpy(loss_m), torch.from_numpy(loss_n), BETA).numpy()

    return of_arrays
