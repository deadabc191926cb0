import hashlib
import json
from dataclasses import replace

import pytest
from planned import plan_fold_by_fold, plan_runs, varied
from run_bench import MACHINE, Lines, write_stage_record
from safetensors.torch import load_file, save_file

from mtut_baselines import METHODS
from mtut_bench.contract.protocol import PROTOCOLS
from mtut_bench.errors import RunError, UsageError
from mtut_bench.runs.execute import execute
from mtut_bench.runs.plan import Weights
from mtut_bench.runs.workload import Workload, describe_plans, measured_rate

NAMES = {"rgb": "tiny-rgb", "depth": "tiny-rgb", "flow": "tiny-flow"}


def load_tiny(network, path):
    network.load_state_dict(load_file(path))
    return ["all tensors mapped"]


@pytest.fixture
def pretrained(tiny_methods, tiny_protocol, make_request, tmp_path):
    """Return the request of a run that starts from weights."""
    protocol = varied(tiny_protocol, name="tiny-pretrained", initialisation="pretrained")

    def make(method="mtut", **changes):
        built_in = replace(tiny_methods[method], weights=NAMES, load_weights=load_tiny)
        values = {"protocol": protocol, "weights": tmp_path / "weights"} | changes
        return replace(make_request(**values), method=built_in)

    return make


@pytest.fixture
def weight_file(tmp_path, tiny_methods, tiny_protocol):
    """Write the weights of a tiny network, all of one value."""
    from mtut_bench.training.train_state import network_spec

    def write(value=0.5, name="tiny-rgb"):
        network = tiny_methods["i3d"].build_network(network_spec("rgb", 3, tiny_protocol.recipe))
        path = tmp_path / "weights" / f"{name}.safetensors"
        path.parent.mkdir(exist_ok=True)
        state = network.state_dict()
        floats = {k: v * 0 + value for k, v in state.items() if v.is_floating_point()}
        save_file(state | floats, path)
        return path

    return write


def missing(requests):
    with pytest.raises(RunError) as caught:
        plan_runs(requests)
    return caught.value.what


def test_weights_are_found_and_hashed(pretrained, weight_file):
    path = weight_file()
    plan = plan_runs([pretrained()])[0]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    # Depth starts from the file of rgb.
    assert plan.weights == {m: Weights(path, digest) for m in ("rgb", "depth")}
    assert all(s["weights_digest"] == digest for s in plan.shared_keys.values())
    assert plan.identity["weights_digest"] is not None


def test_a_file_of_one_modality_changes_stage_one_of_no_other(pretrained, weight_file, make_store):
    store = make_store("three", modalities=("rgb", "depth", "flow"))
    weight_file()
    weight_file(0.5, "tiny-flow")
    first = plan_runs([pretrained(store=store)])[0]
    weight_file(0.25, "tiny-flow")
    second = plan_runs([pretrained(store=store)])[0]
    weight_file(0.5, "tiny-flow")
    assert first.run_id == plan_runs([pretrained(store=store)])[0].run_id != second.run_id
    same = {m: first.stage_id(m) == second.stage_id(m) for m in first.modalities}
    assert same == {"rgb": True, "depth": True, "flow": False}


def test_scratch_does_not_look_at_weights(pretrained, weight_file, tiny_protocol):
    weight_file()
    plan = plan_runs([pretrained(protocol=tiny_protocol)])[0]
    assert plan.weights == {}
    assert plan.identity["weights_digest"] is None


def test_training_starts_from_the_weights(pretrained, weight_file):
    weight_file(0.0)
    protocol = varied(pretrained().protocol, learning_rate=0.0, dropout=0.0)
    plan = plan_runs([pretrained(protocol=protocol)])[0]
    execute([plan], MACHINE, Lines())
    for modality in ("rgb", "depth"):
        state = load_file(plan.folder / f"network-{modality}.safetensors")
        assert not any(state[name].any() for name in ("conv.weight", "head.weight", "head.bias"))


def test_a_method_that_cannot_load_weights_is_named(pretrained, weight_file):
    weight_file()
    request = pretrained()
    request = replace(request, method=replace(request.method, load_weights=None))
    with pytest.raises(RunError, match="method mtut cannot load weights"):
        execute(plan_runs([request]), MACHINE, Lines())


def test_missing_weights_name_their_files_and_both_ways_out(pretrained, tmp_path, make_store):
    store = make_store("three", modalities=("rgb", "depth", "flow"))
    text = missing([pretrained(store=store)])
    assert "one thing is missing" in text
    for name in ("tiny-rgb", "tiny-flow"):
        assert text.count(str(tmp_path / "weights" / f"{name}.safetensors")) == 1
    assert "mtut-bench weights fetch" in text
    assert "--protocol paper-scratch" in text


def test_weights_that_a_method_does_not_know_are_named(pretrained):
    request = pretrained()
    request = replace(request, method=replace(request.method, weights={"depth": "x"}))
    assert "method mtut has none for rgb" in missing([request])


def test_all_that_several_requests_miss_is_named_once_each(pretrained, make_store, tmp_path):
    users = make_store("users", subject_unit="user")
    gone = tmp_path / "stores" / "no.zarr"
    requests = [
        pretrained(method, store=store) for method in ("i3d", "mtut") for store in (gone, users)
    ]
    text = missing(requests)
    assert text.count("no.zarr does not exist (stores there: ") == 1
    assert "mtut-bench prepare viva." in text
    assert text.count("folds: some users of this dataset may be the same person") == 1
    entries = [line for line in text.splitlines() if line.startswith("  - ")]
    assert len(entries) == len(set(entries))
    assert f"{len(entries)} things are missing" in text


def test_runs_that_several_requests_share_are_planned_once(make_request):
    plans = plan_runs([make_request(fold="all"), make_request(fold="1"), make_request("i3d")])
    assert [(plan.method.name, plan.fold.name) for plan in plans] == [
        ("mtut", "1"),
        ("mtut", "2"),
        ("i3d", "1"),
    ]


def test_runs_by_user_are_planned_and_say_so(make_request, users):
    request = make_request(store=users, fold="all", fold_unit="user", settings=("momentum=0.5",))
    plans = plan_runs([request])
    assert [plan.fold_title for plan in plans] == ["fold 1 by user", "fold 2 by user"]
    assert plans[0].identity["overrides"] == {"momentum": 0.5, "fold_unit": "user"}
    plan = plan_runs([make_request(fold_unit="person")])[0]
    assert "fold_unit" not in json.dumps([plan.identity, plan.shared_keys])
    assert "by" not in describe_plans([plan])[0].split()


def test_runs_by_user_share_nothing_with_runs_by_person(make_request, users, make_store):
    # The same frames and rows, so the same digest: who is left out is all that differs.
    by_person = plan_runs([make_request(store=make_store("persons"))])[0]
    by_user = plan_runs([make_request(store=users, fold_unit="user")])[0]
    assert by_person.identity["store_digest"] == by_user.identity["store_digest"]
    assert by_person.fold == by_user.fold
    assert by_person.run_id != by_user.run_id
    assert by_person.stage_id("rgb") != by_user.stage_id("rgb")


def test_runs_by_user_of_a_store_with_persons_are_refused(make_request):
    with pytest.raises(UsageError, match="identifies its persons"):
        plan_runs([make_request(fold_unit="user")])


def test_a_run_by_user_says_so_while_it_trains_and_in_its_manifest(make_request, users):
    plan = plan_runs([make_request(store=users, fold_unit="user")])[0]
    lines = Lines()
    execute([plan], MACHINE, lines)
    assert "folds by user: one person may be on both sides" in lines.text
    manifest = json.loads((plan.folder / "manifest.json").read_text())
    assert manifest["identity"]["overrides"] == {"fold_unit": "user"}
    assert manifest["store"]["folds"] == ["1", "2"]


def test_a_method_has_the_rules_of_its_network(make_request):
    protocol = PROTOCOLS["paper-scratch"]
    plan = plan_runs([replace(make_request(protocol=protocol), method=METHODS["mtut-c3d"])])[0]
    assert plan.recipe.crop == 112
    assert plan.identity["protocol"]["crop"] == 112
    assert plan.identity["overrides"] == {}


def two_methods(make_request):
    return plan_runs([make_request(m, fold="all") for m in ("i3d", "mtut")])


def test_work_of_two_methods_with_shared_stages_by_hand(make_request):
    # 2 folds x 4 training clips in batches of 3 and 1; 3 + 2 epochs; 2 modalities; 2 methods.
    work = Workload.of(two_methods(make_request))
    assert work.num_stages == 4
    assert work.stage_one_steps == 4 * 2 * 3
    assert work.stage_two_steps == 2 * 2 * 2 * 2 * 2
    assert work.clip_passes == 4 * 4 * 3 + 2 * 2 * 2 * 4 * 2
    assert work.unshared == 2 * 2 * 2 * 4 * (3 + 2)
    assert work.saved == pytest.approx(1 - 112 / 160)
    assert work.test_clips == 2 * 2 * 2 * 4


def test_finished_runs_and_stages_are_no_work(make_request):
    plans = two_methods(make_request)
    execute(plans[:1], MACHINE, Lines())  # i3d on the first fold
    work = Workload.of(plans)
    assert work.num_stages == 2
    assert work.clip_passes == 2 * 4 * 3 + 3 * 2 * 4 * 2
    execute(plans, MACHINE, Lines())
    assert Workload.of(plans) == Workload()
    assert Workload.of(plans).saved == 0


def test_accumulation_changes_no_count_of_work(make_request):
    plain, divided = (
        Workload.of(plan_runs([make_request(settings=settings)]))
        for settings in (("rho_per=clip",), ("rho_per=clip", "accumulation=3"))
    )
    assert plain == divided


def test_hours_are_clip_passes_over_the_rate(make_request):
    plans = two_methods(make_request)
    assert "about 32 s of training at 3.50 clips/s" in describe_plans(plans, 3.5)
    # 112 passes at 0.01 clips/s are 11,200 s or 3.1 hours.
    text = "\n".join(describe_plans(plans, 0.01))
    assert "clip passes: 112; without sharing stage one 160 (30% saved)" in text
    assert "about 3.1 hours of training at 0.01 clips/s" in text
    assert "clips/s" not in "\n".join(describe_plans(plans))


def write_stage(runs, name, protocol, network, rates):
    folder = runs / "stages" / name
    folder.mkdir(parents=True)
    identity = {"stage": "alone", "protocol": {"name": protocol}, "network": network}
    write_stage_record(folder, "", identity)
    lines = [json.dumps({"epoch": n, "clips_per_s": rate}) for n, rate in enumerate(rates)]
    (folder / "log.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def test_the_measured_rate_is_the_median_of_like_stages(make_request):
    plans = two_methods(make_request)
    runs = plans[0].runs
    assert measured_rate(plans) is None
    write_stage(runs, "other-protocol", "paper", "tiny", [1000.0] * 9)
    write_stage(runs, "other-network", "tiny", "i3d", [1000.0] * 9)
    (write_stage(runs, "no-log", "tiny", "tiny", [1.0]) / "log.jsonl").unlink()
    (write_stage(runs, "begun", "tiny", "tiny", [1000.0] * 9) / "manifest.json").unlink()
    assert measured_rate(plans) is None
    write_stage(runs, "a", "tiny", "tiny", [2.0, 4.0, 50.0])
    write_stage(runs, "b", "tiny", "tiny", [3.0, 5.0])
    assert measured_rate(plans) == 4.0


@pytest.mark.parametrize(
    ("name", "text"), [("manifest.json", "{"), ("manifest.json", "{}"), ("log.jsonl", "{}\n{")]
)
def test_a_damaged_stage_is_named(make_request, name, text):
    plans = two_methods(make_request)
    folder = write_stage(plans[0].runs, "a", "tiny", "tiny", [2.0])
    (folder / name).write_text(text)
    with pytest.raises(RunError, match=str(folder / "manifest.json")):
        measured_rate(plans)


def trainval(protocol):
    return replace(protocol, train_on="train+val")


def test_a_validation_split_is_trained_on_where_the_protocol_says_so(
    make_request, validated, tiny_protocol
):
    options = {"store": validated, "fold": "all"}
    (plain,) = plan_runs([make_request(**options)])
    (plan,) = plan_runs([make_request(**options, protocol=trainval(tiny_protocol))])
    (variant,) = plan_runs([make_request(**options, settings=("train_on=train+val",))])
    assert len({one.run_id for one in (plain, plan, variant)}) == 3
    assert len({one.stage_id("rgb") for one in (plain, plan, variant)}) == 3
    assert variant.fold == plan.fold
    assert plain.fold.train == ("clip00", "clip03", "clip06")
    assert plain.fold.val == ("clip01", "clip04", "clip07")
    assert plan.fold.train == ("clip00", "clip01", "clip03", "clip04", "clip06", "clip07")
    assert (plan.fold.val, plan.fold.test) == ((), ("clip02", "clip05", "clip08"))


def test_a_store_without_a_validation_split_is_refused(make_request, tiny_protocol):
    with pytest.raises(UsageError, match="fold 1 has no validation clips"):
        plan_runs([make_request(protocol=trainval(tiny_protocol))])


def test_work_counts_validation_clips_where_they_are(make_request, validated, tiny_protocol):
    options = {"store": validated, "fold": "official"}
    plans = plan_runs([make_request(**options)])
    # 3 clips of each side, 2 modalities; 3 + 2 epochs.
    assert Workload.of(plans).test_clips == (3 + 3) * 2
    assert Workload.of(plans).clip_passes == 3 * 5 * 2
    assert "3 train, 3 val, 3 test clips" in describe_plans(plans)[0]
    plans = plan_runs([make_request(**options, protocol=trainval(tiny_protocol))])
    assert Workload.of(plans).test_clips == 3 * 2
    assert Workload.of(plans).clip_passes == 6 * 5 * 2
    assert "6 train, 3 test clips" in describe_plans(plans)[0]


def test_inner_folds_are_another_run_and_leave_the_tested_person_out(
    make_request, make_store, make_rows
):
    store = make_store("three", rows=make_rows(9, subjects=("1", "2", "3")))
    (plain,) = plan_runs([make_request(store=store)])
    (inner,) = plan_runs([make_request(store=store, settings=("train_on=inner",))])
    assert inner.run_id != plain.run_id
    assert inner.stage_id("rgb") != plain.stage_id("rgb")
    assert not {*inner.fold.train, *inner.fold.test} & set(plain.fold.test)
    assert inner.identity["overrides"] == {"train_on": "inner"}


def test_a_group_is_planned_fold_by_fold_and_nothing_twice(make_request):
    requests = [make_request(name, fold="all") for name in ("i3d", "mtut")]
    plans = plan_fold_by_fold([requests, [requests[1]]])
    folds = [plan.fold.name for plan in plan_runs(requests[:1])]
    assert len(folds) > 1
    assert [(p.fold.name, p.method.name) for p in plans] == [
        (fold, name) for fold in folds for name in ("i3d", "mtut")
    ]
    assert {plan.run_id for plan in plans} == {plan.run_id for plan in plan_runs(requests)}
