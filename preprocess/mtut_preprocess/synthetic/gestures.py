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
from scipy.interpolate import PchipInterpolator

from mtut_preprocess.synthetic.hand import ANGLES, LIMITS_DEG

__all__ = [
    "CHANNELS",
    "MIRROR_SIGNS",
    "Gesture",
    "Key",
    "interpolate",
    "keys",
    "read_gestures",
    "read_shapes",
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
_FINGERS = ("thumb", "index", "middle", "ring", "little")


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


def read_shapes(table: Mapping[str, Any]) -> dict[str, Floats]:
    """Return the (20,) angles of every hand shape of a table.

    Args:
        table: 'shapes' of gestures.json: per finger degrees in the order of ``ANGLES``; the last
            joint of a finger bends by 2/3 of the middle one where three numbers stand.

    Raises:
        ValueError: a finger is missing, or an angle is beyond its limits.
    """
    shapes: dict[str, Floats] = {}
    for name, fingers in table.items():
        if tuple(fingers) != _FINGERS:
            raise ValueError(f"shape {name!r} has {', '.join(fingers)}, not five fingers")
        rows = [[*row, _DIP_OF_PIP * row[2]][:4] for row in fingers.values()]
        shapes[name] = np.array(rows, dtype=np.float64).ravel()
        beyond = (shapes[name] < LIMITS_DEG[:, 0]) | (shapes[name] > LIMITS_DEG[:, 1])
        if beyond.any():
            raise ValueError(f"shape {name!r}: {ANGLES[int(beyond.argmax())]} is beyond its limits")
    return shapes


def read_gestures(table: Mapping[str, Any], dataset: str) -> tuple[Gesture, ...]:
    """Return the classes of a dataset, label 0 first.

    Args:
        table: gestures.json.
        dataset: key of 'datasets'.

    Raises:
        ValueError: a name is twice there or unknown, times do not increase, a cycle does not close,
            or mirrors are no pairs.
    """
    shapes = read_shapes(table["shapes"])
    rests = {name: _key({"time": 0.0, **row}, shapes) for name, row in table["rests"].items()}
    gestures = tuple(_gesture(row, rests, shapes) for row in table["datasets"][dataset])
    by_name = {gesture.name: gesture for gesture in gestures}
    if len(by_name) != len(gestures):
        raise ValueError(f"{dataset}: two classes have one name")
    for gesture in gestures:
        if gesture.mirror is not None and (
            gesture.mirror not in by_name or by_name[gesture.mirror].mirror != gesture.name
        ):
            raise ValueError(f"{gesture.name!r} and {gesture.mirror!r} do not mirror each other")
    return gestures


def _gesture(
    row: Mapping[str, Any], rests: Mapping[str, Key], shapes: Mapping[str, Floats]
) -> Gesture:
    """Return one class of the table."""
    name = row["name"]
    if row["rest"] not in rests:
        raise ValueError(f"{name!r}: there is no rest {row['rest']!r}")
    stroke = tuple(_key(key, shapes) for key in row["keys"])
    times = [_HOLD, *(key.time for key in stroke), 1.0 - _HOLD]
    if not all(before < after for before, after in pairwise(times)):
        raise ValueError(f"{name!r}: times must increase inside ({_HOLD}, {1.0 - _HOLD})")
    cycle = None if row.get("cycle") is None else (row["cycle"][0], row["cycle"][1])
    if cycle is not None and stroke[cycle[0]][1:] != stroke[cycle[1]][1:]:
        raise ValueError(f"{name!r}: its cycle does not end as it begins")
    return Gesture(name, row["mirror"], rests[row["rest"]], stroke, cycle)


def _key(row: Mapping[str, Any], shapes: Mapping[str, Floats]) -> Key:
    """Return one keyframe of the table."""
    unknown = set(row) - {"time", "shape", *PLACES}
    if unknown:
        raise ValueError(f"a keyframe has no {', '.join(sorted(unknown))}")
    if row["shape"] not in shapes:
        raise ValueError(f"there is no shape {row['shape']!r}")
    angles = tuple(shapes[row["shape"]].tolist())
    return Key(row["time"], angles, **{name: row[name] for name in PLACES if name in row})


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


def interpolate(keyframes: tuple[Key, ...], times: Floats) -> Floats:
    """Return the motion at some times, smooth and without overshoot.

    Args:
        keyframes: of one gesture.
        times: (T,) in gesture time; before 0 and after 1 the hand rests.

    Returns:
        (T, 26) float64, columns as in ``CHANNELS``.
    """
    curve = PchipInterpolator([key.time for key in keyframes], values(keyframes), axis=0)
    return np.asarray(curve(np.clip(times, 0.0, 1.0)))
