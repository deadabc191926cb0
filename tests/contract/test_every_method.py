"""Every method keeps the contract that the trainer relies on."""

import pytest
import torch

from mtut_baselines import METHODS
from mtut_bench.method import Method, NetworkSpec
from mtut_bench.protocol import PROTOCOLS

SPEC = NetworkSpec(num_classes=5, in_channels=3, width=0.125, dropout=0.5, bn_momentum=0.1)


@pytest.fixture(params=sorted(METHODS))
def method(request) -> Method:
    return METHODS[request.param]


def test_keys_are_names():
    assert all(key == method.name for key, method in METHODS.items())


def test_settings_exist_in_every_protocol(method):
    for protocol in PROTOCOLS.values():
        assert set(method.settings) <= set(protocol.objective_settings())


def test_one_step_reaches_every_network(method):
    modalities = ("rgb", "depth", "flow")
    networks = {m: method.build_network(SPEC) for m in modalities}
    clip = torch.randn(2, 3, 17, 40, 40, generator=torch.Generator().manual_seed(0))
    outputs = {m: network(clip) for m, network in networks.items()}
    objective = method.build_objective(PROTOCOLS["demo"].objective_settings())
    result = objective(outputs, torch.tensor([0, 4]))
    assert list(result.losses) == list(modalities)
    assert all("cross_entropy" in result.log[m] for m in modalities)
    torch.stack(list(result.losses.values())).sum().backward()
    for network in networks.values():
        assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_network_output_has_the_stated_axes(method):
    network = method.build_network(SPEC).eval()
    output = network(torch.zeros(2, 3, 12, 40, 40))
    assert output.logits_NKT.shape[:2] == (2, 5)
    assert output.features_NCTHW.ndim == 5
