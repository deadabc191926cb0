"""The raw folder of nvgesture-synthetic: recordings, logs and lists in the layout of NVGesture.

A colour and a depth camera face a driver. Depth sees a wider field than colour; the wrapped stream
is the colour picture as the depth camera would see it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mtut_bench.files import StrPath
from mtut_preprocess.synthetic.camera import (
    Camera,
    DepthScale,
    Tone,
    encode_depth,
    hand_motion,
    rasterise,
    shade,
)
from mtut_preprocess.synthetic.classes import NVGESTURE
from mtut_preprocess.synthetic.dataset import FPS, Clip, Settings, keyed_rng
from mtut_preprocess.synthetic.difficulty import draw_weakness
from mtut_preprocess.synthetic.hand import capsules
from mtut_preprocess.synthetic.motion import Stage, draw_take, perform
from mtut_preprocess.synthetic.person import Spread, albedo, draw_person
from mtut_preprocess.synthetic.scene import NUM_METERED, Scene, draw_noise, draw_scene
from mtut_preprocess.synthetic.video import depth_planes, h264, video_planes, write_text

__all__ = ["EXPECTED_CLIPS", "clips", "files", "write_clip", "write_index"]

Bytes = NDArray[np.uint8]
Floats = NDArray[np.floating[Any]]

EXPECTED_CLIPS = 1532
WINDOW = 80
_DUO_WINDOW = 93
_SHUTTER = 0.5
_STREAMS = ("sk_color", "sk_depth", "sk_wrapped")
_SUBJECTS = {"train": (1, 2, 3, 4, 6, 7, 11, 12, 15, 16, 17, 18), "test": (5, 8, 9, 13, 14, 20)}
# Clips per class of the authors' lists, label 1 first.
_NUM_CLIPS = {
    "train": (
        *(40, 50, 43, 41, 42, 44, 39, 44, 41, 43, 43, 42, 39),
        *(43, 42, 44, 42, 40, 36, 47, 41, 43, 43, 40, 38),
    ),
    "test": (
        *(18, 22, 20, 21, 20, 20, 20, 19, 22, 19, 20, 19, 18),
        *(20, 16, 19, 20, 19, 19, 21, 15, 18, 20, 19, 18),
    ),
}
_PER_CLASS = {"mini": {"train": 4, "test": 2}, "tiny": {"train": 1, "test": 1}}

_DEPTH_CAMERA = Camera(width=320, height=240, focal_px=212.0, centre_px=(159.5, 119.5))
# At a hand's usual distance x_d = 0.82 x_c + 14, y_d = 0.82 y_c + 12, as fitted on a real pair; in
# real recordings the colour ends between the depth columns 262 (near) and 279 (far): parallax.
_RATIO, _SHIFT = 0.82, (14.0, 12.0)
_BASELINE_M = 0.022
_REGISTERED_M = 0.41
_TORSO_M = 0.80
_COLOUR_CAMERA = Camera(
    width=320,
    height=240,
    focal_px=212.0 / _RATIO,
    centre_px=(
        (159.5 - _SHIFT[0] - 212.0 * _BASELINE_M / _REGISTERED_M) / _RATIO,
        (119.5 - _SHIFT[1]) / _RATIO,
    ),
)
# Added to capsules in depth coordinates: the colour camera stands to the left.
_FROM_COLOUR = np.array([_BASELINE_M, 0, 0, _BASELINE_M, 0, 0, 0, 0], dtype=np.float32)
_SCALE = DepthScale(near_m=0.20, far_m=0.72, near_value=206, far_value=44)
_STAGE = Stage(
    home=(0.05, 0.070, 0.41), elbow=(0.15, 0.19, 0.12), yaw_deg=0.0, shoulder=(0.10, 0.05, 0.36)
)
# From a comparison with real recordings (`tools/realism.py compare`): contrast, burnt-out whites,
# muted colours, clothing of medium brightness, strong noise, soft outlines of depth.
_TONE = Tone(gain=1.8, before=95.0, after=112.0, knee=240.0)
_COLOUR_SIGMA = (3.5, 6.5)
_KEPT_COLOUR = 0.36
_CLOTHING, _KEPT_CLOTHING = 100.0, 0.4
_METERED_LUMA = 100.0
_SHEEN = 90.0
_DEPTH_BLUR_PX = 0.55


@dataclass(frozen=True)
class _Timing:
    """Clocks of one recording, in frames of the colour stream.

    Attributes:
        length: frames of both streams where none lags.
        window: first frame of the gesture's 80, in either stream.
        lag: frames by which depth is behind colour at the same index.
    """

    length: int
    window: int
    lag: int

    @property
    def frames(self) -> range:
        """Frames that either stream sees; a stream that lags began or ended a frame apart."""
        first = min(0, -self.lag)
        return range(first, first + self.length + abs(self.lag))


def clips(settings: Settings) -> list[Clip]:
    """Return the clips of both lists, train first, in the order of their folders.

    Full has 1,050 training and 482 test clips, per class as many as the authors' lists; mini 4 and
    2 per class; tiny 1 and 1. The persons of the two lists are disjoint.
    """
    planned: list[Clip] = []
    for split in ("train", "test"):
        subjects = _SUBJECTS[split]
        for label in range(len(NVGESTURE)):
            limit = _PER_CLASS.get(settings.size, {}).get(split)
            for number in range(limit if limit is not None else _NUM_CLIPS[split][label]):
                subject = subjects[(number + label) % len(subjects)]
                planned.append(_clip(label, subject, number // len(subjects), split))
    return planned


def _clip(label: int, subject: int, repetition: int, split: str) -> Clip:
    """Return one clip."""
    return Clip(
        clip_id=f"class_{label + 1:02d}/subject{subject}_r{repetition}",
        label=label,
        person=str(subject),
        user=str(subject),
        repetition=repetition,
        split="train" if split == "train" else "test",
    )


def files(raw: StrPath, clip: Clip) -> tuple[Path, ...]:
    """Return the three videos and their three logs."""
    raw = Path(raw)
    folder = raw / "Video_data" / clip.clip_id
    videos = tuple(folder / f"{stream}.avi" for stream in _STREAMS)
    return videos + tuple(folder / f"{stream}_log.txt" for stream in _STREAMS)


def write_clip(raw: StrPath, clip: Clip, settings: Settings) -> None:
    """Write all files of a clip."""
    paths = files(raw, clip)
    paths[0].parent.mkdir(parents=True, exist_ok=True)
    timing = _timing(clip, settings)
    shown: tuple[list[int], list[int]] = ([], [])
    with (
        h264(paths[0], 320, 240, crf=15) as colour_file,
        h264(paths[1], 320, 240, crf=14) as depth_file,
        h264(paths[2], 320, 240, crf=15) as wrapped_file,
    ):
        pictures = _pictures(clip, settings, timing)
        for frame, (colour, depth, wrapped) in zip(timing.frames, pictures, strict=True):
            if frame >= 0:
                colour_file.write(video_planes(colour))
                shown[0].append(frame)
            if frame + timing.lag >= 0:
                depth_file.write(depth_planes(depth))
                wrapped_file.write(video_planes(wrapped))
                shown[1].append(frame)
    for path, log in zip(paths[3:], _logs(clip, settings, shown), strict=True):
        write_text(path, log)


def _timing(clip: Clip, settings: Settings) -> _Timing:
    """Return the clocks of a clip; its window shows the same whether or not it is cut out."""
    rng = keyed_rng(settings.dataset, settings.seed, "timing", clip.clip_id)
    lag = int(rng.choice([-1, 1], p=[1 / 6, 5 / 6]))
    lag = lag if rng.random() < settings.difficulty.lag_share else 0
    length, window = int(rng.integers(238, 245)), int(rng.integers(50, 155))
    if not settings.whole:
        length, window = WINDOW, 0
    return _Timing(length, window, lag)


def _pictures(
    clip: Clip, settings: Settings, timing: _Timing
) -> Iterator[tuple[Bytes, Bytes, Bytes]]:
    """Yield colour (240, 320, 3), depth (240, 320) and wrapped (240, 320, 3) of every frame."""
    key = (settings.dataset, settings.seed)
    spread = Spread().scaled(settings.difficulty.person_spread)
    person = draw_person(keyed_rng(*key, "person", clip.person), spread)
    clothing = _CLOTHING + _KEPT_CLOTHING * (person.sleeve_rgb - _CLOTHING)
    person = replace(person, sleeve_rgb=clothing)
    rng = keyed_rng(*key, "clip", clip.clip_id)
    pose = perform(
        NVGESTURE[clip.label],
        person,
        take=draw_take(rng, person),
        stage=_STAGE,
        window_s=(WINDOW - 1) / FPS,
        times_s=(np.array(timing.frames) - timing.window) / FPS,
    )
    user = (_mute(person.skin_rgb), _mute(person.sleeve_rgb))
    num_frames = len(timing.frames)
    hard = settings.difficulty
    weakness = draw_weakness(rng, hard)
    scene = draw_scene(
        keyed_rng(*key, "interior"),
        keyed_rng(*key, "place", clip.person),
        rng,
        _COLOUR_CAMERA,
        num_frames=num_frames,
        weak=weakness.colour,
        torso_rgb=user,
        sheen=_SHEEN,
        clutter=hard.clutter,
    )
    noise = draw_noise(
        rng,
        _COLOUR_CAMERA,
        num_frames,
        level=hard.noise,
        weak=weakness.depth,
        sigma=_COLOUR_SIGMA,
    )
    torso = _as_depth_sees(scene.torso.astype(np.uint8), np.full((240, 320), _TORSO_M)) > 0
    colours = _mute(albedo(person))
    every = capsules(pose, person.shape)
    motions = hand_motion(every, _COLOUR_CAMERA, _SHUTTER)

    def take(scene: Scene, index: int) -> Bytes:
        return shade(
            rasterise(every[index] + _FROM_COLOUR, _COLOUR_CAMERA),
            colours,
            scene.light_at(index),
            scene.background_at(index),
            scene.exposure[index],
            motion_px=motions[index],
            tone=_TONE,
        )

    first = [take(scene, index) for index in range(NUM_METERED)]
    scene = scene.metered(first, _METERED_LUMA)
    for index, bodies in enumerate(every):
        colour = noise.add_colour(take(scene, index), index)
        distance = rasterise(bodies, _DEPTH_CAMERA)
        depth = encode_depth(distance, _SCALE, noise.depth_window(_DEPTH_CAMERA, index))
        depth = noise.lose_depth(depth, index)
        depth = np.asarray(cv2.GaussianBlur(depth, (3, 3), _DEPTH_BLUR_PX), np.uint8)
        wrapped = _as_depth_sees(colour, distance.distance)
        measured = ((depth > 0) | torso).astype(np.uint8)
        wrapped = cv2.bitwise_and(wrapped, wrapped, mask=measured)
        yield colour, depth, np.asarray(wrapped, dtype=np.uint8)


def _as_depth_sees(picture: Bytes, distance: Floats) -> Bytes:
    """Return a picture of the colour camera as the depth camera sees it.

    Args:
        picture: (240, 320) or (240, 320, 3) of the colour camera.
        distance: (240, 320) metres at the depth camera's pixels; inf is taken for the torso's.
    """
    inverse = (1.0 / np.minimum(distance, _TORSO_M)).astype(np.float32)
    columns = (
        _DEPTH_CAMERA.columns - _SHIFT[0] + 212.0 * _BASELINE_M * (inverse - 1.0 / _REGISTERED_M)
    )
    rows = np.broadcast_to((_DEPTH_CAMERA.rows - _SHIFT[1]) / _RATIO, columns.shape)
    return np.asarray(
        cv2.remap(
            picture,
            (columns / _RATIO).astype(np.float32),
            rows.astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
        ),
        dtype=np.uint8,
    )


def _mute(rgb: Floats) -> Floats:
    """Return (..., 3) colours nearer to their own grey."""
    grey = rgb.mean(axis=-1, keepdims=True)
    return np.asarray(grey + _KEPT_COLOUR * (rgb - grey))


def _logs(clip: Clip, settings: Settings, shown: tuple[list[int], list[int]]) -> tuple[str, ...]:
    """Return the logs of the three streams.

    Args:
        clip: whose clock is drawn.
        settings: dataset and seed are read.
        shown: frames of colour, then those of depth (and wrapped colour).
    """
    rng = keyed_rng(settings.dataset, settings.seed, "clock", clip.clip_id)
    start_ns = 1_440_000_000_000_000_000 + int(rng.integers(0, 10**15))
    logs = []
    for frames, offset_ms in ((shown[0], 0.0), (shown[1], 5.0), (shown[1], 7.5)):
        jitter_ms = np.clip(rng.normal(0.0, 0.6, len(frames)), -1.5, 1.5)
        since_ms = np.array(frames) * (1000.0 / FPS) + offset_ms + jitter_ms
        times = [start_ns + round(float(ms) * 1e6) for ms in since_ms]
        logs.append("".join(f"img{i:05d}.png {time}\n" for i, time in enumerate(times)))
    return tuple(logs)


def write_index(raw: StrPath, planned: list[Clip], settings: Settings) -> None:
    """Write the two lists."""
    raw = Path(raw)
    for split in ("train", "test"):
        lines = [_line(clip, settings) for clip in planned if clip.split == split]
        write_text(raw / f"nvgesture_{split}_correct_cvpr2016_v2.lst", "".join(lines))


def _line(clip: Clip, settings: Settings) -> str:
    """Return one line of a list: 0-based, half-open windows; the DUO cameras run at 35 fps."""
    start = _timing(clip, settings).window
    window = f"{start}:{start + WINDOW}"
    duo = start * 7 // 6
    return (
        f"path:./Video_data/{clip.clip_id} depth:sk_depth:{window} color:sk_color:{window}"
        f" duo_left:duo_left:{duo}:{duo + _DUO_WINDOW} label:{clip.label + 1} \n"
    )
