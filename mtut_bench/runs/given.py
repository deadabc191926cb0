"""Predictions that were made elsewhere, saved as a run of a method that learns nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mtut_bench.contract.method import Clips, Job, LabelledClips, Method, Scores
from mtut_bench.contract.method_file import LoadedMethod
from mtut_bench.contract.protocol import PROTOCOLS, Protocol
from mtut_bench.errors import UsageError
from mtut_bench.files import sha256_of_json
from mtut_bench.progress import Reporter
from mtut_bench.runs.execute import execute
from mtut_bench.runs.machine import Machine
from mtut_bench.runs.plan import RunPlan
from mtut_bench.runs.planning import Planner
from mtut_bench.runs.spec import RunSpec

__all__ = ["GIVEN", "keep_predictions"]

GIVEN = Protocol(
    name="given",
    version=1,
    summary="external predictions, training unknown",
    tables=(),
    initialisation="scratch",
)
"""The protocol of predictions that claim no other."""


class _GivenMethod(Method):
    """Fits nothing: the classes of the test clips are given."""

    def __init__(self, name: str, predicted: Mapping[str, int]) -> None:
        self.name = self.title = self.fusion_title = name
        self._predicted = predicted

    def identity(self) -> dict[str, Any]:
        """Return {}: the SHA-256 of the predictions is the run's source."""
        return {}

    def fit(self, train: LabelledClips, job: Job) -> "_GivenModel":
        """Return the predictions."""
        return _GivenModel(job.modalities[0], self._predicted, len(job.classes))


@dataclass(frozen=True)
class _GivenModel:
    """Scores 1 for the class that was predicted and 0 for all others."""

    modality: str
    predicted: Mapping[str, int]
    num_classes: int

    def predict(self, test: Clips) -> dict[str, Scores]:
        """Return the scores of the clips."""
        rows_NK = np.eye(self.num_classes)[[self.predicted[clip_id] for clip_id in test.ids]]
        return {self.modality: Scores(rows_NK, "margins")}

    def save(self, folder: Path) -> None:
        """Write nothing."""


def keep_predictions(
    name: str,
    predicted: Mapping[str, int],
    spec: RunSpec,
    methods: Mapping[str, Method],
    machine: Machine,
    reporter: Reporter,
) -> RunPlan:
    """Save the predicted classes of one fold's test clips as a run that the report counts.

    Args:
        name: of the run's method.
        predicted: class of each test clip, by its id.
        spec: store, fold, one modality, folder of runs; the protocol that the predictions claim to
            follow, or 'given'.
        methods: by name; these names are taken.
        machine: command, for the manifest.
        reporter: where progress goes.

    Raises:
        UsageError: the name is taken, or the spec does not name one modality.
        MtutBenchError: the run cannot be planned or written.
    """
    taken = {title for one in methods.values() for title in (one.name, one.title, one.fusion_title)}
    if name in taken:
        raise UsageError(f"the method name {name!r} is taken", "Give another --name.")
    if len(spec.modalities) != 1:
        raise UsageError(
            "external predictions need one modality",
            "Give the tested modality, such as --modality rgb.",
        )
    loaded = LoadedMethod(_GivenMethod(name, predicted), source=sha256_of_json(dict(predicted)))
    planner = Planner(methods, {**PROTOCOLS, GIVEN.name: GIVEN}, loaded={spec.method: loaded})
    (plan,) = planner.runs([spec])
    execute([plan], machine, reporter)
    return plan
