"""NVGesture: 25 classes of a driver's hand gestures, RGB-D, 1,532 clips of 80 frames.

Molchanov, Yang, Gupta, Kim, Tyree, Kautz: Online Detection and Classification of Dynamic Hand
Gestures with Recurrent 3D Convolutional Neural Networks. CVPR 2016.

Format: ``Video_data/class_XX/subjectY_rZ/`` with ``sk_color.avi`` (320x240, 30 fps, a camera of its
own), ``sk_depth.avi`` (8-bit full-range luma without a range flag, nearer is brighter, 0 is
background), ``sk_wrapped.avi`` (colour registered to depth, black where there is no depth) and
``*_log.txt`` (one line a frame: name and time in ns).

Lists: one line a clip, ``path:... depth:sk_depth:S:E color:sk_color:S:E ... label:N``; windows are
0-based and half open; the label of the list overrides the folder's class (23 clips differ).

Split: by the authors' lists, 1,050 train and 482 test, subjects disjoint.

Alignment: depth's window is the clip's time axis. Colour frames are paired to it by nearest
timestamp where both logs exist: in about one recording in eight one stream lags a whole frame.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mtut_bench.errors import DatasetError
from mtut_bench.types import ClipRow, Split
from mtut_preprocess.adapter import DatasetFacts, RawClip, recording_origin
from mtut_preprocess.decode import FrameSource

__all__ = ["CLASS_NAMES", "EXPECTED_CLIPS", "MIRROR", "Colour", "NvGesture", "read_log"]

Colour = Literal["sk_color", "sk_wrapped"]

EXPECTED_CLIPS = 1532
FPS = 30.0

CLASS_NAMES = (
    "move hand left",
    "move hand right",
    "move hand up",
    "move hand down",
    "move two fingers left",
    "move two fingers right",
    "move two fingers up",
    "move two fingers down",
    "click with index finger",
    "call someone",
    "open hand",
    "shake hand",
    "show index finger",
    "show two fingers",
    "show three fingers",
    "push hand up",
    "push hand down",
    "push hand out",
    "pull hand in",
    "rotate fingers clockwise",
    "rotate fingers counter-clockwise",
    "push two fingers away",
    "close hand twice",
    "thumb up",
    "OK sign",
)
"""Label 1 first; from the user's point of view (in the image, left and right are exchanged)."""

_PAIRS = ((0, 1), (4, 5), (19, 20))
MIRROR = tuple(dict([*_PAIRS, *((b, a) for a, b in _PAIRS)]).get(k, k) for k in range(25))
"""Class that each class becomes in a mirror (0-based)."""

_FOLDER = re.compile(r"subject(?P<subject>\d+)_r(?P<repetition>\d+)$")
_LOG_LINE = re.compile(r"img(?P<number>[0-9]{1,9})\.png (?P<time>[0-9]{1,18}|[1-8][0-9]{18})$")
_MAX_APART_NS = 1_000_000_000
_LISTS = ("nvgesture_{split}_correct_cvpr2016_v2.lst", "nvgesture_{split}_correct.lst")


@dataclass(frozen=True)
class ListLine:
    """One parsed line of a list: folder relative to the root, windows, 0-based label."""

    folder: PurePosixPath
    windows: dict[str, tuple[int, int]]
    label: int
    where: str


class NvGesture:
    """A folder in NVGesture's layout.

    Args:
        root: folder that holds the two lists and ``Video_data``.
        colour: 'sk_color' (the paper's) or 'sk_wrapped' (colour registered to depth).
    """

    def __init__(self, root: Path, colour: Colour = "sk_color") -> None:
        self.root = root
        self.colour: Colour = colour

    def read(self) -> tuple[DatasetFacts, list[RawClip]]:
        """Return the facts and the clips, train list first, in the order of the lists.

        Raises:
            DatasetError: folder or list missing, a malformed line, a clip twice, a malformed log,
                logs of different recordings.
        """
        if not self.root.is_dir():
            raise DatasetError(
                f"there is no folder {self.root}",
                "Give the folder that holds the two .lst files with --raw, or try"
                " `mtut-bench prepare nvgesture-synthetic`.",
            )
        clips: list[RawClip] = []
        relabelled = 0
        seen: dict[str, str] = {}
        splits: tuple[Split, ...] = ("train", "test")
        for split in splits:
            for line in parse_list(find_list(self.root, split), self.root):
                clip = self._clip(line, split)
                if clip.row.clip_id in seen:
                    raise DatasetError(
                        f"{line.where}: {line.folder} is listed already at"
                        f" {seen[clip.row.clip_id]}",
                        "Each recording may stand in one list, once.",
                    )
                seen[clip.row.clip_id] = line.where
                relabelled += _folder_class(line.folder) not in (None, line.label)
                clips.append(clip)
        return self._facts(clips, relabelled), clips

    def _clip(self, line: ListLine, split: Split) -> RawClip:
        folder = self.root / line.folder
        match = _FOLDER.search(line.folder.name)
        if match is None:
            raise DatasetError(
                f"{line.where}: the folder {line.folder} does not end in subjectY_rZ",
                "Restore the line of the dataset's own list.",
            )
        depth_window = self._window(line, "depth")
        colour_window = depth_window if self.colour == "sk_wrapped" else self._window(line, "color")
        depth = range(*depth_window)
        colour, pairing = pair_frames(
            depth_window,
            colour_window,
            read_log(folder / "sk_depth_log.txt"),
            read_log(folder / f"{self.colour}_log.txt"),
            line.where,
        )
        parts = [part for part in line.folder.parts if part != "Video_data"]
        row = ClipRow(
            clip_id="/".join(parts),
            subject=str(int(match["subject"])),
            label=line.label,
            repetition=int(match["repetition"]),
            split=split,
            num_frames=len(depth),
        )
        lag = int(np.median(np.array(colour) - np.array(depth)))
        names = {"rgb": f"{self.colour}.avi", "depth": "sk_depth.avi"}
        sources = {
            "rgb": FrameSource(folder / names["rgb"], tuple(colour), "rgb"),
            "depth": FrameSource(folder / names["depth"], tuple(depth), "luma"),
        }
        origin = {
            "rgb": f"{line.folder}/{names['rgb']}",
            "depth": f"{line.folder}/{names['depth']}",
            "window": list(depth_window),
            "pairing": pairing,
            "colour_lag_frames": lag,
        }
        return RawClip(row, sources, origin)

    def _window(self, line: ListLine, stream: str) -> tuple[int, int]:
        if stream not in line.windows:
            raise DatasetError(
                f"{line.where}: the line has no '{stream}:' field",
                "Restore the line of the dataset's own list.",
            )
        return line.windows[stream]

    def _facts(self, clips: Sequence[RawClip], relabelled: int) -> DatasetFacts:
        dataset, origin = recording_origin(self.root, "nvgesture")
        pairings = Counter(str(clip.origin["pairing"]) for clip in clips)
        lagging = sum(clip.origin["colour_lag_frames"] != 0 for clip in clips)
        return DatasetFacts(
            dataset=dataset,
            origin=origin,
            expected_clips=EXPECTED_CLIPS,
            modalities=("rgb", "depth", "flow"),
            class_names=CLASS_NAMES,
            mirror=MIRROR,
            fold_rule="split",
            subject_unit="person",
            fps=FPS,
            depth_polarity="nearer is brighter, 0 is no depth, full-range luma",
            colour=self.colour,
            alignment={
                "time": "colour paired to depth's frames by nearest timestamp",
                "clips_paired_by": dict(sorted(pairings.items())),
                "clips_with_whole_frame_lag": lagging,
                "space": "registered to depth by the recorder"
                if self.colour == "sk_wrapped"
                else "none: the colour camera sees a part of the depth camera's field",
            },
            notes=tuple(
                f"{count} clips {what}"
                for count, what in (
                    (relabelled, "have another label in the list than their folder; it decides"),
                    (lagging, "have a whole frame between colour and depth; paired by time"),
                )
                if count
            ),
        )


def find_list(root: Path, split: str) -> Path:
    """Return the list file of a split.

    Raises:
        DatasetError: there is none.
    """
    for name in _LISTS:
        path = root / name.format(split=split)
        if path.is_file():
            return path
    raise DatasetError(
        f"{root} has no {_LISTS[0].format(split=split)}",
        "Give the folder that holds the two .lst files with --raw; both lists come with the"
        " dataset.",
    )


def parse_list(path: Path, root: Path) -> list[ListLine]:
    """Return the lines of a list.

    Raises:
        DatasetError: a line cannot be parsed, has a label outside 1..25, an impossible window or
            a path that leaves the dataset's folder; names file and line.
    """
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    lines = [
        _parse_line(line.split(), f"{path}:{number}", root)
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip()
    ]
    if not lines:
        raise DatasetError(f"{path} lists no clip", "Restore the dataset's own list.")
    return lines


def _parse_line(fields: Sequence[str], where: str, root: Path) -> ListLine:
    cure = (
        "A line reads: path:./Video_data/class_01/subject1_r0 depth:sk_depth:1:81"
        " color:sk_color:1:81 label:1"
    )
    folder: PurePosixPath | None = None
    label: int | None = None
    windows: dict[str, tuple[int, int]] = {}
    try:
        for text in fields:
            key, _, value = text.partition(":")
            if key == "path" and folder is None:
                folder = PurePosixPath(value)
            elif key == "label" and label is None:
                label = _number(value)
            elif key not in ("path", "label") and key not in windows:
                _stem, start, stop = value.split(":")
                windows[key] = (_number(start), _number(stop))
            else:
                raise DatasetError(f"{where}: the line has two '{key}:' fields", cure)
    except ValueError:
        raise DatasetError(f"{where}: cannot parse {text!r}", cure) from None
    if folder is None or label is None:
        missing = "path" if folder is None else "label"
        raise DatasetError(f"{where}: the line has no '{missing}:' field", cure)
    if not 1 <= label <= len(CLASS_NAMES):
        raise DatasetError(
            f"{where}: label {label} is outside 1..{len(CLASS_NAMES)}",
            "Restore the line of the dataset's own list.",
        )
    for stream, (first, last) in windows.items():
        if first >= last:
            raise DatasetError(f"{where}: the {stream} window {first}:{last} is empty", cure)
    if folder.is_absolute() or ".." in folder.parts:
        raise DatasetError(
            f"{where}: the path {folder} leaves the dataset folder {root}",
            "Paths in a list are relative and stay inside the folder of the list.",
        )
    return ListLine(folder, windows, label - 1, where)


def _number(text: str) -> int:
    """Return a plain decimal number; at most six digits, or a slip of the pen fills the memory.

    Raises:
        ValueError: it is none.
    """
    if not re.fullmatch(r"[0-9]{1,6}", text):
        raise ValueError(text)
    return int(text)


def read_log(path: Path) -> NDArray[np.int64] | None:
    """Return the time of each frame in nanoseconds, or None where there is no log.

    Raises:
        DatasetError: a line is malformed or frame numbers have a gap.
    """
    if not path.is_file():
        return None
    times: list[int] = []
    text = path.read_text(encoding="utf-8-sig", errors="replace").rstrip()
    for number, line in enumerate(text.splitlines(), start=1):
        match = _LOG_LINE.match(line.strip())
        if match is None or int(match["number"]) != len(times):
            raise DatasetError(
                f"{path}:{number}: expected 'img{len(times):05d}.png <time in ns>', found {line!r}",
                "Restore the dataset's log; without the file, frames are paired by number.",
            )
        times.append(int(match["time"]))
    return np.array(times, np.int64) if times else None


def pair_frames(
    depth_window: tuple[int, int],
    colour_window: tuple[int, int],
    depth_times: NDArray[np.int64] | None,
    colour_times: NDArray[np.int64] | None,
    where: str,
) -> tuple[list[int], str]:
    """Return the colour frame for each frame of depth's window, and how it was found.

    With both logs: the colour frame nearest in time (ties: the earlier one). Without: by position
    within the two windows.

    Args:
        depth_window: half-open, frames of the depth stream.
        colour_window: half-open, frames of the colour stream.
        depth_times: ns per depth frame, or None.
        colour_times: ns per colour frame, or None.
        where: list and line, for the message.

    Raises:
        DatasetError: no logs, and windows of different lengths; logs of two recordings.
    """
    depth = np.arange(*depth_window)
    if depth_times is not None and colour_times is not None:
        # A window may pass the end of its stream by a frame or two: hold the last time.
        targets = depth_times[np.minimum(depth, len(depth_times) - 1)]
        apart = np.abs(colour_times[None, :] - targets[:, None])
        if apart.min(axis=1).max() > _MAX_APART_NS:
            raise DatasetError(
                f"{where}: the colour frame nearest to a depth frame is"
                f" {apart.min(axis=1).max() / 1e9:.1f} s away; the logs are of two recordings",
                "Restore the logs; without them, frames are paired by number.",
            )
        nearest = apart.argmin(axis=1)
        return [int(i) for i in np.maximum.accumulate(nearest)], "timestamps"
    colour = np.arange(*colour_window)
    if len(colour) != len(depth):
        raise DatasetError(
            f"{where}: the depth window has {len(depth)} frames, the colour window {len(colour)},"
            " and there are no logs to pair them by",
            "Restore the logs, or give both windows the same length.",
        )
    return [int(i) for i in colour], "position"


def _folder_class(folder: PurePosixPath) -> int | None:
    match = re.search(r"class_(\d+)", str(folder))
    return int(match[1]) - 1 if match else None
