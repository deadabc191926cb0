"""The command that makes a run like one that is there: on other folds, with another seed."""

import shlex
from itertools import pairwise

from mtut_bench.contract.folds import FOLD_UNIT
from mtut_bench.runs.manifest import Manifest

__all__ = ["command_like", "method_option"]


def method_option(manifest: Manifest) -> str:
    """Return what ``--method`` takes for a run's method: its name, or the file of a user's own.

    Args:
        manifest: of the run. One that an earlier release wrote has the file in its command at most.
    """
    method = manifest.get("method", dict)
    name = str(manifest.get("method.name", str))
    if not manifest.get("identity.method", dict).get("source"):
        return name
    return str(method.get("file") or _typed(manifest, "--method") or name)


def command_like(manifest: Manifest, fold: str, seed: int) -> str:
    """Return the command of a run that differs from another in fold and seed alone.

    Args:
        manifest: of the other.
        fold: as ``run --fold`` takes it.
        seed: of every draw.
    """
    get = manifest.get
    words = ["--method", method_option(manifest), "--store", get("store.name", str)]
    words += ["--protocol", get("protocol.name", str), "--fold", fold, "--seed", str(seed)]
    words += ["--modalities", ",".join(manifest.items("identity.modalities", str))]
    words += ["--precision", get("identity.precision", str)]
    for name, value in get("identity.overrides", dict).items():
        if name == FOLD_UNIT:
            words += ["--fold-unit", str(value)]
        else:
            words += ["--set", f"{name}={'none' if value is None else value}"]
    data = _typed(manifest, "--data")
    words += ["--data", data] if data else []
    return shlex.join(["mtut-bench", "run", *words])


def _typed(manifest: Manifest, option: str) -> str | None:
    """Return the value of an option in the command that made a run."""
    provenance = manifest.content.get("provenance")
    command = provenance.get("command") if isinstance(provenance, dict) else None
    try:
        words = shlex.split(command) if isinstance(command, str) else []
    except ValueError:
        return None
    for word, following in pairwise(words):
        if word == option:
            return following
    return None
