"""What a network looks at: maps and correlations of a few fixed test clips, for the figures."""

import io
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mtut_bench.files import StrPath, write_atomic
from mtut_bench.loading.transforms import centre_crop, to_input
from mtut_bench.runs.plan import RunPlan

__all__ = ["fixed_clips", "save_maps"]

_NUM_THUMBS = 8
_THUMB_HEIGHT_PX = 64


def fixed_clips(clip_ids: tuple[str, ...]) -> tuple[str, ...]:
    """Return the first, middle and last clip of a fold's test side, independent of scores."""
    return tuple(clip_ids[n] for n in sorted({0, len(clip_ids) // 2, len(clip_ids) - 1}))


def save_maps(
    path: StrPath,
    networks: Mapping[str, nn.Module],
    plan: RunPlan,
    device: torch.device,
) -> None:
    """Write ``maps.npz`` for the fixed clips, each over its whole length.

    For clip n and modality m: ``n/id``; ``n/m/map``, the channel mean of the feature map, float32
    (T, H, W); ``n/m/correlation``, the matrix that the method aligns, float32 (D, D);
    ``n/m/thumbs``, eight frames, uint8 (8, 64, W, C).

    Args:
        path: file to write.
        networks: trained, per modality.
        plan: store, method and fold.
        device: of the networks.

    Raises:
        StoreError: frames are damaged.
    """
    reader, correlate = plan.reader, plan.network_method.correlate
    crop = centre_crop(*reader.frame_size, plan.recipe)
    arrays: dict[str, Any] = {}
    for number, clip_id in enumerate(fixed_clips(plan.fold.test)):
        arrays[f"{number}/id"] = np.array(clip_id)
        for modality, network in networks.items():
            name = f"{number}/{modality}"
            frames = reader.read(reader.table.index[clip_id], modality)
            batch = torch.from_numpy(frames[None]).to(device)
            with torch.inference_mode():
                clip = to_input(batch, modality, [crop], plan.recipe)
                features = network.eval()(clip).features_NCTHW.float()
                arrays[f"{name}/map"] = features.mean(dim=1)[0].cpu().numpy()
                if correlate is not None:
                    matrix = correlate(features)[0]
                    arrays[f"{name}/correlation"] = matrix.cpu().numpy()
            arrays[f"{name}/thumbs"] = _thumbs(frames)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_atomic(path, buffer.getvalue())


def _thumbs(frames_THWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    shown = np.linspace(0, len(frames_THWC) - 1, _NUM_THUMBS).round().astype(int)
    height, width, channels = frames_THWC.shape[1:]
    size = (round(width * _THUMB_HEIGHT_PX / height), _THUMB_HEIGHT_PX)
    thumbs = [cv2.resize(f, size, interpolation=cv2.INTER_AREA) for f in frames_THWC[shown]]
    return np.stack(thumbs).reshape(_NUM_THUMBS, size[1], size[0], channels).astype(np.uint8)
