"""The networks of a finished run, for prediction, export and a user's own code."""

import json
import os
import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from mtut_bench.contract.method import Method
from mtut_bench.contract.method_file import LoadedMethod
from mtut_bench.contract.protocol import Protocol
from mtut_bench.contract.recipe import Recipe
from mtut_bench.errors import RunError, UsageError, did_you_mean
from mtut_bench.files import StrPath
from mtut_bench.runs.record import HINT, RunRecord, read_record, refuse, run_folders
from mtut_bench.training.train_state import network_spec
from mtut_bench.training.two_stage import TwoStageMethod, network_file

__all__ = ["TrainedRun", "find_run", "open_run"]


@dataclass(frozen=True)
class TrainedRun:
    """A finished run.

    Attributes:
        folder: its folder.
        record: its manifest.
        loaded: the method, from the same file as then.
        settings: of the protocol and the method, by their public names, as the run had them.
        modalities: networks of the run, in order.
        classes: names, in the order of the logits.
        frame_size: (height, width) of the store's frames, pixels.
        fps: frames per second of the store.
        flow: how the store's optical flow was computed, by modality; {} where it has none.
    """

    folder: Path
    record: RunRecord
    loaded: LoadedMethod
    settings: Mapping[str, Any]
    modalities: tuple[str, ...]
    classes: tuple[str, ...]
    frame_size: tuple[int, int]
    fps: float
    flow: Mapping[str, Mapping[str, Any]]

    @property
    def method(self) -> TwoStageMethod:
        """The method; UsageError if it trains no networks."""
        method = self.loaded.method
        if not isinstance(method, TwoStageMethod):
            raise UsageError(
                f"run {self.folder.name} has no torch networks: method {method.name} "
                "does not train any",
                "Choose a run of another method: see `mtut-bench list runs`.",
            )
        return method

    @property
    def recipe(self) -> Recipe:
        """How the networks were trained; UsageError if the method trains none."""
        return Recipe.of(self.settings if self.method else {})

    def network(self, modality: str, device: torch.device | None = None) -> nn.Module:
        """Return the trained network of one modality, in evaluation mode.

        Args:
            modality: one of ``modalities``.
            device: of the network; None: the CPU.

        Raises:
            UsageError: the run has no such network.
            RunError: its file is missing, damaged or of another architecture.
        """
        if modality not in self.modalities:
            raise UsageError(
                f"run {self.folder.name} has no network for {modality!r}",
                f"{did_you_mean(modality, self.modalities)}Choose one of:"
                f" {', '.join(self.modalities)}.",
            )
        path = network_file(self.folder, modality)
        network = self.method.build_network(network_spec(modality, len(self.classes), self.recipe))
        try:
            network.load_state_dict(load_file(path))
        except FileNotFoundError:
            raise RunError(f"{path} does not exist.", HINT) from None
        except (SafetensorError, RuntimeError, OSError) as error:
            # torch lists every name that does not fit, one a line.
            reason = str(error).splitlines()[0]
            raise RunError(f"{path} cannot be loaded: {reason}", HINT) from error
        return network.to(device or torch.device("cpu")).eval()


def find_run(text: StrPath, runs: StrPath) -> Path:
    """Return the folder of a run.

    Args:
        text: a folder with a manifest, '<store>/<id>' as `list runs` prints it, the first digits
            of a run's id, or the name of a method that has one run.
        runs: root folder of runs.

    Raises:
        UsageError: there is no such run, or there are several.
    """
    text, runs = os.fspath(text), Path(runs)
    for folder in (Path(text), runs / text):
        if text and (folder / "manifest.json").is_file():
            if folder.resolve().parent.name == "stages":
                raise UsageError(
                    f"{folder} is a shared artefact, not a run",
                    "See `mtut-bench list runs`.",
                )
            return folder
    if not runs.is_dir():
        raise UsageError(f"there is runs folder {runs} does not exist", "Name it with --runs.")
    finished = [path for path in run_folders(runs) if (path / "manifest.json").exists()]
    found = [path for path in finished if text and path.name.startswith(text)]
    how = "begin with" if found else "are of method"
    found = found or [path for path in finished if _method_name(path) == text]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(
            f"{len(found)} runs in {runs} {how} {text!r}",
            f"Choose one of: {', '.join(path.name for path in found)}.",
        )
    raise UsageError(
        f"no finished run {text!r} in {runs}",
        "See `mtut-bench list runs`, or choose another folder with --runs.",
    )


def _method_name(folder: Path) -> str | None:
    """Return the method of a finished run; None of one that cannot be read."""
    with suppress(RunError):
        return read_record(folder / "manifest.json").method.name
    return None


def open_run(
    folder: StrPath, methods: Mapping[str, Method], own: LoadedMethod | None = None
) -> TrainedRun:
    """Return a finished run; its networks are loaded when they are asked for.

    Args:
        folder: of the run.
        methods: those of this release, by name.
        own: a user's own method, if it trained the run.

    Raises:
        RunError: the folder is missing, or its manifest is unreadable, of another format or not
            finished.
        UsageError: the run's method is not among these, or its file has changed since.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise RunError(
            f"run folder {folder} does not exist",
            "Give its path; find_run finds it by the start of the run's id.",
        )
    path = folder / "manifest.json"
    record = read_record(path)
    if record.state != "complete":
        raise RunError(f"{folder} is not finished.", "Repeat the command that started it.")
    name, identity, store = record.method.name, record.identity, record.store
    loaded = own if own and own.method.name == name else None
    if loaded is None and name in methods:
        loaded = LoadedMethod(methods[name])
    if loaded is None:
        raise UsageError(
            f"run {folder.name} was trained by method {name!r}, unknown to this release",
            f"Give the file that defines it: --method {shlex.quote(record.spec.method)}.",
        )
    if loaded.source != identity.method.get("source"):
        raise UsageError(
            f"the file of method {name!r} has changed since run {folder.name} was trained",
            "Give the file in its earlier version.",
        )
    settings = {**identity.protocol, **identity.method.get("settings", {})}
    if isinstance(loaded.method.recipe, Recipe):
        _check_settings(path, settings)
    return TrainedRun(
        folder=folder,
        record=record,
        loaded=loaded,
        settings=settings,
        modalities=identity.modalities,
        classes=store.classes,
        frame_size=store.frame_size,
        fps=float(store.fps),
        flow=store.flow,
    )


def _check_settings(path: Path, settings: Mapping[str, Any]) -> None:
    """Refuse settings that neither a protocol nor a recipe of this release has."""
    known = {field.name.rstrip("_") for kind in (Protocol, Recipe) for field in fields(kind)}
    if strange := sorted(set(settings) - known):
        refuse(path, f"has settings unknown to this release: {json.dumps(strange)}")
