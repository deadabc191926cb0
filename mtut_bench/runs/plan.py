"""A planned run: its store, fold and method, and the identity that follows.

The identity is everything that changes a number, JSON-ready; its SHA-256 is the run's id.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mtut_bench.contract.folds import FOLD_UNIT
from mtut_bench.contract.method import Method
from mtut_bench.contract.method_file import LoadedMethod
from mtut_bench.contract.protocol import Protocol
from mtut_bench.contract.recipe import Recipe
from mtut_bench.contract.types import Fold
from mtut_bench.errors import UsageError
from mtut_bench.files import StrPath, sha256_of_json
from mtut_bench.runs.record import read_stage
from mtut_bench.runs.spec import RunSpec
from mtut_bench.store.reader import StoreReader
from mtut_bench.training.two_stage import TwoStageMethod

__all__ = ["RunPlan", "Weights", "artefact_done", "make_plan", "shared_folder"]


@dataclass(frozen=True)
class Weights:
    """Pretrained weights of one modality: the file and its SHA-256."""

    path: Path
    sha256: str


@dataclass(frozen=True)
class RunPlan:
    """One method on one fold with one seed.

    Attributes:
        spec: with one fold, and modalities.
        reader: the store.
        fold: training and test clips.
        loaded: the method under the protocol, and its file.
        protocol: the rules.
        overrides: settings that the user changed, and who is left out if that is not a person. A
            run with any fills no published cell.
        identity: JSON-ready; its hash names the run.
        shared_keys: of artefacts that other runs may share, by name: stage one, by modality.
        weights: per modality; empty from scratch.
    """

    spec: RunSpec
    reader: StoreReader
    fold: Fold
    loaded: LoadedMethod
    protocol: Protocol
    overrides: Mapping[str, Any]
    identity: dict[str, Any]
    shared_keys: Mapping[str, Mapping[str, Any]]
    weights: Mapping[str, Weights] = field(default_factory=dict)

    @property
    def method(self) -> Method:
        """The method, with its settings under the protocol."""
        return self.loaded.method

    @property
    def recipe(self) -> Recipe:
        """How the method's networks are trained; UsageError if it trains none."""
        return self.network_method.recipe

    @property
    def network_method(self) -> TwoStageMethod:
        """The method; UsageError if it trains no networks."""
        if not isinstance(self.method, TwoStageMethod):
            raise UsageError(
                f"method {self.method.name} trains no torch networks",
                "Choose one that does: `mtut-bench list methods`.",
            )
        return self.method

    @property
    def modalities(self) -> tuple[str, ...]:
        """Modalities to train, in the project's order."""
        return self.spec.modalities

    @property
    def seed(self) -> int:
        """The seed of every draw."""
        return self.spec.seed

    @property
    def precision(self) -> str:
        """'fp32' or 'bf16'."""
        return self.spec.precision

    @property
    def store(self) -> Path:
        """Path of the store."""
        return self.reader.path

    @property
    def runs(self) -> Path:
        """Root folder of runs."""
        return Path(self.spec.runs)

    @property
    def fold_title(self) -> str:
        """The fold in words, for the terminal."""
        unit = self.spec.fold_unit
        return f"fold {self.fold.name}{'' if unit == 'person' else f' by {unit}'}"

    @property
    def run_id(self) -> str:
        """SHA-256 of the identity, 64 hexadecimal digits."""
        return sha256_of_json(self.identity)

    @property
    def folder(self) -> Path:
        """``<runs>/<store>/<id12>``."""
        return self.runs / self.store.stem / self.run_id[:12]

    def stage_id(self, name: str) -> str:
        """Return the SHA-256 of a shared artefact's key."""
        return sha256_of_json(self.shared_keys[name])

    def stage_folder(self, name: str) -> Path:
        """``<runs>/stages/<id12>``, shared by all runs that ask for the same key."""
        return shared_folder(self.runs, self.shared_keys[name])

    def done(self) -> bool:
        """Whether the run's result is on disk."""
        return (self.folder / "manifest.json").is_file()

    def stage_done(self, name: str) -> bool:
        """Whether a shared artefact is on disk, whole."""
        return artefact_done(self.stage_folder(name))

    def begun(self) -> bool:
        """Whether there is a checkpoint that the run would resume."""
        unfinished = [self.stage_folder(n) for n in self.shared_keys if not self.stage_done(n)]
        return any((folder / "checkpoint.pt").is_file() for folder in (self.folder, *unfinished))


def shared_folder(runs: StrPath, key: Mapping[str, Any]) -> Path:
    """Return the folder of a shared artefact, whose content depends on its key alone."""
    return Path(runs) / "stages" / sha256_of_json(key)[:12]


def artefact_done(folder: StrPath) -> bool:
    """Return whether the manifest of a shared artefact and the files that it names are there."""
    path = Path(folder) / "manifest.json"
    return path.is_file() and all((path.parent / name).is_file() for name in read_stage(path).files)


def make_plan(
    spec: RunSpec,
    reader: StoreReader,
    fold: Fold,
    loaded: LoadedMethod,
    protocol: Protocol,
    overrides: Mapping[str, Any],
    weights: Mapping[str, Weights],
) -> RunPlan:
    """Return the plan of a run; arguments as the attributes of :class:`RunPlan`."""
    method = loaded.method
    changed = dict(overrides)
    if spec.fold_unit != "person":
        changed[FOLD_UNIT] = spec.fold_unit
    own, mirror = dict(method.identity()), reader.attributes.mirror
    digests = {m: weights[m].sha256 for m in spec.modalities if m in weights}
    identity: dict[str, Any] = {
        "store_digest": reader.attributes.digest,
        # The digest covers labels, not how many classes there are besides those that occur.
        "num_classes": len(reader.attributes.classes),
        "fold": fold.name,
        "mirror": None if mirror is None else list(mirror),
        "seed": spec.seed,
        "precision": spec.precision,
        "protocol": {**protocol.identity(), **own.pop("recipe", {})},
        "overrides": changed,
        "weights_digest": sha256_of_json(digests) if digests else None,
        "method": {"name": method.name, "source": loaded.source, **own},
        "modalities": list(spec.modalities),
    }
    return RunPlan(
        spec,
        reader,
        fold,
        loaded,
        protocol,
        changed,
        identity,
        method.shared_keys(identity, digests),
        weights,
    )
