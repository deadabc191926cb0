"""Gestures as keyframes: what a class does, before any person does it.

Motions are given as the camera sees them: right, up and near (towards the camera) in metres from
the person's own middle position, for an adult of amplitude 1; roll clockwise in the image, pitch
of the finger tips towards the camera and yaw about the vertical, in degrees.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mtut_preprocess.synthetic.hand import ANGLES

__all__ = [
    "CHANNELS",
    "MIRROR_SIGNS",
    "Gesture",
    "Key",
    "keys",
    "read_gestures",
    "reflect",
    "values",
]

Floats = NDArray[np.floating[Any]]

PLACES = ("right", "up", "near", "roll", "pitch", "yaw")
CHANNELS = (*PLACES, *ANGLES)
"""Columns of an interpolated motion: metres, degrees, then the angles of ``hand.Pose``."""

MIRROR_SIGNS = np.array([-1.0 if name in ("right", "roll", "yaw") else 1.0 for name in CHANNELS])
"""(26,) factors that turn a motion into what a mirror shows of it: the other hand does it then."""

_HOLD = 0.06
_DIP_OF_PIP = 2.0 / 3.0


class Key(NamedTuple):
    """One keyframe: time in [0, 1] of the gesture, angles of the hand, metres and degrees."""

    time: float
    angles_deg: tuple[float, ...]
    right: float = 0.0
    up: float = 0.0
    near: float = 0.0
    roll: float = 0.0
    pitch: float = 0.0
    yaw: float = 0.0


class Gesture(NamedTuple):
    """One class.

    Attributes:
        name: of the class.
        mirror: name of the class that a mirror shows; its own where only the hand changes, None
            where the mirrored motion is no class.
        rest: where a right hand comes from and returns to, at time 0.
        stroke: keyframes at increasing times inside (0.06, 0.94).
        cycle: (first, last) keyframes of the stroke that hold the same; some repeat what is between
            them once more. None: nobody does.
    """

    name: str
    mirror: str | None
    rest: Key
    stroke: tuple[Key, ...]
    cycle: tuple[int, int] | None


def read_gestures(table: Mapping[str, Any], dataset: str) -> tuple[Gesture, ...]:
    """Return the classes of a dataset, label 0 first.

    Args:
        table: gestures.json.
        dataset: key of 'datasets'.

    Raises:
        KeyError: a shape or a rest is not in the table.
        TypeError: a keyframe has an unknown field.
    """
    shapes = {name: _angles(fingers) for name, fingers in table["shapes"].items()}
    rests = {name: _key({"time": 0.0, **row}, shapes) for name, row in table["rests"].items()}
    return tuple(
        Gesture(
            row["name"],
            row["mirror"],
            rests[row["rest"]],
            tuple(_key(key, shapes) for key in row["keys"]),
            tuple(row["cycle"]) if row.get("cycle") else None,
        )
        for row in table["datasets"][dataset]
    )


def _angles(fingers: Mapping[str, list[float]]) -> tuple[float, ...]:
    """Return the 20 angles of a hand shape; an omitted last joint follows the middle one."""
    rows = [[*row, _DIP_OF_PIP * row[2]][:4] for row in fingers.values()]
    return tuple(float(angle) for row in rows for angle in row)


def _key(row: Mapping[str, Any], shapes: Mapping[str, tuple[float, ...]]) -> Key:
    places = {name: value for name, value in row.items() if name != "shape"}
    return Key(angles_deg=shapes[row["shape"]], **places)


def keys(gesture: Gesture, *, left: bool = False, repeats: int = 0) -> tuple[Key, ...]:
    """Return the keyframes from rest to rest: preparation, stroke, retraction.

    Args:
        gesture: a class.
        left: for a left hand, which rests on the other side. Where the table names a class that a
            mirror shows as itself, the left hand does what the mirror shows; a swipe to the right
            stays one.
        repeats: how often the cycle is repeated beyond the table.

    Returns:
        Keyframes at times 0 to 1; each end of the stroke is held briefly.
    """
    stroke = _repeated(gesture, repeats)
    rest = gesture.rest
    if left:
        rest = reflect((rest,))[0]
        stroke = reflect(stroke) if gesture.mirror == gesture.name else stroke
    before = stroke[0]._replace(time=stroke[0].time - _HOLD)
    after = stroke[-1]._replace(time=stroke[-1].time + _HOLD)
    return (rest._replace(time=0.0), before, *stroke, after, rest._replace(time=1.0))


def _repeated(gesture: Gesture, repeats: int) -> tuple[Key, ...]:
    """Return the stroke with its cycle repeated, in the time that the stroke has."""
    stroke = gesture.stroke
    if gesture.cycle is None or repeats == 0:
        return stroke
    first, last = gesture.cycle
    order = [*range(last), *(list(range(first, last)) * repeats), *range(last, len(stroke))]
    times = np.array([key.time for key in stroke])
    # At a seam the step back to the first keyframe of the cycle stands for that to its last one.
    ends = [last if after <= before else after for before, after in pairwise(order)]
    spans = [times[end] - times[end - 1] for end in ends]
    since = np.cumsum([0.0, *spans])
    since *= (times[-1] - times[0]) / since[-1]
    return tuple(
        stroke[index]._replace(time=float(times[0] + time))
        for index, time in zip(order, since, strict=True)
    )


def reflect(keyframes: tuple[Key, ...]) -> tuple[Key, ...]:
    """Return the keyframes as a mirror shows them: right, roll and yaw change sign."""
    return tuple(key._replace(right=-key.right, roll=-key.roll, yaw=-key.yaw) for key in keyframes)


def values(keyframes: tuple[Key, ...]) -> Floats:
    """Return the keyframes as (K, 26), columns as in ``CHANNELS``."""
    return np.array([[*key[2:], *key.angles_deg] for key in keyframes])
