"""Spatial geometry of stored frames."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mtut_bench.errors import ClipError
from mtut_bench.store import stored_size

__all__ = ["check_shape", "resize_frame"]

_ASPECT_TOLERANCE = 0.02
"""Modalities of other sizes are resized to the store's; of other shapes they cannot be aligned."""


def check_shape(path: Path, size: tuple[int, int], stored: tuple[int, int]) -> None:
    """Refuse frames of another aspect ratio than the store's.

    Args:
        path: of the frames, for the message.
        size: (height, width) as recorded.
        stored: (height, width) of the store.

    Raises:
        ClipError: the shapes differ.
    """
    aspect = (size[1] * stored[0]) / (size[0] * stored[1])
    if abs(aspect - 1) > _ASPECT_TOLERANCE and stored_size(*size) != stored:
        raise ClipError(
            f"{path} has frames of {size[1]}x{size[0]}; the store's are {stored[1]}x{stored[0]}",
            "Crop or register the recordings to one field of view first.",
        )


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
