"""A network as safetensors: parameters, buffers, and texts that describe them."""

from collections.abc import Callable, Mapping

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from mtut_bench.errors import ExportError
from mtut_bench.inference.export.output_check import ClipScores

__all__ = ["encode_network", "run_tensors"]


def encode_network(network: nn.Module, metadata: Mapping[str, str]) -> bytes:
    """Return the content of a safetensors file.

    Args:
        network: any; its parameters and buffers are kept under their names.
        metadata: texts that the file carries.
    """
    tensors = {
        name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()
    }
    return save(tensors, dict(metadata))


def run_tensors(
    content: bytes, network: nn.Module, blank: nn.Module
) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """Return a function that runs the network of a file's content.

    Args:
        content: of a safetensors file.
        network: what it must hold, exactly.
        blank: of the same architecture; is filled from the content.

    Raises:
        ExportError: a tensor is missing or not equal.
    """
    tensors, wanted = load(content), network.state_dict()
    for name in sorted(wanted.keys() | tensors.keys()):
        there = name in wanted and name in tensors
        if not there or not torch.equal(tensors[name], wanted[name].cpu()):
            raise ExportError(
                f"the exported tensor {name} differs from the run's",
                "Nothing was written. Try another version of safetensors.",
            )
    blank.load_state_dict(tensors)
    scores = ClipScores(blank).eval()
    return lambda clip_NCTHW: scores(clip_NCTHW)
