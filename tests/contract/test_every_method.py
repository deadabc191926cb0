"""Every method keeps the contract that the trainer relies on."""

from dataclasses import replace

import pytest
import torch

from mtut_baselines import METHODS
from mtut_baselines.objectives.alignment import ClassificationObjective
from mtut_bench.contract.networks import NetworkSpec
from mtut_bench.contract.protocol import PROTOCOLS
from mtut_bench.contract.recipe import Recipe
from mtut_bench.contract.types import MODALITIES
from mtut_bench.statistics.ensembles import ENSEMBLED
from mtut_bench.training.two_stage import TwoStageMethod

SPEC = NetworkSpec(
    num_classes=5, in_channels=3, width=0.125, dropout=0.5, bn_momentum=0.1, crop_px=40
)


@pytest.fixture(params=sorted(METHODS))
def method(request) -> TwoStageMethod:
    return METHODS[request.param]


def test_keys_are_names():
    assert all(key == method.name for key, method in METHODS.items())


def test_settings_and_weights_exist(method):
    assert set(method.settings) <= set(Recipe().objective_settings())
    assert bool(method.weights) == (method.load_weights is not None)
    assert set(method.weights) <= set(MODALITIES)


def test_one_step_reaches_every_network(method):
    modalities = ("rgb", "depth", "flow")
    networks = {m: method.build_network(SPEC) for m in modalities}
    clip = torch.randn(2, 3, 17, 40, 40, generator=torch.Generator().manual_seed(0))
    outputs = {m: network(clip) for m, network in networks.items()}
    objective = method.build_objective(PROTOCOLS["demo"].recipe.objective_settings())
    valid_NT = torch.arange(17).expand(2, -1) < 12
    result = objective(outputs, torch.tensor([0, 4]), valid_NT)
    assert all(output.logits_NKT.shape[:2] == (2, 5) for output in outputs.values())
    assert all(output.features_NCTHW.ndim == 5 for output in outputs.values())
    assert list(result.losses) == list(modalities)
    assert all("cross_entropy" in result.log[m] for m in modalities)
    torch.stack(list(result.losses.values())).sum().backward()
    for network in networks.values():
        assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_recomputation_changes_no_number(method):
    clip = torch.randn(2, 3, 17, 40, 40, generator=torch.Generator().manual_seed(0))
    states = []
    for recompute in (False, True):
        torch.manual_seed(0)
        network = method.build_network(replace(SPEC, recompute=recompute))
        network(clip).logits_NKT.square().sum().backward()
        gradients = {name: p.grad for name, p in network.named_parameters()}
        states.append([*network.state_dict().values(), *gradients.values()])
    assert all(torch.equal(a, b) for a, b in zip(*states, strict=True))


def test_figures_get_one_square_matrix_per_clip(method):
    output = method.build_network(SPEC).eval()(torch.zeros(2, 3, 17, 40, 40))
    num_blocks = output.features_NCTHW[0, 0].numel()
    assert method.correlate(output.features_NCTHW).shape == (2, num_blocks, num_blocks)


def test_the_report_averages_seeds_of_the_plain_methods_alone():
    settings = PROTOCOLS["demo"].recipe.objective_settings()
    # Not of the A/A control, whose two runs are there to be told from I3D's.
    plain = {
        name
        for name, method in METHODS.items()
        if type(method.build_objective(settings)) is ClassificationObjective and not method.settings
    }
    assert set(ENSEMBLED) == plain
