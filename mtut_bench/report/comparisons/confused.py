"""The test clips that networks get wrong most often, with a few of their frames.

Axes: N clip, K class, T time (frames), H height, W width, C channel.
"""

import base64
import hashlib
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mtut_bench.contract.predictions import fuse
from mtut_bench.contract.types import behaves_like
from mtut_bench.errors import StoreError
from mtut_bench.files import StrPath, canonical_json
from mtut_bench.progress import counted
from mtut_bench.runs.finished import FinishedRun
from mtut_bench.statistics import comparable
from mtut_bench.statistics.rows import run_facts
from mtut_bench.store.format import decode_flow
from mtut_bench.store.reader import StoreReader

__all__ = ["ConfusedClip", "ConfusedGroup", "most_confused"]

_NUM_CLIPS = 8
_NUM_FRAMES = 6
_THUMB_HEIGHT_PX = 96
_JPEG_QUALITY = 80


@dataclass(frozen=True)
class ConfusedClip:
    """One clip and what networks took it for.

    Attributes:
        clip_id: of the clip.
        label: name of its class.
        subject: who is seen.
        num_frames: length of the clip.
        num_wrong: networks whose highest score is another class.
        num_networks: networks that were tested on it.
        taken_for: (class, number of networks), most often first; wrong ones only.
        thumbnails: JPEG data URIs, evenly spread over the clip; empty without the store.
    """

    clip_id: str
    label: str
    subject: str
    num_frames: int
    num_wrong: int
    num_networks: int
    taken_for: tuple[tuple[str, int], ...]
    thumbnails: tuple[str, ...] = ()


@dataclass(frozen=True)
class ConfusedGroup:
    """The most confused clips of one store under one protocol.

    Attributes:
        heading: store, kind of recordings and protocol.
        summary: a sentence on how many networks were tested and how many clips all get wrong.
        note: where thumbnails come from, or why there are none.
        subject_unit: what a subject is, 'person' or 'user'.
        clips: most often wrong first; empty where no clip is ever wrong.
    """

    heading: str
    summary: str
    note: str
    subject_unit: str
    clips: tuple[ConfusedClip, ...]


@dataclass
class _Tally:
    """What all networks predicted for one clip."""

    label: int
    subject: str
    num_frames: int
    predicted: Counter[int] = field(default_factory=Counter)
    margin: float = 0.0

    @property
    def num_networks(self) -> int:
        return self.predicted.total()

    @property
    def num_wrong(self) -> int:
        return self.num_networks - self.predicted[self.label]

    def rank(self) -> tuple[float, int, float]:
        """Return a sort key: share wrong, then number, then how sure the networks were."""
        share = self.num_wrong / self.num_networks
        return -share, -self.num_wrong, -self.margin / self.num_networks


def most_confused(runs: Iterable[FinishedRun], stores: StrPath | None) -> list[ConfusedGroup]:
    """Return, for each store and protocol, the eight test clips that are wrong most often.

    Every network of every run counts, for the clips of its fold: methods, seeds and modalities, but
    no fusions, which only repeat their networks. Networks with equal scores on equal clips are one
    network (I3D's RGB network in runs of several modality sets). Of clips that are wrong equally
    often, those come first whose wrong class the networks were surest of.

    Args:
        runs: finished runs, grouped by the conditions of :data:`comparable.NEEDED`.
        stores: folder of stores, for the thumbnails; None where there is none.

    Raises:
        RunError: a manifest without a field; names it and the hint.
    """
    folder = None if stores is None else Path(stores)
    groups: dict[tuple[str, ...], list[FinishedRun]] = defaultdict(list)
    for run in runs:
        groups[comparable.key(run_facts(run), "clips")].append(run)
    return [_group(groups[key], folder) for key in sorted(groups)]


def _group(runs: Sequence[FinishedRun], stores: Path | None) -> ConfusedGroup:
    record, store = runs[0].record, runs[0].record.store
    tallies, num_networks = _tally(runs)
    wrong = [clip_id for clip_id, tally in tallies.items() if tally.num_wrong]
    wrong.sort(key=lambda clip_id: (*tallies[clip_id].rank(), clip_id))
    clips = [_clip(clip_id, tallies[clip_id], store.classes) for clip_id in wrong[:_NUM_CLIPS]]
    clips, note = _with_thumbnails(clips, runs[0], stores)
    changed = ", ".join(sorted(record.identity.overrides))
    protocol = record.protocol.name + (f" with {changed} changed" if changed else "")
    return ConfusedGroup(
        heading=f"{store.name} ({store.origin} recordings), protocol {protocol}",
        summary=_summary(tallies, num_networks),
        note=note,
        subject_unit=store.subject_unit,
        clips=tuple(clips),
    )


def _tally(runs: Sequence[FinishedRun]) -> tuple[dict[str, _Tally], int]:
    """Return what was predicted for each clip, and the number of networks in all."""
    tallies: dict[str, _Tally] = {}
    seen: set[bytes] = set()
    for run in runs:
        scores = run.scores
        ids = canonical_json(list(scores.clip_ids)).encode()
        for modality, scores_NK in zip(scores.modalities, scores.scores_MNK, strict=True):
            network = hashlib.sha256(ids + scores_NK.tobytes()).digest()
            if network not in seen:
                seen.add(network)
                # In float64, as the tables' single modalities: equal scores break ties alike.
                _count_network(tallies, run, fuse(scores, [modality]))
    return tallies, len(seen)


def _count_network(
    tallies: dict[str, _Tally], run: FinishedRun, scores_NK: NDArray[np.float64]
) -> None:
    predicted_N, labels_N = scores_NK.argmax(axis=1).tolist(), run.scores.labels_N.tolist()
    for n, (clip_id, label, predicted) in enumerate(
        zip(run.scores.clip_ids, labels_N, predicted_N, strict=True)
    ):
        new = _Tally(label, run.subjects[n], run.num_frames[n])
        tally = tallies.setdefault(clip_id, new)
        tally.predicted[predicted] += 1
        # Margins of several methods have no common unit.
        if run.scores.can_be_fused:
            tally.margin += float(scores_NK[n, predicted] - scores_NK[n, label])


def _clip(clip_id: str, tally: _Tally, classes: Sequence[str]) -> ConfusedClip:
    wrong = [(k, count) for k, count in tally.predicted.items() if k != tally.label]
    wrong.sort(key=lambda item: (-item[1], item[0]))
    return ConfusedClip(
        clip_id=clip_id,
        label=classes[tally.label],
        subject=tally.subject,
        num_frames=tally.num_frames,
        num_wrong=tally.num_wrong,
        num_networks=tally.num_networks,
        taken_for=tuple((classes[k], count) for k, count in wrong),
    )


def _summary(tallies: dict[str, _Tally], num_networks: int) -> str:
    always = sum(tally.num_wrong == tally.num_networks for tally in tallies.values())
    never = sum(tally.num_wrong == 0 for tally in tallies.values())
    many = " So many suggest a problem of the networks, not the "
    "clips." if 2 * always > len(tallies) else ""
    return (
        f"{counted(num_networks, 'network')} (methods, folds, seeds, modalities) on "
        f"{counted(len(tallies), 'test clip')}. Wrong in every network that saw them: {always:,}; "
        f"right in every one: {never:,}.{many}"
    )


def _with_thumbnails(
    clips: list[ConfusedClip], run: FinishedRun, stores: Path | None
) -> tuple[list[ConfusedClip], str]:
    """Return the clips with frames where the store is the one of the runs, and a note on it."""
    name = run.record.store.name
    path = stores / f"{name}.zarr" if stores else None
    if not clips:
        return [], "No clip was ever misclassified."
    if path is None or not path.is_dir():
        return clips, f"No thumbnails: store {name} not found."
    try:
        reader = StoreReader(path)
        if reader.attributes.digest != run.record.store.digest:
            return clips, f"No thumbnails: the store {name} has changed since these runs."
        # A lost shard would be read as black frames.
        reader.check_files()
        rgb = [name for name in reader.modalities if behaves_like(name) == "rgb"]
        modality = (rgb or reader.modalities)[0]
        shown = [
            replace(clip, thumbnails=tuple(_thumbnails(reader, clip.clip_id, modality)))
            for clip in clips
        ]
    except StoreError:
        verify = f"mtut-bench verify --store {shlex.quote(name)}"
        return clips, f"No thumbnails: the store {name} cannot be read; `{verify}` says why."
    return shown, f"Frames: {modality}, evenly spread over each clip."


def _thumbnails(reader: StoreReader, clip_id: str, modality: str) -> Iterator[str]:
    if clip_id not in reader.table.index:
        return
    frames_THWC = reader.read(reader.table.index[clip_id], modality)
    length = len(frames_THWC)
    chosen = np.linspace(0, length - 1, min(_NUM_FRAMES, length)).round().astype(int)
    for frame_HWC in _grey_or_rgb(frames_THWC[chosen], modality):
        height, width = frame_HWC.shape[:2]
        size = (max(1, round(width * _THUMB_HEIGHT_PX / height)), _THUMB_HEIGHT_PX)
        shrink = cv2.INTER_AREA if height > _THUMB_HEIGHT_PX else cv2.INTER_CUBIC
        yield _jpeg(cv2.resize(frame_HWC, size, interpolation=shrink))


def _grey_or_rgb(frames_THWC: NDArray[np.uint8], modality: str) -> NDArray[np.uint8]:
    """Return pictures of one or three channels: of a flow its speed, the fastest white."""
    if behaves_like(modality) != "flow":
        return frames_THWC
    flow = decode_flow(frames_THWC)
    speed = np.hypot(flow[..., :1], flow[..., 1:])
    return (speed * (255.0 / max(float(speed.max()), 1.0))).astype(np.uint8)


def _jpeg(picture: NDArray[np.uint8]) -> str:
    """Return an RGB or grey picture as a data URI."""
    colour = picture.ndim == 3 and picture.shape[2] == 3
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR) if colour else picture
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.tobytes()).decode()}"
