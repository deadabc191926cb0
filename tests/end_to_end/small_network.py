"""A small network and methods of it, as `run --method FILE:NAME` takes them from a user."""

from dataclasses import replace

from torch import nn

from mtut_baselines import METHODS
from mtut_bench.contract.networks import NetworkOutput


class SmallNetwork(nn.Module):
    """Two convolutions with batch norm, pooled head; 2 x 4 x 4 blocks at 16 x 32 x 32."""

    min_frames = 8

    def __init__(self, spec):
        super().__init__()
        self.first = nn.Conv3d(spec.in_channels, 16, (4, 5, 5), (4, 2, 2), (0, 2, 2))
        self.first_norm = nn.BatchNorm3d(16, momentum=spec.bn_momentum)
        self.second = nn.Conv3d(16, 16, (2, 4, 4), (2, 4, 4))
        self.second_norm = nn.BatchNorm3d(16, momentum=spec.bn_momentum)
        self.head = nn.Linear(16, spec.num_classes)

    def forward(self, clip_NCTHW):
        edges = self.first_norm(self.first(clip_NCTHW)).relu()
        features = self.second_norm(self.second(edges)).relu()
        pooled_NTC = features.mean(dim=(3, 4)).transpose(1, 2)
        return NetworkOutput(self.head(pooled_NTC).transpose(1, 2), features)


def _with_small_network(name):
    title = f"Small {name}"
    return replace(
        METHODS[name],
        name=f"small-{name}",
        title=title,
        fusion_title=title,
        network="small",
        build_network=SmallNetwork,
        weights={},
        load_weights=None,
    )


def alone():
    return _with_small_network("i3d")


def mtut():
    return _with_small_network("mtut")


def inverted():
    return _with_small_network("mtut-rho-inverted")
