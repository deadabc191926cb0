"""The HDF5 file, layout version 1. Export and import are the two clients of this module.

For those who read HDF5 (h5py, MATLAB, HDFView) and not Zarr::

    attributes          format, format_version (of this layout), about, card, checksum; then those
                        of the store (its format_version as store_format_version): numbers, truth
                        values and texts as they are, the others as JSON text (json_attributes)
    clips/id, subject, split, source, class_name            UTF-8 text of fixed length (N,)
    clips/label, repetition, num_frames                     int32 (N,)
    clips/offset        int64 (N,)        first frame of the clip in this file's frames
    clips/sha256        uint8 (N, 32)
    frames/<modality>   uint8 (T_total, H, W, C), chunks of 8 frames, gzip, Fletcher32

Every clip begins a chunk, so it is read, written and checked without touching another. At most
seven black frames follow it: the longer gaps at the ends of a store's shards are left out.
``checksum`` is the SHA-256 of all but the frames (:meth:`Content.checksum`), which Fletcher32 does
not guard.
"""

from dataclasses import dataclass
from typing import Any

from mtut_bench.contract.types import ClipRow
from mtut_bench.files import sha256_of_json

__all__ = ["FORMAT_NAME", "LAYOUT_VERSION", "OWN_ATTRIBUTES", "Content"]

FORMAT_NAME = "mtut-bench store"
LAYOUT_VERSION = 1
OWN_ATTRIBUTES = ("format", "format_version", "about", "card", "checksum", "json_attributes")


@dataclass(frozen=True)
class Content:
    """All of a store but its frames.

    Attributes:
        stored: attributes of the store, as the file has them.
        rows: the clip table.
        sources: JSON text per clip.
        offsets: first frame of each clip in the HDF5 file.
        hashes: SHA-256 of each clip's frames.
        shapes: (T_total, H, W, C) of each modality's frames.
    """

    stored: dict[str, Any]
    rows: tuple[ClipRow, ...]
    sources: tuple[str, ...]
    offsets: tuple[int, ...]
    hashes: tuple[bytes, ...]
    shapes: dict[str, tuple[int, ...]]

    def checksum(self) -> str:
        """Return a SHA-256 that changes with anything that is in the file beside the frames."""
        rows = [list(row) for row in self.rows]
        hashes = [value.hex() for value in self.hashes]
        return sha256_of_json([self.stored, rows, self.sources, self.offsets, hashes, self.shapes])
