import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from planned import plan_runs
from run_bench import MACHINE, Lines

from mtut_bench.contract.method_file import LoadedMethod
from mtut_bench.contract.predictions import read
from mtut_bench.errors import RunError, UsageError
from mtut_bench.files import sha256_of_json
from mtut_bench.runs.execute import execute
from mtut_bench.runs.trained import find_run, open_run
from mtut_bench.store.reader import StoreReader
from mtut_bench.training.whole_clip_test import predict

CPU = torch.device("cpu")


def edit(folder, change):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    # As if the run had been so.
    manifest["id"] = sha256_of_json(manifest["identity"])
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize("method", ["mtut", "i3d"])
def test_networks_of_a_run_give_its_predictions_again(do, tiny_methods, method):
    plan, _ = do(method)
    run = open_run(plan.folder, tiny_methods)
    reader = StoreReader(plan.store)
    assert run.frame_size == reader.frame_size
    assert run.classes == tuple(reader.attributes.classes)
    networks = {modality: run.network(modality) for modality in run.modalities}
    again = predict(networks, reader, plan.fold.test, run.recipe, CPU)
    saved = read(plan.folder / "predictions.npz")
    np.testing.assert_array_equal(again.scores_MNK, saved.scores_MNK)


def test_the_recipe_is_the_one_of_the_run_with_its_changes(do, tiny_methods):
    plan, _ = do("mtut", settings=("beta=3.0", "clip_length=10"))
    recipe = open_run(plan.folder, tiny_methods).recipe
    assert (recipe.beta, recipe.clip_length) == (3.0, 10)
    assert recipe.identity() == plan.recipe.identity()
    assert recipe.objective_settings() == plan.recipe.objective_settings()


def test_a_network_that_is_not_there_is_named(do, tiny_methods):
    run = open_run(do()[0].folder, tiny_methods)
    with pytest.raises(UsageError, match="has no network for 'flow'"):
        run.network("flow")
    (run.folder / "network-rgb.safetensors").unlink()
    with pytest.raises(RunError, match=r"network-rgb\.safetensors does not exist"):
        run.network("rgb")


@pytest.mark.parametrize("keep", [0, 2000])
def test_a_network_that_is_cut_is_named(do, tiny_methods, keep):
    run = open_run(do()[0].folder, tiny_methods)
    path = run.folder / "network-rgb.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(RunError, match=r"network-rgb\.safetensors cannot be loaded"):
        run.network("rgb")


def test_methods_must_be_the_one_that_trained(do, tiny_methods):
    folder = do()[0].folder
    with pytest.raises(UsageError, match="method 'mtut', unknown to this release"):
        open_run(folder, {})
    other = LoadedMethod(tiny_methods["mtut"], "own.py:build", "f" * 64)
    with pytest.raises(UsageError, match="has changed since"):
        open_run(folder, {}, other)


def test_the_file_that_trained_is_named(make_request, tiny_methods):
    method = replace(tiny_methods["i3d"], name="own")
    own = LoadedMethod(method, "my own.py:build", "f" * 64)
    (plan,) = plan_runs([replace(make_request("i3d"), method=own)])
    execute([plan], MACHINE, Lines())
    with pytest.raises(UsageError) as fault:
        open_run(plan.folder, tiny_methods)
    assert "--method 'my own.py:build'" in fault.value.hint


def test_settings_of_another_release_are_refused(do, tiny_methods):
    folder = do()[0].folder
    edit(folder, lambda m: m["identity"]["protocol"].update(stretch=1))
    with pytest.raises(RunError, match=r'unknown to this release: \["stretch"\]'):
        open_run(folder, tiny_methods)


def test_an_unfinished_run_is_refused(do, tiny_methods):
    folder = do()[0].folder
    edit(folder, lambda m: m.update(state="running"))
    with pytest.raises(RunError, match="is not finished"):
        open_run(folder, tiny_methods)


def test_runs_are_found_by_folder_and_by_the_first_digits(do, tmp_path):
    plan, _ = do()
    other, _ = do("i3d")
    assert find_run(str(plan.folder), tmp_path) == plan.folder
    assert find_run(plan.run_id[:12], plan.runs) == plan.folder
    assert find_run(other.run_id[:6], plan.runs) == other.folder
    assert find_run(f"{plan.store.stem}/{plan.run_id[:12]}", plan.runs) == plan.folder
    for text in ("", "zz", "stages"):
        with pytest.raises(UsageError, match="no finished run"):
            find_run(text, plan.runs)


def test_a_beginning_of_several_runs_is_refused(tmp_path):
    for name in ("abc1", "abc2"):
        (tmp_path / "viva" / name).mkdir(parents=True)
        (tmp_path / "viva" / name / "manifest.json").write_text("{}")
    with pytest.raises(UsageError, match=r"2 runs in .* begin with 'abc'"):
        find_run("abc", tmp_path)


def test_the_only_run_of_a_method_is_found_by_its_name(do):
    plan, _ = do("mtut")
    do("i3d")
    assert find_run("mtut", plan.runs) == plan.folder
    # What cannot be read is not found by its method, and hides no other run.
    (plan.folder.parent / "broken").mkdir()
    (plan.folder.parent / "broken" / "manifest.json").write_text("{")
    assert find_run("mtut", plan.runs) == plan.folder
    do("mtut", seed=1)
    with pytest.raises(UsageError, match=r"2 runs in .* are of method 'mtut'"):
        find_run("mtut", plan.runs)


def test_a_shared_artefact_is_not_a_run(do):
    plan, _ = do()
    for text in (str(plan.stage_folder("rgb")), f"stages/{plan.stage_folder('rgb').name}"):
        with pytest.raises(UsageError, match="not a run"):
            find_run(text, plan.runs)


def test_a_folder_of_runs_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        find_run("089", tmp_path / "nowhere")


def test_a_network_of_another_shape_is_refused(do, tiny_methods):
    folder = do()[0].folder
    edit(
        folder,
        lambda m: (m["store"]["classes"].append("more"), m["identity"].update(num_classes=4)),
    )
    with pytest.raises(RunError, match="cannot be loaded"):
        open_run(folder, tiny_methods).network("rgb")
