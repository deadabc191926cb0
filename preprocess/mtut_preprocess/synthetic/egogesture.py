"""The raw folder of egogesture-synthetic: EgoGesture's layout with every wart, and a few videos.

A fixture for tests and demonstrations of the layout. Eight short recordings of five subjects show a
hand that moves somehow; labels say nothing about the motion, so nothing can be measured on it.

Warts: label files in small letters, a row without values beside numbers written as floats, files
without a final newline, a clip of three frames, scenes that are not there, .DS_Store, images in two
download parts.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from mtut_bench.files import StrPath
from mtut_preprocess.synthetic.camera import (
    Camera,
    DepthScale,
    Light,
    encode_depth,
    rasterise,
    shade,
)
from mtut_preprocess.synthetic.classes import VIVA
from mtut_preprocess.synthetic.dataset import FPS, Clip, Settings, keyed_rng
from mtut_preprocess.synthetic.hand import capsules
from mtut_preprocess.synthetic.motion import Stage, draw_take, perform
from mtut_preprocess.synthetic.person import albedo, draw_person
from mtut_preprocess.synthetic.video import write_text

__all__ = ["EXPECTED_CLIPS", "clips", "files", "write_clip", "write_index"]

EXPECTED_CLIPS = 24161
_LABELS = "labels-final-revised1"
_PARTS = ("images_320-240_1", "images_320-240_2")

Video = tuple[int, int, int]
"""Subject, scene, group."""

# Rows class, start, end. Subjects 3 and 23 train, 1 and 33 validate, 2 tests; of the released
# scenes of 23 (1, 2, 4) the first lacks its labels.
_RECORDINGS: dict[Video, tuple[tuple[int, int, int], ...]] = {
    (3, 1, 1): ((7, 5, 14), (6, 15, 24)),
    (3, 1, 2): ((1, 1, 9),),
    (3, 2, 6): ((56, 3, 10), (58, 12, 19)),
    (23, 2, 1): ((20, 1, 8),),
    (23, 4, 1): ((65, 1, 8),),
    (1, 1, 1): ((7, 2, 9), (83, 12, 20)),
    (33, 5, 1): ((66, 2, 10),),
    (2, 1, 1): ((2, 1, 8), (1, 9, 11)),
}
_SPLITS: dict[int, Literal["train", "val", "test"]] = {
    **{3: "train", 23: "train"},
    **{1: "val", 33: "val"},
    **{2: "test"},
}
_SMALL_LETTERS = (33, 5, 1)
_STRAY_ROW = (3, 2, 6)

_CAMERA = Camera(width=320, height=240, focal_px=290.0, centre_px=(159.5, 119.5))
_SCALE = DepthScale(near_m=0.25, far_m=0.80, near_value=230, far_value=50)
_STAGE = Stage(home=(0.0, 0.03, 0.48), elbow=(0.14, 0.22, -0.10), yaw_deg=180.0)
_LIGHT = Light(direction=np.array([0.37, -0.55, -0.75]), ambient=0.45, diffuse=0.6)


def clips(settings: Settings) -> list[Clip]:
    """Return one clip per row of the label files: train, val, test.

    Args:
        settings: not read; there is one size.

    Returns:
        Clips whose id is that of the adapter: recording, first and last frame.
    """
    return [
        Clip(
            clip_id=_clip_id(video, start, end),
            label=number - 1,
            person=str(video[0]),
            user=f"{video[0]:02d}",
            repetition=-1,
            split=_SPLITS[video[0]],
        )
        for video, rows in _RECORDINGS.items()
        for number, start, end in rows
    ]


def _clip_id(video: Video, start: int, end: int) -> str:
    """Return the name of a window of a recording."""
    subject, scene, group = video
    return f"Subject{subject:02d}/Scene{scene}/rgb{group}/{start:06d}-{end:06d}"


_WINDOWS = {
    _clip_id(video, start, end): (video, start, end)
    for video, rows in _RECORDINGS.items()
    for _, start, end in rows
}


def files(raw: StrPath, clip: Clip) -> tuple[Path, ...]:
    """Return the images of a clip, with the idle frames before it: colour, then depth."""
    raw = Path(raw)
    video, _, _ = _WINDOWS[clip.clip_id]
    subject, scene, group = video
    # One subject in both parts, as an archive that was cut anywhere.
    place = raw / _PARTS[(subject + scene) % 2] / f"Subject{subject:02d}" / f"Scene{scene}"
    folders = (place / "Color" / f"rgb{group}", place / "Depth" / f"depth{group}")
    return tuple(folder / f"{n:06d}.jpg" for folder in folders for n in _numbers(clip))


def _numbers(clip: Clip) -> range:
    """Return the frames to write with a clip, from the end of the one before it."""
    video, start, end = _WINDOWS[clip.clip_id]
    earlier = [last for _, _, last in _RECORDINGS[video] if last < start]
    return range(max(earlier, default=0) + 1, end + 1)


def write_clip(raw: StrPath, clip: Clip, settings: Settings) -> None:
    """Write the images of a clip.

    Args:
        raw: folder that gets the parts.
        clip: one of ``clips(settings)``.
        settings: twin and seed are read.
    """
    paths = files(raw, clip)
    num_frames = len(paths) // 2
    for path in (paths[0], paths[num_frames]):
        path.parent.mkdir(parents=True, exist_ok=True)
    pairs = zip(paths[:num_frames], paths[num_frames:], strict=True)
    for pair, (colour, depth) in zip(pairs, _frames(clip, settings, num_frames), strict=True):
        _write_image(pair[0], colour[..., ::-1])
        _write_image(pair[1], depth)


def _write_image(path: Path, picture: np.ndarray) -> None:
    """Write a JPEG file under its final name only when complete."""
    done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 92])
    assert done, "a picture of bytes can be encoded"
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(data.tobytes())
    temporary.replace(path)


def _frames(
    clip: Clip, settings: Settings, num_frames: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield colour (240, 320, 3) and depth (240, 320) of every frame of a clip."""
    key = (settings.twin, settings.seed)
    person = draw_person(keyed_rng(*key, "person", clip.person))
    rng = keyed_rng(*key, "clip", clip.clip_id)
    pose = perform(
        VIVA[clip.label % len(VIVA)],
        person,
        take=draw_take(rng, person),
        stage=_STAGE,
        # A gesture goes on after so few frames; only its beginning is seen.
        window_s=1.0,
        moments_s=np.arange(num_frames) / FPS,
    )
    (_, scene_number, _), _, _ = _WINDOWS[clip.clip_id]
    wall = _wall(keyed_rng(*key, "scene", clip.person, scene_number))
    colours = albedo(person)
    for bodies in capsules(pose, person.shape):
        surface = rasterise(bodies, _CAMERA)
        noise = rng.standard_normal(wall.shape[:2], dtype=np.float32)
        yield shade(surface, colours, _LIGHT, wall, 1.0), encode_depth(surface, _SCALE, noise)


def _wall(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return (240, 320, 3) uint8: clouds of a colour."""
    grid = rng.uniform(30.0, 190.0, 3) + rng.normal(0.0, 20.0, (9, 12, 1))
    size = (_CAMERA.width, _CAMERA.height)
    smooth = cv2.resize(grid, size, interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth, 0, 255).astype(np.uint8)


def write_index(raw: StrPath, planned: list[Clip], settings: Settings) -> None:
    """Write the label files with their warts, and what this fixture knows of itself.

    Args:
        raw: folder that gets the labels.
        planned: whose rows are written.
        settings: not read.
    """
    raw = Path(raw)
    rows: defaultdict[Video, list[tuple[int, int, int]]] = defaultdict(list)
    for clip in planned:
        video, start, end = _WINDOWS[clip.clip_id]
        rows[video].append((clip.label + 1, start, end))
    for video, lines in rows.items():
        subject, scene, group = video
        stem = "group" if video == _SMALL_LETTERS else "Group"
        path = raw / _LABELS / f"subject{subject:02d}" / f"Scene{scene}" / f"{stem}{group}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, _label_text(video, lines))
    for folder in (raw / _LABELS, raw / _LABELS / "subject03"):
        (folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    table = {"depth_polarity": "nearer is brighter", "space": "one camera for colour and depth"}
    write_text(raw / "egogesture.json", json.dumps(table, indent=2) + "\n")


def _label_text(video: Video, rows: list[tuple[int, int, int]]) -> str:
    """Return a label file's text; the first group of each scene lacks its final newline."""
    lines = [",".join(map(str, row)) for row in rows]
    if video == _STRAY_ROW:
        # Spreadsheets write the numbers beside an empty row as floats.
        lines = [*(",".join(f"{value:.1f}" for value in row) for row in rows), " ,,"]
    return "\n".join(lines) + ("" if video[2] == 1 else "\n")
