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

Classes, mirror pairs and published counts are a table (``data/nvgesture.json``); a
``nvgesture.json`` in the raw folder overrides it.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from mtut_bench.contract.types import ClipRow, Split
from mtut_bench.errors import DatasetError
from mtut_bench.files import StrPath
from mtut_preprocess.datasets.adapter import DatasetFacts, RawClip, table_facts
from mtut_preprocess.datasets.settings import DatasetTable, load_table
from mtut_preprocess.reading.decode import MAX_OVERSHOOT_FRAMES, VideoFrames
from mtut_preprocess.reading.pairing import Log, Pairing, pair_frames, read_log

__all__ = ["Colour", "NvGesture", "NvGestureTable", "parse_list"]

Colour = Literal["sk_color", "sk_wrapped"]

_SOURCE = (
    "nvGesture_v1, NVIDIA Research. Cite P. Molchanov, X. Yang, S. Gupta, K. Kim, S. Tyree,"
    " J. Kautz: Online Detection and Classification of Dynamic Hand Gestures with Recurrent 3D"
    " Convolutional Neural Networks, CVPR 2016"
)
_LICENCE = "NVIDIA's terms for research, accepted in the form by which one asks for the recordings"

_RELABELLED = "label of the list differs from the folder's class (the list decides)"
_APART = "colour and depth are a whole frame apart (paired by time)"
_STARTS = "colour and depth windows start at different frames"
_REPEATED = "window passes the end of its stream (the last frame is repeated)"
_ONE_LOG = "one of the two logs is missing (paired by position)"
_NO_LOG = "both logs are missing (paired by position)"

_LINE_HINT = (
    "Restore the line of the dataset's own list; one reads: path:./Video_data/class_01/subject1_r0"
    " depth:sk_depth:1:81 color:sk_color:1:81 label:1"
)
_FOLDER = re.compile(r"subject(?P<subject>\d+)_r(?P<repetition>\d+)$")
_LISTS = ("nvgesture_{split}_correct_cvpr2016_v2.lst", "nvgesture_{split}_correct.lst")


class NvGestureTable(DatasetTable, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """NVGesture's table; the classes are known."""

    class_names: tuple[str, ...]


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

    def __init__(self, root: StrPath, colour: Colour = "sk_color") -> None:
        self.root = Path(root)
        self.colour: Colour = colour

    def read(self) -> tuple[DatasetFacts, list[RawClip]]:
        """Return the facts and the clips, train list first, in the order of the lists.

        Raises:
            DatasetError: folder or list missing, a malformed line, a clip twice, a malformed log,
                logs of different recordings.
        """
        if not self.root.is_dir():
            raise DatasetError(
                f"{self.root} is not a folder",
                "Give the folder that holds the two .lst files with --raw, or try"
                " `mtut-bench prepare nvgesture-synthetic`.",
            )
        table, assumptions = load_table("nvgesture.json", self.root, NvGestureTable)
        clips: list[RawClip] = []
        findings: defaultdict[str, list[str]] = defaultdict(list)
        seen: dict[str, str] = {}
        splits: tuple[Split, ...] = ("train", "test")
        for split in splits:
            path = _find_list(self.root, split)
            for line in parse_list(path, self.root, table.num_classes):
                clip = self._clip(line, split, findings)
                if clip.row.clip_id in seen:
                    raise DatasetError(
                        f"{line.where}: {line.folder} is already listed at "
                        f"{seen[clip.row.clip_id]}",
                        "Each recording may stand in one list, once.",
                    )
                seen[clip.row.clip_id] = line.where
                clips.append(clip)
        return self._facts(table, assumptions, clips, findings), clips

    def _clip(self, line: ListLine, split: Split, findings: defaultdict[str, list[str]]) -> RawClip:
        folder = self.root / line.folder
        match = _FOLDER.search(line.folder.name)
        if match is None:
            raise DatasetError(
                f"{line.where}: the folder {line.folder} does not end in subjectY_rZ",
                _LINE_HINT,
            )
        clip_id = "/".join(part for part in line.folder.parts if part != "Video_data")
        depth_window = self._window(line, "depth")
        colour_window = depth_window if self.colour == "sk_wrapped" else self._window(line, "color")
        logs = {s: read_log(folder / f"{s}_log.txt") for s in ("sk_depth", self.colour)}
        pairing = pair_frames(
            depth_window, colour_window, logs["sk_depth"], logs[self.colour], line.where
        )
        row = ClipRow(
            clip_id=clip_id,
            subject=str(int(match["subject"])),
            label=line.label,
            repetition=int(match["repetition"]),
            split=split,
            num_frames=len(pairing.colour),
        )
        rgb, depth = f"{self.colour}.avi", "sk_depth.avi"
        sources = {
            "rgb": VideoFrames(folder / rgb, pairing.colour, "rgb"),
            "depth": VideoFrames(folder / depth, tuple(range(*depth_window)), "luma"),
        }
        origin = {
            "rgb": f"{line.folder}/{rgb}",
            "depth": f"{line.folder}/{depth}",
            "window": list(depth_window),
            "pairing": pairing.found_by,
            "colour_lag_frames": pairing.lag,
        }
        stated = re.search(r"class_(\d+)", str(line.folder))
        if stated and int(stated[1]) != line.label + 1:
            findings[_RELABELLED].append(
                f"{clip_id}: list {line.label + 1}, folder {int(stated[1])}"
            )
        for title, text in _oddities(pairing, depth_window, colour_window, logs):
            findings[title].append(f"{clip_id}: {text}")
        return RawClip(row, sources, origin)

    def _window(self, line: ListLine, stream: str) -> tuple[int, int]:
        if stream not in line.windows:
            raise DatasetError(f"{line.where}: the line has no '{stream}:' field", _LINE_HINT)
        return line.windows[stream]

    def _facts(
        self,
        table: NvGestureTable,
        assumptions: tuple[str, ...],
        clips: Sequence[RawClip],
        findings: Mapping[str, Sequence[str]],
    ) -> DatasetFacts:
        pairings = Counter(str(clip.origin["pairing"]) for clip in clips)
        titles = (_RELABELLED, _APART, _STARTS, _REPEATED, _ONE_LOG, _NO_LOG)
        # Clips without logs matter only where others have them.
        shown = [t for t in titles if findings.get(t) and (t != _NO_LOG or pairings["timestamps"])]
        return table_facts(
            self.root,
            "nvgesture",
            table,
            fold_rule="split",
            subject_unit="person",
            depth_polarity="nearer is brighter, 0 is no depth, full-range luma",
            colour=self.colour,
            flow="farneback",
            alignment={
                "time": "colour paired to depth's frames by nearest timestamp",
                "space": "registered to depth by the recorder"
                if self.colour == "sk_wrapped"
                else "none: the colour camera sees a part of the depth camera's field",
            },
            assumptions=assumptions,
            source=_SOURCE,
            licence=_LICENCE,
            findings={title: tuple(findings[title]) for title in shown},
            notes=tuple(f"{len(findings[title])} clips: {title}" for title in shown),
        )


def _find_list(root: Path, split: str) -> Path:
    for name in _LISTS:
        path = root / name.format(split=split)
        if path.is_file():
            return path
    raise DatasetError(
        f"{root} has no {_LISTS[0].format(split=split)}",
        "Give the folder that holds the two .lst files with --raw; both lists come with the"
        " dataset.",
    )


def parse_list(path: StrPath, root: StrPath, num_classes: int) -> list[ListLine]:
    """Return the lines of a list.

    Raises:
        DatasetError: a line cannot be parsed, has a label outside 1..num_classes, an impossible
            window or a path that leaves the dataset's folder; names file and line.
    """
    path, root = Path(path), Path(root)
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    lines = [
        _parse_line(line.split(), f"{path}:{number}", root, num_classes)
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip()
    ]
    if not lines:
        raise DatasetError(f"{path} lists no clip", "Restore the dataset's own list.")
    return lines


def _parse_line(fields: Sequence[str], where: str, root: Path, num_classes: int) -> ListLine:
    values: dict[str, str] = {}
    windows: dict[str, tuple[int, int]] = {}
    label = 0
    try:
        for text in fields:
            key, _, value = text.partition(":")
            if key in values:
                raise DatasetError(f"{where}: the line has two '{key}:' fields", _LINE_HINT)
            values[key] = value
            if key == "label":
                label = _number(value)
            elif key != "path":
                _stem, start, stop = value.split(":")
                windows[key] = (_number(start), _number(stop))
    except ValueError:
        raise DatasetError(f"{where}: cannot parse {text!r}", _LINE_HINT) from None
    for key in ("path", "label"):
        if key not in values:
            raise DatasetError(f"{where}: the line has no '{key}:' field", _LINE_HINT)
    if not 1 <= label <= num_classes:
        raise DatasetError(f"{where}: label {label} is outside 1..{num_classes}", _LINE_HINT)
    for stream, (first, last) in windows.items():
        if first >= last:
            raise DatasetError(f"{where}: the {stream} window {first}:{last} is empty", _LINE_HINT)
    folder = PurePosixPath(values["path"])
    if folder.is_absolute() or ".." in folder.parts:
        raise DatasetError(
            f"{where}: the path {folder} leaves the dataset folder {root}",
            "Paths in a list are relative and stay inside the folder of the list.",
        )
    return ListLine(folder, windows, label - 1, where)


def _number(text: str) -> int:
    """Return a decimal number of at most six digits: a typing error must not fill the memory.

    Raises:
        ValueError: it is not one.
    """
    if not re.fullmatch(r"[0-9]{1,6}", text):
        raise ValueError(text)
    return int(text)


def _oddities(
    pairing: Pairing,
    depth_window: tuple[int, int],
    colour_window: tuple[int, int],
    logs: Mapping[str, Log],
) -> Iterator[tuple[str, str]]:
    """Yield (title, text) of what is odd in the time of a clip; logs of depth, then colour."""
    if pairing.apart_ms and pairing.lag:
        same, paired = pairing.apart_ms
        yield (
            _APART,
            f"colour frame n{pairing.lag:+d} belongs to depth frame n; {paired:+.0f} ms apart,"
            f" frames of the same number {same:+.0f} ms",
        )
    if depth_window[0] != colour_window[0]:
        yield _STARTS, f"depth {depth_window[0]}, colour {colour_window[0]}"
    ends = (depth_window[1], pairing.colour[-1] + 1)
    for (stream, log), end in zip(logs.items(), ends, strict=True):
        if log is not None and 0 < end - len(log) <= MAX_OVERSHOOT_FRAMES:
            yield _REPEATED, f"{stream} has {len(log)} frames, the window ends at {end}"
    absent = [f"no {stream}_log.txt" for stream, log in logs.items() if log is None]
    if absent:
        yield (_ONE_LOG if len(absent) == 1 else _NO_LOG), ", ".join(absent)
