"""What makes a run the run it is: SHA-256 of canonical JSON, and the folder that follows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mtut_bench.contract.folds import FOLD_UNIT
from mtut_bench.contract.method import Method
from mtut_bench.contract.protocol import Protocol
from mtut_bench.contract.types import Fold
from mtut_bench.files import StrPath, sha256_of_json
from mtut_bench.store.reader import StoreReader

__all__ = ["Arm", "RunPlan", "Weights", "plan_run"]

_JOINT_FIELDS = ("epochs_joint", "stage_two")
"""Protocol fields that stage one does not see."""


@dataclass(frozen=True)
class Weights:
    """Pretrained weights of one modality: the file and its SHA-256."""

    path: Path
    sha256: str


@dataclass(frozen=True)
class Arm:
    """What is compared: everything of a run but fold and modalities.

    Attributes:
        method: the player.
        protocol: the rules as they hold for the method's network.
        overrides: settings of the protocol that the user changed, and who is left out if that is
            not a person; {} for the protocol itself. A run with any fills no published cell.
        seed: of every draw.
        precision: 'fp32', or 'bf16' for autocast on a GPU.
        weights: per modality; empty from scratch.
    """

    method: Method
    protocol: Protocol
    seed: int
    overrides: Mapping[str, Any] = field(default_factory=dict)
    precision: str = "fp32"
    weights: Mapping[str, Weights] = field(default_factory=dict)


@dataclass(frozen=True)
class RunPlan:
    """One method on one fold with one seed.

    Attributes:
        store: path of the store.
        fold: training and test clips.
        arm: method, protocol, seed, precision, weights.
        modalities: networks of the run, in order.
        identity: JSON-ready; its hash names the run.
        stage_identities: the same for stage one of each modality.
        runs: root folder of runs.
    """

    store: Path
    fold: Fold
    arm: Arm
    modalities: tuple[str, ...]
    identity: dict[str, Any]
    stage_identities: dict[str, dict[str, Any]]
    runs: Path

    @property
    def method(self) -> Method:
        """The player."""
        return self.arm.method

    @property
    def protocol(self) -> Protocol:
        """The rules as they hold for the method's network."""
        return self.arm.protocol

    @property
    def seed(self) -> int:
        """The seed of every draw."""
        return self.arm.seed

    @property
    def fold_unit(self) -> str:
        """Who is left out: 'person' or 'user'."""
        return str(self.arm.overrides.get(FOLD_UNIT, "person"))

    @property
    def fold_title(self) -> str:
        """The fold in words, for the terminal."""
        by = "" if self.fold_unit == "person" else f" by {self.fold_unit}"
        return f"fold {self.fold.name}{by}"

    @property
    def run_id(self) -> str:
        """SHA-256 of the identity, 64 hexadecimal digits."""
        return sha256_of_json(self.identity)

    @property
    def folder(self) -> Path:
        """``<runs>/<store>/<id12>``."""
        return self.runs / self.store.stem / self.run_id[:12]

    def stage_id(self, modality: str) -> str:
        """Return the SHA-256 of stage one's identity."""
        return sha256_of_json(self.stage_identities[modality])

    def stage_folder(self, modality: str) -> Path:
        """``<runs>/stages/<id12>``, shared by all methods with this network."""
        return self.runs / "stages" / self.stage_id(modality)[:12]

    def done(self) -> bool:
        """Whether the run's result is on disk."""
        return (self.folder / "manifest.json").is_file()

    def stage_done(self, modality: str) -> bool:
        """Whether stage one of a modality is on disk: the weights, and that they are final."""
        folder = self.stage_folder(modality)
        return all((folder / name).is_file() for name in ("manifest.json", "checkpoint.pt"))

    def begun(self) -> bool:
        """Whether training that the run would continue is on disk."""
        halves = [
            self.stage_folder(modality) / "checkpoint.pt"
            for modality in self.modalities
            if not self.stage_done(modality)
        ]
        return any(file.is_file() for file in [self.folder / "checkpoint.pt", *halves])


def plan_run(
    reader: StoreReader, fold: Fold, arm: Arm, modalities: tuple[str, ...], runs: StrPath
) -> RunPlan:
    """Return the plan of a run.

    Args:
        reader: the store; its digest, number of classes and mirror table enter the identity.
        fold: one of the store's folds.
        arm: method, protocol, seed, precision, weights; of the objective's settings only those
            that the method names enter.
        modalities: networks, in the project's order.
        runs: root folder of runs.
    """
    runs = Path(runs)
    method = arm.method
    rules = arm.protocol.identity()
    settings = arm.protocol.objective_settings()
    joint_names = {*_JOINT_FIELDS, *settings}
    mirror = reader.attributes.mirror
    common: dict[str, Any] = {
        "store_digest": reader.attributes.digest,
        # The digest covers labels, not how many classes there are besides those that occur.
        "num_classes": len(reader.attributes.classes),
        "fold": fold.name,
        "mirror": None if mirror is None else list(mirror),
        "seed": arm.seed,
        "precision": arm.precision,
    }
    digests = {m: arm.weights[m].sha256 for m in modalities if m in arm.weights}
    identity = {
        **common,
        "protocol": rules,
        "overrides": dict(arm.overrides),
        "weights_digest": sha256_of_json(digests) if digests else None,
        "method": {
            "name": method.name,
            "network": method.network,
            "settings": {name: settings[name] for name in method.settings},
            "source": method.source,
        },
        "modalities": list(modalities),
    }
    alone = {name: value for name, value in rules.items() if name not in _JOINT_FIELDS}
    stages = {
        modality: {
            **common,
            "stage": "alone",
            "protocol": alone,
            # A changed setting of the objective leaves stage one what it is.
            "overrides": {k: v for k, v in arm.overrides.items() if k not in joint_names},
            "weights_digest": digests.get(modality),
            "network": method.network,
            "source": method.network_source,
            "modality": modality,
        }
        for modality in modalities
    }
    return RunPlan(reader.path, fold, arm, modalities, identity, stages, runs)
