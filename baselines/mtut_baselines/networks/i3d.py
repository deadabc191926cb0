"""I3D: Inception-v1 inflated to three dimensions, with its authors' padding, batch norm and names.

Submodules are named after the endpoints, so a state dict has the keys of piergiaj/pytorch-i3d less
``*.bn.weight`` (1 there) and ``*.bn.num_batches_tracked``; the rule from TensorFlow's names is in
the tests. Kernels and strides are in the order T, H, W.

Source: Carreira and Zisserman, "Quo Vadis, Action Recognition?", CVPR 2017,
https://github.com/google-deepmind/kinetics-i3d/blob/master/i3d.py
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mtut_baselines.networks.recompute import is_recomputing, recompute_group
from mtut_bench.contract.networks import NetworkOutput

__all__ = ["I3D", "build_i3d", "same_padding"]

Triple = tuple[int, int, int]

BN_EPS = 1e-3


class _Conv(NamedTuple):
    channels: int
    kernel: Triple
    stride: Triple


class _Pool(NamedTuple):
    kernel: Triple
    stride: Triple


class _Mixed(NamedTuple):
    b0: int
    b1a: int
    b1b: int
    b2a: int
    b2b: int
    b3b: int


_TRUNK: dict[str, _Conv | _Pool | _Mixed] = {
    "Conv3d_1a_7x7": _Conv(64, (7, 7, 7), (2, 2, 2)),
    "MaxPool3d_2a_3x3": _Pool((1, 3, 3), (1, 2, 2)),
    "Conv3d_2b_1x1": _Conv(64, (1, 1, 1), (1, 1, 1)),
    "Conv3d_2c_3x3": _Conv(192, (3, 3, 3), (1, 1, 1)),
    "MaxPool3d_3a_3x3": _Pool((1, 3, 3), (1, 2, 2)),
    "Mixed_3b": _Mixed(64, 96, 128, 16, 32, 32),
    "Mixed_3c": _Mixed(128, 128, 192, 32, 96, 64),
    "MaxPool3d_4a_3x3": _Pool((3, 3, 3), (2, 2, 2)),
    "Mixed_4b": _Mixed(192, 96, 208, 16, 48, 64),
    "Mixed_4c": _Mixed(160, 112, 224, 24, 64, 64),
    "Mixed_4d": _Mixed(128, 128, 256, 24, 64, 64),
    "Mixed_4e": _Mixed(112, 144, 288, 32, 64, 64),
    "Mixed_4f": _Mixed(256, 160, 320, 32, 128, 128),
    "MaxPool3d_5a_2x2": _Pool((2, 2, 2), (2, 2, 2)),
    "Mixed_5b": _Mixed(256, 160, 320, 32, 128, 128),
    "Mixed_5c": _Mixed(384, 192, 384, 48, 128, 128),
}

_GROUPS: tuple[tuple[str, ...], ...] = (
    ("Conv3d_1a_7x7", "MaxPool3d_2a_3x3"),
    ("Conv3d_2b_1x1", "Conv3d_2c_3x3", "MaxPool3d_3a_3x3"),
    ("Mixed_3b",),
    ("Mixed_3c", "MaxPool3d_4a_3x3"),
    ("Mixed_4b",),
    ("Mixed_4c",),
    ("Mixed_4d",),
    ("Mixed_4e",),
    ("Mixed_4f", "MaxPool3d_5a_2x2"),
    ("Mixed_5b",),
    ("Mixed_5c",),
)
"""What is computed again as one: a group's input is kept, and what leaves a pool is small."""


def same_padding(
    size: Sequence[int], kernel: Sequence[int], stride: Sequence[int]
) -> tuple[list[int], list[int]]:
    """Return TensorFlow's SAME padding of each axis.

    Args:
        size: lengths of the axes, pixels or frames.
        kernel: window per axis.
        stride: step per axis.

    Returns:
        Padding on both ends of each axis, and what the far end gets on top of it: 0 or 1, because
        an odd total leaves its last pixel there.
    """
    both, extra = [], []
    for n, k, s in zip(size, kernel, stride, strict=True):
        # As TensorFlow's (ceil(n / s) - 1) * s + k - n, without a quotient of negative numbers,
        # which ONNX rounds towards zero.
        total = k - 1 if s == 1 else max(k - s + (s - n % s) % s, 0)
        both.append(total // 2)
        extra.append(total % 2)
    return both, extra


def _pad_same(x_NCTHW: Tensor, kernel: Triple, stride: Triple, value: float) -> Tensor:
    """Return the input with its SAME padding written out.

    The padding of a strided layer depends on the length; exported formats take only constants as
    padding of a layer, but lengths that are known later as padding of a tensor.
    """
    both, extra = same_padding(x_NCTHW.shape[2:], kernel, stride)
    ends = [(b, b + e) for b, e in zip(both, extra, strict=True)]
    return F.pad(x_NCTHW, [pad for end in reversed(ends) for pad in end], value=value)


class SameConv3d(nn.Module):
    """Convolution with SAME padding and Sonnet's initialisation.

    Kernels start as a normal of deviation 1/sqrt(fan in) cut at two deviations, biases as 0.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel: Triple = (1, 1, 1),
        stride: Triple = (1, 1, 1),
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.kernel = kernel
        self.stride = stride
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, *kernel))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        std = 1 / math.sqrt(in_channels * math.prod(kernel))
        nn.init.trunc_normal_(self.weight, std=std, a=-2 * std, b=2 * std)

    def forward(self, x_NCTHW: Tensor) -> Tensor:
        """Return the convolution, ceil(size / stride) long on each axis."""
        if torch.compiler.is_exporting() and max(self.stride) > 1:
            padded_NCTHW = _pad_same(x_NCTHW, self.kernel, self.stride, 0.0)
            return F.conv3d(padded_NCTHW, self.weight, self.bias, self.stride)
        both, extra = same_padding(x_NCTHW.shape[2:], self.kernel, self.stride)
        if any(extra):
            # The symmetric share is left to the convolution: it copies nothing.
            x_NCTHW = F.pad(x_NCTHW, (0, extra[2], 0, extra[1], 0, extra[0]))
        return F.conv3d(x_NCTHW, self.weight, self.bias, self.stride, both)


class SameMaxPool3d(nn.Module):
    """Max pooling with SAME padding, and no padding copy.

    The border is minus infinity, as in TensorFlow; the public ports pad with zeros, which is the
    same in I3D because every pool's input has passed a ReLU. Where the stride is 1 the kernel must
    be odd: rounding up supplies the odd pixel at the far end only at larger strides.
    """

    def __init__(self, *, kernel: Triple, stride: Triple) -> None:
        super().__init__()
        self.kernel = kernel
        self.stride = stride

    def forward(self, x_NCTHW: Tensor) -> Tensor:
        """Return the maxima, ceil(size / stride) long on each axis."""
        if torch.compiler.is_exporting() and max(self.stride) > 1:
            padded_NCTHW = _pad_same(x_NCTHW, self.kernel, self.stride, -math.inf)
            return F.max_pool3d(padded_NCTHW, self.kernel, self.stride)
        both, _ = same_padding(x_NCTHW.shape[2:], self.kernel, self.stride)
        return F.max_pool3d(x_NCTHW, self.kernel, self.stride, both, ceil_mode=True)


class OffsetBatchNorm(nn.Module):
    """Batch norm with an offset and no gain, as Sonnet's default.

    Departure: the running variance takes the unbiased batch variance (torch), n/(n-1) of Sonnet's.

    Args:
        channels: C.
        momentum: share of the new batch in the running statistics (torch sense).
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, *, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x_NCTHW: Tensor) -> Tensor:
        """Return the normalised input plus the offset of each channel."""
        mean, var = self.running_mean, self.running_var
        if is_recomputing():
            # The first pass has taken this batch into account; the second writes into copies.
            # Nothing at all would be another count of saved tensors, which torch refuses.
            mean, var = mean.clone(), var.clone()
        return F.batch_norm(
            x_NCTHW,
            mean,
            var,
            bias=self.bias,
            training=self.training,
            momentum=self.momentum,
            eps=BN_EPS,
        )


class Unit(nn.Module):
    """Convolution without bias, batch norm, ReLU."""

    def __init__(self, in_channels: int, layer: _Conv, bn_momentum: float) -> None:
        super().__init__()
        self.conv3d = SameConv3d(
            in_channels, layer.channels, kernel=layer.kernel, stride=layer.stride
        )
        self.bn = OffsetBatchNorm(layer.channels, momentum=bn_momentum)

    def forward(self, x_NCTHW: Tensor) -> Tensor:
        """Return the unit's output, not below 0."""
        return F.relu(self.bn(self.conv3d(x_NCTHW)), inplace=True)


class Mixed(nn.Module):
    """Inception block: 1x1x1 | 1x1x1, 3x3x3 | 1x1x1, 3x3x3 | pool, 1x1x1, joined in this order."""

    def __init__(self, in_channels: int, layer: _Mixed, bn_momentum: float) -> None:
        super().__init__()

        def unit(source: int, channels: int, size: int) -> Unit:
            return Unit(source, _Conv(channels, (size, size, size), (1, 1, 1)), bn_momentum)

        self.b0 = unit(in_channels, layer.b0, 1)
        self.b1a = unit(in_channels, layer.b1a, 1)
        self.b1b = unit(layer.b1a, layer.b1b, 3)
        self.b2a = unit(in_channels, layer.b2a, 1)
        self.b2b = unit(layer.b2a, layer.b2b, 3)
        self.b3a = SameMaxPool3d(kernel=(3, 3, 3), stride=(1, 1, 1))
        self.b3b = unit(in_channels, layer.b3b, 1)

    def forward(self, x_NCTHW: Tensor) -> Tensor:
        """Return the joined branches; T, H and W stay."""
        branches = [
            self.b0(x_NCTHW),
            self.b1b(self.b1a(x_NCTHW)),
            self.b2b(self.b2a(x_NCTHW)),
            self.b3b(self.b3a(x_NCTHW)),
        ]
        return torch.cat(branches, dim=1)


class Head(nn.Module):
    """Average pool of 2 x 7 x 7 with stride 1, dropout, 1x1x1 convolution.

    Maps smaller than 7 are pooled whole; larger ones give scores at several places, which are
    averaged (the authors' code stops there: its input is always 224 x 224).
    """

    def __init__(self, in_channels: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.conv3d = SameConv3d(in_channels, num_classes, bias=True)

    def forward(self, features_NCTHW: Tensor) -> Tensor:
        """Return logits per time step, (N, K, T - 1); T is at least 2."""
        height, width = features_NCTHW.shape[3:]
        pooled = F.avg_pool3d(features_NCTHW, (2, min(7, height), min(7, width)), stride=1)
        logits: Tensor = self.conv3d(F.dropout(pooled, self.dropout, self.training))
        return logits.mean(dim=(3, 4))


class I3D(nn.Module):
    """The network; see :func:`build_i3d`.

    Attributes:
        min_frames: shorter clips are padded to this length: the head pools two time steps, and
            nine frames are the fewest that leave two.
        recompute: whether training keeps only the inputs of the layer groups.
    """

    min_frames = 9

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        width: float,
        dropout: float,
        bn_momentum: float,
        recompute: bool,
    ) -> None:
        super().__init__()
        self.recompute = recompute
        channels = in_channels
        for name, published in _TRUNK.items():
            layer = _scaled(published, width)
            if isinstance(layer, _Conv):
                self.add_module(name, Unit(channels, layer, bn_momentum))
                channels = layer.channels
            elif isinstance(layer, _Mixed):
                self.add_module(name, Mixed(channels, layer, bn_momentum))
                channels = layer.b0 + layer.b1b + layer.b2b + layer.b3b
            else:
                self.add_module(name, SameMaxPool3d(kernel=layer.kernel, stride=layer.stride))
        self.logits = Head(channels, num_classes, dropout)

    def forward(self, clip_NCTHW: Tensor) -> NetworkOutput:
        """Return logits per time step and the map of Mixed_5c.

        With T frames (at least 9 after padding) the map has ceil(T / 8) time steps, one fewer for
        the logits, and ceil(H / 32) x ceil(W / 32) places. T is halved and rounded up three times,
        which is the same.

        Args:
            clip_NCTHW: frames in [-1, 1], float, (N, C, T, H, W); any T, H and W of at least 1.
                Below 9 frames, frames of zeros are appended.
        """
        missing = self.min_frames - clip_NCTHW.shape[2]
        x_NCTHW = F.pad(clip_NCTHW, (0, 0, 0, 0, 0, missing)) if missing > 0 else clip_NCTHW
        for names in _GROUPS:
            group = partial(self._group, names)
            again = self.recompute and self.training
            x_NCTHW = recompute_group(group, x_NCTHW) if again else group(x_NCTHW)
        return NetworkOutput(logits_NKT=self.logits(x_NCTHW), features_NCTHW=x_NCTHW)

    def _group(self, names: Sequence[str], x_NCTHW: Tensor) -> Tensor:
        """Return what leaves the last of these layers."""
        for name in names:
            x_NCTHW = self.get_submodule(name)(x_NCTHW)
        return x_NCTHW


def _scaled(layer: _Conv | _Pool | _Mixed, width: float) -> _Conv | _Pool | _Mixed:
    """Return the layer with its channel counts times `width`, to the nearest, at least 1."""

    def scale(channels: int) -> int:
        return max(1, math.floor(channels * width + 0.5))

    if isinstance(layer, _Conv):
        return layer._replace(channels=scale(layer.channels))
    if isinstance(layer, _Mixed):
        return _Mixed(*(scale(channels) for channels in layer))
    return layer


def build_i3d(
    num_classes: int,
    in_channels: int = 3,
    width: float = 1.0,
    dropout: float = 0.5,
    bn_momentum: float = 0.001,
    recompute: bool = False,
) -> I3D:
    """Return an I3D, randomly initialised from torch's default generator.

    Kernels start as Sonnet's do (see :class:`SameConv3d`), because the paper's networks from
    scratch ran on the authors' code. Batch norm after each convolution makes the scale immaterial
    in training; before any training, evaluation mode shrinks the signal layer by layer and gives
    logits near 0.

    Args:
        num_classes: K.
        in_channels: channels of the input (3 for rgb, 2 for flow).
        width: factor on every channel count, rounded half up, at least 1 channel; 1.0 is published.
        dropout: probability of dropping a pooled feature before the logits, in [0, 1].
        bn_momentum: share of the new batch in the running statistics (torch sense); 0.001 is
            TensorFlow's decay of 0.999.
        recompute: trade time for memory in training: keep the inputs of eleven layer groups and
            compute the rest again in the backward pass. Changes no number, on the CPU to the bit.

    Source: https://github.com/google-deepmind/kinetics-i3d/blob/master/i3d.py; batch norm with eps
        1e-3, an offset and no gain is Sonnet 1's default. 12,689,984 parameters at 400 classes.
    """
    return I3D(num_classes, in_channels, width, dropout, bn_momentum, recompute)
