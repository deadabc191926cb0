"""``--set name=value``: a variant of a protocol, marked as such wherever its numbers appear."""

import types
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from mtut_bench.contract.method import Method
from mtut_bench.contract.protocol import Protocol
from mtut_bench.contract.recipe import Recipe
from mtut_bench.errors import UsageError, did_you_mean

__all__ = ["prescribe", "settable"]

_M = TypeVar("_M", bound=Method)

_RULES = ("initialisation", "train_on")
"""Of a protocol itself."""
_FIXED = ("evaluation_batch",)
_MAY_BE_NOTHING = ("epochs_alone", "plateau_patience")
"""Whole numbers that may be 0: without a first stage there is a training, without clips none."""
_SHARES = ("momentum", "dropout", "plateau_factor", "bn_momentum")
"""Numbers below 1; torch takes no others."""


def settable(recipe: object = Recipe) -> dict[str, str]:
    """Return the name of every setting with the values that it takes, in words.

    Args:
        recipe: of a method, or its class; None for a method without settings.
    """
    return {name: _words(kind, name) for name, (kind, _) in _kinds(recipe).items()}


def _kinds(recipe: object) -> dict[str, tuple[Any, str]]:
    """Return the type and the field of every setting by its public name."""
    rules = get_type_hints(Protocol)
    found = {name: (rules[name], name) for name in _RULES}
    if is_dataclass(recipe):
        hints = get_type_hints(recipe if isinstance(recipe, type) else type(recipe))
        named = [field.name for field in fields(recipe) if field.name not in _FIXED]
        found |= {name.rstrip("_"): (hints[name], name) for name in named}
    return found


def prescribe(
    method: _M, protocol: Protocol, texts: Sequence[str]
) -> tuple[_M, Protocol, dict[str, Any]]:
    """Return a method with its settings under a protocol, the protocol, and what was changed.

    A setting that is given its own value is no change.

    Args:
        method: gets the protocol's recipe, if it is of that kind.
        protocol: to start from.
        texts: ``name=value`` each; later ones win.

    Raises:
        UsageError: no '=', an unknown name, or a value that the setting does not take.
    """
    recipe = method.recipe
    if isinstance(recipe, Recipe):
        recipe = protocol.recipe_for(method.network)
    kinds = _kinds(recipe)
    wanted: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or name not in kinds:
            raise UsageError(
                f"--set {text!r} names no setting of {method.name}",
                f"{did_you_mean(name, kinds)}Write --set name=value with one of:"
                f" {', '.join(kinds)}.",
            )
        wanted[name] = _parse(kinds[name][0], value, name)
    changed = {n: v for n, v in sorted(wanted.items()) if v != _value(protocol, recipe, kinds, n)}
    protocol = replace(protocol, **{n: v for n, v in changed.items() if n in _RULES})
    if recipe is not None:
        own = {kinds[n][1]: v for n, v in changed.items() if n not in _RULES}
        recipe = replace(recipe, **own)
        prescribed: Any = method
        method = replace(prescribed, recipe=recipe)
    if isinstance(recipe, Recipe) and recipe.crop > recipe.short_side:
        raise UsageError(
            f"a crop of {recipe.crop} does not fit into a short side of {recipe.short_side}",
            "Set crop and short_side together.",
        )
    per_batch = isinstance(recipe, Recipe) and recipe.rho_per == "batch"
    # Only of a method that reads it.
    if per_batch and recipe.accumulation > 1 and "rho_per" in getattr(method, "settings", ()):
        raise UsageError(
            f"accumulation={recipe.accumulation} with rho_per=batch: {method.name} would have one"
            " rho per part of a batch, which is another rho",
            "Set rho_per=clip too, or save memory with --recompute or a smaller batch_size.",
        )
    return method, protocol, changed


def _value(
    protocol: Protocol, recipe: object, kinds: Mapping[str, tuple[Any, str]], name: str
) -> object:
    return getattr(protocol if name in _RULES else recipe, kinds[name][1])


def _parse(kind: Any, text: str, name: str) -> Any:  # noqa: ANN401 - a type, and its value
    optional = get_origin(kind) in (Union, types.UnionType)
    if optional and text == "none":
        return None
    plain = next(k for k in get_args(kind) if k is not type(None)) if optional else kind
    if get_origin(plain) is Literal:
        if text in get_args(plain):
            return text
    elif plain is bool:
        if text in ("true", "false"):
            return text == "true"
    elif plain is str:
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
    if kind is bool:
        return "true or false"
    if kind is str:
        return "a text"
    if kind is int:
        return "a whole number" if name in _MAY_BE_NOTHING else "a whole number above 0"
    if kind is float:
        return "a number below 1" if name in _SHARES else "a number"
    return "none"
