import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from training_bench import Bench, Interrupted, same, state_bytes, stop_after, weights

from mtut_baselines import METHODS
from mtut_bench.contract.metrics import accuracy
from mtut_bench.contract.networks import NetworkOutput, ObjectiveOutput
from mtut_bench.errors import PrecisionError, RunError, TrainingDivergedError
from mtut_bench.loading.sampling import epoch_order, keyed_seed
from mtut_bench.loading.transforms import to_input
from mtut_bench.runs.precision import compare_step, refuse_disagreement
from mtut_bench.store.reader import StoreReader
from mtut_bench.training import loop as trainer
from mtut_bench.training.loop import Stage, train
from mtut_bench.training.step import classification_losses
from mtut_bench.training.train_state import network_spec
from mtut_bench.training.whole_clip_test import predict


def test_another_seed_another_network(bench):
    first = bench.train_states(("rgb",))["rgb"]
    second = bench.train_states(("rgb",), seed=1)["rgb"]
    assert not torch.equal(first.network.conv.weight, second.network.conv.weight)


def test_initialisation_does_not_depend_on_what_was_drawn_before(bench):
    first = bench.train_states(("rgb", "depth"))["depth"]
    torch.rand(100)
    assert same(weights(first), weights(bench.train_states(("depth",))["depth"]))


def test_modalities_start_from_different_weights(bench):
    train_states = bench.train_states(("rgb", "depth"))
    assert not torch.equal(
        train_states["rgb"].network.conv.weight, train_states["depth"].network.conv.weight
    )


def test_training_leaves_the_global_generator_alone(bench):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    bench.train_states(("rgb",))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_stage_one_interrupted_and_resumed_ends_with_the_same_bytes(bench, epochs):
    undisturbed, _ = bench.alone(("rgb",), "a")
    with pytest.raises(Interrupted):
        bench.alone(("rgb",), "b", progress=stop_after(epochs))
    resumed, log = bench.alone(("rgb",), "b")
    assert state_bytes(resumed["rgb"]) == state_bytes(undisturbed["rgb"])
    assert [entry["epoch"] for entry in log] == [0, 1, 2]


def test_a_stage_says_once_where_it_begins(bench):
    told = []
    options = {"begin": lambda *note: told.append(note), "progress": stop_after(2)}
    with pytest.raises(Interrupted):
        bench.alone(("rgb",), **options)
    options["progress"] = None
    train_states, _ = bench.alone(("rgb",), **options)
    bench.alone(("rgb",), **options)
    assert told == [(0, 3), (2, 3), (3, 3)]
    # Stage two counts its own epochs.
    bench.joint(train_states, method="i3d", **options)
    assert told[3:] == [(0, 2)]


@pytest.mark.parametrize("epochs", [1, 2])
def test_stage_two_interrupted_and_resumed_ends_with_the_same_bytes(bench, epochs):
    undisturbed, _ = bench.alone(("rgb", "depth"))
    bench.joint(undisturbed, name="a")
    first, _ = bench.alone(("rgb", "depth"))
    with pytest.raises(Interrupted):
        bench.joint(first, name="b", progress=stop_after(epochs))
    resumed, _ = bench.alone(("rgb", "depth"))
    bench.joint(resumed, name="b")
    for modality in ("rgb", "depth"):
        assert state_bytes(resumed[modality]) == state_bytes(undisturbed[modality])


def test_a_stop_within_an_epoch_goes_back_to_its_start(bench, monkeypatch):
    undisturbed, _ = bench.alone(("rgb",), "a")
    step, calls = trainer.train_step, []

    def failing(*arguments):
        calls.append(1)
        if len(calls) == 5:  # the second step of the second epoch
            raise Interrupted
        return step(*arguments)

    monkeypatch.setattr(trainer, "train_step", failing)
    with pytest.raises(Interrupted):
        bench.alone(("rgb",), "b")
    resumed, _ = bench.alone(("rgb",), "b")
    assert state_bytes(resumed["rgb"]) == state_bytes(undisturbed["rgb"])
    assert len(calls) == 5 + 6


def test_finished_stage_is_taken_up_without_a_step(bench, monkeypatch):
    first, log = bench.alone(("rgb",))
    monkeypatch.setattr("mtut_bench.training.loop.train_step", None)
    second, again = bench.alone(("rgb",))
    assert state_bytes(first["rgb"]) == state_bytes(second["rgb"])
    assert log == again


def test_stage_one_alone_equals_stage_one_in_company(bench):
    company, _ = bench.alone(("rgb", "depth"), "both")
    for modality in ("rgb", "depth"):
        single, _ = bench.alone((modality,), modality)
        assert state_bytes(single[modality]) == state_bytes(company[modality])


def test_a_worker_trains_to_the_bytes_of_none(bench):
    first, _ = bench.alone(("rgb",), "a")
    second, _ = bench.alone(("rgb",), "b", workers=1)
    assert state_bytes(first["rgb"]) == state_bytes(second["rgb"])


@pytest.mark.parametrize("off", ["lambda_", "beta"])
def test_mtut_switched_off_is_plain_training_bit_for_bit(bench, off):
    plain, _ = bench.alone(("rgb", "depth"))
    bench.joint(plain, "i3d", "plain")
    zero, _ = bench.alone(("rgb", "depth"))
    bench.joint(zero, "mtut", "zero", replace(bench.recipe, **{off: 0.0}))
    assert all(state_bytes(plain[m]) == state_bytes(zero[m]) for m in plain)


def test_mtut_trains_other_weights(bench):
    plain, _ = bench.alone(("rgb", "depth"))
    bench.joint(plain, "i3d", "plain")
    mtut, _ = bench.alone(("rgb", "depth"))
    bench.joint(mtut, "mtut", "mtut")
    assert not same(weights(plain["rgb"]), weights(mtut["rgb"]))


def test_one_step_is_sgd_with_momentum_by_hand(bench):
    recipe = replace(
        bench.recipe, epochs_alone=1, batch_size=8, weight_decay=0.1, gradient_clip=None
    )
    start = weights(bench.train_states(("rgb",), recipe=recipe)["rgb"])
    train_states, _ = bench.alone(("rgb",), recipe=recipe)
    parameter = train_states["rgb"].network.conv.weight
    gradient = parameter.grad + 0.1 * start["conv.weight"]
    expected = start["conv.weight"] - recipe.learning_rate * gradient
    torch.testing.assert_close(parameter.detach(), expected, rtol=0, atol=1e-7)


class Flat(nn.Module):
    """Logits that no input and no step changes: a saturated loss."""

    def __init__(self, spec):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.num_classes = spec.num_classes

    def forward(self, clip):
        logits = (self.weight - self.weight.detach()).expand(len(clip), self.num_classes, 1)
        return NetworkOutput(logits, clip)


def test_saturated_loss_lowers_the_rate_after_the_patience_to_the_floor(bench):
    bench.methods = {"i3d": replace(bench.methods["i3d"], build_network=Flat)}
    recipe = replace(bench.recipe, rate_schedule="plateau", epochs_alone=21)
    _, log = bench.alone(("rgb",), recipe=recipe)
    rates = [entry["learning_rate"] for entry in log]
    # Epoch 0 sets the mark; the sixth epoch without 1 % less lowers the rate for the next one.
    expected = [1e-2] * 7 + [1e-3] * 6 + [1e-4] * 8
    np.testing.assert_allclose(rates, expected)


def test_each_network_has_its_own_rate(bench):
    recipe = replace(bench.recipe, rate_schedule="plateau", epochs_alone=8)
    train_states = bench.train_states(("rgb", "depth"), recipe=recipe)

    def losses(outputs, labels, valid):
        result = classification_losses(outputs, labels)
        losses.calls += 1
        result.log["rgb"]["cross_entropy"] = 1.0
        result.log["depth"]["cross_entropy"] = 0.9**losses.calls
        return result

    losses.calls = 0
    stage = Stage("alone", 0, 8, True, losses, bench.folder / "own")
    train(train_states, bench.clips(("rgb", "depth"), recipe=recipe), stage, bench.device)
    rates = {m: x.optimiser.param_groups[0]["lr"] for m, x in train_states.items()}
    assert rates == pytest.approx({"rgb": 1e-3, "depth": 1e-2})


def test_the_rate_is_frozen_in_stage_two(bench):
    bench.methods = {m: replace(x, build_network=Flat) for m, x in bench.methods.items()}
    recipe = replace(bench.recipe, rate_schedule="plateau", epochs_alone=7, epochs_joint=9)
    train_states, _ = bench.alone(("rgb",), recipe=recipe)
    log = bench.joint(train_states, "i3d", recipe=recipe)
    np.testing.assert_allclose([entry["learning_rate"] for entry in log], [1e-3] * 9)


@pytest.mark.parametrize(("epochs", "before"), [(6, 5), (8, 7), (12, 10), (60, 50), (1, 1)])
def test_the_late_schedule_lowers_the_rate_for_the_last_sixth(bench, epochs, before):
    recipe = replace(bench.recipe, rate_schedule="late", epochs_alone=epochs)
    train_state = bench.train_states(("rgb",), recipe=recipe)["rgb"]
    rates = []
    for _ in range(epochs):
        rates.append(train_state.optimiser.param_groups[0]["lr"])
        train_state.optimiser.step()
        # Whatever the loss does.
        train_state.end_epoch(1.0)
    np.testing.assert_allclose(rates, [1e-2] * before + [1e-3] * (epochs - before))


def test_the_late_rate_is_that_of_stage_two_and_survives_an_interruption(bench):
    recipe = replace(bench.recipe, rate_schedule="late", epochs_alone=6, epochs_joint=3)
    with pytest.raises(Interrupted):
        bench.alone(("rgb",), recipe=recipe, progress=stop_after(5))
    train_states, log = bench.alone(("rgb",), recipe=recipe)
    np.testing.assert_allclose([e["learning_rate"] for e in log], [1e-2] * 5 + [1e-3])
    log = bench.joint(train_states, "i3d", recipe=recipe)
    np.testing.assert_allclose([e["learning_rate"] for e in log], [1e-3] * 3)


class Recorder:
    """An objective that keeps what it saw and trains nothing."""

    def __init__(self):
        self.labels, self.outputs, self.valids = [], [], []

    def __call__(self, outputs, labels, valid):
        self.labels.append(labels)
        self.valids.append(valid)
        self.outputs.append({m: o.logits_NKT.detach().clone() for m, o in outputs.items()})
        return classification_losses(outputs, labels)


def recorded(bench, modalities=("rgb", "depth"), recipe=None, first=0, last=2):
    """Return the outputs of each step of frozen networks."""
    recipe = replace(recipe or bench.recipe, learning_rate=0.0)
    recorder = Recorder()
    stage = Stage(
        "alone", first, last, False, recorder, bench.folder / f"r{len(modalities)}{first}"
    )
    train_states = bench.train_states(modalities, recipe=recipe)
    train(train_states, bench.clips(modalities, recipe=recipe), stage, bench.device)
    return recorder


class DropoutOnly(nn.Module):
    """Logits that are a dropout mask and nothing else."""

    def __init__(self, spec):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.num_classes = spec.num_classes

    def forward(self, clip):
        ones = self.weight.expand(len(clip), self.num_classes, 50)
        return NetworkOutput(nn.functional.dropout(ones, 0.5, self.training), clip)


@pytest.fixture
def masks(bench):
    bench.methods = {"i3d": replace(bench.methods["i3d"], build_network=DropoutOnly)}
    return bench


def test_dropout_repeats_itself_and_differs_by_step_and_modality(masks):
    first = recorded(masks).outputs
    (masks.folder / "r20").unlink()
    second = recorded(masks).outputs
    assert all(same(a, b) for a, b in zip(first, second, strict=True))
    full = [mask for step in first for mask in step.values() if len(mask) == 3]
    assert len({mask.numpy().tobytes() for mask in full}) == len(full) == 8


def test_dropout_does_not_depend_on_company_or_first_epoch(masks):
    both = recorded(masks).outputs
    alone = recorded(masks, ("depth",)).outputs
    later = recorded(masks, first=1).outputs
    assert all(torch.equal(a["depth"], b["depth"]) for a, b in zip(both, alone, strict=True))
    assert all(same(a, b) for a, b in zip(both[3:], later, strict=True))


def test_every_clip_gives_one_label_per_epoch_and_the_short_batch_is_kept(bench):
    recipe = replace(bench.recipe, flip="none")
    labels = recorded(bench, recipe=recipe, last=1).labels
    assert [len(batch) for batch in labels] == [3, 3, 2]
    rows = StoreReader(bench.store).table.rows
    expected = [rows[n].label for n in epoch_order(8, 0, 0)]
    assert torch.cat(labels).tolist() == expected


def test_the_objective_is_told_which_frames_are_padding(bench):
    recipe = replace(bench.recipe, flip="none")
    recorder = recorded(bench, recipe=recipe, last=1)
    assert [valid.shape for valid in recorder.valids] == [(3, 8), (3, 8), (2, 8)]
    rows = [StoreReader(bench.store).table.rows[n] for n in epoch_order(8, 0, 0)]
    found = torch.cat(recorder.valids).sum(dim=1).tolist()
    assert found == [min(row.num_frames, 8) for row in rows]
    assert 5 in found


def test_parts_of_a_step_have_masks_of_their_own(masks):
    recipe = replace(masks.recipe, batch_size=8, accumulation=2)
    parts = recorded(masks, recipe=recipe, last=1).outputs
    drawn = [mask for part in parts for mask in part.values()]
    assert [len(mask) for mask in drawn] == [4] * 4
    assert len({mask.numpy().tobytes() for mask in drawn}) == 4


def plain_step(train_states, parts, objective, recipe, seed, step, device, precision):
    """One update, written down without accumulation and precision."""
    (batch,) = parts
    outputs = {}
    for modality, train_state in train_states.items():
        train_state.optimiser.zero_grad()
        clip = to_input(batch.frames[modality], modality, batch.crops, recipe, batch.valid_NT)
        torch.manual_seed(keyed_seed("dropout", seed, modality, step))
        outputs[modality] = train_state.network(clip)
    result = objective(outputs, batch.labels_N, batch.valid_NT)
    for modality, train_state in train_states.items():
        result.losses[modality].backward(retain_graph=True)
        nn.utils.clip_grad_norm_(train_state.network.parameters(), recipe.gradient_clip)
        train_state.optimiser.step()
    terms = {m: {"loss": result.losses[m].item(), **result.log[m]} for m in train_states}
    return [(terms, len(batch.labels_N))]


def test_an_undivided_batch_trains_as_written_down_plainly(bench, monkeypatch):
    found, _ = bench.alone(("rgb", "depth"), "a")
    bench.joint(found, name="b")
    monkeypatch.setattr(trainer, "train_step", plain_step)
    expected, _ = bench.alone(("rgb", "depth"), "c")
    bench.joint(expected, name="d")
    assert all(state_bytes(found[m]) == state_bytes(expected[m]) for m in found)


class NoNorm(nn.Module):
    """Neither batch norm nor dropout: clips do not know of each other."""

    def __init__(self, spec):
        super().__init__()
        self.conv = nn.Conv3d(spec.in_channels, 6, 4, stride=4)
        self.head = nn.Linear(6, spec.num_classes)

    def forward(self, clip):
        features = self.conv(clip)
        logits = self.head(features.mean(dim=(3, 4)).transpose(1, 2))
        return NetworkOutput(logits.transpose(1, 2), features)


# Sums of the same float32 terms in another order, over an epoch of steps.
ORDER_RTOL = 1e-5


@pytest.mark.parametrize(("batch_size", "parts"), [(8, 2), (8, 3), (5, 2), (5, 4), (3, 99)])
def test_a_divided_batch_has_the_gradient_of_the_undivided_one(bench, batch_size, parts):
    bench.methods = {m: replace(x, build_network=NoNorm) for m, x in bench.methods.items()}
    undivided = replace(
        bench.recipe, batch_size=batch_size, epochs_alone=1, epochs_joint=1, rho_per="clip"
    )
    found, logs = [], []
    for name, recipe in (("a", undivided), ("b", replace(undivided, accumulation=parts))):
        train_states, log = bench.alone(("rgb", "depth"), f"{name}1", recipe=recipe)
        log += bench.joint(train_states, name=f"{name}2", recipe=recipe)
        found.append({m: weights(train_state) for m, train_state in train_states.items()})
        logs.append(log)
    torch.testing.assert_close(found[1], found[0], rtol=ORDER_RTOL, atol=1e-7)
    for first, second in zip(*logs, strict=True):
        for name in {"loss", "cross_entropy", "ssa_term", "rho_max"} & first.keys():
            assert second[name] == pytest.approx(first[name], rel=1e-4), name


def test_a_divided_batch_has_other_statistics(bench):
    divided = replace(bench.recipe, accumulation=2, epochs_alone=1)
    first, _ = bench.alone(("rgb",), "a", recipe=replace(divided, accumulation=1))
    second, _ = bench.alone(("rgb",), "b", recipe=divided)
    assert not torch.equal(
        first["rgb"].network.bn.running_var, second["rgb"].network.bn.running_var
    )


def test_bfloat16_trains_other_numbers_into_float32_weights(bench):
    recipe = replace(bench.recipe, dropout=0.0, epochs_alone=1)
    first, exact = bench.alone(("rgb",), "a", recipe=recipe)
    second, rough = bench.alone(("rgb",), "b", recipe=recipe, precision="bf16")
    assert all(t.dtype != torch.bfloat16 for t in weights(second["rgb"]).values())
    assert not same(weights(first["rgb"]), weights(second["rgb"]))
    # bfloat16 keeps 8 bits: 0.4 % for each rounding.
    assert rough[0]["cross_entropy"] == pytest.approx(exact[0]["cross_entropy"], rel=0.03)


def test_bfloat16_trains_both_stages_of_mtut(bench):
    train_states, _ = bench.alone(("rgb", "depth"), precision="bf16")
    log = bench.joint(train_states, precision="bf16")
    assert all(math.isfinite(entry["loss"]) for entry in log)


def test_restart_forgets_momentum_and_rate(bench):
    train_states, _ = bench.alone(("rgb",))
    train_state = train_states["rgb"]
    train_state.optimiser.param_groups[0]["lr"] = 1e-4
    before = weights(train_state)
    train_state.restart(0.5)
    assert train_state.optimiser.state_dict()["state"] == {}
    assert train_state.optimiser.param_groups[0]["lr"] == 0.5
    assert same(before, weights(train_state))


def test_no_memory_for_a_checkpoint_is_no_foreign_checkpoint(bench, monkeypatch):
    bench.alone(("rgb",))

    def full(self, state):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(trainer.TrainState, "load", full)
    with pytest.raises(torch.OutOfMemoryError):
        bench.alone(("rgb",))


def constant_objective(values):
    def losses(outputs, labels, valid):
        result = classification_losses(outputs, labels)
        found = {m: loss * 0 + values.get(m, 1.0) for m, loss in result.losses.items()}
        log = {m: {"cross_entropy": 1.5, "ssa_term": values.get(m, 0.0)} for m in found}
        return ObjectiveOutput(found, log)

    return losses


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_names_step_modality_and_terms(bench, value):
    train_states = bench.train_states(("rgb", "depth"))
    before = weights(train_states["depth"])["conv.weight"]
    stage = Stage("joint", 3, 5, False, constant_objective({"depth": value}), bench.folder / "x")
    with pytest.raises(TrainingDivergedError) as caught:
        train(train_states, bench.clips(("rgb", "depth")), stage, bench.device)
    assert f"loss of depth is {value} at step 9" in caught.value.what
    assert f"cross_entropy 1.5, ssa_term {value}" in caught.value.what
    assert torch.equal(train_states["depth"].network.conv.weight, before)
    assert not stage.checkpoint.exists()


def largest_norm(bench, clip, monkeypatch):
    """Return the largest gradient norm that an optimiser saw in one epoch."""
    recipe = replace(bench.recipe, gradient_clip=clip, epochs_alone=1)
    norms = []
    step = torch.optim.SGD.step

    def spy(self, *arguments):
        gradients = [p.grad for group in self.param_groups for p in group["params"]]
        norms.append(float(torch.cat([g.ravel() for g in gradients]).norm()))
        return step(self, *arguments)

    monkeypatch.setattr(torch.optim.SGD, "step", spy)
    bench.alone(("rgb", "depth"), f"clip{clip}", recipe=recipe)
    monkeypatch.setattr(torch.optim.SGD, "step", step)
    return max(norms)


def test_gradients_are_clipped_per_network(bench, monkeypatch):
    free = largest_norm(bench, None, monkeypatch)
    limit = free / 10
    assert largest_norm(bench, limit, monkeypatch) == pytest.approx(limit, rel=1e-3)


def test_log_has_one_entry_per_epoch_and_modality(bench):
    train_states, _ = bench.alone(("rgb", "depth"))
    log = bench.joint(train_states)
    assert [(e["epoch"], e["modality"]) for e in log] == [
        (epoch, m) for epoch in (3, 4) for m in ("rgb", "depth")
    ]
    named = {"stage", "loss", "cross_entropy", "ssa", "rho_mean", "rho_max", "rho_open", "ratio"}
    for entry in log:
        assert named | {"learning_rate", "clips_per_s"} <= entry.keys()
        assert entry["loss"] == pytest.approx(entry["cross_entropy"] + entry["ssa_term"], rel=1e-5)


def test_logged_means_weight_clips_and_maxima_are_maxima(bench):
    values = iter([1.0, 2.0, 5.0])

    def losses(outputs, labels, valid):
        result, value = classification_losses(outputs, labels), next(values)
        result.log["rgb"] |= {"cross_entropy": value, "rho_max": -value}
        return result

    stage = Stage("joint", 0, 1, False, losses, bench.folder / "x")
    entry = train(bench.train_states(("rgb",)), bench.clips(("rgb",)), stage, bench.device)[0]
    assert entry["cross_entropy"] == pytest.approx((3 * 1 + 3 * 2 + 2 * 5) / 8)
    assert entry["rho_max"] == -1


def test_a_checkpoint_of_another_network_or_modality_is_refused(bench):
    bench.alone(("rgb",))
    with pytest.raises(RunError, match="alone"):
        bench.alone(("depth",))
    bench.methods = {"i3d": replace(bench.methods["i3d"], build_network=Flat)}
    with pytest.raises(RunError, match="alone"):
        bench.alone(("rgb",))


@pytest.fixture
def ten_clips(make_store, make_rows, tmp_path, tiny_recipe):
    """I3D at an eighth of its width, ten clips of five classes."""
    rows = make_rows(num_clips=10, num_classes=5, lengths=(16,))
    classes = list("abcde")
    store = make_store(rows=rows, size=(32, 32), classes=classes, mirror=[0, 1, 2, 3, -1])
    recipe = replace(
        tiny_recipe,
        clip_length=16,
        short_side=32,
        crop=32,
        flip="none",
        batch_size=10,
        epochs_alone=45,
        epochs_joint=5,
        width=0.125,
        bn_momentum=0.3,
        lambda_=0.05,
    )
    return Bench(store, tmp_path / "checkpoints", METHODS, recipe)


def skip_where_wrong(recipe):
    """Some CPUs compute garbage in bf16, another one at every call: nothing to compare then."""
    spec = network_spec("rgb", 2, recipe)
    clip = torch.rand(5, 3, recipe.clip_length, recipe.crop, recipe.crop) * 2 - 1
    network = METHODS["i3d"].build_network(spec)
    try:
        agreement = compare_step(network, clip, torch.arange(5) % 2)
        refuse_disagreement(agreement, "i3d", torch.device("cpu"))
    except PrecisionError as error:
        pytest.skip(error.what)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_recomputing_changes_no_byte_of_i3d(ten_clips, precision):
    recipe = replace(ten_clips.recipe, epochs_alone=1, epochs_joint=1, batch_size=5)
    if precision == "bf16":
        skip_where_wrong(recipe)
    found = []
    for recompute in (False, True):
        train_states, _ = ten_clips.alone(
            ("rgb", "depth"),
            f"a{recompute}",
            recipe=recipe,
            recompute=recompute,
            precision=precision,
        )
        ten_clips.joint(train_states, name=f"b{recompute}", recipe=recipe, precision=precision)
        found.append({m: weights(train_state) for m, train_state in train_states.items()})
    assert all(same(found[0][m], found[1][m]) for m in ("rgb", "depth"))


def test_ten_clips_are_learnt_by_both_networks_under_mtut(ten_clips):
    train_states, _ = ten_clips.alone(("rgb", "depth"))
    log = ten_clips.joint(train_states)
    assert max(entry["rho_mean"] for entry in log) > 0
    networks = {m: train_state.network for m, train_state in train_states.items()}
    reader = StoreReader(ten_clips.store)
    found = predict(networks, reader, ten_clips.ids, ten_clips.recipe, ten_clips.device)
    assert [accuracy(scores, found.labels_N) for scores in found.scores_MNK] == [1.0, 1.0]
