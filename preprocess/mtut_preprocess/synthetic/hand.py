"""A hand of 21 joints, posed by 20 anatomical angles, and its body of tapered capsules.

Axis letters: T frames, J joints (21), N capsules, F fingers (4: index to little), B bones.

Hand frame: origin at the wrist, x towards the thumb, y towards the finger tips, z out of the palm
(right hand; a left hand is its reflection in x). Camera frame: x right, y down, z away from the
camera, metres. Without rotation the finger tips point up and the palm faces the camera.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ANGLES", "LIMITS_DEG", "NUM_CAPSULES", "PARTS", "HandShape", "Pose", "capsules"]

Floats = NDArray[np.floating[Any]]

_FINGERS = ("index", "middle", "ring", "little")

ANGLES = (
    *("thumb_abduction", "thumb_opposition", "thumb_mcp", "thumb_ip"),
    *(f"{finger}_{angle}" for finger in _FINGERS for angle in ("mcp", "spread", "pip", "dip")),
)
"""Names of the angles, degrees. Flexion is positive and 0 is straight. Spread moves a finger away
from the middle one, and the middle finger towards the thumb. The metacarpal of the thumb leaves the
direction of the fingers by its abduction: beside the palm at opposition 0, before it at 90."""

_FINGER_LIMITS = ((-20.0, 90.0), (-20.0, 20.0), (0.0, 110.0), (0.0, 80.0))
LIMITS_DEG = np.array(
    [(0.0, 70.0), (-15.0, 100.0), (-10.0, 60.0), (-15.0, 80.0), *(_FINGER_LIMITS * 4)]
)
"""(20, 2) usual ranges of active motion, degrees. Abduction of the thumb to 70, its joints bent by
50 to 60 and 80, knuckles by 90, the middle joints by 100 to 110 and the last ones by 80 are the
values of clinical goniometry; straightening beyond straight is kept to what is common."""

_KNUCKLES = np.array(
    [[0.027, 0.091, 0.0], [0.006, 0.096, 0.0], [-0.015, 0.090, 0.0], [-0.033, 0.079, 0.0]]
)
_THUMB_ROOT = np.array([0.020, 0.020, 0.005])
_BONES = np.array(
    [
        [0.044, 0.034, 0.026],
        [0.042, 0.025, 0.019],
        [0.046, 0.028, 0.020],
        [0.042, 0.026, 0.020],
        [0.033, 0.020, 0.017],
    ]
)
_RADII = np.array([0.0150, 0.0104, 0.0106, 0.0101, 0.0090])
_TAPER = np.array([[1.07, 0.86, 0.76, 0.60], *[[1.0, 0.92, 0.84, 0.72]] * 4])
# Fingers that are not spread still fan a little; spread turns index one way, ring and little the
# other.
_FAN_DEG = np.array([3.0, 0.0, -2.5, -5.5])
_SPREAD_SIGN = np.array([1.0, 1.0, -1.0, -1.0])
_THUMB_FLEXES_TOWARDS = np.array([-1.0, 0.25, 0.35])
_PALM_HEEL = np.array([[0.018, 0.008, 0.0], [-0.018, 0.006, 0.0]])
_FOREARM_M = 0.23

# Palm: rays from the heel to the knuckles and between them, so that no gap shows; then the web
# of the thumb, four fingers and the thumb of three bones each, and two forearm bones.
_NUM_RAYS = 7
PARTS = np.array([0] * (_NUM_RAYS + 1) + [1] * 12 + [2] * 3 + [3, 3, 4, 4])
"""Part of each capsule: 0 palm, 1 finger, 2 thumb, 3 forearm at the wrist, 4 forearm (sleeve); the
upper arm, where there is one, is one more capsule."""
NUM_CAPSULES = len(PARTS)


@dataclass(frozen=True, eq=False)
class HandShape:
    """Proportions of one person's hand and forearm, as factors on a hand of 0.19 m.

    Attributes:
        scale: of all lengths.
        bones: (5, 3) lengths, thumb to little finger, root to tip.
        thickness: (5,) radii, thumb to little finger; the palm follows their mean.
        palm_width: between the outer knuckles.
        forearm: length.
        sleeve: where it begins, as a share of the forearm from the wrist.
        left: a left hand.
    """

    scale: float = 1.0
    bones: Floats = field(default_factory=lambda: np.ones((5, 3)))
    thickness: Floats = field(default_factory=lambda: np.ones(5))
    palm_width: float = 1.0
    forearm: float = 1.0
    sleeve: float = 0.4
    left: bool = False


@dataclass(frozen=True, eq=False)
class Pose:
    """Poses of T frames.

    Attributes:
        wrist: (T, 3) metres in camera coordinates.
        rotation: (T, 3, 3) hand frame to camera frame, of a right hand.
        elbow: (T, 3) metres in camera coordinates; the forearm points at it.
        angles_deg: (T, 20) as in ``ANGLES``, within ``LIMITS_DEG``.
        shoulder: (3,) metres in camera coordinates; None where no upper arm is in view.
    """

    wrist: Floats
    rotation: Floats
    elbow: Floats
    angles_deg: Floats
    shoulder: Floats | None = None


def capsules(pose: Pose, shape: HandShape) -> Floats:
    """Return the tapered capsules of every frame.

    Args:
        pose: of T frames.
        shape: proportions of the hand.

    Returns:
        (T, N, 8) float32: both end points (x, y, z) in metres in camera coordinates, then the
        radius at each of them in metres. The part of each capsule stands in ``PARTS``; a pose with
        a shoulder has the upper arm behind them.
    """
    local_TJ3 = _local_joints(pose, shape)
    num_frames = len(local_TJ3)
    chains = local_TJ3[:, 1:].reshape(num_frames, 5, 4, 3)
    palm = np.broadcast_to(_palm(shape), (num_frames, _NUM_RAYS, 2, 3))
    web = np.stack([chains[:, 0, 0], 0.5 * chains[:, 0, 1] + 0.4 * chains[:, 1, 0]], axis=1)
    bones = np.stack([chains[:, :, :-1], chains[:, :, 1:]], axis=3)
    fingers = bones[:, 1:].reshape(num_frames, 12, 2, 3)
    local = np.concatenate([palm, web[:, None], fingers, bones[:, 0]], axis=1)
    ends = _to_camera(local, pose, shape)
    bodies = np.empty((num_frames, NUM_CAPSULES, 8), dtype=np.float32)
    bodies[:, :-4, :6] = ends.reshape(num_frames, -1, 6)
    bodies[:, :-4, 6:] = _radii(shape)
    bodies[:, -4:] = _forearm(pose, shape)
    if pose.shoulder is None:
        return bodies
    return np.concatenate([bodies, _upper_arm(bodies[:, -2:], pose.shoulder, shape)], axis=1)


def _to_camera(points: Floats, pose: Pose, shape: HandShape) -> Floats:
    """Return points (T, ..., 3) of the hand frame at scale 1 in camera coordinates."""
    turn = pose.rotation * shape.scale
    if shape.left:
        turn = turn * np.array([-1.0, 1.0, 1.0])
    flat = points.reshape(len(points), -1, 3)
    return np.asarray((flat @ turn.swapaxes(1, 2) + pose.wrist[:, None]).reshape(points.shape))


def _knuckles(shape: HandShape) -> Floats:
    """Return the (4, 3) roots of the fingers."""
    return _KNUCKLES * np.array([shape.palm_width, 1.0, 1.0])


def _thumb_root(shape: HandShape) -> Floats:
    """Return the (3,) root of the thumb."""
    return _THUMB_ROOT * np.array([shape.palm_width, 1.0, 1.0])


def _local_joints(pose: Pose, shape: HandShape) -> Floats:
    """Return the (T, 21, 3) joints of a right hand of scale 1 in the hand frame.

    The wrist, then four of each finger, thumb to little finger, from its root to its tip.
    """
    angles = np.radians(pose.angles_deg).reshape(-1, 5, 4)
    num_frames = len(angles)
    chains = np.empty((num_frames, 5, 4, 3))
    chains[:, 0, 0] = _thumb_root(shape)
    chains[:, 1:, 0] = _knuckles(shape)
    steps = np.concatenate([_thumb_steps(angles[:, 0])[:, None], _finger_steps(angles[:, 1:])], 1)
    chains[:, :, 1:] = steps * (_BONES * shape.bones)[..., None]
    np.cumsum(chains, axis=2, out=chains)
    wrist = np.zeros((num_frames, 1, 3))
    return np.concatenate([wrist, chains.reshape(num_frames, 20, 3)], axis=1)


def _finger_steps(angles_TF4: Floats) -> Floats:
    """Return the (T, 4, 3, 3) unit vectors along the bones of four fingers."""
    side = np.radians(_FAN_DEG) + _SPREAD_SIGN * angles_TF4[..., 1]
    # A bent finger swings in the plane of its own direction and of the palm's normal.
    bend = np.cumsum(angles_TF4[..., [0, 2, 3]], axis=2)
    flat = np.cos(bend)
    return np.stack(
        [flat * np.sin(side)[..., None], flat * np.cos(side)[..., None], np.sin(bend)], axis=-1
    )


def _thumb_steps(angles_T4: Floats) -> Floats:
    """Return the (T, 3, 3) unit vectors along the bones of the thumb."""
    abduction, opposition = angles_T4[:, 0], angles_T4[:, 1]
    first = np.stack(
        [
            np.sin(abduction) * np.cos(opposition),
            np.cos(abduction),
            np.sin(abduction) * np.sin(opposition),
        ],
        axis=1,
    )
    # The thumb bends towards the root of the little finger, wherever it starts from.
    along = first @ _THUMB_FLEXES_TOWARDS
    inwards = _THUMB_FLEXES_TOWARDS - along[:, None] * first
    inwards /= np.linalg.norm(inwards, axis=1, keepdims=True)
    bend = np.cumsum(angles_T4[:, 1:] * np.array([0.0, 1.0, 1.0]), axis=1)[..., None]
    return np.asarray(np.cos(bend) * first[:, None] + np.sin(bend) * inwards[:, None])


def _palm(shape: HandShape) -> Floats:
    """Return (7, 2, 3): seven rays from heel to knuckles."""
    where = np.linspace(0.0, 3.0, _NUM_RAYS)
    knuckles = _knuckles(shape)
    share = np.linspace(0.0, 1.0, _NUM_RAYS)[:, None]
    rays = np.empty((_NUM_RAYS, 2, 3))
    rays[:, 0] = (_PALM_HEEL[0] * (1.0 - share) + _PALM_HEEL[1] * share) * np.array(
        [shape.palm_width, 1.0, 1.0]
    )
    for axis in range(3):
        rays[:, 1, axis] = np.interp(where, range(4), knuckles[:, axis])
    return rays


def _radii(shape: HandShape) -> Floats:
    """Return the (N - 4, 2) radii of all capsules but the forearm's, in metres."""
    chains = (_RADII * shape.thickness)[:, None] * _TAPER
    bones = np.stack([chains[:, :-1], chains[:, 1:]], axis=2)
    palm = np.tile([0.0165, 0.0118], (_NUM_RAYS + 1, 1)) * np.mean(shape.thickness)
    return np.asarray(np.vstack([palm, bones[1:].reshape(12, 2), bones[0]]) * shape.scale)


def _forearm(pose: Pose, shape: HandShape) -> Floats:
    """Return (T, 4, 8): two parallel bones from the wrist towards the elbow, each in two parts."""
    towards = pose.elbow - pose.wrist
    towards = towards / np.linalg.norm(towards, axis=1, keepdims=True)
    # Square to the forearm, or the skin of one bone would come out of the sleeve of the other.
    sideways = pose.rotation[:, :, 0] * 0.011 * shape.scale
    sideways = sideways - (sideways * towards).sum(axis=1, keepdims=True) * towards
    width = shape.scale * float(np.mean(shape.thickness))
    length = _FOREARM_M * shape.scale * shape.forearm
    cuff = length * shape.sleeve
    forearm = np.empty((len(towards), 4, 8))
    # The skin ends its own radius before the cuff, or its round end would show on the sleeve.
    for part, (begin, end, radii) in enumerate(
        ((0.0, cuff - 0.0235 * width, (0.0195, 0.0235)), (cuff, length, (0.0285, 0.0350)))
    ):
        for bone, side in enumerate((-1.0, 1.0)):
            capsule = forearm[:, 2 * part + bone]
            capsule[:, :3] = pose.wrist + side * sideways + towards * begin
            capsule[:, 3:6] = pose.wrist + side * sideways + towards * end
            capsule[:, 6:] = np.array(radii) * width
    return forearm


def _upper_arm(sleeves: NDArray[np.float32], shoulder: Floats, shape: HandShape) -> Floats:
    """Return (T, 1, 8): from the ends of the forearm's two bones to the shoulder, in float32."""
    arm = np.empty((len(sleeves), 1, 8), dtype=np.float32)
    arm[:, 0, :3] = sleeves[:, :, 3:6].mean(axis=1)
    arm[:, 0, 3:6] = shoulder
    arm[:, 0, 6:] = np.array([0.040, 0.052]) * shape.scale * float(np.mean(shape.thickness))
    return arm
