"""``--set name=value``: a variant of a protocol, marked as such wherever its numbers appear."""

import math
import types
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from mtut_bench.contract.method import Method
from mtut_bench.contract.protocol import Protocol
from mtut_bench.contract.recipe import Recipe
from mtut_bench.errors import UsageError, did_you_mean

__all__ = ["prescribe"]

_M = TypeVar("_M", bound=Method)

_RULES = ("initialisation", "train_on")
"""Of a protocol itself."""
_FIXED = ("evaluation_batch",)
_MAY_BE_NOTHING = ("epochs_alone", "plateau_patience")
"""Whole numbers that may be 0."""
_SHARES = ("momentum", "dropout", "plateau_factor", "bn_momentum")
"""Numbers below 1; torch takes no others."""


def _kinds(recipe: object) -> dict[str, tuple[Any, str]]:
    """Return the type and the field of every setting by its public name."""
    rules = get_type_hints(Protocol)
    found = {name: (rules[name], name) for name in _RULES}
    if is_dataclass(recipe):
        hints = get_type_hints(type(recipe))
        named = [field.name for field in fields(recipe) if field.name not in _FIXED]
        found |= {name.rstrip("_"): (hints[name], name) for name in named}
    return found


def prescribe(
    method: _M, protocol: Protocol, texts: Sequence[str]
) -> tuple[_M, Protocol, dict[str, Any]]:
    """Return the method with its recipe under a protocol, the protocol, and what was changed.

    A setting that is given the value it has is no change.

    Args:
        method: gets the protocol's recipe, if it has one of that kind.
        protocol: to start from.
        texts: ``name=value`` each; later ones win.

    Raises:
        UsageError: no '=', an unknown name, a value that the setting does not take, or settings
            that do not fit each other.
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
                f"--set {text!r}: {method.name} has no such setting",
                f"{did_you_mean(name, kinds)}Write --set name=value with one of:"
                f" {', '.join(kinds)}.",
            )
        words, parse = _parser(kinds[name][0], name)
        try:
            wanted[name] = parse(value)
        except ValueError:
            raise UsageError(f"--set {text}: {name} takes {words}") from None
    changed = {
        name: value
        for name, value in sorted(wanted.items())
        if value != getattr(protocol if name in _RULES else recipe, kinds[name][1])
    }
    protocol = replace(protocol, **{n: v for n, v in changed.items() if n in _RULES})
    if recipe is not None:
        recipe = replace(recipe, **{kinds[n][1]: v for n, v in changed.items() if n not in _RULES})
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
            f"accumulation={recipe.accumulation} with rho_per=batch: {method.name} would "
            "compute rho "
            "per micro-batch, not per batch",
            "Set rho_per=clip too, or save memory with --recompute or a smaller batch_size.",
        )
    return method, protocol, changed


def _parser(kind: Any, name: str) -> tuple[str, Callable[[str], Any]]:  # noqa: ANN401 - a type
    """Return what a setting takes, in words, and the parser of it, which raises ValueError."""
    if get_origin(kind) in (Union, types.UnionType):
        words, parse = _parser(next(k for k in get_args(kind) if k is not type(None)), name)
        return f"{words} or none", lambda text: None if text == "none" else parse(text)
    if get_origin(kind) is Literal:
        choices = get_args(kind)
        return " or ".join(choices), lambda text: choices[choices.index(text)]
    if kind is bool:
        return "true or false", lambda text: bool(("false", "true").index(text))
    if kind is str:
        return "a text", str
    low, high, words = 0.0, math.inf, "a number"
    if kind is int:
        low, words = 1, "a whole number above 0"
        if name in _MAY_BE_NOTHING:
            low, words = 0, "a whole number"
    elif name in _SHARES:
        high, words = 1.0, "a number below 1"
    elif name == "width":
        low, words = math.ulp(0.0), "a number above 0"

    def number(text: str) -> float:
        value: float = kind(text)
        if not low <= value < high:
            raise ValueError
        return value

    return words, number
