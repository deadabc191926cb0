"""Methods that train one network per modality in two stages, as the paper does.

Stage one trains each network on its classification loss; methods with equal networks share it.
Stage two trains all of them on the method's objective.

The folder of a stage one and, in training, of the run hold checkpoint.pt, log.jsonl, tensorboard/.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from mtut_bench.contract.method import Clips, Job, Json, LabelledClips, Method, Scores
from mtut_bench.contract.networks import NetworkSpec, Objective
from mtut_bench.contract.recipe import Recipe
from mtut_bench.files import StrPath
from mtut_bench.loading.sampling import epoch_order, keyed_seed
from mtut_bench.loading.training_clips import TrainingClips
from mtut_bench.store.clips import StoreClips, TrainingSide
from mtut_bench.store.reader import StoreReader
from mtut_bench.training.batch_statistics import recompute_statistics, statistics_of
from mtut_bench.training.checkpoint import save_network
from mtut_bench.training.fit import Fit, fit_in_training_mode, fit_of, objections
from mtut_bench.training.loop import Stage, train
from mtut_bench.training.stage_two_start import terms_at_start
from mtut_bench.training.step import classification_losses
from mtut_bench.training.train_state import TrainState, build_train_state
from mtut_bench.training.whole_clip_test import clips_below_minimum, whole_clip_logits

__all__ = ["TrainedNetworks", "TwoStageMethod", "network_file"]

FIT_CLIPS = 200
"""Training clips scored in evaluation mode: accuracies are good to 3.5 points."""

_CHECKPOINT = "checkpoint.pt"
_JOINT = ("epochs_joint", "stage_two", "bn_statistics", "statistics_clips")
"""Settings of a recipe that stage one does not see, besides those of the objective."""


@dataclass(frozen=True, kw_only=True)
class TwoStageMethod(Method):
    """One network per modality and an objective of stage two.

    Attributes:
        name, title, fusion_title, summary, min_modalities: as of every method.
        network: name of the architecture; methods that share it share stage one.
        build_network: network of one modality, randomly initialised from torch's generator.
        build_objective: objective of stage two from the recipe's objective settings.
        settings: names of the objective settings that change this method's numbers; only these
            enter a run's identity.
        correlate: (N, C, T, H, W) features to the (N, D, D) matrices that the method aligns; saved
            for a few test clips, for the figures. None: nothing is saved.
        weights: name of the pretrained weights of each modality; empty where there are none.
        load_weights: fill a network from such a file; returns lines about what did not fit.
        recipe: given by the protocol.
        network_source: SHA-256 of a user's file that defines the network; "" for a built-in one.
            Set when the file is loaded.
    """

    name: str
    title: str
    fusion_title: str
    # No default, unlike the base.
    network: str = field()
    build_network: Callable[[NetworkSpec], nn.Module]
    build_objective: Callable[[Mapping[str, Any]], Objective]
    settings: tuple[str, ...] = ()
    min_modalities: int = 1
    correlate: Callable[[Tensor], Tensor] | None = None
    weights: Mapping[str, str] = field(default_factory=dict)
    load_weights: Callable[[nn.Module, StrPath], Sequence[str]] | None = None
    summary: str = ""
    recipe: Recipe = field(default_factory=Recipe)
    network_source: str = ""
    precisions = ("fp32", "bf16")

    def identity(self) -> dict[str, Json]:
        """Return the network, the settings that count, and under 'recipe' those of all methods."""
        objective = self.recipe.objective_settings()
        return {
            "network": self.network,
            "settings": {name: objective[name] for name in self.settings},
            "recipe": self.recipe.identity(),
        }

    def objective(self) -> Objective:
        """Return the objective of stage two."""
        return self.build_objective(self.recipe.objective_settings())

    def shared_keys(
        self, identity: Mapping[str, Json], weights_digests: Mapping[str, str]
    ) -> dict[str, dict[str, Json]]:
        """Return the identity of each modality's stage one."""
        rules = {name: v for name, v in identity["protocol"].items() if name not in _JOINT}
        joint = {*_JOINT, *self.recipe.objective_settings()}
        names = ("store_digest", "num_classes", "fold", "mirror", "seed", "precision")
        return {
            modality: {
                **{name: identity[name] for name in names},
                "stage": "alone",
                "protocol": rules,
                # A changed setting of the objective leaves stage one what it is.
                "overrides": {k: v for k, v in identity["overrides"].items() if k not in joint},
                "weights_digest": weights_digests.get(modality),
                "network": self.network,
                "source": self.network_source,
                "modality": modality,
            }
            for modality in identity["modalities"]
        }

    def make_shared(
        self, name: str, train: LabelledClips, job: Job, folder: Path
    ) -> tuple[str, ...]:
        """Train the network of a modality through stage one, or what is left of it."""
        self._train_alone(name, train, job, folder)
        return (_CHECKPOINT,)

    def fit(self, train: LabelledClips, job: Job) -> "TrainedNetworks":
        """Train all networks, or what is left of it.

        Raises:
            TrainingDivergedError: a loss is not finite.
            RunError: a checkpoint is damaged or of another training.
        """
        keys = self.shared_keys(job.identity, job.weights_digests)
        train_states: dict[str, TrainState] = {}
        entries: list[dict[str, Any]] = []
        for modality in job.modalities:
            folder = job.shared(
                keys[modality],
                partial(self.make_shared, modality, train, job),
                f"{modality} stage one",
            )
            # The checkpoint is final: nothing is trained.
            train_state, log = self._train_alone(modality, train, job, folder, quiet=True)
            train_states[modality] = train_state
            entries += log
        joint, start = self._train_jointly(train_states, train, job)
        model = TrainedNetworks(self, train_states, (*entries, *joint), job)
        model.settle(train)
        for modality, terms in start.items():
            model.facts["training"][modality]["stage_two_start"] = terms
        return model

    def _train_alone(
        self, modality: str, train: LabelledClips, job: Job, folder: Path, *, quiet: bool = False
    ) -> tuple[TrainState, list[dict[str, Any]]]:
        train_state = build_train_state(
            self,
            modality,
            len(job.classes),
            self.recipe,
            job.seed,
            job.device,
            weights=job.weights.get(modality),
            recompute=job.recompute,
        )
        stage = Stage(
            "alone",
            0,
            self.recipe.epochs_alone,
            adapt_rate=True,
            objective=classification_losses,
            checkpoint=folder / _CHECKPOINT,
        )
        clips = TrainingClips(_store(train), train.ids, (modality,), self.recipe, job.seed)
        what = f"{modality} stage one"
        return train_state, _run_stage({modality: train_state}, clips, stage, job, what, quiet)

    def _train_jointly(
        self, train_states: Mapping[str, TrainState], train: LabelledClips, job: Job
    ) -> tuple[list[dict[str, Any]], dict[str, dict[str, float]]]:
        """Return the log and, of a method that aligns, the objective's terms at the start."""
        recipe, objective = self.recipe, self.objective()
        if recipe.stage_two == "restart":
            for train_state in train_states.values():
                train_state.restart(recipe.learning_rate)
        stage = Stage(
            "joint",
            recipe.epochs_alone,
            recipe.epochs_alone + recipe.epochs_joint,
            adapt_rate=False,
            objective=objective,
            checkpoint=job.folder / _CHECKPOINT,
        )
        seed = job.seed
        if "joint_seed" in self.settings:
            # The A/A control: other draws in stage two.
            seed = keyed_seed("joint", seed, recipe.joint_seed)
        clips = TrainingClips(_store(train), train.ids, job.modalities, recipe, seed)
        start: dict[str, dict[str, float]] = {}
        if "lambda" in self.settings:
            start = terms_at_start(train_states, clips, objective, job.device, job.precision)
            parts = [
                f"{modality} S {terms['ssa']:.3g}, w = lambda * S {terms['w']:.3g}"
                for modality, terms in start.items()
                if {"ssa", "w"} <= terms.keys()
            ]
            if parts:
                job.log.line(f"  {self.name}, where stage two begins: {'; '.join(parts)}")
        return _run_stage(train_states, clips, stage, job, f"{self.name} stage two"), start


def _run_stage(
    train_states: Mapping[str, TrainState],
    clips: TrainingClips,
    stage: Stage,
    job: Job,
    what: str,
    quiet: bool = False,
) -> list[dict[str, Any]]:
    """Train through a stage; say where it resumes, unless quiet."""
    with job.log.ticker(f"  {what}, epochs", piece=stage.checkpoint.parent.name) as ticker:

        def begin(done: int, total: int) -> None:
            if done:
                job.log.line(f"  resuming {what} after epoch {done} of {total}")
            if done < total:
                ticker(done, total)

        return train(
            train_states,
            clips,
            stage,
            job.device,
            precision=job.precision,
            workers=job.workers,
            device_cache=job.device_cache,
            begin=None if quiet else begin,
            progress=ticker,
        )


def _store(clips: Clips) -> StoreReader | Path:
    """Return the store of some clips, open where it is."""
    return clips.reader if isinstance(clips, StoreClips) else clips.store


def _sample(train: LabelledClips, seed: int) -> LabelledClips:
    """Return at most FIT_CLIPS of the training clips, drawn by the seed."""
    if len(train) <= FIT_CLIPS or not isinstance(train, TrainingSide):
        return train
    chosen = sorted(epoch_order(len(train), keyed_seed("fit", seed), 0)[:FIT_CLIPS].tolist())
    return TrainingSide(train.reader, [train.ids[position] for position in chosen])


def network_file(folder: StrPath, modality: str) -> Path:
    """Return the file of a modality's network in a run's folder."""
    return Path(folder) / f"network-{modality}.safetensors"


class TrainedNetworks:
    """One trained network per modality.

    Args:
        method: that trained them.
        train_states: per modality, in order.
        log: an entry per epoch and modality of both stages.
        job: device, precision, reading.

    Attributes:
        networks: per modality, in order.
        log: as given.
        facts: for the run's manifest, per modality: learning rate of stage two, notes on pretrained
            weights, and what :meth:`settle` finds.
    """

    def __init__(
        self,
        method: TwoStageMethod,
        train_states: Mapping[str, TrainState],
        log: Sequence[Mapping[str, Json]],
        job: Job,
    ) -> None:
        self.networks = {m: train_state.network for m, train_state in train_states.items()}
        self.log = log
        self.facts: dict[str, Json] = {
            # "The rate at epoch 60 stands in every row": stage one's plateau rule decides it.
            "joint_learning_rate": {
                entry["modality"]: entry["learning_rate"]
                for entry in log
                if entry["stage"] == "joint"
            },
            "weights": {
                m: list(train_state.weight_notes) for m, train_state in train_states.items()
            },
        }
        self._method, self._job = method, job

    def settle(self, train: LabelledClips) -> None:
        """Choose the batch statistics of the test as the recipe says, and score training clips.

        ``facts['training']`` gets accuracy and cross-entropy of each modality: of the last epoch
        in training mode, and of FIT_CLIPS in evaluation mode, with both kinds of statistics.
        """
        recipe, job = self._method.recipe, self._job
        sample = _sample(train, job.seed)
        last = {entry["modality"]: entry for entry in self.log}
        found = {m: {"training_mode": fit_in_training_mode(last[m])} for m in self.networks}
        running = {m: statistics_of(network) for m, network in self.networks.items()}
        evaluated = {"running": self._score(sample)}
        clips = TrainingClips(_store(train), train.ids, job.modalities, recipe, job.seed)
        if recompute_statistics(self.networks, clips, job.device, job.precision):
            evaluated["recomputed"] = self._score(sample)
        if recipe.bn_statistics == "running":
            for modality, network in self.networks.items():
                network.load_state_dict(running[modality], strict=False)
        for kind, fits in evaluated.items():
            for modality, fit in fits.items():
                found[modality][kind] = fit
        num_classes = len(np.unique(sample.labels_N))
        chosen = recipe.bn_statistics if len(evaluated) > 1 else "running"
        self.facts["training"] = found
        warnings = [
            f"{modality}: {text}"
            for modality, fits in found.items()
            for text in objections(fits["training_mode"], fits[chosen], num_classes)
        ]
        for text in warnings:
            job.log.line(f"  warning: {text}")
        if warnings and chosen == "running" and len(evaluated) > 1:
            job.log.line(
                "  usual cause: batch statistics that do not match "
                "the weights; try --set bn_statistics=recomputed"
            )

    def _score(self, train: LabelledClips) -> dict[str, Fit]:
        logits = self._logits(train, "train, evaluation mode")
        return {m: fit_of(x, train.labels_N) for m, x in zip(self.networks, logits, strict=True)}

    def predict(self, test: Clips) -> dict[str, Scores]:
        """Return the logits of whole clips, averaged over time."""
        logits_MNK = self._logits(test, test.side)
        if test.side == "test":
            self.facts["padded_clips"] = clips_below_minimum(self.networks, test)
        return {m: Scores(x, "logits") for m, x in zip(self.networks, logits_MNK, strict=True)}

    def _logits(self, clips: Clips, title: str) -> NDArray[np.float32]:
        job = self._job
        # On a CPU starting processes takes longer than the test.
        workers = job.workers if job.device.type == "cuda" else 0
        with job.log.ticker(f"  {title}") as ticker:
            return whole_clip_logits(
                self.networks,
                clips,
                self._method.recipe,
                job.device,
                precision=job.precision,
                device_cache=job.device_cache,
                workers=workers,
                progress=ticker,
            )

    def save(self, folder: Path) -> None:
        """Write each network as safetensors."""
        for modality, network in self.networks.items():
            save_network(network_file(folder, modality), network.state_dict())
