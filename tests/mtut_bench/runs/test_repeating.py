"""The command of a run like another one: parsed by the program, and what it says of the method."""

import shlex
from pathlib import Path

import pytest
from msgspec import to_builtins
from record_bench import DELETED, manifest
from typer.main import get_command

from mtut_bench.cli import app
from mtut_bench.runs.record import RunRecord
from mtut_bench.runs.repeating import command_like, method_option
from mtut_bench.runs.spec import RunSpec
from mtut_bench.typed import typed

OWN = {"identity.method.source": "f" * 64}


def record(command="mtut-bench run", **changes):
    changes |= {"store.name": "my store", "provenance.command": command}
    return typed(manifest("mutual", changes), RunRecord)


def parsed(command):
    program, name, *words = shlex.split(command)
    assert (program, name) == ("mtut-bench", "run")
    command = get_command(app).commands[name]
    with command.make_context(name, words) as context:
        return context.params


def test_everything_that_makes_runs_alike_is_in_the_command():
    overrides = {"gradient_clip": None, "crop": 112, "lambda": 0.5, "fold_unit": "user"}
    command = "mtut-bench run --data 'my data' --fold 1"
    like = record(command, **{"identity.precision": "bf16", "identity.overrides": overrides})
    found = parsed(command_like(like, "2,3", 4))
    assert (found["store"], found["protocol"]) == ("my store", "demo")
    assert (found["fold"], found["seed"], found["modalities"]) == ("2,3", 4, "rgb,depth")
    assert found["precision"].value == "bf16"
    assert found["settings"] == ["gradient_clip=none", "crop=112", "lambda=0.5"]
    assert found["fold_unit"].value == "user"
    assert found["data"] == Path("my data")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "mutual"),
        (OWN | {"method.file": "my methods/a.py:build"}, "my methods/a.py:build"),
        # A manifest of an earlier release.
        (OWN | {"command": "mtut-bench run --method b.py:make"}, "b.py:make"),
        (OWN | {"command": "mtut-bench run --study 'broken"}, "mutual"),
    ],
)
def test_an_own_method_is_named_by_its_file(changes, expected):
    like = record(**changes)
    assert method_option(like) == expected
    assert parsed(command_like(like, "1", 0))["method"] == expected


def test_a_manifest_without_a_command_names_no_folder():
    like = record(command=DELETED)
    assert parsed(command_like(like, "1", 0))["data"] == Path("data")


def test_what_was_typed_is_kept_and_typed_again():
    spec = RunSpec(
        method="my methods/a.py:build",
        store="my data/stores/my store.zarr",
        protocol="demo",
        fold="1",
        fold_unit="user",
        modalities=("depth",),
        seed=3,
        settings=("crop=112",),
        precision="bf16",
    )
    like = record(**OWN, **{"method.file": "my methods/a.py:build", "spec": to_builtins(spec)})
    assert like.spec == spec
    found = parsed(command_like(like, "2", 4))
    assert (found["method"], found["store"]) == ("my methods/a.py:build", "my store")
    assert (found["fold"], found["seed"], found["modalities"]) == ("2", 4, "depth")
    assert (found["settings"], found["data"]) == (["crop=112"], Path("my data"))
    assert (found["fold_unit"].value, found["precision"].value) == ("user", "bf16")


def test_predictions_from_elsewhere_are_scored_again_not_run():
    spec = RunSpec(method="theirs", store="data/stores/my store.zarr", protocol="given")
    like = record(**OWN, **{"method.file": "", "spec": to_builtins(spec)})
    words = shlex.split(command_like(like, "2", 0))
    assert words[:3] == ["mtut-bench", "score", "FILE.csv"]
    assert words[words.index("--name") + 1] == "theirs"
    assert "--keep" in words
