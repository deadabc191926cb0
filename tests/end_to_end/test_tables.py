"""`run --table`: all six methods of Table 7, shared stage one, and a marked variant."""

import json

import pytest

from mtut_bench.report import write_report

SYNTHETIC = ("--dataset", "viva-synthetic", "--protocol", "demo")
SMALL = {"epochs_alone": 1, "epochs_joint": 1, "clip_length": 16, "crop": 32, "short_side": 36}


@pytest.fixture(scope="module")
def table_seven(bench, prepared, tmp_path_factory):
    """Output and folder of Table 7's methods on one fold, one epoch a stage, as a variant."""
    folder = tmp_path_factory.mktemp("table")
    small = [part for item in SMALL.items() for part in ("--set", "{}={}".format(*item))]
    at = ("--data", prepared, "--runs", folder / "runs", "--fold", "1")
    return bench("run", "--table", "7", *SYNTHETIC, *small, *at).stdout, folder


def manifests(folder):
    return [json.loads(p.read_text()) for p in (folder / "runs").glob("viva*/*/manifest.json")]


def test_all_six_methods_ran(table_seven):
    _, folder = table_seven
    names = {manifest["method"]["name"] for manifest in manifests(folder)}
    assert names == {"i3d", "i3d+ssa", "mtut", "c3d", "c3d+ssa", "mtut-c3d"}


def test_stage_one_is_shared_and_the_saving_is_printed(table_seven):
    output, folder = table_seven
    # Two networks, two modalities: four stages for six methods; 24 passes a clip instead of 16.
    assert len(list((folder / "runs" / "stages").iterdir())) == 4
    assert "33% saved" in output


def test_a_variant_is_marked_and_fills_no_published_cell(table_seven):
    _, folder = table_seven
    assert all(m["identity"]["overrides"] == SMALL for m in manifests(folder))
    write_report(folder / "runs", folder / "runs" / "report")
    text = (folder / "runs" / "report" / "own.csv").read_text()
    assert "epochs_alone=1" in text


def test_maps_and_logs_are_kept(table_seven):
    _, folder = table_seven
    for path in (folder / "runs").glob("viva*/*/manifest.json"):
        names = {p.name for p in path.parent.iterdir()}
        assert {"maps.npz", "log.jsonl", "predictions.npz", "tensorboard"} <= names
