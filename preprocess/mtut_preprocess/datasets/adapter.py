"""The contract between a dataset's adapter and the conversion: list clips, say where frames lie."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from mtut_bench.contract.types import ClipRow, Origin
from mtut_bench.errors import DatasetError
from mtut_bench.files import StrPath, read_json
from mtut_preprocess.datasets.settings import DatasetTable
from mtut_preprocess.reading.frames import FrameSource

__all__ = [
    "SYNTHETIC_MARKER",
    "DatasetFacts",
    "RawClip",
    "RawDataset",
    "recording_origin",
    "table_facts",
]

SYNTHETIC_MARKER = "synthetic.json"
"""Written by the generator at the root of a synthetic dataset's raw folder."""

_SYNTHETIC_SOURCE = "drawn by mtut-bench's generator; no person was recorded"
_SYNTHETIC_LICENCE = "that of mtut-bench, Apache-2.0"

_UNFINISHED_MARKER = "synthetic.partial.json"


@dataclass(frozen=True)
class RawClip:
    """One clip of a raw dataset.

    Attributes:
        row: what the clip table will say.
        sources: frames per recorded modality; all of the row's length.
        origin: JSON-ready record of files (relative to the raw folder) and windows.
    """

    row: ClipRow
    sources: Mapping[str, FrameSource]
    origin: Mapping[str, Any]


@dataclass(frozen=True)
class DatasetFacts:
    """What holds for a whole raw dataset; becomes the attributes of the store.

    Those that are not listed here are of :class:`mtut_bench.store.attributes.StoreFacts`.

    Attributes:
        origin: 'recorded' or 'synthetic', read off the folder, not off the name.
        modalities: what is recorded, in the project's order.
        flow: name of the optical flow that is prepared unless the user says otherwise; "" none.
        class_names: one per class.
        published: clips per value of 'split', 'subject' and 'label' (class index as text) as
            published for the complete dataset; what is unknown is left out.
        findings: lists of clips that a careful reader wants to see ('other label than its folder'),
            for verify.
        notes: what was found, for the terminal only.
    """

    dataset: str
    origin: Origin
    expected_clips: int
    modalities: tuple[str, ...]
    class_names: tuple[str, ...]
    mirror: tuple[int, ...] | None
    fold_rule: str
    subject_unit: str
    fps: float
    depth_polarity: str
    colour: str
    flow: str
    alignment: Mapping[str, Any]
    assumptions: tuple[str, ...] = ()
    source: str = ""
    licence: str = ""
    published: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    findings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class RawDataset(Protocol):
    """A raw dataset folder."""

    root: Path

    def read(self) -> tuple[DatasetFacts, list[RawClip]]:
        """Return the facts and all clips, in the order of the store.

        Raises:
            DatasetError: the folder or one of its tables is missing or malformed.
        """
        ...


def recording_origin(root: StrPath, dataset: str) -> tuple[str, Origin]:
    """Return (dataset name, origin) of a raw folder: a generator's marker decides, not the name.

    Args:
        root: raw folder.
        dataset: name of the layout, for a folder of recordings.

    Raises:
        DatasetError: the generator has not finished the folder, or its marker is malformed.
    """
    root = Path(root)
    hint = "Repeat the command that generated it, with the same --raw, --size and --seed."
    # The folder that holds the marker may lie above the one that was named.
    for folder in (root.resolve(), *root.resolve().parents):
        if (folder / _UNFINISHED_MARKER).exists():
            raise DatasetError(f"{folder} holds an unfinished synthetic dataset", hint)
        marker = folder / SYNTHETIC_MARKER
        if marker.exists():
            record = read_json(marker, DatasetError, hint)
            if not isinstance(record, dict) or not isinstance(record.get("twin"), str):
                raise DatasetError(f"{marker} does not name a synthetic dataset", hint)
            return record["twin"], "synthetic"
    return dataset, "recorded"


def table_facts(
    root: StrPath,
    dataset: str,
    table: DatasetTable,
    **facts: Any,  # noqa: ANN401 - fields of DatasetFacts
) -> DatasetFacts:
    """Return the facts of a folder of recordings, or of a synthetic one in their layout.

    Args:
        root: raw folder.
        dataset: name of the layout.
        table: of the dataset.
        facts: what else a :class:`DatasetFacts` needs; source and licence of recordings.

    Raises:
        DatasetError: as :func:`recording_origin`.
    """
    name, origin = recording_origin(root, dataset)
    if origin == "synthetic":
        facts |= {"source": _SYNTHETIC_SOURCE, "licence": _SYNTHETIC_LICENCE}
    return DatasetFacts(
        dataset=name,
        origin=origin,
        expected_clips=table.expected_clips,
        modalities=("rgb", "depth"),
        class_names=table.names,
        mirror=table.mirror,
        fps=table.fps,
        published=table.published if origin == "recorded" else {},
        **facts,
    )
