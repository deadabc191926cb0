"""`make install` keeps an environment that is there, and what is installed in it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is missing")


@pytest.fixture
def make(tmp_path):
    """Run make on a copy of the Makefile; return what a Python in its place was told to do."""
    place = tmp_path / "clone"
    place.mkdir()
    shutil.copy(ROOT / "Makefile", place)
    (place / "pyproject.toml").touch()
    told = tmp_path / "told.txt"
    python = tmp_path / "python"
    # As Python's venv does, it puts itself into the environment that it makes.
    python.write_text(
        f'#!/bin/sh\necho "$0 $@" >> "{told}"\n'
        "for last; do :; done\n"
        'if [ "$1 $2" = "-m venv" ]; then mkdir -p "$last/bin"; cp "$0" "$last/bin/python"; fi\n'
    )
    python.chmod(0o755)

    def run(*arguments, folder=place, **environment):
        told.write_text("")
        kept = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "MAKEFLAGS")}
        result = subprocess.run(
            ["make", "install", f"PYTHON={python}", *arguments],
            cwd=folder,
            env=kept | environment,
            capture_output=True,
            text=True,
        )
        assert result.returncode == 0, result.stderr
        lines = [line.split(" ", 1) for line in told.read_text().splitlines()]
        return [(who, what) for who, what in lines if what.startswith("-m ")]

    run.place, run.python = place, python
    return run


INSTALL = "-m pip install --quiet --editable .[test]"


def environment(make, path):
    """Make an environment that somebody else made: only its Python matters."""
    (path / "bin").mkdir(parents=True)
    shutil.copy(make.python, path / "bin" / "python")
    return str(path / "bin" / "python")


def test_an_environment_is_made_where_there_is_none(make):
    assert make() == [(str(make.python), "-m venv .venv"), (".venv/bin/python", INSTALL)]
    assert make() == []


def test_an_environment_that_is_there_is_kept(make):
    environment(make, make.place / ".venv")
    assert make() == [(".venv/bin/python", INSTALL)]


def test_a_new_pyproject_installs_again_into_the_same_environment(make):
    make()
    later = (make.place / ".venv").stat().st_mtime + 100
    os.utime(make.place / "pyproject.toml", (later, later))
    assert make() == [(".venv/bin/python", INSTALL)]


@pytest.mark.parametrize("how", ["named", "active"])
def test_another_environment_is_taken(make, tmp_path, how):
    own = tmp_path / "own"
    python = environment(make, own)
    give = (f"VENV={own}",) if how == "named" else ()
    active = {"VIRTUAL_ENV": str(own)} if how == "active" else {}
    assert make(*give, **active) == [(python, INSTALL)]
    assert make(*give, **active) == []
    assert not (make.place / ".venv").exists()


def test_two_clones_in_one_environment_install_in_turns(make, tmp_path):
    """The environment runs the clone that was installed last."""
    python = environment(make, tmp_path / "own")
    other = shutil.copytree(make.place, tmp_path / "other")
    active = {"VIRTUAL_ENV": str(tmp_path / "own")}
    for folder in (make.place, other, make.place):
        assert make(folder=folder, **active) == [(python, INSTALL)]


def test_a_folder_with_a_space_has_an_environment_of_its_own(make, tmp_path):
    folder = shutil.copytree(make.place, tmp_path / "a clone")
    assert make(folder=folder)[1] == (".venv/bin/python", INSTALL)
    assert make(folder=folder, VIRTUAL_ENV=str(folder / ".venv")) == []


def test_packages_of_the_systems_python_may_be_seen(make):
    made, _ = make("SYSTEM_TORCH=1")
    assert made[1] == "-m venv --system-site-packages .venv"
