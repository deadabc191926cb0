"""Speed and memory of preparing, beside plain loops of the same calls on the same recordings.

The plain loop decodes, resizes and compresses in chunks of the store, and does nothing else: it
checks nothing, hashes nothing, writes nothing. Two such processes are started as prepare starts its
workers; what starting two idle ones takes is subtracted on both sides, since real work takes hours.
Every recording is read once before, so that files are cached.
"""

import resource
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle, pairwise
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter
from numcodecs.zstd import Zstd
from numpy.typing import NDArray

from mtut_bench.benchmarks.measurement import (
    Benchmark,
    Measure,
    machine_facts,
    seconds_of,
    take_turns,
)
from mtut_bench.files import StrPath
from mtut_bench.store.format import CHUNK_FRAMES, SHARD_FRAMES, Geometry, layout_clips
from mtut_preprocess.convert.pool import run_parallel
from mtut_preprocess.convert.prepare import prepare, read_clip
from mtut_preprocess.convert.survey import FlowChoice, Missing, Survey, survey_dataset
from mtut_preprocess.datasets.adapter import RawClip, RawDataset
from mtut_preprocess.derive.flow import FARNEBACK, Farneback
from mtut_preprocess.derive.resize import resize_frame
from mtut_preprocess.reading.decode import MAX_OVERSHOOT_FRAMES, to_array
from mtut_preprocess.reading.frames import FrameSource
from mtut_preprocess.reading.images import ImageFrames

__all__ = ["bench_prepare", "plain_chunks", "stretch_survey"]

_WORKERS = 2
_WORKER_FLOOR, _GAIN_FLOOR, _FLOW_FLOOR = 0.85, 0.95, 0.9
_PEAK_LIMIT_MIB = 1024.0
_PACKAGES = ("mtut-bench", "numpy", "av", "opencv-python-headless", "numcodecs", "zarr")

Say = Callable[[str], None]


@dataclass(frozen=True)
class _Effort:
    """Seconds of each plain loop, rounds, scratch folder; `say` is told what comes next."""

    seconds: float
    repeats: int
    folder: Path
    say: Say


def bench_prepare(
    dataset: RawDataset,
    folder: StrPath,
    *,
    seconds: float = 6.0,
    repeats: int = 3,
    say: Say = lambda _: None,
) -> Benchmark:
    """Measure each modality alone, optical flow, and the memory of the workers.

    Args:
        dataset: recordings; taken several times where they are few.
        folder: for the stores, which are removed again.
        seconds: of a plain loop.
        repeats: rounds; the medians count.
        say: called with what comes next.
    """
    folder = Path(folder)
    # As in prepare: one process per core.
    cv2.setNumThreads(1)
    survey = survey_dataset(dataset, flow=FlowChoice("none"))
    effort = _Effort(seconds, repeats, folder, say)
    facts = machine_facts(_PACKAGES)
    measures: list[Measure] = []
    for modality in survey.modalities:
        measures += _bench_modality(survey, modality, effort)
    if "rgb" in survey.modalities:
        measures.append(_bench_farneback(survey, effort))
        survey = replace(survey, flow=Farneback())
    measures.append(_bench_memory(survey, effort))
    size = survey.plan().geometry
    facts["recordings"] = (
        f"{survey.facts.dataset} ({survey.facts.colour}), {len(survey.clips)} clips,"
        f" frames of {size.width}x{size.height}: {survey.root}"
    )
    return Benchmark(tuple(measures), facts)


def stretch_survey(survey: Survey, modalities: Sequence[str], num_units: int) -> Survey:
    """Return a survey of so many units of a store: recordings recur under other names.

    Args:
        survey: of a dataset.
        modalities: what to keep of each clip.
        num_units: shards of each modality; long clips may need more.
    """
    clips: list[RawClip] = []
    lengths: list[int] = []
    for number, clip in enumerate(cycle(survey.clips)):
        lengths.append(clip.row.num_frames)
        if clips and len(layout_clips(lengths).units) > num_units:
            break
        row = clip.row._replace(clip_id=f"{number:06d}/{clip.row.clip_id}")
        clips.append(replace(clip, row=row, sources={m: clip.sources[m] for m in modalities}))
    facts = replace(survey.facts, modalities=tuple(modalities))
    return replace(survey, facts=facts, clips=tuple(clips), missing=Missing())


def plain_chunks(clips: Sequence[RawClip], geometry: Geometry) -> Iterator[bytes]:
    """Yield the compressed chunks of clips, one clip and modality after the other.

    Args:
        clips: of recordings.
        geometry: of the store.
    """
    codec = Zstd(level=3, checksum=True)
    for clip in clips:
        for modality, source in clip.sources.items():
            if isinstance(source, ImageFrames):
                frames = _read_images(source, geometry)
            else:
                frames = _decode_video(source, geometry)
            black = np.zeros(geometry.shape(modality, 1)[1:], np.uint8)
            frames += [black] * (-len(frames) % CHUNK_FRAMES)
            for start in range(0, len(frames), CHUNK_FRAMES):
                yield codec.encode(np.stack(frames[start : start + CHUNK_FRAMES]))


def _decode_video(source: FrameSource, size: Geometry) -> list[NDArray[np.uint8]]:
    wanted, last = set(source.indices), max(source.indices)
    kept: dict[int, NDArray[np.uint8]] = {}
    count = 0
    reformatter = VideoReformatter()
    with av.open(str(source.path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for count, frame in enumerate(container.decode(video=0), start=1):
            index = count - 1
            if index in wanted or last - index <= MAX_OVERSHOOT_FRAMES:
                pixels = to_array(frame, source.plane, reformatter)
                kept[index] = resize_frame(pixels, size.height, size.width)
            if index == last:
                break
    return [kept[min(index, count - 1)] for index in source.indices]


def _read_images(source: ImageFrames, size: Geometry) -> list[NDArray[np.uint8]]:
    flag = cv2.IMREAD_GRAYSCALE if source.plane == "luma" else cv2.IMREAD_COLOR
    frames: list[NDArray[np.uint8]] = []
    for number in source.indices:
        pixels: Any = cv2.imread(str(source.file(number)), flag)
        pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB) if pixels.ndim == 3 else pixels[..., None]
        frames.append(resize_frame(pixels, size.height, size.width))
    return frames


def _run_plain(geometry: Geometry, clips: Sequence[RawClip]) -> int:
    """Return the compressed bytes of clips; runs in any process."""
    return sum(len(chunk) for chunk in plain_chunks(clips, geometry))


def _bench_modality(survey: Survey, modality: str, effort: _Effort) -> list[Measure]:
    """Return the rates of one worker and of two, and what the second adds."""
    short = stretch_survey(survey, [modality], _WORKERS)
    _time_prepare(short, effort.folder, 1)
    geometry = short.plan().geometry
    rate = _num_frames(short) / seconds_of(partial(_run_plain, geometry, short.clips))
    rounds = -(-rate * effort.seconds // (SHARD_FRAMES * _WORKERS))
    part = stretch_survey(survey, [modality], _WORKERS * max(1, int(rounds)))
    units = layout_clips([clip.row.num_frames for clip in part.clips]).units
    shares = [
        [part.clips[index] for unit in units[first::_WORKERS] for index in unit.places]
        for first in range(_WORKERS)
    ]
    frames = _num_frames(part)
    effort.say(f"{modality}: {frames:,} frames, {effort.repeats} rounds")

    def time_pool(function: Callable[[Sequence[RawClip]], object]) -> float:
        return seconds_of(lambda: list(run_parallel(function, shares, _WORKERS)))

    found = take_turns(
        {
            "one": partial(_time_prepare, part, effort.folder, 1),
            "one plain": partial(seconds_of, partial(_run_plain, geometry, part.clips)),
            "two": partial(_time_prepare, part, effort.folder, _WORKERS),
            "two plain": partial(time_pool, partial(_run_plain, geometry)),
            "start": partial(time_pool, len),
        },
        effort.repeats,
    )
    seconds = {name: median(times) for name, times in found.items()}
    start = seconds.pop("start")
    fps = {
        name: frames / (taken - start if "two" in name else taken)
        for name, taken in seconds.items()
    }
    one, one_plain, two, two_plain = (fps[n] for n in ("one", "one plain", "two", "two plain"))
    gain_plain = two_plain / one_plain
    note = f"{frames:,} frames x {effort.repeats}"
    return [
        Measure(f"{modality}, one worker", one, "frames/s", one_plain, _WORKER_FLOOR, note=note),
        Measure(f"{modality}, two workers", two, "frames/s", two_plain, note=note),
        Measure(f"{modality}, two workers over one", two / one, "times", gain_plain, _GAIN_FLOOR),
    ]


def _num_frames(survey: Survey) -> int:
    return sum(clip.row.num_frames for clip in survey.clips)


def _time_prepare(survey: Survey, folder: Path, workers: int) -> float:
    path = folder / "measured.zarr"
    try:
        return seconds_of(partial(prepare, survey, path, workers=workers))
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _bench_farneback(survey: Survey, effort: _Effort) -> Measure:
    """Return the rate of flow with grey conversion and coding, beside the flow calls alone."""
    clip = stretch_survey(survey, ["rgb"], 1).clips[0]
    frames_THWC = read_clip(clip, survey.plan().geometry, None)["rgb"]
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames_THWC]

    def run_plain() -> None:
        for before, after in pairwise(grey):
            cv2.calcOpticalFlowFarneback(before, after, None, **FARNEBACK)

    pairs = len(grey) - 1
    effort.say(f"Farneback: {pairs} pairs, {effort.repeats} rounds")
    run_flow = partial(Farneback().compute, frames_THWC)
    timers = {"flow": partial(seconds_of, run_flow), "plain": partial(seconds_of, run_plain)}
    found = take_turns(timers, effort.repeats)
    rate, baseline = (pairs / median(found[name]) for name in timers)
    note = f"{pairs} pairs x {effort.repeats}"
    return Measure("Farneback", rate, "pairs/s", baseline, _FLOW_FLOOR, note=note)


def _bench_memory(survey: Survey, effort: _Effort) -> Measure:
    """Return the largest memory of a worker that prepares every modality."""
    part = stretch_survey(survey, survey.facts.modalities, 2 * _WORKERS)
    names = "+".join(part.modalities)
    effort.say(f"memory: {_num_frames(part):,} frames of {names}")
    # In another process, whose only children are the workers.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        peak = pool.submit(_peak_of_workers, part, effort.folder).result()
    note = f"{_WORKERS} workers, {_num_frames(part):,} frames of {names}"
    return Measure("peak memory of a worker", peak / 2**20, "MiB", limit=_PEAK_LIMIT_MIB, note=note)


def _peak_of_workers(survey: Survey, folder: Path) -> int:
    """Return the bytes of the largest child of this process, which prepares a store."""
    _time_prepare(survey, folder, _WORKERS)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    # Linux counts in KiB, macOS in bytes.
    return peak if sys.platform == "darwin" else peak * 1024
