"""A study: runs that belong together, in order, in one TOML file.

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

A block runs all methods of one fold and seed first, since they share stage one, then the other
folds, then the next seed: a study that is stopped holds whole comparisons.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Struct, field
from msgspec.structs import fields

from mtut_bench.errors import UsageError, did_you_mean
from mtut_bench.files import StrPath
from mtut_bench.typed import MisfitError, typed

__all__ = ["Block", "Study", "read_study"]

_Text = Annotated[str, Meta(pattern=r"\S")]
_Texts = Annotated[tuple[_Text, ...], Meta(min_length=1)]
_Numbers = Annotated[tuple[Annotated[int, Meta(ge=0)], ...], Meta(min_length=1)]


class Block(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
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

    title: _Text
    store: _Text
    modalities: _Texts = ()
    seeds: _Numbers
    folds: _Texts = ()
    methods: _Texts
    settings: _Texts = field(name="set", default=())


class Study(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Blocks of runs under one protocol.

    Attributes:
        title: in a line.
        protocol: its name.
        dataset: that the stores must hold; "" for any.
        blocks: in the order in which they are run.
    """

    title: _Text
    protocol: _Text
    dataset: _Text = ""
    blocks: Annotated[tuple[Block, ...], Meta(min_length=1)] = field(name="block")


def read_study(path: StrPath) -> Study:
    """Return the study that a file describes.

    Whether its stores, methods and folds exist is checked when it is planned.

    Args:
        path: TOML, see the head of this module.

    Raises:
        UsageError: unreadable, a key that is missing, unknown or of another kind, an empty list,
            or a value that is listed twice; names file and key.
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot read the study {path}: {reason}", "Give its TOML file.") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not TOML: {error}", "Correct the line.") from None
    try:
        study = typed(content, Study)
        for number, block in enumerate(content["block"]):
            _check_each_once(number, block)
    except MisfitError as misfit:
        raise _refused(path, misfit) from None
    return study


def _check_each_once(number: int, block: Mapping[str, Any]) -> None:
    for key, values in block.items():
        if isinstance(values, list) and len(set(values)) < len(values):
            raise MisfitError("value", ("block", number, key), values, "Expected each value once")


def _refused(path: Path, misfit: MisfitError) -> UsageError:
    if misfit.fault == "missing":
        return UsageError(f"{path} has no {misfit.field!r}", "Give it one.")
    if misfit.fault == "unknown":
        kind = Block if len(misfit.place) > 1 else Study
        known = [one.encode_name for one in fields(kind)]
        near = did_you_mean(str(misfit.place[-1]), known)
        hint = f"{near}Known keys: {', '.join(known)}."
        return UsageError(f"{path} has an unknown key {misfit.field!r}", hint)
    return UsageError(
        f"{path} has {misfit.field} = {misfit.value!r}",
        f"{misfit.reason}; texts and lists must not be empty.",
    )
