"""Protocols: everything that decides a number and is not the method. Code, not flags.

``paper`` and ``paper-scratch`` follow section 4 of the paper; where it leaves a choice open, the
default and its reason stand beside the field. ``paper-trainval`` is ``paper`` with the clips of a
validation split among the training clips. Any change that changes numbers raises ``version``; the
report never mixes versions.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

__all__ = ["PROTOCOLS", "Protocol", "scaled_lambda"]

PAPER_LAMBDA = 0.05
PAPER_BLOCKS = 392
"""Blocks d of Mixed_5c at 64 x 224 x 224: 8 * 7 * 7."""


def scaled_lambda(num_blocks: int, paper_blocks: int = PAPER_BLOCKS) -> float:
    """Return the paper's lambda at another geometry: 0.05 * (392 / d)^2.

    The alignment loss is a sum over d * d entries, so at another d the same lambda is another
    method.

    Args:
        num_blocks: d, blocks of the aligned feature map of one training clip.
        paper_blocks: d at the paper's own geometry; 392 for I3D, 64 for C3D.
    """
    return PAPER_LAMBDA * (paper_blocks / num_blocks) ** 2


@dataclass(frozen=True)
class Protocol:
    """One way to train and test. Lengths in frames, sizes in pixels.

    Attributes:
        name, version: what runs are filed under.
        summary: one line for ``mtut-bench list protocols``.
        tables: published tables that a run may fill (with a complete, recorded store).
        initialisation: 'pretrained' (the published weights of each network: ImageNet + Kinetics
            for I3D, Sports-1M for C3D) or 'scratch'.
        train_on: 'train'; 'train+val' to train on the dataset's validation split too, then nothing
            is validated; 'inner' to choose options: persons of the training side are tested
            instead of the fold's own, see :func:`mtut_bench.contract.folds.inner_fold`.
        seeds: seeds that a run may use.
        clip_length: consecutive frames of a training clip; shorter clips are padded on both sides.
        short_side, crop: frames are resized to this short side, then cropped to a square.
        resize: 'short-side' keeps the aspect ratio (printed); 'stretch' makes a square;
            'stretch-4:3' makes the short side the height of a 4:3 frame (C3D's 128 x 171).
        scaling: of rgb and depth: 'unit' to [-1, 1]; 'bgr-mean' is what C3D's public weights
            expect, 0..255 in the order blue, green, red, minus their public mean.
        depth_input: 'replicate' to three channels; 'first-conv-sum' gives the network one channel,
            with pretrained kernels summed: with 'unit' the same function, other training.
        flip: 'swap' exchanges the labels of mirror pairs (a mirrored swipe left IS a swipe right),
            'plain' keeps the label, 'none' never flips. No mirror table means no flip.
        pad_value: padding frames are 'zero' at the network's input ("zero frames") or 'black'.
        batch_size: clips per step; the last, short batch is kept.
        accumulation: parts that a batch is cut into, gradients added up; batch statistics are then
            those of a part.
        epochs_alone: stage one, classification losses alone.
        epochs_joint: stage two, the method's objective, learning rate frozen.
        stage_two: 'continue' keeps momentum and learning rate; 'restart' begins both anew.
        learning_rate, momentum, weight_decay: SGD; weight decay is I3D's own.
        plateau_threshold, plateau_patience, plateau_factor, learning_rate_floor: "when the loss is
            saturated" made exact: relative to each network's epoch-mean cross-entropy.
        gradient_clip: largest norm of each network's gradient; None: no limit (as printed).
        width, dropout, bn_momentum: of the networks; bn_momentum in the torch sense.
        lambda_, beta: of equations 3 and 4.
        target, rho_grad, rho_per, ssa_reduction, ssa_padding, rho_max: open points of the
            objective; their defaults are not yet run at the paper's size.
        rho_constant, joint_seed: of controls alone: the gate that is one number for every clip;
            what keys stage two's draws, with the seed, of a method that repeats itself.
        networks: what is different for a network of this name (C3D has a geometry of its own);
            see :meth:`for_network`.
        evaluation_batch: clips of equal length per forward pass; changes no logit.
    """

    name: str
    version: int
    summary: str
    tables: tuple[str, ...]
    initialisation: Literal["pretrained", "scratch"]
    train_on: Literal["train", "train+val", "inner"] = "train"
    seeds: tuple[int, ...] = field(default=tuple(range(10)))
    clip_length: int = 64
    short_side: int = 256
    crop: int = 224
    resize: Literal["short-side", "stretch", "stretch-4:3"] = "short-side"
    scaling: Literal["unit", "bgr-mean"] = "unit"
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
    ssa_padding: Literal["keep", "mask"] = "keep"
    rho_max: float | None = None
    rho_constant: float = 1.0
    joint_seed: int = 1
    evaluation_batch: int = 6
    networks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def for_network(self, network: str) -> "Protocol":
        """Return the protocol as it holds for a network.

        Args:
            network: name of an architecture, Method.network.
        """
        return replace(self, **self.networks.get(network, {}), networks={})

    def objective_settings(self) -> dict[str, Any]:
        """Return the settings that a method's objective is built from."""
        return {
            "lambda": self.lambda_,
            "beta": self.beta,
            "target": self.target,
            "rho_grad": self.rho_grad,
            "rho_per": self.rho_per,
            "ssa_reduction": self.ssa_reduction,
            "ssa_padding": self.ssa_padding,
            "rho_max": self.rho_max,
            "rho_constant": self.rho_constant,
            "joint_seed": self.joint_seed,
        }

    def identity(self) -> dict[str, Any]:
        """Return what enters every identity: all that changes numbers, without the objective."""
        values = asdict(self)
        for name in ("summary", "tables", "seeds", "evaluation_batch", "networks"):
            del values[name]
        for name in ("lambda_", *self.objective_settings()):
            values.pop(name, None)
        if self.train_on == "train":
            # Left out, so that a run keeps the name it had before there was a choice.
            del values["train_on"]
        return values


_C3D_GEOMETRY: dict[str, Any] = {
    # C3D's own: frames of 128 x 171, crop 112; d = 4 * 4 * 4 with 64 frames.
    "short_side": 128,
    "crop": 112,
    "resize": "stretch-4:3",
}

_STUDY: dict[str, Any] = {
    "version": 1,
    "tables": (),
    "initialisation": "scratch",
    "clip_length": 32,
    # The whole width: a crop of printed proportions sees 40 % of VIVA's, and the hand leaves it.
    "resize": "stretch",
    # As in every short protocol; see demo.
    "bn_momentum": 0.1,
    "gradient_clip": 20.0,
}
"""What results/STUDY.md lays down for both of its protocols."""

_PAPER = Protocol(
    name="paper",
    version=1,
    summary="section 4: 64 x 224 x 224, batch 6, 60 + 15 epochs, pretrained weights",
    tables=("1", "2", "3", "4", "5", "6"),
    initialisation="pretrained",
    # The rate is that of a public fine-tuning recipe of C3D; the paper gives none.
    networks={"c3d": {**_C3D_GEOMETRY, "scaling": "bgr-mean", "learning_rate": 1e-3}},
)

PROTOCOLS: dict[str, Protocol] = {
    "paper": _PAPER,
    "paper-scratch": replace(
        _PAPER,
        name="paper-scratch",
        summary="the same from random weights (Table 7)",
        tables=("7",),
        initialisation="scratch",
        # C3D has no batch norm: 3e-3 is its authors' rate from scratch, the paper gives none.
        networks={"c3d": {**_C3D_GEOMETRY, "learning_rate": 3e-3}},
    ),
    "paper-trainval": replace(
        _PAPER,
        name="paper-trainval",
        summary="paper, trained on train and val of a dataset that has both (EgoGesture)",
        # The paper does not say what it trained on; a cell has one protocol.
        tables=(),
        train_on="train+val",
    ),
    "study": Protocol(
        name="study",
        summary="results/STUDY.md on a GPU: 32 x 112 x 112, 24 + 6 epochs, from scratch",
        short_side=122,
        crop=112,
        epochs_alone=24,
        epochs_joint=6,
        lambda_=scaled_lambda(4 * 4 * 4),
        networks={
            # pool5 of 32 x 112 x 112 is 2 x 4 x 4.
            "c3d": {"learning_rate": 3e-3, "lambda_": scaled_lambda(2 * 4 * 4, paper_blocks=64)}
        },
        **_STUDY,
    ),
    "study-cpu": Protocol(
        name="study-cpu",
        summary="results/STUDY.md reduced to a CPU: an eighth of the channels, 32 x 48 x 48,"
        " 8 + 2 epochs; no ranking is drawn from it",
        short_side=52,
        crop=48,
        epochs_alone=8,
        epochs_joint=2,
        width=0.125,
        # Of 128 features half are too few to learn from within so few epochs.
        dropout=0.0,
        # Chosen on validation persons among 0.05 (392 / d)^2 and that times 1/8, 1/64, 1/512; so is
        # rho_constant, the mean of rho then: results/STUDY.md, rule 4.
        lambda_=0.05859375,
        rho_constant=1397.3,
        evaluation_batch=8,
        # As in the demo: pool5 of 32 x 48 x 48 is 2 x 2 x 2 too.
        networks={
            "c3d": {"learning_rate": 3e-3, "lambda_": scaled_lambda(2 * 2 * 2, paper_blocks=64)}
        },
        **_STUDY,
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
        networks={
            "c3d": {
                "resize": "stretch-4:3",
                "learning_rate": 3e-3,
                # pool5 of 32 x 64 x 64 is 2 x 2 x 2; the paper's own C3D map has 64 blocks.
                "lambda_": scaled_lambda(2 * 2 * 2, paper_blocks=64),
            }
        },
    ),
}
