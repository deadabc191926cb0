"""Persons: the sizes, habits and colours that stay the same in all their clips."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtut_preprocess.synthetic.gestures import CHANNELS
from mtut_preprocess.synthetic.hand import PARTS, HandShape

__all__ = ["Person", "albedo", "draw_person", "seated"]

Floats = NDArray[np.floating[Any]]

_SKIN_RGB = np.array(
    [
        *([236, 200, 176], [224, 182, 150], [206, 160, 126], [186, 136, 102]),
        *([160, 112, 80], [130, 88, 62], [100, 66, 46], [76, 50, 38]),
    ],
    dtype=np.float64,
)


@dataclass(frozen=True)
class Person:
    """What stays the same in all takes of one person.

    Attributes:
        shape: proportions of the hand.
        tempo: factor on the speed of gestures.
        amplitude: factor on the metres of gestures.
        offset: (3,) metres from the stage's home.
        lean_deg: (3,) constant roll, pitch and yaw.
        bias: (13,) habit added to every motion, units of ``CHANNELS``.
        skin_rgb: (3,) albedo, 0 to 255.
        sleeve_rgb: (3,) albedo of the clothing, 0 to 255.
        bare_arm: whether the forearm shows skin instead of a sleeve.
    """

    shape: HandShape
    tempo: float
    amplitude: float
    offset: Floats
    lean_deg: Floats
    bias: Floats
    skin_rgb: Floats
    sleeve_rgb: Floats
    bare_arm: bool


_BIAS = np.array([0.0, 0.0, 0.0, 4.0, 5.0, 5.0, *[0.03] * 5, 0.12, 0.08])


def draw_person(rng: np.random.Generator) -> Person:
    """Return a person.

    Args:
        rng: keyed by the person.

    Returns:
        Size, habits and colours, drawn in a fixed order.
    """
    shape = HandShape(
        scale=float(rng.uniform(0.86, 1.12)),
        finger_length=float(rng.uniform(0.94, 1.10)),
        thickness=float(rng.uniform(0.88, 1.14)),
    )
    tone = rng.uniform(0.0, len(_SKIN_RGB) - 1.0)
    skin = [np.interp(tone, range(len(_SKIN_RGB)), _SKIN_RGB[:, i]) for i in range(3)]
    return Person(
        shape=shape,
        tempo=float(rng.uniform(0.88, 1.18)),
        amplitude=float(rng.uniform(0.78, 1.12)),
        offset=rng.normal(0.0, (0.018, 0.012, 0.020)),
        lean_deg=rng.normal(0.0, (5.0, 5.0, 9.0)),
        bias=rng.normal(0.0, 1.0, len(CHANNELS)) * _BIAS,
        skin_rgb=np.asarray(skin) * rng.uniform(0.94, 1.06, 3),
        sleeve_rgb=rng.uniform(25.0, 225.0, 3),
        bare_arm=bool(rng.random() < 0.4),
    )


def seated(person: Person, *, left: bool, shift_m: float) -> Person:
    """Return the person in one of two seats.

    Args:
        person: as drawn.
        left: gestures with the left hand.
        shift_m: metres that a right hand works to the left of the middle, a left hand to the right.

    Returns:
        The same person with the hand and the place of that seat.
    """
    offset = person.offset + np.array([shift_m if left else -shift_m, 0.0, 0.0])
    return replace(person, shape=replace(person.shape, left=left), offset=offset)


def albedo(person: Person) -> Floats:
    """Return the (N, 3) RGB of the capsules of ``hand.capsules``, 0 to 255."""
    tints = np.array([[1.0, 1.0, 1.0], [1.04, 0.98, 0.96], [1.02, 0.97, 0.95]])
    skin = np.clip(person.skin_rgb * tints, 0.0, 255.0)
    sleeve = person.skin_rgb if person.bare_arm else person.sleeve_rgb
    return np.vstack([skin, person.skin_rgb, sleeve])[PARTS]
