"""The players: I3D and C3D alone, aligned, and aligned behind the focal gate (MTUT); controls."""

from mtut_baselines.control_methods import CONTROLS
from mtut_baselines.methods import (
    c3d_method,
    c3d_ssa_method,
    i3d_method,
    i3d_ssa_method,
    mtut_c3d_method,
    mtut_method,
)
from mtut_bench.method import Method

__all__ = ["CONTROLS", "METHODS"]

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
