import gc
import json
import weakref
from dataclasses import replace

import pytest
import torch
from planned import plan_runs, varied
from run_bench import MACHINE, Lines

from mtut_baselines import METHODS
from mtut_bench.contract.protocol import PROTOCOLS
from mtut_bench.errors import RunError, UsageError
from mtut_bench.loading.device_cache import DeviceCache
from mtut_bench.runs import execute as runs
from mtut_bench.runs import machine
from mtut_bench.runs.execute import execute
from mtut_bench.runs.machine import (
    Machine,
    choose_device,
    clips_that_fit,
    fresh_train_state,
    out_of_memory,
)
from mtut_bench.store.reader import StoreReader
from mtut_bench.training import two_stage
from mtut_bench.training.whole_clip_test import predict

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture
def plan(make_request):
    def make(method="mtut", **changes):
        changes.setdefault("precision", "bf16")
        return plan_runs([make_request(method, **changes)])[0]

    return make


@pytest.mark.parametrize("name", ["nonsense", "meta", "mps", "cuda:99", "cuda:-1"])
def test_a_device_that_is_not_there_is_refused(name):
    with pytest.raises(UsageError):
        choose_device(name)


def test_the_cpu_is_always_there():
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_clips_that_fit_by_hand():
    # 92 % of 1000 are 920; 920 - 200 = 720 hold seven clips of 100.
    assert clips_that_fit(1000, 200, 100) == 7
    assert clips_that_fit(1000, 220, 100) == 7
    assert clips_that_fit(1000, 221, 100) == 6
    assert clips_that_fit(1000, 2000, 100) == 0
    assert clips_that_fit(1000, 200, 1000) == 0


def told(plan, fits, monkeypatch, *, recompute=False):
    monkeypatch.setattr(machine, "_measure_fit", lambda plan, machine: fits)
    return out_of_memory(plan, replace(MACHINE, recompute=recompute))


def test_out_of_memory_names_batch_and_accumulation_that_fit(plan, monkeypatch):
    error = told(plan(protocol=PROTOCOLS["paper-scratch"]), 4, monkeypatch)
    assert "2 networks, batch 6 (6 at once), clips of 64 x 224 x 224" in error.what
    assert "--recompute" in error.hint
    # Six clips in two parts are three at once; four fit.
    ways = "--set accumulation=2 --set rho_per=clip"
    assert f"about 4 clips fit at once: {ways} trains the batch in 2 parts" in error.hint
    error = told(plan(protocol=PROTOCOLS["paper-scratch"], method="i3d"), 4, monkeypatch)
    assert "at once: --set accumulation=2 trains the batch in 2 parts" in error.hint


@pytest.mark.parametrize("mode", ["auto", "always", "never"])
def test_out_of_memory_names_clips_that_may_live_elsewhere(plan, monkeypatch, mode):
    monkeypatch.setattr(machine, "_measure_fit", lambda plan, machine: 99)
    where = replace(MACHINE, device_cache=DeviceCache(mode, MACHINE.device))
    hint = out_of_memory(plan(), where).hint
    assert ("--device-cache never" in hint) == (mode != "never")


def test_out_of_memory_where_no_clip_fits(plan, monkeypatch):
    error = told(plan(), 0, monkeypatch)
    assert "accumulation" not in error.hint
    assert "one clip does not fit: use a GPU with more memory" in error.hint


def test_out_of_memory_where_all_would_fit(plan, monkeypatch):
    # With recomputation already.
    error = told(plan(), 99, monkeypatch, recompute=True)
    assert error.hint == "end other programs that use this GPU."


def test_out_of_memory_of_a_divided_batch_divides_it_further(plan, monkeypatch):
    protocol = varied(PROTOCOLS["paper-scratch"], accumulation=2, rho_per="clip")
    error = told(plan(protocol=protocol), 2, monkeypatch)
    assert "batch 6 (3 at once)" in error.what
    assert "accumulation=3 " in error.hint
    assert "accumulation" not in told(plan(protocol=protocol), 3, monkeypatch).hint


def test_a_run_out_of_memory_is_one_error_measured_with_free_memory(plan, monkeypatch):
    kept = []

    def full(run):
        tensor = torch.zeros(3)
        kept.append(weakref.ref(tensor))
        raise torch.OutOfMemoryError("CUDA out of memory")

    def measure(plan, machine):
        gc.collect()
        assert kept[0]() is None
        return 1

    monkeypatch.setattr(runs._Run, "_finish", full)
    monkeypatch.setattr(machine, "_measure_fit", measure)
    with pytest.raises(RunError, match="out of memory on cpu") as caught:
        execute([plan()], MACHINE, Lines())
    assert isinstance(caught.value.__cause__, torch.OutOfMemoryError)


def test_out_of_memory_within_training_keeps_what_is_finished(do, monkeypatch, tmp_path):
    undisturbed, _ = do(runs=tmp_path / "undisturbed")
    train, calls = two_stage.train, []

    def full(*arguments, **options):
        calls.append(1)
        if len(calls) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return train(*arguments, **options)

    monkeypatch.setattr(two_stage, "train", full)
    monkeypatch.setattr(machine, "_measure_fit", lambda plan, machine: 1)
    with pytest.raises(RunError, match="out of memory"):
        do()
    again, _ = do()
    files = [p.folder / "predictions.npz" for p in (undisturbed, again)]
    assert files[0].read_bytes() == files[1].read_bytes()


GPU = Machine(torch.device("cuda"), 0, "mtut-bench run")


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("method", ["i3d", "c3d"])
def test_logits_of_a_gpu_are_those_of_the_cpu(make_request, method):
    request = replace(make_request(protocol=PROTOCOLS["demo"]), method=METHODS[method])
    plan = plan_runs([replace(request, precision="fp32")])[0]
    reader, ids = StoreReader(plan.store), plan.fold.test
    found = []
    for device in ("cpu", "cuda"):
        here = replace(MACHINE, device=torch.device(device))
        networks = {m: fresh_train_state(plan, m, here).network for m in plan.modalities}
        found.append(predict(networks, reader, ids, plan.recipe, here.device).scores_MNK)
    scale = abs(found[0]).max()
    # cuDNN may use TF32, whose products keep 11 bits.
    assert abs(found[0] - found[1]).max() <= 5e-3 * scale


@pytest.mark.gpu
@needs_gpu
def test_one_seed_twice_on_a_gpu_is_close(make_request, tmp_path):
    """3D pooling has no deterministic backward there: after an epoch the losses are close."""
    logs = []
    for name in ("a", "b"):
        request = make_request("i3d", protocol=varied(PROTOCOLS["demo"], epochs_alone=1))
        request = replace(request, method=METHODS["i3d"], runs=tmp_path / name)
        plan = plan_runs([request])[0]
        execute([plan], GPU, Lines())
        logs.append((plan.stage_folder("rgb") / "log.jsonl").read_text())
    first, second = (json.loads(log.splitlines()[0]) for log in logs)
    assert second["cross_entropy"] == pytest.approx(first["cross_entropy"], rel=0.05)
