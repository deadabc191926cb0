"""A store that does not exist yet, as its dataset's counts tell: enough to plan runs on it."""

import os
from dataclasses import dataclass
from pathlib import Path

from mtut_bench.contract.types import ClipRow, Origin, sort_modalities
from mtut_bench.store.attributes import FORMAT_VERSION, StoreAttributes
from mtut_bench.store.reader import ClipTable, StoreReader

__all__ = ["UNMADE", "ExpectedStore", "UnmadeStore"]

UNMADE = "not made: "
"""Prefix of an unmade store's digest; its name follows."""


@dataclass(frozen=True)
class ExpectedStore:
    """What the store of a dataset will hold.

    Attributes:
        dataset: its name.
        origin: 'recorded' or 'synthetic'.
        rows: one per clip; ids, labels and lengths are made up, subjects and splits are not.
        modalities: what it holds unless it is prepared otherwise, in the project's order.
        num_classes: K.
        fold_rule, subject_unit: as :func:`mtut_bench.contract.folds.make_folds` takes them.
        counts: in words: how many clips, and how that is known.
    """

    dataset: str
    origin: Origin
    rows: tuple[ClipRow, ...]
    modalities: tuple[str, ...]
    num_classes: int
    fold_rule: str
    subject_unit: str
    counts: str


class UnmadeStore(StoreReader):
    """Answers what planning asks of a store; it has no frames to read.

    Args:
        path: where the store will be.
        expected: what it will hold.
        asked: modalities that a run wants. Optical flow and derived modalities ('rgb_copy') are
            accepted, since `prepare` and `derive` can add them.

    Attributes:
        added: those of ``asked`` that have to be added.
    """

    def __init__(
        self, path: str | os.PathLike[str], expected: ExpectedStore, asked: tuple[str, ...] = ()
    ) -> None:
        self.path = Path(path)
        known = {*expected.modalities, "flow"}
        believed = {name for name in asked if name.partition("_")[0] in known}
        self.added = sort_modalities(believed - set(expected.modalities))
        # Planning asks for no fact that is empty here.
        self.attributes = StoreAttributes(
            dataset=expected.dataset,
            origin=expected.origin,
            complete=True,
            expected_clips=len(expected.rows),
            classes=tuple(str(number) for number in range(expected.num_classes)),
            mirror=None,
            fold_rule=expected.fold_rule,
            subject_unit=expected.subject_unit,
            fps=0,
            depth_polarity="",
            flow={},
            colour="",
            alignment={},
            assumptions=(),
            source="",
            licence="",
            format_version=FORMAT_VERSION,
            skipped=(),
            modalities=sort_modalities({*expected.modalities, *believed}),
            plan="",
            digest=f"{UNMADE}{self.path.stem}",
            versions={},
        )
        self.table = ClipTable(expected.rows, (), ())
