"""How hard a synthetic dataset is: one versioned configuration each, part of a folder's identity.

Version 1 was chosen without training anything. Version 2 lowers the clutter of viva-synthetic to
0.4: with it, and with the one interior and the automatic exposure of generator version 4, a narrow
I3D learns colour within ten epochs, where it stayed on a plateau before. It was chosen by looking
at I3D on a person of the training side (fold 1, train_on=inner) alone; results/README.md has what
was tried. A study that needs other values states them.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from mtut_bench.errors import UsageError, did_you_mean

__all__ = ["DIFFICULTY", "Difficulty", "Weakness", "changed", "draw_weakness"]

_SHARES = ("weak_share", "coincidence", "lag_share", "clutter")


@dataclass(frozen=True)
class Difficulty:
    """How hard the clips of a synthetic dataset are.

    Attributes:
        version: of these values; another value is another version.
        weak_share: share of clips whose colour is too dark or clipped before the camera's automatic
            exposure, and of those whose depth has large holes.
        coincidence: 0: the two weaknesses fall on clips independently; 1: always on the same.
        misalignment_px: standard deviation of the shift between colour and depth, each axis.
        lag_share: share of clips in which one stream lags a whole frame.
        person_spread: factor on all that tells persons apart.
        noise: factor on the noise of both sensors.
        clutter: contrast of the interior behind the hand, 0 (one grey) to 1.
    """

    version: int = 2
    weak_share: float = 0.24
    coincidence: float = 0.0
    misalignment_px: float = 0.0
    lag_share: float = 0.0
    person_spread: float = 1.0
    noise: float = 1.0
    clutter: float = 1.0


DIFFICULTY: dict[str, Difficulty] = {
    # Registered by the sensor, to about a pixel.
    "viva-synthetic": Difficulty(misalignment_px=0.7, clutter=0.4),
    # Whole-frame lags in one recording of eight, as in the real logs.
    "nvgesture-synthetic": Difficulty(lag_share=1 / 8),
}


def changed(dataset: str, texts: Sequence[str]) -> Difficulty:
    """Return the difficulty of a synthetic dataset with some values changed.

    Args:
        dataset: key of ``SYNTHETIC``.
        texts: ``name=value`` each; later ones win.

    Raises:
        UsageError: no such name, or a value that it does not take.
    """
    difficulty = DIFFICULTY[dataset]
    names = [name for name in asdict(difficulty) if name != "version"]
    for text in texts:
        name, _, value = text.partition("=")
        if name not in names:
            raise UsageError(
                f"--difficulty {text!r}: unknown name {name!r}",
                f"{did_you_mean(name, names)}Write name=value, with a name of {', '.join(names)}.",
            )
        most = 1.0 if name in _SHARES else float("inf")
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if not 0.0 <= number <= most or number == float("inf"):
            limits = "from 0 to 1" if name in _SHARES else "of at least 0"
            raise UsageError(f"--difficulty {text!r}: {name} takes a number {limits}")
        difficulty = Difficulty(**{**asdict(difficulty), name: number})
    return difficulty


@dataclass(frozen=True)
class Weakness:
    """Which sensors see a clip badly."""

    colour: bool
    depth: bool


def draw_weakness(rng: np.random.Generator, difficulty: Difficulty) -> Weakness:
    """Return the weaknesses of a clip; each by itself has the share that the difficulty states."""
    first, second, tie = rng.random(3)
    colour = bool(first < difficulty.weak_share)
    alone = bool(second < difficulty.weak_share)
    return Weakness(colour, colour if tie < difficulty.coincidence else alone)
