"""What a comparison comes to, in at most three short lines; all of it is in its sentences."""

from collections.abc import Sequence

from mtut_bench.progress import counted
from mtut_bench.report.comparisons.phrases import interval, p_value, points, units, whose_clips
from mtut_bench.statistics.paired import LEVEL, ComparisonRow, doubts
from mtut_bench.statistics.rows import RunFacts
from mtut_bench.statistics.sides import Paired

__all__ = ["kind_of_store", "score_verdict", "verdict", "worth"]


def verdict(pairs: Sequence[Paired], rows: Sequence[ComparisonRow]) -> tuple[str, str, str]:
    """Return three lines: the difference, whether it is established, what it is worth, if little.

    They are about the question asked first: of each set trained on the mean over modalities, or
    its only modality.

    Args:
        pairs: what was compared, at least one, all of one store.
        rows: its numbers, corrected.
    """
    asked: dict[str, ComparisonRow] = {}
    for row in rows:
        asked.setdefault(row["trained_on"], row)
    if len(asked) > 1:
        return _several(list(asked.values()), pairs)
    (row,) = asked.values()
    difference = (
        f"{row['a']} against {row['b']}, {row['tested_on']}: {points(row['difference'])} points, "
        f"95 % interval {interval(row)}."
    )
    return difference, _established(row), _worth(pairs)


def score_verdict(rows: Sequence[ComparisonRow]) -> str:
    """Return one line on how a user's predictions compare with stored runs.

    Args:
        rows: at least one, corrected together; the predictions are side a of each.
    """
    name = rows[0]["a"]
    better, worse = (
        ", ".join(
            f"{row['b']} on {row['tested_on']}"
            for row in rows
            if row["established"] and (row["difference"] > 0.0) is wanted
        )
        for wanted in (True, False)
    )
    if not better and not worse:
        return f"No difference between {name} and a stored run is established."
    parts = [f"better than {better}"] if better else []
    parts += [f"worse than {worse}"] if worse else []
    others = "" if all(row["established"] for row in rows) else "; nothing else is"
    return f"Established {_for_whom(rows[0])}: {name} is {' and '.join(parts)}{others}."


def _several(asked: Sequence[ComparisonRow], pairs: Sequence[Paired]) -> tuple[str, str, str]:
    """Return the lines on runs that were trained on several sets of modalities."""
    parts = (f"{row['trained_on']} {points(row['difference'])}" for row in asked)
    names = f"{asked[0]['a']} minus {asked[0]['b']}"
    # Sets may have other folds, and then other persons.
    found: dict[str, list[str]] = {}
    for row in sorted(asked, key=lambda row: not row["established"]):
        what = f"established {_for_whom(row)}" if row["established"] else "not established"
        found.setdefault(what, []).append(row["trained_on"])
    sentence = "; ".join(f"{what}: {', '.join(sets)}" for what, sets in found.items())
    return (
        f"{names} in points, by modalities trained on: {', '.join(parts)}.",
        f"{sentence[0].upper()}{sentence[1:]}.",
        _worth(pairs),
    )


def _established(row: ComparisonRow) -> str:
    tested = f"{p_value(row['p_holm'])}; {units(row)}, {counted(row['num_clips'], 'clip')}"
    if row["established"]:
        better = row["a"] if row["difference"] > 0.0 else row["b"]
        return f"Established {_for_whom(row)}: {better} is better ({tested})."
    # Where p would say otherwise, the reader must see what does not.
    doubt = f": {doubts(row)}" if row["p_holm"] <= LEVEL else ""
    return f"Which is better is not established{doubt} ({tested})."


def _for_whom(row: ComparisonRow) -> str:
    return f"for {whose_clips(row)}" if row["primary"] == "clips" else "at the 5 % level"


def worth(*reasons: str) -> str:
    """Return a line on what keeps numbers from standing beside published ones, or "".

    Args:
        reasons: in words; empty ones do not count.
    """
    found = ", ".join(filter(None, reasons))
    return f"Not comparable with published numbers: {found}." if found else ""


def kind_of_store(origin: str, num_clips: int, expected_clips: int) -> str:
    """Return in words that a store is not a complete recorded dataset, or ""."""
    if origin != "recorded":
        return origin
    return (
        f"{num_clips:,} of {counted(expected_clips, 'clip')}" if num_clips < expected_clips else ""
    )


def _worth(pairs: Sequence[Paired]) -> str:
    kinds, incomplete = (_kind(two.row) for two in pairs), (two.incomplete for two in pairs)
    return worth(*dict.fromkeys(kinds), *dict.fromkeys(incomplete))


def _kind(row: RunFacts) -> str:
    """Return the first thing that keeps a number from standing beside published ones, or ""."""
    store = kind_of_store(row["origin"], row["num_clips"], row["expected_clips"])
    if store or row["tables"]:
        return store or ("changed options" if row["overrides"] != "{}" else "")
    return f"protocol {row['protocol']}"
