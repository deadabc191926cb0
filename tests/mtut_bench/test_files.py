import os
import signal
import subprocess
import sys

import pytest
from processes import started

from mtut_bench.errors import BusyError, DatasetError, MtutBenchError
from mtut_bench.files import (
    canonical_json,
    hold_lock,
    read_json,
    sha256_of_json,
    write_atomic,
    write_json,
)

HOLDER = """
import os, signal, sys
from pathlib import Path
from mtut_bench.files import hold_lock
with hold_lock(Path(sys.argv[1]), "the store"):
    # As a loader's worker, it outlives a killed parent for a while.
    child = os.fork()
    if child:
        print(child, flush=True)
    signal.pause()
"""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def holder(tmp_path):
    """Another process that holds ``lock`` until it is killed."""
    command = [sys.executable, "-c", HOLDER, tmp_path / "lock"]
    with started(command, stdout=subprocess.PIPE) as process:
        child = int(process.stdout.readline())
        yield process
    os.kill(child, signal.SIGKILL)


def test_write_atomic_replaces_a_file_and_leaves_nothing_else(tmp_path):
    write_atomic(tmp_path / "a", b"old")
    write_atomic(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert names(tmp_path) == ["a"]


def test_write_atomic_makes_missing_folders(tmp_path):
    write_atomic(tmp_path / "deep" / "er" / "a", b"x")
    assert (tmp_path / "deep" / "er" / "a").read_bytes() == b"x"


def test_failed_write_keeps_the_old_file_and_names_it(tmp_path, monkeypatch):
    write_atomic(tmp_path / "a", b"old")

    def fail(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(MtutBenchError, match=r"cannot write .*a: No space left on device"):
        write_atomic(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "a", b"new")
    assert names(tmp_path) == []


def test_write_below_a_file_is_one_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MtutBenchError, match="cannot write"):
        write_atomic(tmp_path / "file" / "a", b"x")


def test_canonical_json_is_free_of_order_and_spaces():
    assert canonical_json({"b": [1, 2.5], "a": "\u00e9"}) == '{"a":"\u00e9","b":[1,2.5]}'
    assert sha256_of_json({"b": 1, "a": 2}) == sha256_of_json({"a": 2, "b": 1})


def test_canonical_json_refuses_nan():
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(float("nan"))


def test_json_round_trip(tmp_path):
    write_json(tmp_path / "a.json", {"a": ["\u00e9", 1, None]})
    assert read_json(tmp_path / "a.json", DatasetError, "") == {"a": ["\u00e9", 1, None]}


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b""], ids=["torn", "not UTF-8", "empty"])
def test_unreadable_json_names_file_and_hint(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DatasetError, match=r"a\.json cannot be read as JSON") as caught:
        read_json(tmp_path / "a.json", DatasetError, "Restore it.")
    assert caught.value.hint == "Restore it."


def test_missing_json_names_the_file(tmp_path):
    with pytest.raises(DatasetError, match=r"a\.json does not exist"):
        read_json(tmp_path / "a.json", DatasetError, "")


def test_lock_keeps_another_process_out_and_names_it(holder, tmp_path):
    with (
        pytest.raises(BusyError, match=f"the store is in use by process {holder.pid}"),
        hold_lock(tmp_path / "lock", "the store"),
    ):
        pass


def test_lock_of_a_killed_process_is_free(holder, tmp_path):
    # Its forked child lives on.
    holder.kill()
    holder.wait()
    with hold_lock(tmp_path / "lock", "the store"):
        pass


def test_lock_can_be_taken_again_after_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), hold_lock(tmp_path / "lock", "it"):
        raise ZeroDivisionError
    with hold_lock(tmp_path / "lock", "it"):
        pass
