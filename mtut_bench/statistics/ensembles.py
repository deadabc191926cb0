"""Two seeds of one method on one modality, averaged: what a second network gives by itself.

Any two networks that err apart gain from being averaged, also two of one modality: a fusion's gain
is the other modality's only as far as it exceeds this.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from mtut_bench.contract import predictions
from mtut_bench.errors import PredictionError, RunError
from mtut_bench.files import sha256_of_json
from mtut_bench.runs.finished import FinishedRun
from mtut_bench.statistics.rows import COLUMNS, NO_FIT, ResultRow, numbers_of

__all__ = ["ENSEMBLED", "ensemble_notes", "ensemble_rows", "is_ensemble", "members_title"]

ENSEMBLED = ("i3d", "c3d")
"""Methods whose seeds are averaged: the baselines, whose networks do not learn from each other.

Names as text: the core imports no method, and no manifest says that an objective is plain
cross-entropy.
"""

_NUM_SEEDS = 2
# The space sorts the ensemble right after its method, before 'i3d+ssa' and 'i3d-again'.
_METHODS = {f"{name} x{_NUM_SEEDS}": name for name in ENSEMBLED}
_TITLE = ", two seeds"
# What two members may differ in: what a seed changes.
_OF_THE_SEED = (
    *("run", "seed", "learning_rate", "fit", "correct", "total", "value"),
    *("ci_low", "ci_high", "macro", "per_subject"),
)


class _Member(NamedTuple):
    """One network: its run and the row of its modality."""

    row: ResultRow
    run: FinishedRun


def ensemble_rows(runs: Iterable[FinishedRun], rows: Iterable[ResultRow]) -> tuple[ResultRow, ...]:
    """Return a row for every two seeds 2k and 2k + 1 of a plain baseline, fold and modality.

    Pairs are fixed by the seeds' numbers: the same in every fold, independent of scores, and no run
    in two of them. A seed without the other one gives nothing, nor does one that is there twice.

    Args:
        runs: as ``find_runs`` returns them, in any order; those of other methods are passed over.
        rows: of these runs, as ``result_rows`` returns them.

    Raises:
        RunError: two members were not tested on the same clips; names folders and hint.
    """
    kinds: dict[tuple[object, ...], dict[int, list[_Member]]] = defaultdict(dict)
    by_id = {run.record.id[:12]: run for run in runs}
    for row in rows:
        run = by_id[row["run"]]
        if row["method"] in ENSEMBLED and row["tested_on"] in run.scores.modalities:
            kind = tuple(dict(row)[name] for name in COLUMNS if name not in _OF_THE_SEED)
            kinds[kind].setdefault(row["seed"], []).append(_Member(row, run))
    return tuple(
        _row(number, *members)
        for kind in sorted(kinds, key=repr)
        for number, members in _pairs(kinds[kind])
    )


def _pairs(
    by_seed: Mapping[int, Sequence[_Member]],
) -> Iterator[tuple[int, tuple[_Member, _Member]]]:
    for number in sorted({seed // _NUM_SEEDS for seed in by_seed}):
        first, second = (by_seed.get(_NUM_SEEDS * number + n, ()) for n in range(_NUM_SEEDS))
        # Two runs of one seed contradict each other, and neither is chosen.
        if len(first) == len(second) == 1:
            yield number, (first[0], second[0])


def _row(number: int, first: _Member, second: _Member) -> ResultRow:
    probabilities_NK = _averaged(first, second)
    row = first.row.copy()
    row["run"] = sha256_of_json([first.row["run"], second.row["run"]])[:12]
    row["method"] = f"{row['method']} x{_NUM_SEEDS}"
    row["title"] = row["printed_as"] = f"{row['title']}{_TITLE}"
    row["seed"] = number
    # Of another family than its members, so that no mean is over one network here, two there.
    row["family"] = sha256_of_json({"family": row["family"], "num_seeds": _NUM_SEEDS})[:12]
    rates = dict.fromkeys(member.row["learning_rate"] for member in (first, second))
    # A space would look like the rates of two modalities.
    row["learning_rate"] = "/".join(rates)
    row["fit"] = NO_FIT
    return {
        **row,
        **numbers_of(probabilities_NK, first.run.scores.labels_N, first.run.subjects),
    }


def _averaged(first: _Member, second: _Member) -> predictions.Probabilities:
    runs = (first.run, second.run)
    try:
        averaged_NK = predictions.average([run.scores for run in runs], first.row["tested_on"])
    except PredictionError as fault:
        raise _unlike(runs, fault.what) from fault
    subjects = [dict(zip(run.scores.clip_ids, run.subjects, strict=True)) for run in runs]
    for clip, subject in subjects[0].items():
        if subjects[1][clip] != subject:
            other = subjects[1][clip]
            what = f"Clip {clip!r} has subject {subject!r} in one run and {other!r} in another."
            raise _unlike(runs, what)
    return averaged_NK


def _unlike(runs: tuple[FinishedRun, FinishedRun], what: str) -> RunError:
    return RunError(
        f"{runs[0].folder} and {runs[1].folder} are two seeds of one fold. {what}",
        "One of them was altered: move it out of the runs folder, or repeat it.",
    )


def is_ensemble(row: ResultRow) -> bool:
    """Return whether a row is of two runs instead of one."""
    return row["method"] in _METHODS and row["title"].endswith(_TITLE)


def members_title(row: ResultRow) -> str:
    """Return the title of a row's method: that of its members, where it is an ensemble."""
    return row["title"].removesuffix(_TITLE) if is_ensemble(row) else row["title"]


def ensemble_notes(rows: Sequence[ResultRow]) -> list[str]:
    """Return what the ensembles among the rows of a local table are, or nothing."""
    notes = []
    for title in sorted({row["title"] for row in rows if is_ensemble(row)}):
        pairs = [row for row in rows if row["title"] == title]
        notes.append(
            f"{title}: the mean probability of two networks of the same modality that differ in "
            "seed; as many networks as a fusion of two modalities. Its seed k joins seeds 2k and "
            "2k + 1."
        )
        alone = {(row["method"], row["modalities"], row["tested_on"]) for row in rows}
        places = ((_METHODS[row["method"]], row["modalities"], row["tested_on"]) for row in pairs)
        if not alone.issuperset(places):
            notes.append(
                f"Numbers of {members_title(pairs[0])} that are not here, alone or fused, have "
                "their place beside printed ones."
            )
    return notes
