"""Predictions of a trained network on any recording; long ones in windows.

A clip is convolved whole, as in the test. A recording that is longer than any clip of its run is
cut into windows of the training length, of which few frames are ever in memory.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from statistics import fmean
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mtut_bench.contract.recipe import Recipe
from mtut_bench.contract.types import Frame
from mtut_bench.errors import MtutBenchError
from mtut_bench.runs.trained import TrainedRun
from mtut_bench.training.whole_clip_test import clip_logits, to_probabilities

__all__ = [
    "Prediction",
    "Predictor",
    "Segment",
    "Windowing",
    "cut_windows",
    "longest_clip",
    "merge_predictions",
    "open_predictor",
]


_NUM_SHOWN = 8


@dataclass(frozen=True)
class Windowing:
    """How recordings are cut; lengths in frames.

    Attributes:
        longest: a recording of no more frames is one clip; None: however long it is.
        length: of a window of a longer one.
        stride: from the beginning of a window to that of the next; at most ``length``.
    """

    longest: int | None
    length: int
    stride: int


class Prediction(NamedTuple):
    """Probabilities of a clip or a window.

    Attributes:
        first, stop: half-open range of the recording's frames.
        start_s, end_s: the same, seconds from the beginning of the recording.
        num_frames: that the network saw.
        probabilities_K: float32 (K,), sum 1.
        is_window: whether it is a part of a longer recording.
        shown_THWC: eight of its frames, or all of fewer, evenly spread; as a store keeps them.
    """

    first: int
    stop: int
    start_s: float
    end_s: float
    num_frames: int
    probabilities_K: NDArray[np.float32]
    is_window: bool
    shown_THWC: NDArray[np.uint8]

    def ranking(self) -> list[int]:
        """Return the classes, the most probable first; of equal ones the first first."""
        return np.argsort(-self.probabilities_K, kind="stable").tolist()


class Segment(NamedTuple):
    """Neighbouring windows with the same most probable class.

    Attributes:
        start_s, end_s: from the beginning of the first to the end of the last, seconds.
        label: the class.
        probability: of the class, mean over the windows.
        num_windows: how many.
    """

    start_s: float
    end_s: float
    label: int
    probability: float
    num_windows: int


@dataclass(frozen=True)
class Predictor:
    """One network of a finished run.

    Attributes:
        network: in evaluation mode, on ``device``.
        modality: its input.
        recipe: of the run.
        fps: frames per second of its store.
        device: where it computes.
        precision: 'fp32' or 'bf16'.
    """

    network: nn.Module
    modality: str
    recipe: Recipe
    fps: float
    device: torch.device
    precision: str = "fp32"

    @property
    def min_frames(self) -> int:
        """Shorter clips are padded to this many frames by the network itself."""
        return int(getattr(self.network, "min_frames", 1))

    def probabilities(self, frames_THWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probabilities of every class, float32 (K,), for one clip.

        The numbers are those of :func:`mtut_bench.training.whole_clip_test.predict` for a batch of
        one clip; a batch of several sums in another order, which changes the last digits.

        Args:
            frames_THWC: uint8, as in the run's store.

        Raises:
            MtutBenchError: the clip does not fit into the device's memory.
        """
        try:
            logits_NK = clip_logits(
                self.network,
                torch.from_numpy(frames_THWC[None]),
                self.modality,
                self.recipe,
                self.device,
                precision=self.precision,
            )
        except torch.OutOfMemoryError as error:
            raise MtutBenchError(
                f"out of memory on {self.device}: {len(frames_THWC)} frames",
                "Use shorter windows, such as --window 64, or --device cpu.",
            ) from error
        return to_probabilities(logits_NK)[0]

    def predict(self, frames: Iterable[Frame], windowing: Windowing) -> Iterator[Prediction]:
        """Yield the prediction on a recording, or one for each window of a long one.

        Args:
            frames: of the recording, as in a store; read once, as they are needed.
            windowing: how it is cut.
        """
        for window, is_window in cut_windows(frames, windowing):
            first, last = window[0], window[-1]
            frames_THWC = np.stack([frame.frame_HWC for frame in window])
            count = min(_NUM_SHOWN, len(window))
            shown = np.linspace(0, len(window) - 1, count).round().astype(np.int64)
            yield Prediction(
                first=first.number,
                stop=last.number + 1,
                start_s=first.time_s,
                end_s=last.time_s + 1 / self.fps,
                num_frames=len(window),
                probabilities_K=self.probabilities(frames_THWC),
                is_window=is_window,
                shown_THWC=frames_THWC[shown],
            )


def open_predictor(run: TrainedRun, modality: str, device: torch.device) -> Predictor:
    """Return a network of a finished run.

    Raises:
        UsageError: the run has no network for this modality.
        RunError: its file or the manifest is damaged or of another release.
    """
    return Predictor(
        network=run.network(modality, device),
        modality=modality,
        recipe=run.recipe,
        fps=run.fps,
        device=device,
        # On a CPU fp32 takes the place of bf16.
        precision=run.record.identity.precision if device.type == "cuda" else "fp32",
    )


def longest_clip(run: TrainedRun) -> int:
    """Return the frames up to which a recording is taken for one clip.

    The longest test clip of the run, or twice the training length where that is more.
    """
    return max(2 * run.recipe.clip_length, *run.record.test_frames)


def cut_windows(
    frames: Iterable[Frame], windowing: Windowing
) -> Iterator[tuple[Sequence[Frame], bool]]:
    """Yield the clips of a recording, and whether each is a window of it.

    The last window ends with the recording, whatever the stride, so that each has its full length.
    At most a clip of ``windowing.longest`` frames or two windows are in memory.

    Args:
        frames: read once.
        windowing: how to cut.
    """
    frames = iter(frames)
    longest, length, stride = windowing.longest, windowing.length, windowing.stride
    ahead = deque(frames if longest is None else islice(frames, longest + 1))
    if longest is None or len(ahead) <= longest:
        if ahead:
            yield list(ahead), False
        return
    window: list[Frame] = []
    while True:
        ahead.extend(islice(frames, max(0, length - len(ahead))))
        if len(ahead) < length:
            break
        window = list(islice(ahead, length))
        yield window, True
        for _ in range(stride):
            ahead.popleft()
    rest = list(ahead)[length - stride :]
    if rest:
        yield (window + rest)[-length:], True


def merge_predictions(predictions: Iterable[Prediction]) -> Iterator[Segment]:
    """Yield neighbouring windows of one class as one segment, in order."""
    for label, group in groupby(predictions, lambda prediction: prediction.ranking()[0]):
        times: list[float] = []
        probabilities: list[float] = []
        for prediction in group:
            times += (prediction.start_s, prediction.end_s)
            probabilities.append(float(prediction.probabilities_K[label]))
        yield Segment(times[0], times[-1], label, fmean(probabilities), len(probabilities))
