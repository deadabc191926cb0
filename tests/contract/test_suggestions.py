"""Commands in messages can be typed as they are printed."""

import ast
import re
import shlex
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from mtut_bench.cli import app
from mtut_bench.cli.suggesting import complete, suggest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("mtut_bench", "preprocess/mtut_preprocess", "baselines/mtut_baselines")


def parse(command: str) -> dict:
    """Parse a command as the program would; return its values. Nothing is run."""
    program, *words = shlex.split(command)
    assert program == "mtut-bench"
    words = [word for word in words if word != "--help"]
    found = get_command(app)
    while words and words[0] in getattr(found, "commands", {}):
        found = found.commands[words.pop(0)]
    if command.endswith("--help"):
        return {}
    with found.make_context(found.name, words) as context:
        return context.params


def texts(path: Path):
    """Yield the texts of a module but for docstrings; what is filled in is X, or left out."""
    tree = ast.parse(path.read_text())
    inner = {
        id(value)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for value in node.values
    }
    inner |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            text = ""
            for value in node.values:
                if isinstance(value, ast.Constant):
                    text += str(value.value)
                elif text.endswith(" "):
                    text += "X"
            yield text
        elif isinstance(node, ast.Constant) and id(node) not in inner:
            yield str(node.value)


def suggested() -> list[str]:
    """Every command between backticks in the texts of the program."""
    return sorted(
        {
            command
            for package in PACKAGES
            for path in (ROOT / package).rglob("*.py")
            for text in texts(path)
            for command in re.findall(r"(?<!`)`(mtut-bench [a-z][^`\n]*)`", text)
        }
    )


@pytest.mark.parametrize("command", suggested())
def test_a_command_in_a_message_can_be_typed(command):
    parse(command)


def test_messages_suggest_commands():
    assert {"mtut-bench list runs", "mtut-bench weights fetch X"} <= set(suggested())


@pytest.fixture
def typed(monkeypatch):
    def give(*words):
        monkeypatch.setattr(sys, "argv", ["mtut-bench", *words])

    return give


def test_a_suggestion_has_the_folders_that_were_given(typed):
    typed("run", "--data", "my data", "--runs=r", "--method", "mtut")
    assert suggest("report") == "mtut-bench report --data 'my data' --runs r"
    assert suggest("prepare", "viva") == "mtut-bench prepare viva --data 'my data'"
    assert suggest("list", "runs", "--runs", "x") == (
        "mtut-bench list runs --runs x --data 'my data'"
    )
    assert suggest("report", "compare", "a", "b c") == (
        "mtut-bench report compare a 'b c' --runs r"
    )
    assert parse(suggest("weights", "fetch", "i3d-rgb"))["data"] == Path("my data")


def test_a_suggestion_has_no_folder_that_was_not_given(typed, monkeypatch):
    monkeypatch.setenv("MTUT_BENCH_RUNS", "elsewhere")
    typed("run", "--dataset", "viva")
    assert suggest("report") == "mtut-bench report"


def test_a_text_is_completed_in_its_commands_alone(typed):
    typed("run", "--runs", "r")
    text = "no --runs; see `mtut-bench list runs`, or `mtut-bench prepare viva`, `--runs`, `"
    assert complete(text) == text.replace("list runs`", "list runs --runs r`")
    assert complete("`mtut-bench list 'runs`") == "`mtut-bench list 'runs`"
    assert complete("`mtut-bench report --help`") == "`mtut-bench report --help`"
