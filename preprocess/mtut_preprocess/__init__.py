"""Room 1: raw recordings to stores. One adapter per dataset, one dict that names them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mtut_preprocess.adapter import RawDataset
from mtut_preprocess.nvgesture import Colour, NvGesture
from mtut_preprocess.viva import Viva

__all__ = ["DATASETS", "Dataset"]


@dataclass(frozen=True)
class Dataset:
    """A dataset that users can name.

    Attributes:
        name: what they type.
        summary: one line for ``mtut-bench list datasets``.
        how_to_get: where the recordings come from.
        open_raw: adapter of a raw folder; the second argument is the colour stream.
        twin: name of the generator that makes the raw folder, "" for recordings.
    """

    name: str
    summary: str
    how_to_get: str
    open_raw: Callable[[Path, Colour], RawDataset]
    twin: str = ""


def _viva(root: Path, colour: Colour) -> RawDataset:
    del colour  # VIVA has one colour stream
    return Viva(root)


_GENERATED = "generated on this machine from a seed; `prepare` does it"

DATASETS: dict[str, Dataset] = {
    "viva": Dataset(
        "viva",
        "19 classes, 8 persons, 885 RGB-D clips, leave one person out",
        "ask the Laboratory for Intelligent and Safe Automobiles, UC San Diego (VIVA challenge)",
        _viva,
    ),
    "nvgesture": Dataset(
        "nvgesture",
        "25 classes, 1,050 train and 482 test clips, RGB, depth, optical flow",
        "ask NVIDIA Research (nvGesture_v1, a form on the project page)",
        NvGesture,
    ),
    "viva-synthetic": Dataset(
        "viva-synthetic", "synthetic twin of viva", _GENERATED, _viva, twin="viva-synthetic"
    ),
    "nvgesture-synthetic": Dataset(
        "nvgesture-synthetic",
        "synthetic twin of nvgesture",
        _GENERATED,
        NvGesture,
        twin="nvgesture-synthetic",
    ),
}
