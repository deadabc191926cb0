"""Methods that are controls of MTUT: each changes one thing of it; none is of the paper.

What each changes stands in :mod:`mtut_baselines.controls`. They share first stages with I3D.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from mtut_baselines.alignment import AlignmentObjective
from mtut_baselines.controls import (
    ConstantGate,
    InvertedGate,
    MutualLearning,
    OtherClip,
    PermutedGate,
)
from mtut_baselines.methods import ALIGNMENT_SETTINGS, alignment_options, i3d_method, mtut_method
from mtut_bench.method import Method, Objective

__all__ = ["CONTROLS"]


def _control(name: str, title: str, objective: type[AlignmentObjective]) -> Method:
    """Return MTUT with another objective.

    Args:
        name: of the method.
        title: in the report, also of its fusion.
        objective: MTUT's, but for one thing.
    """
    return replace(
        mtut_method(),
        name=name,
        title=title,
        fusion_title=title,
        build_objective=partial(_changed, objective=objective),
    )


def _changed(settings: Mapping[str, Any], *, objective: type[AlignmentObjective]) -> Objective:
    return objective(alignment_options(settings, focal=True))


def _constant(settings: Mapping[str, Any]) -> Objective:
    return ConstantGate(alignment_options(settings, focal=True), float(settings["rho_constant"]))


def _mutual(settings: Mapping[str, Any]) -> Objective:
    """Return mutual learning, which has no settings."""
    return MutualLearning()


CONTROLS: dict[str, Method] = {
    # A/A: what differs between this and I3D is the draws of stage two alone.
    "i3d-again": replace(
        i3d_method(),
        name="i3d-again",
        title="I3D again",
        fusion_title="I3D again",
        settings=("joint_seed",),
    ),
    "mtut-other-clip": _control("mtut-other-clip", "MTUT, other clip", OtherClip),
    "mtut-rho-permuted": _control("mtut-rho-permuted", "MTUT, rho permuted", PermutedGate),
    "mtut-rho-inverted": _control("mtut-rho-inverted", "MTUT, rho inverted", InvertedGate),
    "mtut-rho-constant": replace(
        mtut_method(),
        name="mtut-rho-constant",
        title="MTUT, rho constant",
        fusion_title="MTUT, rho constant",
        build_objective=_constant,
        settings=(*ALIGNMENT_SETTINGS, "rho_constant"),
    ),
    "mutual-learning": replace(
        i3d_method(),
        name="mutual-learning",
        title="Deep mutual learning",
        fusion_title="Deep mutual learning",
        build_objective=_mutual,
        min_modalities=2,
    ),
}
"""Every control by the name that users type."""
