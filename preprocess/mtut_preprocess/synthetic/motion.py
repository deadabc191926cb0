"""Takes: one performance of a gesture by a person, no two alike, as poses of a hand."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtut_preprocess.synthetic.gestures import CHANNELS, Gesture, interpolate
from mtut_preprocess.synthetic.hand import Pose
from mtut_preprocess.synthetic.person import Person

__all__ = ["Stage", "Take", "draw_take", "perform"]

Floats = NDArray[np.floating[Any]]

_BIAS = np.array([0.0, 0.0, 0.0, 4.0, 4.0, 5.0, *[0.025] * 5, 0.08, 0.06])


@dataclass(frozen=True)
class Stage:
    """Where hands are in front of one camera.

    Attributes:
        home: (x, y, z) of the middle of all gestures, metres in camera coordinates.
        elbow: from home to the elbow, metres, of a right arm; a left arm has its mirror image.
        yaw_deg: 0 where the camera faces the user, 180 where it looks over the shoulder.
    """

    home: tuple[float, float, float]
    elbow: tuple[float, float, float]
    yaw_deg: float


@dataclass(frozen=True)
class Take:
    """What differs between two takes of one gesture by one person.

    Attributes:
        amplitude: factor on the metres.
        offset: (3,) metres.
        bias: (13,) units of ``CHANNELS``.
        begin: start of the gesture, as a share of its window.
        duration: length of the gesture, as a share of its window.
        haste: exponent of the gesture clock; above 1 it starts slowly and ends quickly.
        tremor: (3, 3, 3) of (axis, component, (amplitude in metres, hertz, phase)).
    """

    amplitude: float
    offset: Floats
    bias: Floats
    begin: float
    duration: float
    haste: float
    tremor: Floats


def draw_take(rng: np.random.Generator, person: Person) -> Take:
    """Return one take of a person.

    Args:
        rng: keyed by the clip.
        person: whose tempo the duration follows.

    Returns:
        Timing, place and unsteadiness, drawn in a fixed order.
    """
    duration = min(float(rng.uniform(0.80, 0.98)) / person.tempo, 0.99)
    tremor = np.empty((3, 3, 3))
    tremor[..., 0] = rng.uniform(0.0003, 0.0012, (3, 3))
    tremor[..., 1] = rng.uniform((0.2, 0.8, 4.0), (0.6, 2.0, 8.0), (3, 3))
    tremor[..., 0] *= np.array([5.0, 2.0, 0.8])
    tremor[..., 2] = rng.uniform(0.0, 2.0 * np.pi, (3, 3))
    return Take(
        amplitude=float(rng.uniform(0.86, 1.14)),
        offset=rng.normal(0.0, (0.012, 0.009, 0.010)),
        bias=rng.normal(0.0, 1.0, len(CHANNELS)) * _BIAS,
        begin=float(rng.uniform(0.0, 1.0)) * (1.0 - duration),
        duration=duration,
        haste=float(np.exp(rng.normal(0.0, 0.12))),
        tremor=tremor,
    )


def perform(
    gesture: Gesture,
    person: Person,
    *,
    take: Take,
    stage: Stage,
    window_s: float,
    moments_s: Floats,
) -> Pose:
    """Return the poses of one take at some moments.

    Args:
        gesture: keyframes.
        person: who.
        take: how this time.
        stage: where.
        window_s: seconds that the gesture has, from moment 0.
        moments_s: (T,) seconds.

    Returns:
        Poses of T frames; outside the window the hand rests.
    """
    share = moments_s / window_s
    clock = np.clip((share - take.begin) / take.duration, 0.0, 1.0) ** take.haste
    motion = interpolate(gesture.keys, clock) + person.bias + take.bias
    amplitude = person.amplitude * take.amplitude
    metres = motion[:, :3] * np.array([1.0, -1.0, -1.0]) * amplitude + _tremor(take, moments_s)
    home = np.asarray(stage.home) + person.offset + take.offset
    elbow = np.asarray(stage.elbow)
    if person.shape.left:
        elbow = elbow * np.array([-1.0, 1.0, 1.0])
    angles = motion[:, 3:6] + person.lean_deg + np.array([0.0, 0.0, stage.yaw_deg])
    return Pose(
        wrist=home + metres,
        rotation=_rotation(np.radians(angles)),
        elbow=home + elbow + 0.35 * metres,
        flexion=np.clip(motion[:, 6:11], -0.05, 1.05),
        spread=np.clip(motion[:, 11], -0.2, 1.3),
        opposition=np.clip(motion[:, 12], -1.0, 1.0),
    )


def _tremor(take: Take, moments_s: Floats) -> Floats:
    """Return (T, 3) metres of drift and tremor."""
    amplitude, hertz, phase = (take.tremor[..., i] for i in range(3))
    waves = np.sin(2.0 * np.pi * hertz * moments_s[:, None, None] + phase)
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
