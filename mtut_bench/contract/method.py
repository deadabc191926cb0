"""The contract of a method: it learns from clips, then scores clips.

The harness decides which clips are for training and for test, in which folds and with which seeds;
it tests each clip once after the last update, saves the scores, fuses, names, resumes and reports.
A method owns its recipe: features, optimiser, schedule, stages, how time is averaged. What several
runs can use (stage one, descriptors, codebooks) it makes through :meth:`Job.shared`.

::

    class MeanFrame(Method):
        name = title = fusion_title = "mean-frame"

        def identity(self):
            return {"version": 1}

        def fit(self, train, job):
            return MeanFrameModel({m: train_on(train, m) for m in job.modalities})
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from mtut_bench.contract.predictions import ScoreKind
from mtut_bench.errors import UsageError
from mtut_bench.progress import Reporter

__all__ = [
    "Clips",
    "Job",
    "Json",
    "LabelledClips",
    "Method",
    "Model",
    "Scores",
]

Json = Any
"""What a JSON file can hold: dict, list, str, int, float, bool, None."""


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of one modality on some clips.

    Attributes:
        values_NK: one for each clip and class, the highest is predicted; any float type, finite.
        kind: what they are.
    """

    values_NK: NDArray[Any]
    kind: ScoreKind = "probabilities"


class Clips(Protocol):
    """Clips to be scored; they carry no label.

    Attributes:
        side: 'train', 'test' or 'val' of a fold.
        ids: of the clips, in the order of all that is per clip, (N,).
        num_frames: length of each, (N,).
        modalities: that a method may read.
        store: path of the store, for processes that read for themselves.
    """

    side: Literal["train", "test", "val"]
    ids: tuple[str, ...]
    num_frames: tuple[int, ...]
    modalities: tuple[str, ...]
    store: Path

    def __len__(self) -> int:
        """Return the number of clips."""

    def frames(self, index: int, modality: str) -> NDArray[np.uint8]:
        """Return all frames of a clip as the store keeps them, uint8 (T, H, W, C).

        Raises:
            StoreError: they are damaged.
        """

    def each(self, modality: str) -> Iterator[NDArray[np.uint8]]:
        """Yield the frames of every clip, in order."""


class LabelledClips(Clips, Protocol):
    """Clips to learn from.

    Attributes:
        labels_N: class of each, int64, (N,).
        subjects: who is seen in each, (N,); to divide them when options are chosen.
        mirror: class that a mirrored clip of each class shows, -1 for none; None: unknown.
    """

    labels_N: NDArray[np.int64]
    subjects: tuple[str, ...]
    mirror: tuple[int, ...] | None


class Job(Protocol):
    """What a method is asked to do, and with what.

    Attributes:
        modalities: to learn, in the project's order; each is tested alone.
        classes: names, in the order of the labels.
        seed: of every draw.
        identity: of the run, JSON-ready; what an artefact depends on is taken from it.
        source: SHA-256 of the file of a user's own method; "" for a built-in one.
        folder: of the run, for what a resumed fit needs. The harness writes the result.
        device: where to compute, if with torch.
        precision: 'fp32', or 'bf16' for autocast.
        weights: files of pretrained weights per modality; empty from scratch.
        weights_digests: their SHA-256.
        workers: processes that read clips.
        recompute: save memory by computing activations twice.
        device_cache: keeps clips in the device's memory; None: they are read.
        log: for progress; ``piece`` of a ticker is the key of a shared artefact or the run's id.
    """

    modalities: tuple[str, ...]
    classes: tuple[str, ...]
    seed: int
    identity: Mapping[str, Json]
    source: str
    folder: Path
    device: torch.device
    precision: str
    weights: Mapping[str, Path]
    weights_digests: Mapping[str, str]
    workers: int
    recompute: bool
    device_cache: Any
    log: Reporter

    def shared(
        self,
        key: Mapping[str, Json],
        make: Callable[[Path], Sequence[str]],
        title: str = "artefact",
    ) -> Path:
        """Return the folder of an artefact that runs and methods share, made if it is missing.

        Args:
            key: all that its content depends on; equal keys, one folder.
            make: is given the folder and returns the names of the artefact's files. One process at
                a time calls it, again in the same folder after a kill, and not once it has returned
                unless one of these files is gone.
            title: for messages.
        """


class Model(Protocol):
    """A fitted method.

    It may have an attribute ``log``, entries of the training as dicts, and ``facts`` for the run's
    manifest: 'joint_learning_rate', 'weights' and 'training' per modality, 'padded_clips'.
    """

    def predict(self, test: Clips) -> Mapping[str, Scores]:
        """Return the scores of every modality of the job, rows in the order of the clips."""

    def save(self, folder: Path) -> None:
        """Write the model into the run's folder, each file whole or not at all."""


@runtime_checkable
class Method(Protocol):
    """A method. Derive from it; attributes with a value here may be left out.

    Attributes:
        name: what users type and runs are filed under ('mtut').
        title: row of the published tables that this method reproduces ('MTUT').
        fusion_title: row of the fusion tables ('MTUT-F').
        summary: one line for ``mtut-bench list methods``.
        min_modalities: fewest modalities that make sense (2 for an alignment).
        network: name of the architecture, for which a protocol may change settings; "" for none.
        precisions: that the method can compute in.
        recipe: a frozen dataclass of settings, or None. ``run --set name=value`` changes them; a
            :class:`Recipe` is given by the protocol. The method's identity must hold it.
        weights: name of the pretrained weights of each modality, a file in the weights folder
            ('i3d-rgb' is i3d-rgb.safetensors). None: the method starts from none, whatever the
            protocol.
    """

    name: str
    title: str
    fusion_title: str
    summary: str = ""
    min_modalities: int = 1
    network: str = ""
    precisions: tuple[str, ...] = ("fp32",)
    recipe: Any = None
    weights: Mapping[str, str] | None = None

    def identity(self) -> Mapping[str, Json]:
        """Return the whole recipe, JSON-ready; another recipe is another run.

        A dict under 'recipe' is recorded beside the protocol's rules.
        """

    def fit(self, train: LabelledClips, job: Job) -> Model:
        """Learn from clips."""

    def shared_keys(
        self, identity: Mapping[str, Json], weights_digests: Mapping[str, str]
    ) -> Mapping[str, Mapping[str, Json]]:
        """Return the keys of the artefacts that fitting asks for, by a name ('rgb').

        :meth:`make_shared` makes each beforehand, in any order and by any process.

        Args:
            identity: of the run.
            weights_digests: SHA-256 of each file of pretrained weights, per modality.
        """
        return {}

    def make_shared(self, name: str, train: LabelledClips, job: Job, folder: Path) -> Sequence[str]:
        """Make one of the artefacts of :meth:`shared_keys`; return its files' names.

        Raises:
            UsageError: the method declares artefacts and does not define this.
        """
        raise UsageError(
            f"method {self.name} declares {name!r} as shared but does not create it",
            "Define make_shared beside shared_keys; see mtut_bench/contract/method.py.",
        )


def entries_of(model: Model) -> Sequence[Mapping[str, Json]]:
    """Return the log of a model's training; empty where it has none."""
    entries: Sequence[Mapping[str, Json]] = getattr(model, "log", ())
    return entries
