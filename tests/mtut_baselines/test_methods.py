import pytest
import torch

from mtut_baselines import METHODS
from mtut_baselines.alignment import AlignmentObjective, AlignmentOptions, ClassificationObjective
from mtut_baselines.i3d import I3D
from mtut_bench.errors import UsageError
from mtut_bench.method import NetworkSpec

SPEC = NetworkSpec(num_classes=4, in_channels=2, width=0.0625, dropout=0.0, bn_momentum=0.1)
SETTINGS = {
    "lambda": 0.1,
    "beta": 3.0,
    "target": "joint",
    "rho_grad": "through",
    "rho_per": "batch",
    "ssa_reduction": "mean",
    "rho_max": 7.0,
}


def test_every_method_is_filed_under_its_own_name():
    assert {key: method.name for key, method in METHODS.items()} == {"i3d": "i3d", "mtut": "mtut"}


def test_titles_are_rows_of_the_published_tables():
    titles = {name: (method.title, method.fusion_title) for name, method in METHODS.items()}
    assert titles == {"i3d": ("I3D", "I3D"), "mtut": ("MTUT", "MTUT-F")}


def test_both_share_their_first_stage():
    assert METHODS["i3d"].network == METHODS["mtut"].network == "i3d"
    networks = []
    for method in METHODS.values():
        torch.manual_seed(5)
        networks.append(method.build_network(SPEC))
    first, second = (network.state_dict() for network in networks)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_network_follows_its_specification():
    network = METHODS["i3d"].build_network(SPEC)
    assert isinstance(network, I3D)
    assert network.Conv3d_1a_7x7.conv3d.weight.shape[:2] == (4, 2)
    assert network.Mixed_5c.b0.bn.momentum == 0.1
    assert network.logits.dropout == 0.0
    assert network.logits.conv3d.bias.shape == (4,)


def test_i3d_needs_no_settings_and_one_modality():
    method = METHODS["i3d"]
    assert (method.settings, method.min_modalities) == ((), 1)
    assert isinstance(method.build_objective({}), ClassificationObjective)


def test_mtut_reads_every_setting():
    method = METHODS["mtut"]
    assert (set(method.settings), method.min_modalities) == (set(SETTINGS), 2)
    objective = method.build_objective({**SETTINGS, "of another method": 1})
    assert isinstance(objective, AlignmentObjective)
    assert objective.options == AlignmentOptions(
        lambda_=0.1,
        beta=3.0,
        target="joint",
        rho_grad="through",
        rho_per="batch",
        ssa_reduction="mean",
        rho_max=7.0,
        focal=True,
    )


@pytest.mark.parametrize("name", SETTINGS)
def test_a_missing_setting_is_named(name):
    settings = {key: value for key, value in SETTINGS.items() if key != name}
    with pytest.raises(UsageError, match=name):
        METHODS["mtut"].build_objective(settings)


def test_mtut_trains_both_networks_on_one_batch():
    torch.manual_seed(0)
    labels_N = torch.tensor([0, 1])
    networks = {name: METHODS["mtut"].build_network(SPEC) for name in ("rgb", "flow")}
    outputs = {name: net(torch.rand(2, 2, 9, 32, 32)) for name, net in networks.items()}
    result = METHODS["mtut"].build_objective(SETTINGS)(outputs, labels_N)
    sum(result.losses.values()).backward()
    for network in networks.values():
        assert all(parameter.grad.isfinite().all() for parameter in network.parameters())
