"""A dataset's table: the package's values, overlaid with those of a file in the raw folder.

A table ``<dataset>.json`` is one JSON object. Keys that begin with ``_`` are remarks; the package's
``_<key>_assumption`` says why its value may be wrong, and is dropped where the file gives another.
"""

import json
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, TypeVar

from msgspec import Meta, Struct

from mtut_bench.errors import DatasetError
from mtut_bench.files import StrPath, read_json
from mtut_bench.typed import MisfitError, typed

__all__ = ["DatasetTable", "Text", "load_table", "package_table", "read_typed"]

Text = Annotated[str, Meta(min_length=1)]
_Kind = TypeVar("_Kind")


class DatasetTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the table of every recorded dataset has.

    Attributes:
        expected_clips: of the complete dataset.
        fps: frames per second.
        mirror: position from 0 of the class that each class becomes in a mirror; -1: no legal
            mirror; None: unknown.
        class_names: in the order of the labels; None: not known.
        published: clips per value of 'split', 'subject' and 'label' of the complete dataset.
    """

    expected_clips: Annotated[int, Meta(gt=0)]
    fps: Annotated[float, Meta(gt=0, le=1000)]
    mirror: tuple[Annotated[int, Meta(ge=-1)], ...] | None
    class_names: tuple[str, ...] | None
    published: dict[str, dict[str, Annotated[int, Meta(ge=0)]]] = {}

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.names)

    @property
    def names(self) -> tuple[str, ...]:
        """A name per class."""
        return self.class_names or ()

    def __post_init__(self) -> None:
        """Check the classes.

        Raises:
            ValueError: lists of other lengths, a class that is not there, or a mirror of a mirror
                that is another class.
        """
        count = self.num_classes
        for key, values in (("class_names", self.class_names), ("mirror", self.mirror)):
            if values is not None and len(values) != count:
                raise ValueError(f"{key!r} has {len(values)} entries for {count} classes")
        mirror = self.mirror or ()
        for a, b in enumerate(mirror):
            if b >= count:
                raise ValueError(f"'mirror' names class {b}")
            if b != -1 and mirror[b] != a:
                raise ValueError(f"'mirror' turns class {a} into {b}, but {b} into {mirror[b]}")
        if not self.published.keys() <= {"split", "subject", "label"}:
            raise ValueError("'published' counts by split, subject and label")


def package_table(name: str) -> dict[str, Any]:
    """Return a table of the package, with its remarks.

    Args:
        name: file name in ``mtut_preprocess/data`` ('viva.json').
    """
    text = resources.files("mtut_preprocess").joinpath("data", name).read_text("utf-8")
    table: dict[str, Any] = json.loads(text)
    return table


def load_table(name: str, folder: StrPath, kind: type[_Kind]) -> tuple[_Kind, tuple[str, ...]]:
    """Return the package's table, overlaid with the raw folder's file, and what it assumes.

    Args:
        name: file name in ``mtut_preprocess/data`` and in the raw folder ('viva.json').
        folder: raw folder; may lack the file.
        kind: a :class:`DatasetTable`.

    Returns:
        The table, and 'key: why its value may be wrong' for each such value of the package.

    Raises:
        DatasetError: the folder's file is malformed, has an unknown key or a wrong value.
    """
    path = Path(folder) / name
    table = package_table(name)
    hint = f"See {name} in mtut_preprocess/data for the keys and their form."
    given = _read_object(path, hint) if path.exists() else {}
    assumptions = tuple(
        f"{key}: {table[f'_{key}_assumption']}"
        for key in table
        if f"_{key}_assumption" in table and key not in given
    )
    return _typed(path, {**_plain(table), **given}, kind, hint), assumptions


def read_typed(path: StrPath, kind: type[_Kind], hint: str) -> _Kind:
    """Return the object of a JSON file, without remarks, as a struct.

    Raises:
        DatasetError: malformed, an unknown key or a wrong value.
    """
    return _typed(Path(path), _read_object(Path(path), hint), kind, hint)


def _read_object(path: Path, hint: str) -> dict[str, Any]:
    content = read_json(path, DatasetError, hint)
    if not isinstance(content, dict):
        raise DatasetError(f"{path} holds no JSON object", hint)
    return _plain(content)


def _plain(table: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if not key.startswith("_")}


def _typed(path: Path, content: dict[str, Any], kind: type[_Kind], hint: str) -> _Kind:
    try:
        return typed(content, kind)
    except MisfitError as misfit:
        if misfit.fault == "unknown":
            raise DatasetError(f"{path}: unknown key {misfit.field!r}", hint) from None
        what = f"{misfit.field!r} = {misfit.value!r}: " if misfit.place else ""
        raise DatasetError(f"{path}: {what}{misfit.reason}", hint) from None
