"""Raw dataset -> store: decode, resize, flow, write; parallel, resumable, same bytes every time.

The unit of work is the store's unit (whole shards), so each worker decodes, compresses and writes
on its own. A clip's frames depend on its files alone, and its place on the plan alone.
"""

import platform
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import av
import cv2
import numpy as np
import zarr
from numpy.typing import NDArray

from mtut_bench import __version__
from mtut_bench.errors import ClipError, DatasetError, StoreError
from mtut_bench.files import canonical_json
from mtut_bench.store import Layout, StorePlan, Unit, layout_clips, stored_size
from mtut_bench.store_reader import StoreReader
from mtut_bench.store_writer import StoreWriter, write_unit
from mtut_bench.types import CHANNELS
from mtut_preprocess.adapter import DatasetFacts, RawClip, RawDataset
from mtut_preprocess.decode import frame_size, read_frames
from mtut_preprocess.flow import farneback_flow, flow_attributes
from mtut_preprocess.pool import run_parallel
from mtut_preprocess.resize import resize_frames

__all__ = ["Preparation", "describe_plan", "plan_store", "prepare", "read_clip"]

Progress = Callable[[int, int], None]

_LISTED_FAULTS = 10

_PACKED_SHARE = {"rgb": 0.42, "depth": 0.06, "flow": 0.12}
"""Size of zstd frames over raw ones, measured on real recordings; for the forecast alone."""


@dataclass(frozen=True)
class Preparation:
    """What prepare did.

    Attributes:
        path: the store.
        digest: its content digest.
        num_clips: clips in it.
        new: False where the store was there already.
        notes: what was found and assumed, one sentence each.
    """

    path: Path
    digest: str
    num_clips: int
    new: bool
    notes: tuple[str, ...] = ()


def plan_store(dataset: RawDataset) -> tuple[DatasetFacts, list[RawClip], StorePlan]:
    """Return the facts, the clips and the plan of a raw dataset's store; decodes nothing.

    Raises:
        DatasetError: the dataset is malformed or files are missing (all are counted, some named).
    """
    facts, clips = dataset.read()
    missing = [s.path for c in clips for s in c.sources.values() if not s.path.is_file()]
    if missing:
        named = "".join(f"\n  {path}" for path in missing[:_LISTED_FAULTS])
        hint = "" if len(missing) <= _LISTED_FAULTS else "\n  ..."
        raise DatasetError(
            f"{len(missing)} of {2 * len(clips)} video files are missing in {dataset.root}:{named}"
            f"{hint}",
            "Copy them from the dataset. NVGesture without sk_color.avi can be prepared with"
            " --colour sk_wrapped.",
        )
    height, width = stored_size(*_first_frame_size(clips))
    plan = StorePlan(
        rows=tuple(clip.row for clip in clips),
        sources=tuple(canonical_json(dict(clip.origin)) for clip in clips),
        modalities=facts.modalities,
        height=height,
        width=width,
        attributes=_attributes(facts, len(clips)),
    )
    return facts, clips, plan


def _first_frame_size(clips: Sequence[RawClip]) -> tuple[int, int]:
    """Return the (height, width) of the first readable file: one bad file does not stop the rest.

    Raises:
        ClipError: none is readable; that of the first.
    """
    first: ClipError | None = None
    for source in (source for clip in clips for source in clip.sources.values()):
        try:
            return frame_size(source.path)
        except ClipError as error:
            first = first or error
    raise first or ClipError("the dataset has no clip", "Restore the dataset's lists.")


def describe_plan(
    facts: DatasetFacts, clips: Sequence[RawClip], plan: StorePlan, path: Path
) -> list[str]:
    """Return what prepare would do, one line each: clips, frames, bytes, free space.

    Args:
        facts: of the dataset.
        clips: of the dataset.
        plan: of the store.
        path: where the store would be.
    """
    frames = sum(row.num_frames for row in plan.rows)
    pixels = frames * plan.height * plan.width
    raw = {m: pixels * CHANNELS[m] for m in plan.modalities}
    packed = sum(raw[m] * _PACKED_SHARE[m] for m in plan.modalities)
    folder = path.parent
    while not folder.exists():
        folder = folder.parent
    return [
        f"{facts.dataset}, {facts.origin}: {len(clips):,} of {facts.expected_clips:,} clips,"
        f" {frames:,} frames of {plan.width}x{plan.height}, {'+'.join(plan.modalities)}",
        f"{path}: up to about {packed / 1e9:.2f} GB ({sum(raw.values()) / 1e9:.2f} GB unpacked),"
        f" {shutil.disk_usage(folder).free / 1e9:.1f} GB free there",
        *_describe_existing(path, plan),
        *(f"note: {text}" for text in (*facts.notes, *facts.assumptions)),
    ]


def _describe_existing(path: Path, plan: StorePlan) -> list[str]:
    """Return what prepare would make of a store that is there already."""
    if not path.exists():
        return []
    if StoreReader(path).attributes["plan"] == plan.fingerprint():
        return [f"{path} is this store already: nothing to do"]
    return [f"{path} exists and was made from other recordings or settings: needs --overwrite"]


def _attributes(facts: DatasetFacts, num_clips: int) -> dict[str, object]:
    return {
        "dataset": facts.dataset,
        "origin": facts.origin,
        "complete": num_clips == facts.expected_clips,
        "expected_clips": facts.expected_clips,
        "classes": list(facts.class_names),
        "mirror": None if facts.mirror is None else list(facts.mirror),
        "fold_rule": facts.fold_rule,
        "subject_unit": facts.subject_unit,
        "fps": facts.fps,
        "depth_polarity": facts.depth_polarity,
        "flow": flow_attributes(facts.colour) if "flow" in facts.modalities else None,
        "colour": facts.colour,
        "alignment": dict(facts.alignment),
        "assumptions": list(facts.assumptions),
    }


def prepare(
    dataset: RawDataset,
    path: Path,
    *,
    workers: int = 1,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Preparation:
    """Make the store of a raw dataset, or finish one that was interrupted.

    Args:
        dataset: adapter of the raw folder.
        path: the store, ``.../<name>.zarr``; never seen half-written.
        workers: processes; changes no byte of the frames.
        overwrite: make the store anew in place of one that is there, whatever its state; a
            preparation of the same plan that was interrupted is still taken up.
        progress: called with (clips done, clips in all).

    Raises:
        DatasetError: the raw folder is missing or malformed.
        ClipError: recordings cannot be read; names them. The rest is kept for the next call.
        StoreError: another or a damaged store of this name is in the way, or it cannot be written
            (a full disk, for instance).
        BusyError: another process prepares this store.
    """
    facts, clips, plan = plan_store(dataset)
    notes = (*facts.notes, *facts.assumptions)
    writer = StoreWriter(path, plan)
    with writer.lock():
        if path.exists() and not overwrite:
            reader = StoreReader(path)
            if reader.attributes["plan"] != plan.fingerprint():
                raise StoreError(
                    f"{path} exists and was made from other recordings or settings",
                    "Give --overwrite to replace it, or another name with --store.",
                )
            reader.check_files()
            return Preparation(path, reader.attributes["digest"], len(clips), False, notes)
        try:
            writer.begin(restart=overwrite)
            _write_pending(writer, clips, workers, progress)
            digest = writer.finish(_versions())
        except OSError as error:
            raise StoreError(
                f"cannot write {writer.partial}: {error.strerror or error}",
                "Free some space or choose a folder that you may write to; what is finished is"
                " kept, and the same command takes it up again.",
            ) from error
    return Preparation(path, digest, len(clips), True, notes)


def _write_pending(
    writer: StoreWriter, clips: Sequence[RawClip], workers: int, progress: Progress | None
) -> None:
    pending = writer.pending()
    done = len(clips) - sum(unit.last_clip - unit.first_clip for unit in pending)
    if progress:
        progress(done, len(clips))
    convert = partial(_convert_unit, writer.partial, writer.plan)
    tasks = [(unit, tuple(clips[unit.first_clip : unit.last_clip])) for unit in pending]
    faults: list[str] = []
    with closing(run_parallel(convert, tasks, workers)) as results:
        for (unit, _), unit_faults in results:
            faults += unit_faults
            done += unit.last_clip - unit.first_clip
            if progress:
                progress(done, len(clips))
    if faults:
        named = "".join(f"\n  {fault}" for fault in faults[:_LISTED_FAULTS])
        raise ClipError(
            f"{len(faults)} of {len(clips)} clips cannot be read:{named}",
            "Copy these files again and run the same command: the rest is done and kept.",
        )


def _convert_unit(
    folder: Path, plan: StorePlan, task: tuple[Unit, tuple[RawClip, ...]]
) -> list[str]:
    """Write one unit; return a sentence per clip that cannot be read (then nothing is written)."""
    # One process per core: OpenCV's own threads give Farneback nothing.
    cv2.setNumThreads(1)
    unit, clips = task
    layout: Layout = layout_clips([row.num_frames for row in plan.rows])
    frames: dict[int, Mapping[str, NDArray[np.uint8]]] = {}
    faults: list[str] = []
    for index, clip in zip(range(unit.first_clip, unit.last_clip), clips, strict=True):
        try:
            frames[index] = read_clip(clip, plan)
        except ClipError as error:
            faults.append(error.what)
    if not faults:
        write_unit(folder, plan, layout, unit, frames)
    return faults


def read_clip(clip: RawClip, plan: StorePlan) -> dict[str, NDArray[np.uint8]]:
    """Return a clip's frames as the store keeps them.

    Returns:
        uint8 (T, H, W, C) per modality of the plan.

    Raises:
        ClipError: a file is unreadable, too short or of another shape than the first clip's.
    """
    frames: dict[str, NDArray[np.uint8]] = {}
    for modality, source in clip.sources.items():
        native = read_frames(source)
        if stored_size(*native.shape[1:3]) != (plan.height, plan.width):
            raise ClipError(
                f"{source.path} has frames of {native.shape[2]}x{native.shape[1]}; the store's are"
                f" {plan.width}x{plan.height}"
            )
        if native.shape[3] != CHANNELS[modality]:
            raise ClipError(f"{source.path} has {native.shape[3]} channels")
        frames[modality] = resize_frames(native, plan.height, plan.width)
    if "flow" in plan.modalities:
        frames["flow"] = farneback_flow(frames["rgb"])
    return frames


def _versions() -> dict[str, str]:
    return {
        "mtut-bench": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "zarr": zarr.__version__,
        "numcodecs": version("numcodecs"),
        "av": av.__version__,
        "ffmpeg": str(av.ffmpeg_version_info),
        "opencv": cv2.__version__,
    }
