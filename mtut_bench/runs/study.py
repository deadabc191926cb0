"""A study: which runs belong together, in which order, written down in one TOML file.

::

    title = "MTUT against I3D"
    protocol = "study"
    dataset = "viva-synthetic"          # that the stores must hold; left out: any

    [[block]]                           # blocks run one after the other
    title = "primary"
    store = "viva-synthetic-full"
    modalities = ["rgb", "depth"]       # left out: all of the store's
    seeds = [0, 1]
    folds = ["1", "2"]                  # left out: all
    methods = ["i3d", "mtut"]
    set = ["beta=1"]                    # left out: the protocol as it is

In a block all methods of one fold and seed come first, since they share first stages, then the
other folds, then the next seed: a study that is stopped holds whole comparisons.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtut_bench.errors import UsageError, did_you_mean
from mtut_bench.files import StrPath

__all__ = ["Block", "Study", "read_study"]

_TEXT, _TEXTS, _NUMBERS = "a text", "a list of texts", "a list of whole numbers from 0"
_STUDY = {"title": _TEXT, "protocol": _TEXT, "dataset": _TEXT, "block": "tables [[block]]"}
_BLOCK = {
    "title": _TEXT,
    "store": _TEXT,
    "modalities": _TEXTS,
    "seeds": _NUMBERS,
    "folds": _TEXTS,
    "methods": _TEXTS,
    "set": _TEXTS,
}
_NEEDED = {"study": ("title", "protocol", "block"), "block": ("title", "store", "seeds", "methods")}


@dataclass(frozen=True)
class Block:
    """Runs of several methods under the same conditions.

    Attributes:
        title: what the block is for.
        store: name of a prepared store.
        methods: as ``run --method`` takes them.
        seeds: of every method.
        modalities: that are trained; empty: all of the store's.
        folds: names of folds; empty: all.
        settings: ``name=value`` texts, as ``run --set`` takes them.
    """

    title: str
    store: str
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    modalities: tuple[str, ...] = ()
    folds: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Study:
    """Blocks of runs under one protocol.

    Attributes:
        title: in a line.
        protocol: its name.
        dataset: that the stores must hold; "" for any.
        blocks: in the order in which they are run.
    """

    title: str
    protocol: str
    dataset: str
    blocks: tuple[Block, ...]


def read_study(path: StrPath) -> Study:
    """Return the study that a file describes.

    Whether its stores, methods and folds exist is seen when it is planned.

    Args:
        path: TOML, see the head of this module.

    Raises:
        UsageError: unreadable, a key that is missing, unknown or of another kind, an empty list,
            or a value that is listed twice; names it.
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot read the study {path}: {reason}", "Name its TOML file.") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is no TOML: {error}", "Correct the line.") from None
    _check(path, "study", content, _STUDY)
    for number, block in enumerate(content["block"], start=1):
        _check(path, f"block {number}", block, _BLOCK)
    return Study(
        title=content["title"],
        protocol=content["protocol"],
        dataset=content.get("dataset", ""),
        blocks=tuple(_block(block) for block in content["block"]),
    )


def _block(content: Mapping[str, Any]) -> Block:
    return Block(
        title=content["title"],
        store=content["store"],
        methods=tuple(content["methods"]),
        seeds=tuple(content["seeds"]),
        modalities=tuple(content.get("modalities", ())),
        folds=tuple(content.get("folds", ())),
        settings=tuple(content.get("set", ())),
    )


def _check(path: Path, where: str, content: object, known: Mapping[str, str]) -> None:
    if not isinstance(content, dict):
        raise UsageError(f"{path}: {where} is no table", "Write [[block]] above each.")
    needed = _NEEDED["study" if known is _STUDY else "block"]
    for key in needed:
        if key not in content:
            raise UsageError(f"{path}: {where} has no {key!r}", f"Give it {known[key]}.")
    for key, value in content.items():
        if key not in known:
            cure = f"{did_you_mean(key, known)}Known are: {', '.join(known)}."
            raise UsageError(f"{path}: {where} has an unknown key {key!r}", cure)
        if not _fits(value, known[key]):
            cure = f"It takes {known[key]}, none empty and none twice."
            raise UsageError(f"{path}: {where} has {key} = {value!r}", cure)


def _fits(value: object, kind: str) -> bool:
    if kind == _TEXT:
        return isinstance(value, str) and bool(value.strip())
    if not isinstance(value, list) or not value:
        return False
    if kind == _NUMBERS:
        # bool is an int in Python.
        whole = all(type(one) is int and one >= 0 for one in value)
        return whole and len(set(value)) == len(value)
    if kind == _TEXTS:
        texts = all(isinstance(one, str) and one.strip() for one in value)
        return texts and len(set(value)) == len(value)
    return True
