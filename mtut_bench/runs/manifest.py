"""The manifest that closes a run: what was run, on what, by what; it must agree with itself."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from mtut_bench.errors import RunError
from mtut_bench.files import StrPath, read_json, sha256_of_json

__all__ = ["CURE", "FORMAT_VERSION", "Manifest", "check_identity", "read_manifest"]

FORMAT_VERSION = 2
"""Version of the manifests that are read."""

CURE = (
    "To leave the run out, move its folder out of the runs; to have it again, restore the file or "
    "repeat the run."
)
"""What to do about a run that cannot be read."""

_MAX_DEPTH = 30
_SHOWN = 80
# What a manifest says twice: of the run, and of its identity.
_TWICE: tuple[tuple[str, str, type], ...] = (
    ("protocol.name", "identity.protocol.name", str),
    ("protocol.version", "identity.protocol.version", int),
    ("method.name", "identity.method.name", str),
    ("store.digest", "identity.store_digest", str),
)


@dataclass(frozen=True)
class Manifest:
    """A manifest whose fields are checked when they are asked for."""

    path: Path
    content: dict[str, Any]

    def get(self, dotted: str, *kinds: type) -> Any:  # noqa: ANN401 - JSON
        """Return the field under a dotted name.

        Args:
            dotted: keys from the outside in, joined with '.'.
            *kinds: types that it may have.

        Raises:
            RunError: there is no such field, or it has another type; names it and the cure.
        """
        value: Any = self.content
        for key in dotted.split("."):
            if not isinstance(value, dict) or key not in value:
                self.refuse(f"has no {dotted!r}")
            value = value[key]
        self._check(dotted, value, kinds)
        return value

    def items(self, dotted: str, *kinds: type) -> list[Any]:
        """Return the list under a dotted name, every value of a type it may have.

        Args:
            dotted: keys from the outside in, joined with '.'.
            *kinds: types that each value may have.

        Raises:
            RunError: there is no such list, or a value has another type; names it and the cure.
        """
        values: list[Any] = self.get(dotted, list)
        for index, value in enumerate(values):
            self._check(f"{dotted}[{index}]", value, kinds)
        return values

    def refuse(self, complaint: str) -> NoReturn:
        """Raise a fault of this manifest.

        Args:
            complaint: what is wrong; follows the path in the message.

        Raises:
            RunError: always.
        """
        raise RunError(f"{self.path} {complaint}.", CURE)

    def _check(self, name: str, value: object, kinds: tuple[type, ...]) -> None:
        # bool is an int in Python, but a seed of true is a fault.
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            self.refuse(f"has {name!r} = {_shown(value)}")


def read_manifest(path: StrPath) -> Manifest:
    """Return a manifest of the format version that this release reads.

    Args:
        path: ``manifest.json`` of a run.

    Raises:
        RunError: unreadable, of another format version, or with a text or number that no other
            file can hold.
    """
    path = Path(path)
    content = read_json(path, RunError, CURE)
    version = content.get("format_version") if isinstance(content, dict) else None
    if type(version) is not int or version != FORMAT_VERSION:
        raise RunError(
            f"{path} has format version {_shown(version)}; this release reads {FORMAT_VERSION}.",
            "To leave the run out, move its folder out of the runs, or report with the release "
            "that wrote it.",
        )
    manifest = Manifest(path, content)
    _check_values(manifest)
    return manifest


def check_identity(manifest: Manifest) -> None:
    """Ensure that a finished run's manifest is one: nothing that it says twice differs.

    Args:
        manifest: of a finished run.

    Raises:
        RunError: the id is not that of the identity, or two fields contradict each other; names
            them and the cure.
    """
    get = manifest.get
    for said, identified, kind in _TWICE:
        if get(said, kind) != get(identified, kind):
            manifest.refuse(
                f"has {said!r} = {_shown(get(said, kind))} and {identified!r} = "
                f"{_shown(get(identified, kind))}"
            )
    num_classes = len(manifest.items("store.classes", str))
    if num_classes != get("identity.num_classes", int):
        manifest.refuse(
            f"has {num_classes} 'store.classes' and 'identity.num_classes' = "
            f"{get('identity.num_classes', int)}"
        )
    folds, fold = manifest.items("store.folds", str), get("identity.fold", str)
    if fold not in folds:
        manifest.refuse(f"has 'identity.fold' = {fold!r}, which is none of 'store.folds' {folds}")
    if get("id", str) != sha256_of_json(get("identity", dict)):
        manifest.refuse("has an 'id' that is not the SHA-256 of its 'identity': one was changed")


def _check_values(manifest: Manifest) -> None:
    """Refuse what JSON can hold and no other file: half a character, NaN, giant numbers."""
    found: list[tuple[str, Any, int]] = [("", manifest.content, 0)]
    while found:
        name, value, depth = found.pop()
        if depth > _MAX_DEPTH:
            manifest.refuse(f"is nested more than {_MAX_DEPTH} deep in {_shown(name)}")
        if isinstance(value, dict):
            if not all(map(_encodable, value)):
                manifest.refuse(f"has a key of {name!r} that is no text")
            inner = [(f"{name}.{key}".lstrip("."), one) for key, one in value.items()]
        elif isinstance(value, list):
            inner = [(f"{name}[{index}]", one) for index, one in enumerate(value)]
        else:
            inner = []
        found += [(*pair, depth + 1) for pair in inner]
        if not _portable(value):
            manifest.refuse(f"has {name!r} = {_shown(value)}")


def _portable(value: object) -> bool:
    if isinstance(value, str):
        return _encodable(value)
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, int) or abs(value) < 2**63


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
