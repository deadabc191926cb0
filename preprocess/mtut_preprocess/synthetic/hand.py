"""A hand of palm and five fingers, posed by joint angles, as tapered capsules.

Axis letters: T frames, N capsules, J joints of one finger (4: knuckle to tip).

Hand frame: origin at the wrist, x towards the thumb, y towards the finger tips, z out of the palm
(right hand; a left hand is its reflection in x). Camera frame: x right, y down, z away from the
camera, metres. Without rotation the finger tips point up and the palm faces the camera.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["NUM_CAPSULES", "PARTS", "HandShape", "Pose", "capsules"]

Floats = NDArray[np.floating[Any]]

_KNUCKLES = np.array(
    [[0.027, 0.091, 0.0], [0.006, 0.096, 0.0], [-0.015, 0.090, 0.0], [-0.033, 0.079, 0.0]]
)
_PHALANGES = np.array(
    [[0.042, 0.025, 0.019], [0.046, 0.028, 0.020], [0.042, 0.026, 0.020], [0.033, 0.020, 0.017]]
)
_FINGER_RADII = np.array([0.0104, 0.0106, 0.0101, 0.0090])
_FINGER_TAPER = np.array([1.0, 0.92, 0.84, 0.72])
_FAN_DEG = np.array([9.0, 1.0, -8.0, -17.0])
_JOINT_RANGE_DEG = np.array([80.0, 105.0, 65.0])
_THUMB_ROOT = np.array([0.020, 0.020, 0.005])
_THUMB_BONES = np.array([0.044, 0.034, 0.026])
_THUMB_RADII = np.array([0.0160, 0.0128, 0.0112, 0.0090])
_THUMB_OUT = np.array([0.95, 0.32, 0.05])
_THUMB_SIDE = np.array([0.66, 0.74, 0.12])
_THUMB_ACROSS = np.array([-0.05, 0.78, 0.62])
_THUMB_CURL = np.array([-1.0, 0.25, 0.35])
_PALM_HEEL = np.array([[0.018, 0.008, 0.0], [-0.018, 0.006, 0.0]])
_FOREARM_LENGTH = 0.23

# Palm: rays from the heel to the knuckles and between them, so that no gap shows; then the web
# of the thumb, four fingers and the thumb of three bones each, and two forearm bones.
_NUM_RAYS = 7
PARTS = np.array([0] * (_NUM_RAYS + 1) + [1] * 12 + [2] * 3 + [3, 3, 4, 4])
"""Part of each capsule: 0 palm, 1 finger, 2 thumb, 3 forearm at the wrist, 4 forearm (sleeve)."""
NUM_CAPSULES = len(PARTS)


@dataclass(frozen=True)
class HandShape:
    """Proportions of one person's hand.

    Attributes:
        scale: of all lengths; 1 is a hand of 0.19 m.
        finger_length: factor on the finger bones alone.
        thickness: factor on all radii.
        left: a left hand.
    """

    scale: float = 1.0
    finger_length: float = 1.0
    thickness: float = 1.0
    left: bool = False


@dataclass(frozen=True)
class Pose:
    """Poses of T frames.

    Attributes:
        wrist: (T, 3) metres in camera coordinates.
        rotation: (T, 3, 3) hand frame to camera frame, of a right hand.
        elbow: (T, 3) metres in camera coordinates; the forearm points at it.
        flexion: (T, 5) thumb to little finger, 0 straight to 1 curled.
        spread: (T,) 0 closed to 1 fanned out.
        opposition: (T,) of the thumb: -1 stretched out, 0 beside the palm, 1 across the palm.
    """

    wrist: Floats
    rotation: Floats
    elbow: Floats
    flexion: Floats
    spread: Floats
    opposition: Floats


def capsules(pose: Pose, shape: HandShape) -> Floats:
    """Return the tapered capsules of every frame.

    Args:
        pose: of T frames.
        shape: proportions of the hand.

    Returns:
        (T, N, 8) float32: both end points (x, y, z) in metres in camera coordinates, then the
        radius at each of them in metres. The part of each capsule stands in ``PARTS``.
    """
    segments = [_palm(pose), _fingers(pose, shape), _thumb(pose, shape)]
    local = np.concatenate(segments, axis=1)
    local[..., :6] *= shape.scale
    local[..., 6:] *= shape.scale * shape.thickness
    if shape.left:
        local[..., [0, 3]] *= -1.0
    ends = local[..., :6].reshape(*local.shape[:2], 2, 3)
    world = np.einsum("tij,tnej->tnei", pose.rotation, ends) + pose.wrist[:, None, None, :]
    hand = np.concatenate([world.reshape(*local.shape[:2], 6), local[..., 6:]], axis=2)
    return np.concatenate([hand, _forearm(pose, shape)], axis=1).astype(np.float32)


def _palm(pose: Pose) -> Floats:
    """Return (T, 8, 8): seven rays from heel to knuckles and the web of the thumb."""
    where = np.linspace(0.0, 3.0, _NUM_RAYS)
    tops = np.stack([np.interp(where, range(4), _KNUCKLES[:, i]) for i in range(3)], axis=1)
    share = np.linspace(0.0, 1.0, _NUM_RAYS)[:, None]
    heels = _PALM_HEEL[0] * (1.0 - share) + _PALM_HEEL[1] * share
    rays = np.zeros((_NUM_RAYS + 1, 8))
    rays[:-1, :3], rays[:-1, 3:6] = heels, tops
    rays[:-1, 6], rays[:-1, 7] = 0.0165, 0.0118
    rays[-1] = [*_THUMB_ROOT, 0.024, 0.066, 0.002, 0.0165, 0.0120]
    return np.repeat(rays[None], len(pose.wrist), axis=0)


def _fingers(pose: Pose, shape: HandShape) -> Floats:
    """Return (T, 12, 8): three bones of the index, middle, ring and little finger."""
    num_frames = len(pose.wrist)
    fan = np.radians(_FAN_DEG) * (0.25 + 1.15 * pose.spread[:, None])
    along = np.stack([np.sin(fan), np.cos(fan), np.zeros_like(fan)], axis=-1)
    bend = np.cumsum(np.radians(_JOINT_RANGE_DEG) * pose.flexion[:, 1:, None], axis=2)
    palmwards = np.array([0.0, 0.0, 1.0])
    direction = np.cos(bend)[..., None] * along[:, :, None] + np.sin(bend)[..., None] * palmwards
    bones = direction * (_PHALANGES * shape.finger_length)[None, :, :, None]
    joints_TFJ3 = np.concatenate(
        [np.broadcast_to(_KNUCKLES[:, None], (num_frames, 4, 1, 3)), bones], axis=2
    ).cumsum(axis=2)
    radii = np.broadcast_to(_FINGER_RADII[:, None] * _FINGER_TAPER, (num_frames, 4, 4))
    return _chain(joints_TFJ3, radii).reshape(num_frames, 12, 8)


def _thumb(pose: Pose, shape: HandShape) -> Floats:
    """Return (T, 3, 8): the three bones of the thumb."""
    num_frames = len(pose.wrist)
    across = np.clip(pose.opposition, 0.0, 1.0)[:, None]
    out = np.clip(-pose.opposition, 0.0, 1.0)[:, None]
    first = _THUMB_SIDE * (1.0 - across - out) + _THUMB_ACROSS * across + _THUMB_OUT * out
    curl = pose.flexion[:, :1] * _THUMB_CURL
    steps = np.stack([first, first + 0.6 * curl, first + 1.5 * curl], axis=1)
    steps /= np.linalg.norm(steps, axis=2, keepdims=True)
    bones = steps * (_THUMB_BONES * shape.finger_length)[None, :, None]
    root = np.broadcast_to(_THUMB_ROOT, (num_frames, 1, 3))
    joints = np.concatenate([root, bones], axis=1).cumsum(axis=1)
    return _chain(joints, np.broadcast_to(_THUMB_RADII, (num_frames, 4)))


def _chain(joints: Floats, radii: Floats) -> Floats:
    """Return (..., J-1, 8) capsules between successive joints (..., J, 3) of radii (..., J)."""
    return np.concatenate(
        [joints[..., :-1, :], joints[..., 1:, :], radii[..., :-1, None], radii[..., 1:, None]],
        axis=-1,
    )


def _forearm(pose: Pose, shape: HandShape) -> Floats:
    """Return (T, 4, 8): two parallel bones from the wrist towards the elbow, each in two parts."""
    towards = pose.elbow - pose.wrist
    towards = towards / np.linalg.norm(towards, axis=1, keepdims=True)
    sideways = pose.rotation[:, :, 0] * 0.011 * shape.scale
    width = shape.scale * shape.thickness
    parts = []
    for begin, end, radii in ((0.0, 0.4, (0.0195, 0.0235)), (0.4, 1.0, (0.0285, 0.0350))):
        for side in (-1.0, 1.0):
            points = [
                pose.wrist + side * sideways + towards * (_FOREARM_LENGTH * shape.scale * at)
                for at in (begin, end)
            ]
            thick = np.broadcast_to(np.array(radii) * width, (len(towards), 2))
            parts.append(np.concatenate([*points, thick], axis=1))
    return np.stack(parts, axis=1)
