"""The players: I3D and MTUT as the paper describes them."""

from mtut_baselines.methods import i3d_method, mtut_method
from mtut_bench.method import Method

__all__ = ["METHODS"]

METHODS: dict[str, Method] = {
    "i3d": i3d_method(),
    "mtut": mtut_method(),
}
"""Every method by the name that users type."""
