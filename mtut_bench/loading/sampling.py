"""Random draws as pure functions of (seed, epoch, clip id)."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Draw",
    "Window",
    "draw_clip",
    "epoch_order",
    "keyed_generator",
    "keyed_seed",
    "length_batches",
    "place_window",
]


@dataclass(frozen=True)
class Draw:
    """Uniform numbers in [0, 1) that fix a training clip's augmentation in all modalities.

    Attributes:
        time: where the window (or the clip within its padding) lies.
        top, left: where the crop lies.
        flip: below 0.5 means mirrored, if the class allows it.
    """

    time: float
    top: float
    left: float
    flip: float


@dataclass(frozen=True)
class Window:
    """Frames [start, stop) of a clip, put at ``before`` in a network input of fixed length."""

    start: int
    stop: int
    before: int


def keyed_seed(*key: object) -> int:
    """Return a 64-bit seed that depends on the whole key, by SHA-256."""
    text = "\x1f".join(str(part) for part in key)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def keyed_generator(*key: object) -> np.random.Generator:
    """Return a generator for a key."""
    return np.random.Generator(np.random.Philox(key=keyed_seed(*key)))


def draw_clip(seed: int, epoch: int, clip_id: str) -> Draw:
    """Return a clip's augmentation in one epoch, counted over both stages."""
    return Draw(*keyed_generator("clip", seed, epoch, clip_id).random(4).tolist())


def epoch_order(num_clips: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the order of an epoch, a permutation of 0..num_clips-1, int64 (num_clips,)."""
    return keyed_generator("order", seed, epoch).permutation(num_clips)


def place_window(num_frames: int, clip_length: int, position: float) -> Window:
    """Return the window of a clip (section 4); all positions are equally likely.

    A longer clip gives ``clip_length`` consecutive frames; a shorter one is padded on both sides.

    Args:
        num_frames: length of the clip, frames.
        clip_length: length of the network's input, frames.
        position: uniform in [0, 1).
    """
    if num_frames >= clip_length:
        start = int(position * (num_frames - clip_length + 1))
        return Window(start, start + clip_length, 0)
    return Window(0, num_frames, int(position * (clip_length - num_frames + 1)))


def length_batches(
    lengths: Sequence[int], batch_size: int, max_frames: int | None = None
) -> list[list[int]]:
    """Return batches of indices whose clips have one length each, shortest first.

    Padding within a batch would change SAME-padded logits, so lengths are never mixed.

    Args:
        lengths: frames of each clip.
        batch_size: most clips in a batch.
        max_frames: most frames in a batch of several clips; a clip is never divided.
    """
    batches: list[list[int]] = []
    order = sorted(range(len(lengths)), key=lambda index: (lengths[index], index))
    for index in order:
        last = batches[-1] if batches else []
        fits = max_frames is None or (len(last) + 1) * lengths[index] <= max_frames
        if last and lengths[last[0]] == lengths[index] and len(last) < batch_size and fits:
            last.append(index)
        else:
            batches.append([index])
    return batches
