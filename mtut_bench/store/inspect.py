"""A store at a glance: a summary in words, contact sheets of its classes and of its users."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mtut_bench.contract.folds import natural_order
from mtut_bench.contract.types import behaves_like
from mtut_bench.errors import MtutBenchError, StoreError, UsageError
from mtut_bench.files import StrPath, read_json, write_atomic, write_json
from mtut_bench.progress import counted
from mtut_bench.store.data_card import store_facts
from mtut_bench.store.findings import Spread
from mtut_bench.store.format import decode_flow
from mtut_bench.store.reader import StoreReader

__all__ = [
    "SheetRow",
    "contact_sheet",
    "draw_sheet",
    "motion_in_centre",
    "summarise",
    "user_sheet",
    "write_person_table",
]

_NUM_SHOWN = 8
_THUMB_HEIGHT = 60
_MARGIN = 4
_HEAD_HEIGHT = 20
_LABEL_WIDTH = 230
_CROP_SHARE = 224 / 256
_USER_HEIGHT = 120
_USER_LABEL_WIDTH = 110
_CAPTION_HEIGHT = 16
_WHITE = (255, 255, 255)

SheetRow = tuple[tuple[str, ...], Mapping[str, NDArray[np.uint8]]]
"""Lines of the label, and frames (T, H, W, C) by modality."""


def summarise(reader: StoreReader) -> list[tuple[str, str]]:
    """Return (what, value) pairs that describe a store: its data card and what only frames tell.

    Raises:
        StoreError: the store is damaged.
    """
    attributes, rows = reader.attributes, reader.table.rows
    classes, mirror = attributes.classes, attributes.mirror
    pairs = [f"{classes[a]} / {classes[b]}" for a, b in enumerate(mirror or []) if a < b]
    labels = Counter(row.label for row in rows)
    splits = Counter(row.split for row in rows if row.split)
    shards = counted(reader.num_shards(), "shard")
    facts: dict[str, str] = {}
    for section in store_facts(reader).values():
        facts |= section
    facts |= {
        "clips per class": Spread.of(list(labels.values())).describe("clips"),
        "class names": "; ".join(classes),
        "mirror pairs": "unknown: clips are never flipped" if mirror is None else "; ".join(pairs),
        "motion inside the centre crop": f"{motion_in_centre(reader):.0%} (224 of short side 256)",
        "on disk": f"{reader.num_bytes() / 1e6:,.1f} MB in {shards}",
    }
    if splits:
        facts["split"] = ", ".join(f"{count} {name}" for name, count in splits.items())
    return [*facts.items(), *(("assumption", text) for text in attributes.assumptions)]


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
        frames = reader.read(index, reader.modalities[0]).astype(np.int16)
        change = np.abs(np.diff(frames, axis=0)).sum(axis=(0, 3))
        total += float(change.sum())
        inside += float(change[top : top + round(side), left : left + round(side)].sum())
    return inside / total if total else 0.0


def contact_sheet(reader: StoreReader, path: StrPath) -> None:
    """Write a PNG: one row per class, eight frames of its first clip, every modality.

    Args:
        reader: the store.
        path: picture to write.

    Raises:
        StoreError: frames are damaged.
    """
    rows = []
    for index in _one_per_class(reader):
        row = reader.table.rows[index]
        lines = (reader.attributes.classes[row.label], row.clip_id, f"{row.num_frames} frames")
        rows.append((lines, {m: reader.read(index, m) for m in reader.modalities}))
    draw_sheet(rows, path)


def draw_sheet(rows: Iterable[SheetRow], path: StrPath) -> None:
    """Write a PNG: eight frames of each row, modality beside modality.

    Args:
        rows: at least one; all of the same modalities and frame sizes.
        path: picture to write.
    """
    strips: list[NDArray[np.uint8]] = []
    for lines, frames in rows:
        if not strips:
            strips.append(_sheet_head(frames))
        strips.append(_sheet_row(lines, frames))
    _write_picture(np.concatenate(strips), Path(path))


def user_sheet(reader: StoreReader, path: StrPath) -> None:
    """Write a PNG to tell persons by: one row per user, the middle of eight of its clips.

    Args:
        reader: the store.
        path: picture to write.

    Raises:
        StoreError: frames are damaged.
    """
    unit, clips = _clips_by_user(reader)
    colours = [name for name in reader.modalities if behaves_like(name) == "rgb"]
    modality = (colours or reader.modalities)[0]
    rows = []
    for user, indices in clips.items():
        spread = np.linspace(0, len(indices) - 1, min(_NUM_SHOWN, len(indices))).round().astype(int)
        label = np.full((_USER_HEIGHT + _CAPTION_HEIGHT, _USER_LABEL_WIDTH, 3), 255, np.uint8)
        _write_text(label, f"{unit} {user}", (4, 50), 0.6)
        _write_text(label, counted(len(indices), "clip"), (4, 72), 0.45)
        panels = [label]
        panels += [_user_panel(reader, indices[i], modality) for i in spread]
        panels += [np.full_like(panels[-1], 255)] * (_NUM_SHOWN - len(spread))
        rows.append(np.concatenate(panels, axis=1))
    _write_picture(np.concatenate(rows), Path(path))


def write_person_table(reader: StoreReader, path: StrPath) -> None:
    """Write ``{"persons": {user: ""}}`` to be filled in; what else the file has is kept.

    Args:
        reader: the store.
        path: JSON file, such as ``viva.json`` in the raw folder.

    Raises:
        UsageError: the file names persons already, or the store names persons, not users.
        StoreError: the file is not a JSON object, or the clip table is damaged.
    """
    path = Path(path)
    unit, clips = _clips_by_user(reader)
    if unit != "user":
        raise UsageError(
            f"the store {reader.name} already has persons: no table to fill in",
            "Its folds already leave out these persons.",
        )
    table: dict[str, Any] = {
        "_persons": "Give users that are the same person the same name; the contact "
        "sheet of users shows them.",
        "persons": dict.fromkeys(clips, ""),
    }
    if path.exists():
        hint = "Move it, or fill it in by hand."
        known = read_json(path, StoreError, hint)
        persons = known.get("persons") or {} if isinstance(known, dict) else None
        if not isinstance(persons, dict):
            raise StoreError(f"{path} is not a JSON object with a table 'persons'", hint)
        if any(persons.values()):
            raise UsageError(f"{path} already has persons; it is unchanged", hint)
        table |= {**known, "persons": persons | table["persons"]}
    write_json(path, table)


def _clips_by_user(reader: StoreReader) -> tuple[str, dict[str, list[int]]]:
    """Return ('user' or the store's own unit, clips of each user): users as the recordings say."""
    users = [json.loads(text).get("user") for text in reader.sources()]
    known = all(users)
    clips: defaultdict[str, list[int]] = defaultdict(list)
    for index, (user, row) in enumerate(zip(users, reader.table.rows, strict=True)):
        clips[str(user) if known else row.subject].append(index)
    unit = "user" if known else reader.attributes.subject_unit
    return unit, {user: clips[user] for user in sorted(clips, key=natural_order)}


def _user_panel(reader: StoreReader, index: int, modality: str) -> NDArray[np.uint8]:
    """Return the middle frame of a clip with the clip's id below it."""
    row = reader.table.rows[index]
    height, width = reader.frame_size
    middle = row.num_frames // 2
    (frame,) = _pictures(reader.read(index, modality, middle, middle + 1), modality)
    size = (round(width * _USER_HEIGHT / height), _USER_HEIGHT)
    way = cv2.INTER_AREA if height > _USER_HEIGHT else cv2.INTER_LINEAR
    picture = cv2.resize(frame, size, interpolation=way)
    panel = cv2.copyMakeBorder(
        picture, 0, _CAPTION_HEIGHT, 0, _MARGIN, cv2.BORDER_CONSTANT, value=_WHITE
    )
    _write_text(panel, row.clip_id[-36:], (2, _USER_HEIGHT + 12), 0.36)
    return np.asarray(panel, np.uint8)


def _write_text(picture: NDArray[np.uint8], text: str, place: tuple[int, int], size: float) -> None:
    cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, (0, 0, 0), 1, 16)


def _write_picture(rgb: NDArray[np.uint8], path: Path) -> None:
    done, data = cv2.imencode(".png", rgb[..., ::-1])
    if not done:
        raise MtutBenchError(f"cannot encode the image {path}")
    write_atomic(path, data.tobytes())


def _one_per_class(reader: StoreReader) -> list[int]:
    """Return the index of the first clip of each class."""
    _, first = np.unique([row.label for row in reader.table.rows], return_index=True)
    return first.tolist()


def _thumb_width(frames_THWC: NDArray[np.uint8]) -> int:
    return round(frames_THWC.shape[2] * _THUMB_HEIGHT / frames_THWC.shape[1])


def _sheet_head(frames: Mapping[str, NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Return a strip that names each panel."""
    panels = [_NUM_SHOWN * _thumb_width(frames_THWC) + _MARGIN for frames_THWC in frames.values()]
    head = np.full((_HEAD_HEIGHT, _LABEL_WIDTH + sum(panels), 3), 255, np.uint8)
    for number, modality in enumerate(frames):
        place = (_LABEL_WIDTH + sum(panels[:number]), _HEAD_HEIGHT - 6)
        _write_text(head, modality, place, 0.45)
    return head


def _sheet_row(
    lines: tuple[str, ...], frames: Mapping[str, NDArray[np.uint8]]
) -> NDArray[np.uint8]:
    label = np.full((_THUMB_HEIGHT, _LABEL_WIDTH, 3), 255, np.uint8)
    for line, text in enumerate(lines):
        _write_text(label, text[:36], (4, 18 + 17 * line), 0.36)
    parts = [label]
    for modality, frames_THWC in frames.items():
        thumb = (_thumb_width(frames_THWC), _THUMB_HEIGHT)
        shown = np.linspace(0, len(frames_THWC) - 1, _NUM_SHOWN).round().astype(int)
        pictures = _pictures(frames_THWC[shown], modality)
        parts += [cv2.resize(p, thumb, interpolation=cv2.INTER_AREA) for p in pictures]
        parts.append(np.full((_THUMB_HEIGHT, _MARGIN, 3), 255, np.uint8))
    strip = np.concatenate(parts, axis=1)
    return np.concatenate([strip, np.full((_MARGIN, strip.shape[1], 3), 255, np.uint8)])


def _pictures(frames_THWC: NDArray[np.uint8], modality: str) -> NDArray[np.uint8]:
    """Return RGB pictures: depth in grey; flow's direction as hue, its speed as brightness."""
    if behaves_like(modality) == "rgb":
        return frames_THWC
    if behaves_like(modality) == "depth":
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
