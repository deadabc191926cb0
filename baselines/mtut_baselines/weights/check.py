"""What a weight file is, in words, and whether it computes what its authors published."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mtut_baselines.weights.files import WeightFile, WeightsError, read_weights
from mtut_baselines.weights.load import build_for
from mtut_baselines.weights.placement import place
from mtut_bench.errors import UsageError
from mtut_bench.files import StrPath

__all__ = ["PUBLISHED_NORMS", "CheckResult", "check"]

PUBLISHED_NORMS = {"rgb": 87.108887, "flow": 63.252743, "rgb + flow": 138.468643}
"""Norms of the logits of v_CricketShot_g04_c01 with the ImageNet + Kinetics networks.

Source: google-deepmind/kinetics-i3d, out/imagenet_{rgb,flow,joint}.txt and README.
"""

TOLERANCE = 1e-3
"""Relative difference of a norm that passes: the authors warn of numerical precision, and a wrong
padding, order of channels or batch-norm constant changes the first digits."""

_CLIP = "v_CricketShot_g04_c01"
_CHANNELS = {3: "rgb", 2: "flow"}


class CheckResult(NamedTuple):
    """Outcome of :func:`check`.

    Attributes:
        lines: for a terminal.
        passed: whether every compared norm agrees; None where none was compared.
    """

    lines: list[str]
    passed: bool | None


def check(paths: Sequence[StrPath], demo: StrPath | None = None) -> CheckResult:
    """Return what weight files hold and expect, and run the public demo clip through them.

    A file of an rgb network runs on the clip's colour, one of a flow network on its flow; of one
    file each the sum of both networks' logits is compared as well, which is the published 138.47.

    Args:
        paths: the weight files.
        demo: kinetics-i3d's folder `data`: `v_CricketShot_g04_c01_{rgb,flow}.npy`, each
            (1, T, H, W, C) with values in [-1, 1]; None: nothing is run.

    Raises:
        WeightsError: a file that cannot be read or placed, or a clip of another shape.
        UsageError: two files of one modality.
    """
    lines: list[str] = []
    logits: dict[str, Tensor] = {}
    for path in paths:
        file = read_weights(path)
        described, modality = _describe(file)
        lines += described
        if modality in logits:
            raise UsageError(f"{path} is a second network for {modality}", "Give one per modality.")
        if demo is not None and modality:
            logits[modality] = _run(file, Path(demo) / f"{_CLIP}_{modality}.npy", modality)
    sums = dict(logits)
    if len(logits) == 2:
        sums["rgb + flow"] = logits["rgb"] + logits["flow"]
    compared = [_compare(name, value) for name, value in sums.items()]
    lines += [line for line, _ in compared]
    if not compared:
        why = f"needs the folder with {_CLIP}_rgb.npy (kinetics-i3d's data)"
        lines.append(f"demo clip not run: {'it is not for this network' if demo else why}")
    return CheckResult(lines, all(agrees for _, agrees in compared) if compared else None)


def _describe(file: WeightFile) -> tuple[list[str], str]:
    """Return the lines on a file, and the modality of the demo that it can run or ''."""
    with torch.device("meta"):
        network = build_for(file)
    _, report = place(file, network.state_dict())
    expected = report.card
    mean = "" if expected.mean is None else f" {list(expected.mean)}"
    lines = [
        f"file {file.path}",
        *report.lines(),
        f"channels {expected.channel_order}",
        f"scaling {expected.scaling}{mean}",
        f"note {expected.note}",
    ]
    # The published norms are of Kinetics-400's logits; without them the demo says nothing.
    kinetics = network.state_dict().get("logits.conv3d.bias", torch.empty(0)).shape == (400,)
    return lines, _CHANNELS.get(report.channels, "") if kinetics else ""


def _run(file: WeightFile, clip: Path, modality: str) -> Tensor:
    """Return the logits of a demo clip, (K,)."""
    network = build_for(file).eval()
    values, _ = place(file, network.state_dict())
    network.load_state_dict(values)
    with torch.no_grad():
        output = network(_read_clip(clip, modality))
    return output.logits_NKT.mean(dim=2)[0]


def _read_clip(path: Path, modality: str) -> Tensor:
    """Return a demo clip, float, (1, C, T, H, W)."""
    hint = f"Give the folder with kinetics-i3d's {_CLIP}_rgb.npy and _flow.npy."
    try:
        clip_NTHWC = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise WeightsError(f"{path} cannot be read as a clip: {error}", hint) from error
    channels = {name: count for count, name in _CHANNELS.items()}[modality]
    if clip_NTHWC.ndim != 5 or clip_NTHWC.shape[::4] != (1, channels):
        raise WeightsError(
            f"{path} has the shape {clip_NTHWC.shape}, not (1, T, H, W, {channels})", hint
        )
    return torch.from_numpy(clip_NTHWC).float().permute(0, 4, 1, 2, 3)


def _compare(name: str, logits_K: Tensor) -> tuple[str, bool]:
    """Return a line on the norm of some logits, and whether it is the published one."""
    norm, published = float(logits_K.norm()), PUBLISHED_NORMS[name]
    agrees = abs(norm - published) <= TOLERANCE * published
    said = "agrees" if agrees else "DIFFERS"
    return f"demo clip, {name}: norm of logits {norm:.6f}, published {published}: {said}", agrees
