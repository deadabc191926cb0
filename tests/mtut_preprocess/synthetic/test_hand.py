import json
from dataclasses import replace
from importlib import resources
from itertools import pairwise

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from mtut_preprocess.synthetic import hand, motion, nvgesture, viva
from mtut_preprocess.synthetic.classes import NVGESTURE, VIVA, VIVA_MIRROR, mirror
from mtut_preprocess.synthetic.dataset import keyed_rng
from mtut_preprocess.synthetic.gestures import (
    CHANNELS,
    MIRROR_SIGNS,
    keys,
    read_gestures,
    reflect,
)
from mtut_preprocess.synthetic.hand import (
    ANGLES,
    LIMITS_DEG,
    NUM_CAPSULES,
    PARTS,
    HandShape,
    Pose,
    capsules,
)
from mtut_preprocess.synthetic.motion import draw_take, perform
from mtut_preprocess.synthetic.person import Spread, albedo, draw_person, mirrored, seated

FINGERS = ("index", "middle", "ring", "little")
JOINTS = (
    "wrist",
    *(f"thumb_{joint}" for joint in ("cmc", "mcp", "ip", "tip")),
    *(f"{finger}_{joint}" for finger in FINGERS for joint in ("mcp", "pip", "dip", "tip")),
)
# Joint at the other end of the bone that ends in each joint; the wrist has none.
PARENTS = (-1, *(0 if joint % 4 == 1 else joint - 1 for joint in range(1, len(JOINTS))))
TIMES = np.linspace(0.0, 1.0, 80)
MIRROR = np.array([-1.0, 1.0, 1.0])
SYNTHETIC = {
    "viva": (VIVA, VIVA_MIRROR, viva._STAGE),
    "nvgesture": (NVGESTURE, mirror(NVGESTURE), nvgesture._STAGE),
}
FRONT = np.diag([1.0, -1.0, -1.0])

both_datasets = pytest.mark.parametrize("name", SYNTHETIC)


def table():
    path = resources.files("mtut_preprocess").joinpath("data", "gestures.json")
    return json.loads(path.read_text("utf-8"))


def posed(**degrees):
    """One frame of a hand that is straight but for some angles."""
    angles = np.array([[float(degrees.get(name, 0.0)) for name in ANGLES]])
    return Pose(np.zeros((1, 3)), FRONT[None], np.array([[0.0, 0.3, 0.1]]), angles)


def joints(pose, shape):
    """(T, 21, 3) metres in camera coordinates, in the order of JOINTS."""
    return hand._to_camera(hand._local_joints(pose, shape), pose, shape)


def bone_lengths(shape):
    """(T, 20) lengths of the bones that end in each joint but the wrist, in random poses."""
    at = joints(random_poses(), shape)
    return np.linalg.norm(at[:, 1:] - at[:, list(PARENTS[1:])], axis=2)


def interpolate(keyframes):
    """(T, 26) motion from rest to rest, as a take without manner has it."""
    plain = replace(take_of(a_person(), 0), curvature=0.0, overshoot=0.0)
    return motion._manner(keyframes, plain)(TIMES)


def named(pose, shape, name):
    return joints(pose, shape)[0, JOINTS.index(name)]


def a_person(number=3):
    return draw_person(keyed_rng("test_hand", number), Spread())


def random_poses(num_poses=50):
    rng = np.random.default_rng(0)
    rotation = np.linalg.qr(rng.normal(size=(num_poses, 3, 3)))[0]
    rotation *= np.sign(np.linalg.det(rotation))[:, None, None]
    wrist = rng.normal(size=(num_poses, 3))
    return Pose(
        wrist, rotation, wrist + [0.1, 0.2, 0.1], rng.uniform(*LIMITS_DEG.T, (num_poses, 20))
    )


# The hand


@pytest.mark.parametrize("left", [False, True])
def test_bones_keep_their_lengths(left):
    lengths = bone_lengths(replace(a_person().shape, left=left))
    np.testing.assert_allclose(lengths, np.tile(lengths[0], (50, 1)), atol=1e-12)


def test_every_bone_length_and_the_palm_are_the_person_s_own():
    bones = np.ones((5, 3))
    bones[1, 0] = 1.25
    usual, other = (bone_lengths(HandShape(bones=b))[0] for b in (np.ones((5, 3)), bones))
    assert usual[JOINTS.index("index_pip") - 1] == pytest.approx(0.042)
    ratio = dict(zip(JOINTS[1:], other / usual, strict=True))
    assert ratio.pop("index_pip") == pytest.approx(1.25)
    np.testing.assert_allclose(list(ratio.values()), 1.0)
    wide = joints(posed(), HandShape(palm_width=1.2))[0, :, 0]
    usual_x = joints(posed(), HandShape())[0, :, 0]
    knuckles = [JOINTS.index("index_mcp"), JOINTS.index("little_mcp")]
    assert np.ptp(wide[knuckles]) == pytest.approx(1.2 * np.ptp(usual_x[knuckles]))


def test_capsules_of_fingers_lie_on_the_bones():
    pose, shape = random_poses(), a_person().shape
    at, bodies = joints(pose, shape), capsules(pose, shape)
    assert bodies.shape == (50, NUM_CAPSULES, 8)
    bones = [j for j in range(1, 21) if PARENTS[j] != 0]
    ends = np.concatenate([at[:, [PARENTS[j] for j in bones]], at[:, bones]], axis=2)
    ends = np.concatenate([ends[:, 3:], ends[:, :3]], axis=1)
    np.testing.assert_allclose(bodies[:, (PARTS == 1) | (PARTS == 2), :6], ends, atol=1e-6)


def test_thickness_is_of_each_finger():
    thick = HandShape(thickness=np.array([1.0, 1.0, 1.0, 1.0, 2.0]))
    ratio = capsules(posed(), thick)[0, :, 6] / capsules(posed(), HandShape())[0, :, 6]
    np.testing.assert_allclose(ratio[PARTS == 1], [1.0] * 9 + [2.0] * 3, rtol=1e-6)
    np.testing.assert_allclose(ratio[PARTS == 2], 1.0, rtol=1e-6)


def test_forearm_points_at_the_elbow_and_the_sleeve_begins_where_it_begins():
    bodies = capsules(posed(), HandShape(forearm=1.1, sleeve=0.3))[0]
    ends = bodies[:, :6].reshape(-1, 2, 3)
    hand_end = ends[PARTS == 3, 0].mean(axis=0)
    sleeve, end = ends[PARTS == 4].mean(axis=0)
    np.testing.assert_allclose(hand_end, 0.0, atol=1e-7)
    np.testing.assert_allclose(sleeve, 0.3 * end, atol=1e-7)
    np.testing.assert_allclose(np.cross(end, [0.0, 0.3, 0.1]), 0.0, atol=1e-7)


def test_joints_bend_the_way_their_names_say():
    shape = HandShape()
    straight = named(posed(), shape, "index_tip")
    # The palm faces the camera, thus bending a finger brings its tip nearer; up is negative y.
    assert named(posed(index_mcp=60), shape, "index_tip")[2] < straight[2] - 0.05
    assert named(posed(index_mcp=-20), shape, "index_tip")[2] > straight[2] + 0.02
    assert named(posed(index_pip=90), shape, "index_tip")[1] > straight[1] + 0.03
    assert named(posed(index_spread=15), shape, "index_tip")[0] > straight[0] + 0.02
    side = named(posed(little_spread=15), shape, "little_tip")[0]
    assert side < named(posed(), shape, "little_tip")[0] - 0.015
    beside, before = (
        named(posed(thumb_abduction=45, thumb_opposition=o), shape, "thumb_tip") for o in (0, 90)
    )
    assert beside[0] > before[0] + 0.05
    assert before[2] < beside[2] - 0.05


def test_left_hand_is_the_reflection_of_a_right_hand():
    pose, shape = random_poses(), a_person().shape
    turned = MIRROR[:, None] * pose.rotation * MIRROR
    other = Pose(pose.wrist * MIRROR, turned, pose.elbow * MIRROR, pose.angles_deg)
    left = replace(shape, left=True)
    np.testing.assert_allclose(joints(other, left), joints(pose, shape) * MIRROR, atol=1e-12)
    own, reflected = capsules(pose, shape), capsules(other, left)
    fleshy = PARTS < 3
    expected = own[:, fleshy] * np.array([-1, 1, 1, -1, 1, 1, 1, 1])
    np.testing.assert_allclose(reflected[:, fleshy], expected, atol=1e-6)


@pytest.mark.parametrize("name", ["ring", "pinched"])
def test_thumb_and_index_touch(name):
    angles = np.array([hand_shapes()[name]])
    at = joints(replace(posed(), angles_deg=angles), HandShape())[0]
    assert np.linalg.norm(at[JOINTS.index("thumb_tip")] - at[JOINTS.index("index_tip")]) < 0.018


# The table


def hand_shapes():
    """(20,) angles of every hand shape of the table, read as a gesture that holds it."""
    shapes = table()["shapes"]
    rows = [
        {"name": n, "mirror": None, "rest": "r", "keys": [{"time": 0.5, "shape": n}]}
        for n in shapes
    ]
    own = {"shapes": shapes, "rests": {"r": {"shape": "flat"}}, "datasets": {"a": rows}}
    return {g.name: g.stroke[0].angles_deg for g in read_gestures(own, "a")}


def test_shapes_are_within_the_limits_and_last_joints_follow_the_middle_ones():
    assert all(list(f) == ["thumb", *FINGERS] for f in table()["shapes"].values())
    for name, angles in hand_shapes().items():
        assert (angles >= LIMITS_DEG[:, 0]).all(), name
        assert (angles <= LIMITS_DEG[:, 1]).all(), name
        for finger, degrees in table()["shapes"][name].items():
            if len(degrees) == 3:
                last = angles[ANGLES.index("thumb_ip" if finger == "thumb" else f"{finger}_dip")]
                assert last == pytest.approx(degrees[2] * 2 / 3)


@both_datasets
def test_gestures_are_complete(name):
    gestures = SYNTHETIC[name][0]
    by_name = {gesture.name: gesture for gesture in gestures}
    assert len(by_name) == len(gestures)
    for gesture in gestures:
        times = [0.06, *(key.time for key in gesture.stroke), 0.94]
        assert all(before < after for before, after in pairwise(times)), gesture.name
        assert gesture.mirror is None or by_name[gesture.mirror].mirror == gesture.name
        if gesture.cycle is not None:
            first, last = (gesture.stroke[index] for index in gesture.cycle)
            assert first[1:] == last[1:], gesture.name


@both_datasets
def test_table_has_every_class_of_the_dataset(name):
    gestures, mirror, _ = SYNTHETIC[name]
    assert len(gestures) == len(mirror) == {"viva": 19, "nvgesture": 25}[name]
    real = resources.files("mtut_preprocess").joinpath("data", f"{name}.json").read_text("utf-8")
    names = json.loads(real)["class_names"]
    if names is not None:
        assert [gesture.name for gesture in gestures] == names
    if json.loads(real)["mirror"] is not None:
        assert list(mirror) == json.loads(real)["mirror"]


@both_datasets
def test_classes_move_differently(name):
    scale = np.array([0.05] * 3 + [20.0] * 3 + [25.0] * 20)
    motions = np.stack([interpolate(keys(gesture)) / scale for gesture in SYNTHETIC[name][0]])
    assert motions.shape[2] == len(CHANNELS)
    distance = np.abs(motions[:, None] - motions[None]).max(axis=(2, 3))
    assert distance[~np.eye(len(motions), dtype=bool)].min() > 0.5


@both_datasets
def test_mirror_pairs_of_the_table_are_reflections(name):
    gestures, mirror, _ = SYNTHETIC[name]
    pairs = [(a, b) for a, b in enumerate(mirror) if b not in (-1, a)]
    assert len(pairs) == 6
    for a, b in pairs:
        assert mirror[b] == a
        assert gestures[b].stroke == reflect(gestures[a].stroke)


def test_left_of_the_user_is_right_in_the_nvgesture_image():
    right = interpolate(keys(NVGESTURE[0]))[:, 0]
    assert (np.diff(right[int(0.34 * 80) : int(0.66 * 80)]) > 0).all()


def test_cycle_is_repeated_in_the_time_of_the_stroke():
    shake = next(gesture for gesture in NVGESTURE if gesture.name == "shake hand")
    once, more = keys(shake), keys(shake, repeats=1)
    assert len(more) == len(once) + 2
    assert (more[2].time, more[-3].time) == (once[2].time, pytest.approx(once[-3].time))
    turns = [np.sign(np.diff([key.right for key in each[2:-2]])) for each in (once, more)]
    assert turns[1].tolist() == [*turns[0].tolist(), *turns[0][:2].tolist()]


# Persons and takes


def take_of(person, *key):
    return draw_take(keyed_rng("test_hand take", *key), person)


def plain_take(person):
    """A take without anything that differs from take to take."""
    take = take_of(person, 0)
    none = {"offset": np.zeros(3), "bias": np.zeros(26), "tremor": 0.0 * take.tremor}
    return replace(take, **none, amplitude=1.0, begin=0.0, duration=1.0, haste=1.0)


def performed(gesture, person, take, stage, num_frames=40):
    times = np.linspace(0.0, 2.0, num_frames)
    return perform(gesture, person, take=take, stage=stage, window_s=2.0, times_s=times)


@both_datasets
@pytest.mark.parametrize("number", range(4))
def test_mirror_class_by_the_other_hand_is_the_mirror_image(name, number):
    gestures, mirror, stage = SYNTHETIC[name]
    person = a_person(number)
    other = mirrored(person)
    opposite = replace(stage, home=tuple(np.array(stage.home) * MIRROR))
    for label, reflected in enumerate(mirror):
        if reflected == -1:
            continue
        take = take_of(person, number, label)
        same = replace(
            take,
            offset=take.offset * MIRROR,
            bias=take.bias * MIRROR_SIGNS,
            tremor=take.tremor * np.stack([MIRROR, *[np.ones(3)] * 2], axis=1)[:, None],
        )
        own = joints(performed(gestures[label], person, take, stage), person.shape)
        seen = joints(performed(gestures[reflected], other, same, opposite), other.shape)
        np.testing.assert_allclose(seen, own * MIRROR, atol=1e-9)


@both_datasets
def test_angles_stay_within_the_limits(name):
    gestures, _, stage = SYNTHETIC[name]
    spread = Spread().scaled(2.0)
    for number in range(6):
        person = draw_person(keyed_rng("test_hand", number), spread)
        for label, gesture in enumerate(gestures):
            for repetition in range(2):
                take = take_of(person, number, label, repetition)
                angles = performed(gesture, person, take, stage).angles_deg
                assert (angles >= LIMITS_DEG[:, 0]).all()
                assert (angles <= LIMITS_DEG[:, 1]).all()


def test_without_spread_all_persons_move_alike():
    spread = Spread().scaled(0.0)
    poses = []
    for number in range(3):
        person = draw_person(keyed_rng("test_hand", number), spread)
        take = plain_take(person)
        poses.append(joints(performed(VIVA[0], person, take, viva._STAGE), person.shape))
    np.testing.assert_allclose(poses[1:], [poses[0]] * 2, atol=1e-12)


def test_repetitions_and_persons_differ():
    def motion(number, repetition):
        person = a_person(number)
        take = take_of(person, number, repetition)
        return joints(performed(VIVA[0], person, take, viva._STAGE), person.shape)

    motions = np.array([[motion(number, k) for k in range(6)] for number in range(12)])
    within = motions.std(axis=1).mean()
    between = motions.mean(axis=1).std(axis=0).mean()
    assert within > 0.003
    assert between > 0.003


def stroke_of(manner, gesture=VIVA[0]):
    spread = Spread().scaled(0.0)
    person = draw_person(keyed_rng("test_hand", 0), spread)
    return performed(gesture, person, replace(plain_take(person), **manner), viva._STAGE, 400).wrist


def test_pause_holds_the_hand_still():
    speed = np.linalg.norm(np.diff(stroke_of({"pause": (0.5, 0.2)}), axis=0), axis=1)
    middle = np.flatnonzero(np.abs(stroke_of({"pause": (0.5, 0.2)})[:-1, 0]) < 0.01)
    assert (speed[middle] < 1e-5).sum() > 40


def test_overshoot_goes_beyond_the_end_and_returns():
    usual, beyond = (stroke_of({"overshoot": o})[:, 0].max() for o in (0.0, 0.1))
    assert beyond == pytest.approx(usual + 0.1 * 2.0 * usual, rel=0.01)


def test_curved_stroke_comes_nearer_in_the_middle():
    straight, arced = (stroke_of({"curvature": c}) for c in (0.0, 0.2))
    stroke = slice(int(0.33 * 400), int(0.65 * 400))
    middle = stroke.start + np.abs(straight[stroke, 0]).argmin()
    assert arced[middle, 2] < straight[middle, 2] - 0.02


def test_passenger_has_the_driver_s_habits_in_the_other_hand():
    person = a_person()
    driver, passenger = (seated(person, left=left, shift_m=0.05) for left in (False, True))
    assert (driver.shape.left, passenger.shape.left) == (False, True)
    np.testing.assert_allclose(passenger.offset, driver.offset * MIRROR)
    np.testing.assert_allclose(passenger.bias, driver.bias * MIRROR_SIGNS)


# Witness: classes are told apart across persons


def feature(gesture, person, take, stage):
    """Joints relative to the wrist and the path of the wrist, both in hand sizes, 16 times."""
    times = take.begin + take.duration * np.linspace(0.0, 1.0, 16)
    pose = perform(gesture, person, take=take, stage=stage, window_s=1.0, times_s=times)
    at = joints(pose, person.shape)
    fingers, path = at[:, 1:] - at[:, :1], at[:, :1] - np.array(stage.home)
    return np.concatenate([fingers, path], axis=1).ravel() / person.shape.scale


@pytest.mark.parametrize(("name", "seats"), [("viva", 1), ("viva", 2), ("nvgesture", 1)])
def test_nearest_motion_of_other_persons_is_of_the_same_class(name, seats):
    gestures, _, stage = SYNTHETIC[name]
    rows = []
    for number in range(8):
        for repetition in range(2):
            person = seated(a_person(number), left=repetition % seats == 1, shift_m=0.05)
            for label, gesture in enumerate(gestures):
                take = take_of(person, number, label, repetition)
                rows.append((number, label, feature(gesture, person, take, stage)))
    who, labels = (np.array([row[i] for row in rows]) for i in range(2))
    features = np.array([row[2] for row in rows])
    distance = cdist(features, features)
    distance[who[:, None] == who[None]] = np.inf
    nearest = labels[distance.argmin(axis=1)]
    assert (nearest == labels).mean() > 0.95


def test_upper_arm_runs_from_the_end_of_the_forearm_to_the_shoulder():
    shape, shoulder = a_person().shape, np.array([0.2, 0.1, 0.7])
    pose = random_poses()
    plain, bodies = capsules(pose, shape), capsules(replace(pose, shoulder=shoulder), shape)
    assert bodies.shape == (50, NUM_CAPSULES + 1, 8)
    assert bodies.dtype == plain.dtype
    np.testing.assert_array_equal(bodies[:, :-1], plain)
    np.testing.assert_allclose(bodies[:, -1, :3], plain[:, -2:, 3:6].mean(axis=1), atol=1e-6)
    np.testing.assert_allclose(bodies[:, -1, 3:6], np.tile(shoulder, (50, 1)), atol=1e-7)
    assert len(albedo(a_person())) == NUM_CAPSULES + 1


@pytest.mark.parametrize("left", [False, True])
def test_shoulder_stays_where_the_person_sits(left):
    person = seated(a_person(), left=left, shift_m=0.0)
    times = np.linspace(0.0, 2.0, 5)
    stage = nvgesture._STAGE
    poses = [
        perform(
            NVGESTURE[0],
            person,
            take=draw_take(keyed_rng("take", n), person),
            stage=stage,
            window_s=2.0,
            times_s=times,
        )
        for n in range(2)
    ]
    side = -1.0 if left else 1.0
    expected = np.add(stage.home, person.offset) + np.multiply(stage.shoulder, [side, 1.0, 1.0])
    for pose in poses:
        np.testing.assert_allclose(pose.shoulder, expected)
    assert not np.allclose(poses[0].wrist, poses[1].wrist)
