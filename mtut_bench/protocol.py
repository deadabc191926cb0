"""Protocols: everything that decides a number and is not the method. Code, not flags.

``paper`` and ``paper-scratch`` follow section 4 of the paper; where it leaves a choice open, the
default and its reason stand beside the field. Any change that changes numbers raises ``version``;
the report never mixes versions.
"""

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

__all__ = ["PROTOCOLS", "Protocol", "scaled_lambda"]

PAPER_LAMBDA = 0.05
PAPER_BLOCKS = 392
"""Blocks d of Mixed_5c at 64 x 224 x 224: 8 * 7 * 7."""


def scaled_lambda(num_blocks: int) -> float:
    """Return the paper's lambda at another geometry: 0.05 * (392 / d)^2.

    The alignment loss is a sum over d * d entries, so at another d the same lambda is another
    method.

    Args:
        num_blocks: d, blocks of the aligned feature map of one training clip.
    """
    return PAPER_LAMBDA * (PAPER_BLOCKS / num_blocks) ** 2


@dataclass(frozen=True)
class Protocol:
    """One way to train and test. Lengths in frames, sizes in pixels.

    Attributes:
        name, version: what runs are filed under.
        summary: one line for ``mtut-bench list protocols``.
        tables: published tables that a run may fill (with a complete, recorded store).
        initialisation: 'kinetics' (published weights) or 'scratch'.
        seeds: seeds that a run may use.
        clip_length: consecutive frames of a training clip; shorter clips are padded on both sides.
        short_side, crop: frames are resized to this short side, then cropped to a square.
        resize: 'short-side' keeps the aspect ratio (printed); 'stretch' makes a square.
        flip: 'swap' exchanges the labels of mirror pairs (a mirrored swipe left IS a swipe right),
            'plain' keeps the label, 'none' never flips. No mirror table means no flip.
        pad_value: padding frames are 'zero' at the network's input ("zero frames") or 'black'.
        batch_size: clips per step; the last, short batch is kept.
        epochs_alone: stage one, classification losses alone.
        epochs_joint: stage two, the method's objective, learning rate frozen.
        learning_rate, momentum, weight_decay: SGD; weight decay is I3D's own.
        plateau_threshold, plateau_patience, plateau_factor, learning_rate_floor: "when the loss is
            saturated" made exact: relative to each network's epoch-mean cross-entropy.
        gradient_clip: largest norm of each network's gradient; None: no limit (as printed).
        width, dropout, bn_momentum: of the networks; bn_momentum in the torch sense.
        lambda_, beta: of equations 3 and 4.
        target, rho_grad, rho_per, ssa_reduction, rho_max: open points of the objective.
        evaluation_batch: clips of equal length per forward pass; changes no logit.
    """

    name: str
    version: int
    summary: str
    tables: tuple[str, ...]
    initialisation: Literal["kinetics", "scratch"]
    seeds: tuple[int, ...] = field(default=tuple(range(10)))
    clip_length: int = 64
    short_side: int = 256
    crop: int = 224
    resize: Literal["short-side", "stretch"] = "short-side"
    flip: Literal["swap", "plain", "none"] = "swap"
    pad_value: Literal["zero", "black"] = "zero"
    batch_size: int = 6
    epochs_alone: int = 60
    epochs_joint: int = 15
    learning_rate: float = 1e-2
    momentum: float = 0.9
    weight_decay: float = 1e-7
    plateau_threshold: float = 0.01
    plateau_patience: int = 5
    plateau_factor: float = 0.1
    learning_rate_floor: float = 1e-4
    gradient_clip: float | None = None
    width: float = 1.0
    dropout: float = 0.5
    bn_momentum: float = 0.001
    lambda_: float = PAPER_LAMBDA
    beta: float = 2.0
    target: Literal["detach", "joint"] = "detach"
    rho_grad: Literal["detach", "through"] = "detach"
    rho_per: Literal["clip", "batch"] = "clip"
    ssa_reduction: Literal["sum", "mean", "rms"] = "sum"
    rho_max: float | None = None
    evaluation_batch: int = 6

    def objective_settings(self) -> dict[str, Any]:
        """Return the settings that a method's objective is built from."""
        return {
            "lambda": self.lambda_,
            "beta": self.beta,
            "target": self.target,
            "rho_grad": self.rho_grad,
            "rho_per": self.rho_per,
            "ssa_reduction": self.ssa_reduction,
            "rho_max": self.rho_max,
        }

    def identity(self) -> dict[str, Any]:
        """Return what enters every identity: all that changes numbers, without the objective."""
        values = asdict(self)
        for name in ("summary", "tables", "seeds", "evaluation_batch"):
            del values[name]
        for name in ("lambda_", *self.objective_settings()):
            values.pop(name, None)
        return values


_PAPER = Protocol(
    name="paper",
    version=1,
    summary="section 4: 64 x 224 x 224, batch 6, 60 + 15 epochs, ImageNet + Kinetics weights",
    tables=("1", "2", "3", "4", "5", "6"),
    initialisation="kinetics",
)

PROTOCOLS: dict[str, Protocol] = {
    "paper": _PAPER,
    "paper-scratch": replace(
        _PAPER,
        name="paper-scratch",
        summary="the same from random weights (Table 7)",
        tables=("7",),
        initialisation="scratch",
    ),
    "demo": Protocol(
        name="demo",
        version=1,
        summary="CPU, minutes: a quarter of the channels, 32 x 64 x 64, 6 + 2 epochs; shows the"
        " path, ranks nothing",
        tables=(),
        initialisation="scratch",
        clip_length=32,
        short_side=72,
        crop=64,
        epochs_alone=6,
        epochs_joint=2,
        width=0.25,
        # After a few hundred steps at 0.001 evaluation is at chance though training has converged.
        bn_momentum=0.1,
        # In fresh networks the alignment is hundreds of times the cross-entropy; unlimited, the
        # first steps of stage two diverge.
        gradient_clip=20.0,
        lambda_=scaled_lambda(4 * 2 * 2),
        evaluation_batch=8,
    ),
}
