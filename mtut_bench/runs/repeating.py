"""The command that makes a run like one that is there: on other folds, with another seed."""

import shlex
from itertools import pairwise

from mtut_bench.contract.folds import FOLD_UNIT
from mtut_bench.runs.record import RunRecord

__all__ = ["command_like", "method_option"]


def method_option(record: RunRecord) -> str:
    """Return what ``--method`` takes for a run's method: its name, or the file of a user's own.

    Args:
        record: of the run. One that an earlier release wrote has the file in its command at most.
    """
    if not record.identity.method.get("source"):
        return record.method.name
    return record.method.file or _typed(record, "--method") or record.method.name


def command_like(record: RunRecord, fold: str, seed: int) -> str:
    """Return the command of a run that differs from another in fold and seed alone.

    Args:
        record: of the other.
        fold: as ``run --fold`` takes it.
        seed: of every draw.
    """
    identity = record.identity
    words = ["--method", method_option(record), "--store", record.store.name]
    words += ["--protocol", record.protocol.name, "--fold", fold, "--seed", str(seed)]
    words += ["--modalities", ",".join(identity.modalities), "--precision", identity.precision]
    for name, value in identity.overrides.items():
        if name == FOLD_UNIT:
            words += ["--fold-unit", str(value)]
        else:
            words += ["--set", f"{name}={'none' if value is None else value}"]
    data = _typed(record, "--data")
    words += ["--data", data] if data else []
    return shlex.join(["mtut-bench", "run", *words])


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
