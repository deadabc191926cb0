"""Raw dataset -> store: decode, resize, flow, write; parallel, resumable, same bytes every time.

The unit of work is the store's unit (whole shards), so each worker decodes, compresses and writes
on its own. A clip's frames depend on its files alone, and its place on the plan alone. A clip that
cannot be read is skipped with its reason; the rest goes on, and a later call tries only those.
"""

import json
import os
import platform
from collections.abc import Callable, Iterator, Sequence
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
from mtut_bench.errors import ClipError, StoreError
from mtut_bench.files import StrPath
from mtut_bench.store.format import Geometry, StorePlan, Unit
from mtut_bench.store.reader import StoreReader
from mtut_bench.store.writer import Frames, StoreWriter, write_unit
from mtut_preprocess.convert.pool import run_parallel
from mtut_preprocess.convert.survey import Survey
from mtut_preprocess.datasets.adapter import RawClip
from mtut_preprocess.derive.flow import FlowAlgorithm
from mtut_preprocess.derive.resize import check_shape, resize_frame
from mtut_preprocess.reading.frames import COPY_HINT

__all__ = ["Preparation", "prepare", "read_clip"]

Progress = Callable[[int, int], None]

_LISTED_FAULTS = 10


@dataclass(frozen=True)
class Preparation:
    """What prepare did.

    Attributes:
        path: the store.
        digest: its content digest.
        num_clips: clips in it.
        new: False where the store was there already.
        skipped: (clip id, reason) of clips that could not be read and are not in it.
    """

    path: Path
    digest: str
    num_clips: int
    new: bool
    skipped: tuple[tuple[str, str], ...] = ()


def prepare(
    survey: Survey,
    path: StrPath,
    *,
    workers: int = 1,
    overwrite: bool = False,
    skip_unreadable: bool = False,
    progress: Progress | None = None,
) -> Preparation:
    """Make the store of a raw dataset, or finish one that was interrupted.

    Args:
        survey: of the dataset.
        path: the store, ``.../<name>.zarr``; never seen half-written.
        workers: processes; changes no byte of the frames.
        overwrite: prepare the store again in place of one that is there, whatever its state; a
            preparation of the same plan that was interrupted is still resumed.
        skip_unreadable: finish the store without the clips that cannot be read.
        progress: called with (clips done, clips in all).

    Raises:
        DatasetError: half the clips or more lack files.
        ClipError: recordings cannot be read; names them. The rest is kept for the next call.
        StoreError: another or a damaged store of this name is in the way, or it cannot be written
            (a full disk, for instance).
        BusyError: another process prepares this store.
    """
    path = Path(path)
    plan = survey.plan()
    signatures = survey.file_signatures()
    writer = StoreWriter(path, plan, signatures)
    with writer.lock():
        if path.exists() and not overwrite:
            return _existing(path, plan, signatures)
        writer.begin(restart=overwrite)
        _write_pending(writer, survey, signatures, workers, progress)
        skipped = writer.skipped()
        if skipped and not skip_unreadable:
            raise _unreadable(list(skipped.values()), len(survey.clips))
        digest = writer.finish(_versions(), hide=f"{survey.root}{os.sep}")
    reasons = tuple((plan.rows[index].clip_id, text) for index, text in skipped.items())
    return Preparation(path, digest, len(plan.rows) - len(skipped), True, reasons)


def _existing(path: Path, plan: StorePlan, signatures: Sequence[str]) -> Preparation:
    reader = StoreReader(path)
    attributes = reader.attributes
    if attributes.plan != plan.fingerprint():
        raise StoreError(
            f"{path} exists and was made from other recordings or settings",
            "Give --overwrite to replace it, or another name with --store.",
        )
    reader.check_files()
    now = dict(zip((row.clip_id for row in plan.rows), signatures, strict=True))
    for row, source in zip(reader.table.rows, reader.sources(), strict=True):
        then = json.loads(source).get("bytes")
        if then and then != now[row.clip_id]:
            raise StoreError(
                f"{path} was made from other files of {row.clip_id}: then {then} bytes, now"
                f" {now[row.clip_id]}",
                "Give --overwrite to prepare it again, or restore the recordings.",
            )
    return Preparation(path, attributes.digest, len(reader.table.rows), False, attributes.skipped)


def _unreadable(reasons: Sequence[str], num_clips: int) -> ClipError:
    named = "".join(f"\n  {text}" for text in reasons[:_LISTED_FAULTS])
    more = "\n  ..." if len(reasons) > _LISTED_FAULTS else ""
    return ClipError(
        f"{len(reasons)} of {num_clips} clips cannot be read:{named}{more}",
        "Copy these files again and repeat the command (finished "
        "clips are kept), or leave them out with --skip-unreadable.",
    )


def _write_pending(
    writer: StoreWriter,
    survey: Survey,
    signatures: Sequence[str],
    workers: int,
    progress: Progress | None,
) -> None:
    pending = writer.pending()
    total = len(survey.clips)
    done = total - sum(len(indices) for _, indices in pending)
    if progress:
        progress(done, total)
    convert = partial(_convert_unit, writer.partial, writer.plan.geometry, survey.flow)
    tasks = [
        (unit, {i: (survey.clips[i], signatures[i]) for i in indices}) for unit, indices in pending
    ]
    with closing(run_parallel(convert, tasks, workers)) as results:
        for (_, clips), _ in results:
            done += len(clips)
            if progress:
                progress(done, total)


def _convert_unit(
    folder: Path,
    geometry: Geometry,
    flow: FlowAlgorithm | None,
    task: tuple[Unit, dict[int, tuple[RawClip, str]]],
) -> None:
    """Write the clips of one unit that it lacks."""
    # One process per core: OpenCV's own threads give Farneback nothing.
    cv2.setNumThreads(1)
    unit, clips = task

    def frames() -> Iterator[tuple[int, Frames | str]]:
        for index, (clip, _) in clips.items():
            try:
                yield index, read_clip(clip, geometry, flow)
            except ClipError as error:
                # The usual hint, a new copy, is given once for all clips.
                other = "" if error.hint == COPY_HINT else f" {error.hint}"
                yield index, f"{error.what}{other}"

    signatures = {index: signature for index, (_, signature) in clips.items()}
    write_unit(folder, geometry, unit, frames(), signatures)


def read_clip(
    clip: RawClip, geometry: Geometry, flow: FlowAlgorithm | None
) -> dict[str, NDArray[np.uint8]]:
    """Return a clip's frames as the store keeps them.

    Returns:
        uint8 (T, H, W, C) per modality.

    Raises:
        ClipError: a file is unreadable, too short or of another shape than the first clip's.
    """
    size = geometry.height, geometry.width

    def fit(path: Path, frame_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
        height, width, _ = frame_HWC.shape
        check_shape(path, (height, width), size)
        return resize_frame(frame_HWC, *size)

    frames = {m: source.read(partial(fit, source.path)) for m, source in clip.sources.items()}
    if flow:
        frames[flow.modality] = flow.compute(frames["rgb"])
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
