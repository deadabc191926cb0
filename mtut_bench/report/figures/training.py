"""Learning curves: cross-entropy, the weight of the alignment and its share of the loss."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FuncFormatter

from mtut_bench.report.figures.canvas import (
    COLOURS,
    GREY,
    Figure,
    add_legend,
    clean,
    finish,
    new_canvas,
)
from mtut_bench.report.figures.curves import (
    QUANTITIES,
    Curve,
    Entry,
    mean_curve,
    read_log,
    run_curve,
    stage_two_epoch,
)
from mtut_bench.report.figures.groups import Group, describe, scope
from mtut_bench.statistics.sides import Configuration

__all__ = ["curves_figure"]

_MAX_THIN = 16
# A gap of the losses of 5 gives rho 22,025: such values need another scale than usual ones.
_LINEAR_UP_TO = 20.0


def curves_figure(group: Group) -> Figure | str:
    """Return the learning curves of all methods of a group, or why there are none.

    Raises:
        RunError: a damaged log.
    """
    logs = {run.folder: read_log(run.folder) for config in group.configs for run in config.runs}
    curves = {
        (config.name, modality, quantity): _curves(config, logs, modality, quantity)
        for config in group.configs
        for modality in group.modalities
        for quantity in QUANTITIES
    }
    shown = [q for q in QUANTITIES if any(curves[key] for key in curves if key[2] == q)]
    if not shown:
        return f"No learning curves (group {group.number}): no run has a log with losses."
    start = stage_two_epoch(logs.values())
    drawn = dict.fromkeys(label for (label, _, _), found in curves.items() if found)
    canvas = _canvas(group, curves, shown, start)
    return finish(
        canvas,
        f"learning-curves-{group.number}",
        title="Learning curves",
        caption=_caption(group, shown, start),
        alt=(
            f"Curves over the epochs of {', '.join(shown)} in training, one column for each of "
            f"{', '.join(group.modalities)}, for {', '.join(drawn)}."
        ),
    )


def _canvas(
    group: Group,
    curves: Mapping[tuple[str, str, str], Sequence[Curve]],
    shown: Sequence[str],
    start: int | None,
) -> Canvas:
    """Return a row for each quantity and a column for each modality."""
    canvas = new_canvas(0.75 + 1.45 * len(shown))
    panels = canvas.subplots(
        len(shown), len(group.modalities), sharex=True, sharey="row", squeeze=False
    )
    for line, quantity in zip(panels, shown, strict=True):
        for axes, modality in zip(line, group.modalities, strict=True):
            for n, config in enumerate(group.configs):
                # A method without a log has none, and is not named above.
                if found := curves[config.name, modality, quantity]:
                    _draw(axes, found, config.name, n, len(group.configs))
            if start is not None:
                axes.axvline(start + 0.5, color=GREY, linestyle="--", linewidth=0.8)
            axes.grid(axis="y")
        line[0].set_ylabel(quantity)
        _scale(line[0], quantity, [c for key in curves if key[2] == quantity for c in curves[key]])
    for axes, modality in zip(panels[0], group.modalities, strict=True):
        axes.set_title(clean(modality), loc="left")
        _name_stage(axes, start)
    for axes in panels[-1]:
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
    add_legend(canvas, panels[0, 0])
    return canvas


def _curves(
    config: Configuration, logs: Mapping[Path, Sequence[Entry]], modality: str, quantity: str
) -> list[Curve]:
    curves = [run_curve(logs[run.folder], modality, quantity) for run in config.runs]
    return [curve for curve in curves if curve.epochs]


def _draw(axes: Axes, curves: Sequence[Curve], label: str, number: int, count: int) -> None:
    colour = COLOURS[number % len(COLOURS)]
    if 1 < len(curves) <= _MAX_THIN:
        for curve in curves:
            x = [epoch + 1 for epoch in curve.epochs]
            axes.plot(x, curve.values, color=colour, alpha=0.35, linewidth=0.6)
    mean = mean_curve(curves)
    # Methods share stage one: the first lies broad below the later ones.
    width = 1.3 + (count - 1 - number) * min(1.0, 2.5 / max(count - 1, 1))
    x = [epoch + 1 for epoch in mean.epochs]
    marker = "o" if len(x) < 4 else ""
    # Colours come round again; then the line is broken.
    style = "solid" if number < len(COLOURS) else "dashed"
    look: dict[str, Any] = {
        "color": colour,
        "linewidth": width,
        "linestyle": style,
        "marker": marker,
    }
    axes.plot(x, mean.values, label=label, markersize=3.5, **look)


def _name_stage(axes: Axes, start: int | None) -> None:
    if start is None:
        return
    axes.annotate(
        "stage two",
        (start + 0.5, 1.0),
        (0, 2),
        xycoords=axes.get_xaxis_transform(),
        textcoords="offset points",
        ha="center",
        va="bottom",
        size=7,
        color=GREY,
    )


def _scale(axes: Axes, quantity: str, curves: Sequence[Curve]) -> None:
    if quantity in ("SSA share", "\u03c1 open"):
        axes.set_ylim(-0.03, 1.03)
    elif max(value for curve in curves for value in curve.values) > _LINEAR_UP_TO:
        axes.set_yscale("symlog", linthresh=1.0)
        # The scale's own labels are formulae, and so is no text here.
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_ylim(bottom=0.0)
    elif quantity != "cross-entropy":
        axes.set_ylim(bottom=0.0)


def _caption(group: Group, shown: Sequence[str], start: int | None) -> str:
    words = ["Training cross-entropy of each network, mean of an epoch"]
    if "mean \u03c1" in shown:
        words.append("\u03c1, mean over clips and other networks")
    if "\u03c1 open" in shown:
        words.append("share of clips for which \u03c1 is above 0, the other network being better")
    if "distance" in shown:
        words.append("squared distance of the correlation matrices, unweighted")
    if "SSA share" in shown:
        words.append("share of the alignment term in the loss")
    runs = any(len(config.runs) > 1 for config in group.configs)
    text = "; ".join(words) + "."
    text += " Broad lines are means over folds and seeds, thin ones single runs." if runs else ""
    if start is not None:
        text += f" The dashed line separates stage one (epochs 1 to {start}) from stage two."
    remark = f" {group.remark}" if group.remark else ""
    return f"{text}{remark} {scope(group.configs)} {describe(group)}"
