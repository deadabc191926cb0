"""A network as an ONNX graph, and such a graph run by onnxruntime."""

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from mtut_bench.errors import ExportError, UsageError
from mtut_bench.inference.export.input_spec import InputSpec
from mtut_bench.inference.export.output_check import ClipScores

__all__ = ["OnnxGraph", "convert", "require_onnx", "run_onnx"]

INPUT = "clip"
OUTPUTS = ("logits", "logits_per_step")
_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True)
class OnnxGraph:
    """An exported network.

    Attributes:
        content: of the file.
        dynamic: whether it takes clips of any length; else only of the training length.
        reason: why not, in torch's words.
    """

    content: bytes
    dynamic: bool
    reason: str = ""


def require_onnx() -> None:
    """Ensure that the packages of the extra ``export`` are there.

    Raises:
        UsageError: one is missing; says how to install them.
    """
    for name in _PACKAGES:
        try:
            import_module(name)
        except ImportError as error:
            raise UsageError(
                f"--format onnx needs the package {name}: {error}",
                "Install what it needs: pip install 'mtut-bench[export]'",
            ) from error


def convert(network: nn.Module, spec: InputSpec, metadata: Mapping[str, str]) -> OnnxGraph:
    """Return a network as an ONNX graph with any number of clips, of any length where it can.

    Input ``clip``, float32 (N, C, T, crop, crop); outputs ``logits`` (N, K), the mean over time,
    and ``logits_per_step`` (N, K, T').

    Args:
        network: in evaluation mode, on the CPU.
        spec: its input.
        metadata: texts that the file carries.

    Raises:
        ExportError: torch cannot convert it even at a fixed length.
    """
    model: Any = None
    reason = "its graph depends on the clip length"
    try:
        model = _export(network, spec, dynamic=True)
    except Exception as error:
        # What a user's network may raise here has no common type.
        reason = _first_line(error)
    # torch may silently fix an axis that was to stay open.
    dynamic = model is not None and not (
        model.graph.input[0].type.tensor_type.shape.dim[2].HasField("dim_value")
    )
    if not dynamic:
        try:
            model = _export(network, spec, dynamic=False)
        except Exception as error:
            raise ExportError(
                f"torch cannot convert the network of {spec.modality} to ONNX:"
                f" {_first_line(error)}",
                "Use --format safetensors, or change the network to operations that ONNX supports.",
            ) from error
    for key, value in {**metadata, "any_length": json.dumps(dynamic)}.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    return OnnxGraph(model.SerializeToString(), dynamic, "" if dynamic else reason)


def _first_line(error: Exception) -> str:
    """Return the first line of the error that caused a converter's."""
    root: BaseException = error
    while root.__cause__ is not None:
        root = root.__cause__
    lines = [line for line in str(root).splitlines() if line.strip()]
    return lines[0].strip() if lines else type(root).__name__


def run_onnx(content: bytes) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """Return a function that runs a graph on the CPU.

    Args:
        content: of an ONNX file.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # Faults come as exceptions; no log line beside them.
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def run(clip_NCTHW: Tensor) -> tuple[Tensor, Tensor]:
        try:
            logits_NK, logits_NKT = session.run(list(OUTPUTS), {INPUT: clip_NCTHW.numpy()})
        except Exception as error:
            # onnxruntime's own types, one per status code, which are not public.
            shape = tuple(clip_NCTHW.shape)
            raise ExportError(
                f"the exported network fails on an input of {shape}: {error}",
                "Nothing was written. Try another version of torch.",
            ) from error
        return torch.from_numpy(logits_NK), torch.from_numpy(logits_NKT)

    return run


def _export(network: nn.Module, spec: InputSpec, *, dynamic: bool) -> Any:  # noqa: ANN401 - ModelProto
    shapes: dict[int, Any] = {0: torch.export.Dim("batch", min=1)}
    if dynamic:
        least = spec.min_frames
        # A network that states no shortest clip may still have one: torch finds it.
        shapes[2] = torch.export.Dim("frames", min=least) if least > 1 else torch.export.Dim.DYNAMIC
    # Two clips, and a clip of several time steps: torch takes an axis of length 1 for a constant.
    length = max(spec.clip_length, spec.min_frames * (4 if dynamic else 1))
    clip_NCTHW = torch.zeros(2, spec.channels, length, spec.crop, spec.crop)
    with _quiet():
        program = torch.onnx.export(
            ClipScores(network).eval(),
            (clip_NCTHW,),
            dynamo=True,
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_shapes=(shapes,),
            verbose=False,
        )
    assert program is not None
    return program.model_proto


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the converter's internal notes off the terminal."""
    loggers = [logging.getLogger(name) for name in ("torch", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
