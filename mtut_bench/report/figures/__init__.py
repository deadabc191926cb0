"""The figures of a report: the paper's, where runs allow it, and those a reviewer asks for.

A figure that cannot be drawn is left out, with a remark that says why.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from mtut_bench.report.figures.accuracy import class_figure, length_figure, person_figure
from mtut_bench.report.figures.canvas import Figure, style
from mtut_bench.report.figures.confusions import confusion_figure
from mtut_bench.report.figures.features import features_figure
from mtut_bench.report.figures.focal import BETA, FocalWeight, focal_figure
from mtut_bench.report.figures.groups import Group, group_runs
from mtut_bench.report.figures.strips import strips_figure
from mtut_bench.report.figures.training import curves_figure
from mtut_bench.runs.finished import FinishedRun

__all__ = ["BETA", "Drawn", "FocalWeight", "draw_figures"]

_Job = Callable[[], Figure | str]


@dataclass(frozen=True)
class Drawn:
    """The figures of a report.

    Attributes:
        figures: in the order of a report; every key once.
        remarks: sentences on figures that could not be drawn.
    """

    figures: tuple[Figure, ...]
    remarks: tuple[str, ...]


def draw_figures(
    runs: Sequence[FinishedRun],
    *,
    focal_weight: FocalWeight,
    progress: Callable[[int, int], object] | None = None,
) -> Drawn:
    """Return all figures that some finished runs allow; equal runs give equal bytes.

    Args:
        runs: as ``find_runs`` returns them; may be empty.
        focal_weight: the methods' own function of equation 3 at beta 2: loss of the network in
            training and of the other network, float64, any shape, to rho.
        progress: called with (done, total).

    Raises:
        RunError: a run whose manifest, log or ``maps.npz`` is damaged; names the file.
    """
    jobs = list(_jobs(group_runs(runs), focal_weight))
    figures: list[Figure] = []
    remarks: list[str] = []
    with style():
        for done, job in enumerate(jobs, 1):
            result = job()
            if isinstance(result, Figure):
                figures.append(result)
            elif result not in remarks:
                remarks.append(result)
            if progress:
                progress(done, len(jobs))
    return Drawn(tuple(figures), tuple(remarks))


def _jobs(groups: Sequence[Group], focal_weight: FocalWeight) -> Iterator[_Job]:
    yield partial(focal_figure, focal_weight)
    stores: dict[tuple[str, str], list[Group]] = defaultdict(list)
    for group in groups:
        stores[group.row["store"], group.row["store_digest"]].append(group)
    for number, members in enumerate(stores.values(), 1):
        yield partial(strips_figure, members, number)
    for group in groups:
        yield partial(features_figure, group)
        for modality in group.modalities:
            yield partial(confusion_figure, group, modality)
        yield partial(class_figure, group)
        yield partial(person_figure, group)
        yield partial(curves_figure, group)
        yield partial(length_figure, group)
