"""The classes of the synthetic datasets, read from ``data/gestures.json``, and their mirrors."""

import json
from importlib import resources

from mtut_preprocess.synthetic.gestures import Gesture, read_gestures

__all__ = ["NVGESTURE", "VIVA", "VIVA_MIRROR", "mirror"]

_TABLE = json.loads(
    resources.files("mtut_preprocess").joinpath("data", "gestures.json").read_text("utf-8")
)


def mirror(gestures: tuple[Gesture, ...]) -> tuple[int, ...]:
    """Return the label that each class becomes in a mirror, -1 where that is no class."""
    labels = {gesture.name: label for label, gesture in enumerate(gestures)}
    return tuple(-1 if g.mirror is None else labels[g.mirror] for g in gestures)


VIVA: tuple[Gesture, ...] = read_gestures(_TABLE, "viva")
"""The 19 classes, in the order of the sorted gesture ids of the file names."""

VIVA_MIRROR: tuple[int, ...] = mirror(VIVA)
"""Class that each VIVA class becomes in a mirror; -1 where the mirrored motion is no class."""

NVGESTURE: tuple[Gesture, ...] = read_gestures(_TABLE, "nvgesture")
"""The 25 classes, label 1 first. Names are the user's view, motions the image: the user's left is
image right."""
