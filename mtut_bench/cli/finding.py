"""What the names that a user gives stand for: datasets, protocols, methods."""

from typing import TYPE_CHECKING

from mtut_bench.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from mtut_preprocess import Dataset

__all__ = ["find_dataset"]


def find_dataset(name: str) -> "Dataset":
    """Return the dataset of a name.

    Raises:
        UsageError: there is none; names those there are.
    """
    from mtut_preprocess import DATASETS

    if name not in DATASETS:
        raise UsageError(
            f"unknown dataset {name!r}",
            f"{did_you_mean(name, DATASETS)}Choose one of: {', '.join(DATASETS)}.",
        )
    return DATASETS[name]
