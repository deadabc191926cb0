"""The manifest that closes a run: what was run, on what, by what."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from mtut_bench.errors import RunError
from mtut_bench.files import read_json

__all__ = ["CURE", "FORMAT_VERSION", "Manifest", "read_manifest"]

FORMAT_VERSION = 2
"""Version of the manifests that are read."""

CURE = "Move the folder out of the runs and repeat the run, or restore the file."
"""What to do about a run that cannot be read."""


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
        # bool is an int in Python, but a seed of true is a fault.
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            self.refuse(f"has {dotted!r} = {value!r}")
        return value

    def refuse(self, complaint: str) -> NoReturn:
        """Raise a fault of this manifest.

        Args:
            complaint: what is wrong; follows the path in the message.

        Raises:
            RunError: always.
        """
        raise RunError(f"{self.path} {complaint}.", CURE)


def read_manifest(path: Path) -> Manifest:
    """Return a manifest of the format version that this release reads.

    Args:
        path: ``manifest.json`` of a run.

    Raises:
        RunError: unreadable, or of another format version.
    """
    content = read_json(path, RunError, CURE)
    version = content.get("format_version") if isinstance(content, dict) else None
    if version != FORMAT_VERSION:
        raise RunError(
            f"{path} has format version {version}; this release reads {FORMAT_VERSION}.",
            "Report with the release that wrote it, or move the folder out of the runs.",
        )
    return Manifest(path, content)
