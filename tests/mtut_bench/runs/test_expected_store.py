from dataclasses import replace

import pytest
from planned import plan_fold_by_fold, plan_runs

from mtut_bench.contract.folds import make_folds
from mtut_bench.errors import RunError, UsageError
from mtut_bench.runs.workload import Workload, describe_plans
from mtut_bench.store.expected import ExpectedStore, UnmadeStore
from mtut_bench.store.reader import StoreReader


def expect(store, **changes):
    """Return what is known of a store that is there, as if it were not."""
    reader = StoreReader(store)
    attributes = reader.attributes
    expected = ExpectedStore(
        attributes.dataset,
        attributes.origin,
        reader.table.rows,
        reader.modalities,
        len(attributes.classes),
        attributes.fold_rule,
        attributes.subject_unit,
        "counts of the test",
    )
    return replace(expected, **changes)


@pytest.fixture
def request_without(make_request, tmp_path):
    """Return the request of a run on a store that is not there."""

    def make(method="mtut", name="gone", **changes):
        request = make_request(method)
        values = {
            "store": tmp_path / "stores" / f"{name}.zarr",
            "expected": expect(request.store),
            "fold": "all",
        }
        return replace(request, **(values | changes))

    return make


def test_a_plan_without_the_store_counts_what_the_store_would_give(make_request, request_without):
    methods = ("i3d", "mtut", "i3d+ssa")
    missing = []
    without = plan_runs([request_without(name) for name in methods], missing)
    plans = plan_runs([make_request(name, fold="all") for name in methods])
    assert Workload.of(without) == Workload.of(plans) != Workload()
    assert [(plan.fold.name, plan.modalities) for plan in without] == [
        (plan.fold.name, plan.modalities) for plan in plans
    ]
    shown = [describe_plans(some, 10.0) for some in (without, plans)]
    assert [line[12:] for line in shown[0]] == [line[12:] for line in shown[1]]
    assert all(line.startswith("no id yet ") for line in shown[0][: len(plans)])
    (text,) = missing
    assert "gone.zarr does not exist" in text
    assert "Make it: mtut-bench prepare viva." in text
    assert "Planned as viva, rgb+depth: counts of the test." in text


def test_a_store_that_is_there_is_read_and_keeps_its_runs(make_request, make_rows):
    expected = expect(make_request().store, rows=make_rows(num_clips=4))
    missing = []
    (plan,) = plan_runs([make_request(expected=expected)], missing)
    assert missing == []
    assert plan.run_id == plan_runs([make_request()])[0].run_id
    assert describe_plans([plan])[0].startswith(f"{plan.run_id[:12]}  mtut")


def test_one_store_of_which_nothing_is_known_stops_the_plan_and_all_is_listed(request_without):
    requests = [request_without(), request_without(name="lost", expected=None)]
    missing = []
    with pytest.raises(RunError, match="2 things are missing") as caught:
        plan_runs(requests, missing)
    assert missing == []
    assert "lost.zarr does not exist" in caught.value.what


def test_stores_that_are_not_there_share_no_first_stage(request_without):
    one = Workload.of(plan_runs([request_without()], []))
    two = plan_fold_by_fold([[request_without(), request_without(name="other")]], [])
    assert Workload.of(two).num_stages == 2 * one.num_stages
    assert Workload.of(two).num_runs == 2 * one.num_runs


def test_missing_weights_are_named_and_their_runs_planned(make_request, request_without, tmp_path):
    changes = {"weights": tmp_path / "weights"}
    there, gone = (
        replace(
            request,
            protocol=replace(request.protocol, name="tiny-pretrained", initialisation="pretrained"),
            method=replace(request.method, weights={"rgb": "w-rgb", "depth": "w-rgb"}),
        )
        for request in (make_request(**changes), request_without(**changes))
    )
    missing = []
    plans = plan_runs([there], missing)
    (text,) = missing
    assert f"{tmp_path / 'weights' / 'w-rgb.safetensors'}" in text
    assert "mtut-bench weights fetch w-rgb" in text
    assert describe_plans(plans)[0].startswith("no id yet ")
    missing = []
    assert Workload.of(plan_runs([gone], missing)).num_runs == 2
    assert len(missing) == 2


def test_a_store_without_a_table_of_persons_is_planned_with_what_is_expected(
    make_request, users, make_rows
):
    rows = make_rows(num_clips=12, subjects=("1", "2", "3"))
    expected = expect(users, rows=rows, subject_unit="person", modalities=("rgb",))
    missing = []
    plans = plan_runs([make_request(store=users, fold="all", expected=expected)], missing)
    assert [(len(plan.fold.train), len(plan.fold.test)) for plan in plans] == [(8, 4)] * 3
    # What the store holds is known all the same.
    assert {plan.modalities for plan in plans} == {("rgb", "depth")}
    assert describe_plans(plans)[0].startswith("no id yet ")
    (text,) = missing
    assert "may be the same person" in text
    assert "counts of the test" in text


def test_modalities_that_prepare_or_derive_add_are_planned_and_named(request_without):
    asked = ("depth", "depth_copy", "flow")
    missing = []
    plans = plan_runs([request_without(modalities=asked)], missing)
    assert {plan.modalities for plan in plans} == {("depth", "flow", "depth_copy")}
    added = [text for text in missing if text.startswith("modality:")]
    assert ["prepare --flow" in text for text in added] == [True, False]
    assert "depth_copy only after `mtut-bench derive`" in added[1]


@pytest.mark.parametrize("name", ["infrared", "deph"])
def test_a_modality_that_nothing_makes_is_refused(request_without, name):
    with pytest.raises(UsageError, match=f"'{name}'"):
        plan_runs([request_without(modalities=("rgb", name))], [])


def test_inner_folds_and_validation_clips_are_counted_without_the_store(
    validated, make_request, tmp_path
):
    gone = tmp_path / "stores" / "gone.zarr"
    for setting in ("train_on=inner", "train_on=train+val"):
        options = {"fold": "all", "settings": (setting,)}
        real = plan_runs([make_request(store=validated, **options)])
        planned = plan_runs([make_request(store=gone, expected=expect(validated), **options)], [])
        assert Workload.of(planned) == Workload.of(real) != Workload()


def test_an_unmade_store_makes_the_folds_of_the_real_one(make_request, tmp_path):
    store = make_request().store
    unmade = UnmadeStore(tmp_path / "gone.zarr", expect(store))
    facts = unmade.attributes
    assert (facts.origin, facts.complete, facts.expected_clips) == ("synthetic", True, 8)
    folds = make_folds(unmade.table.rows, facts.fold_rule, facts.subject_unit)
    reader = StoreReader(store)
    assert folds == make_folds(reader.table.rows, "subject", "person")
    assert (unmade.name, unmade.modalities, unmade.added) == ("gone", reader.modalities, ())


def test_users_are_no_persons_without_the_store_either(request_without, users):
    expected = expect(users)
    missing = []
    with pytest.raises(RunError, match="may be the same person"):
        plan_runs([request_without(expected=expected)], missing)
    plans = plan_runs([request_without(expected=expected, fold_unit="user")], missing)
    assert [plan.fold_title for plan in plans] == ["fold 1 by user", "fold 2 by user"]


def test_runs_that_are_to_start_need_the_store(request_without):
    with pytest.raises(RunError, match="one thing is missing"):
        plan_runs([request_without()])
