"""The JSON file beside a table: order of the classes, mirrors, facts in words."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mtut_bench.errors import DatasetError
from mtut_bench.files import StrPath
from mtut_preprocess.datasets.settings import Form, are, is_table, read_checked

__all__ = ["find_mirror", "read_settings"]


def _is_text(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    return isinstance(value, str)


def _are_names(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    return are(str, value) and len(set(value)) == len(value) and "" not in value


_FORMS: Mapping[str, Form] = {
    "classes": ("a list of different names", lambda value: _are_names(value) and value != []),
    "mirror": ("an object of class names", is_table),
    "no_mirror": ("a list of different class names", _are_names),
    "depth_polarity": ("a text", _is_text),
    "source": ("a text", _is_text),
    "licence": ("a text", _is_text),
    "subjects_are": ("'person' or 'user'", lambda value: value in ("person", "user")),
}
"""Keys of the settings: form in words, and the test of it."""


def read_settings(path: StrPath) -> dict[str, Any]:
    """Return the settings beside a table; nothing where there are none.

    Raises:
        DatasetError: malformed, an unknown key or a value of another form.
    """
    path = Path(path)
    if not path.exists():
        return {}
    hint = f"Keys are {', '.join(_FORMS)}; one that begins with '_' is a remark."
    return read_checked(path, _FORMS, hint)


def find_mirror(
    settings: Mapping[str, Any], classes: Sequence[str], path: StrPath
) -> tuple[tuple[int, ...] | None, tuple[str, ...]]:
    """Return the class that each becomes in a mirror (None: unknown), and classes left unsaid.

    Raises:
        DatasetError: a name that is no class, or a class with two mirrors.
    """
    if not {"mirror", "no_mirror"} & settings.keys():
        return None, ()
    hint = "Name each pair once; a class that looks the same in a mirror is its own mirror."
    said: dict[str, str] = {}
    pairs = settings.get("mirror", {})
    stated = [*pairs.items(), *((b, a) for a, b in pairs.items())]
    for name, partner in [*stated, *((name, "") for name in settings.get("no_mirror", []))]:
        if name not in classes:
            raise DatasetError(f"{path}: the mirror of {name!r}, which is no class", hint)
        if (other := said.setdefault(name, partner)) != partner:
            both = f"{other or 'none'!r} and {partner or 'none'!r}"
            raise DatasetError(f"{path}: {name!r} has two mirrors, {both}", hint)
    positions = {name: index for index, name in enumerate(classes)}
    mirror = tuple(positions.get(said.get(name, ""), -1) for name in classes)
    return mirror, tuple(name for name in classes if name not in said)
