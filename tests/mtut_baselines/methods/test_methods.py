from dataclasses import replace

import pytest
import torch

from mtut_baselines import CONTROLS, METHODS
from mtut_baselines.methods.paper import ALIGNMENT_SETTINGS, SSA_SETTINGS
from mtut_baselines.networks.c3d import C3D
from mtut_baselines.networks.i3d import I3D
from mtut_baselines.objectives.alignment import (
    AlignmentObjective,
    AlignmentOptions,
    ClassificationObjective,
    correlation,
)
from mtut_baselines.weights.load import WeightsError, convert
from mtut_bench.contract.networks import NetworkOutput, NetworkSpec
from mtut_bench.errors import UsageError

SPEC = NetworkSpec(
    num_classes=4, in_channels=2, width=0.0625, dropout=0.0, bn_momentum=0.1, crop_px=48
)
SETTINGS = {
    "lambda": 0.1,
    "beta": 3.0,
    "target": "joint",
    "rho_grad": "through",
    "rho_per": "batch",
    "ssa_reduction": "mean",
    "ssa_padding": "mask",
    "rho_form": "exp",
    "rho_max": 7.0,
}
BACKBONES = {"i3d": ("i3d", "i3d+ssa", "mtut"), "c3d": ("c3d", "c3d+ssa", "mtut-c3d")}
NAMES = [name for names in BACKBONES.values() for name in names]
PLAIN = ("i3d", "c3d")
SSA = ("i3d+ssa", "c3d+ssa")
FOCAL = ("mtut", "mtut-c3d")


def test_every_method_is_filed_under_its_own_name():
    assert {key: method.name for key, method in METHODS.items()} == {
        name: name for name in (*NAMES, *CONTROLS)
    }


def test_titles_are_rows_of_the_published_tables():
    titles = {name: (METHODS[name].title, METHODS[name].fusion_title) for name in NAMES}
    assert titles == {
        "i3d": ("I3D", "I3D"),
        "i3d+ssa": ("I3D+SSA", "I3D+SSA"),
        "mtut": ("MTUT", "MTUT-F"),
        "c3d": ("C3D", "C3D"),
        "c3d+ssa": ("C3D+SSA", "C3D+SSA"),
        "mtut-c3d": ("MTUT-C3D", "MTUT-C3D"),
    }


def test_controls_are_no_rows_of_the_published_tables():
    printed = {METHODS[name].title for name in NAMES} | {"MTUT-F"}
    titles = [method.title for method in map(METHODS.get, CONTROLS)]
    assert not printed & {*titles, *(method.fusion_title for method in map(METHODS.get, CONTROLS))}
    assert len(set(titles)) == len(titles)
    assert {method.network for method in map(METHODS.get, CONTROLS)} == {"i3d"}


@pytest.mark.parametrize("network", BACKBONES)
def test_methods_of_a_network_share_stage_one(network):
    states = []
    for name in BACKBONES[network]:
        assert METHODS[name].network == network
        torch.manual_seed(5)
        states.append(METHODS[name].build_network(SPEC).state_dict())
    first = states[0]
    assert all(torch.equal(first[key], state[key]) for state in states[1:] for key in first)


def test_i3d_follows_its_specification():
    network = METHODS["i3d"].build_network(replace(SPEC, recompute=True))
    assert isinstance(network, I3D)
    assert network.Conv3d_1a_7x7.conv3d.weight.shape[:2] == (4, 2)
    assert network.Mixed_5c.b0.bn.momentum == 0.1
    assert network.logits.dropout == 0.0
    assert network.logits.conv3d.bias.shape == (4,)
    assert network.recompute
    assert not METHODS["i3d"].build_network(SPEC).recompute


def test_c3d_follows_its_specification():
    network = METHODS["c3d"].build_network(replace(SPEC, crop_px=112, dropout=0.25))
    assert isinstance(network, C3D)
    assert network.conv1.weight.shape[:2] == (4, 2)
    assert network.fc6.kernel_size == (1, 4, 4)
    assert network.dropout == 0.25
    assert network.fc8.bias.shape == (4,)
    assert METHODS["c3d"].build_network(SPEC).fc6.kernel_size == (1, 2, 2)


@pytest.mark.parametrize("name", PLAIN)
def test_plain_methods_need_no_settings_and_one_modality(name):
    method = METHODS[name]
    assert (method.settings, method.min_modalities) == ((), 1)
    assert isinstance(method.build_objective({}), ClassificationObjective)


@pytest.mark.parametrize("name", [*SSA, *FOCAL])
def test_aligned_methods_read_their_settings(name):
    method, focal = METHODS[name], name in FOCAL
    names = ALIGNMENT_SETTINGS if focal else SSA_SETTINGS
    assert (method.settings, method.min_modalities) == (names, 2)
    objective = method.build_objective({**SETTINGS, "of another method": 1})
    assert isinstance(objective, AlignmentObjective)
    wanted = {key: SETTINGS[key] for key in names}
    expected = AlignmentOptions(
        wanted.pop("lambda"), wanted.pop("beta", 0.0), focal=focal, **wanted
    )
    assert objective.options == expected
    assert set(ALIGNMENT_SETTINGS) == set(SETTINGS)


@pytest.mark.parametrize(("name", "setting"), [(n, s) for n in NAMES for s in METHODS[n].settings])
def test_a_missing_setting_is_named(name, setting):
    settings = {key: value for key, value in SETTINGS.items() if key != setting}
    with pytest.raises(UsageError, match=setting):
        METHODS[name].build_objective(settings)


CHANGES = {
    "lambda": 0.2,
    "beta": 1.0,
    "target": "detach",
    "rho_grad": "detach",
    "rho_per": "clip",
    "ssa_reduction": "sum",
    "ssa_padding": "keep",
    "rho_form": "saturating",
    "rho_max": 0.01,
}


def bits(method, settings):
    """Return losses and gradients of three fixed outputs whose second half is padding."""
    generator = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        network = METHODS[method].build_network(SPEC)
        shape = network(torch.empty(2, 2, 32, 48, 48)).features_NCTHW.shape
    logits = [torch.randn(2, 4, 2, generator=generator).requires_grad_() for _ in range(3)]
    maps = [torch.randn(shape, generator=generator).requires_grad_() for _ in range(3)]
    outputs = dict(zip("abc", map(NetworkOutput, logits, maps), strict=True))
    valid_NT = torch.arange(32).expand(2, -1) < 16
    objective = METHODS[method].build_objective(settings)
    losses = objective(outputs, torch.tensor([0, 3]), valid_NT).losses
    found = torch.autograd.grad(sum(losses.values()), logits + maps, materialize_grads=True)
    return torch.cat([torch.stack(list(losses.values())), *(tensor.flatten() for tensor in found)])


@pytest.mark.parametrize("name", ["i3d+ssa", "c3d+ssa", "mtut", "mtut-c3d"])
@pytest.mark.parametrize("setting", CHANGES)
def test_settings_are_exactly_what_changes_the_numbers(name, setting):
    before = bits(name, SETTINGS)
    after = bits(name, {**SETTINGS, setting: CHANGES[setting]})
    assert torch.equal(before, after) == (setting not in METHODS[name].settings)


@pytest.mark.parametrize("name", ["mtut", "i3d+ssa", "mtut-c3d", "c3d+ssa"])
def test_alignment_trains_both_networks_on_one_batch(name):
    torch.manual_seed(0)
    networks = {m: METHODS[name].build_network(SPEC) for m in ("rgb", "flow")}
    outputs = {m: net(torch.rand(2, 2, 16, 48, 48)) for m, net in networks.items()}
    valid_NT = torch.arange(16).expand(2, -1) < 8
    result = METHODS[name].build_objective(SETTINGS)(outputs, torch.tensor([0, 1]), valid_NT)
    sum(result.losses.values()).backward()
    for network in networks.values():
        assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_matrices_for_the_figures_are_those_that_are_aligned(name):
    assert METHODS[name].correlate is correlation


@pytest.mark.parametrize("network", BACKBONES)
def test_every_modality_has_weights(network):
    flow = {"i3d": "i3d-flow", "c3d": "c3d-rgb"}[network]
    for name in BACKBONES[network]:
        expected = {"rgb": f"{network}-rgb", "depth": f"{network}-rgb", "flow": flow}
        assert dict(METHODS[name].weights) == expected


@pytest.mark.parametrize("name", NAMES)
def test_weights_fill_all_but_the_logits(name, tmp_path):
    torch.manual_seed(0)
    method, spec = METHODS[name], replace(SPEC, crop_px=112)
    donor = method.build_network(replace(spec, num_classes=7))
    torch.save(donor.state_dict(), tmp_path / "public.pt")
    path = tmp_path / "weights.safetensors"
    convert(tmp_path / "public.pt", path)
    network = method.build_network(spec)
    lines = method.load_weights(network, path)
    assert any(line.startswith("mapped") for line in lines)
    given, state = donor.state_dict(), network.state_dict()
    filled = {key for key in state if torch.equal(given[key][:4], state[key][:4])}
    assert filled >= {key for key in state if not key.startswith(("logits.", "fc8."))}


def test_weights_of_the_other_network_are_refused(tmp_path):
    torch.save(METHODS["c3d"].build_network(SPEC).state_dict(), tmp_path / "c3d.pickle")
    with pytest.raises(WeightsError):
        METHODS["i3d"].load_weights(METHODS["i3d"].build_network(SPEC), tmp_path / "c3d.pickle")
