import json
import re
import shlex
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from planned import plan_runs, varied
from record_bench import changed
from run_bench import MACHINE, Lines
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from mtut_baselines import METHODS
from mtut_bench import cli
from mtut_bench.contract.method_file import LoadedMethod, load_method
from mtut_bench.contract.networks import NetworkOutput
from mtut_bench.contract.predictions import read
from mtut_bench.errors import ExportError, MtutBenchError, UsageError
from mtut_bench.inference.export import export_networks, writing
from mtut_bench.inference.export.input_spec import input_spec
from mtut_bench.inference.export.output_check import (
    Difference,
    comparison_shapes,
    measure_differences,
)
from mtut_bench.loading.transforms import centre_crop, to_input
from mtut_bench.runs.execute import execute
from mtut_bench.runs.trained import open_run
from mtut_bench.store.reader import StoreReader


@pytest.fixture
def trained(do, tiny_methods):
    """Return an opened run of the tiny network."""

    def make(method="mtut", **changes):
        plan, _ = do(method, **changes)
        return open_run(plan.folder, tiny_methods)

    return make


@pytest.fixture
def command(monkeypatch, capsys):
    """Run the command line; return what it printed."""

    def run(*arguments, code=0):
        monkeypatch.setattr(sys, "argv", ["mtut-bench", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        output = capsys.readouterr()
        assert caught.value.code == code, output.out + output.err
        assert "Traceback" not in output.err
        return output.err if code else output.out

    return run


@pytest.fixture
def train(make_request):
    """Train a real method, narrow and small; return its plan."""

    def run(name, **changes):
        request = make_request(name, **changes)
        rules = varied(request.protocol, width=0.125, crop=32, short_side=36, clip_length=9)
        request = replace(request, method=METHODS[name], protocol=rules)
        plan = plan_runs([request])[0]
        execute([plan], MACHINE, Lines())
        return plan

    return run


def files_of(folder):
    return sorted(path.name for path in folder.rglob("*"))


def snippet_of(card):
    (source,) = re.findall(r"```python\n(.*?)```", card.read_text(), flags=re.DOTALL)
    return source


@pytest.mark.parametrize("name", ["i3d", "c3d"])
def test_card_and_file_alone_give_the_saved_scores(
    train, command, tmp_path, monkeypatch, capsys, name
):
    """Frames of the store through the card's own code: no line of ours prepares them."""
    plan = train(name)
    reader, saved = StoreReader(plan.store), read(plan.folder / "predictions.npz")
    for file_format in ("onnx", "safetensors"):
        arguments = ("--format", file_format, "--modality", "depth", "--out", tmp_path)
        text = command("export", plan.folder, *arguments)
        assert text.count("largest difference") >= 6
        (file,) = tmp_path.glob(f"*.{file_format}")
        monkeypatch.chdir(tmp_path)
        names = {}
        exec(compile(snippet_of(tmp_path / f"{file.name}.md"), "card", "exec"), names)
        assert capsys.readouterr().out.strip() in reader.attributes.classes
        lengths = set()
        for number, clip_id in enumerate(saved.clip_ids):
            frames = reader.read(reader.table.index[clip_id], "depth")
            lengths.add(len(frames))
            clip = names["prepare"](frames)
            if file_format == "onnx":
                logits = names["session"].run(None, {"clip": clip.numpy()})[0][0]
            else:
                with torch.inference_mode():
                    logits = names["network"](clip).logits_NKT.mean(dim=2)[0].numpy()
            # Batches of another size add in another order: float32 through 57 layers, whose batch
            # norms enlarge small differences where their statistics are of few clips.
            expected = saved.scores_MNK[1, number]
            np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
        assert len(lengths) > 1


OWN = """
from dataclasses import replace
from mtut_baselines import METHODS

def make():
    return replace(METHODS["i3d"], name="own", title="Own", fusion_title="Own")
"""


def test_the_card_of_an_own_method_loads_it_from_its_file(
    make_request, command, tmp_path, monkeypatch, capsys
):
    """The card names file and function, and no folder of the machine that trained."""
    (tmp_path / "own_method.py").write_text(OWN)
    given = f"{tmp_path / 'own_method.py'}:make"
    request = make_request()
    rules = varied(request.protocol, width=0.125, crop=32, short_side=36, clip_length=9)
    request = replace(request, method=load_method(given, METHODS), protocol=rules)
    (plan,) = plan_runs([request])
    machine = replace(MACHINE, command=shlex.join(["mtut-bench", "run", "--method", given]))
    execute([plan], machine, Lines())
    where = ("--format", "safetensors", "--modality", "rgb", "--out", tmp_path)
    assert f"--method {given}" in command("export", plan.folder, *where, code=2)
    command("export", plan.folder, "--method", given, *where)
    (card,) = tmp_path.glob("*.safetensors.md")
    assert "from own_method import make" in card.read_text()
    assert "own\\_method.py:make" in card.read_text()
    assert str(tmp_path) not in card.read_text()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    exec(compile(snippet_of(card), "card", "exec"), {})
    assert capsys.readouterr().out.strip() in StoreReader(plan.store).attributes.classes


@pytest.mark.parametrize(
    ("scaling", "depth_input"),
    [
        ("unit", "replicate"),
        ("unit", "first-conv-sum"),
        ("bgr-mean", "replicate"),
        ("motion", "replicate"),
    ],
)
def test_code_of_the_card_is_the_transform(trained, scaling, depth_input):
    run = trained("i3d", modalities=("rgb",))
    for name, resize in product(("rgb", "depth", "flow"), ("short-side", "stretch-4:3")):
        changes = {"resize": resize, "scaling": scaling, "depth_input": depth_input}
        other = replace(run, settings={**run.settings, **changes}, frame_size=(14, 23))
        rules, spec = other.recipe, input_spec(other, name, nn.Identity())
        names = {"torch": torch, "functional": nn.functional}
        exec("\n".join(spec.code(pad=True)), names)
        shape = (5, 14, 23, spec.frame_channels)
        frames = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        wanted = to_input(torch.from_numpy(frames)[None], name, [centre_crop(14, 23, rules)], rules)
        assert torch.equal(names["prepare"](frames), wanted), (name, resize)
        low, high = spec.value_range
        assert low <= float(wanted.min()) <= float(wanted.max()) <= high, (name, resize)


def test_every_network_is_exported_and_takes_any_batch_and_length(trained, tmp_path):
    run = trained()
    lines = []
    files = export_networks(run, "onnx", tmp_path, say=lines.append)
    assert [file.suffix for file in files] == [".onnx", ".onnx"]
    assert {line.split(":")[0] for line in lines} == {"rgb", "depth"}
    for file, modality in zip(files, run.modalities, strict=True):
        session = onnxruntime.InferenceSession(file.read_bytes())
        network = run.network(modality)
        for batch, frames in ((1, 4), (3, 5), (2, 8), (5, 23)):
            clip = torch.rand(batch, 3, frames, 8, 8)
            with torch.inference_mode():
                wanted = network(clip).logits_NKT
            logits, steps = session.run(None, {"clip": clip.numpy()})
            np.testing.assert_allclose(steps, wanted, atol=1e-6)
            np.testing.assert_allclose(logits, wanted.mean(dim=2), atol=1e-6)


def test_onnx_file_is_valid_and_says_what_it_is(trained, tmp_path):
    run = trained()
    (file,) = export_networks(run, "onnx", tmp_path, modalities=("depth",), say=str)
    model = onnx.load(file)
    onnx.checker.check_model(model, full_check=True)
    facts = {entry.key: entry.value for entry in model.metadata_props}
    assert facts["run"] == run.record.id
    assert json.loads(facts["classes"]) == ["left", "right", "up"]
    assert facts["any_length"] == "true"
    assert [output.name for output in model.graph.output] == ["logits", "logits_per_step"]


class Fixed(nn.Module):
    """A network whose graph depends on the number of frames."""

    def __init__(self, spec):
        super().__init__()
        self.head = nn.Linear(spec.in_channels, spec.num_classes)

    def forward(self, clip):
        steps = [clip[:, :, t].mean(dim=(2, 3)) * (t + 1) for t in range(int(clip.shape[2]))]
        logits = torch.stack([self.head(step) for step in steps], dim=2)
        return NetworkOutput(logits, clip)


def test_a_length_that_cannot_stay_open_is_fixed_and_said(make_request, tiny_methods, tmp_path):
    method = replace(tiny_methods["i3d"], name="fixed", build_network=Fixed, network="fixed")
    plan = plan_runs([replace(make_request("i3d"), method=method)])[0]
    execute([plan], MACHINE, Lines())
    run, lines = open_run(plan.folder, {"fixed": method}), []
    (file,) = export_networks(run, "onnx", tmp_path, modalities=("rgb",), say=lines.append)
    assert lines[0].startswith("rgb: clips of any other length are rejected; torch reports: ")
    assert len(lines) == 3
    session = onnxruntime.InferenceSession(file.read_bytes())
    assert session.get_inputs()[0].shape[2] == 8
    assert "| length | exactly 8 frames" in Path(f"{file}.md").read_text()


def test_a_network_that_onnx_cannot_express_is_refused(trained, tmp_path):
    class Strange(nn.Module):
        def forward(self, clip):
            return NetworkOutput(torch.linalg.svd(clip.numpy()), clip)

    run = trained()
    method = replace(run.method, build_network=lambda spec: Strange())
    run = replace(run, loaded=LoadedMethod(method))
    with pytest.raises(ExportError, match="cannot convert the network of rgb to ONNX"):
        writing.convert(Strange(), input_spec(run, "rgb", nn.Identity()), {})


@pytest.mark.parametrize(
    ("file_format", "change"),
    [("onnx", 1e-3), ("safetensors", 1e-3), ("safetensors", float("nan"))],
)
def test_a_difference_from_the_runs_network_is_refused(
    trained, tmp_path, monkeypatch, file_format, change
):
    name = "run_onnx" if file_format == "onnx" else "run_tensors"
    honest = getattr(writing, name)

    def wrong(*arguments):
        run = honest(*arguments)

        def changed(clip):
            logits, steps = run(clip)
            steps = steps.clone()
            # One logit of one step of one clip, at one length only.
            steps[-1, 0, -1] += change if clip.shape[2] == 9 else 0.0
            return logits, steps

        return changed

    monkeypatch.setattr(writing, name, wrong)
    out = tmp_path / "out"
    with pytest.raises(
        ExportError, match=r"computes other outputs .* 9 frames: largest difference"
    ):
        export_networks(trained(), file_format, out, modalities=("rgb",), say=str)
    assert not out.exists()


def test_differences_are_counted_in_shape_value_and_scale(trained):
    run = trained()
    network = run.network("rgb")
    spec = input_spec(run, "rgb", network)
    assert comparison_shapes(spec, dynamic=False) == [(1, 8), (2, 8)]
    assert {frames for _, frames in comparison_shapes(spec, dynamic=True)} == {4, 9, 8, 15}

    def halved(clip):
        logits = network(clip).logits_NKT
        return logits.mean(dim=2) / 2, logits

    (found,) = measure_differences(network, halved, spec, [(2, 8)])
    assert 0 < found.largest <= found.scale / 2
    assert not found.passed
    (found,) = measure_differences(
        network, lambda c: (network(c).logits_NKT, network(c).logits_NKT), spec, [(2, 8)]
    )
    assert found.largest == float("inf")


def test_allowed_differences():
    assert Difference(1, 8, 1.0e-4, 1.0).passed
    assert not Difference(1, 8, 1.1e-4, 1.0).passed
    assert Difference(1, 8, 9e-7, 0.0).passed
    assert not Difference(1, 8, 1e-9, 1.0, exact=True).passed
    assert not Difference(1, 8, float("inf"), 1.0).passed


def test_safetensors_are_read_by_safetensors_alone_bit_for_bit(trained, tmp_path):
    run = trained()
    files = export_networks(run, "safetensors", tmp_path, say=str)
    for file, modality in zip(files, run.modalities, strict=True):
        saved = load_file(run.folder / f"network-{modality}.safetensors")
        with safe_open(file, framework="np") as opened:
            facts = opened.metadata()
            assert set(opened.keys()) == set(saved)
            for name, tensor in saved.items():
                assert opened.get_tensor(name).tobytes() == tensor.numpy().tobytes()
        assert facts["modality"] == modality
        assert json.loads(facts["classes"]) == ["left", "right", "up"]
        assert json.loads(facts["protocol"])["lambda"] == run.recipe.lambda_
        assert json.loads(facts["input"])["min_frames"] == 4
        assert json.loads(facts["network_spec"])["num_classes"] == 3


def test_a_flipped_bit_is_refused(trained, tmp_path, monkeypatch):
    honest = writing.encode_network

    def flipped(network, metadata):
        data = bytearray(honest(network, metadata))
        data[-1] ^= 1
        return bytes(data)

    monkeypatch.setattr(writing, "encode_network", flipped)
    with pytest.raises(ExportError, match=r"the exported tensor .* differs from the run's"):
        export_networks(trained(), "safetensors", tmp_path / "out", say=str)
    assert not (tmp_path / "out").exists()


def test_card_tells_accuracy_with_its_interval(trained, tmp_path):
    run = trained()
    (file,) = export_networks(run, "safetensors", tmp_path, modalities=("depth",), say=str)
    saved = read(run.folder / "predictions.npz")
    right = int((saved.scores_MNK[1].argmax(axis=1) == saved.labels_N).sum())
    total, z = len(saved.labels_N), 1.959964
    share = right / total
    middle = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * (share * (1 - share) / total + (z / total / 2) ** 2) ** 0.5
    card = Path(f"{file}.md").read_text()
    assert f"| top-1 | {share:.1%} ({right} of {total} test clips) |" in card
    low, high = (f"{100 * abs(v):.1f}%" for v in (middle - half, middle + half))
    assert f"| {low} to {high} |" in card
    assert "it sees depth alone, was trained with rgb + depth" in card
    assert "not on recordings" in card


def test_card_escapes_names_and_tells_terms(trained, tmp_path):
    changes = {"store.origin": "recorded", "store.licence": "CC <BY> | 4"}
    run = changed(trained(), changes | {"identity.weights_digest": "f" * 64})
    run = replace(run, classes=("a|b", "<script>", "c & 'd'"))
    (file,) = export_networks(run, "safetensors", tmp_path, modalities=("rgb",), say=str)
    card = Path(f"{file}.md").read_text()
    assert "| class 0 | a\\|b |" in card
    assert "<script>" not in card.replace("\\<script\\>", "")
    assert "bound by the recordings' terms (CC \\<BY\\> \\| 4)" in card
    assert "initialised from published weights (i3d-rgb), whose terms they carry" in card
    assert "drawn by a program" not in card


def test_existing_files_are_refused_before_any_work(trained, tmp_path):
    run, out = trained(), tmp_path / "out"
    file, _ = export_networks(run, "safetensors", out, say=str)
    card = Path(f"{file}.md")
    file.write_text("mine")
    with pytest.raises(UsageError, match=re.escape(f"{file} exists already")):
        export_networks(run, "safetensors", out, say=pytest.fail)
    assert file.read_text() == "mine"
    file.unlink()
    with pytest.raises(UsageError, match=re.escape(f"{card} exists already")):
        export_networks(run, "safetensors", out, say=pytest.fail)
    assert not file.exists()
    export_networks(run, "safetensors", out, overwrite=True, say=str)
    assert load_file(file)
    card.unlink()
    card.mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        export_networks(run, "safetensors", out, overwrite=True, say=pytest.fail)


def test_a_failing_write_leaves_nothing(trained, tmp_path, monkeypatch):
    honest, calls = writing.write_atomic, []

    def failing(path, data):
        calls.append(path)
        if len(calls) == 3:
            raise MtutBenchError("cannot write: no space left", "Free some.")
        honest(path, data)

    monkeypatch.setattr(writing, "write_atomic", failing)
    with pytest.raises(MtutBenchError, match="no space left"):
        export_networks(trained(), "safetensors", tmp_path / "out", say=str)
    assert files_of(tmp_path / "out") == []


def test_damaged_predictions_are_refused(trained, tmp_path):
    run = trained()
    (run.folder / "predictions.npz").write_bytes(b"PK")
    with pytest.raises(MtutBenchError, match="truncated or corrupt"):
        export_networks(run, "safetensors", tmp_path / "out", say=str)
    assert not (tmp_path / "out").exists()


def test_a_missing_package_names_the_extra(trained, tmp_path, monkeypatch):
    run = trained()
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(UsageError, match="onnxscript") as caught:
        export_networks(run, "onnx", tmp_path / "out", say=str)
    assert "pip install 'mtut-bench[export]'" in caught.value.hint
    assert not (tmp_path / "out").exists()
    # safetensors needs none of them.
    assert export_networks(run, "safetensors", tmp_path / "out", say=str)


def test_names_with_spaces(make_store, make_request, tiny_methods, tmp_path):
    request = replace(make_request("i3d"), store=make_store("my own store"))
    plan = plan_runs([request])[0]
    execute([plan], MACHINE, Lines())
    out = tmp_path / "a folder of mine"
    (file,) = export_networks(
        open_run(plan.folder, tiny_methods), "onnx", out, modalities=("rgb",), say=str
    )
    assert file == out / f"my_own_store-i3d-rgb-{plan.run_id[:12]}.onnx"
    assert f'InferenceSession("{file.name}")' in Path(f"{file}.md").read_text()


@pytest.fixture
def finished(train):
    return train("i3d", modalities=("rgb",))


def test_bad_runs_and_modalities_have_one_clear_message(finished, command, tmp_path):
    runs = ("--runs", finished.runs, "--out", tmp_path / "out", "--format", "safetensors")
    run_id = finished.run_id[:12]
    assert "no finished run 'zz'" in command("export", "zz", *runs, code=2)
    assert "no run to export" in command("export", *runs, code=2)
    message = command("export", run_id, *runs, "--modality", "flow", code=2)
    assert "no network for 'flow'" in message
    assert "rgb" in message
    other = finished.folder.parent / f"{run_id[:4]}other"
    other.mkdir()
    manifest = json.loads((finished.folder / "manifest.json").read_text())
    (other / "manifest.json").write_text(json.dumps(manifest | {"state": "running"}))
    assert "2 runs in" in command("export", run_id[:4], *runs, code=2)
    assert "is not finished" in command("export", other, *runs, code=1)
    (finished.folder / "network-rgb.safetensors").unlink()
    assert "does not exist" in command("export", run_id, *runs, code=1)
    assert not (tmp_path / "out").exists()


def test_bad_folders_have_one_clear_message(finished, command, tmp_path, monkeypatch):
    arguments = ("export", finished.folder, "--format", "safetensors", "--out")
    (tmp_path / "file").write_text("")
    assert "is a file" in command(*arguments, tmp_path / "file", code=2)
    assert "cannot write" in command(*arguments, tmp_path / "file" / "out", code=1)
    # Of a file system that takes no folders, also from root.
    assert "cannot write" in command(*arguments, "/proc/mtut-bench-out", code=1)
    monkeypatch.setattr(writing.os, "access", lambda *_: False)
    assert "cannot write" in command(*arguments, tmp_path / "out", code=1)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "named", "hint"),
    [
        (("x", "--format", "onnx", "--store", "viva"), "--store does not go with", "run's id"),
        (("viva", "--modality", "rgb"), "--modality does not go with --format hdf5", "onnx"),
        (("3f2a",), "unknown dataset '3f2a'", "--format safetensors or onnx"),
        ((), "nothing to export", "a run with --format"),
        (("viva", "--format", "pickle"), "pickle", "onnx"),
    ],
)
def test_wrong_combinations_are_usage_errors(command, tmp_path, arguments, named, hint):
    message = command("export", *arguments, "--runs", tmp_path, "--data", tmp_path, code=2)
    assert named in message
    assert hint in message
