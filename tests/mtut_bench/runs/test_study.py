import json
from pathlib import Path

import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from mtut_bench.cli import app
from mtut_bench.errors import RunError, UsageError
from mtut_bench.runs.study import Block, Study, read_study

ROOT = Path(__file__).resolve().parents[3]
HEAD = 'title = "t"\nprotocol = "demo"\n'
BLOCK = '[[block]]\ntitle = "b"\nstore = "s"\nseeds = [0]\nmethods = ["i3d"]\n'


def write(tmp_path, text):
    path = tmp_path / "study.toml"
    path.write_text(text)
    return path


def test_a_study_is_read_whole(tmp_path):
    text = (
        HEAD
        + 'dataset = "viva"\n'
        + BLOCK
        + ('folds = ["1"]\nmodalities = ["rgb", "depth"]\nset = ["beta=1"]\n' + BLOCK)
    )
    plain = Block(title="b", store="s", methods=("i3d",), seeds=(0,))
    first = replace(plain, modalities=("rgb", "depth"), folds=("1",), settings=("beta=1",))
    expected = Study(title="t", protocol="demo", dataset="viva", blocks=(first, plain))
    assert read_study(write(tmp_path, text)) == expected


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("title = ", "study.toml"),
        (BLOCK, "no 'title'"),
        (HEAD + "block = [3]", "block[0] = 3"),
        (HEAD + "block = []", "block = []"),
        (HEAD + BLOCK + "speed = 3", "key 'block[0].speed'"),
        ("titel = 3\n" + HEAD + BLOCK, "key 'titel'"),
        (HEAD + BLOCK + BLOCK + "set = 3", "block[1].set = 3"),
        (HEAD + BLOCK + 'folds = ["1", "1"]', "block[0].folds = ['1', '1']"),
        (HEAD + BLOCK.replace('"s"', '" "'), "block[0].store = ' '"),
        (HEAD + BLOCK.replace('["i3d"]', '["i3d", ""]'), "block[0].methods[1] = ''"),
        (HEAD + BLOCK.replace("[0]", "[-1]"), "block[0].seeds[0] = -1"),
    ],
)
def test_an_invalid_study_is_refused_with_file_and_place(tmp_path, text, place):
    path = write(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        read_study(path)
    assert place in caught.value.what
    assert str(path) in caught.value.what


def test_a_near_key_is_suggested(tmp_path):
    with pytest.raises(UsageError) as caught:
        read_study(write(tmp_path, HEAD + BLOCK + 'fold = ["1"]'))
    assert caught.value.hint.startswith("Did you mean folds? Known keys: title, store,")


def test_a_study_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"absent\.toml: No such file"):
        read_study(tmp_path / "absent.toml")


@pytest.fixture
def planned(make_store, tmp_path):
    """Return the lines of `run --study --dry-run` on a store of two persons."""
    make_store("s")

    def plan(text, *options):
        call = ["run", "--study", str(write(tmp_path, text)), "--data", str(tmp_path)]
        call += ["--runs", str(tmp_path / "runs"), "--dry-run", *options]
        result = CliRunner().invoke(app, call)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return [line for line in result.output.splitlines() if " train" in line and "fold" in line]

    return plan


def test_runs_go_block_by_block_seed_by_seed_fold_by_fold(planned):
    block = BLOCK.replace("[0]", "[1, 0]").replace('["i3d"]', '["mtut", "i3d"]')
    lines = planned(HEAD + block + BLOCK.replace('["i3d"]', '["i3d+ssa"]'))
    found = [line.split("  ", 1)[1].split(":")[0] for line in lines]
    folds = sorted({line.split("fold ")[1].split(",")[0] for line in found})
    assert len(folds) > 1
    expected = [
        f"{method}, fold {fold}, rgb+depth, seed {seed}"
        for seed in (1, 0)
        for fold in folds
        for method in ("mtut", "i3d")
    ] + [f"i3d+ssa, fold {fold}, rgb+depth, seed 0" for fold in folds]
    assert found == expected


def test_a_block_may_name_its_folds_and_the_user_fewer(planned):
    every = planned(HEAD + BLOCK)
    named = HEAD + BLOCK + 'folds = ["1"]\n' + BLOCK.replace("[0]", "[1]")
    assert len(planned(named)) == 1 + len(every)
    assert [("fold 1" in line) for line in planned(named, "--fold", "1")] == [True, True]
    assert len(planned(named, "--fold", "2")) == 1


def test_settings_and_modalities_of_a_block_count(planned, tmp_path):
    (line,) = planned(HEAD + BLOCK + 'folds = ["1"]\nmodalities = ["depth"]\nset = ["flip=none"]\n')
    assert ", depth, seed 0" in line


def test_what_a_study_needs_and_is_not_there_is_said_at_once(planned):
    text = HEAD + BLOCK.replace('"s"', '"gone"') + BLOCK.replace('"s"', '"lost"')
    with pytest.raises(RunError) as caught:
        planned(text)
    assert "gone.zarr" in caught.value.what
    assert "lost.zarr" in caught.value.what


@pytest.mark.parametrize("option", ["--method=i3d", "--protocol=demo", "--seed=1", "--set=beta=1"])
def test_a_study_says_what_is_run_and_no_option_beside_it(planned, option):
    with pytest.raises(UsageError, match="study"):
        planned(HEAD + BLOCK, option)


@pytest.mark.parametrize("path", sorted((ROOT / "results" / "studies").glob("*.toml")))
def test_the_studies_of_the_project_name_what_exists(path):
    from mtut_baselines import METHODS
    from mtut_bench.contract.overrides import prescribe
    from mtut_bench.contract.protocol import PROTOCOLS

    study = read_study(path)
    protocol = PROTOCOLS[study.protocol]
    for block in study.blocks:
        assert set(block.methods) <= METHODS.keys(), json.dumps(block.methods)
        assert set(block.seeds) <= set(protocol.seeds)
        for name in block.methods:
            prescribe(METHODS[name], protocol, block.settings)
