"""A data card beside every store: what it holds, where that comes from, how it was made.

The card is made from attributes and table alone, without time or folders of a machine, so the same
store always has the same card.
"""

import html
import json
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mtut_bench.contract.types import ClipRow, num_channels
from mtut_bench.errors import StoreError
from mtut_bench.files import StrPath, write_atomic
from mtut_bench.store.attributes import StoreAttributes
from mtut_bench.store.format import CHUNK_FRAMES, FLOW_LIMIT_PX, MAX_SHORT_SIDE_PX, SHARD_FRAMES
from mtut_bench.store.reader import StoreReader

__all__ = ["card_text", "check_card", "store_facts", "write_card"]

_TITLE = "# Data card: "
_SYNTHETIC = (
    "**Generated, not recorded.** These frames show no real persons. Ranks and "
    "scores measured on them are untested on recordings."
)
_RECORDED = (
    "**Recorded.** The frames are pixels of the recordings and stay under the terms of their"
    " authors: pass this store on only if those terms allow it. The licence of mtut-bench covers"
    " its code, not these frames."
)
_SPLITS = ("train", "val", "test", "")
_SPECIAL = re.compile(r"[\\`*\[\]|~]|(?<!\w)_|_(?!\w)")
_FOLDERS = re.compile(r"(?<![\w.:/])/(?:[^\s/]+/)+")


def check_card(store: StrPath) -> Path:
    """Return where the card of a store goes, unless something else is there.

    Raises:
        StoreError: a folder, or a file that is not a data card.
    """
    store = Path(store)
    path = store.with_suffix(".md")
    if path.is_dir() or (path.exists() and not path.read_bytes().startswith(_TITLE.encode())):
        raise StoreError(
            f"refusing to overwrite {path}: not a data card of mtut-bench",
            "Move it, or give the store another name with --store.",
        )
    return path


def write_card(store: StrPath) -> Path:
    """Write the card of a store, ``<name>.md`` beside ``<name>.zarr``; return where it is.

    Raises:
        StoreError: there is no store, or its table is damaged.
        MtutBenchError: the folder is not writable.
    """
    path = check_card(store)
    write_atomic(path, card_text(StoreReader(store)).encode())
    return path


def card_text(reader: StoreReader) -> str:
    """Return the data card of a store as Markdown.

    Raises:
        StoreError: the clip table is damaged.
    """
    attributes, rows = reader.attributes, reader.table.rows
    skipped = [
        # A reason names the file where it lay on the machine that prepared the store.
        (clip_id, _FOLDERS.sub("", reason))
        for clip_id, reason in attributes.skipped
    ]
    kind = _SYNTHETIC if attributes.origin == "synthetic" else _RECORDED
    facts = {
        title: [f"## {title}", "", *_table(("what", "value"), pairs.items())]
        for title, pairs in store_facts(reader).items()
    }
    parts = [
        [f"{_TITLE}{_cell(reader.name)}", "", kind],
        facts["Origin"],
        facts["Counts"],
        _table(*_class_table(attributes, rows)),
        _table(*_subject_table(attributes, rows)),
        facts["Processing"],
        _listing("Assumptions", ("assumption",), [[text] for text in attributes.assumptions]),
        _listing("Skipped clips", ("clip", "reason"), skipped),
        facts["Digests and versions"],
        _usage(reader),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def store_facts(reader: StoreReader) -> dict[str, dict[str, str]]:
    """Return what a store is, by section: 'Origin', 'Counts', 'Processing', 'Digests and versions'.

    Raises:
        StoreError: the clip table is damaged.
    """
    attributes = reader.attributes
    return {
        "Origin": {
            "dataset": attributes.dataset,
            "origin": attributes.origin,
            "source": attributes.source or "unknown",
            "licence": attributes.licence or "unknown",
        },
        "Counts": dict(_counts(reader)),
        "Processing": dict(_processing(reader)),
        "Digests and versions": {
            "content digest": attributes.digest,
            "plan": attributes.plan,
            "store format version": str(attributes.format_version),
            **attributes.versions,
        },
    }


def _counts(reader: StoreReader) -> Iterator[tuple[str, str]]:
    attributes, rows = reader.attributes, reader.table.rows
    lengths, fps = [row.num_frames for row in rows], attributes.fps
    labels = {row.label for row in rows}
    state = "complete" if attributes.complete else "a part of the dataset"
    yield "clips", f"{len(rows):,} of {attributes.expected_clips:,}, {state}"
    yield "frames", f"{sum(lengths):,} per modality, {sum(lengths) / fps:,.1f} s at {fps:g} per s"
    middle = float(np.median(lengths))
    for unit, factor in (("frames", 1.0), ("seconds", 1 / fps)):
        least, median, most = (f"{v * factor:.4g}" for v in (min(lengths), middle, max(lengths)))
        yield f"{unit} per clip", f"{least} to {most}, median {median}"
    yield "classes", f"{len(attributes.classes)}, {len(labels)} with clips"
    yield f"{attributes.subject_unit}s", f"{len({row.subject for row in rows}):,}"
    rule = "the dataset's own split" if attributes.fold_rule == "split" else "leave one out"
    yield "folds", rule


def _class_table(
    attributes: StoreAttributes, rows: Sequence[ClipRow]
) -> tuple[list[str], list[list[object]]]:
    classes, mirror = attributes.classes, attributes.mirror
    head, counts = _count_by(rows, [row.label for row in rows])
    if mirror is None:
        mirrored = ["unknown"] * len(classes)
    else:
        mirrored = ["none" if other < 0 else classes[other] for other in mirror]
    empty = [0] * len(head)
    body = [
        [label, name, *counts.get(label, empty), mirrored[label]]
        for label, name in enumerate(classes)
    ]
    return ["label", "class", *head, "in a mirror"], body


def _subject_table(
    attributes: StoreAttributes, rows: Sequence[ClipRow]
) -> tuple[list[str], list[list[object]]]:
    head, counts = _count_by(rows, [row.subject for row in rows])
    numbers = sorted(counts, key=lambda name: (not name.isdecimal(), name.zfill(9), name))
    return [attributes.subject_unit, *head], [[name, *counts[name]] for name in numbers]


def _count_by(
    rows: Sequence[ClipRow], keys: Sequence[Any]
) -> tuple[list[str], dict[Any, list[int]]]:
    """Return column names and, for each key, its clips: of each split if there are any, and all."""
    splits = [name for name in _SPLITS if any(row.split == name for row in rows)]
    count: Counter[tuple[Any, str]] = Counter(zip(keys, (row.split for row in rows), strict=True))
    named = [] if splits == [""] else splits
    table = {
        key: [*(count[key, name] for name in named), sum(count[key, name] for name in splits)]
        for key in keys
    }
    return [*(name or "no split" for name in named), "clips"], table


def _processing(reader: StoreReader) -> Iterator[tuple[str, str]]:
    attributes, (height, width) = reader.attributes, reader.frame_size
    named = [f"{m} ({num_channels(m)} x uint8)" for m in reader.modalities]
    yield "modalities", ", ".join(named)
    yield "frame size", f"{width}x{height} pixels, alike for all modalities"
    yield (
        "resize",
        f"recorded size where the short side is {MAX_SHORT_SIDE_PX} pixels or less, else short"
        f" side {MAX_SHORT_SIDE_PX}; by area averaging",
    )
    yield "colour", attributes.colour
    yield "depth", attributes.depth_polarity
    yield from _flatten("alignment", attributes.alignment)
    if attributes.flow:
        yield (
            "flow code",
            f"(u - 128) * {FLOW_LIMIT_PX:g} / 127 pixels of the stored frame, 128 is 0;"
            " channels x, y",
        )
    for modality, facts in attributes.flow.items():
        yield from _flatten(modality, facts)
    yield (
        "chunks",
        f"{CHUNK_FRAMES} frames, shards of {SHARD_FRAMES}, zstd with its checksum; lossless",
    )


def _usage(reader: StoreReader) -> list[str]:
    path = json.dumps(f"{reader.name}.zarr", ensure_ascii=False)
    return [
        "## Load and verify",
        "",
        "```python",
        "import zarr",
        "",
        f'store = zarr.open_group({path}, mode="r")',
        'start, length = store["clips/offset"][0], store["clips/num_frames"][0]',
        f'frames = store["frames/{reader.modalities[0]}"][start : start + length]'
        "  # uint8 (T, H, W, C)",
        'name = store.attrs["classes"][store["clips/label"][0]]',
        "```",
        "",
        "Every frame against the SHA-256 of its clip, and the clips against the content digest; the"
        " store lies in `data/stores`, or in `stores` of a folder that `--data` names:",
        "",
        "```",
        f"mtut-bench verify --store {shlex.quote(reader.name)}",
        "```",
    ]


def _flatten(name: str, value: object) -> Iterator[tuple[str, str]]:
    """Yield nested facts as (path of names, value) pairs."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flatten(f"{name}: {key.replace('_', ' ')}", inner)
    else:
        yield name, str(value)


def _listing(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"### {title}", "", *_table(head, rows)] if rows else []


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    lines = ["|" + " --- |" * len(head)]
    lines += [f"| {' | '.join(_cell(str(value)) for value in row)} |" for row in rows]
    return [f"| {' | '.join(map(_cell, head))} |", *lines]


def _cell(text: str) -> str:
    """Return a text that Markdown shows as it is, on one line."""
    line = " ".join(text.split())
    return _SPECIAL.sub(r"\\\g<0>", html.escape(line, quote=False))
