"""What each dataset's store will hold, before it is made: from published counts or the generator.

Where the sizes of single folds are not public, the clips are shared out evenly: sums over all folds
are right then, and each fold has the mean.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from mtut_bench.contract.types import ClipRow, Split
from mtut_bench.store.expected import ExpectedStore
from mtut_preprocess.datasets.settings import package_table

if TYPE_CHECKING:
    from mtut_preprocess.synthetic import Size

__all__ = ["expected_store"]

_VIVA_UNITS = {"person": 8, "user": 16}
"""Eight persons, each as driver and as passenger under a user number of their own."""

_NVGESTURE_TEST = (5, 8, 9, 13, 14, 20)
"""Subjects of the authors' test list, version 2; all others are in the training list."""


@cache
def expected_store(
    dataset: str, size: "Size | None" = None, fold_unit: str = "person"
) -> ExpectedStore | None:
    """Return what the store of a dataset will hold; None where that is not known beforehand.

    Args:
        dataset: key of ``DATASETS``.
        size: of a synthetic dataset; None: its largest.
        fold_unit: who is left out, 'person' or 'user'; VIVA's clips are shared out among these.

    Raises:
        UsageError: the dataset has no such size.
    """
    recorded = _recorded(dataset, fold_unit)
    if recorded:
        return recorded
    # Here, because what draws takes a while to import.
    from mtut_preprocess.synthetic import SYNTHETIC, Settings, check_size

    if dataset not in SYNTHETIC:
        return None
    synthetic = SYNTHETIC[dataset]
    chosen = size or synthetic.sizes[-1]
    check_size(dataset, chosen)
    clips = synthetic.clips(Settings(dataset, chosen, seed=0, whole=False))
    # It identifies its persons.
    original = _recorded(synthetic.layout, "person")
    assert original, "it has the layout of a dataset with published counts"
    return replace(
        original,
        dataset=dataset,
        origin="synthetic",
        rows=tuple(
            ClipRow(clip.clip_id, clip.person, clip.label, clip.repetition, clip.split, 0)
            for clip in clips
        ),
        num_classes=len({clip.label for clip in clips}),
        counts=f"the {len(clips):,} clips that the generator draws at size {chosen}, seed 0",
    )


def _recorded(dataset: str, fold_unit: str) -> ExpectedStore | None:
    if dataset == "viva":
        return _viva(fold_unit)
    if dataset == "nvgesture":
        # `prepare` adds the flow that the paper uses.
        return _with_split(dataset, ("rgb", "depth", "flow"), {"test": _NVGESTURE_TEST})
    if dataset == "egogesture":
        return _with_split(dataset, ("rgb", "depth"), package_table("egogesture.json")["splits"])
    return None


def _viva(fold_unit: str) -> ExpectedStore:
    table = package_table("viva.json")
    num_clips, count = int(table["expected_clips"]), _VIVA_UNITS[fold_unit]
    sizes = {
        str(unit + 1): num_clips // count + (unit < num_clips % count) for unit in range(count)
    }
    return ExpectedStore(
        dataset="viva",
        origin="recorded",
        rows=_rows(sizes),
        modalities=("rgb", "depth"),
        num_classes=len(table["gesture_ids"]),
        fold_rule="subject",
        subject_unit=fold_unit,
        counts=f"{num_clips:,} published clips of {count} {fold_unit}s; who has how many is not"
        f" public, so every fold tests the mean, {num_clips / count:.1f}"
        + ("" if fold_unit == "user" else "; runs need viva.json, which identifies the persons"),
    )


def _with_split(
    dataset: str, modalities: tuple[str, ...], splits: Mapping[Split, Collection[int]]
) -> ExpectedStore:
    table = package_table(f"{dataset}.json")
    *first, last = (f"{count:,} {side}" for side, count in table["published"]["split"].items())
    return ExpectedStore(
        dataset=dataset,
        origin="recorded",
        rows=_rows(table["published"]["subject"], splits),
        modalities=modalities,
        num_classes=len(table["class_names"]),
        fold_rule="split",
        subject_unit="person",
        counts=f"the published {', '.join(first)} and {last} clips",
    )


def _rows(
    sizes: Mapping[str, int], splits: Mapping[Split, Collection[int]] | None = None
) -> tuple[ClipRow, ...]:
    """Return so many clips of each subject.

    Args:
        sizes: clips by subject.
        splits: subjects of each side; those of none are in 'train'. None: there are no sides.
    """
    sides: dict[str, Split] = {
        str(subject): side for side, subjects in (splits or {}).items() for subject in subjects
    }
    other: Split = "" if splits is None else "train"
    return tuple(
        ClipRow(f"{subject}/{number}", subject, 0, -1, sides.get(subject, other), 0)
        for subject, size in sizes.items()
        for number in range(size)
    )
