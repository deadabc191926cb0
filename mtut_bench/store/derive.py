"""Stores made of another store's frames: controls, for which there are no recordings.

A *copied* modality shows what another one shows; a *same-class* modality shows another clip of the
same class and subject, at the length of the clip that it replaces. Labels, folds and clip ids stay
those of the store, which is never complete: no published cell can be filled from it.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from mtut_bench.contract.types import ClipRow, is_modality_name, num_channels, sort_modalities
from mtut_bench.errors import StoreError, UsageError, did_you_mean
from mtut_bench.files import StrPath, canonical_json
from mtut_bench.store.format import Geometry, StorePlan
from mtut_bench.store.reader import StoreReader
from mtut_bench.store.writer import write_store

__all__ = ["Derivation", "derive_store", "same_class_clips"]


@dataclass(frozen=True)
class Derivation:
    """How a store follows from another.

    Attributes:
        modalities: which of the store's are kept.
        copies: new modality -> the store's modality that it shows.
        same_class: of these and of ``modalities``, those that show a same-class clip, see
            :func:`same_class_clips`.
    """

    modalities: tuple[str, ...]
    copies: Mapping[str, str]
    same_class: tuple[str, ...] = ()

    def names(self) -> tuple[str, ...]:
        """Return the modalities of the new store, in the project's order."""
        return sort_modalities((*self.modalities, *self.copies))


def same_class_clips(rows: Sequence[ClipRow]) -> list[int]:
    """Return for each clip the position of another one of its class and subject.

    Cyclically the next in the table, so that every clip is chosen once and no subject is on both
    sides of a fold; the only clip of its class and subject stands for itself.

    Args:
        rows: clip table of a store.
    """
    groups: dict[tuple[str, int, str], list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        groups[row.subject, row.label, row.split].append(index)
    following = {
        index: group[(place + 1) % len(group)]
        for group in groups.values()
        for place, index in enumerate(group)
    }
    return [following[index] for index in range(len(rows))]


def derive_store(
    reader: StoreReader,
    path: StrPath,
    derivation: Derivation,
    *,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> str:
    """Write a store of another store's frames; resumes after a kill.

    Args:
        reader: the store.
        path: of the new one, ``.../<name>.zarr``; never seen half-written.
        derivation: what it shows.
        overwrite: replace one that is there.
        progress: called with (clips done, clips in all).

    Returns:
        The content digest.

    Raises:
        UsageError: a modality that the store does not hold, a new one whose name is taken or stands
            for other pictures, or nothing to derive.
        StoreError: the new store exists, is the store itself, or cannot be written; frames of the
            store are damaged.
        BusyError: another process writes it.
    """
    path = Path(path)
    _check(reader, derivation)
    if path.resolve() == reader.path.resolve():
        raise StoreError(f"{path} cannot be derived from itself", "Give it another name.")
    other = same_class_clips(reader.table.rows)

    def read(index: int) -> dict[str, NDArray[np.uint8]]:
        length = reader.table.rows[index].num_frames
        frames = {}
        for name in derivation.names():
            source = derivation.copies.get(name, name)
            if name in derivation.same_class:
                shown = reader.read(other[index], source)
                # The whole gesture in the time of the other one: nearest frames, none invented.
                spread = np.rint(np.linspace(0, len(shown) - 1, length)).astype(int)
                frames[name] = shown[spread]
            else:
                frames[name] = reader.read(index, source)
        return frames

    return write_store(
        path,
        _plan(reader, derivation, other),
        read,
        reader.attributes.versions,
        overwrite=overwrite,
        progress=progress,
    )


def _check(reader: StoreReader, derivation: Derivation) -> None:
    lost = [name for name in derivation.same_class if name not in derivation.names()]
    for name in (*derivation.modalities, *derivation.copies.values(), *lost):
        if name not in reader.modalities:
            raise UsageError(
                f"the store {reader.name} holds no {name!r}",
                f"{did_you_mean(name, reader.modalities)}Choose one of: "
                f"{', '.join(reader.modalities)}.",
            )
    if lost:
        raise UsageError(f"{lost[0]!r} is not kept", f"Keep it: --modalities ...,{lost[0]}.")
    for name, source in derivation.copies.items():
        if name in reader.modalities or not is_modality_name(name):
            raise UsageError(
                f"invalid name {name!r} for a copy", "Use a new name, such as rgb_copy."
            )
        if num_channels(name) != num_channels(source):
            raise UsageError(
                f"{name!r} means {num_channels(name)} "
                f"channels; {source} has {num_channels(source)}",
                f"Start the name with that of its kind, such as {source}_copy.",
            )
    if not derivation.copies and not derivation.same_class:
        raise UsageError("nothing to derive", "Give --copy or --same-class.")


def _plan(reader: StoreReader, derivation: Derivation, other: Sequence[int]) -> StorePlan:
    rows, attributes = reader.table.rows, reader.attributes
    derived: dict[str, Any] = {
        "from": attributes.digest,
        "copies": dict(derivation.copies),
        "partnered": list(derivation.same_class),
    }
    sources = [
        canonical_json({**json.loads(source), "partner": rows[other[index]].clip_id})
        for index, source in enumerate(reader.sources())
    ]
    return StorePlan(
        rows=rows,
        sources=tuple(sources),
        geometry=Geometry(derivation.names(), *reader.frame_size),
        facts=structs.replace(
            attributes.facts(),
            complete=False,
            alignment={**attributes.alignment, "derived": derived},
        ),
    )
