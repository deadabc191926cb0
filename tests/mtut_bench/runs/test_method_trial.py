from dataclasses import replace

import pytest
import torch
from planned import plan_runs
from run_bench import MACHINE, Lines

from mtut_baselines import METHODS
from mtut_bench.contract.method_file import LoadedMethod, load_method
from mtut_bench.contract.networks import NetworkOutput
from mtut_bench.errors import UsageError
from mtut_bench.runs.execute import execute
from mtut_bench.runs.method_trial import distinct_trials, try_method

OWN = """\
from mtut_baselines import METHODS
from mtut_bench.training.two_stage import TwoStageMethod
from mtut_bench.training.step import classification_losses

def objective(outputs, labels, valid=None):
    result = classification_losses(outputs, labels)
    WHAT
    return result

def build():
    return TwoStageMethod(
        name="own",
        title="Own",
        fusion_title="Own-F",
        network="i3d",
        build_network=METHODS["i3d"].build_network,
        build_objective=lambda settings: objective,
    )
"""


@pytest.fixture
def own(tmp_path, make_request, tiny_methods):
    """Return the plan of an own method on the tiny network, whose objective does something else."""

    def make(what="pass", **changes):
        path = tmp_path / "own.py"
        path.write_text(OWN.replace("WHAT", what))
        loaded = load_method(f"{path}:build", METHODS)
        network = tiny_methods["i3d"].build_network
        method = replace(loaded.method, **{"network": "tiny", "build_network": network, **changes})
        return plan_runs([replace(make_request(), method=replace(loaded, method=method))])[0]

    return make


@pytest.mark.parametrize("name", list(METHODS))
def test_every_method_of_ours_passes(make_request, tiny_methods, name):
    plans = plan_runs([make_request(name)])
    torch.manual_seed(0)
    before = torch.get_rng_state()
    try_method(plans[0], MACHINE)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_broken_objective_is_named_with_its_line_before_anything_is_trained(own):
    plan = own("result.losses['nothing'].backward()")
    with pytest.raises(UsageError, match="KeyError: 'nothing'") as caught:
        execute([plan], MACHINE, Lines())
    assert "own.py:7:" in caught.value.what
    assert not (plan.runs / "stages").exists()


def test_the_last_of_several_methods_is_tried_before_the_first_is_trained(own, make_request):
    plans = [plan_runs([make_request("i3d")])[0], own("raise ValueError('no')")]
    with pytest.raises(UsageError, match="ValueError: no"):
        execute(plans, MACHINE, Lines())
    assert not (plans[0].runs / "stages").exists()


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("result = None", "returns a NoneType, not an ObjectiveOutput"),
        ("del result.losses['rgb']", "gives losses for depth, not for rgb, depth"),
        ("del result.log['depth']", "gives log for rgb, not for rgb, depth"),
        ("result.log['rgb'].clear()", "logs no cross_entropy of rgb"),
        ("result.losses['rgb'] = 1.0", "not a scalar tensor"),
        ("result.losses['rgb'] = result.losses['rgb'][None]", "not a scalar tensor"),
        ("result.losses['rgb'] = result.losses['rgb'].detach()", "without a gradient"),
        ("result.losses['rgb'] = result.losses['rgb'] / 0", "the loss inf"),
        ("result.losses['rgb'] = result.losses['depth']", "rgb has no gradient"),
    ],
)
def test_what_breaks_the_contract_is_said(own, what, words):
    with pytest.raises(UsageError, match=words) as caught:
        try_method(own(what), MACHINE)
    assert "own.py:build" in caught.value.what


class Wrong(torch.nn.Module):
    """A network of which one thing is wrong."""

    def __init__(self, spec, change, modes=(True, False)):
        super().__init__()
        self.head = torch.nn.Linear(spec.in_channels, spec.num_classes)
        self.change, self.modes = change, modes

    def forward(self, clip):
        logits = self.head(clip.mean(dim=(3, 4)).transpose(1, 2)).transpose(1, 2)
        output = NetworkOutput(logits, clip)
        return self.change(output) if self.training in self.modes else output


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda out: out.logits_NKT, "returns a Tensor, not a NetworkOutput"),
        (lambda out: out._replace(logits_NKT=out.logits_NKT[:, :2]), r"\(2, 3, T'\)"),
        (lambda out: out._replace(logits_NKT=out.logits_NKT.mean(2)), r"\(2, 3, T'\)"),
        (lambda out: out._replace(logits_NKT=out.logits_NKT[..., :0]), r"\(2, 3, T'\)"),
        (lambda out: out._replace(features_NCTHW=out.features_NCTHW[0]), r"\(2, C, T, H, W\)"),
    ],
)
def test_a_network_that_returns_something_else_is_refused(own, change, words):
    with pytest.raises(UsageError, match=words):
        try_method(own(build_network=lambda spec: Wrong(spec, change)), MACHINE)


def test_evaluation_mode_is_tried_too(own):
    def build(spec):
        return Wrong(spec, lambda out: out._replace(logits_NKT=out.logits_NKT[:, :1]), (False,))

    with pytest.raises(UsageError, match="in evaluation mode"):
        try_method(own(build_network=build), MACHINE)


def test_a_fault_of_ours_keeps_its_traceback(make_request):
    plan = plan_runs([make_request()])[0]
    broken = replace(plan.method, build_objective=lambda settings: {}["ours"])
    with pytest.raises(KeyError):
        try_method(replace(plan, loaded=LoadedMethod(broken)), MACHINE)


def test_runs_that_differ_in_fold_and_seed_are_one_trial(make_request):
    plans = plan_runs([make_request(fold="all"), make_request(seed=1), make_request("i3d")])
    assert [plan.method.name for plan in distinct_trials(plans)] == ["mtut", "i3d"]


def test_an_own_method_on_a_network_of_ours_shares_its_first_stages(
    own, make_request, tiny_methods
):
    ours = plan_runs([make_request("i3d")])[0]
    execute([ours], MACHINE, Lines())
    plan = own()
    assert plan.run_id != ours.run_id
    assert plan.identity["method"]["source"]
    lines = Lines()
    execute([plan], MACHINE, lines)
    assert "rgb stage one: shared" in lines.text
    assert [plan.stage_id(m) for m in plan.modalities] == [
        ours.stage_id(m) for m in ours.modalities
    ]


def test_another_network_or_other_weights_are_not_shared(tmp_path):
    def source(**changes):
        text = OWN.replace("WHAT", "pass")
        for old, new in changes.values():
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "own.py"
        path.write_text(text)
        loaded = load_method(f"{path}:build", METHODS)
        return loaded.method.network_source, loaded.source

    assert source() == ("", source()[1])
    build = 'METHODS["i3d"].build_network'
    for change in (
        (build, f"lambda spec: {build}(spec)"),
        ('network="i3d"', 'network="other"'),
        (build, 'METHODS["c3d"].build_network'),
        ("settings: objective", "settings: objective, load_weights=lambda network, path: []"),
    ):
        network_source, own_source = source(change=change)
        assert network_source == own_source
