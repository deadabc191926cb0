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
        network: what it must hold, bit for bit.
        blank: of the same architecture; is filled from the content.

    Raises:
        ExportError: a tensor is missing, or not equal in every bit.
    """
    tensors, wanted = load(content), network.state_dict()
    for name in sorted(wanted.keys() | tensors.keys()):
        if not _same_bits(tensors.get(name), wanted.get(name)):
            raise ExportError(
                f"the exported tensor {name} is not that of the run",
                "Nothing was written. Another release of safetensors may do it rightly.",
            )
    blank.load_state_dict(tensors)
    scores = ClipScores(blank).eval()
    return lambda clip_NCTHW: scores(clip_NCTHW)


def _same_bits(a: Tensor | None, b: Tensor | None) -> bool:
    if a is None or b is None or a.dtype != b.dtype:
        return False
    first, second = (
        tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8) for tensor in (a, b)
    )
    return torch.equal(first, second)
