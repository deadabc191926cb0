"""What the objective is before stage two's first update: that update logs the same."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from training_bench import state_bytes

from mtut_bench.contract.networks import ObjectiveOutput
from mtut_bench.training.stage_two_start import terms_at_start

CPU = torch.device("cpu")


def at_start(bench, train_states, recipe):
    objective = bench.methods["mtut"].build_objective(recipe.objective_settings())
    clips = bench.clips(tuple(train_states), recipe=recipe)
    return terms_at_start(train_states, clips, objective, CPU, "fp32")


@pytest.mark.parametrize("parts", [1, 2])
def test_of_one_batch_it_is_what_the_first_update_logs(bench, parts):
    recipe = replace(
        bench.recipe, batch_size=8, accumulation=parts, rho_per="clip", dropout=0.5, epochs_joint=1
    )
    train_states, _ = bench.alone(("rgb", "depth"), recipe=recipe)
    before = {m: state_bytes(train_state) for m, train_state in train_states.items()}
    found = at_start(bench, train_states, recipe)
    assert {m: state_bytes(train_state) for m, train_state in train_states.items()} == before
    (rgb, depth) = bench.joint(train_states, "mtut", recipe=recipe)
    for entry in (rgb, depth):
        terms = found[entry["modality"]]
        assert {"ssa", "w", "rho_mean", "cross_entropy"} <= terms.keys()
        # A maximum is the mean of the parts' here.
        for name in terms.keys() - {"rho_max"}:
            assert terms[name] == pytest.approx(entry[name], rel=1e-12), name


def test_w_is_lambda_times_the_distance_of_the_maps(bench):
    recipe = replace(bench.recipe, batch_size=8, lambda_=0.3)
    train_states = bench.train_states(("rgb", "depth"), recipe=recipe)
    found = at_start(bench, train_states, recipe)
    maps = {m: [] for m in train_states}
    for modality, train_state in train_states.items():
        train_state.network.register_forward_hook(
            lambda _, __, output, kept=maps[modality]: kept.append(output.features_NCTHW)
        )
    at_start(bench, train_states, recipe)
    distances = []
    kept = [torch.cat(maps[m]).double().flatten(2) for m in ("rgb", "depth")]
    for rgb, depth in zip(*kept, strict=True):
        matrices = [np.corrcoef(of.numpy().T) for of in (rgb, depth)]
        distances.append(((matrices[0] - matrices[1]) ** 2).sum())
    for terms in found.values():
        # float32 features.
        assert terms["ssa"] == pytest.approx(np.mean(distances), rel=1e-4)
        assert terms["w"] == pytest.approx(0.3 * terms["ssa"], rel=1e-12)


def test_a_term_that_is_not_finite_is_left_out(bench):
    train_states = bench.train_states(("rgb",))
    clips = bench.clips(("rgb",))

    def objective(outputs, labels_N, valid_NT):
        return ObjectiveOutput({}, {"rgb": {"rho_mean": math.inf, "ssa": 2.0}})

    found = terms_at_start(train_states, clips, objective, CPU, "fp32")
    assert found == {"rgb": {"ssa": 2.0}}


def test_a_run_that_aligns_keeps_and_prints_it(do):
    plan, text = do("mtut")
    training = json.loads((plan.folder / "manifest.json").read_text())["training"]
    lambda_ = plan.identity["method"]["settings"]["lambda"]
    assert "mtut, where stage two begins: rgb S " in text
    for modality in ("rgb", "depth"):
        start = training[modality]["stage_two_start"]
        assert start["w"] == pytest.approx(lambda_ * start["ssa"])
        assert 0 < start["ssa"] < math.inf
    plain, text = do("i3d")
    training = json.loads((plain.folder / "manifest.json").read_text())["training"]
    assert "stage_two_start" not in training["rgb"]
    assert "where stage two begins" not in text
