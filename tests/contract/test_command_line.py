"""The command line's surface is frozen: an option is added here on purpose or not at all."""

import re
import shlex
import subprocess
import sys

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from mtut_bench.cli import app

MEASURED = (
    "--dataset --store --size --data --method --protocol --modalities --set --device "
    "--precision --device-cache --workers --recompute --processes --seconds --repeats --json"
)
OPTIONS = {
    "prepare": (
        "--data --raw --store --size --short-side --colour --workers --overwrite --dry-run "
        "--table --flow --raft-weights --limit --only --skip-unreadable --list"
    ),
    "synth": "--data --raw --size --seed --whole --contact-sheet --difficulty --workers",
    "verify": "--data --raw --store --table --size --colour --workers --write-index --json",
    "inspect": "--data --store --size --contact-sheet --by-user",
    "export": "--data --runs --store --size --format --modality --method --out --overwrite",
    "derive": "--as --data --store --size --modalities --copy --same-class --overwrite",
    "import": "--data --store --overwrite",
    "run": (
        "--study --table --tables --set --precision --recompute --device-cache "
        "--clips-per-second --method --dataset --fold --fold-unit --modalities --protocol --seed "
        "--device --data --runs --store --size --workers --dry-run"
    ),
    "report": "--runs --out --tables --table --check --data",
    "report compare": "--dataset --store --protocol --runs --explain --json",
    "score": (
        "--dataset --fold --name --modality --store --size --data --runs --template --keep "
        "--protocol --explain --json"
    ),
    "predict": (
        "--run --modality --runs --json --picture --top --frames --window --stride --fps "
        "--raft-weights --method --device"
    ),
    "list": "--data --runs --store --fold",
    "weights fetch": "--data --url --sha256",
    "weights convert": "--data --as",
    "weights check": "--demo",
    "bench prepare": "--data --raw --table --colour --seconds --repeats --json",
    "bench train": MEASURED,
    "bench loader": MEASURED,
    "bench evaluate": MEASURED,
    "bench store": "--clips --keep --json",
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
    assert found == {name: set(options.split()) for name, options in OPTIONS.items()}


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_a_command_lies_in_the_module_of_its_name(name):
    # `list` and `import` have another name in Python: list_, import_. The short commands of a
    # group may lie together.
    module = commands()[name].callback.__module__.rstrip("_")
    group, _, command = name.partition(" ")
    assert module.removeprefix("mtut_bench.cli.") in (group, f"{group}.{command}")


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_every_option_is_explained(name):
    for parameter in commands()[name].params:
        assert parameter.name == "subject" or getattr(parameter, "help", None), parameter.name


def groups():
    """Every group of commands by its full name; the program itself is ''."""
    root = get_command(app)
    return {"": root} | {n: c for n, c in root.commands.items() if hasattr(c, "commands")}


@pytest.mark.parametrize("columns", [80, 100])
@pytest.mark.parametrize("name", sorted({*OPTIONS, *groups()}))
def test_help_ends_with_one_example_a_line(name, columns, monkeypatch):
    command = commands().get(name) or groups()[name]
    lines = re.sub(r"\[/?bold\]", "", command.epilog or "").split("\n\n")
    examples = [line for line in lines if line.startswith("mtut-bench ")]
    monkeypatch.setenv("COLUMNS", str(columns))
    result = CliRunner().invoke(app, [*name.split(), "--help"])
    assert result.exit_code == 0
    printed = [line.strip() for line in result.output.splitlines()]
    assert [line for line in printed if line.startswith("mtut-bench ")] == examples
    assert examples or name in ("weights", "bench")
    for example in examples:
        first, *words = shlex.split(example)[1:]
        found = get_command(app).commands[first]
        while words and words[0] in getattr(found, "commands", {}):
            found = found.commands[words.pop(0)]
        with found.make_context(found.name, words):
            pass


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


def test_the_options_of_run_stand_in_groups():
    options = [one for one in get_command(app).commands["run"].params if one.name != "help"]
    groups = {one.rich_help_panel for one in options}
    assert groups == {"What to run", "Data", "Machine", "Output"}
