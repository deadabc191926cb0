"""The model card beside an exported network: all that a user must know, as Markdown."""

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
    origin = run.record.store.origin
    title = f"{run.record.method.title}, {exported.spec.modality}: {run.record.store.name}"
    summary = (
        f"One network of one run: it sees {escape(exported.spec.modality)} alone, was trained with"
        f" {escape(' + '.join(run.modalities))}, on the training side of fold"
        f" {escape(run.record.identity.fold)}. It is not the method's mean over folds, and not a"
        " network trained on all clips."
    )
    if origin == "synthetic":
        summary += (
            " **Trained on generated drawings, not on recordings: it demonstrates the pipeline"
            " only.**"
        )
    tags = ["gesture-recognition", origin, run.method.name]
    front_matter = [
        "---",
        "library_name: mtut-bench",
        "pipeline_tag: video-classification",
        # The terms follow from the recordings and the initial weights: see the last section.
        "license: other",
        "license_name: see-licence-section",
        f"tags: {json.dumps(tags, ensure_ascii=False)}",
        "---",
    ]
    # "batch 1, 8 frames: largest difference ..."
    partitions = (str(difference).partition(": ") for difference in exported.differences)
    parts = [
        "\n".join(front_matter),
        f"# {escape(title)}",
        summary,
        _section("Accuracy", _accuracy(run, exported, predictions)),
        _section("Data", _data(run)),
        _section("Training", _training(run, exported)),
        _section("Input", _input(run, exported)),
        _section("Output", _output(run)),
        "\n".join(["## Load", "", "```python", *_load(run, exported), "```"]),
        _section("Exported network against the run's", ((a, b) for a, _, b in partitions)),
        _section("Versions", _versions(run, command)),
        "\n\n".join(["## Limits", *_limits(run)]),
        "\n\n".join(["## Licence", *_licence(run, exported)]),
    ]
    return "\n\n".join(parts) + "\n"


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
    yield (
        "epochs",
        f"{run.recipe.epochs_alone} in stage one, {run.recipe.epochs_joint} in stage two",
    )
    yield "fold", f"{identity.fold} (of: {', '.join(record.store.folds)})"
    yield "seed", str(identity.seed)
    initial = _initial(run, exported)
    yield "initial weights", f"published: {initial}" if initial else "random"
    for note in record.weights.get(exported.spec.modality, ()):
        yield "from the weight file", note


def _initial(run: TrainedRun, exported: Exported) -> str | None:
    """Return the published weights that the network began with; None for random ones."""
    if run.record.identity.weights_digest is None:
        return None
    return (run.loaded.method.weights or {}).get(exported.spec.modality, "see the run")


def _input(run: TrainedRun, exported: Exported) -> Iterator[tuple[str, str]]:
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

    yield "frames per second", f"{run.fps:g}"
    kind = behaves_like(spec.modality)
    if kind == "rgb":
        yield "colour stream", run.record.store.colour or "unknown"
    elif kind == "depth":
        yield "depth", run.record.store.depth_polarity or "unknown"
    else:
        yield "flow", json.dumps(run.flow.get(spec.modality, {}), ensure_ascii=False)


def _output(run: TrainedRun) -> Iterator[tuple[str, str]]:
    count = len(run.classes)
    yield "logits", f"float32 (N, {count}), the mean over time; softmax gives probabilities"
    yield "logits per step", f"float32 (N, {count}, T'), of the head's time steps"
    for number, name in enumerate(run.classes):
        yield f"class {number}", name


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
    """Return Python that loads the network and names the class of a clip."""
    onnx = exported.file_format == "onnx"
    spec, name = exported.spec, json.dumps(exported.name, ensure_ascii=False)
    (height, width), length = spec.frame_size, max(spec.clip_length, spec.min_frames)
    if onnx:
        imports = ["import onnxruntime", "import torch"]
        body = [
            f"session = onnxruntime.InferenceSession({name})",
            'logits, per_step = session.run(None, {"clip": prepare(frames).numpy()})',
            'classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])',
        ]
    else:
        method_import, method = "from mtut_baselines import METHODS", 'METHODS[facts["method"]]'
        if run.loaded.source:
            path, _, function = run.loaded.file.rpartition(":")
            stem = Path(path).stem if Path(path).stem.isidentifier() else "method_of_yours"
            method_import = f"from {stem} import {function or 'build'}  # the file that trained"
            method = f"{function or 'build'}()"
        imports = [
            "import torch",
            method_import,
            "from mtut_bench.contract.networks import NetworkSpec",
            "from safetensors import safe_open",
            "from safetensors.torch import load_file",
        ]
        body = [
            f'with safe_open({name}, framework="pt") as file:',
            "    facts = file.metadata()",
            'spec = NetworkSpec(**json.loads(facts["network_spec"]))',
            f"network = {method}.build_network(spec).eval()",
            f"network.load_state_dict(load_file({name}))",
            "with torch.inference_mode():",
            "    logits = network(prepare(frames)).logits_NKT.mean(dim=2)",
            'classes = json.loads(facts["classes"])',
        ]
    return [
        "import json",
        "",
        "import numpy as np",
        *imports,
        "from torch.nn import functional",
        "",
        "",
        *spec.code(pad=onnx and exported.dynamic),
        "",
        "",
        f"frames = np.zeros({(length, height, width, spec.frame_channels)}, np.uint8)  # yours",
        *body,
        "print(classes[int(logits[0].argmax())])",
    ]


def _limits(run: TrainedRun) -> Iterator[str]:
    count = len(run.classes)
    yield (
        f"For research on hand gestures: one clip that holds one of the {count} gestures above,"
        " seen by a camera like that of its training clips. There is no class for anything else:"
        " a clip without a gesture gets one of these names too."
    )
    yield (
        "The interval above is about the test clips of one fold. Other persons, rooms, cameras or"
        " frame rates are not covered by it. Not for decisions about people, and not for safety."
    )
    if run.record.store.origin == "synthetic":
        yield "Its training clips are drawn by a program: do not expect it to work on recordings."
    if run.record.identity.precision != "fp32":
        yield "The run was tested in bfloat16; this file computes in float32, slightly different."


def _licence(run: TrainedRun, exported: Exported) -> Iterator[str]:
    if run.record.store.origin == "synthetic":
        yield "Its training clips were generated: no terms of recordings apply."
    else:
        licence = run.record.store.licence or "unknown"
        yield (
            "Weights that were trained on recordings may be bound by the recordings' terms"
            f" ({escape(licence)}): pass them on only if those terms allow it."
        )
    if initial := _initial(run, exported):
        weights = f"published weights ({escape(initial)})"
        yield f"They were initialised from {weights}, whose terms they carry."
    yield "The licence of mtut-bench (Apache-2.0) covers its code."


def _section(title: str, rows: Iterable[tuple[str, str]]) -> str:
    lines = [f"| {escape(name)} | {escape(value)} |" for name, value in rows]
    return "\n".join([f"## {title}", "", "| what | value |", "| --- | --- |", *lines])
