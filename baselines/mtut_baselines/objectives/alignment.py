"""Spatiotemporal semantic alignment (SSA) and the objectives of stage two.

Source: Abavisani, Joze and Patel, "Improving the Performance of Unimodal Dynamic Hand-Gesture
Recognition With Multimodal Training", CVPR 2019, equations 1-4. What the paper leaves open is an
option of :class:`AlignmentOptions`.

Suffixes here: DD is a pair of blocks (D = T*H*W); a loss per clip is (N,).
"""

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from mtut_bench.contract.networks import NetworkOutput, ObjectiveOutput
from mtut_bench.errors import UsageError

__all__ = [
    "AlignmentObjective",
    "AlignmentOptions",
    "ClassificationObjective",
    "OtherNetwork",
    "alignment_loss",
    "clip_logits",
    "correlation",
    "focal_weight",
    "valid_blocks",
]

Target = Literal["detach", "joint"]
RhoGrad = Literal["detach", "through"]
RhoPer = Literal["clip", "batch"]
RhoForm = Literal["exp", "saturating"]
Reduction = Literal["sum", "mean", "rms"]
Padding = Literal["keep", "mask"]


def correlation(features_NCTHW: Tensor) -> Tensor:
    """Return the correlation of every pair of blocks over the channels.

    A block whose channels are all equal has no direction: its row and column, its diagonal entry
    included, are 0, and so is its gradient. All else is Pearson's coefficient: diagonal 1, the
    same when a block is scaled or shifted.

    Args:
        features_NCTHW: last deep feature map, float, (N, C, T, H, W).

    Returns:
        corr_NDD in [-1, 1] up to rounding, (N, T*H*W, T*H*W); float32 also under autocast, float64
        where the features are.

    Source: equation 1. Its division by the standard deviation cancels in the one by the L2 norm.
    """
    with torch.autocast(features_NCTHW.device.type, enabled=False):
        dtype = torch.promote_types(features_NCTHW.dtype, torch.float32)
        rows_NCD = _unit_rows(features_NCTHW.flatten(2).to(dtype))
        return torch.bmm(rows_NCD.transpose(1, 2), rows_NCD)


def _unit_rows(blocks_NCD: Tensor) -> Tensor:
    """Return each block minus its channel mean, at length 1, or 0 where the block is constant."""
    # The result does not depend on origin and scale, so both are constants to the gradient. One of
    # the block's own values as origin makes equal channels exactly 0, which subtracting a rounded
    # mean would not; the scale keeps the squares of very small or large features in range.
    shifted_NCD = blocks_NCD - blocks_NCD[:, :1].detach()
    scale_N1D = shifted_NCD.detach().abs().amax(dim=1, keepdim=True)
    # Below the smallest normal number 1/scale, the size of the gradient, is not representable.
    constant_N1D = scale_N1D < torch.finfo(blocks_NCD.dtype).tiny
    scaled_NCD = shifted_NCD / scale_N1D.masked_fill(constant_N1D, 1.0)
    centred_NCD = scaled_NCD - scaled_NCD.mean(dim=1, keepdim=True)
    square_N1D = centred_NCD.square().sum(dim=1, keepdim=True).masked_fill(constant_N1D, 1.0)
    return (centred_NCD * square_N1D.rsqrt()).masked_fill(constant_N1D, 0.0)


def alignment_loss(
    corr_m: Tensor,
    corr_n: Tensor,
    reduction: Reduction = "sum",
    *,
    valid_ND: Tensor | None = None,
) -> Tensor:
    """Return how far two networks' correlations of the same clips are apart.

    Args:
        corr_m: correlations of one network, float, (N, D, D).
        corr_n: correlations of the other, same shape.
        reduction: 'sum' is the squared Frobenius norm, 'mean' that over the number of entries,
            'rms' the square root of 'mean' (gradient 0 where both are equal).
        valid_ND: blocks that count, bool, (N, D); None for all.

    Returns:
        loss_N, (N,); with 'sum' in [0, 4 D^2], with 'mean' in [0, 4], with 'rms' in [0, 2].

    Source: equation 2, without rho.
    """
    difference_NDD = corr_m - corr_n
    count_N: Tensor | int = corr_m.shape[1] * corr_m.shape[2]
    if valid_ND is not None:
        pairs_NDD = valid_ND[:, :, None] & valid_ND[:, None, :]
        difference_NDD = difference_NDD.masked_fill(~pairs_NDD, 0.0)
        count_N = pairs_NDD.sum(dim=(1, 2)).clamp(min=1)
    total_N = difference_NDD.square().sum(dim=(1, 2))
    if reduction == "sum":
        return total_N
    mean_N = total_N / count_N
    if reduction == "mean":
        return mean_N
    equal_N = mean_N == 0
    # The slope of the root is infinite at 0, and infinity times the masked 0 would be NaN.
    return mean_N.masked_fill(equal_N, 1.0).sqrt().masked_fill(equal_N, 0.0)


def valid_blocks(valid_NT: Tensor, features_NCTHW: Tensor) -> Tensor:
    """Return which blocks lie over at least one frame that is not padding, bool, (N, D).

    The T frames are shared out over the T' time steps of the map by the rule of adaptive pooling:
    step t' stands over the frames from floor(t' T / T') to ceil((t' + 1) T / T'), exclusive; in
    I3D at 64 frames, eight each. Every block of a step that holds a single real frame is valid.
    The stride counts, not the receptive field: Mixed_5c's is 99 frames wide, by which hardly a
    block would ever be padding.

    Args:
        valid_NT: False for padding frames, bool, (N, T) of the network's input.
        features_NCTHW: the map, of which the shape counts, (N, C, T', H, W).
    """
    steps, height, width = features_NCTHW.shape[2:]
    # Pooling knows no bool. float32 holds 0 and 1 exactly, also inside autocast.
    valid_NT = F.adaptive_max_pool1d(valid_NT.float(), steps) > 0
    return valid_NT.repeat_interleave(height * width, dim=1)


def focal_weight(
    loss_m: Tensor,
    loss_n: Tensor,
    beta: float,
    rho_max: float | None = None,
    form: RhoForm = "exp",
) -> Tensor:
    """Return rho = max(0, exp(beta * (loss_m - loss_n)) - 1), elementwise.

    Above 0 only where network n is better than m; at a tie it and its gradient are 0.

    Args:
        loss_m: classification loss of the network being trained, float, any shape.
        loss_n: classification loss of the other network, same shape.
        beta: sharpness; the paper's is 2.
        rho_max: ceiling on rho (the gradient is 0 above); None for none. At beta 2 a loss gap of 5
            gives 22,025 and one of 45 leaves float32.
        form: 'exp', as printed; 'saturating' is rho / (1 + rho) = 1 - exp(-beta * gap), a departure
            that has the same slope at a tie and stays below 1.

    Source: equation 3.
    """
    exponent = F.relu(beta * (loss_m - loss_n))
    if form == "saturating":
        rho = -torch.expm1(-exponent)
        return rho if rho_max is None else rho.clamp(max=rho_max)
    if rho_max is not None:
        # On the exponent, because a ceiling on an infinite rho has the gradient 0 * infinity.
        exponent = exponent.clamp(max=math.log1p(rho_max))
    return torch.expm1(exponent)


@dataclass(frozen=True)
class AlignmentOptions:
    """What the alignment adds to the classification losses; defaults are the benchmark's.

    Attributes:
        lambda_: weight of the alignment; the paper's is 0.05, at 392 blocks.
        beta: sharpness of rho; the paper's is 2.
        target: whether the gradient of network m's loss also reaches network n ('joint') or treats
            it as a constant, in the correlations and in rho ('detach').
        rho_grad: whether the gradient runs 'through' rho, as the paper's "differentiable ...
            end-to-end" reads; 'detach' takes rho as a constant, a departure for stability.
        rho_per: one rho per batch from the mean losses, or one per clip.
        ssa_reduction: see :func:`alignment_loss`.
        rho_max, rho_form: see :func:`focal_weight`.
        ssa_padding: 'keep' aligns all blocks, those over padding frames included; 'mask' leaves
            these out, see :func:`valid_blocks`.
        focal: False sets rho = 1 for every ordered pair, the paper's '+SSA'.

    Raises:
        UsageError: a value outside of its range or choices.
    """

    lambda_: float
    beta: float
    target: Target = "detach"
    rho_grad: RhoGrad = "detach"
    rho_per: RhoPer = "batch"
    ssa_reduction: Reduction = "sum"
    rho_max: float | None = None
    rho_form: RhoForm = "exp"
    ssa_padding: Padding = "keep"
    focal: bool = True

    def __post_init__(self) -> None:
        rho = {"rho_grad": RhoGrad, "rho_per": RhoPer, "rho_form": RhoForm}
        ssa = {"target": Target, "ssa_reduction": Reduction, "ssa_padding": Padding}
        for name, literal in {**rho, **ssa}.items():
            value, allowed = getattr(self, name), get_args(literal)
            if value not in allowed:
                raise UsageError(
                    f"{name} cannot be {value!r}.", f"Choose one of: {', '.join(allowed)}."
                )
        for name in ("lambda_", "beta", "rho_max"):
            value = getattr(self, name)
            if value is not None and not (value >= 0 and math.isfinite(value)):
                raise UsageError(
                    f"{name.rstrip('_')} is {value!r}.", "Give a finite number of at least 0."
                )

    @property
    def is_active(self) -> bool:
        """Whether the alignment can change a loss at all."""
        ceiling = math.inf if self.rho_max is None else self.rho_max
        return self.lambda_ > 0 and (not self.focal or (self.beta > 0 and ceiling > 0))


class ClassificationObjective:
    """Cross-entropy of each modality alone."""

    def __call__(
        self,
        outputs: Mapping[str, NetworkOutput],
        labels_N: Tensor,
        valid_NT: Tensor | None = None,
    ) -> ObjectiveOutput:
        """Return the batch mean of the cross-entropy per modality.

        Args:
            outputs: network output per modality.
            labels_N: class indices, int64, (N,).
            valid_NT: ignored: padding frames count in the logits.
        """
        losses = {
            name: F.cross_entropy(clip_logits(output), labels_N) for name, output in outputs.items()
        }
        values = torch.stack([loss.detach() for loss in losses.values()]).tolist()
        log = {name: {"cross_entropy": value} for name, value in zip(losses, values, strict=True)}
        return ObjectiveOutput(losses, log)


class OtherNetwork(NamedTuple):
    """What one network sees of another.

    Attributes:
        loss_N: the other's losses that rho compares, (N,) or (1,).
        corr_NDD: the other's correlations, (N, D, D).
    """

    loss_N: Tensor
    corr_NDD: Tensor


class AlignmentObjective:
    """Cross-entropy of each modality plus its alignment to every other.

    loss_m = mean over clips of (CE_m + lambda * sum over n != m of rho(m, n) * S(m, n)).

    Differentiate the sum of the losses: with 'detach' each network then gets the gradient of its
    own loss and nothing else, with 'joint' of all of them. Where the alignment is switched off
    (lambda, beta or rho_max 0) losses and gradients are those of plain cross-entropy, bit for bit.

    Args:
        options: what the alignment adds.

    Source: equations 2-4.
    """

    def __init__(self, options: AlignmentOptions) -> None:
        self.options = options

    def __call__(
        self,
        outputs: Mapping[str, NetworkOutput],
        labels_N: Tensor,
        valid_NT: Tensor | None = None,
    ) -> ObjectiveOutput:
        """Return one loss per modality.

        Logged per modality: 'cross_entropy' (batch mean); 'ssa' (mean S over clips and other
        modalities, unweighted) and 'w', lambda times it; 'rho_mean', 'rho_max' and 'rho_open'
        (mean, largest and share above 0, over the same pairs); 'ssa_term' (what was added to the
        loss) and 'ratio' of it to the cross-entropy.

        Args:
            outputs: network output per modality, at least two; feature maps of equal T, H and W.
            labels_N: class indices, int64, (N,).
            valid_NT: False for padding frames, bool, (N, T) of the networks' input; None for none.
                Counts with `ssa_padding` 'mask' alone; see :func:`valid_blocks`.

        Raises:
            UsageError: fewer than two modalities.
        """
        if len(outputs) < 2:
            raise UsageError(
                f"Alignment needs two modalities; this run has {', '.join(outputs) or 'none'}.",
                "Name at least two modalities, or choose the method i3d.",
            )
        logits = {name: clip_logits(output) for name, output in outputs.items()}
        means = {name: F.cross_entropy(logits_NK, labels_N) for name, logits_NK in logits.items()}
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.options.is_active):
            corrs = {name: correlation(output.features_NCTHW) for name, output in outputs.items()}
            valid_ND = self._valid_ND(outputs, valid_NT)
            compared = {name: self._rho_losses(logits[name], labels_N) for name in outputs}
            pairs = {name: self._pairs(name, compared, corrs, valid_ND) for name in outputs}
            terms = {
                name: self.options.lambda_ * (rho_PN * ssa_PN).sum(dim=0).mean()
                for name, (rho_PN, ssa_PN) in pairs.items()
            }
        losses = means
        if self.options.is_active:
            losses = {name: mean + terms[name] for name, mean in means.items()}
        return ObjectiveOutput(losses, _log(means, terms, pairs, self.options.lambda_))

    def see(self, other: OtherNetwork) -> OtherNetwork:
        """Return what a network sees of another: the same clips; controls change it."""
        return other

    def rho(self, loss_m: Tensor, loss_n: Tensor) -> Tensor:
        """Return rho; controls change it.

        Args:
            loss_m: losses of the network in training, (N,) or (1,).
            loss_n: losses of the other, same shape.

        Source: equation 3; with focal off 1, the paper's '+SSA'.
        """
        options = self.options
        rho = focal_weight(loss_m, loss_n, options.beta, options.rho_max, options.rho_form)
        return rho if options.focal else torch.ones_like(rho)

    def _valid_ND(
        self, outputs: Mapping[str, NetworkOutput], valid_NT: Tensor | None
    ) -> Tensor | None:
        """Return the blocks that are aligned, (N, D), or None for all of them."""
        if valid_NT is None or self.options.ssa_padding == "keep":
            return None
        return valid_blocks(valid_NT, next(iter(outputs.values())).features_NCTHW)

    def _rho_losses(self, logits_NK: Tensor, labels_N: Tensor) -> Tensor:
        """Return the losses that rho compares: (N,) per clip, or their mean as (1,)."""
        losses_N = F.cross_entropy(logits_NK, labels_N, reduction="none")
        return losses_N if self.options.rho_per == "clip" else losses_N.mean(dim=0, keepdim=True)

    def _pairs(
        self,
        name: str,
        losses: Mapping[str, Tensor],
        corrs: Mapping[str, Tensor],
        valid_ND: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Return rho and S of one modality to the P = M - 1 others.

        Args:
            name: modality m, the one being trained.
            losses: that rho compares, per modality, (N,) or (1,).
            corrs: correlations per modality, (N, D, D).
            valid_ND: blocks that are aligned, bool, (N, D); None for all.

        Returns:
            rho_PN, (P, N) or (P, 1), and ssa_PN, (P, N).
        """
        options = self.options
        rhos, ssas = [], []
        for other in (other for other in corrs if other != name):
            loss_n, corr_n = self.see(OtherNetwork(losses[other], corrs[other]))
            if options.target == "detach":
                loss_n, corr_n = loss_n.detach(), corr_n.detach()
            rho = self.rho(losses[name], loss_n)
            rhos.append(rho if options.rho_grad == "through" else rho.detach())
            ssas.append(
                alignment_loss(corrs[name], corr_n, options.ssa_reduction, valid_ND=valid_ND)
            )
        return torch.stack(rhos), torch.stack(ssas)


def clip_logits(output: NetworkOutput) -> Tensor:
    """Return logits averaged over time, (N, K), at least float32 also under autocast."""
    logits_NKT = output.logits_NKT
    return logits_NKT.to(torch.promote_types(logits_NKT.dtype, torch.float32)).mean(dim=2)


def _log(
    means: Mapping[str, Tensor],
    terms: Mapping[str, Tensor],
    pairs: Mapping[str, tuple[Tensor, Tensor]],
    lambda_: float,
) -> dict[str, dict[str, float]]:
    """Return the log of :meth:`AlignmentObjective.__call__`, fetched from the device at once."""
    scalars = []
    for name, (rho_PN, ssa_PN) in pairs.items():
        open_PN = (rho_PN > 0).to(ssa_PN.dtype)
        scalars += [means[name], ssa_PN.mean(), rho_PN.mean(), rho_PN.max(), open_PN.mean()]
        scalars.append(terms[name])
    names = ("cross_entropy", "ssa", "rho_mean", "rho_max", "rho_open", "ssa_term")
    table = torch.stack(scalars).detach().reshape(len(pairs), len(names)).tolist()
    log = {}
    for modality, row in zip(pairs, table, strict=True):
        entry = dict(zip(names, row, strict=True))
        # A saturated loss is exactly 0; the floor keeps the ratio a number that JSON can hold.
        entry["w"] = lambda_ * entry["ssa"]
        entry["ratio"] = entry["ssa_term"] / max(entry["cross_entropy"], sys.float_info.min)
        log[modality] = entry
    return log
