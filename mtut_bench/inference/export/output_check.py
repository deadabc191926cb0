"""An exported network compared with the run's, on inputs of many shapes."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mtut_bench.inference.export.input_spec import InputSpec

__all__ = ["ClipScores", "Difference", "comparison_shapes", "measure_differences"]

RELATIVE_TOLERANCE = 1e-4
"""Allowed difference in parts of the largest logit. Two runtimes add the same float32 products (up
to 22,000 in one I3D kernel) in another order, which moves logits by 1e-7 to 1e-6 of their size; a
wrong pad or a wrong length moves them by 1e-2 and more."""

ABSOLUTE_TOLERANCE = 1e-6
"""Added to it, for networks whose logits are all near 0."""

_SEED = 20190616
"""Of the random inputs: fixed, so that two exports of a network print the same differences."""


class ClipScores(nn.Module):
    """A network as it leaves the project: logits of the clip, and logits per time step.

    Args:
        network: one that returns a NetworkOutput.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, clip_NCTHW: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits_NK, the mean over time, and logits_NKT.

        Args:
            clip_NCTHW: float32, the network's input.
        """
        logits_NKT = self.network(clip_NCTHW).logits_NKT.float()
        return logits_NKT.mean(dim=2), logits_NKT


@dataclass(frozen=True)
class Difference:
    """Largest difference over all logits of one input.

    Attributes:
        batch: clips.
        frames: length.
        largest: absolute difference; infinite where shapes differ or a value is not finite.
        scale: largest absolute logit of the reference.
        exact: whether any difference at all is a fault.
    """

    batch: int
    frames: int
    largest: float
    scale: float
    exact: bool = False

    @property
    def allowed(self) -> float:
        """Largest difference that passes."""
        return 0.0 if self.exact else RELATIVE_TOLERANCE * self.scale + ABSOLUTE_TOLERANCE

    @property
    def passed(self) -> bool:
        """Whether the difference is allowed."""
        return self.largest <= self.allowed

    def __str__(self) -> str:
        return (
            f"batch {self.batch}, {self.frames} frames: largest difference {self.largest:.2g}"
            f" of logits up to {self.scale:.3g} (allowed {self.allowed:.2g})"
        )


def comparison_shapes(spec: InputSpec, *, dynamic: bool) -> list[tuple[int, int]]:
    """Return the (batch, frames) to compare on.

    Args:
        spec: of the network.
        dynamic: whether clips of any length are taken; then the shortest, the training length and
            odd and even ones beside them, because padding depends on the parity of a length.
    """
    usual = max(spec.clip_length, spec.min_frames)
    # A network that states no shortest clip need not take one of a single frame.
    least = spec.min_frames if spec.min_frames > 1 else usual
    lengths = {least, least + 5, usual, usual + 7} if dynamic else {usual}
    return [(batch, frames) for frames in sorted(lengths) for batch in (1, 2)]


def measure_differences(
    reference: nn.Module,
    exported: Callable[[Tensor], tuple[Tensor, Tensor]],
    spec: InputSpec,
    shapes: Iterable[tuple[int, int]],
    *,
    exact: bool = False,
) -> list[Difference]:
    """Return the differences between two networks on the same random clips.

    Args:
        reference: the run's network, in evaluation mode; returns a NetworkOutput.
        exported: returns logits_NK and logits_NKT, float32.
        spec: size and range of the input.
        shapes: (batch, frames) of each input.
        exact: whether any difference at all is a fault.
    """
    scores = ClipScores(reference).eval()
    generator = torch.Generator().manual_seed(_SEED)
    low, high = spec.value_range
    found = []
    for batch, frames in shapes:
        size = (batch, spec.channels, frames, spec.crop, spec.crop)
        clip_NCTHW = torch.rand(size, generator=generator) * (high - low) + low
        with torch.inference_mode():
            pairs = list(zip(scores(clip_NCTHW), exported(clip_NCTHW), strict=True))
        largest = max(_largest(a, b) for a, b in pairs)
        scale = max(float(a.abs().max()) for a, _ in pairs)
        found.append(Difference(batch, frames, largest, scale, exact))
    return found


def _largest(a: Tensor, b: Tensor) -> float:
    if a.shape != b.shape:
        return float("inf")
    difference = float((a.double() - b.double()).abs().max())
    return float("inf") if math.isnan(difference) else difference
