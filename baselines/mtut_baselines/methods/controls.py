"""Methods that are controls of MTUT: each changes one thing of it; none is of the paper.

What each changes is in :mod:`mtut_baselines.objectives.controls`. They share stage one with I3D.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from mtut_baselines.methods.paper import (
    ALIGNMENT_SETTINGS,
    alignment_options,
    i3d_method,
    mtut_method,
)
from mtut_baselines.objectives.alignment import AlignmentObjective
from mtut_baselines.objectives.controls import (
    ConstantRho,
    InvertedRho,
    MutualLearning,
    OtherClip,
    PermutedRho,
)
from mtut_bench.contract.networks import Objective
from mtut_bench.training.two_stage import TwoStageMethod

__all__ = [
    "i3d_again",
    "mtut_other_clip",
    "mtut_rho_constant",
    "mtut_rho_inverted",
    "mtut_rho_per_clip",
    "mtut_rho_permuted",
    "mutual_learning",
]


def _control(of: TwoStageMethod, name: str, title: str, **changes: Any) -> TwoStageMethod:  # noqa: ANN401
    """Return a method with another name, a title of tables and fusion tables, and one change."""
    return replace(of, name=name, title=title, fusion_title=title, **changes)


def _aligned(kind: type[AlignmentObjective], settings: Mapping[str, Any]) -> Objective:
    return kind(alignment_options(settings, focal=True))


def _aligned_per_clip(kind: type[AlignmentObjective], settings: Mapping[str, Any]) -> Objective:
    return _aligned(kind, {**settings, "rho_per": "clip"})


# A method with one rho per clip has it whatever the protocol says: a run does not state it.
_PER_CLIP_SETTINGS = tuple(name for name in ALIGNMENT_SETTINGS if name != "rho_per")


def _constant(settings: Mapping[str, Any]) -> Objective:
    return ConstantRho(alignment_options(settings, focal=True), float(settings["rho_constant"]))


def _mutual(settings: Mapping[str, Any]) -> Objective:
    """Return mutual learning, which has no settings."""
    return MutualLearning()


def i3d_again() -> TwoStageMethod:
    """Return I3D with other draws in stage two: A/A, two methods that are alike."""
    return _control(
        i3d_method(),
        "i3d-again",
        "I3D again",
        settings=("joint_seed",),
        summary="i3d with other random draws in stage two: how far apart are two "
        "identical methods?",
    )


def mtut_other_clip() -> TwoStageMethod:
    """Return MTUT aligned to another clip of the batch."""
    return _control(
        mtut_method(),
        "mtut-other-clip",
        "MTUT, other clip",
        build_objective=partial(_aligned, OtherClip),
        summary="aligned to another clip of the batch: must both networks see the same gesture?",
    )


def mtut_rho_per_clip() -> TwoStageMethod:
    """Return MTUT with one rho per clip, the other reading of equation 3."""
    return _control(
        mtut_method(),
        "mtut-rho-per-clip",
        "MTUT, rho per clip",
        build_objective=partial(_aligned_per_clip, AlignmentObjective),
        settings=_PER_CLIP_SETTINGS,
        summary="one rho per clip, the other reading of equation 3: single clips are not bounded",
    )


def mtut_rho_permuted() -> TwoStageMethod:
    """Return MTUT with the rho of another clip of the batch, to compare with one rho per clip."""
    return _control(
        mtut_method(),
        "mtut-rho-permuted",
        "MTUT, rho permuted",
        build_objective=partial(_aligned_per_clip, PermutedRho),
        settings=_PER_CLIP_SETTINGS,
        summary="rho per clip, of another clip: does it matter which clips are aligned?",
    )


def mtut_rho_inverted() -> TwoStageMethod:
    """Return MTUT whose better network follows."""
    return _control(
        mtut_method(),
        "mtut-rho-inverted",
        "MTUT, rho inverted",
        build_objective=partial(_aligned, InvertedRho),
        summary="the network that does better follows: does it matter which one follows?",
    )


def mtut_rho_constant() -> TwoStageMethod:
    """Return MTUT with one rho for all clips."""
    return _control(
        mtut_method(),
        "mtut-rho-constant",
        "MTUT, rho constant",
        build_objective=_constant,
        settings=(*ALIGNMENT_SETTINGS, "rho_constant"),
        summary="one rho for all clips (--set rho_constant=...): does it matter that rho varies?",
    )


def mutual_learning() -> TwoStageMethod:
    """Return deep mutual learning (Zhang et al., CVPR 2018)."""
    return _control(
        i3d_method(),
        "mutual-learning",
        "Deep mutual learning",
        build_objective=_mutual,
        min_modalities=2,
        summary="predictions are imitated: does it take correlations? (Zhang et al., CVPR 2018)",
    )
