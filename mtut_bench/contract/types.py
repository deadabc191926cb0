"""Small frozen types and the axis legend of the project.

Axis letters (suffixes of array names): N batch, M modality, C channel, T time (frames), H height,
W width, D blocks of a feature map (T*H*W), K class.

Words: a *sample* is a raw recording, a *clip* is what a store keeps and a network sees, a *fold*
is one division into training and test clips, a *method* is one network per modality and an
objective, a *run* is one method on one fold with one seed, a *row* is one number in a result.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "MODALITIES",
    "NOT_STORES",
    "ClipRow",
    "Fold",
    "Frame",
    "Modality",
    "Origin",
    "Split",
    "behaves_like",
    "is_modality_name",
    "num_channels",
    "sort_modalities",
]

Modality = Literal["rgb", "depth", "flow"]
Origin = Literal["recorded", "synthetic"]
Split = Literal["train", "val", "test", ""]

NOT_STORES = ("stages", "report")
"""Names that no store may have: a folder of runs keeps stage one and its report under them."""


def name_recordings(origin: str) -> str:
    """Return where frames come from, for a reader: 'real recordings', 'synthetic recordings'."""
    return f"{'real' if origin == 'recorded' else origin} recordings"


MODALITIES: tuple[Modality, ...] = ("rgb", "depth", "flow")
"""The paper's modalities. A store may hold others, whose names say how they behave."""

_CHANNELS: dict[Modality, int] = {"rgb": 3, "depth": 1, "flow": 2}
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def is_modality_name(name: str) -> bool:
    """Return whether a text may name a modality: small letters, digits, single underscores."""
    return _NAME.fullmatch(name) is not None


def behaves_like(name: str) -> Modality:
    """Return the modality of the paper that a modality is treated as.

    'rgb' and 'rgb_*' are colour, 'flow' and 'flow_*' are optical flow; every other name ('depth',
    'ir', 'thermal') is one grey channel and treated as depth.
    """
    kind = name.partition("_")[0]
    return "rgb" if kind == "rgb" else "flow" if kind == "flow" else "depth"


def num_channels(name: str) -> int:
    """Return the channels that a store keeps of a modality."""
    return _CHANNELS[behaves_like(name)]


def sort_modalities(names: Iterable[str]) -> tuple[str, ...]:
    """Return names in the project's order: the paper's three, then others by name."""
    order: dict[str, int] = {name: index for index, name in enumerate(MODALITIES)}
    return tuple(sorted(names, key=lambda name: (order.get(name, len(order)), name)))


class ClipRow(NamedTuple):
    """One row of a store's clip table; a tuple, since a table has tens of thousands.

    Attributes:
        clip_id: unique within the store, stable across preparations; no path of a machine.
        subject: person (or, where the persons are unknown, user) as the dataset names it.
        label: class index, 0-based.
        repetition: which take of the gesture by this subject; -1 where the dataset has none.
        split: the dataset's own split, or "" where folds are made from subjects.
        num_frames: length T of the clip, alike for all modalities.
    """

    clip_id: str
    subject: str
    label: int
    repetition: int
    split: Split
    num_frames: int


class Frame(NamedTuple):
    """One frame of a recording that is read as a stream.

    Attributes:
        number: of the frame in the recording; a stream may repeat or skip frames.
        time_s: when it is seen, seconds from the beginning of the recording.
        frame_HWC: uint8, as a store keeps it.
    """

    number: int
    time_s: float
    frame_HWC: "NDArray[np.uint8]"


@dataclass(frozen=True)
class Fold:
    """One division of a store's clips; ids in the order of the clip table.

    Attributes:
        name: 'official', or the left-out subject.
        train: ids the networks learn from.
        test: ids that are predicted, each exactly once.
        val: ids of the dataset's validation split, reported, never used for a choice; may be empty.
    """

    name: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    val: tuple[str, ...] = ()
