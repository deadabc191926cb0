"""Interrupted at any moment, no byte is lost: three kills in the suite, ten in `make crash`."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
from process import command
from processes import started

from mtut_bench.store.reader import StoreReader

KILLS = int(os.environ.get("MTUT_BENCH_KILLS", "3"))
DEMO = ("--dataset", "viva-synthetic", "--size", "tiny", "--protocol", "demo")
# A run of seconds: what is kept and taken up does not depend on the size.
SMALL = ("width=0.125", "clip_length=16", "short_side=36", "crop=32")

pytestmark = pytest.mark.crash


def files(folder):
    """Return path, size and time of every file below a folder, while another process writes."""
    found = set()
    # Unlike rglob, walk passes over a folder that is gone.
    for place, _, names in os.walk(folder):
        for path in (Path(place, name) for name in names):
            with suppress(FileNotFoundError):
                state = path.stat()
                found.add((path, state.st_size, state.st_mtime_ns))
    return found


def follow(arguments, folder, limit=None):
    """Run a command; kill -9 it once the files below a folder have changed ``limit`` times.

    Returns:
        How often they were seen to change, and the exit code.
    """
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    changes, before = 0, files(folder)
    with started(command(*arguments), **silent) as process:
        while process.poll() is None and changes != limit:
            time.sleep(0.01)
            now = files(folder)
            changes += now != before
            before = now
    return changes, process.returncode


def kill_often(arguments, folder, changes):
    """Kill a command ``KILLS`` times in even parts of what it writes; then let it finish."""
    limit = max(1, changes // (KILLS + 1))
    codes = [follow(arguments, folder, limit)[1] for _ in range(KILLS)]
    assert set(codes) <= {0, -signal.SIGKILL}
    assert codes[0] == -signal.SIGKILL
    _, code = follow(arguments, folder)
    assert code == 0


def prepare_arguments(data, workers="1"):
    return ("prepare", "viva-synthetic", "--data", data, "--workers", workers)


def run_arguments(data, runs):
    small = (part for setting in SMALL for part in ("--set", setting))
    return (
        "run",
        "--method",
        "mtut",
        "--fold",
        "1",
        *DEMO,
        "--data",
        data,
        "--runs",
        runs,
        *small,
    )


@pytest.fixture
def undisturbed(prepared, tmp_path_factory):
    """The runs folder of a run left in peace, and how often it was seen to change."""
    folder = tmp_path_factory.mktemp("peace")
    changes, code = follow(run_arguments(prepared, folder), folder)
    assert code == 0
    return folder, changes


def digest(folder):
    return StoreReader(folder / "stores" / "viva-synthetic-tiny.zarr").attributes.digest


@pytest.mark.parametrize("workers", ["1", "2"])
def test_prepare_ends_with_the_digest_of_an_undisturbed_one(prepared, tmp_path, workers):
    # 76 videos, and a store of a few shards.
    kill_often(prepare_arguments(tmp_path, workers), tmp_path, changes=100)
    assert digest(tmp_path) == digest(prepared)
    found = {p.name for p in (tmp_path / "stores").iterdir() if not p.name.startswith(".")}
    assert found == {"viva-synthetic-tiny.zarr", "viva-synthetic-tiny.md"}


def test_run_ends_with_the_predictions_of_an_undisturbed_one(prepared, undisturbed, tmp_path):
    folder, changes = undisturbed
    arguments = run_arguments(prepared, tmp_path)
    interrupt_run(arguments, tmp_path)
    kill_often(arguments, tmp_path, changes)
    for name in ("predictions.npz", "network-rgb.safetensors", "network-depth.safetensors"):
        (ours,) = tmp_path.glob(f"viva*/*/{name}")
        (theirs,) = folder.glob(f"viva*/*/{name}")
        assert ours.read_bytes() == theirs.read_bytes(), name


def interrupt_run(arguments, folder):
    """Ctrl-C in the middle of stage one is one line."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with started(command(*arguments), **options) as process:
        while not list(folder.glob("stages/*/checkpoint.pt")):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert process.returncode == 130
    assert "interrupted" in errors
    assert "Traceback" not in errors


def test_ctrl_c_in_prepare_leaves_no_process_and_no_store(prepared, tmp_path):
    arguments = (*prepare_arguments(tmp_path, "2"), "--store", "x")
    arguments += ("--raw", prepared / "raw" / "viva-synthetic-tiny")
    options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    with started(command(*arguments), start_new_session=True, **options) as process:
        while not (tmp_path / "stores" / "x.partial" / "plan.json").exists():
            assert process.poll() is None
            time.sleep(0.01)
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
