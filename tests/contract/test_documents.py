"""What the documents say is true: commands parse, snippets run, names and files exist."""

import re
import shlex
from pathlib import Path

import pytest
import torch
from planned import Request, plan_runs, varied
from typer.main import get_command

from mtut_baselines import METHODS
from mtut_bench.cli import app
from mtut_bench.contract.method_file import load_method
from mtut_bench.contract.protocol import PROTOCOLS
from mtut_bench.progress import Reporter
from mtut_bench.report import write_report
from mtut_bench.runs.execute import execute
from mtut_bench.runs.machine import Machine
from mtut_bench.store.hdf5 import export_hdf5
from mtut_bench.store.reader import StoreReader
from mtut_preprocess import DATASETS

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("*/README.md"))]


def commands_in(path: Path) -> list[list[str]]:
    """Every `mtut-bench ...` in a document, comments cut off."""
    found = re.findall(r"mtut-bench +([a-z][^\n`#]*)", path.read_text())
    lines = [shlex.split(line.strip().rstrip(".,;:)]")) for line in found]
    return [line for line in lines if line and line[0] in get_command(app).commands]


def python_in(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


def section(title: str) -> str:
    """A section of the page on methods."""
    text = (ROOT / "baselines" / "README.md").read_text()
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.parent.name + "/" + p.name)
def test_every_command_has_only_options_that_exist(path):
    for name, *arguments in commands_in(path):
        command = get_command(app).commands[name]
        inner = getattr(command, "commands", {})
        if inner and arguments and arguments[0] in inner:
            command = inner[arguments.pop(0)]
        options = {option for parameter in command.params for option in parameter.opts}
        for argument in arguments:
            assert not argument.startswith("--") or argument in options, f"{name} {argument}"


def test_the_readme_is_one_page():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_the_readme_shows_commands():
    assert {line[0] for line in commands_in(ROOT / "README.md")} >= {"prepare", "run", "report"}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.parent.name + "/" + p.name)
def test_every_link_to_a_file_leads_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), target


def test_pages_name_their_datasets_methods_and_protocols():
    preprocess = (ROOT / "preprocess" / "README.md").read_text()
    baselines = (ROOT / "baselines" / "README.md").read_text()
    core = (ROOT / "mtut_bench" / "README.md").read_text()
    assert all(f"`{name}`" in preprocess for name in DATASETS)
    assert all(f"`{name}`" in baselines for name in METHODS)
    assert all(f"`{name}`" in core for name in PROTOCOLS)


def test_the_five_lines_that_read_a_store_run(make_store, tmp_path, monkeypatch, capsys):
    text = (ROOT / "preprocess" / "README.md").read_text()
    snippet = next(code for code in python_in(text) if "import zarr" in code)
    (tmp_path / "data").symlink_to(tmp_path)
    make_store("viva-synthetic-tiny")
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet, "README", "exec"), {})
    assert "clip03" in capsys.readouterr().out


def test_the_readmes_own_method_trains_and_is_reported(make_store, tmp_path, tiny_protocol):
    source, _ = python_in(section("Your own method in one file"))
    assert 30 <= len(source.splitlines()) <= 45
    file = tmp_path / "mutual.py"
    file.write_text(source)
    request = Request(
        store=make_store(size=(40, 40)),
        method=load_method(f"{file}:build", METHODS),
        protocol=varied(tiny_protocol, width=0.125, crop=32, short_side=36, clip_length=9),
        fold="1",
        modalities=(),
        seed=0,
        runs=tmp_path / "runs",
        store_hint="",
    )
    execute(plan_runs([request]), Machine(torch.device("cpu"), 0, "test"), Reporter())
    report = write_report(tmp_path / "runs", tmp_path / "out")
    assert "Mutual learning" in {row["title"] for row in report.rows}


def test_the_lines_that_read_an_exported_file_run(make_store, tmp_path, monkeypatch, capsys):
    text = (ROOT / "preprocess" / "README.md").read_text()
    snippet = next(code for code in python_in(text) if "import h5py" in code)
    export_hdf5(StoreReader(make_store("viva")), tmp_path / "viva.h5")
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet, "README", "exec"), names := {})
    names["file"].close()
    assert "clip03" in capsys.readouterr().out
