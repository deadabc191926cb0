import json
import os
import pickle
from dataclasses import FrozenInstanceError
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import nn
from torch.nn import functional as F

from mtut_baselines.networks.c3d import build_c3d
from mtut_baselines.networks.i3d import build_i3d
from mtut_baselines.weights import check as weight_check
from mtut_baselines.weights.check import check
from mtut_baselines.weights.files import WeightFile, WeightsError, read_weights
from mtut_baselines.weights.key_maps import SCHEMES, card
from mtut_baselines.weights.load import convert, load
from mtut_baselines.weights.placement import adapt_channels, place
from mtut_bench.errors import MtutBenchError, UsageError
from mtut_bench.training.checkpoint import save_network

SHARED = Path(__file__).parents[3].parent / "shared" / "reference"
real = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared reference folder is absent")
I3D_WIDTH, C3D_WIDTH, CLASSES = 1 / 16, 1 / 32, 7


# I3D as the ports compute it, reading the tensors by the file's own names.

ENDPOINTS = [("Conv3d_1a_7x7", 2), ((1, 3, 3), (1, 2, 2)), ("Conv3d_2b_1x1", 1)]
ENDPOINTS += [("Conv3d_2c_3x3", 1), ((1, 3, 3), (1, 2, 2)), ("Mixed_3b", 1), ("Mixed_3c", 1)]
ENDPOINTS += [((3, 3, 3), (2, 2, 2)), *((f"Mixed_4{c}", 1) for c in "bcdef")]
ENDPOINTS += [((2, 2, 2), (2, 2, 2)), ("Mixed_5b", 1), ("Mixed_5c", 1)]
HASSONY = {"b0": "branch_0", "b1a": "branch_1.0", "b1b": "branch_1.1"}
HASSONY |= {"b2a": "branch_2.0", "b2b": "branch_2.1", "b3b": "branch_3.1"}


def piergiaj_names(endpoint, branch=None):
    if endpoint == "logits":
        return "logits.conv3d", None
    unit = f"{endpoint}.{branch}" if branch else endpoint
    return f"{unit}.conv3d", f"{unit}.bn"


def hassony_names(endpoint, branch=None):
    if endpoint == "logits":
        return "conv3d_0c_1x1.conv3d", None
    unit = endpoint.lower() + (f".{HASSONY[branch]}" if branch else "")
    return f"{unit}.conv3d", f"{unit}.batch3d"


I3D_NAMES = {"pytorch-i3d": piergiaj_names, "kinetics_i3d_pytorch": hassony_names}


def pad_same(x_NCTHW, kernel, stride):
    pads = []
    for n, k, s in zip(reversed(x_NCTHW.shape[2:]), kernel[::-1], stride[::-1], strict=True):
        total = max((-(-n // s) - 1) * s + k - n, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x_NCTHW, pads)


def port_pool(x_NCTHW, kernel, stride):
    return F.max_pool3d(pad_same(x_NCTHW, kernel, stride), kernel, stride)


def port_unit(file, names, x_NCTHW, stride=1):
    conv, bn = names
    kernel = file[f"{conv}.weight"]
    x_NCTHW = F.conv3d(pad_same(x_NCTHW, kernel.shape[2:], (stride,) * 3), kernel, stride=stride)
    mean, var, gain, bias = (
        file[f"{bn}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
    )
    return F.relu(F.batch_norm(x_NCTHW, mean, var, gain, bias, eps=1e-3))


def port_i3d(file, names, x_NCTHW):
    """Return the logits averaged over time, (N, K)."""

    def branch(endpoint, x, *units):
        for unit in units:
            x = port_unit(file, names(endpoint, unit), x)
        return x

    for endpoint, stride in ENDPOINTS:
        if isinstance(endpoint, tuple):
            x_NCTHW = port_pool(x_NCTHW, endpoint, stride)
        elif endpoint.startswith("Conv"):
            x_NCTHW = port_unit(file, names(endpoint), x_NCTHW, stride)
        else:
            pooled = port_pool(x_NCTHW, (3, 3, 3), (1, 1, 1))
            parts = [("b0",), ("b1a", "b1b"), ("b2a", "b2b")]
            branches = [branch(endpoint, x_NCTHW, *units) for units in parts]
            x_NCTHW = torch.cat([*branches, branch(endpoint, pooled, "b3b")], dim=1)
    x_NCTHW = F.avg_pool3d(x_NCTHW, (2, *x_NCTHW.shape[3:]), stride=1)
    head = names("logits")[0]
    return F.conv3d(x_NCTHW, file[f"{head}.weight"], file[f"{head}.bias"]).mean(dim=(2, 3, 4))


def i3d_file(*args, **options):
    """Return random float64 tensors under the names of a port, gains of 1 unless asked for."""
    return {name: tensor.clone() for name, tensor in made_i3d_file(*args, **options).items()}


@cache
def made_i3d_file(source, in_channels=3, classes=CLASSES, gains=False):
    rng = torch.Generator().manual_seed(0)
    state = build_i3d(classes, in_channels, I3D_WIDTH).double().state_dict()
    file = {}
    for own, tensor in state.items():
        unit, part = own.rsplit(".", 1)
        endpoint, *branch, kind = unit.split(".")
        conv, bn = I3D_NAMES[source](endpoint, *branch)
        name = conv if kind == "conv3d" else bn
        scale = 1.5 * (2 / tensor[0].numel()) ** 0.5 if tensor.ndim == 5 else 0.3
        value = torch.randn(tensor.shape, generator=rng, dtype=torch.float64) * scale
        file[f"{name}.{part}"] = value.square() + 0.5 if part == "running_var" else value
        if part == "running_var":
            gain = torch.randn(tensor.shape, generator=rng, dtype=torch.float64)
            gain[0] = 0
            file[f"{name}.weight"] = gain if gains else torch.ones_like(gain)
            file[f"{name}.num_batches_tracked"] = torch.tensor(5)
    return file


# C3D likewise.

CONVS = ("conv1", "conv2", "conv3a", "conv3b", "conv4a", "conv4b", "conv5a", "conv5b")
JFZHANG = dict(zip(CONVS, (f"features.{n}" for n in (0, 3, 6, 8, 11, 13, 16, 18)), strict=True))
JFZHANG |= {"fc6": "classifier.0", "fc7": "classifier.3"}
DAVIDEA = {name: name for name in (*CONVS, "fc6", "fc7", "fc8")}
C3D_NAMES = {"c3d-jfzhang95": JFZHANG, "c3d-davidea": DAVIDEA}


def c3d_file(source, classes=CLASSES):
    rng = torch.Generator().manual_seed(1)
    file = {}
    for own, tensor in build_c3d(classes, width=C3D_WIDTH).state_dict().items():
        layer, part = own.split(".")
        if layer not in C3D_NAMES[source]:
            continue
        flat = tensor.flatten(1) if layer.startswith("fc") and part == "weight" else tensor
        scale = (2 / tensor[0].numel()) ** 0.5 if part == "weight" else 0.1
        value = torch.randn(flat.shape, generator=rng, dtype=torch.float64) * scale
        file[f"{C3D_NAMES[source][layer]}.{part}"] = value
    return file


def port_c3d(file, names, x):
    """Return fc7's output of 16 frames at 112 x 112, (N, D), pooled with Caffe's alignment."""

    def tensors(layer):
        return file[f"{names[layer]}.weight"], file[f"{names[layer]}.bias"]

    pools = {"conv1": (1, 2, 2), "conv2": 2, "conv3b": 2, "conv4b": 2, "conv5b": 2}
    for layer in CONVS:
        x = F.relu(F.conv3d(x, *tensors(layer), padding=1))
        if layer in pools:
            x = F.max_pool3d(x, pools[layer], ceil_mode=True)
    return F.relu(F.linear(F.relu(F.linear(x.flatten(1), *tensors("fc6"))), *tensors("fc7")))


@pytest.fixture
def saved(tmp_path):
    """Return a function that saves tensors as the public files are saved."""

    def save(tensors, name="weights.pt", **options):
        torch.save(tensors, tmp_path / name, **options)
        return tmp_path / name

    return save


@pytest.fixture
def i3d():
    torch.manual_seed(9)
    return build_i3d(CLASSES, width=I3D_WIDTH)


def clip(frames=9, size=32, channels=3):
    rng = torch.Generator().manual_seed(2)
    shape = (2, channels, frames, size, size)
    return torch.rand(shape, generator=rng, dtype=torch.float64) * 2 - 1


# Loading


@pytest.mark.parametrize(("in_channels", "legacy"), [(3, False), (2, True)])
@pytest.mark.parametrize("source", I3D_NAMES)
def test_i3d_computes_what_its_port_computes(saved, source, legacy, in_channels):
    file = i3d_file(source, in_channels)
    path = saved(file, _use_new_zipfile_serialization=not legacy)
    network = build_i3d(CLASSES, in_channels, I3D_WIDTH).double().eval()
    report = load(network, path)
    with torch.no_grad():
        logits_NK = network(clip(channels=in_channels)).logits_NKT.mean(dim=2)
        expected_NK = port_i3d(file, I3D_NAMES[source], clip(channels=in_channels))
    assert expected_NK.std() > 0.1
    # float64 on both sides, in another order of sums.
    torch.testing.assert_close(logits_NK, expected_NK, rtol=1e-9, atol=1e-9)
    assert (report.source, report.share, report.channels) == (source, 1.0, in_channels)
    assert set(report.mapped) == set(network.state_dict())
    assert report.left == report.adapted == ()
    # 57 gains and 57 counts, under the names of the file.
    assert len(report.dropped) == 114
    assert {text.split(": ")[0] for text in report.dropped} < set(file)


@pytest.mark.parametrize("source", I3D_NAMES)
def test_gains_are_folded_exactly_in_evaluation(saved, source):
    file = i3d_file(source, gains=True)
    network = build_i3d(CLASSES, width=I3D_WIDTH).double().eval()
    report = load(network, saved(file))
    with torch.no_grad():
        logits_NK = network(clip()).logits_NKT.mean(dim=2)
        expected_NK = port_i3d(file, I3D_NAMES[source], clip())
    torch.testing.assert_close(logits_NK, expected_NK, rtol=1e-9, atol=1e-9)
    assert len(report.adapted) == 57
    assert all("folded" in text and "training" in text for text in report.adapted)


def test_a_gain_without_its_convolution_is_named():
    tensors = i3d_file("pytorch-i3d", gains=True)
    del tensors["Mixed_3b.b0.conv3d.weight"]
    state = build_i3d(CLASSES, width=I3D_WIDTH).state_dict()
    _, report = place(WeightFile(Path("x"), "", tensors), state)
    assert "Mixed_3b.b0.bn.weight: a gain without its convolution and mean" in report.dropped
    assert report.left == ("Mixed_3b.b0.conv3d.weight: not in the file",)


@pytest.mark.parametrize("source", C3D_NAMES)
def test_c3d_computes_what_its_port_computes(saved, source):
    file = c3d_file(source)
    network = build_c3d(CLASSES, width=C3D_WIDTH).double().eval()
    report = load(network, saved(file, "c3d.pickle"))
    seen = []
    network.fc8.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].flatten(1)))
    with torch.no_grad():
        network(clip(16, 112))
        expected_ND = port_c3d(file, C3D_NAMES[source], clip(16, 112))
    torch.testing.assert_close(seen[0], expected_ND, rtol=1e-9, atol=1e-9)
    assert (report.source, report.share, report.dropped) == (source, 1.0, ())
    fresh = () if source == "c3d-davidea" else ("fc8.weight", "fc8.bias")
    assert report.left == tuple(f"{name}: not in the file" for name in fresh)


def test_a_network_of_a_run_comes_back(tmp_path, i3d):
    save_network(tmp_path / "network-rgb.safetensors", i3d.state_dict())
    other = build_i3d(CLASSES, width=I3D_WIDTH)
    report = load(other, tmp_path / "network-rgb.safetensors")
    assert (report.source, report.origin, report.share) == ("mtut-bench", "mtut-bench", 1.0)
    assert report.dropped == report.left == report.adapted == ()
    for name, value in i3d.state_dict().items():
        assert torch.equal(other.state_dict()[name], value)


def test_our_c3d_is_not_taken_for_the_ports(tmp_path):
    network = build_c3d(CLASSES, width=C3D_WIDTH)
    save_network(tmp_path / "a.safetensors", network.state_dict())
    assert load(network, tmp_path / "a.safetensors").source == "mtut-bench"


def test_a_network_of_somebody_elses_method_comes_back_with_its_counts(tmp_path):
    network = nn.Sequential(nn.Conv3d(3, 4, 2), nn.BatchNorm3d(4))
    network(torch.rand(1, 3, 3, 3, 3))
    save_network(tmp_path / "a.safetensors", network.state_dict())
    other = nn.Sequential(nn.Conv3d(3, 4, 2), nn.BatchNorm3d(4))
    assert load(other, tmp_path / "a.safetensors").share == 1.0
    assert other[1].num_batches_tracked == 1


def test_weights_may_be_halves_under_state_dict(saved, i3d):
    file = {name: value.half() for name, value in i3d_file("pytorch-i3d").items()}
    load(i3d, saved({"state_dict": file, "epoch": 3}))
    kernel = file["Mixed_3b.b0.conv3d.weight"]
    assert torch.equal(i3d.Mixed_3b.b0.conv3d.weight, kernel.float())


def test_logits_of_another_class_count_are_left_and_named(saved):
    torch.manual_seed(0)
    network = build_i3d(25, width=I3D_WIDTH)
    before = network.logits.conv3d.weight.clone()
    report = load(network, saved(i3d_file("pytorch-i3d")))
    assert torch.equal(network.logits.conv3d.weight, before)
    assert report.share == 1.0
    assert [text.split(":")[0] for text in report.left] == [
        "logits.conv3d.weight",
        "logits.conv3d.bias",
    ]
    assert "(7, 64, 1, 1, 1)" in report.left[0]
    assert "(25, 64, 1, 1, 1)" in report.left[0]


def test_an_unknown_tensor_of_the_file_is_named(saved, i3d):
    odd = "mixed_3b.branch_1.7.conv3d.weight"
    file = i3d_file("kinetics_i3d_pytorch") | {odd: torch.ones(1)}
    assert f"{odd}: not a known name of kinetics_i3d_pytorch" in load(i3d, saved(file)).dropped


@pytest.mark.parametrize(("missing", "enough"), [(11, True), (12, False)])
def test_under_95_percent_is_refused_and_the_network_untouched(saved, i3d, missing, enough):
    file = i3d_file("pytorch-i3d")
    for name in [n for n in file if n.endswith(".bn.bias")][:missing]:
        del file[name]
    before = {name: value.clone() for name, value in i3d.state_dict().items()}
    if enough:
        assert load(i3d, saved(file)).share == pytest.approx(217 / 228)
        return
    with pytest.raises(WeightsError, match=r"fills 216 of the network's 228.*bn\.bias"):
        load(i3d, saved(file))
    assert all(torch.equal(value, before[name]) for name, value in i3d.state_dict().items())


def test_another_width_names_the_shapes(saved):
    with pytest.raises(WeightsError, match=r"\(4, 3, 7, 7, 7\), the network's \(8, 3, 7, 7, 7\)"):
        load(build_i3d(CLASSES, width=I3D_WIDTH * 2), saved(i3d_file("pytorch-i3d")))


def test_a_large_layer_of_another_shape_is_refused(saved):
    # At another crop fc6 alone does not fit: 19 of 20 tensors, but far less of the network.
    network = build_c3d(CLASSES, width=C3D_WIDTH, crop=64)
    with pytest.raises(WeightsError, match=r"fills 19 of the network's 20 tensors.*fc6"):
        load(network, saved(c3d_file("c3d-davidea")))


def test_another_network_is_refused(saved, i3d):
    with pytest.raises(WeightsError, match="fills 0 of the network's 228"):
        load(i3d, saved(c3d_file("c3d-davidea")))


# First layer


def test_one_channel_is_the_function_of_the_replicated_input():
    kernel, x = torch.rand(4, 3, 1, 2, 2).double(), torch.rand(1, 1, 2, 5, 5).double()
    adapted, _ = adapt_channels(kernel, 1)
    replicated = F.conv3d(x.expand(-1, 3, -1, -1, -1), kernel)
    torch.testing.assert_close(F.conv3d(x, adapted), replicated)


@pytest.mark.parametrize("channels", [2, 3])
def test_many_equal_channels_are_the_function_of_one(channels):
    kernel, x = torch.rand(4, 1, 1, 2, 2).double(), torch.rand(1, 1, 2, 5, 5).double()
    adapted, _ = adapt_channels(kernel, channels)
    torch.testing.assert_close(
        F.conv3d(x.expand(-1, channels, -1, -1, -1), adapted), F.conv3d(x, kernel)
    )


def test_colour_to_flow_drops_the_third_slice():
    kernel = torch.rand(4, 3, 1, 2, 2)
    adapted, note = adapt_channels(kernel, 2)
    assert torch.equal(adapted, kernel[:, :2] * 1.5)
    assert "third" in note


@pytest.mark.parametrize(("given", "channels"), [(2, 3), (3, 4)])
def test_what_has_no_counterpart_is_refused(given, channels):
    with pytest.raises(WeightsError, match=f"{given} input channels"):
        adapt_channels(torch.rand(4, given, 1, 2, 2), channels)


@pytest.mark.parametrize("channels", [1, 2])
def test_adaptations_are_reported(saved, channels):
    network = build_i3d(CLASSES, channels, I3D_WIDTH)
    report = load(network, saved(i3d_file("pytorch-i3d")))
    assert len(report.adapted) == 1
    assert report.adapted[0].startswith("Conv3d_1a_7x7.conv3d.weight: ")
    assert (report.channels, report.share) == (3, 1.0)


# Files


class Trap:
    """Unpickled with Python's pickle it makes a folder."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("form", ["zip", "legacy", 0, 4])
def test_code_in_a_file_is_not_run(tmp_path, i3d, form):
    content = i3d_file("pytorch-i3d") | {"trap": Trap(tmp_path / "sprung")}
    path = tmp_path / "weights.pt"
    if isinstance(form, int):
        path.write_bytes(pickle.dumps({"trap": Trap(tmp_path / "sprung")}, protocol=form))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(WeightsError, match=r"weights\.pt") as caught:
        load(i3d, path)
    assert not (tmp_path / "sprung").exists()
    assert "would run code" in caught.value.what
    assert "torch.save" in caught.value.hint


@pytest.mark.parametrize("form", ["zip", "legacy", "safetensors"])
def test_a_truncated_file_is_named(saved, tmp_path, i3d, form):
    if form == "safetensors":
        path = tmp_path / "weights.pt"
        save_network(path, i3d.state_dict())
    else:
        path = saved(i3d.state_dict(), _use_new_zipfile_serialization=form == "zip")
    data = path.read_bytes()
    for share in (0.001, 0.1, 0.5, 0.9, 0.999):
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(WeightsError, match=r"weights\.pt is damaged") as caught:
            load(i3d, path)
        assert "Download" in caught.value.hint


def test_a_flipped_bit_is_noticed(saved, i3d):
    path = saved(i3d.state_dict())
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="damaged"):
        load(i3d, path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!DOCTYPE html><html>", "web page"),
        (b"\n  <html lang='en'>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS pointer"),
        (b"", "empty"),
        (b"junk that is no format at all", "damaged"),
        (b"\x10\x00\x00\x00\x00\x00\x00\x00{not json at all", "damaged"),
    ],
)
def test_what_servers_send_instead_is_named(tmp_path, i3d, content, message):
    (tmp_path / "weights.pt").write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        load(i3d, tmp_path / "weights.pt")


@pytest.mark.parametrize("content", [[1, 2], {}, {"a": 1}, {1: torch.ones(1)}, torch.ones(2)])
def test_what_is_no_state_dict_is_named(saved, i3d, content):
    with pytest.raises(WeightsError, match=r"weights\.pt has"):
        load(i3d, saved(content))


def test_a_missing_file_is_named(tmp_path, i3d):
    with pytest.raises(WeightsError, match=r"no\.pt cannot be read"):
        load(i3d, tmp_path / "no.pt")


def test_values_that_are_not_finite_are_named(saved, i3d):
    file = i3d_file("pytorch-i3d")
    file["Mixed_3b.b0.conv3d.weight"][0] = torch.nan
    with pytest.raises(WeightsError, match=r"non-finite.*Mixed_3b\.b0\.conv3d\.weight"):
        load(i3d, saved(file))


# Cards


@pytest.mark.parametrize(
    ("source", "channels", "order", "words"),
    [
        ("pytorch-i3d", 3, "RGB", "[-1, 1]"),
        ("kinetics_i3d_pytorch", 2, "horizontal, vertical", "+-20"),
        ("pytorch-i3d", 1, "one channel", "[-1, 1]"),
        ("c3d-jfzhang95", 3, "BGR", "0 to 255"),
        ("c3d-davidea", 3, "BGR", "0 to 255"),
        ("mtut-bench", 3, "as in the run that saved it", "as in the run"),
    ],
)
def test_cards_say_what_a_network_expects(source, channels, order, words):
    expected = card(source, channels)
    assert expected.channel_order == order
    assert words in expected.scaling
    assert expected.mean == ((90, 98, 102) if source in C3D_NAMES else None)
    with pytest.raises(FrozenInstanceError):
        expected.note = ""


# Conversion


def test_a_converted_file_loads_as_the_public_one_does(saved, tmp_path):
    path, out = (
        saved(i3d_file("kinetics_i3d_pytorch", gains=True)),
        tmp_path / "a" / "b.safetensors",
    )
    converted = convert(path, out)
    direct, again = (build_i3d(CLASSES, width=I3D_WIDTH) for _ in range(2))
    load(direct, path)
    report = load(again, out)
    for name, value in direct.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)
    assert (report.source, report.origin) == ("mtut-bench", "kinetics_i3d_pytorch")
    assert report.card == card("kinetics_i3d_pytorch")
    assert report.sha256 != converted.sha256
    with safe_open(out, framework="pt") as file:
        assert file.metadata()["sha256"] == converted.sha256 == read_weights(path).sha256
        assert file.metadata()["file"] == "weights.pt"


@pytest.mark.parametrize("source", C3D_NAMES)
def test_c3d_converts_too(saved, tmp_path, source):
    out = tmp_path / "b.safetensors"
    convert(saved(c3d_file(source)), out)
    report = load(build_c3d(CLASSES, width=C3D_WIDTH), out)
    assert (report.share, report.origin) == (1.0, source)
    assert report.card.channel_order == "BGR"


def test_a_failed_conversion_writes_nothing(saved, tmp_path):
    with pytest.raises(WeightsError, match="neither an I3D nor a C3D"):
        convert(saved({"a": torch.ones(2)}), tmp_path / "b.safetensors")
    (tmp_path / "file").write_text("")
    with pytest.raises(MtutBenchError, match="cannot write"):
        convert(saved(c3d_file("c3d-davidea")), tmp_path / "file" / "b.safetensors")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "weights.pt"]


# Check


@pytest.fixture
def demo(tmp_path):
    """Return a folder with the demo clip in colour and flow."""
    for channels, modality in ((3, "rgb"), (2, "flow")):
        clip_NTHWC = clip(channels=channels)[:1].permute(0, 2, 3, 4, 1).float().numpy()
        np.save(tmp_path / f"v_CricketShot_g04_c01_{modality}.npy", clip_NTHWC)
    return tmp_path


@pytest.fixture
def kinetics(saved):
    """Return paths of an rgb and a flow network of 400 classes."""
    return {
        "rgb": saved(i3d_file("pytorch-i3d", 3, 400), "rgb.pt"),
        "flow": saved(i3d_file("kinetics_i3d_pytorch", 2, 400), "flow.pt"),
    }


def test_check_prints_what_a_file_is(saved):
    result = check([saved(c3d_file("c3d-jfzhang95"), "c3d-pretrained.pth")])
    text = "\n".join(result.lines)
    assert result.passed is None
    for words in ("source c3d-jfzhang95", "100.0%", "BGR", "[90.0, 98.0, 102.0]", "not run"):
        assert words in text


def test_check_compares_both_networks_and_their_sum(kinetics, demo, monkeypatch):
    rgb = port_i3d(i3d_file("pytorch-i3d", 3, 400), piergiaj_names, clip()[:1])
    flow_file = i3d_file("kinetics_i3d_pytorch", 2, 400)
    flow = port_i3d(flow_file, hassony_names, clip(channels=2)[:1])
    logits = {"rgb": rgb, "flow": flow, "rgb + flow": rgb + flow}
    norms = {name: float(value.norm()) for name, value in logits.items()}
    monkeypatch.setattr(weight_check, "PUBLISHED_NORMS", norms)
    result = check([kinetics["rgb"], kinetics["flow"]], demo)
    assert result.passed is True
    names = [line.split(":")[0] for line in result.lines[-3:]]
    assert names == ["demo clip, rgb", "demo clip, flow", "demo clip, rgb + flow"]


def test_check_says_when_a_norm_differs(kinetics, demo):
    result = check([kinetics["flow"]], demo)
    assert result.passed is False
    assert "published 63.252743: DIFFERS" in result.lines[-1]


def test_check_runs_no_network_of_other_classes(saved, demo):
    result = check([saved(i3d_file("pytorch-i3d"))], demo)
    assert result.passed is None
    assert "not for this network" in result.lines[-1]


def test_check_refuses_two_files_of_one_modality(kinetics, demo):
    with pytest.raises(UsageError, match="second network for rgb"):
        check([kinetics["rgb"]] * 2, demo)


def test_check_names_a_clip_that_is_none(kinetics, demo):
    path = demo / "v_CricketShot_g04_c01_rgb.npy"
    path.write_bytes((demo / "v_CricketShot_g04_c01_flow.npy").read_bytes())
    with pytest.raises(WeightsError, match=r"_rgb\.npy .*not \(1, T, H, W, 3\)"):
        check([kinetics["rgb"]], demo)
    path.write_text("no array")
    with pytest.raises(WeightsError, match=r"_rgb\.npy cannot be read"):
        check([kinetics["rgb"]], demo)


# The published names and shapes


def filled(shape, number):
    """Return a tensor of a full network's size that takes four bytes: its number everywhere."""
    return torch.tensor(float(number)).expand(shape)


@pytest.mark.real
@real
@pytest.mark.parametrize(("file", "channels"), [("rgb_imagenet", 3), ("flow_imagenet", 2)])
@pytest.mark.parametrize("source", I3D_NAMES)
def test_every_tensor_of_the_published_i3d_finds_its_place(source, file, channels):
    rows = json.loads((SHARED / "i3d_key_maps.json").read_text())[file]["rows"]
    key = "pytorch_i3d" if source == "pytorch-i3d" else "hassony2"
    tensors = {row[key]: filled(row["torch_shape"], n) for n, row in enumerate(rows)}
    for name in [n for n in tensors if n.endswith(".running_var")]:
        unit = name.removesuffix("running_var")
        tensors |= {f"{unit}weight": torch.ones(1), f"{unit}num_batches_tracked": torch.tensor(0)}
    with torch.device("meta"):
        state = build_i3d(400, channels).state_dict()
    values, report = place(WeightFile(Path("x"), "", tensors), state)
    assert (report.source, report.share, report.left) == (source, 1.0, ())
    assert len(report.dropped) == 114
    for n, row in enumerate(rows):
        assert values[row["pytorch_i3d"]].flatten()[0] == n


@pytest.mark.real
@real
@pytest.mark.parametrize("source", C3D_NAMES)
def test_every_tensor_of_the_published_c3d_finds_its_place(source):
    rows = json.loads((SHARED / "c3d_key_maps.json").read_text())["rows"]
    key = "davidea" if source == "c3d-davidea" else "jfzhang_file"
    rows = [(n, row) for n, row in enumerate(rows) if row[key]]
    tensors = {row[key]: filled(row["shape"], n) for n, row in rows}
    with torch.device("meta"):
        state = build_c3d(487).state_dict()
    values, report = place(WeightFile(Path("x"), "", tensors), state)
    assert (report.source, report.share, len(values)) == (source, 1.0, len(rows))
    for n, row in rows:
        assert values[row["davidea"]][0].flatten()[0] == n


def test_every_scheme_is_tested_here():
    assert set(SCHEMES) == {*I3D_NAMES, *C3D_NAMES}
