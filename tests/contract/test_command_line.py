"""The command line's surface is frozen: an option is added here on purpose or not at all."""

import subprocess
import sys

import pytest
from typer.main import get_command

from mtut_bench.cli import app

MEASURED = {
    "--dataset",
    "--store",
    "--size",
    "--data",
    "--method",
    "--protocol",
    "--modalities",
    "--fold",
    "--set",
    "--device",
    "--resident",
    "--workers",
    "--seconds",
    "--repeats",
    "--json",
}
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
        "--table",
        "--flow",
        "--raft-weights",
        "--device",
        "--limit",
        "--only",
        "--skip-unreadable",
        "--list",
    },
    "synth": {
        "--data",
        "--raw",
        "--size",
        "--seed",
        "--whole",
        "--contact-sheet",
        "--probes",
        "--difficulty",
        "--workers",
    },
    "verify": {
        "--data",
        "--raw",
        "--store",
        "--table",
        "--size",
        "--colour",
        "--workers",
        "--write-index",
        "--json",
    },
    "inspect": {"--data", "--store", "--size", "--contact-sheet", "--by-user"},
    "export": {
        "--data",
        "--runs",
        "--store",
        "--size",
        "--format",
        "--modality",
        "--method",
        "--out",
        "--overwrite",
    },
    "derive": {
        "--as",
        "--data",
        "--store",
        "--size",
        "--modalities",
        "--copy",
        "--partner",
        "--overwrite",
    },
    "import": {"--data", "--store", "--overwrite"},
    "run": {
        "--study",
        "--table",
        "--tables",
        "--set",
        "--precision",
        "--recompute",
        "--resident",
        "--clips-per-second",
        "--method",
        "--dataset",
        "--fold",
        "--fold-unit",
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
    "report": {"--runs", "--out", "--tables", "--table", "--published", "--check", "--data"},
    "report compare": {"--dataset", "--store", "--protocol", "--runs", "--explain", "--json"},
    "score": {
        "--dataset",
        "--fold",
        "--fold-unit",
        "--name",
        "--modality",
        "--store",
        "--size",
        "--data",
        "--runs",
        "--template",
        "--explain",
        "--json",
    },
    "predict": {
        "--run",
        "--modality",
        "--runs",
        "--json",
        "--top",
        "--frames",
        "--window",
        "--stride",
        "--fps",
        "--fit",
        "--any-kind",
        "--raft-weights",
        "--method",
        "--device",
    },
    "list": {"--data", "--runs", "--dataset", "--store", "--size", "--fold", "--fold-unit"},
    "weights fetch": {"--data", "--url", "--sha256"},
    "weights convert": {"--data", "--as"},
    "weights check": {"--demo-rgb", "--demo-flow", "--partner"},
    "bench prepare": {
        "--data",
        "--raw",
        "--table",
        "--colour",
        "--seconds",
        "--repeats",
        "--json",
    },
    "bench train": {*MEASURED, "--precision", "--recompute", "--processes"},
    "bench loader": MEASURED,
    "bench evaluate": {*MEASURED, "--precision"},
    "bench twin": {"--real", "--raw", "--size", "--json"},
    "bench store": {"--clips", "--repeats", "--keep", "--workers", "--json"},
}


def commands():
    """Every command by its full name."""
    found = {}
    for name, command in get_command(app).commands.items():
        inner = getattr(command, "commands", None)
        found |= {f"{name} {n}": c for n, c in inner.items()} if inner else {}
        # A group may be a command as well: `report` is, and `report compare`.
        if not inner or command.params:
            found[name] = command
    return found


def test_commands_and_options_are_these():
    found = {
        name: {o for p in command.params for o in p.opts if o.startswith("--")} - {"--help"}
        for name, command in commands().items()
    }
    assert found == OPTIONS


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_every_option_is_explained(name):
    for parameter in commands()[name].params:
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
