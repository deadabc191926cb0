"""Spatial geometry of stored frames."""

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["resize_frame"]


def resize_frame(frame_HWC: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Return a frame at another size, by area averaging; unchanged where the size is the same.

    Args:
        frame_HWC: uint8 (H, W, C), C = 1 or 3.
        height: of the result, pixels.
        width: of the result, pixels.
    """
    if frame_HWC.shape[:2] == (height, width):
        return frame_HWC
    resized = cv2.resize(frame_HWC, (width, height), interpolation=cv2.INTER_AREA)
    return resized.reshape(height, width, frame_HWC.shape[2]).astype(np.uint8, copy=False)
