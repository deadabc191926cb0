"""Optical flow as a derived modality: from each frame of a clip to the next, the last repeated.

The paper (section 4.3) names Farneback; its parameters are not published. Ours are OpenCV's
documented example values. Each algorithm has its own modality, and every store records
it with its parameters, so flows of two algorithms are never mixed.
"""

import re
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from mtut_bench.errors import UsageError
from mtut_bench.files import StrPath
from mtut_bench.store.format import encode_flow

__all__ = [
    "FARNEBACK",
    "FLOW_NAMES",
    "Dis",
    "Farneback",
    "FlowAlgorithm",
    "build_flow",
    "code_clip",
    "flow_record",
]

FLOW_NAMES = ("farneback", "dis", "raft")

FARNEBACK: dict[str, Any] = {
    "pyr_scale": 0.5,
    "levels": 3,
    "winsize": 15,
    "iterations": 3,
    "poly_n": 5,
    "poly_sigma": 1.2,
    "flags": 0,
}


class FlowAlgorithm(Protocol):
    """Optical flow with fixed parameters. Picklable.

    Attributes:
        name: one of FLOW_NAMES.
        modality: name of the modality that it fills.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - above

    @property
    def modality(self) -> str: ...  # noqa: D102 - above

    def attributes(self, source: str) -> dict[str, Any]:
        """Return what a store records about its flow, ready for JSON.

        Args:
            source: colour stream that the flow is computed from.
        """
        ...

    def compute(self, rgb_THWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the flow from each stored frame to the next, the last repeated.

        It depends on the frames alone, not on clips computed before or on the number of threads.

        Args:
            rgb_THWC: uint8 (T, H, W, 3).

        Returns:
            uint8 (T, H, W, 2), (x, y) by :func:`mtut_bench.store.format.encode_flow`; all 128 (no
            motion) for a clip of one frame.
        """
        ...


def build_flow(name: str, *, weights: StrPath | None = None, device: str = "auto") -> FlowAlgorithm:
    """Return the algorithm of a name.

    Args:
        name: one of FLOW_NAMES.
        weights: for 'raft': file with the weights of torchvision's raft_small or raft_large.
        device: for 'raft': 'auto' (a GPU where there is one), or a device of torch.

    Raises:
        UsageError: there is no such algorithm, or it and the weights do not fit.
        MtutBenchError: the weight file is missing, unreadable or of another network.
    """
    if name not in FLOW_NAMES:
        raise UsageError(
            f"there is no optical flow {name!r}", f"Choose one of {', '.join(FLOW_NAMES)}."
        )
    if name == "raft":
        # Imported here: it imports this module.
        from mtut_preprocess.derive.raft import open_raft

        return open_raft(weights, device)
    if weights is not None:
        raise UsageError(
            f"{name} flow has no weights: {weights}", "Leave them out, or choose raft."
        )
    return Farneback() if name == "farneback" else Dis()


class Farneback:
    """Polynomial expansion (Farneback, SCIA 2003), OpenCV's."""

    name = "farneback"
    modality = "flow"

    def attributes(self, source: str) -> dict[str, Any]:
        """See FlowAlgorithm."""
        return {
            "algorithm": self.name,
            "parameters": dict(FARNEBACK),
            "library": f"OpenCV {cv2.__version__}",
            **flow_record(source),
        }

    def compute(self, rgb_THWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """See FlowAlgorithm."""
        return _code_grey_pairs(
            rgb_THWC,
            lambda before, after: cv2.calcOpticalFlowFarneback(before, after, None, **FARNEBACK),
        )


class Dis:
    """Dense inverse search (Kroeger et al., ECCV 2016), OpenCV's, preset 'medium'.

    Of the three presets it alone goes down to half resolution, to patches of 16 pixels of the
    frame; 'fast' and 'ultrafast' stop at 32, a tenth of a frame 320 wide and all of a small hand.
    """

    name = "dis"
    modality = "flow_dis"

    def attributes(self, source: str) -> dict[str, Any]:
        """See FlowAlgorithm; the parameters are what OpenCV says that the preset means."""
        return {
            "algorithm": self.name,
            "parameters": {"preset": "medium", **_parameters(_new_dis())},
            "library": f"OpenCV {cv2.__version__}",
            **flow_record(source),
        }

    def compute(self, rgb_THWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """See FlowAlgorithm."""
        # Anew for each clip: small frames change an object's finest scale for good.
        dis = _new_dis()
        return _code_grey_pairs(rgb_THWC, lambda before, after: dis.calc(before, after, None))


def _new_dis() -> Any:  # noqa: ANN401 - OpenCV has no types here
    return cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)


def _parameters(dis: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return every parameter that this OpenCV can be asked for: which ones depends on its age."""
    getters = (name for name in dir(dis) if name.startswith("get") and name != "getDefaultName")
    return {
        re.sub(r"(?<!^)(?=[A-Z])", "_", getter.removeprefix("get")).lower(): getattr(dis, getter)()
        for getter in getters
    }


def _code_grey_pairs(
    rgb_THWC: NDArray[np.uint8],
    flow: Callable[[NDArray[np.uint8], NDArray[np.uint8]], NDArray[np.float32]],
) -> NDArray[np.uint8]:
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in rgb_THWC]
    return code_clip(rgb_THWC, (flow(before, after) for before, after in pairwise(grey)))


def code_clip(
    rgb_THWC: NDArray[np.uint8], flows_HWC: Iterable[NDArray[np.float32]]
) -> NDArray[np.uint8]:
    """Return the T - 1 flows of a clip coded, the last repeated; all 128 where there is none.

    Args:
        rgb_THWC: the clip.
        flows_HWC: in order, float32 (H, W, 2), channels (x, y), pixels.
    """
    code = np.full((*rgb_THWC.shape[:3], 2), 128, np.uint8)
    for index, flow in enumerate(flows_HWC):
        code[index] = encode_flow(flow)
    if len(code) > 1:
        code[-1] = code[-2]
    return code


def flow_record(source: str) -> dict[str, str]:
    """Return what a store records about flow of any algorithm."""
    return {
        "source": source,
        "unit": "pixels of the stored frame: (u - 128) * 20 / 127",
        "last_frame": "repeats the flow before it",
    }
