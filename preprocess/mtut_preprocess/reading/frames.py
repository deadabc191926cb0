"""What every kind of recording offers: its size, its files, the frames of a window."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mtut_bench.files import StrPath

__all__ = [
    "COPY_HINT",
    "FrameSource",
    "Plane",
    "Shape",
    "file_signature",
    "missing_files",
    "names_in",
]

COPY_HINT = "Copy the file again from the dataset, or take its clip out of the lists."
"""Hint for most unreadable files."""

Plane = Literal["rgb", "luma"]
"""'rgb' converts to RGB; 'luma' takes the stored luma or grey values as they are."""

Shape = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
"""Applied to each frame (H, W, C) as it is decoded: no clip is kept at its native size."""


@dataclass(frozen=True)
class FrameSource(ABC):
    """Which frames of which files make one modality of a clip. Picklable.

    Attributes:
        path: video file; of images folder and printf pattern, ``.../%06d.jpg``.
        indices: frame numbers, not decreasing; a repeated number repeats the frame. Those of a
            video count from 0, images have the number in their names.
        plane: how a frame becomes an array.
    """

    path: Path
    indices: Sequence[int]
    plane: Plane

    def __post_init__(self) -> None:
        """Take a path that is given as text."""
        object.__setattr__(self, "path", Path(self.path))

    @abstractmethod
    def files(self) -> tuple[Path, Iterable[str]]:
        """Return the folder and the names in it that the frames need."""

    @abstractmethod
    def size(self) -> tuple[int, int]:
        """Return the (height, width) in pixels of the first frame, as it is to be shown.

        Raises:
            ClipError: its file is missing or unreadable.
        """

    @abstractmethod
    def read(self, shape: Shape | None = None) -> NDArray[np.uint8]:
        """Return the frames, uint8 (T, H, W, C); C = 3 for 'rgb', 1 for 'luma'.

        Args:
            shape: applied to each frame.

        Raises:
            ClipError: a file is missing, unreadable, more than two frames shorter than the window,
                or changes its frame size.
        """


def missing_files(source: FrameSource) -> list[Path]:
    """Return the files of a source that are not there; lists its folder, opens no file."""
    folder, names = source.files()
    try:
        there = names_in(folder)
    except OSError:
        there = frozenset()
    return [folder / name for name in dict.fromkeys(names) if name not in there]


def file_signature(source: FrameSource) -> str:
    """Return what tells the files of a source from others of their names: sizes, bytes.

    Of images the first and the last, for a dataset has millions; "-" stands for a missing file.
    """
    folder, names = source.files()
    first, *rest = names
    return " ".join(_size(folder / name) for name in (first, *rest[-1:]))


def _size(path: Path) -> str:
    try:
        return str(path.stat().st_size)
    except OSError:
        return "-"


def names_in(folder: StrPath) -> frozenset[str]:
    """Return the names in a folder; neighbouring clips share it.

    Raises:
        OSError: it cannot be listed.
    """
    return _names_at(Path(folder), Path(folder).stat().st_mtime_ns)


@lru_cache(maxsize=16)
def _names_at(folder: Path, mtime_ns: int) -> frozenset[str]:
    del mtime_ns  # a key of the cache: a folder that has changed since is listed anew
    with os.scandir(folder) as entries:
        return frozenset(entry.name for entry in entries)
