"""Networks and objectives of methods that train networks.

The trainer (:mod:`mtut_bench.training.two_stage`) knows them only by these types.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from torch import Tensor

__all__ = ["NetworkOutput", "NetworkSpec", "Objective", "ObjectiveOutput"]


class NetworkOutput(NamedTuple):
    """What every network returns.

    Attributes:
        logits_NKT: class scores per time step of the head, float, (N, K, T').
        features_NCTHW: last deep feature map, the one that is aligned, float, (N, C, T, H, W).
    """

    logits_NKT: Tensor
    features_NCTHW: Tensor


@dataclass(frozen=True)
class NetworkSpec:
    """Everything a method may use to build the network of one modality.

    Attributes:
        num_classes: K.
        in_channels: channels of the network's input (rgb 3, depth 3 when replicated, flow 2).
        width: factor on every channel count; 1.0 is the published network.
        dropout: probability of dropping a feature before the logits.
        bn_momentum: share of the new batch in the running statistics (torch sense).
        crop_px: side of the square frames that the network sees.
        recompute: save memory: compute activations again in the backward pass. Changes no number.
    """

    num_classes: int
    in_channels: int
    width: float
    dropout: float
    bn_momentum: float
    crop_px: int = 224
    recompute: bool = False


@dataclass(frozen=True)
class ObjectiveOutput:
    """Losses of one step.

    Attributes:
        losses: scalar per modality, the quantity whose gradient trains that modality's network.
        log: detached scalars per modality for the log, for instance {"rgb": {"ssa": ...}}; every
            modality has at least "cross_entropy".
    """

    losses: dict[str, Tensor]
    log: dict[str, dict[str, float]] = field(default_factory=dict)


class Objective(Protocol):
    """Losses of stage two from the outputs of all networks on the same clips."""

    def __call__(
        self,
        outputs: Mapping[str, NetworkOutput],
        labels_N: Tensor,
        valid_NT: Tensor | None = None,
    ) -> ObjectiveOutput:
        """Return one loss per modality.

        Args:
            outputs: network output per modality, in the order of the run's modalities.
            labels_N: class indices, int64, (N,).
            valid_NT: bool, (N, T) of the network's input; False marks padding frames. None: there
                are none.
        """
