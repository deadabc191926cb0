"""A network with its optimiser: built from a seed, saved and restored."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.optim.lr_scheduler import MultiStepLR, ReduceLROnPlateau

from mtut_bench.contract.networks import NetworkSpec
from mtut_bench.contract.recipe import Recipe
from mtut_bench.errors import RunError
from mtut_bench.files import StrPath
from mtut_bench.loading.sampling import keyed_seed
from mtut_bench.loading.transforms import network_channels

if TYPE_CHECKING:
    from mtut_bench.training.two_stage import TwoStageMethod

__all__ = ["TrainState", "autocast", "build_train_state", "network_spec", "seeded"]


@dataclass(frozen=True)
class TrainState:
    """The network of one modality with its optimiser and rate schedule.

    Attributes:
        weight_notes: on pretrained weights that did not fit, line by line; empty from scratch.
    """

    network: nn.Module
    optimiser: torch.optim.SGD
    scheduler: ReduceLROnPlateau | MultiStepLR
    weight_notes: tuple[str, ...] = ()

    def state(self) -> dict[str, Any]:
        """Return what :meth:`load` needs."""
        return {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scheduler": self.scheduler.state_dict(),
        }

    def end_epoch(self, cross_entropy: float) -> None:
        """Step the schedule; the plateau rule goes by the epoch's mean cross-entropy."""
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(cross_entropy)
        else:
            self.scheduler.step()

    def restart(self, learning_rate: float) -> None:
        """Forget momentum and go back to a learning rate."""
        self.optimiser.state.clear()
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`state` returned."""
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scheduler.load_state_dict(state["scheduler"])


def network_spec(
    modality: str, num_classes: int, recipe: Recipe, *, recompute: bool = False
) -> NetworkSpec:
    """Return what a method builds the network of one modality from."""
    return NetworkSpec(
        num_classes=num_classes,
        in_channels=network_channels(modality, recipe),
        crop_px=recipe.crop,
        recompute=recompute,
        width=recipe.width,
        dropout=recipe.dropout,
        bn_momentum=recipe.bn_momentum,
    )


def build_train_state(
    method: "TwoStageMethod",
    modality: str,
    num_classes: int,
    recipe: Recipe,
    seed: int,
    device: torch.device,
    *,
    weights: StrPath | None = None,
    recompute: bool = False,
) -> TrainState:
    """Return a freshly initialised network with its optimiser and rate schedule.

    Args:
        method: whose network.
        modality: its input; keys the initialisation, with the seed.
        num_classes: K.
        recipe: sizes, rates, schedule.
        seed: of the run.
        device: of the network.
        weights: pretrained weights; layers that they lack keep their random ones.
        recompute: save memory by computing activations twice.

    Raises:
        MtutBenchError: the weights do not fit.
    """
    spec = network_spec(modality, num_classes, recipe, recompute=recompute)
    with seeded(keyed_seed("initialisation", seed, modality), torch.device("cpu")):
        network = method.build_network(spec)
    notes: tuple[str, ...] = ()
    if weights is not None:
        if method.load_weights is None:
            raise RunError(
                f"method {method.name} cannot load weights", "Use a protocol from scratch."
            )
        notes = tuple(method.load_weights(network, Path(weights)))
    network.to(device)
    optimiser = torch.optim.SGD(
        network.parameters(),
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
    )
    scheduler = _scheduler(optimiser, recipe)
    return TrainState(network, optimiser, scheduler, notes)


def _scheduler(optimiser: torch.optim.SGD, recipe: Recipe) -> ReduceLROnPlateau | MultiStepLR:
    if recipe.rate_schedule == "late":
        # Five sixths, rounded up: of 6 epochs the last, of 8 too.
        lowered = -(-5 * recipe.epochs_alone // 6)
        return MultiStepLR(optimiser, [lowered], gamma=recipe.plateau_factor)
    return ReduceLROnPlateau(
        optimiser,
        factor=recipe.plateau_factor,
        patience=recipe.plateau_patience,
        threshold=recipe.plateau_threshold,
        threshold_mode="rel",
        min_lr=recipe.learning_rate_floor,
    )


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Return the context of a forward pass: bfloat16 where the precision is 'bf16'."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's generators of the CPU and a device for a block; restore them afterwards."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
