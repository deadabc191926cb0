from dataclasses import replace

import pytest
from planned import plan_runs

from mtut_baselines import CONTROLS, METHODS
from mtut_bench.contract.protocol import PROTOCOLS
from mtut_bench.contract.published import load_published
from mtut_bench.errors import UsageError
from mtut_bench.runs.table_plan import Need, choose_tables, describe_tables, needed_runs

RGB, DEPTH, FLOW = "rgb", "depth", "flow"
BOTH, ALL = (RGB, DEPTH), (RGB, DEPTH, FLOW)
I3D_ONLY = {name: METHODS[name] for name in ("i3d", "i3d+ssa", "mtut")}


def needs(numbers, methods=METHODS, **options):
    return needed_runs(numbers, methods, PROTOCOLS, **options)


def test_table_seven_needs_all_six_methods_from_scratch():
    names = METHODS.keys() - CONTROLS.keys()
    assert set(needs(["7"])) == {Need("viva", "paper-scratch", name, BOTH) for name in names}
    assert len(names) == 6


def test_methods_that_are_not_there_are_not_needed():
    assert {need.method for need in needs(["7"], I3D_ONLY)} == set(I3D_ONLY)


def test_tables_three_and_six_share_i3d_and_train_mtut_on_three_sets():
    found = needs(["3", "6"], I3D_ONLY)
    mtut = {(RGB, DEPTH), (RGB, FLOW), ALL}
    assert len(found) == 4
    assert set(found) == {Need("nvgesture", "paper", "i3d", ALL)} | {
        Need("nvgesture", "paper", "mtut", names) for names in mtut
    }


def test_table_six_alone_needs_the_same_i3d():
    found = [need for need in needs(["6"]) if need.method == "i3d"]
    assert found == [Need("nvgesture", "paper", "i3d", ALL)]


def test_where_the_paper_prints_a_dash_nothing_is_trained():
    found = [need for need in needs(["3"]) if need.method == "c3d"]
    assert found == [Need("nvgesture", "paper", "c3d", BOTH)]


@pytest.mark.parametrize(("number", "dataset"), [("1", "viva"), ("2", "egogesture")])
def test_tables_one_and_two_need_the_fusion_tables_runs(number, dataset):
    expected = {Need(dataset, "paper", name, BOTH) for name in ("c3d", "i3d", "mtut")}
    assert set(needs([number])) == expected
    fusion = {"1": "4", "2": "5"}[number]
    assert set(needs([fusion])) == expected
    assert needs([number, fusion]) == needs([number])


def test_the_union_has_no_doubles():
    everything = needs(choose_tables("all"))
    assert len(set(everything)) == len(everything)
    assert everything == sorted(everything)
    singles = {need for number in "123457" for need in needs([number])}
    assert singles <= {*everything, Need("nvgesture", "paper", "mtut", ALL)}
    assert needs(["7", "7"]) == needs(["7"])


def test_dataset_and_protocol_are_replaced():
    found = needs(["7"], dataset="viva-synthetic", protocol="demo")
    assert found == [replace(n, dataset="viva-synthetic", protocol="demo") for n in needs(["7"])]
    # Tables 1 and 7 are then the same runs.
    both = needs(["1", "7"], protocol="demo")
    assert both == needs(["7"], protocol="demo")


def test_choosing_tables():
    assert choose_tables("all") == list(load_published().tables) == list("1234567")
    assert choose_tables("7") == ["7"]
    assert choose_tables("3, 6") == ["3", "6"]


@pytest.mark.parametrize("text", ["8", "1,x", "", ",", "ALL"])
def test_an_unknown_table_is_refused(text):
    with pytest.raises(UsageError, match=f"unknown table {text!r}") as caught:
        choose_tables(text)
    assert "1, 2, 3, 4, 5, 6, 7" in caught.value.hint


def test_a_table_without_a_method_or_a_protocol_of_ours_is_refused():
    with pytest.raises(UsageError, match="table 7"):
        needs(["7"], {})
    with pytest.raises(UsageError, match="table 7"):
        needed_runs(["7"], METHODS, {"demo": PROTOCOLS["demo"]})


def test_the_work_of_each_table_by_itself(make_request):
    # 4 training clips, 2 modalities, 3 + 2 epochs: 24 passes alone, 16 jointly for each method.
    alone = plan_runs([make_request("i3d")])
    both = plan_runs([make_request("i3d"), make_request("mtut")])
    found = describe_tables({"3": alone, "7": both}, 0.01)
    assert found == [
        "table 3 alone: 1 run, 40 clip passes, about 67 min at 0.01 clips/s",
        "table 7 alone: 2 runs, 56 clip passes, about 93 min at 0.01 clips/s",
    ]
    assert describe_tables({"7": both}) == ["table 7 alone: 2 runs, 56 clip passes"]
