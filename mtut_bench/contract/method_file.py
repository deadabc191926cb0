"""A user's own method: one Python file with a class or function that gives a Method."""

import hashlib
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from mtut_bench.contract.method import Method
from mtut_bench.errors import UsageError, did_you_mean
from mtut_bench.files import StrPath

__all__ = ["LoadedMethod", "load_method", "where"]


@dataclass(frozen=True)
class LoadedMethod:
    """A method and where it came from.

    Attributes:
        file: 'path/to/file.py:function' of a user's own, as typed, not part of a run's identity;
            "" for a built-in one.
        source: SHA-256 of that file; "" for a built-in one.
    """

    method: Method
    file: str = ""
    source: str = ""


def load_method(text: str, known: Mapping[str, Method]) -> LoadedMethod:
    """Return the method of ``path/to/file.py:function``, or the one known by a name.

    The file's SHA-256 is part of every run's identity: a changed file is another method. It is part
    of the identity of a stage one only if the file defines the network; a built-in one is shared.

    Args:
        text: what the user typed.
        known: the built-in methods, by name.

    Raises:
        UsageError: no such method, file or function; the file fails (with its line); the function
            returns no Method, or one with the name or title of a built-in method.
    """
    if text in known:
        return LoadedMethod(known[text])
    name, colon, function = text.rpartition(":")
    if not colon or not name.endswith(".py"):
        raise UsageError(
            f"unknown method {text!r}",
            f"{did_you_mean(text, known)}Choose one of: {', '.join(known)}; or your own: "
            "path/to/file.py:build.",
        )
    path = Path(name)
    if not path.is_file():
        raise UsageError(f"{path} does not exist", "Write --method path/to/file.py:build.")
    source = path.read_bytes()
    digest = hashlib.sha256(source).hexdigest()
    method = _call(path, source, f"{path.stem}_{digest[:12]}", function)
    if not isinstance(method, Method):
        raise UsageError(
            f"{text} returned a {type(method).__name__}, not a Method",
            "Return a mtut_bench.TwoStageMethod(...), or an instance of a subclass of "
            "mtut_bench.Method.",
        )
    titles = {title for ours in known.values() for title in (ours.title, ours.fusion_title)}
    taken = [n for n in (method.name,) if n in known]
    taken += [title for title in (method.title, method.fusion_title) if title in titles]
    if taken:
        raise UsageError(
            f"{text} names its method {taken[0]!r}, the name of a built-in one",
            "Give it another name and title.",
        )
    networks: Any = method
    if hasattr(networks, "network_source"):
        method = replace(networks, network_source="" if _shares(networks, known) else digest)
    return LoadedMethod(method, text, digest)


def _shares(method: Any, known: Mapping[str, Method]) -> bool:  # noqa: ANN401 - it trains networks
    """Return whether a built-in method builds and fills its networks alike."""
    return any(
        (method.network, method.build_network) == (ours.network, getattr(ours, "build_network", 0))
        and method.load_weights in (None, getattr(ours, "load_weights", None))
        for ours in known.values()
    )


def _call(path: Path, source: bytes, name: str, function: str) -> object:
    """Return what a function of the file returns; runs these bytes, not Python's cache."""
    module = ModuleType(name)
    module.__file__ = str(path)
    # dataclasses look for their module there.
    sys.modules[name] = module
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)
    except Exception as error:
        raise UsageError(where(path, error), "Correct the file.") from error
    build = getattr(module, function, None)
    if not callable(build):
        raise UsageError(f"{path} has no function {function!r}", f"Define it: def {function}():")
    try:
        return build()
    except Exception as error:
        raise UsageError(where(path, error), "Correct the file.") from error


def where(path: StrPath, error: Exception) -> str:
    """Return an error with the last line of the user's file in its traceback."""
    lines = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    place = f"{path}:{lines[-1].lineno}" if lines else str(path)
    return f"{place}: {type(error).__name__}: {error}"
