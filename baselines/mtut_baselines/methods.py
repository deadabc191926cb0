"""The players as the referee sees them: one function per method.

Published accuracies, in per cent, are those of CVPR 2019's tables; columns as printed there.
"""

from collections.abc import Mapping
from typing import Any

from mtut_baselines.alignment import AlignmentObjective, AlignmentOptions, ClassificationObjective
from mtut_baselines.i3d import I3D, build_i3d
from mtut_bench.errors import UsageError
from mtut_bench.method import Method, NetworkSpec, Objective

__all__ = ["ALIGNMENT_SETTINGS", "i3d_method", "mtut_method"]

ALIGNMENT_SETTINGS: tuple[str, ...] = (
    "lambda",
    "beta",
    "target",
    "rho_grad",
    "rho_per",
    "ssa_reduction",
    "rho_max",
)
"""Objective settings that a protocol gives to a method with the alignment."""


def i3d_method() -> Method:
    """Return I3D: each network trained on its classification loss alone, in both stages.

    Published: rows 'I3D' of tables 1-3 (VIVA rgb 78.25, depth 74.46; EgoGesture rgb 90.33, depth
    89.47; NVGesture rgb 78.42, depth 82.28, flow 83.19), 4-6 (fused: 83.1; 92.78; 83.82 rgb+depth,
    84.43 rgb+flow, 85.68 all) and 7 (from scratch: rgb 65.72, depth 67.3).

    Departures: batch norm's running variance is unbiased (torch). The number of epochs is not
    printed; here it is the same as MTUT's, so that the objective is the only difference.

    Source: Carreira and Zisserman, CVPR 2017; Abavisani et al., CVPR 2019, section 4.
    """
    return Method(
        name="i3d",
        title="I3D",
        fusion_title="I3D",
        network="i3d",
        build_network=_network,
        build_objective=_classification,
    )


def mtut_method() -> Method:
    """Return MTUT: I3D networks that in stage two follow whichever other network is better.

    Published: rows 'MTUT' of tables 1-3 (VIVA rgb 81.33, depth 81.31; EgoGesture rgb 92.48, depth
    91.96; NVGesture rgb 81.33, depth 84.85, flow 83.4) and 7 (from scratch: rgb 68.43, depth
    71.26); rows 'MTUT-F' of tables 4-6 (fused: 86.08; 93.87; 85.48 trained on rgb+depth, 85.48 on
    rgb+flow, 86.93 on all and fused over all).

    Departures: those of :func:`i3d_method`; by default the gradient does not run through rho,
    which the paper's wording suggests it does (`rho_grad`), and the other network is a constant
    (`target`), which the paper leaves open. At another geometry than 64 x 224 x 224 lambda = 0.05
    is another method: the alignment is a sum over pairs of blocks.

    Source: Abavisani et al., CVPR 2019, equations 1-4.
    """
    return Method(
        name="mtut",
        title="MTUT",
        fusion_title="MTUT-F",
        network="i3d",
        build_network=_network,
        build_objective=_alignment,
        settings=ALIGNMENT_SETTINGS,
        min_modalities=2,
    )


def _network(spec: NetworkSpec) -> I3D:
    """Return the I3D of one modality."""
    return build_i3d(spec.num_classes, spec.in_channels, spec.width, spec.dropout, spec.bn_momentum)


def _classification(settings: Mapping[str, Any]) -> Objective:
    """Return plain cross-entropy, which has no settings."""
    return ClassificationObjective()


def _alignment(settings: Mapping[str, Any], *, focal: bool = True) -> Objective:
    """Return the alignment objective.

    Args:
        settings: the protocol's objective settings; every one of ALIGNMENT_SETTINGS, because a
            default taken here would be missing from the run's identity. Others are ignored.
        focal: False for '+SSA'.

    Raises:
        UsageError: a setting is missing or has no legal value.
    """
    missing = [name for name in ALIGNMENT_SETTINGS if name not in settings]
    if missing:
        raise UsageError(
            f"The protocol gives the alignment no {', '.join(missing)}.",
            "Add the setting to the protocol's objective.",
        )
    chosen = {name: settings[name] for name in ALIGNMENT_SETTINGS}
    return AlignmentObjective(AlignmentOptions(lambda_=chosen.pop("lambda"), focal=focal, **chosen))
