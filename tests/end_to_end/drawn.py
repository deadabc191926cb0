"""Recordings that tests draw, as a user would have them: videos, and the table of them."""

import csv
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

__all__ = ["SIZE", "Clip", "as_video", "spot", "write_recordings"]

SIZE = 48
"""Height and width of what :func:`spot` draws, pixels."""

FPS = 15


@dataclass(frozen=True)
class Clip:
    """A recording: frames uint8 (T, H, W) of each modality, H and W alike in all clips."""

    name: str
    split: str
    label: str
    frames: dict[str, np.ndarray]


def spot(track_T2: np.ndarray, radius: float, brightness: float = 200.0) -> np.ndarray:
    """Return the light of a round spot that follows a track, (T, SIZE, SIZE).

    Args:
        track_T2: x and y of its middle in each frame, pixels.
        radius: standard deviation of its brightness over space, pixels.
        brightness: in its middle.
    """
    y, x = np.mgrid[:SIZE, :SIZE]
    distance_THW = (x - track_T2[:, 0, None, None]) ** 2 + (y - track_T2[:, 1, None, None]) ** 2
    return brightness * np.exp(-distance_THW / (2 * radius**2))


def as_video(
    light_THW: np.ndarray, rng: np.random.Generator, background: float = 40.0, noise: float = 4.0
) -> np.ndarray:
    """Return light on a wall, with the noise of a camera, as bytes of the same shape."""
    noise_THW = rng.normal(0, noise, light_THW.shape)
    return np.clip(background + light_THW + noise_THW, 0, 255).astype(np.uint8)


def write_recordings(folder: Path, clips: list[Clip]) -> Path:
    """Write one video for each clip and modality; return the table for ``prepare manifest``."""
    folder.mkdir(parents=True)
    modalities = list(clips[0].frames)
    with (folder / "clips.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["clip", "subject", "split", "label", "fps", *modalities])
        for clip in clips:
            names = [f"{clip.name}-{modality}.avi" for modality in modalities]
            for name, modality in zip(names, modalities, strict=True):
                code = cv2.VideoWriter.fourcc(*"MJPG")
                height, width = clip.frames[modality].shape[1:]
                video = cv2.VideoWriter(str(folder / name), code, FPS, (width, height))
                for frame in clip.frames[modality]:
                    video.write(np.repeat(frame[..., None], 3, axis=2))
                video.release()
            # Nobody's clips are on both sides.
            table.writerow([clip.name, f"{clip.split} person", clip.split, clip.label, FPS, *names])
    (folder / "synthetic.json").write_text('{"twin": "drawn by a test"}')
    return folder / "clips.csv"
