"""What a weight file is, in words, and whether it computes what its authors published."""

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

_CHANNELS = {3: "rgb", 2: "flow"}


class CheckResult(NamedTuple):
    """Outcome of :func:`check`.

    Attributes:
        lines: for a terminal.
        passed: whether every compared norm agrees; None where none was compared.
    """

    lines: list[str]
    passed: bool | None


def check(
    path: StrPath,
    demo_rgb: StrPath | None = None,
    demo_flow: StrPath | None = None,
    *,
    partner: StrPath | None = None,
    source: str = "auto",
) -> CheckResult:
    """Return what a weight file holds and expects, and run the public demo clip through it.

    The clips are kinetics-i3d's `data/v_CricketShot_g04_c01_{rgb,flow}.npy`. A file of an rgb
    network runs on the first, one of a flow network on the second; with a partner of the other
    modality the sum of both networks' logits is compared as well, which is the published 138.47.

    Args:
        path: the weight file.
        demo_rgb: `.npy` of (1, T, H, W, 3), values in [-1, 1].
        demo_flow: `.npy` of (1, T, H, W, 2), values in [-1, 1].
        partner: a weight file of the other modality.
        source: scheme of `path`, and of `partner`; 'auto' recognises each.

    Raises:
        WeightsError: a file that cannot be read or placed, or a clip of another shape.
        UsageError: an unknown source, or two files of one modality.
    """
    lines: list[str] = []
    logits: dict[str, Tensor] = {}
    clips = {"rgb": demo_rgb, "flow": demo_flow}
    for weights in (path, partner):
        if weights is None:
            continue
        file = read_weights(weights)
        described, modality = _describe(file, source)
        lines += described
        clip = clips.get(modality)
        if modality in logits:
            raise UsageError(
                f"{path} and {partner} are both networks of {modality}",
                "Give the file of the other modality as partner.",
            )
        if clip is not None:
            logits[modality] = _run(file, source, clip, modality)
    sums = dict(logits)
    if len(logits) == 2:
        sums["rgb + flow"] = logits["rgb"] + logits["flow"]
    compared = [_compare(name, value) for name, value in sums.items()]
    lines += [line for line, _ in compared]
    if not compared:
        lines.append("demo clip not run: " + _why_not(clips))
    return CheckResult(lines, all(agrees for _, agrees in compared) if compared else None)


def _describe(file: WeightFile, source: str) -> tuple[list[str], str]:
    """Return the lines on a file, and the modality of the demo that it can run or ''."""
    with torch.device("meta"):
        network = build_for(file, source)
    _, report = place(file, network.state_dict(), source)
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


def _run(file: WeightFile, source: str, clip: StrPath, modality: str) -> Tensor:
    """Return the logits of a demo clip, (K,)."""
    network = build_for(file, source).eval()
    values, _ = place(file, network.state_dict(), source)
    network.load_state_dict(values)
    with torch.no_grad():
        output = network(_read_clip(clip, modality))
    return output.logits_NKT.mean(dim=2)[0]


def _read_clip(path: StrPath, modality: str) -> Tensor:
    """Return a demo clip, float, (1, C, T, H, W)."""
    hint = "Give data/v_CricketShot_g04_c01_rgb.npy or _flow.npy of kinetics-i3d."
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
    verdict = "agrees" if agrees else "DIFFERS"
    return f"demo clip, {name}: norm of logits {norm:.6f}, published {published}: {verdict}", agrees


def _why_not(clips: dict[str, StrPath | None]) -> str:
    if any(clips.values()):
        return "the clips given are not for this network"
    return "give v_CricketShot_g04_c01_rgb.npy or _flow.npy from kinetics-i3d's data folder"
