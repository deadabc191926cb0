"""Where every number comes from: one line per run, and all that its manifest says of its making."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mtut_bench.files import canonical_json
from mtut_bench.report.page.grid import Grid, plain_grid
from mtut_bench.runs.finished import FinishedRun
from mtut_bench.runs.manifest import Manifest
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

    Raises:
        RunError: a manifest without a field of its identity; names it and the cure.
    """
    lines = [_line(run.manifest) for run in runs]
    return Provenance(
        grid=plain_grid("runs", "Every run behind this page", lines),
        details=tuple(_details(run.manifest) for run in runs),
    )


def _line(manifest: Manifest) -> dict[str, str]:
    get = manifest.get
    modalities = sorted(get("identity.modalities", list), key=modality_order)
    return {
        "Run": get("id", str)[:12],
        "Method": get("method.title", str),
        "Trained on": "+".join(modalities),
        "Store": get("store.name", str),
        "Fold": get("identity.fold", str),
        "Seed": str(get("identity.seed", int)),
        "Protocol": f"{get('protocol.name', str)} v{get('protocol.version', int)}",
        "Device": get("provenance.device", str),
        "Seconds": _seconds(_told(manifest, "provenance.seconds")),
        "Finished (UTC)": _moment(_told(manifest, "provenance.finished")) or _UNKNOWN,
    }


def _details(manifest: Manifest) -> tuple[tuple[str, str], ...]:
    get = manifest.get
    versions = _found(manifest, "provenance.versions")
    pairs = (
        ("Run", get("id", str)),
        ("Store", f"{get('store.name', str)}, digest {get('store.digest', str)}"),
        ("Method", method_option(manifest)),
        ("Command", _told(manifest, "provenance.command") or _UNKNOWN),
        ("Git revision", _told(manifest, "provenance.git") or _UNKNOWN),
        ("Versions", _words(versions) if isinstance(versions, Mapping) else _UNKNOWN),
        ("Precision", get("identity.precision", str)),
        ("Threads", _told(manifest, "provenance.threads")),
        ("Started (UTC)", _moment(_told(manifest, "provenance.started"))),
        ("Interrupted", "yes; the time is that of its last part" if _resumed(manifest) else "no"),
        ("Weights", get("identity.weights_digest", str, type(None)) or "from scratch"),
        ("Settings of the method", _settings(get("identity.method", dict))),
        ("Settings of the protocol", _settings(get("identity.protocol", dict))),
        ("Overridden", _words(get("identity.overrides", dict)) or "nothing"),
        ("Learning rate of stage two", _words(get("joint_learning_rate", dict))),
        ("Padded clips", str(len(get("padded_clips", list)))),
    )
    return tuple((what, value) for what, value in pairs if value)


def _found(manifest: Manifest, dotted: str) -> Any:  # noqa: ANN401 - JSON
    """Return a field that a run may lack, or None: how long it took decides no number."""
    value: Any = manifest.content
    for key in dotted.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _told(manifest: Manifest, dotted: str) -> str:
    value = _found(manifest, dotted)
    return "" if value is None else str(value)


def _seconds(text: str) -> str:
    try:
        return f"{float(text):,.0f}"
    except ValueError:
        return ""


def _moment(text: str) -> str:
    """Return a moment to the second in UTC; a text that is none, or has no zone, as it is."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if moment.tzinfo else text


def _resumed(manifest: Manifest) -> bool:
    return _found(manifest, "provenance.resumed") is True


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
