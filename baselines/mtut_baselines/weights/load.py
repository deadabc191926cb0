"""Pretrained weights: into a network, or into a file under our own names."""

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save as encode_tensors
from torch import nn

from mtut_baselines.networks.c3d import build_c3d
from mtut_baselines.networks.i3d import build_i3d
from mtut_baselines.weights.files import WeightFile, WeightsError, read_weights
from mtut_baselines.weights.key_maps import FIRST_LAYERS, LOGITS, InputCard, card
from mtut_baselines.weights.placement import LoadReport, first_channels, own_names, place
from mtut_bench.files import StrPath, write_atomic

__all__ = ["InputCard", "LoadReport", "WeightsError", "build_for", "card", "convert", "load"]


def load(network: nn.Module, path: StrPath) -> LoadReport:
    """Fill a network from a weight file; on an error the network is untouched.

    A batch-norm gain of 1 is dropped; another is folded into the convolution before it (see
    :func:`place`). Kernels of the first layer are adapted to the network's channels (see
    :func:`adapt_channels`), matrices of fully connected layers become convolutions, and logits of
    another number of classes keep their initialisation.

    Args:
        network: an I3D or C3D of any width, or, for our own files, any network.
        path: a public `.pt`, `.pth` or `.pickle`, or safetensors.

    Returns:
        What became of every tensor.

    Raises:
        WeightsError: a file that cannot be read safely, of another network, or that fills less
            than 95 % of the network's tensors (those of the logits aside).
    """
    file = read_weights(path)
    state = network.state_dict()
    values, report = place(file, state)
    with torch.no_grad():
        for name, value in values.items():
            state[name].copy_(value)
    return report


def convert(path: StrPath, out: StrPath) -> LoadReport:
    """Write a public weight file as safetensors under our own names, atomically.

    The file keeps its origin and SHA-256 as metadata, so what input it expects stays known.

    Args:
        path: file to convert.
        out: safetensors to write.

    Raises:
        WeightsError: see :func:`load`.
        MtutBenchError: `out` cannot be written.
    """
    path = Path(path)
    file = read_weights(path)
    with torch.device("meta"):
        network = build_for(file)
    values, report = place(file, network.state_dict())
    metadata = {"format": "pt", "source": report.origin, "sha256": report.sha256, "file": path.name}
    plain = {name: value.float().contiguous() for name, value in values.items()}
    write_atomic(out, encode_tensors(plain, metadata))
    return report


def build_for(file: WeightFile) -> nn.Module:
    """Return a fresh network that a weight file fits; of one class where it has no logits.

    Raises:
        WeightsError: the file holds neither an I3D nor a C3D.
    """
    named = own_names(file)
    channels = first_channels(named)
    if channels == 0:
        raise WeightsError(
            f"{file.path} is neither an I3D nor a C3D; it has tensors such as "
            f"{', '.join(list(file.tensors)[:3])}",
            "Give one of the public files, or safetensors of a mtut-bench run.",
        )
    i3d, c3d = FIRST_LAYERS
    # Both networks start with 64 channels at width 1.
    width = named[i3d if i3d in named else c3d].shape[0] / 64
    logits = next((named[f"{p}weight"] for p in LOGITS if f"{p}weight" in named), None)
    classes = 1 if logits is None else logits.shape[0]
    build: Callable[..., nn.Module] = build_i3d if i3d in named else build_c3d
    return build(classes, channels, width)
