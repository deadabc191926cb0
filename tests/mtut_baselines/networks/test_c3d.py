import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mtut_baselines.networks.c3d import build_c3d
from mtut_bench.errors import UsageError

NARROW = 1 / 32


@pytest.fixture(scope="module")
def meta():
    with torch.device("meta"):
        return build_c3d(487).eval()


@pytest.fixture
def tiny():
    torch.manual_seed(0)
    return build_c3d(5, width=NARROW)


def slow_pool(x_CTHW, out):
    """Return 2 x 2 x 2 maxima with stride 2 by loops; windows may hang over the far border."""
    result = np.full((x_CTHW.shape[0], *out), -np.inf)
    for place in itertools.product(*map(range, out)):
        for tap in itertools.product(range(2), repeat=3):
            at = [2 * p + t for p, t in zip(place, tap, strict=True)]
            if all(a < n for a, n in zip(at, x_CTHW.shape[1:], strict=True)):
                here = result[:, *place]
                result[:, *place] = np.maximum(here, x_CTHW[:, *at])
    return result


def test_parameters_are_those_of_the_sports_1m_network(meta):
    assert sum(parameter.numel() for parameter in meta.parameters()) == 79_991_015


@pytest.mark.parametrize(("frames", "steps"), [(16, 1), (64, 4), (80, 5), (1, 1)])
def test_shapes_at_112(meta, frames, steps):
    output = meta(torch.empty(2, 3, frames, 112, 112, device="meta"))
    assert output.features_NCTHW.shape == (2, 512, steps, 4, 4)
    assert output.logits_NKT.shape == (2, 487, steps)


def test_shape_of_every_pool_at_the_published_size(meta):
    seen = {}
    hooks = [
        module.register_forward_hook(
            lambda _, __, output, name=name: seen.update({name: tuple(output.shape[1:])})
        )
        for name, module in meta.named_children()
        if name.startswith("pool")
    ]
    meta(torch.empty(1, 3, 16, 112, 112, device="meta"))
    for hook in hooks:
        hook.remove()
    assert seen == {
        "pool1": (64, 16, 56, 56),
        "pool2": (128, 8, 28, 28),
        "pool3": (256, 4, 14, 14),
        "pool4": (512, 2, 7, 7),
        "pool5": (512, 1, 4, 4),
    }


def test_pool5_is_the_slow_maximum():
    # Negative values too: the border is minus infinity, not zero.
    x_CTHW = np.random.default_rng(0).normal(size=(2, 4, 7, 7)) - 1
    actual = build_c3d(2, width=NARROW).pool5(torch.from_numpy(x_CTHW)[None])[0]
    np.testing.assert_array_equal(actual.numpy(), slow_pool(x_CTHW, (2, 4, 4)))


def test_frames_beyond_a_multiple_of_16():
    with torch.device("meta"):
        network = build_c3d(5, width=NARROW)
        assert network(torch.empty(1, 3, 24, 112, 112)).logits_NKT.shape[2] == 2


class Port(nn.Module):
    """The network as the PyTorch ports write it: layer by layer, a flat map, linear layers."""

    def __init__(self, network):
        super().__init__()
        self.network = network
        for name in ("fc6", "fc7", "fc8"):
            conv = getattr(network, name)
            linear = nn.Linear(conv.weight[0].numel(), conv.weight.shape[0])
            linear.weight.data = conv.weight.data.flatten(1)
            linear.bias.data = conv.bias.data
            self.add_module(name, linear)

    def forward(self, x):
        n = self.network
        x = F.max_pool3d(F.relu(F.conv3d(x, n.conv1.weight, n.conv1.bias, padding=1)), (1, 2, 2))
        x = F.max_pool3d(F.relu(F.conv3d(x, n.conv2.weight, n.conv2.bias, padding=1)), 2)
        for first, second in ((n.conv3a, n.conv3b), (n.conv4a, n.conv4b), (n.conv5a, n.conv5b)):
            x = F.relu(F.conv3d(x, first.weight, first.bias, padding=1))
            x = F.relu(F.conv3d(x, second.weight, second.bias, padding=1))
            x = F.max_pool3d(x, 2, ceil_mode=second is n.conv5b)
        features = x
        x = F.relu(self.fc7(F.relu(self.fc6(x.flatten(1)))))
        return self.fc8(x), features


def test_transplanted_into_a_port_it_computes_the_same():
    torch.manual_seed(0)
    network = build_c3d(5, width=NARROW).double().eval()
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter, std=0.1)
    clip_NCTHW = torch.rand(2, 3, 16, 112, 112, dtype=torch.float64) * 2 - 1
    with torch.no_grad():
        output = network(clip_NCTHW)
        logits, features = Port(network).double()(clip_NCTHW)
    # float64: sums of at most 1,728 products in another order.
    torch.testing.assert_close(output.features_NCTHW, features, rtol=0, atol=1e-12)
    torch.testing.assert_close(output.logits_NKT[:, :, 0], logits, rtol=0, atol=1e-12)


def test_the_head_is_applied_to_every_time_step(tiny):
    features_NCTHW = torch.rand(1, 16, 3, 4, 4)
    whole = tiny.eval()._head(features_NCTHW)
    steps = [tiny._head(features_NCTHW[:, :, t : t + 1]) for t in range(3)]
    # float32 sums of 256 products in another order.
    torch.testing.assert_close(whole, torch.cat(steps, dim=2), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [16, 64, 100])
def test_small_maps_are_padded_with_zeros_at_the_bottom_and_right(tiny, size):
    output = tiny.eval()(torch.rand(1, 3, 16, size, size))
    assert output.features_NCTHW.shape[3:] == (math.ceil(size // 16 / 2),) * 2
    padded = torch.zeros(1, 16, 1, 4, 4)
    places = output.features_NCTHW.shape[3]
    padded[..., :places, :places] = output.features_NCTHW
    torch.testing.assert_close(output.logits_NKT, tiny._head(padded), rtol=1e-5, atol=1e-6)


def test_large_maps_average_the_logits_over_places(tiny):
    features_NCTHW = torch.rand(1, 16, 2, 5, 5)
    corners = [features_NCTHW[..., i : i + 4, j : j + 4] for i in (0, 1) for j in (0, 1)]
    expected = torch.stack([tiny.eval()._head(corner) for corner in corners]).mean(dim=0)
    torch.testing.assert_close(tiny._head(features_NCTHW), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("crop", "places"), [(112, 4), (64, 2)])
def test_the_window_of_fc6_covers_the_map_of_the_crop(crop, places):
    with torch.device("meta"):
        network = build_c3d(5, width=NARROW, crop=crop)
        output = network(torch.empty(1, 3, 16, crop, crop))
    assert network.fc6.weight.shape[2:] == (1, places, places)
    assert output.features_NCTHW.shape[3:] == (places, places)


@pytest.mark.parametrize("frames", [1, 15])
def test_short_clips_end_in_zero_frames(tiny, frames):
    clip_NCTHW = torch.rand(1, 3, frames, 32, 32)
    padded = torch.cat([clip_NCTHW, torch.zeros(1, 3, 16 - frames, 32, 32)], dim=2)
    with torch.no_grad():
        assert torch.equal(tiny.eval()(clip_NCTHW).logits_NKT, tiny(padded).logits_NKT)


def test_width_rounds_half_up_and_keeps_one_channel():
    with torch.device("meta"):
        network = build_c3d(3, in_channels=2, width=0.0234375)
    assert network.conv1.weight.shape[:2] == (2, 2)  # 1.5
    assert network.fc6.weight.shape[0] == 96
    with torch.device("meta"):
        assert build_c3d(3, width=1e-9).conv1.weight.shape[0] == 1


def test_kernels_start_with_hes_variance_and_biases_at_zero():
    torch.manual_seed(0)
    network = build_c3d(5, width=0.25)
    for name in ("conv1", "conv4a", "fc6"):
        weight = getattr(network, name).weight
        # The smallest, conv1, has 1,296 draws, which know their deviation to 2 %.
        assert weight.std().item() == pytest.approx(math.sqrt(2 / weight[0].numel()), rel=0.07)
    assert all(not p.any() for name, p in network.named_parameters() if name.endswith("bias"))


def test_a_fresh_networks_activations_neither_vanish_nor_explode():
    torch.manual_seed(0)
    network = build_c3d(19, width=0.25).eval()
    with torch.no_grad():
        output = network(torch.rand(2, 3, 16, 112, 112) * 2 - 1)
    # The input's root mean square is 0.58; torch's own initialisation leaves two clips'
    # logits 2e-5 apart.
    assert 0.1 < output.features_NCTHW.square().mean().sqrt() < 100
    assert output.logits_NKT.isfinite().all()
    assert 0.1 < output.logits_NKT.std() < 100


def test_initialisation_and_dropout_follow_torchs_seed_in_training_only():
    clip_NCTHW = torch.rand(1, 3, 16, 32, 32)
    logits = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        network = build_c3d(5, width=NARROW)
        logits.append(network(clip_NCTHW).logits_NKT)
    assert torch.equal(logits[0], logits[1])
    assert not torch.equal(logits[0], logits[2])
    assert not torch.equal(network(clip_NCTHW).logits_NKT, logits[2])
    network.eval()
    assert torch.equal(network(clip_NCTHW).logits_NKT, network(clip_NCTHW).logits_NKT)


def test_a_crop_that_leaves_nothing_is_named():
    with pytest.raises(UsageError, match="15 pixels"):
        build_c3d(5, width=NARROW, crop=15)


def test_a_narrow_network_overfits_four_clips():
    torch.manual_seed(0)
    network = build_c3d(4, width=NARROW, dropout=0.0)
    clips_NCTHW, labels_N = torch.rand(4, 3, 16, 16, 16) * 2 - 1, torch.arange(4)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.003)
    for _ in range(25):
        loss = F.cross_entropy(network(clips_NCTHW).logits_NKT.mean(dim=2), labels_N)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    # Chance is log 4 = 1.39; 0.02 and 0.14 were seen after 20 steps.
    assert loss < 0.3
