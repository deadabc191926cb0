"""Takes: one performance of a gesture by a person, no two alike, as poses of a hand."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from mtut_preprocess.synthetic.gestures import Gesture, Key, keys, values
from mtut_preprocess.synthetic.hand import LIMITS_DEG, Pose
from mtut_preprocess.synthetic.person import Person, draw_bias

__all__ = ["Stage", "Take", "draw_take", "perform"]

Floats = NDArray[np.floating[Any]]

# How takes differ: half the ranges of size and of duration (a share of the window), the standard
# deviations of place, attitude, fingers and the exponent of the clock, and the highest amplitudes
# of drift, sway and tremor.
_AMPLITUDE, _DURATION = 0.14, 0.09
_OFFSET_M = np.array([0.018, 0.010, 0.020])
_LEAN_DEG, _FINGER_DEG = (3.0, 3.0, 4.0), 2.5
_HASTE = 0.10
_UNSTEADINESS_M = np.array([0.0060, 0.0024, 0.0010])

# Strokes bulge towards the camera and upwards (right, up, near); shorter ones stay straight.
_ARC_TOWARDS = np.array([0.0, 0.45, 0.9])
_ARC_FROM_M = 0.06


@dataclass(frozen=True)
class Stage:
    """Where hands are in front of one camera.

    Attributes:
        home: (x, y, z) of the middle of all gestures, metres in camera coordinates.
        elbow: from home to the elbow, metres, of a right arm; a left arm has its mirror image.
        yaw_deg: 0 where the camera faces the user, 180 where it looks over the shoulder.
        shoulder: from home to the shoulder, metres, as the elbow; None: out of view.
    """

    home: tuple[float, float, float]
    elbow: tuple[float, float, float]
    yaw_deg: float
    shoulder: tuple[float, float, float] | None = None


@dataclass(frozen=True, eq=False)
class Take:
    """What differs between two takes of one gesture by one person.

    Attributes:
        amplitude: factor on the metres.
        offset: (3,) metres.
        bias: (26,) units of ``CHANNELS``.
        begin: start of the gesture, as a share of its window.
        duration: length of the gesture, as a share of its window.
        haste: exponent of the gesture clock; above 1 it starts slowly and ends quickly.
        pause: (where, length) of a hesitation: where in the stroke, 0 before it begins and 1 at
            its end; length as a share of the gesture. None: no hesitation.
        repeats: how often the cycle of a gesture that has one is done once more.
        curvature: height of the arc of a stroke, as a share of its length.
        overshoot: way beyond the end of a stroke, as a share of its last part.
        tremor: (3, 3, 3) of (axis, component, (amplitude in metres, hertz, phase)).
    """

    amplitude: float
    offset: Floats
    bias: Floats
    begin: float
    duration: float
    haste: float
    pause: tuple[float, float] | None
    repeats: int
    curvature: float
    overshoot: float
    tremor: Floats


def draw_take(rng: np.random.Generator, person: Person) -> Take:
    """Return one take of a person: timing, place, manner and unsteadiness, in a fixed order.

    Args:
        rng: keyed by the clip.
        person: whose tempo the duration follows, and whose habits show.
    """
    length = 0.89 + _DURATION * float(rng.uniform(-1.0, 1.0))
    duration = min(length / person.tempo, 0.99)
    tremor = np.empty((3, 3, 3))
    tremor[..., 0] = rng.uniform(0.25, 1.0, (3, 3)) * _UNSTEADINESS_M
    tremor[..., 0] *= person.tremor
    tremor[..., 1] = rng.uniform((0.2, 0.8, 4.0), (0.6, 2.0, 8.0), (3, 3))
    tremor[..., 2] = rng.uniform(0.0, 2.0 * np.pi, (3, 3))
    return Take(
        amplitude=1.0 + _AMPLITUDE * float(rng.uniform(-1.0, 1.0)),
        offset=rng.normal(0.0, 1.0, 3) * _OFFSET_M,
        bias=draw_bias(rng, _LEAN_DEG, _FINGER_DEG),
        begin=float(rng.uniform(0.0, 1.0)) * (1.0 - duration),
        duration=duration,
        haste=float(np.exp(_HASTE * rng.normal())),
        pause=_draw_pause(rng, person.hesitation),
        repeats=int(rng.random() < person.repeats),
        curvature=person.curvature * float(rng.uniform(0.6, 1.4)),
        overshoot=person.overshoot * float(rng.uniform(0.4, 1.6)),
        tremor=tremor,
    )


def _draw_pause(rng: np.random.Generator, hesitation: float) -> tuple[float, float] | None:
    """Return where and how long a take pauses, if it does; half of the pauses are in mid-stroke."""
    where = float(rng.uniform(-0.6, 0.6))
    length = float(rng.uniform(0.06, 0.14))
    return (max(0.0, where), length) if rng.random() < hesitation else None


def perform(
    gesture: Gesture,
    person: Person,
    *,
    take: Take,
    stage: Stage,
    window_s: float,
    times_s: Floats,
) -> Pose:
    """Return the poses of one take.

    Args:
        gesture: a class.
        person: who.
        take: how this time.
        stage: where.
        window_s: seconds that the gesture has, from time 0.
        times_s: (T,) seconds.

    Returns:
        Poses of T frames, within the limits of the joints; outside the window the hand rests.
    """
    keyframes = keys(gesture, left=person.shape.left, repeats=take.repeats)
    share = times_s / window_s
    clock = np.clip((share - take.begin) / take.duration, 0.0, 1.0) ** take.haste
    if take.pause is not None:
        clock = _hesitating(clock, keyframes, *take.pause)
    motion = _manner(keyframes, take)(clock) + person.bias + take.bias
    amplitude = person.amplitude * take.amplitude
    metres = motion[:, :3] * np.array([1.0, -1.0, -1.0]) * amplitude + _tremor(take, times_s)
    home = np.asarray(stage.home) + person.offset + take.offset
    side = np.array([-1.0 if person.shape.left else 1.0, 1.0, 1.0])
    # The shoulder stays where the person sits, wherever a take happens.
    seat = np.asarray(stage.home) + person.offset
    turned = motion[:, 3:6] + np.array([0.0, 0.0, stage.yaw_deg])
    return Pose(
        wrist=home + metres,
        rotation=_rotation(np.radians(turned)),
        elbow=home + np.asarray(stage.elbow) * side + 0.35 * metres,
        angles_deg=np.clip(motion[:, 6:], *LIMITS_DEG.T),
        shoulder=None if stage.shoulder is None else seat + np.asarray(stage.shoulder) * side,
    )


def _hesitating(clock: Floats, keyframes: tuple[Key, ...], where: float, length: float) -> Floats:
    """Return the (T,) gesture clock with a pause."""
    begin, end = keyframes[2].time, keyframes[-3].time
    stop = begin - 0.03 if where == 0.0 else begin + where * (end - begin)
    run = np.array([0.0, stop, stop + length, 1.0 + length]) / (1.0 + length)
    return np.asarray(PchipInterpolator(run, [0.0, stop, stop, 1.0])(clock))


def _manner(keyframes: tuple[Key, ...], take: Take) -> PchipInterpolator:
    """Return the motion as the person does it: strokes on arcs, and a little too far."""
    times = [key.time for key in keyframes]
    points = values(keyframes)
    # Rest, hold, stroke from 2 to -3, hold, rest.
    points[-3, :6] += take.overshoot * (points[-3, :6] - points[-4, :6])
    places, arcs = list(points), []
    for first in range(2, len(times) - 3):
        chord = points[first + 1, :3] - points[first, :3]
        length = float(np.linalg.norm(chord))
        if length > _ARC_FROM_M:
            along = chord / length
            middle = (points[first] + points[first + 1]) / 2.0
            middle[:3] += take.curvature * length * (_ARC_TOWARDS - (_ARC_TOWARDS @ along) * along)
            arcs.append((first, middle))
    for first, middle in reversed(arcs):
        places.insert(first + 1, middle)
        times.insert(first + 1, (times[first] + times[first + 1]) / 2.0)
    return PchipInterpolator(times, np.array(places), axis=0)


def _tremor(take: Take, times_s: Floats) -> Floats:
    """Return (T, 3) metres of drift and tremor."""
    amplitude, hertz, phase = (take.tremor[..., i] for i in range(3))
    waves = np.sin(2.0 * np.pi * hertz * times_s[:, None, None] + phase)
    return np.asarray((amplitude * waves).sum(axis=2))


def _rotation(angles: Floats) -> Floats:
    """Return (T, 3, 3) hand-to-camera rotations of (T, 3) roll, pitch and yaw in radians."""
    (cr, cp, cy), (sr, sp, sy) = np.cos(angles).T, np.sin(angles).T
    zero, one = np.zeros_like(cr), np.ones_like(cr)

    def stack(*entries: Floats) -> Floats:
        return np.stack(entries, axis=1).reshape(-1, 3, 3)

    roll = stack(cr, -sr, zero, sr, cr, zero, zero, zero, one)
    pitch = stack(one, zero, zero, zero, cp, -sp, zero, sp, cp)
    yaw = stack(cy, zero, sy, zero, one, zero, -sy, zero, cy)
    # Without rotation the finger tips point up in the image and the palm faces the camera.
    return roll @ pitch @ yaw @ np.diag([1.0, -1.0, -1.0])
