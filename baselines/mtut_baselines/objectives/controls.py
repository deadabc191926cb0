"""Controls: what MTUT would be without one of the things it claims to need.

Each changes one thing of :class:`mtut_baselines.objectives.alignment.AlignmentObjective`; none is
of the paper. A method that gains as much as MTUT without a part does not owe its gain to that part.

Suffixes as in ``alignment``: a loss per clip is (N,), a correlation (N, D, D).
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from mtut_baselines.objectives.alignment import (
    AlignmentObjective,
    AlignmentOptions,
    OtherNetwork,
    clip_logits,
    focal_weight,
)
from mtut_bench.contract.networks import NetworkOutput, ObjectiveOutput
from mtut_bench.errors import UsageError

__all__ = [
    "ConstantRho",
    "InvertedRho",
    "MutualLearning",
    "OtherClip",
    "PermutedRho",
]


class OtherClip(AlignmentObjective):
    """The other network's correlations and losses are those of another clip of the batch.

    The clip after it, cyclically; the only clip of a batch is paired with itself. If the gain
    stays, it is no transfer between views of one gesture.
    """

    def see(self, other: OtherNetwork) -> OtherNetwork:
        """Return the other network's view of the next clip."""
        # One loss per batch (`rho_per` 'batch') belongs to no clip: rolling it changes nothing.
        return OtherNetwork(other.loss_N.roll(-1, dims=0), other.corr_NDD.roll(-1, dims=0))


class PermutedRho(AlignmentObjective):
    """rho is that of the next clip of the batch: as large on average, but for the wrong clips.

    There is one rho per clip then (`rho_per` 'clip'); one per batch belongs to no clip.
    """

    def rho(self, loss_m: Tensor, loss_n: Tensor) -> Tensor:
        """Return rho of the next clip, (N,)."""
        return super().rho(loss_m, loss_n).roll(-1, dims=0)


class InvertedRho(AlignmentObjective):
    """rho is above 0 where the other network is worse: the better one follows."""

    def rho(self, loss_m: Tensor, loss_n: Tensor) -> Tensor:
        """Return rho with the two losses exchanged, (N,)."""
        options = self.options
        return focal_weight(loss_n, loss_m, options.beta, options.rho_max, options.rho_form)


class ConstantRho(AlignmentObjective):
    """rho is one number for every clip and pair; meant for the mean of MTUT's.

    Args:
        options: what the alignment adds.
        value: the number.

    Raises:
        UsageError: it is negative.
    """

    def __init__(self, options: AlignmentOptions, value: float) -> None:
        super().__init__(options)
        if not value >= 0:
            raise UsageError(f"rho_constant is {value!r}.", "Give a number of at least 0.")
        self.value = value

    def rho(self, loss_m: Tensor, loss_n: Tensor) -> Tensor:
        """Return the constant, (N,)."""
        return torch.full_like(loss_m, self.value)


class MutualLearning:
    """Each network imitates the others' predictions instead of their correlations.

    loss_m = CE_m + mean over n != m of KL(p_n || p_m), p_n a constant: the classes that a clip
    might have, not where and when the networks look.

    Source: Zhang, Xiang, Hospedales, Lu, "Deep Mutual Learning", CVPR 2018, equations 6 and 8.
    """

    def __call__(
        self,
        outputs: Mapping[str, NetworkOutput],
        labels_N: Tensor,
        valid_NT: Tensor | None = None,
    ) -> ObjectiveOutput:
        """Return one loss per modality; logs 'cross_entropy' and 'divergence'.

        Args:
            outputs: network output per modality, at least two.
            labels_N: class indices, int64, (N,).
            valid_NT: ignored: padding frames count in the logits.

        Raises:
            UsageError: fewer than two modalities.
        """
        if len(outputs) < 2:
            raise UsageError(
                f"Mutual learning needs two modalities; this run has {', '.join(outputs)}.",
                "Name at least two modalities, or choose the method i3d.",
            )
        logits = {name: clip_logits(output) for name, output in outputs.items()}
        losses, log = {}, {}
        for name, own_NK in logits.items():
            cross_entropy = F.cross_entropy(own_NK, labels_N)
            log_own_NK = own_NK.log_softmax(dim=1)
            others = [
                F.kl_div(
                    log_own_NK,
                    other_NK.detach().log_softmax(dim=1),
                    reduction="batchmean",
                    log_target=True,
                )
                for other, other_NK in logits.items()
                if other != name
            ]
            divergence = torch.stack(others).mean()
            losses[name] = cross_entropy + divergence
            log[name] = {"cross_entropy": cross_entropy.item(), "divergence": divergence.item()}
        return ObjectiveOutput(losses, log)
