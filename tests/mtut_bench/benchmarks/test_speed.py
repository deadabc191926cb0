"""Benchmarks of training, loading and testing: arithmetic, paths and errors, never a time."""

import json
from dataclasses import replace
from functools import partial

import pytest
import torch
from planned import plan_runs
from run_bench import MACHINE
from training_bench import state_bytes

from mtut_bench.benchmarks import loops, speed
from mtut_bench.benchmarks.loops import (
    EagerBf16,
    PartClock,
    PlainLoop,
    Training,
    plain_batches,
)
from mtut_bench.benchmarks.speed import (
    Window,
    compare_rates,
    flops_per_clip,
    has_bf16_units,
    measure_ceilings,
    measure_speed,
    measure_together,
    run_window,
)
from mtut_bench.contract.method_file import LoadedMethod
from mtut_bench.errors import UsageError
from mtut_bench.loading.device_cache import DeviceCache
from mtut_bench.loading.training_clips import EpochSampler, make_loader, split_batch
from mtut_bench.loading.transforms import to_input
from mtut_bench.training.step import PARTS, train_step

CPU = torch.device("cpu")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture
def plan(make_request):
    return plan_runs([make_request()])[0]


@pytest.fixture
def small_ceilings(monkeypatch):
    monkeypatch.setattr(speed, "_PRODUCT_SIZE", {"cpu": 64})
    monkeypatch.setattr(speed, "_COPY_BYTES", {"cpu": 4096})
    monkeypatch.setattr(speed, "_CEILING_S", 0.01)


def test_rates_ratios_and_shares_by_hand():
    ways = {
        "plain": [Window(20, 10.0, 5), Window(10, 10.0, 9), Window(500, 10.0)],
        "absent": "no units",
        "ours": [Window(60, 10.0)],
    }
    plain, absent, ours = compare_rates(ways, {"ours": 5e9}, 120e9)
    assert (plain.clips_per_s, plain.ratio, plain.peak_bytes) == (2.0, 1.0, 9)
    assert (plain.flops_per_clip, plain.floor_share) == (None, None)
    assert (ours.clips_per_s, ours.ratio, ours.peak_bytes) == (6.0, 3.0, None)
    # 6 clips of 5 GFLOP a second where 120 GFLOP/s can be had: a quarter.
    assert ours.floor_share == pytest.approx(0.25)
    assert (absent.not_run, absent.clips_per_s, absent.ratio) == ("no units", None, None)
    assert compare_rates(ways, {"ours": 5e9}, None)[2].floor_share is None


def ticking(monkeypatch, seconds_a_step):
    """Replace the clock by one that each step moves on; return the step."""
    now = [0.0]
    monkeypatch.setattr(speed.time, "perf_counter", lambda: now[0])

    def step():
        now[0] += seconds_a_step
        return 6

    return step


@pytest.mark.parametrize(
    ("step", "least", "steps"), [(2.0, 5.0, 3), (2.0, 6.0, 3), (100.0, 0.1, 1)]
)
def test_a_window_ends_with_the_step_that_passes_its_time(step, least, steps, monkeypatch):
    found = run_window(ticking(monkeypatch, step), least, CPU)
    assert found == Window(6 * steps, step * steps)


def test_the_flops_of_a_training_step_are_counted_on_the_networks(plan):
    training = Training(plan, MACHINE)
    train_state = training.train_states["rgb"]
    # TinyNetwork at 8 x 8 x 8: 12 kernels of 3 x 4 x 4 x 4 at 8 places; then K x 12 at 2 times.
    forward = 2 * (12 * 3 * 64 * 8 + train_state.network.head.out_features * 12 * 2)
    counted = flops_per_clip(training.step)
    # Backward: both gradients of the head, but no gradient of the clip; then the alignment.
    backward = 2 * (12 * 3 * 64 * 8 + 2 * train_state.network.head.out_features * 12 * 2)
    alignment = counted - forward - backward
    # Correlations of 8 blocks over 12 channels, once forward and at most twice backward.
    assert 2 * 8 * 8 * 12 <= alignment <= 3 * 2 * 8 * 8 * 12


def test_ceilings_name_type_and_unit(small_ceilings):
    found = measure_ceilings(CPU)
    assert {"float32 product, FLOP/s", "copy, bytes/s"} <= set(found)
    assert ("bfloat16 product, FLOP/s" in found) == has_bf16_units(CPU)
    assert all(value > 0 for value in found.values())
    assert torch.get_float32_matmul_precision() == "highest"


def test_the_clock_gives_each_part_its_mean_time(monkeypatch):
    times = iter([0.0, 1.0, 3.0, 50.0, 51.0, 55.0])
    monkeypatch.setattr(loops.time, "perf_counter", lambda: next(times))
    clock = PartClock(CPU)
    # Two steps; what lies between them belongs to none.
    for part in ("load", "forward", "", "load", "update", ""):
        clock(part)
    found = clock.milliseconds()
    assert tuple(found) == PARTS
    assert {p: ms for p, ms in found.items() if ms} == {
        "load": (1000.0 + 1000.0) / 2,
        "forward": 2000.0 / 2,
        "update": 4000.0 / 2,
    }
    assert clock.milliseconds() == {}


def test_the_step_tells_its_parts_in_order(plan):
    told = []
    Training(plan, MACHINE, told.append).step()
    networks = ["augment", "forward"] * 2
    assert told == ["load", "update", "copy", *networks, "objective", "backward", "update", ""]


def test_the_measured_step_is_the_trainers(plan, monkeypatch):
    # With the learning rate of a training it ends with the bytes of a loop written down here.
    changed = replace(plan.recipe, learning_rate=0.05)
    training = Training(plan, MACHINE)
    expected = Training(plan, MACHINE)
    for train_state in (*training.train_states.values(), *expected.train_states.values()):
        train_state.restart(changed.learning_rate)
    for _ in range(4):
        training.step()
    clips, sampler = loops._training_clips(plan)
    step = 0
    for epoch in range(4):
        sampler.epoch = epoch
        for batch in make_loader(clips, sampler, 0):
            train_step(
                expected.train_states,
                split_batch(batch, 1),
                expected.objective,
                plan.recipe,
                plan.seed,
                step,
                CPU,
                "fp32",
            )
            step += 1
    assert step == 4
    for modality, train_state in training.train_states.items():
        assert state_bytes(train_state) == state_bytes(expected.train_states[modality])


def test_every_batch_is_full_unless_there_is_none():
    sampler = loops._FullBatches(8, 3, 0)
    assert [len(batch) for batch in sampler] == [3, 3]
    assert list(sampler) == list(EpochSampler(8, 3, 0))[:2]
    assert [len(batch) for batch in loops._FullBatches(2, 3, 0)] == [2]


def test_nothing_is_learnt_while_measuring(plan):
    training = Training(plan, MACHINE)
    before = training.train_states["rgb"].network.conv.weight.clone()
    training.step()
    assert torch.equal(training.train_states["rgb"].network.conv.weight, before)


def test_the_plain_loop_makes_the_same_inputs_one_by_one(plan):
    clips, sampler = loops._training_clips(plan)
    plain = plain_batches(plan, CPU, 0)
    batches = list(make_loader(clips, sampler, 0))
    assert batches
    for batch in batches:
        inputs, valid_NT, labels_N = next(plain)
        assert torch.equal(valid_NT, batch.valid_NT)
        assert torch.equal(labels_N, batch.labels_N)
        for m, clip in inputs.items():
            assert clip.dtype == torch.float32
            expected = to_input(batch.frames[m], m, batch.crops, plan.recipe, batch.valid_NT)
            torch.testing.assert_close(clip, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("make", [partial(PlainLoop, workers=0), EagerBf16])
def test_a_baseline_trains_like_the_step(plan, make):
    # Without dropout; bf16 keeps eight bits.
    method = replace(plan.method, recipe=replace(plan.recipe, dropout=0.0))
    still = replace(plan, loaded=LoadedMethod(method))
    ours, other = Training(still, MACHINE), make(still, MACHINE)
    for loop in (ours, other):
        for train_state in loop.train_states.values():
            train_state.restart(0.01)
        assert loop.step() == 3 * 2
    for modality, train_state in ours.train_states.items():
        gradient = train_state.network.conv.weight.grad
        found = other.train_states[modality].network.conv.weight.grad
        tolerance = 1e-4 if isinstance(other, PlainLoop) else 0.1
        assert float((found - gradient).norm() / gradient.norm()) < tolerance
    assert torch.get_float32_matmul_precision() == "highest"


def report_of(what, plan, machine=MACHINE, repeats=1, seconds=0.0):
    return measure_speed(what, plan, machine, 0, seconds, repeats)


def test_the_training_report_has_its_rows_parts_and_facts(plan, small_ceilings):
    ticks = []
    report = measure_speed(
        "train", plan, MACHINE, 0, 0.0, 2, progress=lambda *tick: ticks.append(tick)
    )
    names = ["plain loop", "eager bf16, channels last", "training step"]
    found = json.loads(json.dumps(report.to_json()))
    assert set(found) == {"format_version", "what", "rates", "parts_ms", "ceilings"} | {
        "processes",
        "facts",
    }
    assert [rate["name"] for rate in found["rates"]] == names
    for rate in found["rates"]:
        assert set(rate) == {
            "name",
            "clips_per_s",
            "ratio",
            "floor_share",
            "flops_per_clip",
            "peak_bytes",
            "not_run",
            "windows",
        }
        assert (rate["clips_per_s"] is None) == bool(rate["not_run"])
    # The window that warms up is thrown away.
    assert len(found["rates"][-1]["windows"]) == 2
    top = max(rate for name, rate in found["ceilings"].items() if name.endswith("FLOP/s"))
    assert found["rates"][-1]["floor_share"] == pytest.approx(
        found["rates"][-1]["clips_per_s"] * found["rates"][-1]["flops_per_clip"] / top
    )
    assert ticks[-1][0] == ticks[-1][1] == 2 * sum(not rate["not_run"] for rate in found["rates"])
    assert tuple(found["parts_ms"]) == PARTS
    assert all(found["parts_ms"][part] > 0 for part in PARTS)
    facts = found["facts"]
    assert {"device", "torch", "command", "store", "clips", "memory", "load before"} <= set(facts)
    assert "synthetic" in facts["store"]
    assert "rgb+depth" in facts["run"]


def test_without_bf16_units_the_row_says_so(plan, small_ceilings, monkeypatch):
    monkeypatch.setattr(speed, "has_bf16_units", lambda device: False)
    report = report_of("train", plan)
    (row,) = [rate for rate in report.rates if rate.name.startswith("eager bf16")]
    assert row.windows == ()
    assert row.not_run.startswith("not run on this device")
    assert "bfloat16 product, FLOP/s" not in report.ceilings


@pytest.mark.parametrize("mode", ["auto", "always"])
def test_the_loader_report_has_a_row_of_cached_clips_where_they_are(plan, mode):
    machine = replace(MACHINE, device_cache=DeviceCache(mode, CPU))
    report = report_of("loader", plan, machine)
    plain, streamed, cached = report.rates
    assert plain.windows
    assert streamed.windows
    assert bool(cached.windows) == (mode == "always")
    assert cached.not_run == "" or "--device-cache always" in cached.not_run
    assert {rate.floor_share for rate in report.rates} == {None}
    assert report.parts_ms == {}


def test_the_test_stands_beside_the_training_step(plan, small_ceilings):
    report = report_of("evaluate", plan, repeats=2)
    training, test = report.rates
    assert (training.name, test.name) == ("training step", "whole-clip test")
    # Two networks over all clips of the test side at once.
    assert {w.clips for w in test.windows} == {2 * len(plan.fold.test)}
    assert test.flops_per_clip < training.flops_per_clip
    assert "whole" in report.facts["test clips"]


class Counting:
    """Work for several processes."""

    machine = MACHINE

    def step(self):
        return 5


class Failing:
    def __init__(self):
        raise UsageError("this cannot start", "Do something else.")


def test_processes_work_at_the_same_time_and_are_added_up():
    assert measure_together(2, Counting, 0.0) > 0


def test_the_fault_of_a_process_is_told_as_it_is():
    with pytest.raises(UsageError, match="cannot start"):
        measure_together(1, Failing, 0.0)


@pytest.mark.gpu
@needs_gpu
def test_a_report_of_a_gpu_has_memory_and_parts(make_request):
    gpu = torch.device("cuda")
    plan = plan_runs([make_request(precision="bf16")])[0]
    machine = replace(MACHINE, device=gpu, device_cache=DeviceCache("always", gpu))
    report = report_of("train", plan, machine, seconds=0.1)
    assert all(rate.peak_bytes > 0 for rate in report.rates)
    assert all(report.parts_ms[part] >= 0 for part in PARTS)
    assert report.facts["clips"].startswith("cached")
