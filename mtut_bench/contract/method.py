"""The contract between referee and players: what a network, an objective and a method must offer.

A *method* is one network per modality plus an objective. Stage one trains each network alone on
its classification loss; stage two applies the objective. The trainer knows players only by these
types, so it cannot favour one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn

from mtut_bench.files import StrPath

__all__ = ["Method", "NetworkOutput", "NetworkSpec", "Objective", "ObjectiveOutput"]


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
        recompute: trade time for memory: keep few activations and compute the rest again in the
            backward pass. A fact of the machine: it changes no number.
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
        ...


@dataclass(frozen=True)
class Method:
    """A player.

    Attributes:
        name: what users type and what runs are filed under ('mtut').
        title: row of the published tables that this method answers ('MTUT').
        fusion_title: row of the fusion tables ('MTUT-F').
        network: name of the architecture; methods that share it share first stages.
        build_network: network of one modality, randomly initialised from torch's generator.
        build_objective: objective of stage two from the protocol's objective settings.
        settings: names of the protocol's objective settings that change this method's numbers;
            only these enter a run's identity.
        min_modalities: fewest modalities that make sense (2 for an alignment).
        correlate: (N, C, T, H, W) features to the (N, D, D) matrices that the method aligns; kept
            for a few test clips, for the figures. None: nothing is kept.
        weights: name of the pretrained weights of each modality, a file in the weights folder
            ('i3d-rgb' is i3d-rgb.safetensors); empty where there are none.
        load_weights: fill a network from such a file; returns one line per remarkable thing.
        source: SHA-256 of the file that a user's own method came from; "" for ours.
        network_source: the same of a user's own network; "" for a built-in one, whose first stages
            are shared whoever names it.
        file: 'path/to/file.py:function' of a user's own method, as typed; "" for ours. No part of
            a run's identity.
        summary: what tells this method from others, in a line, for ``mtut-bench list methods``. No
            part of a run's identity.
    """

    name: str
    title: str
    fusion_title: str
    network: str
    build_network: Callable[[NetworkSpec], nn.Module]
    build_objective: Callable[[Mapping[str, Any]], Objective]
    settings: tuple[str, ...] = ()
    min_modalities: int = 1
    correlate: Callable[[Tensor], Tensor] | None = None
    weights: Mapping[str, str] = field(default_factory=dict)
    load_weights: Callable[[nn.Module, StrPath], Sequence[str]] | None = None
    source: str = ""
    network_source: str = ""
    file: str = ""
    summary: str = ""
