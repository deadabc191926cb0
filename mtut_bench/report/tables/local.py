"""Local tables: for every number without a published counterpart.

One table for each store, protocol and set of overridden options; its heading says what it is worth.
"""

import json
from collections import defaultdict
from collections.abc import Sequence

from mtut_bench.contract.folds import FOLD_UNIT
from mtut_bench.contract.types import name_recordings
from mtut_bench.progress import counted
from mtut_bench.report.tables.table import Number, Table, TableCell, measure, number_of
from mtut_bench.statistics import comparable
from mtut_bench.statistics.cells import Cell, cell_row, legend
from mtut_bench.statistics.ensembles import ensemble_notes, members_title
from mtut_bench.statistics.notes import fit_notes, setting_notes, source_notes
from mtut_bench.statistics.rows import ResultRow, RunFacts, modality_order

__all__ = ["heading", "local_tables"]

_DIGITS = 1


def local_tables(rows: Sequence[ResultRow]) -> list[Table]:
    """Return one table for each group of rows, recorded data first."""
    groups: dict[tuple[str, ...], list[ResultRow]] = defaultdict(list)
    for row in rows:
        groups[comparable.key(row, "table")].append(row)
    ordered = [groups[key] for key in sorted(groups)]
    titles = [heading(group[0]) for group in ordered]
    tables = []
    for number, (title, group) in enumerate(zip(titles, ordered, strict=True), 1):
        alike = [g[0] for g, other in zip(ordered, titles, strict=True) if other == title]
        told = comparable.described(group[0], comparable.differing(alike, "table"))
        tables.append(_table(f"own-{number}", f"{title} ({told})" if told else title, group))
    return tables


def heading(row: RunFacts) -> str:
    """Return what the numbers of a group are and what they are worth."""
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
    return f"{where.capitalize()}, {protocol}: no published counterpart"


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
    shown: list[tuple[TableCell, ...]] = []
    cells: list[Cell] = []
    refused: list[str] = []
    for line in lines:
        done: list[Cell] = []
        numbers: list[Number] = []
        reasons: set[str] = set()
        for name in tested:
            found = [row for row in line if row["tested_on"] == name]
            cell, note = measure(found)
            raw = cell_row(key, title, cell, found) if found else None
            if raw:
                raw["note"] = note
            numbers.append(number_of(cell, _DIGITS, raw=raw))
            done += [cell] if cell else []
            reasons |= {note} if note else set()
        labels = (line[0]["title"], line[0]["modalities"]) if with_sets else (line[0]["title"],)
        folds = Number(len(done[0].folds), of=done[0].num_folds) if done else Number(None)
        seeds = Number(len(done[0].seeds) if done else None)
        shown.append((*labels, folds, seeds, *numbers))
        cells += done
        # With the line's name: a seed of an ensemble is a pair of seeds.
        refused += [f"{line[0]['title']}: {why}" for why in sorted(reasons)]
    names = ("Method", "Trained on") if with_sets else ("Method",)
    return Table(
        key=key,
        heading=title,
        columns=(*names, "Folds", "Seeds", *tested),
        rows=tuple(shown),
        notes=(*refused, *_notes(rows, lines, cells)),
        num_labels=len(names) + 2,
        at_chance=_at_chance(cells),
    )


def _at_chance(cells: Sequence[Cell]) -> bool:
    return bool(cells) and all(cell.at_chance for cell in cells)


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
        notes.append("These ranks apply to synthetic recordings; they are untested on real ones.")
    if _at_chance(cells):
        notes.append(
            "These numbers are at chance: the 95 % interval of every cell contains it. "
            "They show only that "
            "the pipeline works."
        )
    elif cells and all(cell.interval[0] > cell.chance for cell in cells):
        lowest = min(cell.interval[0] for cell in cells)
        notes.append(
            "All numbers are above chance: the lowest 95 % interval starts at"
            f" {lowest:.{_DIGITS}f} %."
        )
    if cells:
        words = legend(cells)
        notes.append(f"{words[0].upper()}{words[1:]}.")
    notes += _alike(lines)
    # An ensemble has its members' settings, which one note gives.
    members: list[ResultRow] = [{**row, "title": members_title(row)} for row in rows]
    sources = [*setting_notes(members), *fit_notes(rows), *source_notes(rows)]
    return [*notes, *ensemble_notes(rows), *sources]
