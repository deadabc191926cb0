"""Editable tables of a dataset: the package's best evidence, overlaid with the raw folder's file.

A table ``<dataset>.json`` is one JSON object. Keys that begin with ``_`` are remarks;
``_<key>_doubt`` says why a default may be wrong, and no longer holds for a value that the raw
folder's file gives.
"""

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from mtut_bench.errors import DatasetError
from mtut_bench.files import StrPath, read_json

__all__ = [
    "CLASS_FORMS",
    "Form",
    "are",
    "check_class_tables",
    "doubts",
    "is_count",
    "is_number",
    "is_table",
    "load_settings",
    "package_table",
    "read_checked",
]

Form = tuple[str, Callable[[Any], bool]]
"""Form of a value in words ('a positive number'), and the test of it."""


def package_table(name: str) -> dict[str, Any]:
    """Return a table of the package.

    Args:
        name: file name in ``mtut_preprocess/data`` ('viva.json').
    """
    text = resources.files("mtut_preprocess").joinpath("data", name).read_text("utf-8")
    table: dict[str, Any] = json.loads(text)
    return table


def load_settings(name: str, folder: StrPath, forms: Mapping[str, Form]) -> dict[str, Any]:
    """Return the package's table, overlaid with the raw folder's file of the same name.

    Args:
        name: file name in ``mtut_preprocess/data`` and in the raw folder ('viva.json').
        folder: raw folder; may lack the file.
        forms: form of each key of the table.

    Raises:
        DatasetError: the folder's file is malformed, has an unknown key or a value of another form.
    """
    folder = Path(folder)
    settings = package_table(name)
    path = folder / name
    if not path.exists():
        return settings
    for key, value in read_checked(path, forms, _hint(name)).items():
        settings[key] = value
        settings.pop(f"_{key}_doubt", None)
    return settings


def read_checked(path: StrPath, forms: Mapping[str, Form], hint: str) -> dict[str, Any]:
    """Return the object of a JSON file without its remarks.

    Args:
        path: the file.
        forms: form of each key that it may have.
        hint: for the message.

    Raises:
        DatasetError: malformed, an unknown key or a value of another form.
    """
    content = read_json(path, DatasetError, hint)
    if not isinstance(content, dict):
        raise DatasetError(f"{path} holds no JSON object", hint)
    own = {key: value for key, value in content.items() if not key.startswith("_")}
    for key, value in own.items():
        if key not in forms:
            raise DatasetError(f"{path}: unknown key {key!r}", hint)
        form, fits = forms[key]
        if not fits(value):
            raise DatasetError(f"{path}: {key!r} must be {form}, not {value!r}", hint)
    return own


def check_class_tables(settings: Mapping[str, Any], num_classes: int, path: StrPath) -> None:
    """Check 'class_names' and 'mirror', where they are not null, against the number of classes.

    Args:
        settings: a loaded table.
        num_classes: of the dataset.
        path: the raw folder's file, for the message.

    Raises:
        DatasetError: wrong length, a class that is not there, or a mirror of a mirror that is
            another class.
    """
    path = Path(path)
    hint = _hint(path.name)
    for key in ("class_names", "mirror"):
        if settings[key] is not None and len(settings[key]) != num_classes:
            raise DatasetError(
                f"{path}: {key!r} has {len(settings[key])} entries for {num_classes} classes", hint
            )
    mirror = settings["mirror"]
    if mirror is None:
        return
    if max(mirror) >= num_classes:
        raise DatasetError(f"{path}: 'mirror' names class {max(mirror)}", hint)
    for a, b in enumerate(mirror):
        if b != -1 and mirror[b] != a:
            raise DatasetError(
                f"{path}: 'mirror' turns class {a} into {b}, but {b} into {mirror[b]}",
                "Mirrors come in pairs: positions count from 0, a class that stays itself has its"
                " own position, one without a legal mirror -1.",
            )


def doubts(settings: Mapping[str, Any], keys: Iterable[str]) -> tuple[str, ...]:
    """Return 'key: why its default may be wrong' for those keys that are still in doubt."""
    return tuple(
        f"{key}: {settings[f'_{key}_doubt']}" for key in keys if f"_{key}_doubt" in settings
    )


def is_number(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Return whether a JSON value is a positive, finite number."""
    is_numeric = isinstance(value, int | float) and not isinstance(value, bool)
    return is_numeric and 0 < value <= sys.float_info.max


def is_count(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Return whether a JSON value is a positive whole number."""
    return is_number(value) and value == int(value)


def are(kind: type, values: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Return whether a JSON value is a list of one kind."""
    return isinstance(values, list) and all(type(value) is kind for value in values)


def is_table(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Return whether a JSON value is an object of strings."""
    return isinstance(value, dict) and are(str, list(value.values()))


def _is_mirror(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    return value is None or (are(int, value) and min(value, default=0) >= -1)


def _hint(name: str) -> str:
    return f"See {name} in mtut_preprocess/data for the keys and their form."


CLASS_FORMS: Mapping[str, Form] = {
    "class_names": ("null or a list of strings", lambda v: v is None or are(str, v)),
    "mirror": ("null or a list of class positions or -1", _is_mirror),
    "expected_clips": ("a positive whole number", is_count),
    "fps": ("a positive number", is_number),
}
"""Keys that the table of every dataset has."""
