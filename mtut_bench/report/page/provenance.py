"""Where every number comes from: one line per run, and what its manifest says of its making."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from mtut_bench.files import canonical_json
from mtut_bench.report.tables.table import Number, Table, TableCell
from mtut_bench.runs.finished import FinishedRun
from mtut_bench.runs.record import RunRecord
from mtut_bench.statistics.rows import modality_order

__all__ = ["run_details", "runs_table"]


def runs_table(runs: Sequence[FinishedRun]) -> Table:
    """Return one line for each run."""
    lines = [_line(run.record) for run in runs]
    heads, rows = tuple(lines[0]) if lines else (), tuple(tuple(line.values()) for line in lines)
    return Table("runs", "All runs used for this page", heads, rows, num_labels=len(heads))


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
        "Seconds": Number(made.seconds, form=","),
        "Finished (UTC)": _utc(made.finished),
    }


def run_details(record: RunRecord) -> tuple[tuple[str, str], ...]:
    """Return (what, value) pairs: all that the manifest of a run says of its making."""
    identity, made = record.identity, record.provenance
    pairs = (
        ("Run", record.id),
        ("Store", f"{record.store.name}, digest {record.store.digest}"),
        ("Method", record.spec.method),
        ("Command", made.command),
        ("Git revision", made.git or "not recorded"),
        ("Versions", _words(made.versions)),
        ("Precision", identity.precision),
        ("Threads", str(made.threads)),
        ("Started (UTC)", _utc(made.started)),
        ("Interrupted", "yes; the time is that of the last part" if made.resumed else "no"),
        ("Weights", identity.weights_digest or "from scratch"),
        ("Settings of the method", _settings(identity.method)),
        ("Settings of the protocol", _settings(identity.protocol)),
        ("Overridden", _words(identity.overrides) or "nothing"),
        ("Learning rate of stage two", _words(record.joint_learning_rate)),
        ("Padded clips", str(len(record.padded_clips))),
    )
    return tuple((what, value) for what, value in pairs if value)


def _utc(text: str) -> str:
    """Return a time to the second in UTC; a text that is none, or has no zone, unchanged."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if time.tzinfo else text


def _settings(settings: Mapping[str, Any]) -> str:
    return _words({name: value for name, value in settings.items() if name != "name"})


def _words(values: Mapping[str, Any]) -> str:
    """Return 'name value' pairs by name, without empty ones; nested names are joined by dots."""
    return ", ".join(f"{name} {value}" for name, value in _flat(values))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in sorted(values.items()):
        if isinstance(value, Mapping):
            yield from _flat(value, prefix if name == "settings" else f"{prefix}{name}.")
        elif value not in ("", []):
            yield prefix + name, canonical_json(value) if isinstance(value, list) else str(value)
