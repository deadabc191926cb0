from dataclasses import FrozenInstanceError, asdict, fields, replace

import numpy as np
import pytest
import torch
from planned import varied

from mtut_baselines import METHODS
from mtut_bench.contract.protocol import PROTOCOLS, Protocol
from mtut_bench.contract.recipe import Recipe, expected_ssa, lambda_for
from mtut_bench.files import sha256_of_json
from mtut_bench.loading.transforms import resized_size
from mtut_bench.training.train_state import network_spec

# By hand from section 4 and reading.md; the golden identities freeze what is not of the objective.
PAPER = {
    "clip_length": 64,
    "short_side": 256,
    "crop": 224,
    "batch_size": 6,
    "epochs_alone": 60,
    "epochs_joint": 15,
    "learning_rate": 0.01,
    "momentum": 0.9,
    "weight_decay": 1e-7,
    "dropout": 0.5,
    "lambda_": 0.05,
    "beta": 2.0,
    "target": "detach",
    "rho_grad": "detach",
    "rho_per": "batch",
    "rho_form": "exp",
    "ssa_reduction": "sum",
    "ssa_padding": "keep",
    "rho_max": None,
    "rho_constant": 1.0,
    "joint_seed": 1,
}
CHANGES_NO_NUMBER = {"summary", "tables", "seeds", "evaluation_batch", "networks"}
OBJECTIVE = {
    "lambda_": "lambda",
    **{n: n for n in ("beta", "target", "rho_grad", "rho_per", "rho_form", "rho_max")},
    **{n: n for n in ("ssa_reduction", "ssa_padding", "rho_constant", "joint_seed")},
}


SHORT = ("study", "study-cpu", "demo")


def another(value):
    """Return a different value of the same kind; JSON-ready as the identity is."""
    if isinstance(value, str):
        return value + "-other"
    if isinstance(value, tuple):
        return (*value, "other")
    if isinstance(value, dict):
        return {}
    return 3 if value is None else value * 2 + 1


@pytest.mark.parametrize("name", ["paper", "paper-scratch"])
def test_printed_values(name):
    assert asdict(PROTOCOLS[name].recipe).items() >= PAPER.items()


def test_the_two_paper_protocols_differ_in_weights_and_tables_only():
    scratch = varied(
        PROTOCOLS["paper-scratch"],
        name="paper",
        initialisation="pretrained",
        tables=(),
        summary="",
        networks=PROTOCOLS["paper"].networks,
    )
    assert scratch == varied(PROTOCOLS["paper"], tables=(), summary="")
    assert PROTOCOLS["paper-scratch"].tables == ("7",)
    assert "7" not in PROTOCOLS["paper"].tables


def test_trainval_differs_from_the_paper_in_its_training_side_and_tables_only():
    trainval = PROTOCOLS["paper-trainval"]
    assert (trainval.train_on, trainval.tables) == ("train+val", ())
    changes = {"name": "paper", "train_on": "train", "tables": PROTOCOLS["paper"].tables}
    same = replace(trainval, summary=PROTOCOLS["paper"].summary, **changes)
    assert same == PROTOCOLS["paper"]
    assert trainval.identity()["train_on"] == "train+val"


# A run keeps its name.
GOLDEN_IDENTITIES = {
    ("paper", "i3d"): "a213156f0fd4234f",
    ("paper", "c3d"): "41a40e636f2961fd",
    ("paper-scratch", "i3d"): "7f95809642f7f1e6",
    ("paper-scratch", "c3d"): "0a5c0f180bfbc358",
    ("demo", "i3d"): "241d562e09487c9b",
    ("demo", "c3d"): "0f1fb259066815ac",
}


@pytest.mark.parametrize(("name", "network"), GOLDEN_IDENTITIES)
def test_golden_identity(name, network):
    protocol = PROTOCOLS[name]
    identity = {**protocol.identity(), **protocol.recipe_for(network).identity()}
    assert sha256_of_json(identity)[:16] == GOLDEN_IDENTITIES[name, network]


def test_keys_are_names():
    assert {name: p.name for name, p in PROTOCOLS.items()} == {n: n for n in PROTOCOLS}


def map_size(name, network):
    """Return the blocks and channels of the map that a protocol's method aligns."""
    recipe = PROTOCOLS[name].recipe_for(network)
    spec = network_spec("rgb", 3, recipe)
    with torch.device("meta"):
        built = METHODS[network].build_network(spec)
        clip = torch.zeros(1, 3, recipe.clip_length, recipe.crop, recipe.crop)
        features = built(clip).features_NCTHW
    return features[0, 0].numel(), features.shape[1]


@pytest.mark.parametrize("network", ["i3d", "c3d"])
@pytest.mark.parametrize("name", SHORT)
def test_lambda_of_a_short_protocol_is_for_the_map_of_its_network(name, network):
    lambda_ = PROTOCOLS[name].recipe_for(network).lambda_
    assert lambda_ * expected_ssa(*map_size(name, network)) == pytest.approx(0.6)


@pytest.mark.parametrize("network", ["i3d", "c3d"])
def test_lambda_is_printed_at_the_papers_geometry(network):
    for name in PROTOCOLS.keys() - {*SHORT}:
        assert PROTOCOLS[name].recipe_for(network).lambda_ == 0.05
        assert map_size(name, network) == {"i3d": (392, 1024), "c3d": (64, 512)}[network]


def test_the_distance_of_independent_features_is_what_the_rule_says():
    # Without what trained maps differ in beyond chance; 400 pairs: 2 % is three standard errors.
    rng, (blocks, channels) = np.random.default_rng(0), (16, 32)
    found = [
        ((np.corrcoef(a) - np.corrcoef(b)) ** 2).sum()
        for a, b in rng.standard_normal((400, 2, blocks, channels))
    ]
    chance = blocks * (blocks - 1) * 2 / (channels - 1)
    assert np.mean(found) == pytest.approx(chance, rel=0.02)
    assert expected_ssa(blocks, channels) == pytest.approx(chance + blocks * (blocks - 1) * 0.026)
    # As reading.md has it for the paper's map.
    assert pytest.approx(15, rel=0.01) == 0.05 * 392 * 391 * 2 / 1023
    assert lambda_for(0.6, 392, 1024) == pytest.approx(0.6 / expected_ssa(392, 1024))


@pytest.mark.parametrize("name", SHORT)
def test_short_protocols_lower_the_rate_once_and_late(name):
    for network in ("i3d", "c3d"):
        recipe = PROTOCOLS[name].recipe_for(network)
        assert (recipe.rate_schedule, recipe.bn_statistics) == ("late", "recomputed")
        focal = (recipe.rho_per, recipe.rho_grad, recipe.rho_form)
        assert focal == ("batch", "detach", "saturating")


@pytest.mark.parametrize("name", ["study", "study-cpu"])
def test_the_study_keeps_the_papers_proportion_of_its_stages(name):
    study, paper = PROTOCOLS[name], PROTOCOLS["paper"]
    mine, printed = study.recipe, paper.recipe
    assert mine.epochs_alone * printed.epochs_joint == mine.epochs_joint * printed.epochs_alone
    assert (study.initialisation, study.tables) == ("scratch", ())


@pytest.mark.parametrize("name", [f.name for f in fields(Protocol) if f.name != "recipe"])
def test_every_rule_that_changes_numbers_is_in_an_identity(name):
    paper = PROTOCOLS["paper"]
    changed = replace(paper, **{name: another(getattr(paper, name))})
    assert (changed.identity() != paper.identity()) == (name not in CHANGES_NO_NUMBER)


@pytest.mark.parametrize("name", [f.name for f in fields(Recipe)])
def test_every_setting_that_changes_numbers_is_in_an_identity(name):
    paper = PROTOCOLS["paper"].recipe
    if name == "statistics_clips":
        # Of running statistics it changes nothing.
        paper = replace(paper, bn_statistics="recomputed")
    changed = replace(paper, **{name: another(getattr(paper, name))})
    seen = changed.identity() != paper.identity()
    settings = changed.objective_settings() != paper.objective_settings()
    assert settings == (name in OBJECTIVE)
    assert seen == (name not in OBJECTIVE.keys() | CHANGES_NO_NUMBER)


def test_objective_settings_are_the_fields():
    paper = PROTOCOLS["paper"].recipe
    expected = {key: getattr(paper, name) for name, key in OBJECTIVE.items()}
    assert paper.objective_settings() == expected


def test_a_protocol_cannot_be_changed_in_place():
    with pytest.raises(FrozenInstanceError):
        PROTOCOLS["paper"].recipe.beta = 1.0


# By hand: pool5 of C3D at 64 x 112 x 112 is 4 x 4 x 4 (112 / 32 rounded up), of I3D 8 x 7 x 7.
@pytest.mark.parametrize(
    ("name", "rate", "scaling"), [("paper", 1e-3, "bgr-mean"), ("paper-scratch", 3e-3, "unit")]
)
def test_c3d_has_the_papers_geometry_rate_and_scaling(name, rate, scaling):
    protocol = PROTOCOLS[name].recipe_for("c3d")
    assert resized_size(240, 320, protocol) == (128, 171)
    assert resized_size(115, 250, protocol) == (128, 171)
    assert (protocol.clip_length, protocol.crop) == (64, 112)
    assert (protocol.learning_rate, protocol.scaling) == (rate, scaling)
    assert protocol.lambda_ == 0.05


def test_a_recipe_is_read_back_by_public_names():
    recipe = PROTOCOLS["demo"].recipe_for("c3d")
    written = {**recipe.identity(), **recipe.objective_settings(), "name": "demo"}
    # What changes no number is in no identity.
    assert Recipe.of(written) == replace(recipe, evaluation_batch=Recipe().evaluation_batch)
    assert Recipe.of(written).lambda_ == recipe.lambda_ != Recipe().lambda_
