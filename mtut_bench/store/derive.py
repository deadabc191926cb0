"""Stores made of another store's frames: what controls need that no recording has.

A *copied* modality shows what another one shows; a *partnered* modality shows another clip of the
same class and subject, at the length of the clip that it stands with. Labels, folds and clip ids
stay those of the store, which is never complete: no published cell can be filled from it.
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
from mtut_bench.store.writer import StoreWriter, write_unit

__all__ = ["Derivation", "derive_store", "partners"]

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Derivation:
    """How a store follows from another.

    Attributes:
        modalities: which of the store's are kept.
        copies: new modality -> the store's modality that it shows.
        partnered: of these and of ``modalities``, those that show the clip's partner, see
            :func:`partners`.
    """

    modalities: tuple[str, ...]
    copies: Mapping[str, str]
    partnered: tuple[str, ...] = ()

    def names(self) -> tuple[str, ...]:
        """Return the modalities of the new store, in the project's order."""
        return sort_modalities((*self.modalities, *self.copies))

    def record(self) -> dict[str, Any]:
        """Return it ready for JSON."""
        return {"copies": dict(self.copies), "partnered": list(self.partnered)}


def partners(rows: Sequence[ClipRow]) -> list[int]:
    """Return for each clip the position of another one of its class and subject.

    Cyclically the next in the table, so that every clip is somebody's partner once and no subject
    is on both sides of a fold; a clip that is alone is its own.

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
    progress: Progress | None = None,
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
    if path.exists() and not overwrite:
        hint = "Give --overwrite to replace it, or another name."
        raise StoreError(f"the store {path} exists already", hint)
    writer = StoreWriter(path, _plan(reader, derivation))
    with writer.lock():
        try:
            writer.begin(restart=overwrite)
            _copy(reader, derivation, writer, progress)
            return writer.finish(reader.attributes.versions)
        except OSError as error:
            raise StoreError(
                f"cannot write {writer.partial}: {error.strerror or error}",
                "Free some space or choose a folder that you may write to; what is finished is"
                " kept, and the same command takes it up again.",
            ) from error


def _check(reader: StoreReader, derivation: Derivation) -> None:
    wanted = [*derivation.modalities, *derivation.copies.values()]
    wanted += [name for name in derivation.partnered if name not in derivation.names()]
    strange = [name for name in wanted if name not in reader.modalities]
    if strange:
        raise UsageError(
            f"the store {reader.name} holds no {strange[0]!r}",
            f"{did_you_mean(strange[0], reader.modalities)}Choose among:"
            f" {', '.join(reader.modalities)}.",
        )
    lost = [name for name in derivation.partnered if name not in derivation.names()]
    if lost:
        raise UsageError(f"{lost[0]!r} is not kept", f"Keep it too: --modalities ...,{lost[0]}.")
    for name, source in derivation.copies.items():
        if name in reader.modalities or not is_modality_name(name):
            raise UsageError(f"{name!r} cannot name a copy", "Take a new name, such as rgb_copy.")
        if num_channels(name) != num_channels(source):
            raise UsageError(
                f"{name!r} would be taken for pictures of {num_channels(name)} channels; {source}"
                f" has {num_channels(source)}",
                f"Let its name begin with that of its kind, such as {source}_copy.",
            )
    if not derivation.copies and not derivation.partnered:
        raise UsageError("nothing to derive", "Name a copy or a partnered modality.")


def _plan(reader: StoreReader, derivation: Derivation) -> StorePlan:
    rows = tuple(reader.table.rows)
    attributes = reader.attributes
    derived = {"from": attributes.digest, **derivation.record()}
    other = partners(rows)
    sources = [
        canonical_json({**json.loads(source), "partner": rows[other[index]].clip_id})
        for index, source in enumerate(reader.sources())
    ]
    height, width = reader.frame_size
    return StorePlan(
        rows=rows,
        sources=tuple(sources),
        geometry=Geometry(derivation.names(), height, width),
        facts=structs.replace(
            attributes.facts(),
            complete=False,
            alignment={**attributes.alignment, "derived": derived},
        ),
    )


def _copy(
    reader: StoreReader, derivation: Derivation, writer: StoreWriter, progress: Progress | None
) -> None:
    other = partners(reader.table.rows)
    total, pending = len(other), writer.pending()
    done = total - sum(len(indices) for _, indices in pending)
    for unit, indices in pending:
        if progress:
            progress(done, total)
        clips = ((index, _clip(reader, derivation, index, other[index])) for index in indices)
        write_unit(writer.partial, writer.plan.geometry, unit, clips)
        done += len(indices)
    if progress:
        progress(done, total)


def _clip(
    reader: StoreReader, derivation: Derivation, index: int, partner: int
) -> dict[str, NDArray[np.uint8]]:
    """Return the frames of a clip of the new store."""
    length = reader.table.rows[index].num_frames
    frames = {}
    for name in derivation.names():
        source = derivation.copies.get(name, name)
        if name not in derivation.partnered:
            frames[name] = reader.read(index, source)
            continue
        shown = reader.read(partner, source)
        # The whole gesture in the time of the other one: nearest frames, none invented.
        frames[name] = shown[np.rint(np.linspace(0, len(shown) - 1, length)).astype(int)]
    return frames
