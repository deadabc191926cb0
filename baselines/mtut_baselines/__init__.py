"""The players: I3D and C3D alone, aligned, and aligned behind the focal gate (MTUT); controls."""

from mtut_baselines.methods.controls import CONTROLS
from mtut_baselines.methods.paper import (
    c3d_method,
    c3d_ssa_method,
    i3d_method,
    i3d_ssa_method,
    mtut_c3d_method,
    mtut_method,
)
from mtut_baselines.networks.c3d import build_c3d
from mtut_baselines.networks.i3d import build_i3d
from mtut_baselines.objectives.alignment import (
    AlignmentObjective,
    AlignmentOptions,
    focal_weight,
)
from mtut_bench.contract.method import Method

__all__ = [
    "CONTROLS",
    "METHODS",
    "AlignmentObjective",
    "AlignmentOptions",
    "build_c3d",
    "build_i3d",
    "focal_weight",
]

METHODS: dict[str, Method] = {
    "i3d": i3d_method(),
    "i3d+ssa": i3d_ssa_method(),
    "mtut": mtut_method(),
    "c3d": c3d_method(),
    "c3d+ssa": c3d_ssa_method(),
    "mtut-c3d": mtut_c3d_method(),
    **CONTROLS,
}
"""Every method by the name that users type."""
