"""The command line's surface is frozen: an option is added here on purpose or not at all."""

import subprocess
import sys

import pytest
from typer.main import get_command

from mtut_bench.cli import app

OPTIONS = {
    "prepare": {
        "--data",
        "--raw",
        "--store",
        "--size",
        "--colour",
        "--workers",
        "--overwrite",
        "--dry-run",
    },
    "synth": {"--data", "--raw", "--size", "--seed", "--whole", "--workers"},
    "verify": {"--data", "--raw", "--store", "--size", "--colour", "--workers"},
    "inspect": {"--data", "--store", "--size", "--contact-sheet"},
    "run": {
        "--method",
        "--dataset",
        "--fold",
        "--modalities",
        "--protocol",
        "--seed",
        "--device",
        "--data",
        "--runs",
        "--store",
        "--size",
        "--workers",
        "--dry-run",
    },
    "report": {"--runs", "--out"},
    "list": {"--data", "--runs"},
}


def test_commands_and_options_are_these():
    command = get_command(app)
    found = {
        name: {o for p in sub.params for o in p.opts if o.startswith("--")} - {"--help"}
        for name, sub in command.commands.items()
    }
    assert found == OPTIONS


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_every_option_is_explained(name):
    for parameter in get_command(app).commands[name].params:
        assert parameter.name == "subject" or getattr(parameter, "help", None), parameter.name


def test_help_imports_nothing_heavy():
    code = (
        "import sys; sys.argv = ['mtut-bench', '--help']\n"
        "from mtut_bench.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'zarr', 'cv2', 'av', 'scipy', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
