"""Where every number comes from: one line per run, and all that its manifest says of its making."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from msgspec import UNSET

from mtut_bench.files import canonical_json
from mtut_bench.report.page.grid import Grid, grid
from mtut_bench.report.tables.table import Number, Table, TableCell
from mtut_bench.runs.finished import FinishedRun
from mtut_bench.runs.record import RunRecord
from mtut_bench.runs.repeating import method_option
from mtut_bench.statistics.rows import modality_order

__all__ = ["Provenance", "provenance"]

_UNKNOWN = "not recorded"


@dataclass(frozen=True)
class Provenance:
    """Runs as the page shows them.

    Attributes:
        grid: one line for each run.
        details: (what, value) pairs of each run, in the order of the lines.
    """

    grid: Grid
    details: tuple[tuple[tuple[str, str], ...], ...]


def provenance(runs: Sequence[FinishedRun]) -> Provenance:
    """Return where the numbers of some runs come from.

    Args:
        runs: in the order to show.
    """
    lines = [_line(run.record) for run in runs]
    heads, rows = tuple(lines[0]) if lines else (), tuple(tuple(line.values()) for line in lines)
    table = Table("runs", "Every run behind this page", heads, rows, num_labels=len(heads))
    return Provenance(
        grid=grid(table, table.key),
        details=tuple(_details(run.record) for run in runs),
    )


def _line(record: RunRecord) -> dict[str, TableCell]:
    identity, protocol, made = record.identity, record.protocol, record.provenance
    fold = identity.fold
    return {
        "Run": record.id[:12],
        "Method": record.method.title,
        "Trained on": "+".join(sorted(identity.modalities, key=modality_order)),
        "Store": record.store.name,
        "Fold": Number(int(fold)) if fold.isdecimal() and fold == str(int(fold)) else fold,
        "Seed": Number(identity.seed),
        "Protocol": f"{protocol.name} v{protocol.version}",
        "Device": made.device,
        "Seconds": "" if made.seconds is UNSET else Number(made.seconds, form=","),
        "Finished (UTC)": _moment(made.finished or "") or _UNKNOWN,
    }


def _details(record: RunRecord) -> tuple[tuple[str, str], ...]:
    identity, made = record.identity, record.provenance
    pairs = (
        ("Run", record.id),
        ("Store", f"{record.store.name}, digest {record.store.digest}"),
        ("Method", method_option(record)),
        ("Command", made.command or _UNKNOWN),
        ("Git revision", made.git or _UNKNOWN),
        ("Versions", _words(made.versions or {}) or _UNKNOWN),
        ("Precision", identity.precision),
        ("Threads", "" if made.threads is UNSET else str(made.threads)),
        ("Started (UTC)", _moment(made.started or "")),
        ("Interrupted", "yes; the time is that of its last part" if made.resumed else "no"),
        ("Weights", identity.weights_digest or "from scratch"),
        ("Settings of the method", _settings(identity.method)),
        ("Settings of the protocol", _settings(identity.protocol)),
        ("Overridden", _words(identity.overrides) or "nothing"),
        ("Learning rate of stage two", _words(record.joint_learning_rate)),
        ("Padded clips", str(len(record.padded_clips))),
    )
    return tuple((what, value) for what, value in pairs if value)


def _moment(text: str) -> str:
    """Return a moment to the second in UTC; a text that is none, or has no zone, as it is."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if moment.tzinfo else text


def _settings(settings: Mapping[str, Any]) -> str:
    return _words({name: value for name, value in settings.items() if name != "name"})


def _words(values: Mapping[str, Any]) -> str:
    """Return names and values in the order of the names; empty ones say nothing and are left out.

    What belongs to a part stands behind the part's name and a dot, except that the part 'settings'
    goes without saying.
    """
    return ", ".join(f"{name} {value}" for name, value in _flat(values))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in sorted(values.items()):
        if isinstance(value, Mapping):
            yield from _flat(value, prefix if name == "settings" else f"{prefix}{name}.")
        elif value not in ("", []):
            yield prefix + name, canonical_json(value) if isinstance(value, list) else str(value)
