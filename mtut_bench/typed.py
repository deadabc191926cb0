"""What files hold as typed structs (msgspec), and which field does not fit, by its place."""

import re
from typing import Any, Literal, TypeVar

import msgspec

__all__ = ["MisfitError", "typed"]

_T = TypeVar("_T")
# msgspec ends its messages with the place: "$.block[0].title"; "[...]" is any value of a mapping.
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")
_NAMED = re.compile(r"Object (missing|contains) (?:required|unknown) field `(.+)`")


class MisfitError(Exception):
    """Content that is not of its type.

    Attributes:
        fault: whether a key is 'missing' or 'unknown', or a 'value' of another type.
        place: keys, and indexes from 0, of the field; from the outside in.
        value: what stands there; None for a key that is missing.
        reason: msgspec's words.
    """

    def __init__(
        self,
        fault: Literal["missing", "unknown", "value"],
        place: tuple[str | int, ...],
        value: object,
        reason: str,
    ) -> None:
        super().__init__(reason)
        self.fault, self.place, self.value, self.reason = fault, place, value, reason

    @property
    def field(self) -> str:
        """The place as one name: ``block[0].title``."""
        steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.place)
        return "".join(steps).removeprefix(".")


def typed(content: object, kind: type[_T]) -> _T:
    """Return what a file holds as a value of a type; nothing is converted but lists to tuples.

    Args:
        content: as JSON or TOML is read.
        kind: what msgspec takes, mostly a struct.

    Raises:
        MisfitError: the first field that does not fit.
    """
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        raise _misfit(str(error), content) from None


def _misfit(message: str, content: Any) -> MisfitError:  # noqa: ANN401 - any JSON value
    reason, _, path = message.partition(" - at `$")
    # Of a value in a mapping the whole mapping is named: msgspec does not say which it is.
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
