"""Raw recordings to stores. One adapter per dataset, one dict that names them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mtut_bench.errors import DatasetError
from mtut_bench.files import StrPath
from mtut_preprocess.datasets.adapter import RawDataset
from mtut_preprocess.datasets.egogesture import EgoGesture
from mtut_preprocess.datasets.manifest import Manifest
from mtut_preprocess.datasets.nvgesture import Colour, NvGesture
from mtut_preprocess.datasets.viva import Viva

__all__ = ["DATASETS", "Dataset", "RawChoice"]


@dataclass(frozen=True)
class RawChoice:
    """Which recordings are meant.

    Attributes:
        root: raw folder; of a table, the folder that its paths start from.
        colour: NVGesture's colour stream.
        table: CSV file that lists a user's own recordings.
        name: of a user's own dataset.
    """

    root: StrPath
    colour: Colour = "sk_color"
    table: StrPath | None = None
    name: str = ""


@dataclass(frozen=True)
class Dataset:
    """A dataset that users can name.

    Attributes:
        name: what they type.
        summary: one line for ``mtut-bench list datasets``.
        how_to_get: where the recordings come from.
        open_raw: the adapter.
        is_synthetic: whether its recordings are generated (``mtut_preprocess.synthetic``).
        needs_table: whether a table lists the recordings.
    """

    name: str
    summary: str
    how_to_get: str
    open_raw: Callable[[RawChoice], RawDataset]
    is_synthetic: bool = False
    needs_table: bool = False


def _viva(choice: RawChoice) -> RawDataset:
    return Viva(choice.root)


def _nvgesture(choice: RawChoice) -> RawDataset:
    return NvGesture(choice.root, choice.colour)


def _egogesture(choice: RawChoice) -> RawDataset:
    return EgoGesture(choice.root)


def _manifest(choice: RawChoice) -> RawDataset:
    table = choice.table or Path(choice.root) / "clips.csv"
    known = DATASETS.get(choice.name.casefold())
    if known and not known.needs_table:
        # Its numbers would stand beside published ones.
        raise DatasetError(
            f"the store of {table} cannot be named {choice.name!r}: that is another dataset",
            "Give another name with --store.",
        )
    return Manifest(table, root=choice.root, name=choice.name)


_GENERATED = "generated from a seed by `prepare`"

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
        _nvgesture,
    ),
    "egogesture": Dataset(
        "egogesture",
        "83 classes, 50 persons, 14,416 train, 4,768 val and 4,977 test clips, RGB and depth",
        "ask the National Laboratory of Pattern Recognition, CASIA (a form on the project page)",
        _egogesture,
    ),
    "manifest": Dataset(
        "manifest",
        "your own recordings: any classes, subjects and modalities, videos or images",
        "write a table, clips.csv, and give it with --table; see preprocess/README.md",
        _manifest,
        needs_table=True,
    ),
    "viva-synthetic": Dataset(
        "viva-synthetic", "synthetic recordings like viva's", _GENERATED, _viva, is_synthetic=True
    ),
    "nvgesture-synthetic": Dataset(
        "nvgesture-synthetic",
        "synthetic recordings like nvgesture's",
        _GENERATED,
        _nvgesture,
        is_synthetic=True,
    ),
}
