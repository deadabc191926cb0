"""Fixtures of everything that trains or runs, on a tiny store."""

import pytest
from planned import Request, plan_runs, varied
from run_bench import MACHINE, Lines
from training_bench import Bench

from mtut_bench.contract.method_file import LoadedMethod
from mtut_bench.contract.overrides import prescribe
from mtut_bench.contract.types import Fold
from mtut_bench.runs.execute import execute
from mtut_bench.runs.plan import make_plan
from mtut_bench.runs.spec import RunSpec
from mtut_bench.store.reader import StoreReader


@pytest.fixture
def bench(make_store, tmp_path, tiny_methods, tiny_recipe):
    return Bench(make_store(), tmp_path / "checkpoints", tiny_methods, tiny_recipe)


@pytest.fixture
def validated(make_store, make_rows):
    """A store whose own split has a validation side: 3 train, 3 val, 3 test clips."""
    rows = make_rows(9, subjects=("1", "2", "3"), splits=("train", "val", "test"))
    return make_store("validated", rows=rows, fold_rule="split")


@pytest.fixture
def users(make_store):
    """A store whose persons are unknown."""
    return make_store("users", subject_unit="user")


@pytest.fixture
def make_request(make_store, tmp_path, tiny_methods, tiny_protocol):
    store = make_store()

    def make(method="mtut", **changes):
        values = {
            "store": store,
            "method": tiny_methods[method],
            "protocol": tiny_protocol,
            "fold": "1",
            "modalities": (),
            "seed": 0,
            "runs": tmp_path / "runs",
            "store_hint": "Make it: mtut-bench prepare viva.",
            "known": tiny_methods,
        }
        return Request(**(values | changes))

    return make


@pytest.fixture
def do(make_request):
    """Do a run; return its plan and the lines it printed."""

    def run(method="mtut", stop_at=None, **changes):
        plan = plan_runs([make_request(method, **changes)])[0]
        lines = Lines(stop_at)
        execute([plan], MACHINE, lines)
        return plan, lines.text

    return run


@pytest.fixture
def plan_with(make_store, tmp_path, tiny_methods, tiny_protocol):
    """Return the plan of a run with some parts changed."""
    stores = {}

    def plan(name="a", fold="1", method="mtut", modalities=("rgb", "depth"), seed=0, **changes):
        protocol = varied(tiny_protocol, **changes.pop("protocol", {}))
        overrides, weights = changes.pop("overrides", {}), changes.pop("weights", {})
        precision = changes.pop("precision", "fp32")
        if name not in stores:
            stores[name] = make_store(name, modalities=("rgb", "depth", "flow"), **changes)
        reader = StoreReader(stores[name])
        spec = RunSpec(
            method=method,
            store=str(stores[name]),
            protocol=protocol.name,
            fold=fold,
            modalities=modalities,
            seed=seed,
            precision=precision,
            runs=str(tmp_path),
        )
        chosen, protocol, _ = prescribe(tiny_methods[method], protocol, ())
        loaded = LoadedMethod(chosen)
        sides = Fold(fold, ("a",), ("b",))
        return make_plan(spec, reader, sides, loaded, protocol, overrides, weights)

    return plan
