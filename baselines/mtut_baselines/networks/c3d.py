"""C3D: eight convolutions, five max pools, three fully connected layers; no batch norm.

Submodules have the names of the Sports-1M network, so a state dict has the keys of
DavideA/c3d-pytorch; the fully connected layers are convolutions, so their weights have three axes
of kernel behind the two of the ports. Kernels and strides are in the order T, H, W.

Source: Tran, Bourdev, Fergus, Torresani and Paluri, "Learning Spatiotemporal Features with 3D
Convolutional Networks", ICCV 2015, https://github.com/facebookarchive/C3D
"""

import math
from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from mtut_baselines.networks.recompute import recompute_group
from mtut_bench.contract.networks import NetworkOutput
from mtut_bench.errors import UsageError

__all__ = ["C3D", "build_c3d"]

_STAGES: tuple[tuple[tuple[str, int], ...], ...] = (
    (("conv1", 64),),
    (("conv2", 128),),
    (("conv3a", 256), ("conv3b", 256)),
    (("conv4a", 512), ("conv4b", 512)),
    (("conv5a", 512), ("conv5b", 512)),
)
"""Convolutions (name, channels) in front of each of the five pools."""

_FC_UNITS = 4096


class C3D(nn.Module):
    """The network; see :func:`build_c3d`.

    Attributes:
        min_frames: shorter clips are padded to this length: four pools halve the time axis, and
            sixteen frames are the fewest that leave a step without rounding.
    """

    min_frames = 16

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        width: float,
        dropout: float,
        crop: int,
        recompute: bool,
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.recompute = recompute
        channels = in_channels
        for number, stage in enumerate(_STAGES, start=1):
            for name, published in stage:
                scaled = _scale(published, width)
                self.add_module(name, nn.Conv3d(channels, scaled, 3, padding=1))
                channels = scaled
            self.add_module(f"pool{number}", _pool(number))
        # Four pools halve the crop and round down, the fifth rounds up.
        places = -(-(crop // 16) // 2)
        units = _scale(_FC_UNITS, width)
        self.fc6 = nn.Conv3d(channels, units, (1, places, places))
        self.fc7 = nn.Conv3d(units, units, 1)
        self.fc8 = nn.Conv3d(units, num_classes, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                _initialise(module)

    def forward(self, clip_NCTHW: Tensor) -> NetworkOutput:
        """Return logits per time step and the map of MaxPool3d_5.

        Pools 1 to 4 round down, as in the public ports, the fifth rounds up, as Caffe's does, with
        which the public weights were trained: windows start at 0 and the last ones hang over the
        bottom and right. With T frames (at least 16 after padding) the map and the logits have
        ceil(floor(T / 8) / 2) time steps.

        A map smaller than the window of fc6 is padded with zeros at the bottom and right; a larger
        one gives scores at several places, which are averaged.

        Args:
            clip_NCTHW: frames, float, (N, C, T, H, W); any T of at least 1, H and W of at least
                16. Below 16 frames, frames of zeros are appended.
        """
        missing = self.min_frames - clip_NCTHW.shape[2]
        x_NCTHW = F.pad(clip_NCTHW, (0, 0, 0, 0, 0, missing)) if missing > 0 else clip_NCTHW
        for number in range(1, len(_STAGES) + 1):
            stage = partial(self._stage, number)
            keep = not (self.recompute and self.training)
            x_NCTHW = stage(x_NCTHW) if keep else recompute_group(stage, x_NCTHW)
        return NetworkOutput(logits_NKT=self._head(x_NCTHW), features_NCTHW=x_NCTHW)

    def _stage(self, number: int, x_NCTHW: Tensor) -> Tensor:
        """Return the convolutions and the pool of a stage, counted from 1."""
        for name, _ in _STAGES[number - 1]:
            x_NCTHW = F.relu(self.get_submodule(name)(x_NCTHW), inplace=True)
        pooled: Tensor = self.get_submodule(f"pool{number}")(x_NCTHW)
        return pooled

    def _head(self, features_NCTHW: Tensor) -> Tensor:
        """Return fc6 to fc8 at every time step, (N, K, T)."""
        short = [
            max(0, window - size)
            for window, size in zip(self.fc6.kernel_size[1:], features_NCTHW.shape[3:], strict=True)
        ]
        x_NCTHW = (
            F.pad(features_NCTHW, (0, short[1], 0, short[0])) if any(short) else features_NCTHW
        )
        for layer in (self.fc6, self.fc7):
            hidden = F.relu(layer(x_NCTHW), inplace=True)
            x_NCTHW = F.dropout(hidden, self.dropout, self.training)
        logits: Tensor = self.fc8(x_NCTHW)
        return logits.mean(dim=(3, 4))


def _initialise(layer: nn.Conv3d) -> None:
    """Fill a layer as He et al. propose for ReLU: variance 2 / fan in, biases 0."""
    nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def _scale(channels: int, width: float) -> int:
    """Return the channel count times `width`, to the nearest, at least 1."""
    return max(1, math.floor(channels * width + 0.5))


def _pool(number: int) -> nn.MaxPool3d:
    """Return the pool of a stage: the first keeps the time axis, the fifth rounds up."""
    if number == 1:
        return nn.MaxPool3d((1, 2, 2))
    return nn.MaxPool3d(2, ceil_mode=number == len(_STAGES))


def build_c3d(
    num_classes: int,
    in_channels: int = 3,
    width: float = 1.0,
    dropout: float = 0.5,
    *,
    crop: int = 112,
    recompute: bool = False,
) -> C3D:
    """Return a C3D, randomly initialised from torch's default generator.

    He's initialisation throughout: there is no batch norm, and torch's default lets the signal
    shrink to nothing over eleven layers, which leaves training at chance.

    Args:
        num_classes: K.
        in_channels: channels of the input (3 for rgb, 2 for flow).
        width: factor on every channel and unit count, rounded half up, at least 1; 1.0 is
            published.
        dropout: probability of dropping a unit of fc6 and of fc7, in [0, 1].
        crop: side of the square crop, pixels, that gives fc6 its window; 112 (4 x 4) is published.
        recompute: in training keep only each stage's input and compute the rest again in the
            backward pass; changes no number.

    Raises:
        UsageError: a crop of fewer than 16 pixels.

    Source: https://github.com/facebookarchive/C3D, the Sports-1M network: 79,991,015 parameters at
        487 classes.
    """
    if crop < 16:
        raise UsageError(
            f"a crop of {crop} pixels is too small for C3D",
            "It is halved four times: choose 16 or more.",
        )
    return C3D(num_classes, in_channels, width, dropout, crop, recompute)
