"""Spatial geometry of stored frames."""

import cv2
import numpy as np
from numpy.typing import NDArray

from mtut_bench.errors import ClipError
from mtut_bench.files import StrPath
from mtut_bench.store.format import stored_size

__all__ = ["check_shape", "fits_shape", "largest_box", "resize_frame"]

_ASPECT_TOLERANCE = 0.02
"""Modalities of other sizes are resized to the store's; of other shapes they cannot be aligned."""


def check_shape(path: StrPath, size: tuple[int, int], stored: tuple[int, int]) -> None:
    """Refuse frames of another aspect ratio than the store's; sizes are (height, width).

    Raises:
        ClipError: the shapes differ.
    """
    if not fits_shape(size, stored):
        raise ClipError(
            f"{path} has frames of {size[1]}x{size[0]}; the store's are {stored[1]}x{stored[0]}",
            "Crop or register the recordings to one field of view first.",
        )


def fits_shape(size: tuple[int, int], stored: tuple[int, int]) -> bool:
    """Return whether a (height, width) has the store's aspect ratio, to 2 % or to rounding."""
    aspect = (size[1] * stored[0]) / (size[0] * stored[1])
    return abs(aspect - 1) <= _ASPECT_TOLERANCE or stored_size(*size) == stored


def largest_box(size: tuple[int, int], stored: tuple[int, int]) -> tuple[slice, slice]:
    """Return the (rows, columns) of the largest box of the store's aspect ratio, in the centre.

    Args:
        size: (height, width) as recorded.
        stored: (height, width) of the store.
    """
    height = min(size[0], max(1, round(size[1] * stored[0] / stored[1])))
    width = min(size[1], max(1, round(size[0] * stored[1] / stored[0])))
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    return slice(top, top + height), slice(left, left + width)


def resize_frame(frame_HWC: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Return a uint8 frame of 1 or 3 channels at another size in pixels, by area averaging."""
    if frame_HWC.shape[:2] == (height, width):
        return frame_HWC
    resized = cv2.resize(frame_HWC, (width, height), interpolation=cv2.INTER_AREA)
    return resized.reshape(height, width, frame_HWC.shape[2]).astype(np.uint8, copy=False)
