"""From a message to the command that it suggests, typed as it was printed; names that are near."""

import re
import shlex
import sys

import pytest

from mtut_baselines import METHODS
from mtut_bench import cli
from mtut_bench.contract.protocol import PROTOCOLS
from mtut_preprocess import DATASETS

SYNTHETIC = ("--dataset", "viva-synthetic", "--protocol", "demo")


@pytest.fixture
def bench(monkeypatch, capsys):
    """Run a command in this process; return its output and messages."""

    def run(*arguments, code=0):
        monkeypatch.setattr(sys, "argv", ["mtut-bench", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        output = capsys.readouterr()
        assert caught.value.code == code, output.out + output.err
        return output.out + output.err

    return run


@pytest.fixture
def at(tmp_path):
    """Folders whose names a shell would take apart."""
    return ("--data", tmp_path / "my data", "--runs", tmp_path / "my runs")


def commands(text):
    """The commands between backticks, as the words that a shell makes of them."""
    return [shlex.split(found)[1:] for found in re.findall(r"`(mtut-bench [^`]+)`", text)]


@pytest.fixture
def store(make_store, tmp_path):
    """Make a store below the folder of data."""

    def make(name="viva-synthetic-tiny", **attributes):
        (tmp_path / "my data").mkdir(exist_ok=True)
        (tmp_path / "my data" / "stores").symlink_to(tmp_path / "stores")
        return make_store(name, **({"dataset": "viva-synthetic"} | attributes))

    return make


@pytest.mark.parametrize("command", ["run", "bench train", "inspect", "derive", "export", "score"])
def test_the_store_that_is_missing_can_be_made(command, bench, at, tmp_path):
    """The size, and the folder of data, are those of the command that missed it."""
    words = {
        "run": ("run", *SYNTHETIC, *at),
        "bench train": ("bench", "train", *SYNTHETIC, *at[:2]),
        "inspect": ("inspect", "viva-synthetic", *at[:2]),
        "derive": ("derive", "viva-synthetic", "--as", "new", *at[:2]),
        "export": ("export", "viva-synthetic", *at[:2]),
        "score": ("score", tmp_path / "none.csv", *SYNTHETIC[:2], *at[:2]),
    }[command]
    message = bench(*words, "--size", "mini", code=1)
    suggested = commands(message)[0]
    assert suggested[:2] == ["prepare", "viva-synthetic"]
    planned = bench(*suggested, "--dry-run").replace("\n", "")
    assert str(tmp_path / "my data" / "stores" / "viva-synthetic-mini.zarr") in planned
    assert "(mini)" in planned


def test_the_way_without_recordings_can_be_typed(bench, at, store):
    message = bench("run", "--dataset", "viva", "--protocol", "paper-scratch", *at, code=1)
    prepare, run = commands(message)[-2:]
    assert "viva-synthetic" in bench(*prepare, "--dry-run")
    store(size=(72, 72))
    planned = bench(*run, "--dry-run")
    assert planned.count(", to do") == 2
    assert run[-2:] == ["--runs", str(at[3])]


def test_a_study_suggests_no_size(bench, at, tmp_path):
    study = tmp_path / "study.toml"
    study.write_text(
        'title = "t"\nprotocol = "demo"\ndataset = "viva-synthetic"\n'
        '[[block]]\ntitle = "b"\nstore = "mine"\nseeds = [0]\nmethods = ["i3d"]\nfolds = ["1"]\n'
    )
    message = bench("run", "--study", study, *at, code=1)
    assert "--size" not in message.split("Without recordings")[0]
    assert "has no fold '2'" in bench("run", "--study", study, "--fold", "2", *at, code=2)


def test_options_before_compare_are_refused(bench, at, tmp_path):
    (tmp_path / "my runs").mkdir()
    words = ("compare", "mtut", "i3d", "--dataset", "viva")
    assert "--runs has no effect before compare" in bench("report", *at[2:], *words, code=2)
    message = bench("report", *words, *at[2:], code=1)
    assert "no finished run of mtut" in message
    there, run = commands(message)
    bench(*there)
    assert run == ["run", "--method", "mtut", "--dataset", "viva", "--runs", str(at[3])]


def test_a_method_that_aligns_suggests_one_that_does_not(bench, at, store):
    """The suggestion has the same network; flow only where there is colour to compute it from."""
    store("mine", modalities=("rgb",), size=(72, 72))
    words = ("run", "--store", "mine", "--protocol", "demo", "--dry-run", *at)
    message = bench(*words, "--method", "mtut", code=2)
    assert "mtut needs two modalities, store 'mine' has only rgb" in message
    assert "--method i3d," in message
    assert "--flow farneback" in message
    assert "to do" in bench(*words, "--method", "i3d")
    assert "--method c3d," in bench(*words, "--method", "mtut-c3d", code=2)


def test_what_the_user_chose_is_not_blamed_on_the_store(bench, at, store):
    store("mine", modalities=("rgb", "depth"))
    message = bench(
        *("run", "--store", "mine", "--protocol", "demo", "--method", "mtut", *at),
        *("--modalities", "depth"),
        code=2,
    )
    assert "--modalities names only depth" in message
    assert "rgb, depth" in message
    assert "farneback" not in message


@pytest.mark.parametrize(
    ("words", "meant", "known"),
    [
        (("prepare", "nvgestur"), "nvgesture", DATASETS),
        (("run", "--dataset", "VIVA"), "viva", DATASETS),
        (("run", "--method", "muut"), "mtut", METHODS),
        (("run", "--protocol", "demmo"), "demo", PROTOCOLS),
        (("bench", "train", "--protocol", "demmo"), "demo", PROTOCOLS),
        (("run", *SYNTHETIC, "--modalities", "rbg"), "rgb", ("rgb", "depth")),
        (("run", *SYNTHETIC, "--fold", "person 1"), "person1", ("person1", "person2")),
        (("run", "--store", "viva-syntetic-tiny"), "viva-synthetic-tiny", ()),
        (("inspect", "--store", "viva-syntetic-tiny"), "viva-synthetic-tiny", ()),
        (("verify", "--store", "viva-syntetic-tiny"), "viva-synthetic-tiny", ()),
        (("run", *SYNTHETIC, "--set", "clip_lenght=8"), "clip_length", ("crop", "width")),
        (("derive", "viva-synthetic", "--as", "n", "--modalities", "dept"), "depth", ("rgb",)),
        (("weights", "fetch", "i3d_rgb"), "i3d-rgb", ("i3d-flow",)),
        (("synth", "viva-syntetic"), "viva-synthetic", DATASETS),
    ],
)
def test_a_near_name_is_asked_for_and_all_are_listed(
    words, meant, known, bench, at, store, make_rows
):
    store(size=(72, 72), rows=make_rows(subjects=("person1", "person2")))
    missing = "viva-syntetic-tiny" in words
    runs = at[2:] if words[0] == "run" else ()
    message = bench(*words, *at[:2], *runs, code=1 if missing else 2)
    assert f"Did you mean {meant}" in message
    assert all(name in message for name in known)
