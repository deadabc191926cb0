"""Stored bytes -> network input, on the device, for a whole batch: resize, crop, flip, scale.

All modalities of a clip have one crop, so blocks of their feature maps show the same place.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from mtut_bench.contract.recipe import Recipe
from mtut_bench.contract.types import behaves_like
from mtut_bench.store.format import FLOW_LIMIT_PX

__all__ = [
    "BGR_MEAN",
    "MOTION_SCALE",
    "Crop",
    "centre_crop",
    "choose_crop",
    "network_channels",
    "resized_size",
    "to_input",
]

BGR_MEAN = (90.0, 98.0, 102.0)
"""Mean of Sports-1M per channel, as the common PyTorch port of C3D subtracts it."""

MOTION_SCALE = 64.0
"""Grey levels that become 1 with 'motion': about the contrast of a hand to its background."""


@dataclass(frozen=True)
class Crop:
    """Top left corner of the crop in the resized frame, pixels, and whether it is mirrored."""

    top: int
    left: int
    flip: bool


def network_channels(modality: str, recipe: Recipe) -> int:
    """Return the channels of a modality's network input."""
    if behaves_like(modality) == "depth" and recipe.depth_input == "first-conv-sum":
        return 1
    return 2 if behaves_like(modality) == "flow" else 3


def resized_size(height: int, width: int, recipe: Recipe) -> tuple[int, int]:
    """Return the (height, width) that frames are resized to before the crop."""
    short = recipe.short_side
    if recipe.resize == "stretch":
        return short, short
    if recipe.resize == "stretch-4:3":
        return short, round(short * 4 / 3)
    if height <= width:
        return short, round(width * short / height)
    return round(height * short / width), short


def choose_crop(
    height: int, width: int, recipe: Recipe, top: float, left: float, flip: bool
) -> Crop:
    """Return a random crop of stored frames of a size; top and left are uniform in [0, 1)."""
    tall, wide = resized_size(height, width, recipe)
    rows, columns = tall - recipe.crop + 1, wide - recipe.crop + 1
    return Crop(int(top * rows), int(left * columns), flip)


def centre_crop(height: int, width: int, recipe: Recipe) -> Crop:
    """Return the crop of the test: the centre, not mirrored."""
    tall, wide = resized_size(height, width, recipe)
    return Crop((tall - recipe.crop) // 2, (wide - recipe.crop) // 2, flip=False)


def to_input(
    frames_NTHWC: Tensor,
    modality: str,
    crops: list[Crop],
    recipe: Recipe,
    valid_NT: Tensor | None = None,
) -> Tensor:
    """Return the network input of a batch.

    RGB and depth are scaled to [-1, 1] (as for I3D), depth is replicated to three channels. With
    'motion' each pixel of the resized frames has its median over the frames (without padding)
    subtracted. Flow is in pixels of the resized frame, clipped to +-20, divided by 20. A mirrored
    clip's horizontal flow changes sign.

    Args:
        frames_NTHWC: uint8, as stored, on any device.
        modality: name of a modality.
        crops: one per clip.
        recipe: sizes, scaling and the value of padding frames.
        valid_NT: bool; False marks padding frames. None: there are none.

    Returns:
        float32 (N, C, T, crop, crop), C as :func:`network_channels`; values in [-1, 1], or
        -102..165 with 'bgr-mean', or within +-255 / 64 with 'motion'.
    """
    num_clips, num_frames, height, width, channels = frames_NTHWC.shape
    tall, wide = resized_size(height, width, recipe)
    images = frames_NTHWC.reshape(-1, height, width, channels).permute(0, 3, 1, 2).float()
    # Antialiasing matters only when a small recipe shrinks the frames; the paper enlarges them.
    images = functional.interpolate(
        images, size=(tall, wide), mode="bilinear", align_corners=False, antialias=True
    )
    if behaves_like(modality) == "depth" and recipe.scaling == "bgr-mean":
        images = images.expand(-1, network_channels(modality, recipe), -1, -1)
    images = _scale(images, modality, recipe, (wide / width, tall / height))
    clips = images.reshape(num_clips, num_frames, -1, tall, wide)
    cut = torch.stack(
        [_cut(clip, crop, recipe.crop, modality) for clip, crop in zip(clips, crops, strict=True)]
    )
    if _is_motion(modality, recipe):
        shown = [slice(None)] * len(cut) if valid_NT is None else valid_NT
        cut = torch.stack([_less_median(*pair) for pair in zip(cut, shown, strict=True)])
    if valid_NT is not None:
        black = recipe.pad_value == "black" and recipe.scaling != "motion"
        black = black and behaves_like(modality) != "flow"
        pad = _scale(torch.zeros_like(cut[:1, 0, :, :1, :1]), modality, recipe) if black else 0.0
        cut = torch.where(valid_NT[:, :, None, None, None], cut, pad)
    wanted = network_channels(modality, recipe)
    return cut.expand(-1, -1, wanted, -1, -1).transpose(1, 2).contiguous()


def _is_motion(modality: str, recipe: Recipe) -> bool:
    return behaves_like(modality) != "flow" and recipe.scaling == "motion"


def _less_median(clip_TCHW: Tensor, shown: Tensor | slice) -> Tensor:
    """Return a clip less its median over the frames shown (as numpy's), over MOTION_SCALE."""
    ordered = clip_TCHW[shown].sort(dim=0).values
    count = len(ordered)
    median = (ordered[(count - 1) // 2] + ordered[count // 2]) / 2
    return (clip_TCHW - median) / MOTION_SCALE


def _scale(
    images: Tensor, modality: str, recipe: Recipe, factors: tuple[float, float] = (1.0, 1.0)
) -> Tensor:
    """Return (N, C, H, W) bytes as network input; factors (x, y) are those of the resize.

    With 'motion' bytes are left to :func:`_less_median`.
    """
    if _is_motion(modality, recipe):
        return images
    if behaves_like(modality) != "flow" and recipe.scaling == "unit":
        return images / 127.5 - 1.0
    if behaves_like(modality) != "flow":
        mean = _constant(BGR_MEAN, images.device)
        mean = mean if images.shape[1] == 3 else mean.mean(dim=0, keepdim=True)
        return images.flip(1) - mean.view(1, -1, 1, 1)
    # The code is affine, so interpolating it and then decoding is interpolating the flow.
    unit = _constant(factors, images.device).view(1, 2, 1, 1) * (FLOW_LIMIT_PX / 127.0)
    pixels = (images - 128.0) * unit
    return pixels.clamp(-FLOW_LIMIT_PX, FLOW_LIMIT_PX) / FLOW_LIMIT_PX


def _cut(clip_TCHW: Tensor, crop: Crop, size: int, modality: str) -> Tensor:
    cut = clip_TCHW[..., crop.top : crop.top + size, crop.left : crop.left + size]
    if not crop.flip:
        return cut
    mirrored = cut.flip(-1)
    if behaves_like(modality) == "flow":
        return mirrored * _constant((-1.0, 1.0), clip_TCHW.device).view(1, 2, 1, 1)
    return mirrored


@lru_cache(maxsize=64)
def _constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    """Return float32 values on a device; cached, because every copy to a GPU waits for its work."""
    # A tensor made in inference mode could not be used in training.
    with torch.inference_mode(False):
        return torch.tensor(values, device=device)
