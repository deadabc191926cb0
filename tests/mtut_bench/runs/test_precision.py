from dataclasses import replace

import pytest
import torch
from planned import plan_runs, planner_of, varied
from run_bench import MACHINE, Lines
from torch import nn
from torch.nn import functional

from mtut_baselines import METHODS
from mtut_bench.cli.run import _right_precision
from mtut_bench.contract.method_file import LoadedMethod
from mtut_bench.contract.networks import NetworkOutput, NetworkSpec
from mtut_bench.contract.protocol import PROTOCOLS
from mtut_bench.errors import PrecisionError
from mtut_bench.runs import precision
from mtut_bench.runs.execute import execute
from mtut_bench.runs.machine import Machine
from mtut_bench.runs.precision import PrecisionChecks, compare_step, refuse_disagreement

CPU = torch.device("cpu")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


class _Faulty(torch.autograd.Function):
    """A convolution whose gradients are multiplied by factors in the backward pass."""

    @staticmethod
    def forward(ctx, x, weight, factors):
        ctx.save_for_backward(x, weight)
        ctx.factors = factors
        return functional.conv3d(x, weight, padding=1)

    @staticmethod
    def backward(ctx, gradient):
        x, weight = ctx.saved_tensors
        of_x = torch.nn.grad.conv3d_input(x.shape, weight, gradient, padding=1)
        of_weight = torch.nn.grad.conv3d_weight(x, weight.shape, gradient, padding=1)
        return of_x * ctx.factors[0], of_weight * ctx.factors[1], None


class FaultyConv(nn.Module):
    """Right in float32; under autocast its gradients are wrong at clips of `frames` frames."""

    def __init__(self, channels, factors, frames):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, channels, 3, 3, 3) / 9)
        self.factors, self.frames = factors, frames

    def forward(self, x):
        if not torch.is_autocast_enabled("cpu") or x.shape[2] != self.frames:
            return functional.conv3d(x, self.weight, padding=1)
        with torch.autocast("cpu", enabled=False):
            return _Faulty.apply(x.float(), self.weight, [f() for f in self.factors])


def one():
    return 1.0


class Network(nn.Module):
    """Two convolutions with batch norm between; `middle` takes the place of the second."""

    def __init__(self, spec, middle=None):
        super().__init__()
        self.first = nn.Conv3d(spec.in_channels, 8, 3, stride=(2, 2, 2), padding=1)
        self.norm = nn.BatchNorm3d(8)
        self.middle = middle or nn.Conv3d(8, 8, 3, padding=1)
        self.head = nn.Linear(8, spec.num_classes)

    def forward(self, clip):
        features = self.middle(self.norm(self.first(clip)).relu())
        logits = self.head(functional.dropout(features.mean(dim=(3, 4)).transpose(1, 2), 0.5))
        return NetworkOutput(logits.transpose(1, 2), features)


SPEC = NetworkSpec(num_classes=3, in_channels=3, width=1.0, dropout=0.5, bn_momentum=0.1)


def batch(frames=4, num_clips=4, side=16):
    clip = torch.rand(num_clips, 3, frames, side, side, generator=torch.Generator().manual_seed(1))
    return clip * 2 - 1, torch.arange(num_clips) % 3


def compare(network, frames=4):
    return compare_step(network, *batch(frames))


def test_right_layers_differ_by_the_last_rounding_alone():
    torch.manual_seed(0)
    found = compare(Network(SPEC))
    assert (found.num_layers, found.num_clips, found.repeat) == (4, 4, 0)
    # A rounding to 8 bits moves a number by at most 2^-9, half of that or so in the mean.
    assert 1e-4 < found.largest.relative < 2**-8
    refuse_disagreement(found, "a network", CPU)


@pytest.mark.parametrize("factor", [1.05, -1.0, float("nan")])
@pytest.mark.parametrize("quantity", ["gradient of the input", "gradient of weight"])
def test_a_wrong_gradient_is_found_and_named(factor, quantity):
    torch.manual_seed(0)
    of_input = quantity == "gradient of the input"
    factors = (lambda: factor, one) if of_input else (one, lambda: factor)
    found = compare(Network(SPEC, FaultyConv(8, factors, frames=2)))
    assert (found.largest.layer, found.largest.quantity) == ("middle", quantity)
    # Two frames reach it; its input and its weight are named with their sizes.
    assert found.largest.shapes == "input (4, 8, 2, 8, 8), weight (8, 8, 3, 3, 3)"
    if abs(factor) < 2:
        # The measure is the relative error itself.
        assert found.largest.relative == pytest.approx(abs(factor - 1), abs=0.003)
    with pytest.raises(PrecisionError) as caught:
        refuse_disagreement(found, "mine on rgb", CPU)
    for part in ("mine on rgb", quantity, "middle", "(4, 8, 2, 8, 8)", torch.__version__):
        assert part in caught.value.what
    assert "--precision fp32" in caught.value.hint


def test_a_layer_that_is_wrong_for_some_shapes_passes_at_others():
    torch.manual_seed(0)
    network = Network(SPEC, FaultyConv(8, (one, lambda: 100.0), frames=2))
    refuse_disagreement(compare(network, frames=8), "mine", CPU)


def test_a_gradient_that_is_another_each_time_is_refused():
    torch.manual_seed(0)
    # Within what roundings may do, so that the repetition alone can tell.
    values = iter([1.001, 1.002, 1.003, 1.004, 1.005])
    found = compare(Network(SPEC, FaultyConv(8, (one, lambda: next(values)), frames=2)))
    assert found.largest.relative < precision.LARGEST_DIFFERENCE
    assert 0 < found.repeat < 0.01
    with pytest.raises(PrecisionError, match="repeating a training step"):
        refuse_disagreement(found, "mine", CPU)
    # On a GPU kernels may add in any order.
    refuse_disagreement(replace(found, repeat=0.01), "mine", torch.device("meta"))


def direct_error(frames):
    """Relative error of the weight gradient of a bare convolution under bf16."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(5, 16, frames, 3, 3, generator=generator)
    w = torch.randn(32, 16, 3, 3, 3, generator=generator)
    found = []
    for enabled in (False, True):
        weight = w.clone().requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            y = functional.conv3d(x, weight, padding=1)
        (y.float() * torch.linspace(-1, 1, y.numel()).reshape(y.shape)).sum().backward()
        found.append(weight.grad)
    return float((found[1] - found[0]).norm() / found[0].norm())


@pytest.mark.parametrize(("frames", "deepest"), [(16, 2), (32, 4)])
def test_i3d_is_refused_where_a_bare_convolution_is_wrong(frames, deepest):
    """On some CPUs bf16 is wrong at two frames, which is what I3D's last blocks see of 16."""
    torch.manual_seed(0)
    network = METHODS["i3d"].build_network(replace(SPEC, width=0.125))
    found = compare_step(network, *batch(frames, 2, side=64))
    wrong = not direct_error(deepest) < 0.1
    assert (not found.largest.relative < precision.LARGEST_DIFFERENCE) == wrong
    if wrong:
        assert f", {deepest}, 2, 2), weight" in found.largest.shapes


def test_recurrent_layers_and_layers_that_own_children_are_compared():
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))
            self.lstm = nn.LSTM(3, 5, num_layers=2, batch_first=True)
            self.dropout = nn.Dropout(0.5)
            self.head = nn.Linear(5, 3)

        def forward(self, clip):
            steps, _ = self.lstm(clip.mean(dim=(3, 4)).transpose(1, 2) * self.scale)
            logits = self.head(self.dropout(steps))
            return NetworkOutput(logits.transpose(1, 2), clip)

    torch.manual_seed(0)
    found = compare(Recurrent())
    assert found.num_layers == 3
    # A network of several layers adds up roundings; nothing here is wrong.
    assert found.largest.relative < 0.02


@pytest.fixture
def plan(make_request):
    def make(method="mtut", build=None, **changes):
        made = plan_runs([make_request(method, **{"precision": "bf16", **changes})])[0]
        if build is None:
            return made
        own = replace(made.method, build_network=build)
        return replace(made, loaded=LoadedMethod(own))

    return make


class Scaled(nn.Module):
    """Multiplies the feature map under autocast, outside of any layer with parameters."""

    def __init__(self, network, factor):
        super().__init__()
        self.network, self.factor = network, factor

    def forward(self, clip):
        output = self.network(clip)
        factor = self.factor if torch.is_autocast_enabled("cpu") else 1.0
        return NetworkOutput(output.logits_NKT, output.features_NCTHW * factor)


@pytest.mark.parametrize("factor", [1.2, float("nan")])
def test_a_wrong_result_outside_of_layers_shows_in_the_feature_map(plan, tiny_methods, factor):
    network = tiny_methods["mtut"].build_network
    with pytest.raises(PrecisionError, match="feature map of tiny on rgb"):
        PrecisionChecks(MACHINE).of(plan(build=lambda spec: Scaled(network(spec), factor)))


def test_a_run_is_refused_before_anything_is_trained(plan, tiny_methods):
    broken = plan(build=lambda spec: Network(spec, FaultyConv(8, (one, lambda: 9.0), frames=4)))
    with pytest.raises(PrecisionError, match="middle"):
        execute([plan("i3d", precision="fp32"), broken], MACHINE, Lines())
    assert not (broken.runs / "stages").exists()


def test_the_manifest_keeps_what_was_compared(plan):
    found = PrecisionChecks(MACHINE).of(plan())
    assert found.keys() == {"rgb", "depth"}
    for agreement in found.values():
        assert agreement["num_layers"] == 3
        assert 0 < agreement["largest"]["relative"] < 0.02
        assert 0 < agreement["feature_map"] < 0.05
        assert agreement["repeat"] == 0


def test_a_run_says_what_was_compared(plan):
    lines = Lines()
    execute([plan("i3d")], MACHINE, lines)
    (line,) = [line for line in lines.lines if line.startswith("bf16 of tiny on rgb")]
    assert "3 layers" in line
    assert "largest difference 0." in line


def test_float32_needs_no_comparison(plan, monkeypatch):
    monkeypatch.setattr(precision, "compare_step", None)
    assert PrecisionChecks(MACHINE).of(plan(precision="fp32")) is None


def test_networks_of_equal_layers_are_compared_once(plan, monkeypatch):
    calls = []
    real = precision.compare_step
    monkeypatch.setattr(precision, "compare_step", lambda *a: calls.append(a) or real(*a))
    checks = PrecisionChecks(MACHINE)
    # rgb and depth have three channels each; another method, seed or fold has the same networks.
    checks.check([plan(), plan("i3d", seed=3), plan("i3d", fold="2")])
    assert len(calls) == 1
    checks.check([plan(settings=("clip_length=12",))])
    assert len(calls) == 2


def test_a_step_that_does_not_fit_into_memory_is_compared_on_fewer_clips(plan, monkeypatch):
    real, sizes = precision.compare_step, []

    def small_memory(network, clip, labels):
        sizes.append(len(labels))
        if len(labels) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(network, clip, labels)

    monkeypatch.setattr(precision, "compare_step", small_memory)
    found = PrecisionChecks(MACHINE).of(plan())
    assert sizes[-1] == 2
    assert sizes[0] > 2
    assert found["rgb"]["num_clips"] == 2


def test_auto_takes_float32_where_the_device_is_wrong(make_request, capsys):
    request = make_request(precision="bf16")
    faulty = replace(
        request.method,
        build_network=lambda spec: Network(spec, FaultyConv(8, (one, lambda: 9.0), frames=4)),
    )
    for method, expected in ((request.method, "bf16"), (faulty, "fp32")):
        planner, specs = planner_of([replace(request, method=method)])
        plans = planner.runs(specs)
        plans = _right_precision(plans, [specs], planner, PrecisionChecks(MACHINE))
        assert {plan.precision for plan in plans} == {expected}
    assert "gradient of weight of layer middle" in " ".join(capsys.readouterr().out.split())


@pytest.mark.gpu
@needs_gpu
def test_bfloat16_of_i3d_passes_on_a_gpu(make_request):
    protocol = varied(PROTOCOLS["demo"], width=1.0, clip_length=64, short_side=224, crop=224)
    request = replace(make_request(protocol=protocol, precision="bf16"), method=METHODS["mtut"])
    checks = PrecisionChecks(Machine(torch.device("cuda"), 0, "mtut-bench run"))
    assert checks.of(plan_runs([request])[0])
