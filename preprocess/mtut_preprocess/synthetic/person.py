"""Persons: the sizes, habits and colours that stay the same in all their clips."""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtut_preprocess.synthetic.gestures import MIRROR_SIGNS
from mtut_preprocess.synthetic.hand import PARTS, HandShape

__all__ = ["Person", "Spread", "albedo", "draw_bias", "draw_person", "mirrored", "seated"]

Floats = NDArray[np.floating[Any]]

_SKIN_RGB = np.array(
    [
        *([236, 200, 176], [224, 182, 150], [206, 160, 126], [186, 136, 102]),
        *([160, 112, 80], [130, 88, 62], [100, 66, 46], [76, 50, 38]),
    ],
    dtype=np.float64,
)


@dataclass(frozen=True)
class Spread:
    """How much persons differ.

    Standard deviations, except where a range or a share is named.

    Attributes:
        hand_scale: half the range of the size of hands.
        bone_length: of each bone, as a factor.
        finger_thickness: of each finger's radius, as a factor.
        palm_width: as a factor.
        forearm: of its length, as a factor.
        tempo: half the range of the speed of gestures.
        amplitude: half the range of the size of gestures.
        offset_m: (3,) of the place of gestures.
        lean_deg: (3,) of the hand's attitude: roll, pitch, yaw.
        finger_deg: of the habitual pose of the fingers.
        curvature: height of the arc of a stroke, as a share of its length.
        overshoot: way beyond the end of a stroke, as a share of its last part.
        hesitation: the highest share of takes in which a person pauses.
        repeats: the highest share of takes in which a person repeats a cycle once more.
        tremor: of its strength, as a factor.
    """

    hand_scale: float = 0.13
    bone_length: float = 0.035
    finger_thickness: float = 0.07
    palm_width: float = 0.05
    forearm: float = 0.06
    tempo: float = 0.15
    amplitude: float = 0.17
    offset_m: tuple[float, ...] = (0.032, 0.018, 0.050)
    lean_deg: tuple[float, ...] = (5.0, 5.0, 7.0)
    finger_deg: float = 5.0
    curvature: float = 0.08
    overshoot: float = 0.08
    hesitation: float = 0.35
    repeats: float = 0.6
    tremor: float = 0.35

    def scaled(self, factor: float) -> "Spread":
        """Return the spread multiplied by a factor; 0 makes all persons one."""
        scaled: dict[str, Any] = {}
        for part in fields(self):
            value = np.asarray(getattr(self, part.name)) * factor
            scaled[part.name] = tuple(value.tolist()) if value.ndim else float(value)
        return Spread(**scaled)


@dataclass(frozen=True, eq=False)
class Person:
    """What stays the same in all takes of one person.

    Attributes:
        shape: proportions of the hand.
        tempo: factor on the speed of gestures.
        amplitude: factor on the metres of gestures.
        offset: (3,) metres from the stage's home.
        bias: (26,) habit added to every motion, units of ``CHANNELS``: attitude and finger pose.
        curvature: height of the arc of a stroke, as a share of its length.
        overshoot: way beyond the end of a stroke, as a share of its last part.
        hesitation: share of takes with a pause.
        repeats: share of takes that repeat a cycle once more.
        tremor: factor on the unsteadiness of takes.
        skin_rgb: (3,) albedo, 0 to 255.
        sleeve_rgb: (3,) albedo of the clothing, 0 to 255.
        bare_arm: whether the forearm shows skin instead of a sleeve.
    """

    shape: HandShape
    tempo: float
    amplitude: float
    offset: Floats
    bias: Floats
    curvature: float
    overshoot: float
    hesitation: float
    repeats: float
    tremor: float
    skin_rgb: Floats
    sleeve_rgb: Floats
    bare_arm: bool


# Habits of a finger relative to Spread.finger_deg; the last joint follows the middle one.
_THUMB_HABIT = (0.8, 0.9, 0.6, 0.8)
_FINGER_HABIT = (1.0, 0.5, 1.2, 0.8)


def draw_bias(rng: np.random.Generator, lean_deg: tuple[float, ...], finger_deg: float) -> Floats:
    """Return (26,) departures from a motion, units of ``CHANNELS``.

    Args:
        rng: keyed by the person or the clip.
        lean_deg: (3,) standard deviations of roll, pitch and yaw.
        finger_deg: standard deviation of the fingers' angles.

    Returns:
        No metres; degrees of the wrist and the fingers.
    """
    lean = rng.normal(0.0, 1.0, 3) * np.array(lean_deg)
    habits = np.array([_THUMB_HABIT, *[_FINGER_HABIT] * 4]) * finger_deg
    fingers = rng.normal(0.0, 1.0, (5, 4))
    fingers[1:, 3] = fingers[1:, 2]
    return np.concatenate([np.zeros(3), lean, (fingers * habits).ravel()])


def draw_person(rng: np.random.Generator, spread: Spread) -> Person:
    """Return a person: size, habits and colours, drawn in a fixed order.

    Args:
        rng: keyed by the person.
        spread: how much persons differ.
    """
    shape = _draw_shape(rng, spread)
    tone = rng.uniform(0.0, len(_SKIN_RGB) - 1.0)
    skin = [np.interp(tone, range(len(_SKIN_RGB)), _SKIN_RGB[:, i]) for i in range(3)]
    return Person(
        shape=shape,
        tempo=1.03 + spread.tempo * float(rng.uniform(-1.0, 1.0)),
        amplitude=0.95 + spread.amplitude * float(rng.uniform(-1.0, 1.0)),
        offset=rng.normal(0.0, 1.0, 3) * np.array(spread.offset_m),
        bias=draw_bias(rng, spread.lean_deg, spread.finger_deg),
        curvature=spread.curvature * float(rng.normal()),
        overshoot=spread.overshoot * abs(float(rng.normal())),
        hesitation=min(1.0, spread.hesitation * float(rng.uniform())),
        repeats=min(1.0, spread.repeats * float(rng.uniform())),
        tremor=float(np.exp(spread.tremor * rng.normal())),
        skin_rgb=np.asarray(skin) * rng.uniform(0.94, 1.06, 3),
        sleeve_rgb=rng.uniform(25.0, 225.0, 3),
        bare_arm=bool(rng.random() < 0.4),
    )


def _draw_shape(rng: np.random.Generator, spread: Spread) -> HandShape:
    """Return the proportions of a right hand."""
    finger_length = 1.02 + 1.5 * spread.bone_length * float(rng.uniform(-1.0, 1.0))
    thickness = 1.0 + 1.5 * spread.finger_thickness * float(rng.uniform(-1.0, 1.0))
    return HandShape(
        scale=0.99 + spread.hand_scale * float(rng.uniform(-1.0, 1.0)),
        bones=finger_length * np.exp(spread.bone_length * rng.normal(0.0, 1.0, (5, 3))),
        thickness=thickness * np.exp(0.5 * spread.finger_thickness * rng.normal(0.0, 1.0, 5)),
        palm_width=float(np.exp(spread.palm_width * rng.normal())),
        forearm=float(np.exp(spread.forearm * rng.normal())),
        sleeve=float(rng.uniform(0.3, 0.5)),
    )


def mirrored(person: Person) -> Person:
    """Return the person as a mirror shows them: the other hand, every habit on the other side."""
    return replace(
        person,
        shape=replace(person.shape, left=not person.shape.left),
        offset=person.offset * np.array([-1.0, 1.0, 1.0]),
        bias=person.bias * MIRROR_SIGNS,
    )


def seated(person: Person, *, left: bool, shift_m: float) -> Person:
    """Return the person in one of two seats.

    Args:
        person: as drawn.
        left: gestures with the left hand.
        shift_m: metres that a right hand works to the left of the middle, a left hand to the right.

    Returns:
        The same person with the hand and the place of that seat; a left hand has the habits of the
        right one, mirrored.
    """
    shift = np.array([shift_m if left else -shift_m, 0.0, 0.0])
    person = mirrored(person) if person.shape.left != left else person
    return replace(person, offset=person.offset + shift)


def albedo(person: Person) -> Floats:
    """Return (N + 1, 3) RGB, 0 to 255, of the capsules of ``hand.capsules`` and an upper arm."""
    tints = np.array([[1.0, 1.0, 1.0], [1.04, 0.98, 0.96], [1.02, 0.97, 0.95]])
    skin = np.clip(person.skin_rgb * tints, 0.0, 255.0)
    sleeve = person.skin_rgb if person.bare_arm else person.sleeve_rgb
    every = np.vstack([skin, person.skin_rgb, sleeve, person.sleeve_rgb])
    return every[[*PARTS, len(every) - 1]]
