"""``--set name=value``: a variant of a protocol, marked as such wherever its numbers appear."""

import types
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from mtut_bench.contract.protocol import Protocol
from mtut_bench.errors import UsageError, did_you_mean

__all__ = ["apply_overrides", "settable"]

_FIXED = ("name", "version", "summary", "tables", "seeds", "networks", "evaluation_batch")
_ALIASES = {"lambda": "lambda_"}
_MAY_BE_NOTHING = ("epochs_alone", "plateau_patience")
"""Whole numbers that may be 0: without a first stage there is a training, without clips none."""
_SHARES = ("momentum", "dropout", "plateau_factor", "bn_momentum")
"""Numbers below 1; torch takes no others."""


def settable() -> dict[str, str]:
    """Return the name of every setting with the values that it takes, in words."""
    kinds = get_type_hints(Protocol)
    names = {field: name for name, field in _ALIASES.items()}
    return {
        names.get(field, field): _words(kind, field)
        for field, kind in kinds.items()
        if field not in _FIXED
    }


def apply_overrides(protocol: Protocol, texts: Sequence[str]) -> tuple[Protocol, dict[str, Any]]:
    """Return a variant of a protocol and the settings that were changed.

    A setting that is given its own value is no change.

    Args:
        protocol: to start from.
        texts: ``name=value`` each; later ones win.

    Raises:
        UsageError: no '=', an unknown name, or a value that the setting does not take.
    """
    kinds = get_type_hints(Protocol)
    changes: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        field = _ALIASES.get(name, name)
        if not equals or field not in kinds or field in _FIXED:
            raise UsageError(
                f"--set {text!r} names no setting of a protocol",
                f"{did_you_mean(name, settable())}Write --set name=value with one of:"
                f" {', '.join(settable())}.",
            )
        changes[field] = _parse(kinds[field], value, name)
    changed = {f: v for f, v in changes.items() if getattr(protocol, f) != v}
    names = {field: name for name, field in _ALIASES.items()}
    variant = replace(protocol, **changed)
    if variant.crop > variant.short_side:
        raise UsageError(
            f"a crop of {variant.crop} does not fit into a short side of {variant.short_side}",
            "Set crop and short_side together.",
        )
    return variant, {names.get(f, f): v for f, v in sorted(changed.items())}


def _parse(kind: Any, text: str, name: str) -> Any:  # noqa: ANN401 - a type, and its value
    optional = get_origin(kind) in (Union, types.UnionType)
    if optional and text == "none":
        return None
    plain = next(k for k in get_args(kind) if k is not type(None)) if optional else kind
    if get_origin(plain) is Literal:
        if text in get_args(plain):
            return text
    else:
        try:
            value = plain(text)
        except ValueError:
            value = None
        if value is not None and _allowed(value, name):
            return value
    raise UsageError(f"--set {name}={text}: {name} takes {_words(kind, name)}")


def _allowed(value: float, name: str) -> bool:
    if isinstance(value, int):
        return value >= (0 if name in _MAY_BE_NOTHING else 1)
    if name == "width":
        return 0 < value < float("inf")
    # A negative, infinite or missing number has no meaning in any setting.
    return 0 <= value < (1 if name in _SHARES else float("inf"))


def _words(kind: Any, name: str) -> str:  # noqa: ANN401 - a type
    if get_origin(kind) is Literal:
        return " or ".join(get_args(kind))
    if get_origin(kind) in (Union, types.UnionType):
        return " or ".join(_words(k, name) for k in get_args(kind))
    if kind is int:
        return "a whole number" if name in _MAY_BE_NOTHING else "a whole number above 0"
    if kind is float:
        return "a number below 1" if name in _SHARES else "a number"
    return "none"
