"""The command that repeats a run on other folds or with another seed."""

import shlex
from itertools import pairwise

from msgspec import structs

from mtut_bench.contract.folds import FOLD_UNIT
from mtut_bench.runs.record import RunRecord
from mtut_bench.runs.spec import RunSpec

__all__ = ["command_like", "method_option"]


def method_option(record: RunRecord) -> str:
    """Return what ``--method`` takes for a run's method: its name, or the file of a user's own.

    Early manifests have the file in their command at most.
    """
    if not record.identity.method.get("source"):
        return record.method.name
    return record.method.file or _typed(record, "--method") or record.method.name


def command_like(record: RunRecord, fold: str, seed: int) -> str:
    """Return the command that repeats a run with another ``--fold`` and ``--seed``."""
    spec = structs.replace(_spec(record), fold=fold, seed=seed)
    if record.spec and record.identity.method.get("source") and not record.method.file:
        # Predictions from elsewhere.
        words = ["FILE.csv", "--store", record.store.name, "--fold", fold, "--name", spec.method]
        words += ["--modality", *spec.modalities, "--protocol", spec.protocol, "--keep"]
        return shlex.join(["mtut-bench", "score", *words])
    return spec.command()


def _spec(record: RunRecord) -> RunSpec:
    """Return the spec of a run; early manifests have it in their identity."""
    if record.spec:
        return record.spec
    identity = record.identity
    changed = dict(identity.overrides)
    unit = str(changed.pop(FOLD_UNIT, "person"))
    settings = (f"{name}={'none' if v is None else v}" for name, v in changed.items())
    return RunSpec(
        method=method_option(record),
        store=f"{_typed(record, '--data') or 'data'}/stores/{record.store.name}.zarr",
        protocol=record.protocol.name,
        fold_unit=unit,
        modalities=identity.modalities,
        settings=tuple(settings),
        precision=identity.precision,
    )


def _typed(record: RunRecord, option: str) -> str | None:
    """Return the value of an option in the command that made a run."""
    try:
        words = shlex.split(record.provenance.command or "")
    except ValueError:
        return None
    for word, following in pairwise(words):
        if word == option:
            return following
    return None
