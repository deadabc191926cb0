import itertools
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mtut_baselines.networks.i3d import (
    _GROUPS,
    _TRUNK,
    OffsetBatchNorm,
    SameConv3d,
    SameMaxPool3d,
    Unit,
    _Conv,
    build_i3d,
    same_padding,
)

SHARED = Path(__file__).parents[3].parent / "shared" / "reference"
real = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared reference folder is absent")
SIZES = [(4, 5, 6), (7, 8, 5), (9, 7, 4), (1, 2, 3)]


def slow_windows(x_CTHW, kernel, stride, fill):
    """Yield the windows of TensorFlow's SAME from its definition, in the order of the output."""
    size = x_CTHW.shape[1:]
    out = output_size(size, stride)
    total = [
        max((o - 1) * s + k - n, 0) for o, s, k, n in zip(out, stride, kernel, size, strict=True)
    ]
    for place in itertools.product(*map(range, out)):
        window = np.full((x_CTHW.shape[0], *kernel), fill, dtype=np.float64)
        for tap in itertools.product(*map(range, kernel)):
            at = [p * s - t // 2 + i for p, s, t, i in zip(place, stride, total, tap, strict=True)]
            if all(0 <= a < n for a, n in zip(at, size, strict=True)):
                window[:, tap[0], tap[1], tap[2]] = x_CTHW[:, at[0], at[1], at[2]]
        yield window


def output_size(size, stride):
    return [math.ceil(n / s) for n, s in zip(size, stride, strict=True)]


def slow_conv(x_CTHW, weight, stride):
    windows = slow_windows(x_CTHW, weight.shape[2:], stride, 0.0)
    rows = [[float((kernel * window).sum()) for kernel in weight] for window in windows]
    return np.array(rows).T.reshape(-1, *output_size(x_CTHW.shape[1:], stride))


def slow_pool(x_CTHW, kernel, stride):
    windows = slow_windows(x_CTHW, kernel, stride, -np.inf)
    rows = [window.max(axis=(1, 2, 3)) for window in windows]
    return np.array(rows).T.reshape(-1, *output_size(x_CTHW.shape[1:], stride))


@pytest.fixture(scope="module")
def meta():
    with torch.device("meta"):
        return build_i3d(400).eval()


@pytest.fixture
def tiny():
    torch.manual_seed(0)
    return build_i3d(5, width=0.0625)


def same_total(size, kernel, stride):
    both, extra = same_padding([size], [kernel], [stride])
    return both[0], both[0] + extra[0]


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "expected"),
    [(224, 7, 2, (2, 3)), (61, 7, 2, (3, 3)), (112, 3, 2, (0, 1)), (14, 2, 2, (0, 0))]
    + [(7, 2, 2, (0, 1)), (56, 3, 1, (1, 1)), (56, 1, 1, (0, 0)), (9, 1, 2, (0, 0))],
)
def test_padding_of_one_axis(size, kernel, stride, expected):
    assert same_total(size, kernel, stride) == expected


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("kernel", "stride"), [((7, 7, 7), (2, 2, 2)), ((3, 3, 3), (1, 1, 1)), ((2, 3, 1), (1, 2, 1))]
)
def test_unit_is_the_slow_same_convolution_with_offset_norm_and_relu(size, kernel, stride):
    rng = np.random.default_rng(1)
    x_CTHW = rng.normal(size=(2, *size))
    unit = Unit(2, _Conv(3, kernel, stride), 0.1).double().eval()
    mean, var, bias = rng.normal(size=3), rng.uniform(0.5, 2, size=3), rng.normal(size=3)
    for target, value in zip(
        (unit.bn.running_mean, unit.bn.running_var, unit.bn.bias.data),
        (mean, var, bias),
        strict=True,
    ):
        target.copy_(torch.from_numpy(value))
    linear = slow_conv(x_CTHW, unit.conv3d.weight.detach().numpy(), stride)
    column = (slice(None), None, None, None)
    expected = np.maximum((linear - mean[column]) / np.sqrt(var + 1e-3)[column] + bias[column], 0)
    with torch.no_grad():
        actual = unit(torch.from_numpy(x_CTHW)[None])[0].numpy()
    # float64 on both sides: a sum of at most 686 products of order 1.
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("kernel", "stride"),
    [((1, 3, 3), (1, 2, 2)), ((3, 3, 3), (2, 2, 2)), ((2, 2, 2), (2, 2, 2))]
    + [((3, 3, 3), (1, 1, 1))],
)
def test_pool_is_the_slow_same_maximum(size, kernel, stride):
    # Negative values too: minus infinity at the border, not zero.
    x_CTHW = np.random.default_rng(2).normal(size=(2, *size)) - 1
    actual = SameMaxPool3d(kernel=kernel, stride=stride)(torch.from_numpy(x_CTHW)[None])[0]
    np.testing.assert_array_equal(actual.numpy(), slow_pool(x_CTHW, kernel, stride))


def test_zero_border_equals_ours_after_a_relu():
    x_NCTHW = torch.randn(1, 2, 4, 6, 8, generator=torch.Generator().manual_seed(3)).relu()
    padded = F.pad(x_NCTHW, (0, 1, 0, 1, 0, 1))
    ours = SameMaxPool3d(kernel=(3, 3, 3), stride=(2, 2, 2))(x_NCTHW)
    assert torch.equal(ours, F.max_pool3d(padded, 3, 2))


def test_batch_norm_is_torchs_with_a_gain_of_one():
    ours, torchs = OffsetBatchNorm(4, momentum=0.2), nn.BatchNorm3d(4, eps=1e-3, momentum=0.2)
    bias = torch.randn(4)
    ours.bias.data.copy_(bias)
    torchs.bias.data.copy_(bias)
    x_NCTHW = torch.randn(2, 4, 3, 3, 3)
    for training in (True, False):
        ours.train(training)
        torchs.train(training)
        # One kernel with and without a gain of 1: a few units in the last place.
        torch.testing.assert_close(ours(x_NCTHW), torchs(x_NCTHW), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ours.running_mean, torchs.running_mean)
    torch.testing.assert_close(ours.running_var, torchs.running_var)


@pytest.mark.parametrize(("in_channels", "expected"), [(3, 12_689_984), (2, 12_668_032)])
def test_parameters_are_tensorflows_trainable_ones(in_channels, expected):
    with torch.device("meta"):
        network = build_i3d(400, in_channels)
    assert sum(parameter.numel() for parameter in network.parameters()) == expected


@pytest.mark.parametrize(
    ("frames", "map_frames"),
    [(64, 8), (17, 3), (80, 10), (9, 2), (1, 2)],
)
def test_shapes_at_224_and_112(meta, frames, map_frames):
    for size, places in ((224, 7), (112, 4)):
        clip_NCTHW = torch.empty(2, 3, frames, size, size, device="meta")
        output = meta(clip_NCTHW)
        assert output.features_NCTHW.shape == (2, 1024, map_frames, places, places)
        assert output.logits_NKT.shape == (2, 400, map_frames - 1)


def test_shape_of_every_endpoint_at_the_papers_size(meta):
    seen = {}
    hooks = [
        module.register_forward_hook(
            lambda _, __, output, name=name: seen.update({name: tuple(output.shape[1:])})
        )
        for name, module in meta.named_children()
        if name != "logits"
    ]
    meta(torch.empty(1, 3, 64, 224, 224, device="meta"))
    for hook in hooks:
        hook.remove()
    assert seen == {
        "Conv3d_1a_7x7": (64, 32, 112, 112),
        "MaxPool3d_2a_3x3": (64, 32, 56, 56),
        "Conv3d_2b_1x1": (64, 32, 56, 56),
        "Conv3d_2c_3x3": (192, 32, 56, 56),
        "MaxPool3d_3a_3x3": (192, 32, 28, 28),
        "Mixed_3b": (256, 32, 28, 28),
        "Mixed_3c": (480, 32, 28, 28),
        "MaxPool3d_4a_3x3": (480, 16, 14, 14),
        "Mixed_4b": (512, 16, 14, 14),
        "Mixed_4c": (512, 16, 14, 14),
        "Mixed_4d": (512, 16, 14, 14),
        "Mixed_4e": (528, 16, 14, 14),
        "Mixed_4f": (832, 16, 14, 14),
        "MaxPool3d_5a_2x2": (832, 8, 7, 7),
        "Mixed_5b": (832, 8, 7, 7),
        "Mixed_5c": (1024, 8, 7, 7),
    }


def test_width_rounds_half_up_and_keeps_one_channel():
    with torch.device("meta"):
        network = build_i3d(3, width=0.03125)
    assert network.Conv3d_1a_7x7.conv3d.weight.shape[0] == 2
    assert network.Mixed_3b.b2a.conv3d.weight.shape[0] == 1  # 16 / 32 = 0.5
    assert network.Mixed_4c.b2a.conv3d.weight.shape[0] == 1  # 24 / 32 = 0.75
    assert network.Mixed_4b.b2b.conv3d.weight.shape[0] == 2  # 48 / 32 = 1.5


@pytest.mark.parametrize("size", [1, 33, 256])
def test_any_frame_size_passes(tiny, size):
    with torch.no_grad():
        output = tiny.eval()(torch.zeros(1, 3, 9, size, size))
    assert output.logits_NKT.shape == (1, 5, 1)
    assert output.features_NCTHW.shape[3:] == (-(-size // 32), -(-size // 32))


def test_large_maps_average_the_logits_over_places():
    torch.manual_seed(0)
    head = build_i3d(5, width=0.0625).eval().logits
    features_NCTHW = torch.rand(1, head.conv3d.weight.shape[1], 2, 8, 8)
    corners = [features_NCTHW[..., i : i + 7, j : j + 7] for i in (0, 1) for j in (0, 1)]
    expected = torch.stack([head(corner) for corner in corners]).mean(dim=0)
    # float32 sums of 98 pooled values in another order.
    torch.testing.assert_close(head(features_NCTHW), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("frames", [1, 8])
def test_short_clips_end_in_zero_frames(tiny, frames):
    clip_NCTHW = torch.rand(1, 3, frames, 16, 16)
    padded = torch.cat([clip_NCTHW, torch.zeros(1, 3, 9 - frames, 16, 16)], dim=2)
    with torch.no_grad():
        assert torch.equal(tiny.eval()(clip_NCTHW).logits_NKT, tiny(padded).logits_NKT)


def test_dropout_and_statistics_act_in_training_only(tiny):
    clip_NCTHW = torch.rand(2, 3, 9, 32, 32)
    before = tiny.state_dict()["Mixed_5c.b0.bn.running_mean"].clone()
    tiny.eval()
    assert torch.equal(tiny(clip_NCTHW).logits_NKT, tiny(clip_NCTHW).logits_NKT)
    assert torch.equal(tiny.Mixed_5c.b0.bn.running_mean, before)
    tiny.train()
    logits = []
    for seed in (7, 7, 8):
        torch.manual_seed(seed)
        logits.append(tiny(clip_NCTHW).logits_NKT)
    assert torch.equal(logits[0], logits[1])
    assert not torch.equal(logits[0], logits[2])
    assert not torch.equal(tiny.Mixed_5c.b0.bn.running_mean, before)


def test_initialisation_follows_torchs_seed():
    networks = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        networks.append(build_i3d(5, width=0.0625).state_dict())
    first, again, other = networks
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["logits.conv3d.weight"], other["logits.conv3d.weight"])


def test_kernels_start_as_a_normal_cut_at_two_deviations():
    torch.manual_seed(0)
    weight = SameConv3d(64, 64, kernel=(3, 3, 3)).weight
    std = (64 * 27) ** -0.5
    assert weight.abs().max() <= 2 * std
    # A standard normal cut at 2 has deviation 0.8796; 110,592 draws know it to 0.2 %.
    assert weight.std().item() == pytest.approx(0.8796 * std, rel=0.01)


@pytest.mark.parametrize("training", [True, False])
def test_a_fresh_networks_logits_are_sane(training):
    torch.manual_seed(0)
    network = build_i3d(19, width=0.25).train(training)
    with torch.no_grad():
        output = network(torch.rand(2, 3, 16, 64, 64) * 2 - 1)
    assert output.logits_NKT.isfinite().all()
    assert output.logits_NKT.abs().max() < 10
    assert output.features_NCTHW.std() > 0


BRANCHES = {"0/Conv3d_0a": "b0", "1/Conv3d_0a": "b1a", "1/Conv3d_0b": "b1b"}
BRANCHES |= {"2/Conv3d_0a": "b2a", "2/Conv3d_0b": "b2b", "3/Conv3d_0b": "b3b"}
TENSORS = {"conv_3d/w": "conv3d.weight", "conv_3d/b": "conv3d.bias", "batch_norm/beta": "bn.bias"}
TENSORS |= {"batch_norm/moving_mean": "bn.running_mean"}
TENSORS |= {"batch_norm/moving_variance": "bn.running_var"}


def name_from_tensorflow(variable):
    path = variable.split("/inception_i3d/")[1].replace("Logits/Conv3d_0c_1x1", "logits")
    # One slip in every checkpoint: the second convolution of this branch is called 0a.
    path = path.replace("Mixed_5b/Branch_2/Conv3d_0a_3x3", "Mixed_5b/Branch_2/Conv3d_0b_3x3")
    endpoint, branch, tensor = re.fullmatch(
        r"(\w+)/(?:Branch_(\d/Conv3d_0\w)_\dx\d/)?(\w+/\w+)", path
    ).groups()
    return ".".join(filter(None, [endpoint, branch and BRANCHES[branch], TENSORS[tensor]]))


@pytest.mark.real
@real
@pytest.mark.parametrize(("file", "channels"), [("rgb_imagenet", 3), ("flow_imagenet", 2)])
def test_names_follow_from_the_checkpoints_variables_by_rule(file, channels):
    with torch.device("meta"):
        state = build_i3d(400, channels).state_dict()
    variables = json.loads((SHARED / "i3d_variables.json").read_text())[file]
    renamed = {name_from_tensorflow(name): shape for name, shape in variables.items()}
    assert len(renamed) == len(variables) == 230
    for name, shape in renamed.items():
        order = (4, 3, 0, 1, 2) if len(shape) == 5 else (0,)
        assert tuple(state[name].shape) == tuple(shape[axis] for axis in order)
    assert set(renamed) == set(state)


def train_step(recompute, bn_momentum=0.1, steps=1):
    """Return a network after some steps, and the last loss."""
    torch.manual_seed(0)
    network = build_i3d(3, width=0.0625, bn_momentum=bn_momentum, recompute=recompute)
    clip_NCTHW = torch.rand(2, 3, 9, 40, 40)
    for _ in range(steps):
        network.zero_grad()
        output = network(clip_NCTHW)
        loss = output.logits_NKT.square().mean() + output.features_NCTHW.square().mean()
        loss.backward()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter -= 0.1 * parameter.grad
    return network, loss


@pytest.mark.parametrize("mixed", [False, True])
def test_recomputation_changes_no_bit(mixed):
    # Three steps: a difference in weights or statistics would show in the loss.
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        (plain, loss), (again, other) = (train_step(x, steps=3) for x in (False, True))
    assert torch.equal(loss, other)
    for (name, value), found in zip(
        plain.state_dict().items(), again.state_dict().values(), strict=True
    ):
        assert torch.equal(value, found), name
    for parameter, found in zip(plain.parameters(), again.parameters(), strict=True):
        assert torch.equal(parameter.grad, found.grad)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_statistics_are_updated_once_on_a_gpu():
    # There the backward pass, and so the second forward, runs in a thread of its own.
    torch.manual_seed(0)
    networks = [build_i3d(3, width=0.0625, recompute=again).cuda() for again in (False, True)]
    networks[1].load_state_dict(networks[0].state_dict())
    clip_NCTHW = torch.rand(2, 3, 9, 40, 40, device="cuda")
    for network in networks:
        network(clip_NCTHW).features_NCTHW.sum().backward()
    for value, other in zip(networks[0].buffers(), networks[1].buffers(), strict=True):
        # Convolutions may take another algorithm; two updates would be apart by a factor of 2.
        torch.testing.assert_close(value, other, rtol=1e-3, atol=1e-5)


def test_statistics_are_updated_once_when_recomputing():
    mean = train_step(recompute=True, bn_momentum=0.5)[0].Conv3d_1a_7x7.bn.running_mean
    batch_mean = train_step(recompute=False, bn_momentum=1.0)[0].Conv3d_1a_7x7.bn.running_mean
    # From 0, once: half of the batch's mean; twice: three quarters.
    torch.testing.assert_close(mean, batch_mean / 2)


def test_bytes_kept_at_the_papers_size():
    sizes = {}
    for recompute in (False, True):
        with torch.device("meta"):
            network = build_i3d(19, recompute=recompute)
            clip_NCTHW = torch.empty(6, 3, 64, 224, 224)
        storages = {}

        def pack(tensor, storages=storages):
            # The tensor is held, so that no other storage takes its address.
            storages[tensor.untyped_storage()._cdata] = tensor
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            network(clip_NCTHW)
        for tensor in [*network.parameters(), *network.buffers()]:
            storages.pop(tensor.untyped_storage()._cdata, None)
        sizes[recompute] = sum(t.untyped_storage().nbytes() for t in storages.values())
    # float32, six clips of one modality: 7.6 GB and 0.9 GB.
    assert 7.4e9 < sizes[False] < 7.7e9
    assert 0.8e9 < sizes[True] < 0.9e9


def test_evaluation_does_not_recompute(monkeypatch):
    def refuse(function, x):
        raise AssertionError

    monkeypatch.setattr("mtut_baselines.networks.i3d.recompute_group", refuse)
    network = build_i3d(3, width=0.0625, recompute=True)
    assert network.eval()(torch.zeros(1, 3, 9, 16, 16)).logits_NKT.requires_grad
    with pytest.raises(AssertionError):
        network.train()(torch.zeros(1, 3, 9, 16, 16))


def test_groups_are_the_trunk_in_order():
    assert [name for group in _GROUPS for name in group] == list(_TRUNK)


def test_a_narrow_network_overfits_four_clips():
    torch.manual_seed(0)
    network = build_i3d(4, width=0.125, dropout=0.0, bn_momentum=0.3)
    clips_NCTHW, labels_N = torch.rand(4, 3, 9, 48, 48) * 2 - 1, torch.arange(4)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    for _ in range(40):
        loss = F.cross_entropy(network(clips_NCTHW).logits_NKT.mean(dim=2), labels_N)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        logits_NK = network.eval()(clips_NCTHW).logits_NKT.mean(dim=2)
    # Chance is log 4 = 1.39; 0.010 and 0.011 were seen.
    assert loss < 0.05
    assert F.cross_entropy(logits_NK, labels_N) < 0.1


@pytest.mark.parametrize("frames", range(9, 26))
def test_padding_written_out_for_export_changes_no_logit(tiny, monkeypatch, frames):
    """Every remainder of 16; odd sizes in space too. Padding adds exact zeros or never wins."""
    tiny.double().eval()
    clip = torch.rand(1, 3, frames, 37, 42, dtype=torch.float64) * 2 - 1
    with torch.no_grad():
        wanted = tiny(clip)
        monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
        found = tiny(clip)
    torch.testing.assert_close(found.logits_NKT, wanted.logits_NKT, rtol=1e-10, atol=1e-14)
    torch.testing.assert_close(found.features_NCTHW, wanted.features_NCTHW, rtol=1e-10, atol=1e-12)


def test_padding_takes_no_quotient_of_a_negative_number():
    """ONNX rounds such a quotient towards zero: every length but multiples of 8 came out short."""

    class Length(int):
        def __neg__(self):
            raise AssertionError

    for size in range(1, 40):
        for kernel, stride in ((7, 2), (3, 2), (2, 2), (3, 1), (1, 1), (1, 2)):
            total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
            wanted = ([total // 2], [total % 2])
            assert same_padding([Length(size)], [kernel], [stride]) == wanted
