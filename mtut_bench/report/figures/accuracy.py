"""Accuracy of each method with its interval, by class, by person and by length of the clip."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from mtut_bench.report.figures.canvas import (
    COLOURS,
    GREY,
    MARKERS,
    Figure,
    add_legend,
    clean,
    finish,
    new_canvas,
)
from mtut_bench.report.figures.evidence import (
    Share,
    class_shares,
    length_edges,
    length_shares,
    person_shares,
)
from mtut_bench.report.figures.groups import Group, describe, scope
from mtut_bench.statistics.sides import Configuration

__all__ = ["class_figure", "length_figure", "person_figure"]

# Rows are drawn closer where a page would overflow, down to what 7 pt text needs.
_PAGE_IN = 8.8
_MIN_PITCH_IN = 0.13
_MARKER_PT = (2.4, 4.0)
_INTERVAL = "Bars are Wilson 95 % intervals of the clips; the dotted line is chance"

_SharesOf = Callable[[Configuration, str], Mapping[Any, Share]]


def class_figure(group: Group) -> Figure:
    """Return the accuracy on each class."""
    rows = {n: f"{n + 1}  {clean(name, 24)}" for n, name in enumerate(group.classes)}
    canvas = _rows_canvas(group, class_shares, rows)
    return _finish(canvas, group, key="class-accuracy", what="class", remark="")


def person_figure(group: Group) -> Figure:
    """Return the accuracy on the clips of each person."""
    found: dict[str, None] = {}
    for config in group.configs:
        found |= dict.fromkeys(person_shares(config, group.modalities[0]))
    unit = group.row["subject_unit"]
    rows = {name: clean(f"{unit} {name}", 24) for name in found}
    canvas = _rows_canvas(group, person_shares, rows)
    remark = "" if unit == "person" else f" It is unknown which {unit}s are one person."
    return _finish(canvas, group, key="person-accuracy", what=unit, remark=remark)


def length_figure(group: Group) -> Figure | str:
    """Return the accuracy over the length of the clips, or why there is none."""
    lengths = {
        clip_id: frames
        for config in group.configs
        for run in config.runs
        for clip_id, frames in zip(run.scores.clip_ids, run.num_frames, strict=True)
    }
    edges = length_edges(list(lengths.values()))
    if len(edges) < 2:
        return f"No accuracy over length (group {group.number}): all clips are about as long."
    canvas = new_canvas(2.75)
    panels = canvas.subplots(1, len(group.modalities), sharey=True, squeeze=False)[0]
    for axes, modality in zip(panels, group.modalities, strict=True):
        for n, config in enumerate(group.configs):
            shares = length_shares(config, modality, edges)
            places = np.array(list(shares)) + _offset(
                n, len(group.configs), min(0.14, 0.8 / len(group.configs))
            )
            _draw_shares(axes, places, list(shares.values()), n, config.name, upright=True)
        axes.axhline(100.0 / len(group.classes), color=GREY, linestyle=":", linewidth=0.9)
        axes.set_xticks(range(len(edges)), _bin_labels(sorted(lengths.values()), edges))
        axes.set_xlim(-0.5, len(edges) - 0.5)
        axes.set_ylim(-3, 103)
        axes.grid(axis="y")
        axes.set_title(clean(modality))
        axes.set_xlabel("frames of the clip (number of clips)")
    panels[0].set_ylabel("accuracy, %")
    add_legend(canvas, panels[0])
    return _finish(canvas, group, key="length-accuracy", what="length of the clip", remark="")


def _bin_labels(lengths: Sequence[int], edges: Sequence[int]) -> list[str]:
    labels, low = [], -1
    for edge in edges:
        inside = [n for n in lengths if low < n <= edge]
        first = inside[0]
        span = f"{first}\u2013{edge}" if first < edge else str(edge)
        labels.append(f"{span}\n({len(inside)})")
        low = edge
    return labels


def _rows_canvas(group: Group, shares_of: _SharesOf, rows: Mapping[Any, str]) -> Canvas:
    """Return one panel per modality with a line for each row that any method has clips of."""
    found = {
        (config.name, modality): shares_of(config, modality)
        for config in group.configs
        for modality in group.modalities
    }
    keys = [key for key in rows if any(key in shares for shares in found.values())]
    place = {key: n for n, key in enumerate(keys)}
    names = [_with_total(rows[key], [shares.get(key) for shares in found.values()]) for key in keys]
    wanted_in = 0.085 * len(group.configs) + 0.07
    pitch_in = max(_MIN_PITCH_IN, min(wanted_in, _PAGE_IN / len(keys)))
    step = 0.75 / max(len(group.configs), 2)
    marker = float(np.clip(72.0 * step * pitch_in, *_MARKER_PT))
    canvas = new_canvas(0.95 + pitch_in * max(len(keys), 3))
    panels = canvas.subplots(1, len(group.modalities), sharey=True, squeeze=False)[0]
    for axes, modality in zip(panels, group.modalities, strict=True):
        for n, config in enumerate(group.configs):
            shares = found[config.name, modality]
            places = np.array([place[key] for key in shares], dtype=np.float64)
            places += _offset(n, len(group.configs), step)
            _draw_shares(axes, places, list(shares.values()), n, config.name, size_pt=marker)
        axes.axvline(100.0 / len(group.classes), color=GREY, linestyle=":", linewidth=0.9)
        axes.set_xlim(-3, 103)
        axes.set_xlabel("accuracy, %")
        axes.set_title(clean(modality))
        axes.grid(axis="y")
        axes.tick_params(axis="y", length=0)
    panels[0].set_yticks(range(len(keys)), names)
    panels[0].set_ylim(len(keys) - 0.4, -0.6)
    add_legend(canvas, panels[0])
    return canvas


def _with_total(name: str, shares: Sequence[Share | None]) -> str:
    totals = {share.total for share in shares if share}
    return f"{name} ({totals.pop()})" if len(totals) == 1 else name


def _offset(number: int, count: int, width: float) -> float:
    return (number - (count - 1) / 2) * width


def _draw_shares(
    axes: Axes,
    places: np.ndarray,
    shares: Sequence[Share],
    number: int,
    label: str,
    *,
    size_pt: float = _MARKER_PT[1],
    upright: bool = False,
) -> None:
    values = np.array([100.0 * share.value for share in shares])
    ends = np.array([[100.0 * share.low, 100.0 * share.high] for share in shares]).T
    bars = np.maximum(0.0, [values - ends[0], ends[1] - values])
    x, y = (places, values) if upright else (values, places)
    axes.errorbar(
        x,
        y,
        xerr=None if upright else bars,
        yerr=bars if upright else None,
        fmt=MARKERS[number % len(MARKERS)],
        color=COLOURS[number % len(COLOURS)],
        markersize=size_pt,
        elinewidth=0.8,
        label=label,
        clip_on=False,
        zorder=3,
    )


def _finish(canvas: Canvas, group: Group, *, key: str, what: str, remark: str) -> Figure:
    labels = ", ".join(config.name for config in group.configs)
    remark += f" {group.remark}" if group.remark else ""
    chance = 100.0 / len(group.classes)
    return finish(
        canvas,
        f"{key}-{group.number}",
        title=f"Accuracy by {what}",
        caption=(
            f"Accuracy by {what}, each network by itself ({', '.join(group.modalities)}); the "
            f"number of clips in brackets. {_INTERVAL} ({chance:.1f} %).{remark} "
            f"{scope(group.configs)} {describe(group)}"
        ),
        alt=(
            f"Dots with intervals: accuracy of {labels} by {what}, one panel for each of "
            f"{', '.join(group.modalities)}."
        ),
    )
