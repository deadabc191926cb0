"""The model card beside an exported network: all that its user must know, as Markdown."""

import json
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mtut_bench.contract.metrics import num_correct, wilson_interval
from mtut_bench.contract.predictions import Predictions, fuse
from mtut_bench.contract.types import behaves_like
from mtut_bench.inference.export.input_spec import InputSpec
from mtut_bench.inference.export.output_check import Difference
from mtut_bench.report.formats.markdown import escape
from mtut_bench.runs.trained import TrainedRun
from mtut_bench.store.format import MAX_SHORT_SIDE_PX

__all__ = ["Exported", "card_text"]

_FOLDERS = re.compile(r"(?<![\w.:/])/(?:[^/]+/)+")


@dataclass(frozen=True)
class Exported:
    """An exported network, compared and ready to be written.

    Attributes:
        name: of its file.
        file_format: 'safetensors' or 'onnx'.
        spec: its input.
        dynamic: whether it takes clips of any length.
        differences: from the run's network.
    """

    name: str
    file_format: str
    spec: InputSpec
    dynamic: bool
    differences: tuple[Difference, ...]


def card_text(run: TrainedRun, exported: Exported, predictions: Predictions, command: str) -> str:
    """Return the model card of a network.

    Args:
        run: that trained it.
        exported: the network.
        predictions: of the run on its test clips.
        command: that exported it.
    """
    title = run.record.method.title
    parts = [
        _front_matter(run),
        f"# {escape(title)}, {escape(exported.spec.modality)}: {escape(run.record.store.name)}",
        _summary(run, exported),
        _section("Accuracy", _accuracy(run, exported, predictions)),
        _section("Data", _data(run)),
        _section("Training", _training(run, exported)),
        _section("Input", [*_input(exported), *_camera(run, exported)]),
        _section("Output", _output(run)),
        "\n".join(["## Load", "", "```python", *_load(run, exported), "```"]),
        _section("Exported network against the run's", _differences(exported)),
        _section("Versions", _versions(run, command)),
        "\n\n".join(["## Limits", *_limits(run)]),
        "\n\n".join(["## Licence", *_licence(run, exported)]),
    ]
    return "\n\n".join(parts) + "\n"


def _front_matter(run: TrainedRun) -> str:
    tags = ["gesture-recognition", run.record.store.origin, run.method.name]
    return "\n".join(
        [
            "---",
            "library_name: mtut-bench",
            "pipeline_tag: video-classification",
            # The terms follow from the recordings and the initial weights: see the last section.
            "license: other",
            "license_name: see-licence-section",
            f"tags: {json.dumps(tags, ensure_ascii=False)}",
            "---",
        ]
    )


def _summary(run: TrainedRun, exported: Exported) -> str:
    fold = escape(run.record.identity.fold)
    words = (
        f"One network of one run: it sees {escape(exported.spec.modality)} alone, was trained with"
        f" {escape(' + '.join(run.modalities))}, on the training side of fold {fold}. It is not the"
        " method's mean over folds, and not a network trained on all clips."
    )
    if run.record.store.origin == "synthetic":
        words += (
            " **Trained on generated drawings, not on recordings: it shows the path, no more.**"
        )
    return words


def _accuracy(
    run: TrainedRun, exported: Exported, predictions: Predictions
) -> Iterator[tuple[str, str]]:
    total = len(predictions.clip_ids)
    own = fuse(predictions, [exported.spec.modality])
    correct = num_correct(own, predictions.labels_N)
    low, high = wilson_interval(correct, total)
    yield "top-1", f"{correct / total:.1%} ({correct} of {total} test clips)"
    yield "95 % interval (Wilson)", f"{low:.1%} to {high:.1%}"
    yield "chance", f"{1 / len(run.classes):.1%} (1 of {len(run.classes)} classes)"
    people = sorted(set(run.record.test_subjects))
    unit = run.record.store.subject_unit
    shown = ", ".join(people) if len(people) <= 12 else "see the run"
    yield "test side", f"{total} clips of {len(people)} {unit}(s): {shown}"
    yield (
        "measured",
        f"by the run, in {run.record.identity.precision} on"
        f" {run.record.provenance.device}; every test clip whole, exactly once, by"
        " the last epoch's network",
    )


def _data(run: TrainedRun) -> Iterator[tuple[str, str]]:
    store = run.record.store
    complete = "complete" if store.complete else "a part of the dataset"
    yield "dataset", store.dataset
    yield "origin", store.origin
    yield "source", store.source or "unknown"
    yield "licence", store.licence or "unknown"
    yield "store", store.name
    yield "clips", f"{store.num_clips} of {store.expected_clips}, {complete}"
    yield "content digest", store.digest


def _training(run: TrainedRun, exported: Exported) -> Iterator[tuple[str, str]]:
    record, identity = run.record, run.record.identity
    yield "run", record.id
    yield "method", f"{record.method.title} ({run.method.name})"
    if run.loaded.source:
        yield "SHA-256 of the method's file", run.loaded.source
    yield "network", f"{run.method.network}, width {run.recipe.width:g}"
    yield "trained with", ", ".join(run.modalities)
    protocol = f"{record.protocol.name}, version {record.protocol.version}"
    changes = identity.overrides
    yield "protocol", f"{protocol}; changed: {json.dumps(changes)}" if changes else protocol
    yield "epochs", f"{run.recipe.epochs_alone} alone + {run.recipe.epochs_joint} joint"
    yield "fold", f"{identity.fold} (of: {', '.join(record.store.folds)})"
    yield "seed", str(identity.seed)
    yield "initial weights", _initial(run, exported)
    for note in record.weights.get(exported.spec.modality, ()):
        yield "from the weight file", note


def _initial(run: TrainedRun, exported: Exported) -> str:
    if not _pretrained(run):
        return "random"
    return (
        f"published: {(run.loaded.method.weights or {}).get(exported.spec.modality, 'see the run')}"
    )


def _pretrained(run: TrainedRun) -> bool:
    return run.record.identity.weights_digest is not None


def _input(exported: Exported) -> Iterator[tuple[str, str]]:
    spec = exported.spec
    (height, width), (tall, wide), (top, left) = spec.frame_size, spec.resized, spec.corner
    side = f"{spec.crop} x {spec.crop}"
    yield (
        "tensor",
        f"float32 (N, {spec.channels}, T, {spec.crop}, {spec.crop}), clips of one length",
    )
    yield (
        "frames",
        f"{width} x {height} pixels (width x height), {spec.frame_channels} x uint8, as the store"
        f" keeps them: recorded size, or short side {MAX_SHORT_SIDE_PX} by area averaging",
    )
    yield "resize", f"to {wide} x {tall}, bilinear, antialiased, corners not aligned"
    yield "crop", f"{side} at row {top}, column {left}; not mirrored"
    yield "values", spec.scaling()
    low, high = spec.value_range
    yield "range", f"{low:g} to {high:g}"
    if spec.channels > spec.frame_channels:
        yield "channels", f"the grey value {spec.channels} times"
    if exported.dynamic:
        yield "length", f"any T of at least {spec.min_frames}; trained on {spec.clip_length} frames"
        who = "append" if exported.file_format == "onnx" else "the network itself appends"
        yield "shorter clips", f"{who} frames of the number 0 up to {spec.min_frames}"
    else:
        length = max(spec.clip_length, spec.min_frames)
        yield "length", f"exactly {length} frames: torch could not leave it open"


def _camera(run: TrainedRun, exported: Exported) -> Iterator[tuple[str, str]]:
    modality = exported.spec.modality
    kind = behaves_like(modality)
    store = run.record.store
    yield "frames per second", f"{run.fps:g}"
    if kind == "rgb":
        yield "colour stream", store.colour or "unknown"
    elif kind == "depth":
        yield "depth", store.depth_polarity or "unknown"
    else:
        facts = run.flow.get(modality, {})
        yield "flow", json.dumps(facts, ensure_ascii=False)


def _output(run: TrainedRun) -> Iterator[tuple[str, str]]:
    count = len(run.classes)
    yield "logits", f"float32 (N, {count}), the mean over time; softmax gives probabilities"
    yield "logits per step", f"float32 (N, {count}, T'), of the head's time steps"
    for number, name in enumerate(run.classes):
        yield f"class {number}", name


def _differences(exported: Exported) -> Iterator[tuple[str, str]]:
    for difference in exported.differences:
        shape, _, rest = str(difference).partition(": ")
        yield shape, rest


def _versions(run: TrainedRun, command: str) -> Iterator[tuple[str, str]]:
    made = run.record.provenance
    for name, version in (made.versions or {}).items():
        yield f"trained with {name}", version
    yield "trained at revision", made.git or "unknown"
    yield "trained by", _without_folders(made.command or "")
    yield "exported by", _without_folders(command) or "export_networks in Python"


def _without_folders(command: str) -> str:
    """Return a command whose paths are names: a card tells nothing of a machine's folders."""
    try:
        words = shlex.split(command)
    except ValueError:
        words = command.split()
    return shlex.join(_FOLDERS.sub("", word) for word in words)


def _load(run: TrainedRun, exported: Exported) -> list[str]:
    onnx = exported.file_format == "onnx"
    spec, name = exported.spec, json.dumps(exported.name, ensure_ascii=False)
    height, width = spec.frame_size
    frames = (
        f"frames = np.zeros(({max(spec.clip_length, spec.min_frames)}, {height}, {width},"
        f" {spec.frame_channels}), np.uint8)  # yours"
    )
    prepare = ["", "", *spec.code(pad=onnx and exported.dynamic), "", ""]
    body = _load_onnx(name) if onnx else _load_tensors(run, name)
    imports = ["import json", "", "import numpy as np"]
    imports += ["import onnxruntime"] if onnx else []
    imports += ["import torch"]
    if not onnx:
        imports += [
            _method_import(run),
            "from mtut_bench.contract.networks import NetworkSpec",
            "from safetensors import safe_open",
            "from safetensors.torch import load_file",
        ]
    imports += ["from torch.nn import functional"]
    last = ["print(classes[int(logits[0].argmax())])"]
    return [*imports, *prepare, frames, *body, *last]


def _load_onnx(name: str) -> list[str]:
    return [
        f"session = onnxruntime.InferenceSession({name})",
        'logits, per_step = session.run(None, {"clip": prepare(frames).numpy()})',
        'classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])',
    ]


def _method_import(run: TrainedRun) -> str:
    if run.loaded.source:
        path, _, function = run.loaded.file.rpartition(":")
        name = Path(path).stem if Path(path).stem.isidentifier() else "method_of_yours"
        return f"from {name} import {function or 'build'}  # the file that trained"
    return "from mtut_baselines import METHODS"


def _load_tensors(run: TrainedRun, name: str) -> list[str]:
    own = f"{run.loaded.file.rpartition(':')[2] or 'build'}()"
    method = own if run.loaded.source else 'METHODS[facts["method"]]'
    return [
        f'with safe_open({name}, framework="pt") as file:',
        "    facts = file.metadata()",
        'spec = NetworkSpec(**json.loads(facts["network_spec"]))',
        f"network = {method}.build_network(spec).eval()",
        f"network.load_state_dict(load_file({name}))",
        "with torch.inference_mode():",
        "    logits = network(prepare(frames)).logits_NKT.mean(dim=2)",
        'classes = json.loads(facts["classes"])',
    ]


def _limits(run: TrainedRun) -> Iterator[str]:
    count = len(run.classes)
    yield (
        f"For research on hand gestures: one clip that holds one of the {count} gestures above,"
        " seen by a camera like the one of its training clips. There is no class for anything else:"
        " a clip without a gesture gets one of these names all the same."
    )
    yield (
        "The interval above is about the test clips of one fold. Other persons, rooms, cameras or"
        " frame rates are not covered by it. Not for decisions about people, and not for safety."
    )
    if run.record.store.origin == "synthetic":
        yield "Its training clips are drawn by a program: expect nothing of it on recordings."
    if run.record.identity.precision != "fp32":
        yield "The run was tested in bfloat16; this file computes in float32: scores differ a bit."


def _licence(run: TrainedRun, exported: Exported) -> Iterator[str]:
    if run.record.store.origin == "synthetic":
        yield "Its training clips were generated: no terms of recordings apply."
    else:
        licence = run.record.store.licence or "unknown"
        yield (
            "Weights that were trained on recordings may be bound by the recordings' terms"
            f" ({escape(licence)}): pass them on only if those terms allow it."
        )
    if _pretrained(run):
        yield (
            "They were initialised from published weights"
            f" ({escape(_initial(run, exported).removeprefix('published: '))}), whose terms they"
            " carry."
        )
    yield "The licence of mtut-bench (Apache-2.0) covers its code."


def _section(title: str, rows: Iterable[tuple[str, str]]) -> str:
    lines = [f"| {escape(name)} | {escape(value)} |" for name, value in rows]
    return "\n".join([f"## {title}", "", "| what | value |", "| --- | --- |", *lines])
