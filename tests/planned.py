"""Runs of methods and protocols that no name stands for, planned as those of names are."""

from dataclasses import dataclass, field, fields, replace
from typing import Any

from mtut_bench.contract.method_file import LoadedMethod
from mtut_bench.contract.recipe import Recipe
from mtut_bench.runs.planning import Planner, StoreHint
from mtut_bench.runs.spec import RunSpec


def varied(protocol, **changes):
    """Return a protocol with other settings, of its own or of its recipe."""
    names = {one.name for one in fields(Recipe)}
    recipe = {name: value for name, value in changes.items() if name in names}
    rules = {name: value for name, value in changes.items() if name not in names}
    return replace(protocol, **{"recipe": replace(protocol.recipe, **recipe), **rules})


@dataclass(frozen=True)
class Request:
    """One run as tests ask for it; the method and the protocol are objects."""

    store: Any
    method: Any
    protocol: Any
    fold: str = "1"
    modalities: tuple[str, ...] = ()
    seed: int = 0
    runs: Any = "runs"
    store_hint: str = ""
    dataset: str = ""
    weights: Any = "weights"
    settings: tuple[str, ...] = ()
    precision: str = "fp32"
    fold_unit: str = "person"
    expected: Any = None
    # Methods among which one is suggested.
    known: dict = field(default_factory=dict)


def planner_of(requests):
    """Return a planner that knows what the requests hold, and their texts."""
    planner = Planner({}, {}, {})
    specs = []
    for number, request in enumerate(requests):
        method = request.method
        planner.methods |= request.known
        loaded = method if isinstance(method, LoadedMethod) else LoadedMethod(method)
        text = loaded.file or f"method {number}"
        planner.loaded[text] = loaded
        planner.protocols[f"protocol {number}"] = request.protocol
        planner.hints[str(request.store)] = StoreHint(request.store_hint, request.expected)
        specs.append(
            RunSpec(
                method=text,
                store=str(request.store),
                protocol=f"protocol {number}",
                dataset=request.dataset,
                fold=request.fold,
                fold_unit=request.fold_unit,
                modalities=tuple(request.modalities),
                seed=request.seed,
                settings=tuple(request.settings),
                precision=request.precision,
                runs=str(request.runs),
                weights=str(request.weights),
            )
        )
    return planner, specs


def plan_runs(requests, without=None):
    """Return the plans of some requests, one after the other."""
    planner, specs = planner_of(requests)
    return planner.runs(specs, without)


def plan_fold_by_fold(groups, without=None):
    """Return the plans of groups of requests, fold by fold in each."""
    planner, specs = planner_of([request for group in groups for request in group])
    found = iter(specs)
    return planner.fold_by_fold([[next(found) for _ in group] for group in groups], without)
