"""kill -9 at any moment costs time, never a byte: three kills in the suite, ten in `make crash`."""

import os
import signal
import subprocess
import time

import pytest
from process import command
from processes import started

from mtut_bench.store_reader import StoreReader

KILLS = int(os.environ.get("MTUT_BENCH_KILLS", "3"))
TWIN = ("--dataset", "viva-synthetic", "--size", "tiny", "--protocol", "demo")

pytestmark = pytest.mark.crash


def kill_often(arguments, seconds, begun):
    """Start a command ``KILLS`` times and kill it.

    The first as soon as its work has ``begun()``, however long that takes; the others at moments
    spread over the duration of an undisturbed one.

    Returns:
        How many were killed before they had finished.
    """
    killed = 0
    for number in range(KILLS):
        moment = time.monotonic() + seconds * number / KILLS
        options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with started(command(*arguments), **options) as process:
            while process.poll() is None and not (begun() and time.monotonic() >= moment):
                time.sleep(0.02)
            killed += process.poll() is None
    return killed


def timed(bench, *arguments):
    start = time.monotonic()
    bench(*arguments)
    return time.monotonic() - start


@pytest.fixture(scope="module")
def undisturbed(bench, tmp_path_factory):
    """(folder, seconds of prepare, seconds of run) of a preparation and a run left in peace."""
    folder = tmp_path_factory.mktemp("peace")
    prepare = timed(bench, "prepare", "viva-synthetic", "--size", "tiny", "--data", folder)
    run = timed(bench, *run_arguments(folder, folder / "runs"))
    return folder, prepare, run


def run_arguments(data, runs):
    return ("run", "--method", "mtut", "--fold", "1", *TWIN, "--data", data, "--runs", runs)


def digest(folder):
    return StoreReader(folder / "stores" / "viva-synthetic-tiny.zarr").attributes["digest"]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_prepare_ends_with_the_digest_of_an_undisturbed_one(undisturbed, bench, tmp_path, workers):
    folder, seconds, _ = undisturbed
    arguments = ("prepare", "viva-synthetic", "--size", "tiny", "--data", tmp_path)
    arguments += ("--workers", workers)
    assert kill_often(arguments, seconds, lambda: any(tmp_path.rglob("*.avi"))) > 0
    bench(*arguments)
    assert digest(tmp_path) == digest(folder)
    found = {p.name for p in (tmp_path / "stores").iterdir() if not p.name.startswith(".")}
    assert found == {"viva-synthetic-tiny.zarr", "viva-synthetic-tiny.md"}


def test_run_ends_with_the_predictions_of_an_undisturbed_one(undisturbed, bench, tmp_path):
    folder, _, seconds = undisturbed
    arguments = run_arguments(folder, tmp_path)
    first = "stages/*/checkpoint.pt"
    assert kill_often(arguments, seconds, lambda: any(tmp_path.glob(first))) > 0
    bench(*arguments)
    for name in ("predictions.npz", "network-rgb.safetensors", "network-depth.safetensors"):
        (ours,) = tmp_path.glob(f"viva*/*/{name}")
        (theirs,) = (folder / "runs").glob(f"viva*/*/{name}")
        assert ours.read_bytes() == theirs.read_bytes(), name


def test_ctrl_c_in_run_is_one_line_and_resumes(undisturbed, bench, tmp_path):
    folder, _, _ = undisturbed
    arguments = run_arguments(folder, tmp_path)
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with started(command(*arguments), **options) as process:
        while not list(tmp_path.glob("stages/*/checkpoint.pt")):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert process.returncode == 130
    assert "interrupted" in errors
    assert "Traceback" not in errors
    bench(*arguments)
    assert len(list(tmp_path.glob("viva*/*/predictions.npz"))) == 1


def test_ctrl_c_in_prepare_leaves_no_process_and_no_store(bench, undisturbed, tmp_path):
    folder, _, _ = undisturbed
    arguments = ("prepare", "viva-synthetic", "--size", "tiny", "--store", "x", "--workers", "2")
    arguments += ("--data", tmp_path, "--raw", folder / "raw" / "viva-synthetic-tiny")
    options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    with started(command(*arguments), start_new_session=True, **options) as process:
        while not (tmp_path / "stores" / "x.partial" / "plan.json").exists():
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert not (tmp_path / "stores" / "x.zarr").exists()
    # The killed ones take a moment; a worker that stays hangs the test.
    while group_lives(process.pid):
        time.sleep(0.05)


def group_lives(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
