import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from mtut_baselines.objectives.alignment import (
    AlignmentObjective,
    AlignmentOptions,
    ClassificationObjective,
    alignment_loss,
    correlation,
    focal_weight,
    valid_blocks,
)
from mtut_bench.contract.networks import NetworkOutput
from mtut_bench.errors import UsageError

SHAPE = (3, 8, 2, 2, 3)
LABELS_N = torch.tensor([0, 2, 1])


def features(seed=0, shape=SHAPE, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def leaves(num_modalities=2, dtype=torch.float64):
    """Return features and logits per modality as leaves, so that gradients can be told apart."""
    names = ("rgb", "depth", "flow")[:num_modalities]
    return {
        name: NetworkOutput(
            logits_NKT=features(10 + i, (3, 4, 2), dtype).requires_grad_(),
            features_NCTHW=features(20 + i, SHAPE, dtype).requires_grad_(),
        )
        for i, name in enumerate(names)
    }


def favour(output, by):
    """Raise the logits of the right classes."""
    with torch.no_grad():
        output.logits_NKT.add_(by * F.one_hot(LABELS_N, 4)[:, :, None])


def gradients(objective, outputs, of):
    """Return the gradient of one modality's loss, or of their sum, at every leaf."""
    losses = objective(outputs, LABELS_N).losses
    loss = sum(losses.values()) if of == "all" else losses[of]
    tensors = [tensor for output in outputs.values() for tensor in output]
    found = torch.autograd.grad(loss, tensors, materialize_grads=True)
    pairs = zip(found[::2], found[1::2], strict=True)
    return {name: NetworkOutput(*pair) for name, pair in zip(outputs, pairs, strict=True)}


def slow_correlation(features_CTHW):
    """Equation 1 as printed, one block at a time."""
    blocks = features_CTHW.reshape(features_CTHW.shape[0], -1).T
    rows = []
    for block in blocks:
        mean = sum(block) / len(block)
        deviation = math.sqrt(sum((value - mean) ** 2 for value in block) / len(block))
        standard = [(value - mean) / deviation for value in block]
        length = math.sqrt(sum(value**2 for value in standard))
        rows.append([value / length for value in standard])
    return [[sum(a * b for a, b in zip(p, q, strict=True)) for q in rows] for p in rows]


def slow_cross_entropy(logits_KT, label):
    means = [sum(row) / len(row) for row in logits_KT]
    return math.log(sum(math.exp(value) for value in means)) - means[label]


def slow_losses(outputs, lambda_, beta, focal=True, rho_per="clip"):
    """Equations 2-4 clip by clip, pair by pair."""
    arrays = {name: [t.detach().numpy() for t in output] for name, output in outputs.items()}
    clips = range(len(LABELS_N))
    ce = {
        name: [slow_cross_entropy(logits[i], int(LABELS_N[i])) for i in clips]
        for name, (logits, _) in arrays.items()
    }
    corr = {name: [slow_correlation(f[i]) for i in clips] for name, (_, f) in arrays.items()}
    losses = {}
    for m in outputs:
        total = 0.0
        for i in clips:
            total += ce[m][i]
            for n in outputs:
                if n == m:
                    continue
                a, b = corr[m][i], corr[n][i]
                size = range(len(a))
                ssa = sum((a[p][q] - b[p][q]) ** 2 for p in size for q in size)
                gap = ce[m][i] - ce[n][i]
                if rho_per == "batch":
                    gap = (sum(ce[m]) - sum(ce[n])) / len(clips)
                rho = max(0.0, math.exp(beta * gap) - 1) if focal else 1.0
                total += lambda_ * rho * ssa
        losses[m] = total / len(clips)
    return losses


def test_correlation_is_equation_1():
    x_NCTHW = features()
    expected = [slow_correlation(clip.numpy()) for clip in x_NCTHW]
    # float64 on both sides, sums of 8 terms of at most 1.
    np.testing.assert_allclose(correlation(x_NCTHW).numpy(), expected, rtol=0, atol=1e-13)


def test_float32_correlation_is_near_float64():
    x_NCTHW = features(shape=(2, 64, 2, 3, 3))
    # Sums of 64 products below 1 in float32, relative precision 1.2e-7.
    torch.testing.assert_close(
        correlation(x_NCTHW.float()).double(), correlation(x_NCTHW), rtol=0, atol=2e-6
    )


@pytest.mark.parametrize("num_modalities", [2, 3])
@pytest.mark.parametrize("focal", [True, False])
@pytest.mark.parametrize("rho_per", ["clip", "batch"])
def test_losses_are_equations_2_to_4(num_modalities, focal, rho_per):
    outputs = leaves(num_modalities)
    options = AlignmentOptions(0.05, 2.0, rho_per=rho_per, focal=focal)
    losses = AlignmentObjective(options)(outputs, LABELS_N).losses
    expected = slow_losses(outputs, 0.05, 2.0, focal, rho_per)
    assert {name: loss.item() for name, loss in losses.items()} == pytest.approx(
        expected, rel=1e-12
    )


@pytest.mark.parametrize("shift", [0.0, 5.0])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_correlation_ignores_scale_and_shift_of_each_block(dtype, shift):
    x_NCTHW = features(dtype=dtype)
    places = torch.rand(3, 1, *SHAPE[2:], generator=torch.Generator().manual_seed(1), dtype=dtype)
    scale = 10 ** (8 * places - 4)
    # A shift by 5 deviations costs float32 a few of its last bits before we see the features.
    tolerance = 1e-12 if dtype == torch.float64 else 5e-6
    torch.testing.assert_close(
        correlation((x_NCTHW + shift * places) * scale),
        correlation(x_NCTHW),
        rtol=0,
        atol=tolerance,
    )


@given(st.floats(-30, 30), st.integers(0, 99))
@settings(max_examples=25)
def test_float32_squares_neither_overflow_nor_vanish(exponent, seed):
    x_NCTHW = features(seed, (1, 16, 1, 2, 2), torch.float32)
    # The largest of 64 draws is below 5: in float32's range at both ends.
    torch.testing.assert_close(
        correlation(x_NCTHW * 10**exponent), correlation(x_NCTHW), rtol=0, atol=2e-6
    )


def test_diagonal_is_1_and_range_is_kept():
    corr_NDD = correlation(features(dtype=torch.float32))
    diagonal = corr_NDD.diagonal(dim1=1, dim2=2)
    # Length 1 to a few units in the last place of float32.
    torch.testing.assert_close(diagonal, torch.ones_like(diagonal), rtol=0, atol=1e-6)
    assert corr_NDD.abs().max() <= 1 + 1e-6


@pytest.mark.parametrize("value", [0.0, 0.1, -3.7e4, 1e-30])
def test_constant_blocks_have_no_direction_and_no_gradient(value):
    x_NCTHW = features(shape=(1, 1000, 1, 2, 2), dtype=torch.float32)
    x_NCTHW[0, :, 0, 1, 1] = value
    x_NCTHW.requires_grad_()
    corr_NDD = correlation(x_NCTHW)
    assert not corr_NDD[0, 3].any()
    assert not corr_NDD[0, :, 3].any()
    alignment_loss(corr_NDD, torch.ones_like(corr_NDD)).sum().backward()
    assert x_NCTHW.grad.isfinite().all()
    assert not x_NCTHW.grad[0, :, 0, 1, 1].any()


def test_non_finite_features_are_not_hidden():
    x_NCTHW = features()
    x_NCTHW[0, 0, 0, 0, 0] = math.nan
    assert correlation(x_NCTHW)[0].isnan().any()


def test_gradient_of_the_correlation():
    x_NCTHW = features(shape=(2, 5, 1, 2, 2)).requires_grad_()
    assert torch.autograd.gradcheck(correlation, (x_NCTHW,))


@pytest.mark.parametrize("reduction", ["sum", "mean", "rms"])
def test_gradient_of_the_alignment_loss(reduction):
    pair = [features(seed, (2, 5, 1, 2, 2)).requires_grad_() for seed in (0, 1)]
    assert torch.autograd.gradcheck(
        lambda m, n: alignment_loss(correlation(m), correlation(n), reduction), pair
    )


@pytest.mark.parametrize("rho_per", ["clip", "batch"])
def test_gradient_of_the_whole_objective(rho_per):
    objective = AlignmentObjective(
        AlignmentOptions(0.05, 2.0, target="joint", rho_grad="through", rho_per=rho_per)
    )
    outputs = leaves(3)
    flat = [tensor for output in outputs.values() for tensor in output]

    def losses(*tensors):
        paired = zip(outputs, tensors[::2], tensors[1::2], strict=True)
        named = {name: NetworkOutput(logits, maps) for name, logits, maps in paired}
        return tuple(objective(named, LABELS_N).losses.values())

    assert torch.autograd.gradcheck(losses, flat, fast_mode=True)


def test_bfloat16_autocast_leaves_the_alignment_in_float32():
    x_NCTHW = features(dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(correlation(x_NCTHW), correlation(x_NCTHW))
        inside = correlation(x_NCTHW.bfloat16())
        outputs = {
            name: NetworkOutput(*(t.detach().bfloat16() for t in output))
            for name, output in leaves(dtype=torch.float32).items()
        }
        losses = AlignmentObjective(AlignmentOptions(0.05, 2.0))(outputs, LABELS_N).losses
    assert inside.dtype == torch.float32
    assert torch.equal(inside, correlation(x_NCTHW.bfloat16().float()))
    assert {loss.dtype for loss in losses.values()} == {torch.float32}


@pytest.mark.parametrize("reduction", ["sum", "mean", "rms"])
def test_identical_features_cost_nothing(reduction):
    x_NCTHW = features().requires_grad_()
    loss_N = alignment_loss(correlation(x_NCTHW), correlation(x_NCTHW.detach()), reduction)
    loss_N.sum().backward()
    assert not loss_N.any()
    assert not x_NCTHW.grad.any()


def test_reductions_are_one_quantity():
    corrs = correlation(features(0)), correlation(features(1))
    total, mean, rms = (alignment_loss(*corrs, name) for name in ("sum", "mean", "rms"))
    torch.testing.assert_close(mean, total / 12**2)
    torch.testing.assert_close(rms, mean.sqrt())


@pytest.mark.parametrize("reduction", ["sum", "mean", "rms"])
def test_masked_blocks_are_as_if_absent(reduction):
    # Two time steps of 6 blocks; the second is padding in the first clip only.
    valid_ND = torch.ones(3, 12, dtype=torch.bool)
    valid_ND[0, 6:] = False
    pair = features(0), features(1)
    masked = alignment_loss(*map(correlation, pair), reduction, valid_ND=valid_ND)
    cut = alignment_loss(*(correlation(x[:, :, :1]) for x in pair), reduction)
    whole = alignment_loss(*map(correlation, pair), reduction)
    torch.testing.assert_close(masked, torch.cat([cut[:1], whole[1:]]))


def test_fully_masked_clips_cost_nothing():
    corrs = correlation(features(0)), correlation(features(1))
    loss_N = alignment_loss(*corrs, "mean", valid_ND=torch.zeros(3, 12, dtype=torch.bool))
    assert loss_N.tolist() == [0.0, 0.0, 0.0]


def slow_valid_steps(valid_T, steps):
    """Real frames over each time step of a map, by integer arithmetic alone."""
    frames = len(valid_T)
    spans = [range(t * frames // steps, -(-(t + 1) * frames // steps)) for t in range(steps)]
    return [any(valid_T[frame] for frame in span) for span in spans]


@given(st.lists(st.booleans(), min_size=1, max_size=70), st.integers(1, 10))
@settings(max_examples=60)
def test_a_block_is_valid_over_one_real_frame(valid_T, steps):
    valid_ND = valid_blocks(torch.tensor([valid_T]), torch.empty(1, 3, steps, 2, 3))
    assert valid_ND.dtype == torch.bool
    expected = slow_valid_steps(valid_T, steps)
    assert valid_ND[0].reshape(steps, 6).tolist() == [[valid] * 6 for valid in expected]


def test_every_block_has_a_frame_where_the_network_pads_a_short_clip():
    valid_NT = torch.ones(1, 1, dtype=torch.bool)
    assert valid_blocks(valid_NT, torch.empty(1, 1, 2, 1, 1)).all()


def padded_NT():
    """Return 16 frames of which the second half, the map's second time step, is padding."""
    valid_NT = torch.ones(3, 16, dtype=torch.bool)
    valid_NT[:, 8:] = False
    return valid_NT


def first_step(outputs):
    """Return outputs whose maps end after the first time step."""
    return {
        name: output._replace(features_NCTHW=output.features_NCTHW[:, :, :1])
        for name, output in outputs.items()
    }


@pytest.mark.parametrize("num_modalities", [2, 3])
@pytest.mark.parametrize("reduction", ["sum", "mean", "rms"])
@pytest.mark.parametrize("focal", [True, False])
def test_masked_padding_is_as_if_absent(num_modalities, reduction, focal):
    outputs = leaves(num_modalities)
    objective = AlignmentObjective(
        AlignmentOptions(0.05, 2.0, ssa_reduction=reduction, ssa_padding="mask", focal=focal)
    )
    losses = objective(outputs, LABELS_N, padded_NT()).losses
    expected = objective(first_step(outputs), LABELS_N).losses
    for name, loss in losses.items():
        torch.testing.assert_close(loss, expected[name], rtol=1e-12, atol=0)
        (found,) = torch.autograd.grad(loss, outputs[name].features_NCTHW, retain_graph=True)
        assert not found[:, :, 1].any()
        assert found[:, :, 0].any() == (objective(outputs, LABELS_N).log[name]["rho_max"] > 0)


def bits(objective, outputs, *valid_NT):
    """Return losses and gradients, so that two objectives can be compared bit for bit."""
    losses = objective(outputs, LABELS_N, *valid_NT).losses
    tensors = [tensor for output in outputs.values() for tensor in output]
    found = torch.autograd.grad(sum(losses.values()), tensors, materialize_grads=True)
    return [*losses.values(), *found]


@pytest.mark.parametrize(
    ("padding", "valid_NT"), [("keep", padded_NT()), ("mask", None), ("mask", padded_NT() | True)]
)
def test_padding_changes_nothing_where_it_is_kept_or_absent(padding, valid_NT):
    outputs = leaves(3, torch.float32)
    plain = bits(AlignmentObjective(AlignmentOptions(0.05, 2.0)), outputs)
    found = bits(
        AlignmentObjective(AlignmentOptions(0.05, 2.0, ssa_padding=padding)), outputs, valid_NT
    )
    assert all(torch.equal(a, b) for a, b in zip(plain, found, strict=True))


def test_clips_of_padding_alone_are_not_aligned():
    outputs, valid_NT = leaves(), torch.zeros(3, 16, dtype=torch.bool)
    objective = AlignmentObjective(AlignmentOptions(0.05, 2.0, ssa_padding="mask"))
    masked = objective(outputs, LABELS_N, valid_NT)
    assert masked.log["rgb"]["ssa"] == 0.0
    plain = ClassificationObjective()(outputs, LABELS_N)
    assert all(torch.equal(masked.losses[name], plain.losses[name]) for name in outputs)


def test_focal_weight_is_equation_3():
    loss_m, loss_n = torch.tensor([2.0, 1.0, 1.0, 6.0]), torch.tensor([1.5, 1.0, 3.0, 1.0])
    expected = [math.exp(1.0) - 1, 0.0, 0.0, math.exp(10.0) - 1]
    assert focal_weight(loss_m, loss_n, 2.0).tolist() == pytest.approx(expected, rel=1e-6)
    capped = focal_weight(loss_m, loss_n, 2.0, rho_max=10.0)
    assert capped.tolist() == pytest.approx([*expected[:3], 10.0], rel=1e-6)


def test_the_saturating_weight_stays_below_1_and_begins_with_the_same_slope():
    gaps = torch.tensor([-1.0, 0.0, 1e-4, 0.5, 5.0, 500.0], dtype=torch.float64)
    grown = focal_weight(gaps, torch.zeros_like(gaps), 2.0)
    rho = focal_weight(gaps, torch.zeros_like(gaps), 2.0, form="saturating")
    expected = [0.0, 0.0, *(1 - math.exp(-2 * gap) for gap in gaps[2:].tolist())]
    assert rho.tolist() == pytest.approx(expected, rel=1e-11)
    assert rho[:5].tolist() == pytest.approx((grown / (1 + grown))[:5].tolist(), rel=1e-11)
    assert rho[2] == pytest.approx(float(grown[2]), rel=3e-4)
    assert focal_weight(gaps, gaps * 0, 2.0, 0.4, "saturating").max() == 0.4
    loss_m = torch.tensor([500.0], requires_grad=True)
    focal_weight(loss_m, torch.zeros(1), 2.0, form="saturating").backward()
    assert loss_m.grad.item() == 0.0


def test_a_ceiling_keeps_gradients_finite_where_exp_overflows():
    loss_m = torch.tensor([200.0], requires_grad=True)
    rho = focal_weight(loss_m, torch.tensor([0.0]), 2.0, rho_max=5.0)
    rho.sum().backward()
    assert rho.item() == pytest.approx(5.0)
    assert loss_m.grad.item() == 0.0


def test_a_tie_has_no_weight_and_no_gradient():
    loss_m = torch.tensor([1.0], requires_grad=True)
    rho = focal_weight(loss_m, torch.tensor([1.0]), 2.0)
    rho.sum().backward()
    assert rho.item() == loss_m.grad.item() == 0.0


@pytest.mark.parametrize("num_modalities", [2, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("lambda_", "beta"), [(0.0, 2.0), (0.05, 0.0)])
@pytest.mark.parametrize("routing", [("detach", "detach"), ("joint", "through")])
def test_switched_off_is_plain_cross_entropy_bit_for_bit(
    num_modalities, dtype, lambda_, beta, routing
):
    outputs = leaves(num_modalities, dtype)
    objective = AlignmentObjective(
        AlignmentOptions(lambda_, beta, target=routing[0], rho_grad=routing[1])
    )
    losses = objective(outputs, LABELS_N).losses
    found = gradients(objective, outputs, "all")
    for name, output in outputs.items():
        loss = F.cross_entropy(output.logits_NKT.mean(dim=2), LABELS_N)
        (expected,) = torch.autograd.grad(loss, output.logits_NKT)
        assert torch.equal(losses[name], loss)
        assert torch.equal(found[name].logits_NKT, expected)
        assert not found[name].features_NCTHW.any()


def test_switched_off_ignores_an_infinite_rho():
    outputs = leaves(dtype=torch.float32)
    favour(outputs["rgb"], -200)
    result = AlignmentObjective(AlignmentOptions(0.0, 2.0))(outputs, LABELS_N)
    assert result.losses["rgb"].isfinite()
    assert result.log["rgb"]["ssa"] > 0


@pytest.mark.parametrize("rho_per", ["clip", "batch"])
def test_exchanging_modalities_exchanges_losses(rho_per):
    outputs = leaves(3)
    objective = AlignmentObjective(AlignmentOptions(0.05, 2.0, rho_per=rho_per))
    exchanged = {"rgb": outputs["depth"], "depth": outputs["rgb"], "flow": outputs["flow"]}
    losses, others = (objective(o, LABELS_N).losses for o in (outputs, exchanged))
    # With three modalities the sums over the others change their order: float64 rounding.
    for name, other in (("rgb", "depth"), ("depth", "rgb"), ("flow", "flow")):
        torch.testing.assert_close(losses[name], others[other], rtol=1e-13, atol=0)


def one_sided(num_modalities=2):
    """Return outputs in which modality rgb is better than every other on every clip."""
    outputs = leaves(num_modalities)
    favour(outputs["rgb"], 20)
    return outputs


@pytest.mark.parametrize("num_modalities", [2, 3])
@pytest.mark.parametrize("rho_grad", ["detach", "through"])
@pytest.mark.parametrize("rho_per", ["clip", "batch"])
def test_only_the_worse_network_follows(num_modalities, rho_grad, rho_per):
    outputs = one_sided(num_modalities)
    objective = AlignmentObjective(AlignmentOptions(0.05, 2.0, rho_grad=rho_grad, rho_per=rho_per))
    plain = gradients(ClassificationObjective(), outputs, "all")
    found = gradients(objective, outputs, "all")
    assert torch.equal(found["rgb"].logits_NKT, plain["rgb"].logits_NKT)
    assert not found["rgb"].features_NCTHW.any()
    for name in list(outputs)[1:]:
        assert found[name].features_NCTHW.any()
    log = objective(outputs, LABELS_N).log
    assert log["rgb"]["rho_open"] == 0.0
    assert log["depth"]["rho_open"] > 0.0


ROUTES = {
    # Which leaves of (worse, better) network the worse network's loss reaches beyond its own
    # classification loss: (worse logits, worse features, better logits, better features).
    ("detach", "detach"): (False, True, False, False),
    ("detach", "through"): (True, True, False, False),
    ("joint", "detach"): (False, True, False, True),
    ("joint", "through"): (True, True, True, True),
}


@pytest.mark.parametrize("rho_per", ["clip", "batch"])
@pytest.mark.parametrize("routing", ROUTES)
def test_each_routing_changes_exactly_its_gradients(routing, rho_per):
    target, rho_grad = routing
    outputs = leaves()
    favour(outputs["depth"], 2)
    objective = AlignmentObjective(
        AlignmentOptions(0.05, 2.0, target=target, rho_grad=rho_grad, rho_per=rho_per)
    )
    plain = gradients(ClassificationObjective(), outputs, "rgb")
    found = gradients(objective, outputs, "rgb")
    changed = [
        not torch.equal(after, before)
        for name in ("rgb", "depth")
        for after, before in zip(found[name], plain[name], strict=True)
    ]
    assert tuple(changed) == ROUTES[routing]


def test_routing_changes_no_loss():
    outputs = leaves(3)
    values = set()
    for target, rho_grad in ROUTES:
        options = AlignmentOptions(0.05, 2.0, target=target, rho_grad=rho_grad)
        losses = AlignmentObjective(options)(outputs, LABELS_N).losses
        values.add(tuple(loss.item() for loss in losses.values()))
    assert len(values) == 1


def test_without_focus_rho_is_1_for_every_ordered_pair():
    log = AlignmentObjective(AlignmentOptions(0.05, 2.0, focal=False))(leaves(3), LABELS_N).log
    for entry in log.values():
        assert entry["rho_mean"] == entry["rho_max"] == entry["rho_open"] == 1.0
        assert entry["ssa_term"] == pytest.approx(0.05 * 2 * entry["ssa"])


def test_log_agrees_with_the_losses():
    outputs = leaves(3)
    objective = AlignmentObjective(AlignmentOptions(0.05, 2.0))
    result = objective(outputs, LABELS_N)
    for name, entry in result.log.items():
        total = entry["cross_entropy"] + entry["ssa_term"]
        assert total == pytest.approx(result.losses[name].item(), rel=1e-12)
        assert entry["ratio"] == pytest.approx(entry["ssa_term"] / entry["cross_entropy"])
        assert 0 <= entry["rho_mean"] <= entry["rho_max"]
        assert 0 <= entry["rho_open"] <= 1


def test_a_saturated_loss_logs_a_finite_ratio():
    outputs = one_sided()
    favour(outputs["rgb"], 1e4)
    entry = AlignmentObjective(AlignmentOptions(0.05, 0.0))(outputs, LABELS_N).log["rgb"]
    assert (entry["cross_entropy"], entry["ratio"]) == (0.0, 0.0)


def test_classification_is_cross_entropy_of_the_mean_logits():
    outputs = leaves(3)
    result = ClassificationObjective()(outputs, LABELS_N, padded_NT())
    for name, output in outputs.items():
        logits = output.logits_NKT.detach().numpy()
        clips = [slow_cross_entropy(logits[i], int(label)) for i, label in enumerate(LABELS_N)]
        assert result.losses[name].item() == pytest.approx(np.mean(clips), rel=1e-12)
        assert result.log[name] == {"cross_entropy": result.losses[name].item()}


def test_one_modality_cannot_be_aligned():
    with pytest.raises(UsageError, match="rgb"):
        AlignmentObjective(AlignmentOptions(0.05, 2.0))(leaves(1), LABELS_N)


@pytest.mark.parametrize(
    "change",
    [{"target": "both"}, {"rho_grad": ""}, {"rho_per": "epoch"}, {"ssa_reduction": "max"}]
    + [{"ssa_padding": "drop"}, {"lambda_": -0.1}, {"beta": math.nan}, {"rho_max": math.inf}],
)
def test_illegal_options_are_named(change):
    (name,) = change
    with pytest.raises(UsageError, match=name.rstrip("_")):
        AlignmentOptions(**{"lambda_": 0.05, "beta": 2.0} | change)
