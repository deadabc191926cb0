"""The recipe of networks that are trained in two stages: input, network, optimiser, objective.

A protocol gives all methods of this kind the same one, so that only their objectives differ.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

__all__ = ["PAPER_LAMBDA", "Recipe", "expected_ssa", "lambda_for"]

PAPER_LAMBDA = 0.05

_OBJECTIVE = (
    "lambda_",
    "beta",
    "target",
    "rho_grad",
    "rho_per",
    "rho_form",
    "ssa_reduction",
    "ssa_padding",
    "rho_max",
    "rho_constant",
    "joint_seed",
)
"""Settings of objectives; each method names those that change its numbers."""
_ALTERS_NOTHING = ("evaluation_batch",)


def expected_ssa(num_blocks: int, num_channels: int) -> float:
    """Return the expected S = ||corr_m - corr_n||_F^2 of two different trained networks.

    S = d (d - 1) (0.026 + 2 / (C - 1)): the diagonal is 1 in both matrices; each of the d (d - 1)
    correlations of independent features of C channels has the variance 1 / (C - 1). On random
    subsets of the channels of trained narrow I3D networks (d = 16) a squared difference was 0.026
    more on average.

    Args:
        num_blocks: d, blocks of the aligned feature map of one training clip, at least 2.
        num_channels: C of that map, at least 2.
    """
    return num_blocks * (num_blocks - 1) * (0.026 + 2 / (num_channels - 1))


def lambda_for(weight: float, num_blocks: int, num_channels: int) -> float:
    """Return the lambda at which the alignment is about ``weight`` where stage two begins.

    S depends on the numbers of blocks and channels, so the paper's lambda at another geometry or
    width is another method. What compares is w = lambda * S, beside a cross-entropy of about 1;
    runs state their own. At 64 x 224 x 224 (d = 392, C = 1024) the printed 0.05 is a w of 15 for
    independent features.

    Args:
        weight: w; the same for every method of a protocol, with and without focal weight.
        num_blocks: d, as of :func:`expected_ssa`.
        num_channels: C, likewise.
    """
    return weight / expected_ssa(num_blocks, num_channels)


@dataclass(frozen=True)
class Recipe:
    """How networks are fed, built and trained. Lengths in frames, sizes in pixels.

    Attributes:
        clip_length: consecutive frames of a training clip; shorter clips are padded on both sides.
        short_side, crop: frames are resized to this short side, then cropped to a square.
        resize: 'short-side' keeps the aspect ratio (printed); 'stretch' makes a square;
            'stretch-4:3' makes the short side the height of a 4:3 frame (C3D's 128 x 171).
        scaling: of rgb and depth: 'unit' to [-1, 1]; 'bgr-mean' is what C3D's public weights
            expect, 0..255 in the order blue, green, red, minus their public mean; 'motion' (not the
            paper's) is each pixel minus its median over the clip (in training the window), over 64.
        depth_input: 'replicate' to three channels; 'first-conv-sum' gives the network one channel,
            with pretrained kernels summed: with 'unit' the same function, other training.
        flip: 'swap' exchanges the labels of mirror pairs (a mirrored swipe left IS a swipe right),
            'plain' keeps the label, 'none' never flips. No mirror table means no flip.
        pad_value: padding frames are 'zero' at the network's input ("zero frames") or 'black'.
        batch_size: clips per step; the last, short batch is kept.
        accumulation: parts that a batch is cut into, gradients added up; batch statistics are then
            those of a part.
        epochs_alone: stage one, classification losses only.
        epochs_joint: stage two, the method's objective, learning rate frozen.
        stage_two: 'continue' keeps momentum and learning rate; 'restart' resets both.
        learning_rate, momentum, weight_decay: SGD; weight decay is I3D's own.
        rate_schedule: of stage one: 'plateau' lowers the rate "when the loss is saturated"; 'late'
            lowers it once, for the last sixth of the epochs, which few epochs never saturate.
        plateau_threshold, plateau_patience, plateau_factor, learning_rate_floor: "when the loss is
            saturated" made exact: relative to each network's epoch-mean cross-entropy. The factor
            is that of 'late' too.
        gradient_clip: largest norm of each network's gradient; None: no limit (as printed).
        width, dropout, bn_momentum: of the networks; bn_momentum in the torch sense.
        bn_statistics: of batch norms in the test: 'running', as updates left them (as Sonnet), or
            'recomputed' with the final weights.
        statistics_clips: most training clips that they are recomputed from.
        lambda_, beta: of equations 3 and 4; users type 'lambda'.
        target, rho_grad, rho_per, rho_form, ssa_reduction, ssa_padding, rho_max: open points of
            the objective; their defaults are not yet run at the paper's size.
        rho_constant, joint_seed: of controls: a constant focal weight; what keys stage two's draws,
            with the seed, in the A/A control.
        evaluation_batch: clips of equal length per forward pass; changes no logit.
    """

    clip_length: int = 64
    short_side: int = 256
    crop: int = 224
    resize: Literal["short-side", "stretch", "stretch-4:3"] = "short-side"
    scaling: Literal["unit", "bgr-mean", "motion"] = "unit"
    depth_input: Literal["replicate", "first-conv-sum"] = "replicate"
    flip: Literal["swap", "plain", "none"] = "swap"
    pad_value: Literal["zero", "black"] = "zero"
    batch_size: int = 6
    accumulation: int = 1
    epochs_alone: int = 60
    epochs_joint: int = 15
    stage_two: Literal["continue", "restart"] = "continue"
    learning_rate: float = 1e-2
    momentum: float = 0.9
    weight_decay: float = 1e-7
    rate_schedule: Literal["plateau", "late"] = "plateau"
    plateau_threshold: float = 0.01
    plateau_patience: int = 5
    plateau_factor: float = 0.1
    learning_rate_floor: float = 1e-4
    gradient_clip: float | None = None
    width: float = 1.0
    dropout: float = 0.5
    bn_momentum: float = 0.001
    bn_statistics: Literal["running", "recomputed"] = "running"
    statistics_clips: int = 420
    lambda_: float = PAPER_LAMBDA
    beta: float = 2.0
    target: Literal["detach", "joint"] = "detach"
    rho_grad: Literal["detach", "through"] = "detach"
    rho_per: Literal["batch", "clip"] = "batch"
    rho_form: Literal["exp", "saturating"] = "exp"
    ssa_reduction: Literal["sum", "mean", "rms"] = "sum"
    ssa_padding: Literal["keep", "mask"] = "keep"
    rho_max: float | None = None
    rho_constant: float = 1.0
    joint_seed: int = 1
    evaluation_batch: int = 6

    def objective_settings(self) -> dict[str, Any]:
        """Return the settings that a method's objective is built from, by their public names."""
        return {name.rstrip("_"): getattr(self, name) for name in _OBJECTIVE}

    def identity(self) -> dict[str, Any]:
        """Return what enters every identity: all that changes numbers, without the objective."""
        left_out = {*_OBJECTIVE, *_ALTERS_NOTHING}
        if self.bn_statistics == "running":
            # It changes nothing then.
            left_out.add("statistics_clips")
        return {name: value for name, value in asdict(self).items() if name not in left_out}

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Recipe":
        """Return the recipe of a run's settings by public name; others are ignored or default."""
        names = {field.name.rstrip("_"): field.name for field in fields(cls)}
        return cls(**{names[name]: value for name, value in settings.items() if name in names})
