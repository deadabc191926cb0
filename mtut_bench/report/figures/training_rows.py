"""What the second stages of runs logged, epoch by epoch, as one CSV file.

The first stages are shared and know no method; their logs stay with the runs.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mtut_bench.files import canonical_json
from mtut_bench.report.figures.curves import read_log
from mtut_bench.report.formats.render import to_csv
from mtut_bench.runs.finished import FinishedRun

__all__ = ["training_csv"]

_STAGE = "joint"
_LABELS = (
    "run",
    "store",
    "protocol",
    "overrides",
    "method",
    "modalities",
    "fold",
    "seed",
    "epoch",
    "modality",
)


def training_csv(runs: Sequence[FinishedRun]) -> bytes:
    """Return the entries of stage two of all runs, one line per run, epoch and modality.

    Args:
        runs: as ``find_runs`` returns them.

    Returns:
        CSV: the facts of the run, then every quantity that a method logged, in alphabetical order;
        empty where a method does not log it. Nothing without runs or logs.

    Raises:
        RunError: a damaged log.
    """
    lines: list[dict[str, Any]] = []
    for run in runs:
        facts = _facts(run)
        lines += [{**facts, **entry} for entry in read_log(run.folder) if entry["stage"] == _STAGE]
    if not lines:
        return b""
    logged = sorted({name for line in lines for name in line} - {*_LABELS, "stage"})
    columns = (*_LABELS, *logged)
    return to_csv(columns, [{name: line.get(name, "") for name in columns} for line in lines])


def _facts(run: FinishedRun) -> Mapping[str, Any]:
    record, identity = run.record, run.record.identity
    return {
        "run": record.id[:12],
        "store": record.store.name,
        "protocol": record.protocol.name,
        "overrides": canonical_json(identity.overrides),
        "method": record.method.name,
        "modalities": "+".join(identity.modalities),
        "fold": identity.fold,
        "seed": identity.seed,
    }
