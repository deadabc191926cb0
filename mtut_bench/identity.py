"""What makes a run the run it is: SHA-256 of canonical JSON, and the folder that follows."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtut_bench.files import sha256_of_json
from mtut_bench.method import Method
from mtut_bench.protocol import Protocol
from mtut_bench.store_reader import StoreReader
from mtut_bench.types import Fold

__all__ = ["RunPlan", "plan_run"]

_JOINT_FIELDS = ("epochs_joint",)
"""Protocol fields that stage one does not see."""


@dataclass(frozen=True)
class RunPlan:
    """One method on one fold with one seed.

    Attributes:
        store: path of the store.
        fold: training and test clips.
        method: the player.
        modalities: networks of the run, in order.
        protocol: the rules.
        seed: of every draw.
        identity: JSON-ready; its hash names the run.
        stage_identities: the same for stage one of each modality.
        runs: root folder of runs.
    """

    store: Path
    fold: Fold
    method: Method
    modalities: tuple[str, ...]
    protocol: Protocol
    seed: int
    identity: dict[str, Any]
    stage_identities: dict[str, dict[str, Any]]
    runs: Path

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
    reader: StoreReader,
    fold: Fold,
    method: Method,
    modalities: tuple[str, ...],
    protocol: Protocol,
    seed: int,
    runs: Path,
) -> RunPlan:
    """Return the plan of a run.

    Args:
        reader: the store; its digest, number of classes and mirror table enter the identity.
        fold: one of the store's folds.
        method: the player; of the objective only the settings that it names enter.
        modalities: networks, in the project's order.
        protocol: the rules.
        seed: one of the protocol's seeds.
        runs: root folder of runs.
    """
    rules = protocol.identity()
    settings = protocol.objective_settings()
    common: dict[str, Any] = {
        "store_digest": reader.attributes["digest"],
        # The digest covers labels, not how many classes there are besides those that occur.
        "num_classes": len(reader.attributes["classes"]),
        "fold": fold.name,
        "mirror": reader.attributes["mirror"],
        "seed": seed,
        "weights_digest": None,
        "precision": "fp32",
        "overrides": {},
    }
    identity = {
        **common,
        "protocol": rules,
        "method": {
            "name": method.name,
            "network": method.network,
            "settings": {name: settings[name] for name in method.settings},
        },
        "modalities": list(modalities),
    }
    alone = {name: value for name, value in rules.items() if name not in _JOINT_FIELDS}
    stages = {
        modality: {
            **common,
            "stage": "alone",
            "protocol": alone,
            "network": method.network,
            "modality": modality,
        }
        for modality in modalities
    }
    return RunPlan(reader.path, fold, method, modalities, protocol, seed, identity, stages, runs)
