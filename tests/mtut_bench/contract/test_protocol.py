from dataclasses import FrozenInstanceError, asdict, fields, replace

import pytest
import torch
from planned import varied

from mtut_baselines import METHODS
from mtut_bench.contract.protocol import PROTOCOLS, Protocol
from mtut_bench.contract.recipe import Recipe, scaled_lambda
from mtut_bench.files import sha256_of_json
from mtut_bench.loading.transforms import resized_size
from mtut_bench.training.train_state import network_spec

# By hand from section 4 and reading.md.
PAPER = {
    "clip_length": 64,
    "short_side": 256,
    "crop": 224,
    "resize": "short-side",
    "flip": "swap",
    "pad_value": "zero",
    "batch_size": 6,
    "epochs_alone": 60,
    "epochs_joint": 15,
    "learning_rate": 0.01,
    "momentum": 0.9,
    "weight_decay": 1e-7,
    "plateau_threshold": 0.01,
    "plateau_patience": 5,
    "plateau_factor": 0.1,
    "learning_rate_floor": 1e-4,
    "gradient_clip": None,
    "width": 1.0,
    "dropout": 0.5,
    "bn_momentum": 0.001,
    "lambda_": 0.05,
    "beta": 2.0,
    "target": "detach",
    "rho_grad": "detach",
    "rho_per": "clip",
    "ssa_reduction": "sum",
    "ssa_padding": "keep",
    "rho_max": None,
    "rho_constant": 1.0,
    "joint_seed": 1,
    "scaling": "unit",
    "depth_input": "replicate",
    "accumulation": 1,
    "stage_two": "continue",
    "train_on": "train",
}
# What differs for a network is in the identity of the protocol narrowed to that network.
CHANGES_NO_NUMBER = {"summary", "tables", "seeds", "evaluation_batch", "networks"}
OBJECTIVE = {
    "lambda_": "lambda",
    **{n: n for n in ("beta", "target", "rho_grad", "rho_per", "rho_max")},
    **{n: n for n in ("ssa_reduction", "ssa_padding", "rho_constant", "joint_seed")},
}


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
    protocol = PROTOCOLS[name]
    found = {"train_on": protocol.train_on, **asdict(protocol.recipe)}
    assert {field: found[field] for field in PAPER} == PAPER


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


# Of version 1, before a protocol could train on a validation split: a run keeps its name.
GOLDEN_IDENTITIES = {
    ("paper", "i3d"): "8374a1b660fc8074",
    ("paper", "c3d"): "e672e95685dcbabf",
    ("paper-scratch", "i3d"): "a6c949a3bae01b33",
    ("paper-scratch", "c3d"): "2321224da50960cf",
    ("demo", "i3d"): "f428ebbc758fa205",
    ("demo", "c3d"): "31e533812077bdfc",
}


@pytest.mark.parametrize(("name", "network"), GOLDEN_IDENTITIES)
def test_golden_identity(name, network):
    protocol = PROTOCOLS[name]
    identity = {**protocol.identity(), **protocol.recipe_for(network).identity()}
    assert sha256_of_json(identity)[:16] == GOLDEN_IDENTITIES[name, network]


def test_demo_fills_no_table_and_moves_its_statistics_fast():
    assert PROTOCOLS["demo"].tables == ()
    assert PROTOCOLS["demo"].recipe.bn_momentum == 0.1


def test_keys_are_names():
    assert {name: p.name for name, p in PROTOCOLS.items()} == {n: n for n in PROTOCOLS}


def test_lambda_at_the_papers_geometry():
    assert scaled_lambda(8 * 7 * 7) == 0.05


def test_lambda_grows_with_the_square_of_fewer_blocks():
    assert scaled_lambda(196) == pytest.approx(0.2)
    assert scaled_lambda(64) == pytest.approx(0.05 * 37.515625)


@pytest.mark.parametrize(("name", "share"), [("demo", 1), ("study", 1), ("study-cpu", 1 / 512)])
def test_lambda_of_a_small_protocol_fits_its_map(name, share):
    protocol = PROTOCOLS[name].recipe
    blocks = -(-protocol.clip_length // 8) * (-(-protocol.crop // 32)) ** 2
    # What was tried is the rule's value to three digits.
    assert protocol.lambda_ == pytest.approx(scaled_lambda(blocks) * share, rel=1e-3)


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


def test_c3d_has_a_geometry_of_its_own_in_the_demo():
    protocol = PROTOCOLS["demo"].recipe_for("c3d")
    assert resized_size(240, 320, protocol) == (72, 96)
    assert (protocol.clip_length, protocol.crop, protocol.learning_rate) == (32, 64, 3e-3)
    # pool5 is 2 x 2 x 2 = 8 blocks instead of 64: (64 / 8)^2 = 64 times the paper's 0.05.
    assert protocol.lambda_ == pytest.approx(3.2)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_the_map_of_c3d_has_the_blocks_that_lambda_is_made_for(name):
    protocol = PROTOCOLS[name].recipe_for("c3d")
    spec = network_spec("rgb", 3, replace(protocol, width=1 / 64))
    with torch.device("meta"):
        network = METHODS["c3d"].build_network(spec)
        clip = torch.zeros(1, 3, protocol.clip_length, protocol.crop, protocol.crop)
    blocks = network(clip).features_NCTHW[0, 0].numel()
    assert blocks == {"demo": 8, "study": 32, "study-cpu": 8}.get(name, 64)
    assert protocol.lambda_ == scaled_lambda(blocks, paper_blocks=64)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_network_without_an_entry_has_the_protocol_itself(name):
    assert PROTOCOLS[name].recipe_for("i3d") == PROTOCOLS[name].recipe


@pytest.mark.parametrize("name", PROTOCOLS)
def test_narrowing_changes_the_identity_by_the_networks_own_values_only(name):
    protocol = PROTOCOLS[name]
    before, after = protocol.recipe.identity(), protocol.recipe_for("c3d").identity()
    own = dict(protocol.networks["c3d"])
    own.pop("lambda_", None)  # of the objective: in a run's settings
    assert {k: v for k, v in after.items() if before[k] != v} == {
        k: v for k, v in own.items() if before[k] != v
    }
    assert own.keys() <= after.keys()


def test_a_recipe_is_read_back_by_public_names():
    recipe = PROTOCOLS["demo"].recipe_for("c3d")
    written = {**recipe.identity(), **recipe.objective_settings(), "name": "demo"}
    # What changes no number is in no identity.
    assert Recipe.of(written) == replace(recipe, evaluation_batch=Recipe().evaluation_batch)
    assert Recipe.of(written).lambda_ == recipe.lambda_ != Recipe().lambda_
