"""The demo's own commands, and what they leave on disk."""

import json
import re

import pytest
from planned import varied
from process import ROOT

from mtut_bench.contract.protocol import PROTOCOLS

TWIN = ("--dataset", "viva-synthetic", "--size", "tiny", "--protocol", "demo")


@pytest.fixture(scope="module", autouse=True)
def fewer_epochs():
    """The demo at its size and with its constants, for 2 + 1 epochs instead of 6 + 2."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PROTOCOLS, "demo", varied(PROTOCOLS["demo"], epochs_alone=2, epochs_joint=1))
        yield


@pytest.fixture(scope="module")
def demo(bench, prepared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    (folder / "data").symlink_to(prepared)
    at = ("--data", folder / "data", "--runs", folder / "runs")
    outputs = [
        bench("prepare", "viva-synthetic", "--size", "tiny", "--data", folder / "data").stdout
    ]
    for method in ("i3d", "mtut"):
        outputs.append(bench("run", "--method", method, *TWIN, *at).stdout)
    outputs.append(bench("report", *at).stdout)
    return folder, outputs


def manifests(folder):
    return [json.loads(p.read_text()) for p in (folder / "runs").glob("viva*/*/manifest.json")]


def test_makefile_runs_the_same_commands():
    text = (ROOT / "Makefile").read_text()
    for line in ("prepare viva-synthetic --size tiny", "run --method i3d", "run --method mtut"):
        assert line in text
    assert " ".join(TWIN) in text


def test_every_method_and_fold_has_a_manifest(demo):
    folder, _ = demo
    done = {(m["method"]["name"], m["identity"]["fold"]) for m in manifests(folder)}
    assert done == {(name, fold) for name in ("i3d", "mtut") for fold in ("1", "2")}


def test_a_run_ends_with_the_command_of_its_report(demo):
    folder, outputs = demo
    command = f"mtut-bench report --data {folder / 'data'} --runs {folder / 'runs'}"
    assert f"tables: {command}" in outputs[1].splitlines()


def test_second_method_shares_the_first_stages(demo):
    folder, outputs = demo
    assert outputs[2].count("alone: shared") == 4
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
    assert bench("run", "--method", "mtut", *TWIN, *at).stdout.count("done already") == 2
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
    text = bench("run", "--method", "mtut", *TWIN, *at, "--dry-run").stdout
    assert "0 runs to do: 0 network steps in 0 first stages" in text
