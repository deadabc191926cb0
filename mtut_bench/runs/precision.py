"""Whether a device computes a training step in bfloat16 as it does in float32.

Gradients of a whole network cannot tell: the batch norms of a fresh network amplify roundings to 20
or 50 %. So each layer is compared by itself, on its inputs and the gradient of its output in one
float32 step, rounded to bfloat16 as its weights are. Products of such numbers are exact in float32;
the two results differ by the order of sums and the last rounding, and a wrong kernel stands out.
One is known: oneDNN 3.12 on a CPU with avx512_bf16 gives the weights of a 3 x 3 x 3 convolution
over two frames a gradient that is off by 100 % and more, and another one at every call.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from mtut_bench.errors import PrecisionError
from mtut_bench.files import sha256_of_json
from mtut_bench.loading.training_clips import EpochSampler, TrainingClips, make_loader, split_batch
from mtut_bench.loading.transforms import network_channels, to_input
from mtut_bench.runs.machine import Machine, explain_memory, fresh_train_state
from mtut_bench.runs.plan import RunPlan
from mtut_bench.training.step import classification_losses
from mtut_bench.training.train_state import autocast, seeded

__all__ = ["Agreement", "Difference", "PrecisionChecks", "compare_step", "refuse_disagreement"]

LARGEST_DIFFERENCE = 0.02
"""Of a layer. bfloat16 keeps 8 bits: the last rounding moves a result by 0.17 % (L2; measured on
I3D and C3D: at most 0.22 %); sums that a kernel keeps in bfloat16 in between would cost 1 % or so.
Wrong kernels differ by tens of per cent."""

LARGEST_MAP_DIFFERENCE = 0.05
"""Of the whole network's feature map in evaluation mode, where roundings add up: I3D's is off by
1.0 to 1.4 %, C3D's by 0.5 % (CPU, 16 x 32 x 32 to 64 x 224 x 224)."""

_SEED = 0
"""Of dropout: each pass has the same masks."""


@dataclass(frozen=True)
class Difference:
    """Difference of two results of one layer.

    Attributes:
        layer: name in the network.
        quantity: 'output', 'gradient of the input' or 'gradient of <parameter>'.
        relative: L2 norm of the difference over that of the float32 result.
        shapes: of the layer's inputs and parameters.
    """

    layer: str
    quantity: str
    relative: float
    shapes: str


@dataclass(frozen=True)
class Agreement:
    """Result of a comparison with float32; differences are relative, L2.

    Attributes:
        num_layers: calls of layers that have parameters.
        num_clips: of the training step.
        largest: the largest difference of a layer.
        repeat: the largest difference of a gradient between two equal bfloat16 steps.
        feature_map: of the whole network in evaluation mode, with layers without parameters.
    """

    num_layers: int
    num_clips: int
    largest: Difference
    repeat: float
    feature_map: float


@dataclass(frozen=True)
class _Call:
    """One call of a layer in a training step; gradients of its outputs, None of unused ones."""

    name: str
    layer: nn.Module
    inputs: tuple[object, ...]
    keywords: dict[str, object]
    gradients: list[Tensor | None]


class PrecisionChecks:
    """Compares each network of some runs with float32 once, before anything is trained.

    Args:
        machine: device.
        say: prints the result of each comparison.
    """

    def __init__(self, machine: Machine, say: Callable[[str], object] = lambda text: None) -> None:
        self._machine, self._say = machine, say
        self._found: dict[str, Agreement] = {}

    def check(self, plans: Iterable[RunPlan]) -> None:
        """Compare networks of bfloat16 runs that have not been compared yet.

        On the first batch of stage one; on fewer clips, two at least, where a float32 step of it
        does not fit into memory.

        Raises:
            PrecisionError: as :func:`refuse_disagreement`.
            RunError: not even two clips fit into the device's memory.
        """
        networks = [
            (p, modality) for p in plans if p.precision != "fp32" for modality in p.modalities
        ]
        for plan, modality in networks:
            key = _network_key(plan, modality)
            if key in self._found:
                continue
            compare = partial(_compare_run, plan, modality, self._machine)
            agreement = explain_memory(plan, self._machine, compare)
            what = f"{plan.method.network} on {modality}"
            refuse_disagreement(agreement, what, self._machine.device)
            self._found[key] = agreement
            largest = agreement.largest
            self._say(
                f"bf16 of {what}: {agreement.num_layers} layers compared with fp32 on"
                f" {agreement.num_clips} clips; largest difference {largest.relative:.2%}"
                f" ({largest.quantity} of {largest.layer})"
            )

    def of(self, plan: RunPlan) -> dict[str, Any] | None:
        """Return the comparisons of a run by modality, JSON-ready; None for fp32.

        Raises:
            PrecisionError: as :meth:`check`.
        """
        if plan.precision == "fp32":
            return None
        self.check([plan])
        return {m: asdict(self._found[_network_key(plan, m)]) for m in plan.modalities}


def _network_key(plan: RunPlan, modality: str) -> str:
    """Return what is equal of two runs whose networks have the same layers and sizes."""
    stage = plan.shared_keys[modality]
    names = ("num_classes", "precision", "protocol", "network", "source")
    channels = network_channels(modality, plan.recipe)
    return sha256_of_json({**{name: stage[name] for name in names}, "channels": channels})


def _compare_run(plan: RunPlan, modality: str, machine: Machine) -> Agreement:
    recipe = plan.recipe
    clips = TrainingClips(plan.reader, plan.fold.train, (modality,), recipe, plan.seed)
    sampler = EpochSampler(len(clips), recipe.batch_size, plan.seed)
    batch = split_batch(next(iter(make_loader(clips, sampler, 0))), recipe.accumulation)[0]
    batch = batch.to(machine.device)
    clip = to_input(batch.frames[modality], modality, batch.crops, recipe, batch.valid_NT)
    labels = batch.labels_N
    while True:
        network = fresh_train_state(plan, modality, machine, recompute=False).network
        try:
            return compare_step(network, clip, labels)
        except torch.OutOfMemoryError:
            if len(labels) <= 2:
                raise
        clip, labels = clip[: -(-len(labels) // 2)], labels[: -(-len(labels) // 2)]


def compare_step(network: nn.Module, clip_NCTHW: Tensor, labels_N: Tensor) -> Agreement:
    """Compare a bfloat16 training step with float32, layer by layer, and with itself.

    Args:
        network: freshly built, on its device, without recomputation. It is used up: its weights are
            rounded, its running statistics move.
        clip_NCTHW: its input, float, on the same device.
        labels_N: class indices, int64.
    """
    network.eval()
    maps = [_feature_map(network, clip_NCTHW[:2], name) for name in ("fp32", "bf16")]
    network.train()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(_rounded(parameter))
    exact_calls, _ = _step(network, clip_NCTHW, labels_N, "fp32")
    calls, gradients = _step(network, clip_NCTHW, labels_N, "bf16")
    _, again = _step(network, clip_NCTHW, labels_N, "bf16")
    found = [
        difference
        for exact, rough in zip(exact_calls, calls, strict=True)
        for difference in _compare_layer(exact, rough)
    ]
    repeats = [_relative(a, b) for a, b in zip(gradients, again, strict=True)]
    return Agreement(
        num_layers=len(exact_calls),
        num_clips=len(labels_N),
        largest=max(found, key=lambda difference: _nan_last(difference.relative)),
        repeat=max(repeats, key=_nan_last),
        feature_map=_relative(*maps),
    )


def refuse_disagreement(agreement: Agreement, what: str, device: torch.device) -> None:
    """Ensure that a comparison found no more than roundings.

    Args:
        agreement: of :func:`compare_step`.
        what: whose network, for the message.
        device: where it was computed.

    Raises:
        PrecisionError: a layer differs from float32 by more than 2 %, or the feature map by more
            than 5 %; or, on a CPU, the same step gave other bits the second time (on a GPU some
            kernels add in any order).
    """
    largest, fault = agreement.largest, ""
    if not largest.relative <= LARGEST_DIFFERENCE:
        fault = (
            f"in {what} the {largest.quantity} of layer {largest.layer} ({largest.shapes})"
            f" {_apart(largest.relative)}"
        )
    elif not agreement.feature_map <= LARGEST_MAP_DIFFERENCE:
        fault = f"the feature map of {what} {_apart(agreement.feature_map)}"
    elif device.type == "cpu" and agreement.repeat != 0:
        fault = (
            f"repeating a training step of {what} changes the gradients by {agreement.repeat:.1%}"
        )
    if fault:
        raise PrecisionError(
            f"bf16 is wrong on {_describe(device)}: {fault}",
            "Use --precision fp32, another --set clip_length, or another version of torch.",
        )


def _apart(relative: float) -> str:
    """Return a relative difference in words; wrong kernels may give anything."""
    if not relative <= 10:
        return "is unrelated to that of fp32"
    return f"differs from that of fp32 by {relative:.1%}"


def _describe(device: torch.device) -> str:
    """Return a device and its libraries, with versions."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        return f"{name}, torch {torch.__version__}, cuDNN {torch.backends.cudnn.version()}"
    version = re.search(r"MKL-DNN v([\d.]+)", torch.__config__.show())
    library = f", oneDNN {version[1]}" if version else ""
    return (
        f"a CPU with {torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}{library}"
    )


def _step(
    network: nn.Module, clip_NCTHW: Tensor, labels_N: Tensor, precision: str
) -> tuple[list[_Call], list[Tensor]]:
    """Return the calls of layers in one step of stage one, and the gradients of parameters."""
    device = clip_NCTHW.device
    with _recorded(network) as calls, autocast(device, precision), seeded(_SEED, device):
        output = network(clip_NCTHW)
        loss = classification_losses({"": output}, labels_N).losses[""]
        wanted = [p for p in network.parameters() if p.requires_grad]
        gradients = torch.autograd.grad(loss, wanted, allow_unused=True)
    return calls, [gradient for gradient in gradients if gradient is not None]


@contextmanager
def _recorded(network: nn.Module) -> Iterator[list[_Call]]:
    """Collect the calls of all layers that own parameters."""
    calls: list[_Call] = []

    def note(
        name: str,
        layer: nn.Module,
        inputs: tuple[object, ...],
        keywords: dict[str, object],
        output: object,
    ) -> None:
        outputs = _tensors(output)
        gradients: list[Tensor | None] = [None] * len(outputs)
        for index, tensor in enumerate(outputs):
            if tensor.requires_grad:
                tensor.register_hook(partial(gradients.__setitem__, index))
        calls.append(_Call(name, layer, inputs, keywords, gradients))

    handles = [
        layer.register_forward_hook(partial(note, name), with_kwargs=True)
        for name, layer in network.named_modules()
        if next(layer.parameters(recurse=False), None) is not None
    ]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def _compare_layer(exact: _Call, rough: _Call) -> list[Difference]:
    """Compare a call of a layer on its inputs in float32; ``rough`` gives their bfloat16 types."""
    layer = exact.layer
    # Dropout inside a layer of layers draws by type.
    layer.train(next(layer.children(), None) is None)
    rounded = [_rounded(v) if isinstance(v, Tensor) else v for v in exact.inputs]
    expected = _alone(exact, [_leaf(v) for v in rounded], "fp32")
    like = [_leaf(v, dtype_of=r) for v, r in zip(rounded, rough.inputs, strict=True)]
    found = _alone(exact, like, "bf16")
    layer.train()
    shapes = ", ".join(
        [f"input {tuple(value.shape)}" for value in rounded if isinstance(value, Tensor)]
        + [f"{name} {tuple(p.shape)}" for name, p in layer.named_parameters(recurse=False)]
    )
    return [
        Difference(exact.name, quantity, _relative(expected[quantity], value), shapes)
        for quantity, value in found.items()
    ]


def _leaf(value: object, dtype_of: object = None) -> object:
    """Return a float tensor ready for a gradient, in its own type or another's; else the value."""
    if not isinstance(value, Tensor) or not value.is_floating_point():
        return value
    dtype = dtype_of.dtype if isinstance(dtype_of, Tensor) else value.dtype
    return value.detach().to(dtype).requires_grad_()


def _alone(call: _Call, inputs: Sequence[object], precision: str) -> dict[str, Tensor]:
    """Return a layer's outputs, and the gradients of its inputs and parameters, by name."""
    layer = call.layer
    device = next(layer.parameters()).device
    with autocast(device, precision), seeded(_SEED, device):
        outputs = _tensors(layer(*inputs, **call.keywords))
    found = {f"output {n}" if n else "output": output for n, output in enumerate(outputs)}
    wanted = {
        f"gradient of input {n}" if n else "gradient of the input": value
        for n, value in enumerate(inputs)
        if isinstance(value, Tensor) and value.requires_grad
    } | {f"gradient of {name}": p for name, p in layer.named_parameters() if p.requires_grad}
    used = [
        (output, _rounded(gradient).to(output.dtype))
        for output, gradient in zip(outputs, call.gradients, strict=True)
        if gradient is not None
    ]
    if used:
        gradients = torch.autograd.grad(
            [output for output, _ in used],
            list(wanted.values()),
            [gradient for _, gradient in used],
            allow_unused=True,
        )
        pairs = zip(wanted, gradients, strict=True)
        found |= {name: gradient for name, gradient in pairs if gradient is not None}
    return {name: tensor.detach().float() for name, tensor in found.items()}


def _rounded(tensor: Tensor) -> Tensor:
    """Return floats rounded to bfloat16, as float32; integers unchanged."""
    return tensor.detach().bfloat16().float() if tensor.is_floating_point() else tensor


def _tensors(value: object) -> list[Tensor]:
    """Return the tensors of a possibly nested result, in order."""
    if isinstance(value, Tensor):
        return [value]
    parts = value if isinstance(value, (tuple, list)) else ()
    return [tensor for part in parts for tensor in _tensors(part)]


def _feature_map(network: nn.Module, clip_NCTHW: Tensor, precision: str) -> Tensor:
    with torch.no_grad(), autocast(clip_NCTHW.device, precision):
        features: Tensor = network(clip_NCTHW).features_NCTHW
    return features.float()


def _nan_last(relative: float) -> float:
    return math.inf if math.isnan(relative) else relative


def _relative(exact: Tensor, other: Tensor) -> float:
    """Return the L2 norm of the difference over that of the first; 0 where they are equal."""
    if torch.equal(exact, other):
        return 0.0
    return float((other.float() - exact.float()).norm() / exact.float().norm())
