"""Methods, the networks and objectives that they are made of, and their weights.

A method is imported when it is first asked for: the names alone need no torch.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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

CONTROLS = {
    "i3d-again": "controls:i3d_again",
    "mtut-other-clip": "controls:mtut_other_clip",
    "mtut-rho-per-clip": "controls:mtut_rho_per_clip",
    "mtut-rho-permuted": "controls:mtut_rho_permuted",
    "mtut-rho-inverted": "controls:mtut_rho_inverted",
    "mtut-rho-constant": "controls:mtut_rho_constant",
    "mutual-learning": "controls:mutual_learning",
}
"""Methods that are controls of MTUT; in :mod:`mtut_baselines.methods`, as all."""

_METHODS = {
    "i3d": "paper:i3d_method",
    "i3d+ssa": "paper:i3d_ssa_method",
    "mtut": "paper:mtut_method",
    "c3d": "paper:c3d_method",
    "c3d+ssa": "paper:c3d_ssa_method",
    "mtut-c3d": "paper:mtut_c3d_method",
    **CONTROLS,
}


class _Methods(Mapping[str, "Method"]):
    """Methods by name, each made by a function of :mod:`mtut_baselines.methods` when asked for."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = places
        self._made: dict[str, Method] = {}

    def __getitem__(self, name: str) -> "Method":
        if name not in self._made:
            module, _, function = self._places[name].partition(":")
            make = getattr(import_module(f"{__name__}.methods.{module}"), function)
            self._made[name] = make()
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


METHODS: Mapping[str, "Method"] = _Methods(_METHODS)
"""Every method by the name that users type."""

_HOMES = {
    "AlignmentObjective": "objectives.alignment",
    "AlignmentOptions": "objectives.alignment",
    "focal_weight": "objectives.alignment",
    "build_c3d": "networks.c3d",
    "build_i3d": "networks.i3d",
}


def __getattr__(name: str) -> object:
    """Import a public name from where it lives (PEP 562)."""
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
