"""Methods that are controls of MTUT: each changes one thing of it; none is of the paper.

What each changes stands in :mod:`mtut_baselines.objectives.controls`. They share first stages
with I3D.
"""

from collections.abc import Callable, Mapping
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
    ConstantGate,
    InvertedGate,
    MutualLearning,
    OtherClip,
    PermutedGate,
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


def _control(
    name: str, title: str, objective: type[AlignmentObjective], summary: str
) -> TwoStageMethod:
    """Return MTUT with another objective.

    Args:
        name: of the method.
        title: in the report, also of its fusion.
        objective: MTUT's, but for one thing.
        summary: that thing, and the question that it answers.
    """
    return replace(
        mtut_method(),
        name=name,
        title=title,
        fusion_title=title,
        build_objective=partial(_changed, objective=objective),
        summary=summary,
    )


def _changed(settings: Mapping[str, Any], *, objective: type[AlignmentObjective]) -> Objective:
    return objective(alignment_options(settings, focal=True))


def _per_clip(method: TwoStageMethod) -> TwoStageMethod:
    """Return a method with one rho per clip, whatever the protocol says."""
    return replace(
        method,
        build_objective=partial(_with_rho_per_clip, build=method.build_objective),
        # Not a setting of this method: a run does not state the protocol's as its own.
        settings=tuple(name for name in method.settings if name != "rho_per"),
    )


def _with_rho_per_clip(
    settings: Mapping[str, Any], *, build: Callable[[Mapping[str, Any]], Objective]
) -> Objective:
    return build({**settings, "rho_per": "clip"})


def _constant(settings: Mapping[str, Any]) -> Objective:
    return ConstantGate(alignment_options(settings, focal=True), float(settings["rho_constant"]))


def _mutual(settings: Mapping[str, Any]) -> Objective:
    """Return mutual learning, which has no settings."""
    return MutualLearning()


def i3d_again() -> TwoStageMethod:
    """Return I3D with other draws in stage two: A/A, two methods that are alike."""
    return replace(
        i3d_method(),
        name="i3d-again",
        title="I3D again",
        fusion_title="I3D again",
        settings=("joint_seed",),
        summary="i3d with other draws in stage two: how far apart are two methods that are alike?",
    )


def mtut_other_clip() -> TwoStageMethod:
    """Return MTUT aligned to another clip of the batch."""
    return _control(
        "mtut-other-clip",
        "MTUT, other clip",
        OtherClip,
        "aligned to another clip of the batch: does it matter that both see the same gesture?",
    )


def mtut_rho_per_clip() -> TwoStageMethod:
    """Return MTUT with one rho per clip, the other reading of equation 3."""
    return _per_clip(
        _control(
            "mtut-rho-per-clip",
            "MTUT, rho per clip",
            AlignmentObjective,
            "one rho per clip, the other reading of equation 3: without a bound on single clips",
        )
    )


def mtut_rho_permuted() -> TwoStageMethod:
    """Return MTUT with the rho of another clip of the batch; compare it with mtut-rho-per-clip."""
    return _per_clip(
        _control(
            "mtut-rho-permuted",
            "MTUT, rho permuted",
            PermutedGate,
            "rho per clip, of another clip: does it matter for which clips the gate opens?",
        )
    )


def mtut_rho_inverted() -> TwoStageMethod:
    """Return MTUT whose better network follows."""
    return _control(
        "mtut-rho-inverted",
        "MTUT, rho inverted",
        InvertedGate,
        "the network that does better follows: does it matter which way the gate opens?",
    )


def mtut_rho_constant() -> TwoStageMethod:
    """Return MTUT with one rho for all clips."""
    return replace(
        mtut_method(),
        name="mtut-rho-constant",
        title="MTUT, rho constant",
        fusion_title="MTUT, rho constant",
        build_objective=_constant,
        settings=(*ALIGNMENT_SETTINGS, "rho_constant"),
        summary="one rho for all clips (--set rho_constant=...): does it matter that rho varies?",
    )


def mutual_learning() -> TwoStageMethod:
    """Return deep mutual learning (Zhang et al., CVPR 2018)."""
    return replace(
        i3d_method(),
        name="mutual-learning",
        title="Deep mutual learning",
        fusion_title="Deep mutual learning",
        build_objective=_mutual,
        min_modalities=2,
        summary="predictions are imitated: does it take correlations? (Zhang et al., CVPR 2018)",
    )
