"""Small frozen types and the axis legend of the project.

Axis letters (suffixes of array names): N batch, M modality, C channel, T time (frames), H height,
W width, D blocks of a feature map (T*H*W), K class.

Words: a *sample* is a raw recording, a *clip* is what a store keeps and a network sees, a *fold*
is one division into training and test clips, a *method* is one network per modality and an
objective, a *run* is one method on one fold with one seed, a *row* is one number in a result.
"""

from dataclasses import dataclass
from typing import Literal

__all__ = ["CHANNELS", "MODALITIES", "ClipRow", "Fold", "Modality", "Origin", "Split"]

Modality = Literal["rgb", "depth", "flow"]
Origin = Literal["recorded", "synthetic"]
Split = Literal["train", "val", "test", ""]

MODALITIES: tuple[Modality, ...] = ("rgb", "depth", "flow")
"""Order in which modalities are listed everywhere."""

CHANNELS: dict[str, int] = {"rgb": 3, "depth": 1, "flow": 2}
"""Channels that a store keeps per modality."""


@dataclass(frozen=True)
class ClipRow:
    """One row of a store's clip table.

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


@dataclass(frozen=True)
class Fold:
    """One division of a store's clips; ids in the order of the clip table.

    Attributes:
        name: 'official', or the left-out subject.
        train: ids the networks learn from.
        test: ids that are predicted, each exactly once.
        val: ids of the dataset's validation split, reported and never chosen by; may be empty.
    """

    name: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    val: tuple[str, ...] = ()
