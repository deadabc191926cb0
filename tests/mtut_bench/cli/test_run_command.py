"""`run --dry-run` in an empty folder: a plan from what is published, and what is missing."""

import re

import pytest
from typer.testing import CliRunner

from mtut_bench.cli import app
from mtut_bench.contract.protocol import PROTOCOLS
from mtut_bench.contract.published import load_published
from mtut_bench.errors import RunError, UsageError

BLOCK = '[[block]]\ntitle = "b"\nstore = "{}"\nseeds = [0]\nmethods = ["i3d"]\n'


@pytest.fixture
def dry_run(tmp_path, monkeypatch):
    """Return the output of `run --dry-run` in an empty folder, which it leaves empty."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MTUT_BENCH_DATA", raising=False)
    monkeypatch.delenv("MTUT_BENCH_RUNS", raising=False)

    def call(*options):
        before = sorted(tmp_path.iterdir())
        result = CliRunner().invoke(app, ["run", "--dry-run", *options])
        assert sorted(tmp_path.iterdir()) == before
        if result.exit_code:
            raise result.exception
        return result.output

    return call


def clips_of(text):
    """Return (train, test) of each run's line."""
    return [tuple(map(int, pair)) for pair in re.findall(r": (\d+) train.* (\d+) test clip", text)]


def test_without_anything_vivas_eight_folds_are_planned(dry_run):
    text = dry_run("--method", "mtut", "--dataset", "viva")
    assert clips_of(text) == [(774, 111)] * 5 + [(775, 110)] * 3
    assert "8 runs to do" in text
    # 885 clips, each in seven training sides, 60 + 15 epochs, two networks; tested once by each.
    assert f"clip passes: {885 * 7 * 75 * 2:,};" in text
    assert f"{885 * 2:,} clips to test" in text
    assert "2 things are missing; planned without them" in text
    assert "mtut-bench prepare viva" in text
    assert "mtut-bench weights fetch i3d-rgb" in text
    assert "viva.json, which identifies the persons" in text


def test_users_may_be_left_out_instead_of_persons(dry_run):
    text = dry_run("--dataset", "viva", "--fold-unit", "user", "--protocol", "demo")
    assert [test for _, test in clips_of(text)] == [56] * 5 + [55] * 11
    assert "one thing is missing; planned without it" in text


def test_a_table_is_planned_from_the_published_split(dry_run):
    text = dry_run("--table", "3")
    assert clips_of(text) == [(1050, 482)] * 3
    assert "table 3 alone: 3 runs, 441,000 clip passes" in text
    assert "no speed measured in runs yet: give --clips-per-second" in text


def test_all_tables_are_planned_with_their_hours(dry_run):
    text = dry_run("--tables", "all", "--clips-per-second", "300")
    for number in load_published().tables:
        assert re.search(rf"table {number} alone: .* about [\d.]+ (min|hours) at 300", text)
    passes = int(re.search(r"clip passes: ([\d,]+)", text)[1].replace(",", ""))
    assert f"about {passes / 300 / 3600:.1f} hours of training" in text
    for name in ("viva", "nvgesture", "egogesture"):
        assert text.count(f"stores/{name}.zarr does not exist") == 1


def test_a_study_is_planned_with_the_counts_of_its_dataset(dry_run, tmp_path):
    study = tmp_path / "study.toml"
    head = 'title = "t"\nprotocol = "demo"\ndataset = "nvgesture"\n'
    study.write_text(head + BLOCK.format("one") + BLOCK.format("two"))
    text = dry_run("--study", str(study))
    assert clips_of(text) == [(1050, 482)] * 2
    assert text.count("Planned as nvgesture, rgb+depth+flow: the published 1,050 train") == 2
    assert "(6 trainings)" in text


def test_a_study_of_synthetic_recordings_is_planned_whole_unless_a_size_is_given(dry_run, tmp_path):
    study = tmp_path / "study.toml"
    study.write_text(
        'title = "t"\nprotocol = "demo"\ndataset = "viva-synthetic"\n' + BLOCK.format("derived")
    )
    for options, clips in (((), 885), (("--size", "tiny"), 38), (("--size", "mini"), 152)):
        text = dry_run("--study", str(study), *options)
        assert sum(test for _, test in clips_of(text)) == clips
        assert f"the {clips} clips that the generator draws" in text


@pytest.mark.parametrize(
    ("options", "runs", "clips"),
    [
        (("--dataset", "viva-synthetic"), 2, 38),
        (("--dataset", "viva-synthetic", "--size", "mini"), 8, 152),
        (("--store", "viva-synthetic-mini"), 8, 152),
        (("--store", "viva-synthetic-mini", "--size", "full"), 8, 152),
        (("--store", "mine", "--dataset", "egogesture"), 1, 4977),
        (("--store", "nvgesture"), 1, 482),
    ],
)
def test_a_stores_name_or_dataset_and_size_say_what_it_will_hold(dry_run, options, runs, clips):
    found = clips_of(dry_run("--method", "i3d", "--protocol", "demo", *options))
    assert len(found) == runs
    assert sum(test for _, test in found) == clips


def test_a_protocol_that_trains_on_validation_clips_counts_them(dry_run):
    text = dry_run("--dataset", "egogesture", "--protocol", "paper-trainval", "--method", "i3d")
    assert PROTOCOLS["paper-trainval"].train_on == "train+val"
    assert clips_of(text) == [(14416 + 4768, 4977)]


@pytest.mark.parametrize("options", [("--dataset", "manifest"), ("--store", "mine")])
def test_where_nothing_is_published_the_error_stays(dry_run, options):
    with pytest.raises(RunError, match="does not exist") as caught:
        dry_run(*options)
    assert "mtut-bench prepare" in caught.value.what


def test_a_store_may_have_the_name_of_another_dataset(dry_run):
    text = dry_run("--store", "viva-synthetic-mini", "--dataset", "nvgesture", "--method", "i3d")
    assert clips_of(text) == [(1050, 482)]


def test_without_dry_run_all_must_be_there(tmp_path):
    call = ["run", "--data", str(tmp_path), "--runs", str(tmp_path / "runs")]
    result = CliRunner().invoke(app, call)
    assert isinstance(result.exception, RunError)
    assert "2 things are missing" in result.exception.what
    assert "Planned" not in result.exception.what


def test_what_does_not_exist_is_refused_without_a_store_too(dry_run):
    with pytest.raises(UsageError, match="'Anna'"):
        dry_run("--dataset", "viva", "--fold", "Anna")
    with pytest.raises(UsageError, match="'infrared'"):
        dry_run("--dataset", "viva", "--modalities", "rgb,infrared")
    with pytest.raises(UsageError, match="'demo'"):
        dry_run("--dataset", "nvgesture-synthetic", "--size", "demo")
