"""The raw folder of viva-synthetic: colour and depth clips in the layout of the VIVA challenge.

The camera looks over the shoulder of a driver or passenger at a hand before the dashboard. Each
of 8 persons sits in both seats: user 2p - 1 drives, with the right hand; user 2p is the passenger
and gestures with the left one.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mtut_bench.files import StrPath
from mtut_preprocess.synthetic.camera import (
    Camera,
    DepthScale,
    Surface,
    encode_depth,
    hand_motion,
    rasterise,
    shade,
)
from mtut_preprocess.synthetic.classes import VIVA, VIVA_MIRROR
from mtut_preprocess.synthetic.dataset import FPS, Clip, Settings, Size, keyed_rng
from mtut_preprocess.synthetic.difficulty import draw_weakness
from mtut_preprocess.synthetic.hand import capsules
from mtut_preprocess.synthetic.motion import Stage, draw_take, perform
from mtut_preprocess.synthetic.person import Person, Spread, albedo, draw_person, seated
from mtut_preprocess.synthetic.scene import NUM_METERED, Scene, draw_noise, draw_scene
from mtut_preprocess.synthetic.video import depth_planes, full_planes, mjpeg, write_text

__all__ = ["EXPECTED_CLIPS", "GESTURE_IDS", "clips", "files", "write_clip", "write_index"]

Bytes = NDArray[np.uint8]

GESTURE_IDS = (1, 2, 3, 4, 6, 7, 8, 13, 14, 15, 16, 21, 23, 27, 28, 29, 30, 31, 32)
EXPECTED_CLIPS = 885
_DEMO_GESTURES = (1, 2, 3, 4, 21)
"""Four swipes and a tap: what a narrow network learns within minutes, of clips that are not easier
than the others."""
_NUM_PERSONS = 8
_NUM_REPETITIONS = 3
_FOLDER = Path("LISA_HG_Data", "dynamic_gestures", "data")

_CAMERA = Camera(width=250, height=115, focal_px=245.0, centre_px=(124.5, 57.0))
_SCALE = DepthScale(near_m=0.60, far_m=1.05, near_value=230, far_value=50)
_STAGE = Stage(home=(0.0, 0.095, 0.80), elbow=(-0.16, 0.20, -0.06), yaw_deg=180.0)
_SHUTTER = 0.5
_METERED_LUMA = 115.0
_SEAT_SHIFT_M = 0.05
"""Drivers gesture a little left of the middle, passengers a little right of it."""


def clips(settings: Settings) -> list[Clip]:
    """Return the clips in the order of their names.

    Full has 8 persons, two seats and three takes less the 27 that the seed drops (885); demo those
    of five classes (233 to 240); mini 8 persons with one clip per class (152); tiny 2 persons with
    one (38).
    """
    grid = [
        _clip(user, label, repetition)
        for user in range(1, 2 * _NUM_PERSONS + 1)
        for label in range(len(GESTURE_IDS))
        for repetition in range(1, _NUM_REPETITIONS + 1)
    ]
    if settings.size in ("full", "demo"):
        rng = keyed_rng(settings.dataset, settings.seed, "missing clips")
        missing = set(rng.permutation(len(grid))[: len(grid) - EXPECTED_CLIPS].tolist())
        labels = {gesture: label for label, gesture in enumerate(_gestures(settings.size))}
        return [
            replace(clip, label=labels[GESTURE_IDS[clip.label]])
            for index, clip in enumerate(grid)
            if index not in missing and GESTURE_IDS[clip.label] in labels
        ]
    num_persons = 2 if settings.size == "tiny" else _NUM_PERSONS
    return [
        clip
        for clip in grid
        # Seats alternate, so that neither a class nor a person is seen from one seat alone.
        if clip.repetition == 1
        and int(clip.person) <= num_persons
        and int(clip.user) % 2 == (int(clip.person) + clip.label) % 2
    ]


def _gestures(size: Size) -> tuple[int, ...]:
    """Return the gesture ids of a size's classes, in the order of their labels."""
    return _DEMO_GESTURES if size == "demo" else GESTURE_IDS


def _clip(user: int, label: int, repetition: int) -> Clip:
    """Return one clip of the full grid."""
    return Clip(
        clip_id=f"{user:02d}_{GESTURE_IDS[label]:02d}_{repetition:02d}",
        label=label,
        person=str((user + 1) // 2),
        user=f"{user:02d}",
        repetition=repetition,
        split="",
    )


def files(raw: StrPath, clip: Clip) -> tuple[Path, ...]:
    """Return the colour and the depth file of a clip."""
    raw = Path(raw)
    name = f"{clip.clip_id}.avi"
    return raw / _FOLDER / name, raw / _FOLDER / "depth" / name


def write_clip(raw: StrPath, clip: Clip, settings: Settings) -> None:
    """Write both files of a clip."""
    colour_path, depth_path = files(raw, clip)
    depth_path.parent.mkdir(parents=True, exist_ok=True)
    size = (_CAMERA.width, _CAMERA.height)
    with (
        mjpeg(colour_path, *size, quantiser=3) as colour_file,
        mjpeg(depth_path, *size, quantiser=2) as depth_file,
    ):
        for colour, depth in _frames(clip, settings):
            colour_file.write(full_planes(colour))
            depth_file.write(depth_planes(depth))


def _frames(clip: Clip, settings: Settings) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield colour (115, 250, 3) and depth (115, 250) of every frame of a clip."""
    key = (settings.dataset, settings.seed)
    passenger = int(clip.user) % 2 == 0
    spread = Spread().scaled(settings.difficulty.person_spread)
    person = draw_person(keyed_rng(*key, "person", clip.person), spread)
    person = seated(person, left=passenger, shift_m=_SEAT_SHIFT_M)
    rng = keyed_rng(*key, "clip", clip.clip_id)
    num_frames = _num_frames(rng, person)
    pose = perform(
        VIVA[GESTURE_IDS.index(_gestures(settings.size)[clip.label])],
        person,
        take=draw_take(rng, person),
        stage=_STAGE,
        window_s=(num_frames - 1) / FPS,
        times_s=np.arange(num_frames) / FPS,
    )
    hard = settings.difficulty
    weakness = draw_weakness(rng, hard)
    scene = draw_scene(
        keyed_rng(*key, "interior"),
        keyed_rng(*key, "seat", clip.user),
        rng,
        _CAMERA,
        num_frames=num_frames,
        weak=weakness.colour,
        clutter=hard.clutter,
    )
    noise = draw_noise(rng, _CAMERA, num_frames, level=hard.noise, weak=weakness.depth)
    apart = np.eye(2, 3)
    apart[:, 2] = rng.normal(0.0, 1.0, 2) * hard.misalignment_px
    colours = albedo(person)
    every = capsules(pose, person.shape)
    motions = hand_motion(every, _CAMERA, _SHUTTER)

    def take(scene: Scene, index: int) -> tuple[Surface, Bytes]:
        surface = rasterise(every[index], _CAMERA)
        colour = shade(
            surface,
            colours,
            scene.light_at(index),
            scene.background_at(index),
            scene.exposure[index],
            motion_px=motions[index],
        )
        return surface, colour

    first = [take(scene, index)[1] for index in range(NUM_METERED)]
    scene = scene.metered(first, _METERED_LUMA)
    for index in range(num_frames):
        surface, colour = take(scene, index)
        depth = encode_depth(surface, _SCALE, noise.depth_window(_CAMERA, index))
        depth = noise.lose_depth(depth, index)
        if hard.misalignment_px > 0.0:
            # Nearest neighbours: between a hand and nothing there is no depth.
            size = (_CAMERA.width, _CAMERA.height)
            depth = np.asarray(
                cv2.warpAffine(depth, apart, size, flags=cv2.INTER_NEAREST), np.uint8
            )
        yield noise.add_colour(colour, index), depth


def _num_frames(rng: np.random.Generator, person: Person) -> int:
    """Return a clip length of 30 to 60 frames, about 40 on average; fast persons take fewer."""
    return int(np.clip(np.rint((31.0 + 30.0 * rng.beta(1.3, 2.8)) / person.tempo), 30, 60))


def write_index(raw: StrPath, planned: list[Clip], settings: Settings) -> None:
    """Write viva.json: what the real release leaves unsaid and the generator knows."""
    raw = Path(raw)
    gestures = _gestures(settings.size)
    labels = [GESTURE_IDS.index(gesture) for gesture in gestures]
    users = range(1, 2 * _NUM_PERSONS + 1)
    table = {
        "pattern": r"^(?P<user>\d+)_(?P<gesture>\d+)_(?P<repetition>\d+)\.avi$",
        "gesture_ids": [f"{gesture:02d}" for gesture in gestures],
        "aliases": {},
        "class_names": [VIVA[label].name for label in labels],
        "persons": {f"{user:02d}": str((user + 1) // 2) for user in users},
        "mirror": [
            labels.index(VIVA_MIRROR[label]) if VIVA_MIRROR[label] in labels else -1
            for label in labels
        ],
        "expected_clips": EXPECTED_CLIPS,
    }
    write_text(raw / "viva.json", json.dumps(table, indent=2) + "\n")
