from dataclasses import dataclass, fields, replace
from typing import Literal, get_args, get_origin, get_type_hints

import pytest
from planned import plan_runs, varied

from mtut_baselines import METHODS
from mtut_bench.contract.method import Method
from mtut_bench.contract.overrides import prescribe
from mtut_bench.contract.protocol import PROTOCOLS, Protocol
from mtut_bench.contract.recipe import Recipe
from mtut_bench.errors import UsageError

PAPER = PROTOCOLS["paper"]
KINDS = {**get_type_hints(Protocol), **get_type_hints(Recipe)}
# What a protocol is, not how it trains; and what changes no number.
FIXED = {"name", "version", "summary", "tables", "seeds", "recipe", "networks", "evaluation_batch"}
FIELDS = {field.name for kind in (Protocol, Recipe) for field in fields(kind)} - FIXED
NAMES = {field.rstrip("_") for field in FIELDS}


def apply(protocol, texts):
    """Return the variant of a protocol for the paper's method, and what was changed."""
    method, variant, changes = prescribe(METHODS["mtut"], protocol, texts)
    return replace(variant, recipe=method.recipe), changes


def value_of(protocol, field):
    return getattr(protocol.recipe if hasattr(protocol.recipe, field) else protocol, field)


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("epochs_alone=0", "epochs_alone", 0),
        ("learning_rate=1e-3", "learning_rate", 0.001),
        ("lambda=0", "lambda_", 0.0),
        ("rho_max=7.5", "rho_max", 7.5),
        ("resize=stretch-4:3", "resize", "stretch-4:3"),
        ("initialisation=scratch", "initialisation", "scratch"),
    ],
)
def test_each_kind_is_parsed(text, field, value):
    variant, changes = apply(PAPER, [text])
    assert variant == varied(PAPER, **{field: value})
    assert type(value_of(variant, field)) is type(value)
    assert changes == {text.split("=")[0]: value}


def test_none_takes_a_limit_away():
    variant, changes = apply(PROTOCOLS["demo"], ["gradient_clip=none"])
    assert variant.recipe.gradient_clip is None
    assert changes == {"gradient_clip": None}


def test_every_setting_takes_a_value_of_its_kind():
    # i3d: mtut takes no divided batch with one rho per batch.
    protocol = varied(PAPER, short_side=999)
    for field in FIELDS:
        name, kind = field.rstrip("_"), KINDS[field]
        if get_origin(kind) is Literal:
            text = next(value for value in get_args(kind) if value != value_of(PAPER, field))
        else:
            text = "300" if kind is int else "0.25"
        _, _, changes = prescribe(METHODS["i3d"], protocol, [f"{name}={text}"])
        assert {name: str(value) for name, value in changes.items()} == {name: text}


@pytest.mark.parametrize("text", ["momentum", "nonsense=1", "lambda_=1", "evaluation_batch=1"])
def test_an_unknown_setting_is_refused_with_all_names(text):
    with pytest.raises(UsageError) as caught:
        apply(PAPER, [text])
    assert repr(text) in caught.value.what
    assert set(caught.value.hint.split(": ")[-1].rstrip(".").split(", ")) == NAMES


@pytest.mark.parametrize(
    ("text", "takes"),
    [
        ("batch_size=0", "a whole number above 0"),
        ("batch_size=1.5", "a whole number above 0"),
        ("epochs_alone=-1", "a whole number"),
        ("learning_rate=fast", "a number"),
        ("learning_rate=nan", "a number"),
        ("learning_rate=inf", "a number"),
        ("width=0", "a number above 0"),
        ("dropout=1", "a number below 1"),
        ("rho_max=None", "a number or none"),
        ("flip=True", "swap or plain or none"),
    ],
)
def test_a_value_that_a_setting_does_not_take_is_refused(text, takes):
    with pytest.raises(UsageError) as caught:
        apply(PAPER, [text])
    assert caught.value.what.startswith(f"--set {text}: ")
    assert caught.value.what.endswith(f"takes {takes}")


def test_a_crop_larger_than_its_frame_is_refused():
    with pytest.raises(UsageError, match=r"224.* 100"):
        apply(PAPER, ["short_side=100"])
    assert apply(PAPER, ["short_side=100", "crop=100"])[0].recipe.crop == 100


def test_one_rho_per_batch_and_a_divided_batch_are_refused_where_rho_is_read():
    for name in ("mtut", "mtut-rho-inverted"):
        with pytest.raises(UsageError, match=f"rho_per=batch: {name} ") as caught:
            prescribe(METHODS[name], PAPER, ["accumulation=2"])
        assert "rho_per=clip" in caught.value.hint
        method, _, _ = prescribe(METHODS[name], PAPER, ["accumulation=2", "rho_per=clip"])
        assert (method.recipe.accumulation, method.recipe.rho_per) == (2, "clip")
    for name in ("i3d", "i3d+ssa", "mtut-rho-per-clip"):
        assert prescribe(METHODS[name], PAPER, ["accumulation=2"])[0].recipe.accumulation == 2


def test_a_setting_given_its_own_value_is_no_change():
    variant, changes = apply(PAPER, ["lambda=0.05", "batch_size=6", "rho_max=none"])
    assert variant == PAPER
    assert changes == {}


def test_the_last_of_two_values_wins_and_order_does_not_show():
    assert apply(PAPER, ["beta=3", "beta=4"])[1] == {"beta": 4.0}
    assert apply(PAPER, ["beta=3", "beta=2"])[1] == {}
    both = [apply(PAPER, texts)[1] for texts in (["beta=3", "crop=9"], ["crop=9", "beta=3"])]
    assert list(both[0].items()) == list(both[1].items())


def plan(make_request, *settings, method="mtut", **changes):
    return plan_runs([make_request(method, settings=settings, **changes)])[0]


def test_an_override_makes_another_identity_and_is_recorded(make_request):
    plain, changed = plan(make_request), plan(make_request, "lambda=9", "momentum=0.5")
    assert plain.identity["overrides"] == {}
    assert changed.identity["overrides"] == {"lambda": 9.0, "momentum": 0.5}
    assert changed.run_id != plain.run_id
    assert changed.identity["method"]["settings"]["lambda"] == 9.0
    assert changed.identity["protocol"]["momentum"] == 0.5


def test_an_override_of_stage_two_alone_shares_stage_one(make_request):
    plain = plan(make_request)
    assert plan(make_request, "momentum=0.9").run_id == plain.run_id
    for setting in ("lambda=9", "epochs_joint=9", "stage_two=restart"):
        changed = plan(make_request, setting)
        assert changed.run_id != plain.run_id
        assert changed.stage_id("rgb") == plain.stage_id("rgb")
    for setting in ("momentum=0.5", "flip=none", "width=0.5"):
        assert plan(make_request, setting).stage_id("rgb") != plain.stage_id("rgb")


def test_an_override_wins_over_the_networks_own_value(make_request, tiny_methods):
    protocol = varied(PROTOCOLS["paper-scratch"], networks={"tiny": {"learning_rate": 3e-3}})
    assert plan(make_request, protocol=protocol).recipe.learning_rate == 3e-3
    changed = plan(make_request, "learning_rate=0.5", protocol=protocol)
    assert changed.recipe.learning_rate == 0.5
    # The protocol's own value is a change where the network has another one.
    back = plan(make_request, "learning_rate=0.01", protocol=protocol)
    assert back.identity["overrides"] == {"learning_rate": 0.01}


def test_scratch_by_override_needs_no_weights(make_request):
    changed = plan(make_request, "initialisation=scratch", protocol=PAPER)
    assert changed.identity["weights_digest"] is None
    assert changed.identity["overrides"] == {"initialisation": "scratch"}


@dataclass(frozen=True)
class Settings:
    C: float = 1.0
    kernel: Literal["linear", "rbf"] = "linear"
    bins: int = 9
    scaled: bool = True
    folder: str = ""


@dataclass(frozen=True)
class Classical(Method):
    name: str = "classical"
    title: str = "Classical"
    fusion_title: str = "Classical"
    recipe: Settings | None = Settings()


def test_a_method_may_have_other_settings():
    texts = ["C=10", "kernel=rbf", "bins=8", "scaled=false", "folder=x", "train_on=inner"]
    method, protocol, changes = prescribe(Classical(), PAPER, texts)
    assert method.recipe == Settings(10.0, "rbf", 8, scaled=False, folder="x")
    assert protocol == replace(PAPER, train_on="inner")
    assert changes == {
        "C": 10.0,
        "bins": 8,
        "folder": "x",
        "kernel": "rbf",
        "scaled": False,
        "train_on": "inner",
    }


def test_a_setting_of_another_method_is_refused():
    with pytest.raises(UsageError, match="'learning_rate=1'") as caught:
        prescribe(Classical(), PAPER, ["learning_rate=1"])
    assert "kernel" in caught.value.hint
    with pytest.raises(UsageError, match="true or false"):
        prescribe(Classical(), PAPER, ["scaled=1"])


def test_a_method_without_settings_has_only_those_of_the_protocol():
    method = Classical(recipe=None)
    assert prescribe(method, PAPER, ["initialisation=scratch"])[2] == {"initialisation": "scratch"}
    with pytest.raises(UsageError, match="'C=1'"):
        prescribe(method, PAPER, ["C=1"])
