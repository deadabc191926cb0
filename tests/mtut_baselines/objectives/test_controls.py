"""Each control against the sum over clips and pairs written out in float64."""

import math

import numpy as np
import pytest
import torch

from mtut_baselines import METHODS
from mtut_bench.contract.networks import NetworkOutput
from mtut_bench.contract.protocol import PROTOCOLS
from mtut_bench.errors import UsageError

NUM_CLIPS, NUM_CLASSES = 4, 3
LABELS_N = torch.tensor([0, 2, 1, 1])
MODALITIES = ("rgb", "depth", "flow")
SETTINGS = {**PROTOCOLS["paper"].recipe.objective_settings(), "rho_constant": 0.7}
# Sums of a few hundred products in another order.
CLOSE = {"rtol": 1e-10}


@pytest.fixture
def outputs():
    generator = torch.Generator().manual_seed(3)
    return {
        name: NetworkOutput(
            torch.randn(NUM_CLIPS, NUM_CLASSES, 2, dtype=torch.float64, generator=generator) * 2,
            torch.randn(NUM_CLIPS, 5, 2, 2, 1, dtype=torch.float64, generator=generator),
        )
        for name in MODALITIES
    }


def losses_of(method, outputs, **settings):
    objective = METHODS[method].build_objective({**SETTINGS, **settings})
    found = objective(outputs, LABELS_N).losses
    return {name: float(loss) for name, loss in found.items()}


def logits(output):
    return output.logits_NKT.numpy().mean(axis=2)


def cross_entropy(output, clip):
    row = logits(output)[clip]
    return math.log(sum(math.exp(v) for v in row)) - row[int(LABELS_N[clip])]


def distance(output_m, output_n, clip_m, clip_n):
    """Squared Frobenius norm between numpy's correlation matrices of the blocks of two clips."""
    matrices = [
        np.corrcoef(output.features_NCTHW[clip].reshape(5, -1).numpy().T)
        for output, clip in ((output_m, clip_m), (output_n, clip_n))
    ]
    return float(((matrices[0] - matrices[1]) ** 2).sum())


def rho(loss_m, loss_n):
    return max(0.0, math.exp(2.0 * (loss_m - loss_n)) - 1.0)


def expected(outputs, term):
    """Cross-entropy plus 0.05 times the sum of ``term(m, n, clip)`` over others; clip means."""
    return {
        m: sum(
            cross_entropy(outputs[m], i)
            + 0.05 * sum(term(outputs[m], outputs[n], i) for n in outputs if n != m)
            for i in range(NUM_CLIPS)
        )
        / NUM_CLIPS
        for m in outputs
    }


def after(clip):
    return (clip + 1) % NUM_CLIPS


def mean_entropy(output):
    return sum(cross_entropy(output, i) for i in range(NUM_CLIPS)) / NUM_CLIPS


TERMS = {
    "mtut": lambda m, n, i: rho(mean_entropy(m), mean_entropy(n)) * distance(m, n, i, i),
    "mtut-other-clip": lambda m, n, i: (
        rho(mean_entropy(m), mean_entropy(n)) * distance(m, n, i, after(i))
    ),
    "mtut-rho-inverted": lambda m, n, i: (
        rho(mean_entropy(n), mean_entropy(m)) * distance(m, n, i, i)
    ),
    "mtut-rho-constant": lambda m, n, i: 0.7 * distance(m, n, i, i),
    "mtut-rho-per-clip": lambda m, n, i: (
        rho(cross_entropy(m, i), cross_entropy(n, i)) * distance(m, n, i, i)
    ),
    "mtut-rho-permuted": lambda m, n, i: (
        rho(cross_entropy(m, after(i)), cross_entropy(n, after(i))) * distance(m, n, i, i)
    ),
}


@pytest.mark.parametrize("form", ["exp", "saturating"])
@pytest.mark.parametrize("method", TERMS)
def test_control_is_the_sum_written_out(method, form, outputs, monkeypatch):
    if form == "saturating":
        monkeypatch.setitem(SETTINGS, "rho_form", form)
        # A share of the whole that a gap makes: rho / (1 + rho).
        grown = rho
        monkeypatch.setitem(globals(), "rho", lambda m, n: grown(m, n) / (1 + grown(m, n)))
    assert losses_of(method, outputs) == pytest.approx(
        expected(outputs, TERMS[method]), rel=CLOSE["rtol"]
    )


def test_controls_differ_from_mtut_and_from_each_other(outputs):
    found = [tuple(losses_of(method, outputs).values()) for method in TERMS]
    assert len({tuple(round(value, 6) for value in values) for values in found}) == len(TERMS)


def test_constant_of_one_is_ssa_and_of_nothing_is_classification(outputs):
    one = losses_of("mtut-rho-constant", outputs, rho_constant=1.0)
    assert one == pytest.approx(losses_of("i3d+ssa", outputs), rel=CLOSE["rtol"])
    nothing = losses_of("mtut-rho-constant", outputs, rho_constant=0.0)
    assert nothing == pytest.approx(losses_of("i3d", outputs), rel=CLOSE["rtol"])


def test_negative_constant_is_refused(outputs):
    with pytest.raises(UsageError, match="rho_constant is -1"):
        losses_of("mtut-rho-constant", outputs, rho_constant=-1.0)


def test_controls_of_one_clip_are_mtut(outputs):
    single = {
        name: NetworkOutput(out.logits_NKT[:1], out.features_NCTHW[:1])
        for name, out in outputs.items()
    }
    losses = [
        METHODS[method].build_objective(SETTINGS)(single, LABELS_N[:1]).losses
        for method in ("mtut", "mtut-other-clip", "mtut-rho-per-clip", "mtut-rho-permuted")
    ]
    for other in losses[1:]:
        for name in MODALITIES:
            assert torch.equal(other[name], losses[0][name])


def test_mutual_learning_is_the_divergence_written_out(outputs):
    shares = {}
    for name, output in outputs.items():
        powers = np.exp(logits(output))
        shares[name] = powers / powers.sum(axis=1, keepdims=True)
    wanted = {}
    for m in outputs:
        plain = sum(cross_entropy(outputs[m], i) for i in range(NUM_CLIPS)) / NUM_CLIPS
        others = [
            (shares[n] * np.log(shares[n] / shares[m])).sum() / NUM_CLIPS for n in outputs if n != m
        ]
        wanted[m] = plain + sum(others) / len(others)
    assert losses_of("mutual-learning", outputs) == pytest.approx(wanted, rel=CLOSE["rtol"])


@pytest.mark.parametrize("method", ["mutual-learning", "mtut-other-clip"])
def test_no_gradient_reaches_the_other_network(method, outputs):
    for output in outputs.values():
        output.logits_NKT.requires_grad_()
        output.features_NCTHW.requires_grad_()
    objective = METHODS[method].build_objective(SETTINGS)
    objective(outputs, LABELS_N).losses["rgb"].backward()
    assert outputs["rgb"].logits_NKT.grad is not None
    assert outputs["depth"].logits_NKT.grad is None
    assert outputs["depth"].features_NCTHW.grad is None


def test_mutual_learning_of_one_network_is_refused(outputs):
    objective = METHODS["mutual-learning"].build_objective(SETTINGS)
    with pytest.raises(UsageError, match="needs two modalities"):
        objective({"rgb": outputs["rgb"]}, LABELS_N)
