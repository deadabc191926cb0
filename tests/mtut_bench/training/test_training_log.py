import json

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from training_bench import Interrupted, stop_after

from mtut_bench.training import loop as trainer

NUMBERS = {"accuracy", "learning_rate", "loss", "cross_entropy", "clips_per_s", "peak_bytes"}
JOINT = {"ssa", "ssa_term", "rho_mean", "rho_max", "rho_open", "ratio"}


def curves(folder):
    """Return {tag: [(step, value)]} as TensorBoard shows them."""
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def lines(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def check(folder, log):
    """The log is on disk, and every number of it is shown once, from one file."""
    assert len(list((folder / "tensorboard").iterdir())) == 1
    assert lines(folder) == log
    shown = curves(folder)
    for tag, points in shown.items():
        modality, name = tag.split("/")
        entries = [entry for entry in log if entry["modality"] == modality]
        assert [step for step, _ in points] == [entry["epoch"] for entry in entries]
        values = [value for _, value in points]
        # TensorBoard keeps float32.
        assert values == pytest.approx([entry[name] for entry in entries], rel=1e-6)
    return set(shown)


@pytest.fixture
def folder(bench):
    return bench.folder / "stage"


def test_the_log_is_whole_after_every_epoch(bench, folder):
    seen = []
    _, log = bench.alone(
        ("rgb", "depth"), "stage/checkpoint.pt", progress=lambda *tick: seen.append(lines(folder))
    )
    assert seen == [log[:2], log[:4], log[:6]]


def test_every_number_of_every_modality_is_shown(bench, folder):
    train_states, log = bench.alone(("rgb", "depth"), "stage/checkpoint.pt")
    assert check(folder, log) == {f"{m}/{n}" for m in ("rgb", "depth") for n in NUMBERS}
    log = bench.joint(train_states, name="joint/checkpoint.pt")
    tags = check(bench.folder / "joint", log)
    assert tags >= {f"{m}/{n}" for m in ("rgb", "depth") for n in NUMBERS | JOINT}


def test_memory_is_logged(bench):
    _, log = bench.alone(("rgb",))
    # A process that has imported torch has taken more than 50 MB and less than a terabyte.
    assert all(5e7 < entry["peak_bytes"] < 1e12 for entry in log)


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_after_an_interruption_every_epoch_is_shown_once(bench, folder, epochs):
    with pytest.raises(Interrupted):
        bench.alone(("rgb",), "stage/checkpoint.pt", progress=stop_after(epochs))
    _, log = bench.alone(("rgb",), "stage/checkpoint.pt")
    assert len(log) == 3
    check(folder, log)


@pytest.mark.parametrize("place", ["write", "save"])
def test_a_kill_between_log_and_checkpoint_hides_and_loses_nothing(
    bench, folder, monkeypatch, place
):
    count, save = [], trainer.save_checkpoint

    def killed(*arguments):
        count.append(1)
        if place == "save" and len(count) != 2:
            return save(*arguments)
        if place == "save":
            raise Interrupted
        save(*arguments)
        if len(count) == 2:
            raise Interrupted
        return None

    monkeypatch.setattr(trainer, "save_checkpoint", killed)
    with pytest.raises(Interrupted):
        bench.alone(("rgb",), "stage/checkpoint.pt")
    monkeypatch.setattr(trainer, "save_checkpoint", save)
    _, log = bench.alone(("rgb",), "stage/checkpoint.pt")
    assert [entry["epoch"] for entry in log] == [0, 1, 2]
    check(folder, log)


def test_a_finished_stage_writes_nothing(bench, folder):
    bench.alone(("rgb",), "stage/checkpoint.pt")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    bench.alone(("rgb",), "stage/checkpoint.pt")
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
