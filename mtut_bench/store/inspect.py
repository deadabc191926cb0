"""Look at a store: a summary in words, contact sheets of its classes and of its users."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mtut_bench.contract.folds import natural_order
from mtut_bench.contract.types import behaves_like, name_recordings
from mtut_bench.errors import MtutBenchError, StoreError, UsageError
from mtut_bench.files import StrPath, read_json, write_atomic, write_json
from mtut_bench.progress import counted
from mtut_bench.store.findings import Spread
from mtut_bench.store.format import decode_flow
from mtut_bench.store.reader import StoreReader

__all__ = [
    "SheetRow",
    "contact_sheet",
    "draw_sheet",
    "motion_in_centre",
    "person_table",
    "summarise",
    "user_sheet",
    "write_person_table",
]

_MOMENTS = 8
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

_PERSONS_REMARK = "Give all users that are one person one name; the sheet of users shows them."


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
    state = "complete" if attributes.complete else "partial"
    mirror = attributes.mirror
    shards = counted(reader.num_shards(), "shard")
    pairs = [
        f"{attributes.classes[a]} / {attributes.classes[b]}"
        for a, b in enumerate(mirror or [])
        if a < b
    ]
    flows = [
        f"{name} by {flow['algorithm']} from {flow['source']}"
        for name, flow in attributes.flow.items()
    ]
    summary = [
        (
            "dataset",
            f"{attributes.dataset}, {name_recordings(attributes.origin)}, {state}",
        ),
        ("clips", f"{len(rows):,} of {attributes.expected_clips:,}"),
        ("digest", attributes.digest),
        ("modalities", ", ".join(reader.modalities)),
        ("frames", f"{width}x{height}, {attributes.fps:g} per second"),
        (
            "frames per clip",
            Spread.of(lengths).describe("frames"),
        ),
        (
            "classes",
            f"{len(attributes.classes)}, {len(labels)} with clips,"
            f" {_each(list(labels.values()), 'clip')}",
        ),
        ("class names", "; ".join(attributes.classes)),
        (f"{attributes.subject_unit}s", str(len(subjects))),
        ("folds", _folds(attributes.fold_rule, dict(splits), len(subjects))),
        (
            "mirror pairs",
            "unknown: clips are never flipped" if mirror is None else "; ".join(pairs),
        ),
        ("depth", attributes.depth_polarity),
        ("colour", attributes.colour),
        ("alignment", _words(attributes.alignment)),
        ("optical flow", ", ".join(flows) or "none"),
        (
            "motion inside the centre crop",
            f"{motion_in_centre(reader):.0%} (224 of short side 256)",
        ),
        ("on disk", f"{reader.num_bytes() / 1e6:,.1f} MB in {shards}"),
    ]
    return summary + [("doubt", text) for text in attributes.assumptions]


def _each(counts: Sequence[int], noun: str) -> str:
    """Return '2 clips each' or '1 to 3 clips each'."""
    low, high = min(counts), max(counts)
    return f"{'' if low == high else f'{low:,} to '}{counted(high, noun)} each"


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
        frames = reader.read(index, reader.modalities[0]).astype(np.int16)
        change = np.abs(np.diff(frames, axis=0)).sum(axis=(0, 3))
        total += float(change.sum())
        inside += float(change[top : top + round(side), left : left + round(side)].sum())
    return inside / total if total else 0.0


def contact_sheet(reader: StoreReader, path: StrPath) -> None:
    """Write a PNG: one row per class, eight moments of its first clip, every modality.

    Args:
        reader: the store.
        path: picture to write.

    Raises:
        StoreError: frames are damaged.
    """
    draw_sheet(_sheet_rows(reader), path)


def draw_sheet(rows: Iterable[SheetRow], path: StrPath) -> None:
    """Write a PNG: eight moments of each row, modality beside modality.

    Args:
        rows: at least one; all of the same modalities and frame sizes.
        path: picture to write.
    """
    path = Path(path)
    strips: list[NDArray[np.uint8]] = []
    for lines, frames in rows:
        if not strips:
            strips.append(_sheet_head(frames))
        strips.append(_sheet_row(lines, frames))
    _write_picture(np.concatenate(strips), path)


def user_sheet(reader: StoreReader, path: StrPath) -> None:
    """Write a PNG to tell persons by: one row per user, the middle of eight of its clips.

    Args:
        reader: the store.
        path: picture to write.

    Raises:
        StoreError: frames are damaged.
    """
    path = Path(path)
    unit, clips = _clips_by_user(reader)
    colours = [name for name in reader.modalities if behaves_like(name) == "rgb"]
    modality = (colours or reader.modalities)[0]
    rows = []
    for user, indices in clips.items():
        spread = np.linspace(0, len(indices) - 1, min(_MOMENTS, len(indices))).round().astype(int)
        panels = [_user_label(f"{unit} {user}", len(indices))]
        panels += [_user_panel(reader, indices[i], modality) for i in spread]
        panels += [np.full_like(panels[1], 255)] * (_MOMENTS - len(spread))
        rows.append(np.concatenate(panels, axis=1))
    _write_picture(np.concatenate(rows), path)


def person_table(reader: StoreReader) -> dict[str, dict[str, str]]:
    """Return ``{"persons": {user: ""}}`` with every user of a store, to be filled in.

    Raises:
        UsageError: the store has no users, only persons.
        StoreError: the clip table is damaged.
    """
    unit, clips = _clips_by_user(reader)
    if unit != "user":
        raise UsageError(
            f"the store {reader.name} names persons, so there is no table of them to fill in",
            "Its folds leave out these persons already; nothing is missing.",
        )
    return {"persons": dict.fromkeys(clips, "")}


def write_person_table(reader: StoreReader, path: StrPath) -> None:
    """Write the table of persons to fill in; other settings that the file has are kept.

    Args:
        reader: the store.
        path: JSON file, such as ``viva.json`` in the raw folder.

    Raises:
        UsageError: the file names persons already, or the store has none to name.
        StoreError: the file is no JSON object.
    """
    path = Path(path)
    table: dict[str, Any] = {"_persons": _PERSONS_REMARK, **person_table(reader)}
    if path.exists():
        hint = "Move it away, or fill it in by hand."
        own = read_json(path, StoreError, hint)
        if not isinstance(own, dict) or not isinstance(own.get("persons") or {}, dict):
            raise StoreError(f"{path} holds no JSON object with a table 'persons'", hint)
        persons = own.get("persons") or {}
        if any(persons.values()):
            raise UsageError(f"{path} names persons already; it is left as it is", hint)
        table = {**table, **own, "persons": persons | table["persons"]}
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


def _user_label(name: str, num_clips: int) -> NDArray[np.uint8]:
    label = np.full((_USER_HEIGHT + _CAPTION_HEIGHT, _USER_LABEL_WIDTH, 3), 255, np.uint8)
    clips = counted(num_clips, "clip")
    for line, (text, size) in enumerate(((name, 0.6), (clips, 0.45))):
        _write_text(label, text, (4, 50 + 22 * line), size)
    return label


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
        raise MtutBenchError(f"cannot encode the picture {path}")
    write_atomic(path, data.tobytes())


def _one_per_class(reader: StoreReader) -> list[int]:
    first: dict[int, int] = {}
    for index, row in enumerate(reader.table.rows):
        first.setdefault(row.label, index)
    return [first[label] for label in sorted(first)]


def _sheet_rows(reader: StoreReader) -> Iterator[SheetRow]:
    """Yield the first clip of each class."""
    for index in _one_per_class(reader):
        row = reader.table.rows[index]
        name = reader.attributes.classes[row.label]
        frames = {modality: reader.read(index, modality) for modality in reader.modalities}
        yield (name, row.clip_id, f"{row.num_frames} frames"), frames


def _thumb_width(frames_THWC: NDArray[np.uint8]) -> int:
    return round(frames_THWC.shape[2] * _THUMB_HEIGHT / frames_THWC.shape[1])


def _sheet_head(frames: Mapping[str, NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Return a strip that names each panel."""
    panels = [_MOMENTS * _thumb_width(frames_THWC) + _MARGIN for frames_THWC in frames.values()]
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
        moments = np.linspace(0, len(frames_THWC) - 1, _MOMENTS).round().astype(int)
        pictures = _pictures(frames_THWC[moments], modality)
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
