"""Look at a store: a summary in words and a contact sheet as a picture."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mtut_bench.errors import MtutBenchError
from mtut_bench.files import write_atomic
from mtut_bench.store import decode_flow
from mtut_bench.store_reader import StoreReader

__all__ = ["contact_sheet", "motion_in_centre", "summarise"]

_MOMENTS = 8
_THUMB_HEIGHT = 60
_MARGIN = 4
_HEAD_HEIGHT = 20
_LABEL_WIDTH = 230
_CROP_SHARE = 224 / 256


def summarise(reader: StoreReader) -> list[tuple[str, str]]:
    """Return (what, value) pairs that describe a store.

    Raises:
        StoreError: the store is damaged.
    """
    attributes, rows = reader.attributes, reader.table.rows
    height, width = reader.frame_size
    lengths = [row.num_frames for row in rows]
    splits: Counter[str] = Counter(row.split for row in rows if row.split)
    labels = Counter(row.label for row in rows)
    subjects = {row.subject for row in rows}
    state = "complete" if attributes["complete"] else "partial"
    mirror = attributes["mirror"]
    pairs = [
        f"{attributes['classes'][a]} / {attributes['classes'][b]}"
        for a, b in enumerate(mirror or [])
        if a < b
    ]
    flow = attributes["flow"]
    summary = [
        ("dataset", f"{attributes['dataset']}, {attributes['origin']}, {state}"),
        ("clips", f"{len(rows):,} of {attributes['expected_clips']:,}"),
        ("digest", attributes["digest"]),
        ("modalities", ", ".join(reader.modalities)),
        ("frames", f"{width}x{height}, {attributes['fps']:g} per second"),
        (
            "frames per clip",
            f"{min(lengths)} to {max(lengths)}, median {np.median(lengths):g},"
            f" {sum(lengths):,} in all",
        ),
        (
            "classes",
            f"{len(attributes['classes'])}, {len(labels)} with clips,"
            f" {min(labels.values())} to {max(labels.values())} clips each",
        ),
        (f"{attributes['subject_unit']}s", str(len(subjects))),
        ("folds", _folds(attributes["fold_rule"], dict(splits), len(subjects))),
        (
            "mirror pairs",
            "unknown: clips are never flipped" if mirror is None else "; ".join(pairs),
        ),
        ("depth", attributes["depth_polarity"]),
        ("colour", attributes["colour"]),
        ("alignment", _words(attributes["alignment"])),
        ("flow", f"{flow['algorithm']} from {flow['source']}" if flow else "none"),
        (
            "motion inside the centre crop",
            f"{motion_in_centre(reader):.0%} (224 of short side 256)",
        ),
        ("on disk", f"{reader.num_bytes() / 1e6:,.1f} MB in {reader.num_shards()} shards"),
    ]
    return summary + [("doubt", text) for text in attributes["assumptions"]]


def _words(facts: Mapping[str, Any]) -> str:
    """Return nested facts as text: names without underscores, inner facts in brackets."""
    parts = []
    for name, value in facts.items():
        text = f"({_words(value)})" if isinstance(value, Mapping) else str(value)
        parts.append(f"{name.replace('_', ' ')}: {text}")
    return "; ".join(parts)


def _folds(rule: str, splits: dict[str, int], num_subjects: int) -> str:
    if rule == "split":
        return "official: " + ", ".join(f"{count} {name}" for name, count in splits.items())
    return f"leave one out, {num_subjects}"


def motion_in_centre(reader: StoreReader) -> float:
    """Return the share of frame-to-frame change that the paper's test crop sees, 0..1.

    One clip of each class is read; where nothing moves the share is 0.

    Raises:
        StoreError: frames are damaged.
    """
    height, width = reader.frame_size
    side = min(height, width) * _CROP_SHARE
    top, left = round((height - side) / 2), round((width - side) / 2)
    inside = total = 0.0
    for index in _one_per_class(reader):
        frames = reader.read(index, "rgb").astype(np.int16)
        change = np.abs(np.diff(frames, axis=0)).sum(axis=(0, 3))
        total += float(change.sum())
        inside += float(change[top : top + round(side), left : left + round(side)].sum())
    return inside / total if total else 0.0


def contact_sheet(reader: StoreReader, path: Path) -> None:
    """Write a PNG: one row per class, eight moments of its first clip, every modality.

    Args:
        reader: the store.
        path: picture to write.

    Raises:
        StoreError: frames are damaged.
    """
    rows = [_sheet_head(reader), *(_sheet_row(reader, i) for i in _one_per_class(reader))]
    done, data = cv2.imencode(".png", np.concatenate(rows)[..., ::-1])
    if not done:
        raise MtutBenchError(f"cannot encode the picture {path}")
    write_atomic(path, data.tobytes())


def _one_per_class(reader: StoreReader) -> list[int]:
    first: dict[int, int] = {}
    for index, row in enumerate(reader.table.rows):
        first.setdefault(row.label, index)
    return [first[label] for label in sorted(first)]


def _sheet_head(reader: StoreReader) -> NDArray[np.uint8]:
    """Return a strip that names each panel."""
    height, width = reader.frame_size
    panel = _MOMENTS * round(width * _THUMB_HEIGHT / height) + _MARGIN
    head = np.full((_HEAD_HEIGHT, _LABEL_WIDTH + panel * len(reader.modalities), 3), 255, np.uint8)
    for number, modality in enumerate(reader.modalities):
        place = (_LABEL_WIDTH + number * panel, _HEAD_HEIGHT - 6)
        cv2.putText(head, modality, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, 16)
    return head


def _sheet_row(reader: StoreReader, index: int) -> NDArray[np.uint8]:
    row = reader.table.rows[index]
    height, width = reader.frame_size
    thumb = (round(width * _THUMB_HEIGHT / height), _THUMB_HEIGHT)
    moments = np.linspace(0, row.num_frames - 1, _MOMENTS).round().astype(int)
    label = np.full((_THUMB_HEIGHT, _LABEL_WIDTH, 3), 255, np.uint8)
    name = reader.attributes["classes"][row.label]
    for line, text in enumerate((name, row.clip_id, f"{row.num_frames} frames")):
        position = (4, 18 + 17 * line)
        cv2.putText(label, text[:36], position, cv2.FONT_HERSHEY_SIMPLEX, 0.36, (0, 0, 0), 1, 16)
    parts = [label]
    for modality in reader.modalities:
        pictures = _pictures(reader.read(index, modality)[moments], modality)
        parts += [cv2.resize(p, thumb, interpolation=cv2.INTER_AREA) for p in pictures]
        parts.append(np.full((_THUMB_HEIGHT, _MARGIN, 3), 255, np.uint8))
    strip = np.concatenate(parts, axis=1)
    return np.concatenate([strip, np.full((_MARGIN, strip.shape[1], 3), 255, np.uint8)])


def _pictures(frames_THWC: NDArray[np.uint8], modality: str) -> NDArray[np.uint8]:
    """Return RGB pictures: depth in grey; flow's direction as hue, its speed as brightness."""
    if modality == "rgb":
        return frames_THWC
    if modality == "depth":
        return np.repeat(frames_THWC, 3, axis=3)
    flow = decode_flow(frames_THWC)
    speed = np.hypot(flow[..., 0], flow[..., 1])
    angle = np.arctan2(flow[..., 1], flow[..., 0])
    scale = max(float(np.quantile(speed, 0.995)), 1.0)
    hsv = np.stack(
        [
            (angle + np.pi) * (179 / (2 * np.pi)),
            np.full_like(speed, 255),
            np.clip(speed / scale, 0, 1) * 255,
        ],
        axis=-1,
    ).astype(np.uint8)
    return np.stack([cv2.cvtColor(picture, cv2.COLOR_HSV2RGB) for picture in hsv])
