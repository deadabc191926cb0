"""The demo's own commands, and what they leave on disk.

On fewer clips and for fewer epochs, but for the last test, which `make demo-seeds` runs.
"""

import csv
import json
import re

import pytest
from planned import varied
from process import ROOT

from mtut_bench.contract.protocol import PROTOCOLS
from mtut_preprocess.synthetic import SYNTHETIC, Settings

SIMULATED = ("--dataset", "viva-synthetic", "--size", "tiny", "--protocol", "demo")


@pytest.fixture(scope="module")
def fewer_epochs():
    """The demo's constants, for 2 + 1 epochs instead of 16 + 2."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PROTOCOLS, "demo", varied(PROTOCOLS["demo"], epochs_alone=2, epochs_joint=1))
        yield


@pytest.fixture(scope="module")
def demo(bench, prepared, tmp_path_factory, fewer_epochs):
    folder = tmp_path_factory.mktemp("demo")
    (folder / "data").symlink_to(prepared)
    at = ("--data", folder / "data", "--runs", folder / "runs")
    outputs = [
        bench("prepare", "viva-synthetic", "--size", "tiny", "--data", folder / "data").stdout
    ]
    for method in ("i3d", "mtut"):
        outputs.append(bench("run", "--method", method, *SIMULATED, *at).stdout)
    outputs.append(bench("report", *at).stdout)
    return folder, outputs


def manifests(folder):
    return [json.loads(p.read_text()) for p in (folder / "runs").glob("viva*/*/manifest.json")]


def test_makefile_runs_the_same_commands():
    text = (ROOT / "Makefile").read_text()
    for part in (
        "prepare viva-synthetic --size demo --short-side 60 ",
        "run --dataset viva-synthetic --size demo --protocol demo --fold 1 ",
        "(DEMO_RUN) --method i3d ",
        "(DEMO_RUN) --method mtut;",
        "(BENCH) report ",
        "(BENCH) predict $(UNSEEN) --run mtut ",
    ):
        assert part in text


def test_the_clip_that_is_predicted_is_of_the_person_left_out():
    (path,) = re.findall(
        r"^UNSEEN := .*/(\d\d_\d\d_\d\d)\.avi$", (ROOT / "Makefile").read_text(), re.M
    )
    clips = SYNTHETIC["viva-synthetic"].clips(Settings("viva-synthetic", "demo", 0, whole=False))
    (found,) = [clip for clip in clips if clip.clip_id == path]
    # Fold 1 tests person 1.
    assert found.person == "1"


def test_every_method_and_fold_has_a_manifest(demo):
    folder, _ = demo
    done = {(m["method"]["name"], m["identity"]["fold"]) for m in manifests(folder)}
    assert done == {(name, fold) for name in ("i3d", "mtut") for fold in ("1", "2")}


def test_a_run_ends_with_the_command_of_its_report(demo):
    folder, outputs = demo
    command = f"mtut-bench report --data {folder / 'data'} --runs {folder / 'runs'}"
    assert f"tables: {command}" in outputs[1].splitlines()


def test_second_method_shares_stage_one(demo):
    folder, outputs = demo
    assert outputs[2].count("stage one: shared") == 4
    assert len(list((folder / "runs" / "stages").iterdir())) == 4


def test_report_ends_with_a_table_of_its_own_and_says_what_it_is_worth(demo):
    folder, outputs = demo
    # The demo's data are synthetic, so the tables' measured column stays empty.
    text = (folder / "runs" / "report" / "tables.md").read_text()
    assert re.search(r"Synthetic recordings \(viva-synthetic, 38 of 885 clips\)", text)
    assert "not comparable with published numbers" in text
    assert "wrote" in outputs[3]


def test_demo_ends_in_a_page_with_figures_tests_and_thumbnails(demo):
    folder, outputs = demo
    report = folder / "runs" / "report"
    assert outputs[3].rstrip().endswith(f"page: {report / 'index.html'}")
    page = (report / "index.html").read_text()
    for text in ("not comparable with published numbers", "numbers of clips by I3D", "McNemar"):
        assert text in page
    # Thumbnails of clips come from the store; nothing comes from elsewhere.
    assert page.count("data:image/") >= 8
    assert not re.search(r"(src|href)=.https?:", page)
    keys = {path.stem for path in (report / "figures").glob("*.svg")}
    assert {path.stem for path in (report / "figures").glob("*.png")} == keys
    assert {
        "focal-weight",
        "strips-1",
        "feature-maps-1",
        "confusion-1-rgb",
        "class-accuracy-1",
        "person-accuracy-1",
        "learning-curves-1",
        "length-accuracy-1",
    } <= keys


def test_repeating_the_demo_does_nothing(demo, bench):
    folder, _ = demo
    at = ("--data", folder / "data", "--runs", folder / "runs")
    again = bench("prepare", "viva-synthetic", "--size", "tiny", "--data", folder / "data")
    assert "nothing to do" in again.stdout
    before = {p: p.stat().st_mtime_ns for p in (folder / "runs").glob("viva*/*/*")}
    assert bench("run", "--method", "mtut", *SIMULATED, *at).stdout.count("done already") == 2
    assert before == {p: p.stat().st_mtime_ns for p in (folder / "runs").glob("viva*/*/*")}


def test_store_of_the_demo_verifies(demo, bench):
    folder, _ = demo
    result = bench("verify", "viva-synthetic", "--size", "tiny", "--data", folder / "data")
    assert result.stdout.count("no fault") == 2


def test_listings_name_what_is_there(demo, bench):
    folder, _ = demo
    stores = bench("list", "stores", "--data", folder / "data").stdout
    assert "viva-synthetic-tiny" in stores
    runs = bench("list", "runs", "--runs", folder / "runs").stdout
    assert runs.count("viva-synthetic-tiny/") == 4


def test_dry_run_of_a_finished_run_plans_nothing(demo, bench):
    folder, _ = demo
    at = ("--data", folder / "data", "--runs", folder / "runs")
    text = bench("run", "--method", "mtut", *SIMULATED, *at, "--dry-run").stdout
    assert "0 runs to do: 0 network steps in stage one (0 trainings)" in text


@pytest.mark.demo
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_demo_is_above_chance(bench, tmp_path, seed):
    """As `make demo`; every network of both methods, by the interval of its own 29 clips."""
    at = ("--data", tmp_path / "data", "--runs", tmp_path / "runs")
    bench("prepare", "viva-synthetic", "--size", "demo", "--short-side", "60", *at[:2])
    for method in ("i3d", "mtut"):
        bench(
            "run",
            *("--dataset", "viva-synthetic", "--size", "demo", "--protocol", "demo"),
            *("--fold", "1", "--seed", seed, "--method", method, *at),
        )
    bench("report", *at)
    (path,) = (tmp_path / "runs" / "report" / "rows").glob("*.csv")
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {(row["method"], row["tested_on"]) for row in rows} == {
        (method, tested) for method in ("i3d", "mtut") for tested in ("rgb", "depth", "rgb+depth")
    }
    for row in rows:
        assert float(row["ci_low"]) > 1 / 5, row
        fit = json.loads(row["fit"])
        if fit:
            assert fit["evaluation"]["accuracy"] > 0.8, row
