"""Spatial geometry of stored frames."""

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["resize_frames"]


def resize_frames(frames_THWC: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Return frames at another size, by area averaging; unchanged where the size is the same.

    Args:
        frames_THWC: uint8 (T, H, W, C), C = 1 or 3.
        height: of the result, pixels.
        width: of the result, pixels.
    """
    if frames_THWC.shape[1:3] == (height, width):
        return frames_THWC
    resized = [
        cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in frames_THWC
    ]
    return np.stack(resized).reshape(len(frames_THWC), height, width, frames_THWC.shape[3])
