"""Check a store: files, clip table, every frame against its recorded hash, the content digest."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mtut_bench.errors import StoreError
from mtut_bench.store import clip_sha256
from mtut_bench.store_reader import StoreReader

__all__ = ["StoreFindings", "verify_store"]


@dataclass(frozen=True)
class StoreFindings:
    """What verify found in a store.

    Attributes:
        num_clips: rows of the clip table.
        digest: as recorded.
        faults: one sentence per thing that is wrong; empty where all is well.
    """

    num_clips: int
    digest: str
    faults: tuple[str, ...]

    def describe(self) -> list[str]:
        """Return lines for a terminal."""
        return [f"{self.num_clips} clips, digest {self.digest}"]


def verify_store(path: Path, progress: Callable[[int, int], None] | None = None) -> StoreFindings:
    """Read every frame of a store and compare it with what was written.

    Args:
        path: the store.
        progress: called with (clips done, clips in all).

    Raises:
        StoreError: there is no store, it is of a newer version, or its clip table is damaged.
    """
    reader = StoreReader(path)
    table = reader.table
    faults: list[str] = []
    try:
        faults += reader.file_faults()
    except StoreError as error:
        faults.append(error.what)
    for index, row in enumerate(table.rows):
        try:
            frames = {modality: reader.read(index, modality) for modality in reader.modalities}
            if clip_sha256(frames) != table.hashes[index]:
                faults.append(f"the frames of {row.clip_id} are not those that were written")
        except StoreError as error:
            faults.append(error.what)
        if progress:
            progress(index + 1, len(table.rows))
    return StoreFindings(len(table.rows), reader.attributes["digest"], tuple(faults))
