"""Which runs the published tables need: the union, each run once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mtut_bench.contract.method import Method
from mtut_bench.contract.protocol import Protocol
from mtut_bench.contract.published import Published, PublishedRow, PublishedTable, load_published
from mtut_bench.contract.types import sort_modalities
from mtut_bench.errors import UsageError
from mtut_bench.progress import counted, format_duration
from mtut_bench.runs.plan import RunPlan
from mtut_bench.runs.workload import Workload, measured_rate

__all__ = ["Need", "choose_tables", "describe_tables", "needed_runs"]


@dataclass(frozen=True, order=True)
class Need:
    """A method that a table needs on all folds of a dataset, with its modalities in order."""

    dataset: str
    protocol: str
    method: str
    modalities: tuple[str, ...]


def choose_tables(text: str) -> list[str]:
    """Return the numbers of the tables that a user named: '7', '1,3' or 'all'.

    Raises:
        UsageError: there is no such table.
    """
    known = list(load_published().tables)
    if text == "all":
        return known
    numbers = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    unknown = [number for number in numbers if number not in known]
    if unknown or not numbers:
        raise UsageError(f"unknown table {text!r}", f"Choose from {', '.join(known)}, or all.")
    return numbers


def describe_tables(
    plans: Mapping[str, Sequence[RunPlan]], clips_per_s: float | None = None
) -> list[str]:
    """Return what is left to do for each table by itself, one line each.

    Tables share runs and stage one: together they need less than the sum.

    Args:
        plans: the runs of each table, by its number.
        clips_per_s: clips that one network trains on per second; None: as earlier runs measured.
    """
    lines: list[str] = []
    for number, needed in plans.items():
        passes = Workload.of(needed).clip_passes
        rate = clips_per_s or measured_rate(needed)
        text = f"table {number} alone: {counted(len(needed), 'run')}, {passes:,} clip passes"
        if rate:
            text += f", about {format_duration(passes / rate)} at {rate:,.2f} clips/s"
        lines.append(text)
    return lines


def needed_runs(
    numbers: Sequence[str],
    methods: Mapping[str, Method],
    protocols: Mapping[str, Protocol],
    *,
    dataset: str | None = None,
    protocol: str | None = None,
) -> list[Need]:
    """Return what must be run to fill tables, each need once.

    A method of one modality needs one run for all modality sets of a dataset. Systems of the paper
    that are not among the methods are left out.

    Args:
        numbers: of the tables.
        methods: by name; found in a table by their titles.
        protocols: by name; the first that may fill a table is taken.
        dataset: instead of that of the tables (a synthetic one, say).
        protocol: instead of the one that may fill the table.

    Raises:
        UsageError: no protocol may fill a table, or none of the methods is in it.
    """
    published = load_published()
    found: set[Need] = set()
    for number in numbers:
        table = published.tables[number]
        rules = protocol or _protocol_for(number, protocols)
        needs = {
            Need(dataset or table.dataset, rules, method.name, _trained_on(row, table, published))
            for row in table.rows
            for method in methods.values()
            if row.method in (method.title, method.fusion_title)
        }
        if not needs:
            raise UsageError(
                f"table {number} has no method of mtut-bench",
                "See `mtut-bench list methods`.",
            )
        found |= needs
    return sorted(_merge(found, methods))


def _protocol_for(number: str, protocols: Mapping[str, Protocol]) -> str:
    for name, rules in protocols.items():
        if number in rules.tables:
            return name
    raise UsageError(f"no protocol can fill table {number}", "Name one with --protocol.")


def _trained_on(row: PublishedRow, table: PublishedTable, published: Published) -> tuple[str, ...]:
    if row.trained_on:
        return sort_modalities(row.trained_on)
    if row.method in published.trained_alone and row.fused:
        return sort_modalities(row.fused)
    # Where the paper prints a dash nothing was trained.
    columns = [n for n, value in enumerate(row.values) if value is not None]
    return sort_modalities({m for n in columns for m in table.tested_on(row, n).split("+")})


def _merge(needs: set[Need], methods: Mapping[str, Method]) -> set[Need]:
    """Return the needs, with one run per dataset and protocol for methods of one modality."""
    merged: dict[tuple[str, str, str], set[str]] = {}
    together = {need for need in needs if methods[need.method].min_modalities > 1}
    for need in needs - together:
        key = (need.dataset, need.protocol, need.method)
        merged.setdefault(key, set()).update(need.modalities)
    return together | {Need(*key, sort_modalities(names)) for key, names in merged.items()}
