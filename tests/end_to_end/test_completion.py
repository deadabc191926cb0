"""What a shell is offered, by its own protocol: environment variables in, one name a line out."""

import json
import os
import subprocess
import sys

import pytest
from record_bench import manifest

from mtut_baselines import METHODS
from mtut_bench.contract.protocol import PROTOCOLS
from mtut_preprocess import DATASETS

# The program as its script starts it; what it has loaded goes to the error output.
PROGRAM = """
import sys
sys.argv = ["mtut-bench"]
from mtut_bench.cli import main
try:
    main()
finally:
    print(*{"torch"} & sys.modules.keys(), file=sys.stderr)
"""


@pytest.fixture
def offered(tmp_path):
    """Return what bash is offered for the last of some words, which may be empty."""

    def complete(*words):
        environment = {key: v for key, v in os.environ.items() if not key.startswith("MTUT_BENCH")}
        environment |= {
            "_MTUT_BENCH_COMPLETE": "complete_bash",
            "COMP_WORDS": " ".join(["mtut-bench", *words]),
            "COMP_CWORD": str(len(words)),
        }
        result = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            capture_output=True,
            text=True,
            env=environment,
            cwd=tmp_path,
        )
        assert result.returncode == 0, result.stderr
        # No message in the line that somebody types, and no wait for torch.
        assert result.stderr.strip() == ""
        return result.stdout.split()

    return complete


@pytest.fixture
def stores(make_store, make_rows, tmp_path):
    """Make two stores, one of whose modalities and folds are its own, below data/."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "stores").symlink_to(tmp_path / "stores")
    make_store("viva-synthetic-tiny")
    rows = make_rows(subjects=("anna", "ben"))
    make_store("mine", rows=rows, modalities=("rgb", "thermal"))
    make_store("unknown-persons", subject_unit="user")


@pytest.fixture
def runs(tmp_path):
    """Write manifests of two runs, of a shared artefact, and of a broken run, below my-runs/."""
    for place, name, modalities in (
        ("viva/3f2a00000000", "mtut", ["rgb", "depth"]),
        ("mine/77aa00000000", "mutual", ["thermal"]),
        ("stages/99bb00000000", "i3d", ["rgb"]),
    ):
        folder = tmp_path / "my-runs" / place
        folder.mkdir(parents=True)
        content = manifest(name, {"identity.modalities": modalities})
        (folder / "manifest.json").write_text(json.dumps(content))
    (tmp_path / "my-runs" / "viva" / "broken").mkdir()
    (tmp_path / "my-runs" / "viva" / "broken" / "manifest.json").write_text("{")
    return ("--runs", "my-runs")


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("run", "--method", ""), list(METHODS)),
        (("bench", "train", "--method", "mtut-c"), ["mtut-c3d"]),
        (("run", "--protocol", ""), list(PROTOCOLS)),
        (("prepare", ""), list(DATASETS)),
        (("run", "--dataset", "viva"), ["viva", "viva-synthetic"]),
        (("synth", ""), [name for name, one in DATASETS.items() if one.is_synthetic]),
        (("prepare", "--size", ""), ["tiny", "demo", "mini", "full"]),
        (("run", "--meth"), ["--method"]),
        (("weights", ""), ["fetch", "convert", "check"]),
    ],
)
def test_names_that_need_no_folder(words, names, offered):
    assert offered(*words) == list(names)


def test_stores_modalities_and_folds_are_those_of_the_folder(stores, offered):
    """Of the store that was named, or of the dataset's, or of all."""
    assert offered("run", "--store", "") == ["mine", "unknown-persons", "viva-synthetic-tiny"]
    assert offered("run", "--data", "nowhere", "--store", "") == []
    assert offered("run", "--store", "mine", "--modalities", "") == ["rgb", "thermal"]
    assert offered("run", "--modalities", "") == ["rgb", "thermal", "depth"]
    synthetic = ("--dataset", "viva-synthetic")
    assert offered("run", *synthetic, "--modalities", "rgb,") == ["rgb,depth"]
    assert offered("score", *synthetic, "--modality", "rgb+") == ["rgb+depth"]
    assert offered("run", "--store", "mine", "--fold", "") == ["anna", "ben", "all"]
    assert offered("run", "--store", "mine", "--fold", "anna,") == ["anna,ben"]
    assert offered("score", *synthetic, "--fold", "") == ["1", "2"]
    # Those that --fold-unit user makes.
    assert offered("run", "--store", "unknown-persons", "--fold", "") == ["1", "2", "all"]


def test_a_damaged_store_offers_nothing(stores, offered, tmp_path):
    (tmp_path / "stores" / "mine.zarr" / "zarr.json").write_text("{")
    assert offered("run", "--store", "mine", "--modalities", "") == []


def test_runs_and_what_they_were_trained_on(runs, offered):
    assert offered("predict", *runs, "--run", "") == ["77aa00000000", "3f2a00000000"]
    assert offered("predict", *runs, "--run", "3f") == ["3f2a00000000"]
    assert offered("predict", *runs, "--run", "3f2a", "--modality", "") == ["rgb", "depth"]
    assert offered("predict", *runs, "--modality", "") == ["thermal", "rgb", "depth"]
    assert offered("export", *runs, "--format", "onnx", "7") == ["77aa00000000"]
    assert offered("export", *runs, "--format", "hdf5", "7") == []
    assert offered("export", *runs, "vi") == ["viva", "viva-synthetic"]
    assert offered("report", "compare", *runs, "m") == ["mutual", "mtut"]
    assert offered("report", "compare", *runs, "a", "b", "--store", "") == ["mine", "viva"]


def test_zsh_is_told_what_a_run_is(runs, tmp_path):
    environment = os.environ | {
        "_MTUT_BENCH_COMPLETE": "complete_zsh",
        "_TYPER_COMPLETE_ARGS": "mtut-bench predict --runs my-runs --run 3",
    }
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
    )
    assert '"3f2a00000000":"mtut, rgb+depth, fold 1"' in result.stdout


def test_completion_can_be_installed(bench):
    assert "--install-completion" in bench("--help").stdout
