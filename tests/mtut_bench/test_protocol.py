from dataclasses import FrozenInstanceError, fields, replace

import pytest

from mtut_bench.protocol import PROTOCOLS, Protocol, scaled_lambda

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
    "rho_max": None,
}
CHANGES_NO_NUMBER = {"summary", "tables", "seeds", "evaluation_batch"}
OBJECTIVE = {
    "lambda_": "lambda",
    **{n: n for n in ("beta", "target", "rho_grad", "rho_per", "ssa_reduction", "rho_max")},
}


def another(value):
    """Return a different value of the same kind; JSON-ready as the identity is."""
    if isinstance(value, str):
        return value + "-other"
    if isinstance(value, tuple):
        return (*value, "other")
    return 3 if value is None else value * 2 + 1


@pytest.mark.parametrize("name", ["paper", "paper-scratch"])
def test_printed_values(name):
    protocol = PROTOCOLS[name]
    assert {field: getattr(protocol, field) for field in PAPER} == PAPER


def test_the_two_paper_protocols_differ_in_weights_and_tables_only():
    scratch = replace(
        PROTOCOLS["paper-scratch"], name="paper", initialisation="kinetics", tables=(), summary=""
    )
    assert scratch == replace(PROTOCOLS["paper"], tables=(), summary="")
    assert PROTOCOLS["paper-scratch"].tables == ("7",)
    assert "7" not in PROTOCOLS["paper"].tables


def test_demo_fills_no_table_and_moves_its_statistics_fast():
    assert PROTOCOLS["demo"].tables == ()
    assert PROTOCOLS["demo"].bn_momentum == 0.1


def test_keys_are_names():
    assert {name: p.name for name, p in PROTOCOLS.items()} == {n: n for n in PROTOCOLS}


def test_lambda_at_the_papers_geometry():
    assert scaled_lambda(8 * 7 * 7) == 0.05


def test_lambda_grows_with_the_square_of_fewer_blocks():
    assert scaled_lambda(196) == pytest.approx(0.2)
    assert scaled_lambda(64) == pytest.approx(0.05 * 37.515625)


def test_demo_lambda_fits_its_map():
    demo = PROTOCOLS["demo"]
    blocks = -(-demo.clip_length // 8) * (-(-demo.crop // 32)) ** 2
    assert demo.lambda_ == scaled_lambda(blocks)


@pytest.mark.parametrize("name", [f.name for f in fields(Protocol)])
def test_every_field_that_changes_numbers_is_in_an_identity(name):
    paper = PROTOCOLS["paper"]
    changed = replace(paper, **{name: another(getattr(paper, name))})
    seen = changed.identity() != paper.identity()
    settings = changed.objective_settings() != paper.objective_settings()
    assert settings == (name in OBJECTIVE)
    assert seen == (name not in OBJECTIVE.keys() | CHANGES_NO_NUMBER)


def test_objective_settings_are_the_fields():
    paper = PROTOCOLS["paper"]
    expected = {key: getattr(paper, name) for name, key in OBJECTIVE.items()}
    assert paper.objective_settings() == expected


def test_a_protocol_cannot_be_changed_in_place():
    with pytest.raises(FrozenInstanceError):
        PROTOCOLS["paper"].beta = 1.0
