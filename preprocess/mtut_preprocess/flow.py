"""Optical flow as a derived modality: Farneback between consecutive frames of a clip.

The paper (section 4.3) names the algorithm; its parameters are not published. Ours are OpenCV's
documented example values, recorded in every store. Different algorithms are never mixed.
"""

from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mtut_bench.store import encode_flow

__all__ = ["FARNEBACK", "farneback_flow", "flow_attributes"]

FARNEBACK: dict[str, Any] = {
    "pyr_scale": 0.5,
    "levels": 3,
    "winsize": 15,
    "iterations": 3,
    "poly_n": 5,
    "poly_sigma": 1.2,
    "flags": 0,
}


def farneback_flow(rgb_THWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the coded flow from each frame to the next; the last flow is repeated.

    Args:
        rgb_THWC: uint8 (T, H, W, 3), the stored frames.

    Returns:
        uint8 (T, H, W, 2), channels (x, y), code of :func:`mtut_bench.store.encode_flow`; all 128
        (no motion) for a clip of one frame.
    """
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in rgb_THWC]
    code = np.full((*rgb_THWC.shape[:3], 2), 128, np.uint8)
    for index, (before, after) in enumerate(pairwise(grey)):
        code[index] = encode_flow(cv2.calcOpticalFlowFarneback(before, after, None, **FARNEBACK))
    if len(grey) > 1:
        code[-1] = code[-2]
    return code


def flow_attributes(source: str) -> dict[str, Any]:
    """Return what a store records about its flow.

    Args:
        source: colour stream that the flow was computed from.
    """
    return {
        "algorithm": "farneback",
        "parameters": FARNEBACK,
        "library": f"OpenCV {cv2.__version__}",
        "source": source,
        "unit": "pixels of the stored frame: (u - 128) * 20 / 127",
        "last_frame": "repeats the flow before it",
    }
