"""Tables of their own for every number that may not, or cannot, stand beside a printed one.

One table for each store, protocol and set of overridden options; its heading says what it is worth.
"""

import json
from collections import defaultdict
from collections.abc import Sequence

from mtut_bench.contract.folds import FOLD_UNIT
from mtut_bench.contract.types import name_recordings
from mtut_bench.progress import counted
from mtut_bench.report.tables.table import Number, Table, TableCell, number_of
from mtut_bench.statistics import comparable
from mtut_bench.statistics.cells import (
    Cell,
    CellRow,
    aggregate,
    cell_row,
    legend,
    not_mixed,
    seeds_left_out,
)
from mtut_bench.statistics.ensembles import ensemble_notes, members_title
from mtut_bench.statistics.notes import fit_notes, setting_notes, source_notes
from mtut_bench.statistics.rows import ResultRow, RunFacts, modality_order

__all__ = ["heading", "own_tables"]

_DIGITS = 1


def own_tables(rows: Sequence[ResultRow]) -> list[Table]:
    """Return one table for each group of rows, recorded data first.

    Args:
        rows: measured numbers that have no place beside printed ones.
    """
    groups: dict[tuple[str, ...], list[ResultRow]] = defaultdict(list)
    for row in rows:
        groups[comparable.key(row, "table")].append(row)
    ordered = [groups[key] for key in sorted(groups)]
    titles = [heading(group[0]) for group in ordered]
    return [
        _table(f"own-{n}", _told_apart(title, group[0], ordered, titles), group)
        for n, (title, group) in enumerate(zip(titles, ordered, strict=True), 1)
    ]


def _told_apart(
    title: str, row: ResultRow, groups: Sequence[Sequence[ResultRow]], titles: Sequence[str]
) -> str:
    """Return a table's title, with what tells it from others of that title."""
    alike = [group[0] for group, other in zip(groups, titles, strict=True) if other == title]
    told = comparable.described(row, comparable.differing(alike, "table"))
    return f"{title} ({told})" if told else title


def heading(row: RunFacts) -> str:
    """Return what the numbers of a group are and what they are worth.

    Args:
        row: any row of the group.
    """
    all_clips = counted(row["expected_clips"], "clip")
    some = f"{row['num_clips']:,} of {all_clips}"
    protocol = f"protocol {row['protocol']}{_changed(row)}"
    worth = "not comparable with published numbers"
    kind = name_recordings(row["origin"])
    if row["origin"] != "recorded" or not row["complete"]:
        return f"{kind.capitalize()} ({row['dataset']}, {some}), {protocol}: {worth}"
    where = f"{kind} ({row['dataset']}, all {all_clips})"
    if not row["tables"]:
        return f"P{protocol[1:]}, not the paper's; {where}: {worth}"
    if row["overrides"] != "{}":
        return f"P{protocol[1:]}; {where}: {worth}"
    return f"{where.capitalize()}, {protocol}: nothing printed to stand beside"


def _changed(row: RunFacts) -> str:
    overrides = json.loads(row["overrides"])
    unit = overrides.pop(FOLD_UNIT, "")
    options = [f"{name}={value}" for name, value in overrides.items()]
    folds = f", folds by {unit} (one person may be on both sides)" if unit else ""
    return (f" with {', '.join(options)} changed" if options else "") + folds


def _table(key: str, title: str, rows: Sequence[ResultRow]) -> Table:
    tested = sorted({row["tested_on"] for row in rows}, key=modality_order)
    lines = _group_lines(rows)
    with_sets = len({line[0]["modalities"] for line in lines}) > 1
    rows_shown: list[tuple[TableCell, ...]] = []
    raws: list[CellRow] = []
    cells: list[Cell] = []
    refused: list[str] = []
    for line in lines:
        found = [[row for row in line if row["tested_on"] == name] for name in tested]
        mixed = [not_mixed(some) for some in found]
        measured = [
            aggregate(some) if some and not why else None
            for some, why in zip(found, mixed, strict=True)
        ]
        rows_shown.append(_line(line[0], measured, with_sets))
        for some, cell, why in zip(found, measured, mixed, strict=True):
            if some:
                raws.append(cell_row(key, title, cell, some))
                raws[-1]["note"] = seeds_left_out(cell) if cell else why
        cells += [cell for cell in measured if cell]
        # With the line's name: a seed of an ensemble is a pair, and another one than a run's.
        reasons = {*mixed, *(seeds_left_out(cell) for cell in measured if cell)} - {""}
        refused += [f"{line[0]['title']}: {why}" for why in sorted(reasons)]
    labels = ("Method", "Trained on") if with_sets else ("Method",)
    return Table(
        key=key,
        heading=title,
        columns=(*labels, "Folds", "Seeds", *tested),
        rows=tuple(rows_shown),
        notes=(*refused, *_notes(rows, lines, cells)),
        num_labels=len(labels) + 2,
        cells=tuple(raws),
    )


def _alike(lines: Sequence[Sequence[ResultRow]]) -> list[str]:
    """Return a sentence on lines of the same name, or nothing."""
    named: dict[tuple[str, str], list[ResultRow]] = defaultdict(list)
    for line in lines:
        named[line[0]["method"], line[0]["modalities"]] += line
    several = [rows for rows in named.values() if len({row["family"] for row in rows}) > 1]
    found = sorted({comparable.difference(rows, "cell") for rows in several})
    return [f"Lines of the same name differ in {', '.join(found)}."] if found else []


def _group_lines(rows: Sequence[ResultRow]) -> list[list[ResultRow]]:
    """Return the rows of each line: one method, one set it was trained on, one family."""
    lines: dict[tuple[str, str, str], list[ResultRow]] = defaultdict(list)
    for row in rows:
        lines[row["method"], row["modalities"], row["family"]].append(row)
    order = sorted(lines, key=lambda line: (line[0], modality_order(line[1]), line[2]))
    return [lines[line] for line in order]


def _line(
    row: ResultRow, measured: Sequence[Cell | None], with_sets: bool
) -> tuple[TableCell, ...]:
    labels = (row["title"], row["modalities"]) if with_sets else (row["title"],)
    done = [cell for cell in measured if cell]
    folds = Number(len(done[0].folds), of=done[0].num_folds) if done else Number(None)
    seeds = Number(len(done[0].seeds) if done else None)
    return (*labels, folds, seeds, *(number_of(cell, _DIGITS) for cell in measured))


def _notes(
    rows: Sequence[ResultRow], lines: Sequence[Sequence[ResultRow]], cells: Sequence[Cell]
) -> list[str]:
    first = rows[0]
    clips = {row["fold"]: row["total"] for row in rows}
    chance = (
        f"Chance is {100.0 / first['num_classes']:.{_DIGITS}f} % (1 of {first['num_classes']} "
        f"classes); {counted(sum(clips.values()), 'test clip')} in {len(clips)} of "
        f"{counted(first['num_folds'], 'fold')}."
    )
    notes = [chance]
    if first["origin"] != "recorded":
        notes.append(
            "Ranks here are about these drawings; whether they hold for real recordings is "
            "untested."
        )
    if cells and all(cell.at_chance for cell in cells):
        notes.append(
            "These numbers are at chance: the 95 % interval of every cell contains it. They show "
            "that the path works, not that a method does."
        )
    elif cells and all(cell.interval[0] > cell.chance for cell in cells):
        lowest = min(cell.interval[0] for cell in cells)
        notes.append(
            "Every number is above chance: the lowest 95 % interval begins at"
            f" {lowest:.{_DIGITS}f} %."
        )
    if cells:
        words = legend(cells)
        notes.append(f"{words[0].upper()}{words[1:]}.")
    notes += _alike(lines)
    # An ensemble has its members' settings: said once.
    members: list[ResultRow] = [{**row, "title": members_title(row)} for row in rows]
    behind = [*setting_notes(members), *fit_notes(rows), *source_notes(rows)]
    return [*notes, *ensemble_notes(rows), *behind]
