"""Hand shapes and keyframes: what every class of a twin does, before any person does it.

Motions are given as the camera sees them: right, up and near (towards the camera) in metres from
the person's own middle position, for an adult of amplitude 1; roll clockwise in the image, pitch
of the finger tips towards the camera and yaw about the vertical, in degrees.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

__all__ = ["CHANNELS", "Gesture", "Key", "interpolate", "reflect", "turn", "with_rest"]

Floats = NDArray[np.floating[Any]]

CHANNELS = (
    *("right", "up", "near", "roll", "pitch", "yaw"),
    *("thumb", "index", "middle", "ring", "little", "spread", "opposition"),
)
"""Columns of an interpolated motion: metres, degrees, then the joints of ``hand.Pose``."""

_SHAPES: dict[str, tuple[float, ...]] = {
    # thumb, index, middle, ring, little flexion; spread; opposition of the thumb
    "relaxed": (0.20, 0.28, 0.32, 0.36, 0.40, 0.25, 0.20),
    "flat": (0.05, 0.03, 0.02, 0.03, 0.05, 0.15, 0.00),
    "open": (0.00, 0.00, 0.00, 0.00, 0.00, 1.00, -0.50),
    "fist": (0.55, 0.97, 1.00, 1.00, 1.00, 0.00, 0.90),
    "one": (0.60, 0.02, 0.97, 1.00, 1.00, 0.00, 1.00),
    "two": (0.60, 0.02, 0.02, 1.00, 1.00, 0.10, 1.00),
    "vee": (0.60, 0.00, 0.00, 1.00, 1.00, 1.20, 1.00),
    "three": (0.70, 0.00, 0.00, 0.00, 0.95, 0.85, 1.00),
    "thumb": (0.00, 0.97, 1.00, 1.00, 1.00, 0.00, -1.00),
    "ring": (0.42, 0.56, 0.12, 0.06, 0.02, 0.80, 0.85),
    "apart": (0.00, 0.10, 0.80, 0.90, 0.95, 0.60, -0.60),
    "pinched": (0.40, 0.55, 0.85, 0.92, 0.97, 0.20, 0.80),
    "beckon": (0.15, 0.72, 0.74, 0.76, 0.78, 0.10, 0.20),
    "pressed": (0.60, 0.42, 0.97, 1.00, 1.00, 0.00, 1.00),
}


class Key(NamedTuple):
    """One keyframe: time in [0, 1] of the gesture, hand shape by name, metres and degrees."""

    time: float
    shape: str
    right: float = 0.0
    up: float = 0.0
    near: float = 0.0
    roll: float = 0.0
    pitch: float = 0.0
    yaw: float = 0.0


class Gesture(NamedTuple):
    """One class: its name and its keyframes from rest to rest, at increasing times 0 to 1."""

    name: str
    keys: tuple[Key, ...]


def with_rest(rest: Key, *stroke: Key) -> tuple[Key, ...]:
    """Return the keys of a stroke between preparation and retraction.

    Args:
        rest: where the hand comes from and returns to; its time is not used.
        stroke: keys at times inside (0, 1).

    Returns:
        The stroke, begun and ended at rest; each end of the stroke is held for a moment.
    """
    first, last = stroke[0], stroke[-1]
    before = first._replace(time=first.time - 0.06)
    after = last._replace(time=last.time + 0.06)
    return (rest._replace(time=0.0), before, *stroke, after, rest._replace(time=1.0))


def turn(shape: str, *, radius: float, turns: float, pitch: float = 0.0) -> tuple[Key, ...]:
    """Return the stroke of a circle that starts at its top.

    Args:
        shape: hand shape while turning.
        radius: metres.
        turns: number of turns, positive clockwise in the image.
        pitch: degrees, constant.

    Returns:
        Keys at every eighth of a turn, at times from 0.25 to 0.75.
    """
    angles = np.linspace(0.0, 2.0 * np.pi * turns, round(8 * abs(turns)) + 1)
    times = np.linspace(0.25, 0.75, len(angles))
    return tuple(
        Key(
            round(float(time), 6),
            shape,
            right=float(radius * np.sin(angle)),
            up=float(radius * np.cos(angle)),
            roll=float(18.0 * np.sin(angle)),
            pitch=pitch,
        )
        for time, angle in zip(times, angles, strict=True)
    )


def reflect(keys: tuple[Key, ...]) -> tuple[Key, ...]:
    """Return the keys as a mirror shows them: right, roll and yaw change sign."""
    return tuple(key._replace(right=-key.right, roll=-key.roll, yaw=-key.yaw) for key in keys)


def interpolate(keys: tuple[Key, ...], times: Floats) -> Floats:
    """Return the motion at some times, smooth and without overshoot.

    Args:
        keys: of one gesture.
        times: (T,) in gesture time; before 0 and after 1 the hand rests.

    Returns:
        (T, 13) float64, columns as in ``CHANNELS``.
    """
    values = np.array([[*key[2:], *_SHAPES[key.shape]] for key in keys])
    curve = PchipInterpolator([key.time for key in keys], values, axis=0)
    return np.asarray(curve(np.clip(times, 0.0, 1.0)))
