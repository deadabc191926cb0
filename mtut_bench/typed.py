"""Content of files as typed structs (msgspec), and the place of a field that does not fit."""

import re
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import msgspec

__all__ = ["MisfitError", "typed"]

_T = TypeVar("_T")
# msgspec ends its messages with the place: "$.block[0].title"; "[...]" is any value of a mapping.
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")
_NAMED = re.compile(r"Object (missing|contains) (?:required|unknown) field `(.+)`")


@dataclass(eq=False)
class MisfitError(Exception):
    """Content that is not of its type.

    Attributes:
        fault: a 'missing' or an 'unknown' key, or a 'value' of another type.
        place: keys, and indexes from 0, from the outside in.
        value: of the field; None for a missing key.
        reason: msgspec's message.
    """

    fault: Literal["missing", "unknown", "value"]
    place: tuple[str | int, ...]
    value: object
    reason: str

    @property
    def field(self) -> str:
        """The place as one name: ``block[0].title``."""
        steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.place)
        return "".join(steps).removeprefix(".")


def typed(content: object, kind: type[_T]) -> _T:
    """Return parsed JSON or TOML as a type of msgspec; only lists are converted, to tuples.

    Raises:
        MisfitError: the first field that does not fit.
    """
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        raise _misfit(str(error), content) from None


def _misfit(message: str, content: Any) -> MisfitError:  # noqa: ANN401 - any JSON value
    reason, _, path = message.partition(" - at `$")
    # msgspec does not say which value of a mapping: the whole mapping is named.
    steps = _STEP.findall(path.partition("[...]")[0].removesuffix("`"))
    place = [name or int(index) for name, index in steps]
    value = content
    for step in place:
        value = value[step]
    if named := _NAMED.fullmatch(reason):
        place.append(named[2])
        if named[1] == "missing":
            return MisfitError("missing", tuple(place), None, reason)
        return MisfitError("unknown", tuple(place), value[named[2]], reason)
    return MisfitError("value", tuple(place), value, reason)
