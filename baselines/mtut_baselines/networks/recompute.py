"""Activation recomputation: keep a layer group's input, compute the rest again when going back.

One group is a function of one tensor. The second pass must leave no trace: random draws are put
back by torch, and layers with running statistics ask :func:`is_recomputing` before they write.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from torch import Tensor
from torch.utils.checkpoint import checkpoint

__all__ = ["is_recomputing", "recompute_group"]

# Per thread, because on a GPU the backward pass, and so the second forward, has its own thread.
_state = threading.local()


def is_recomputing() -> bool:
    """Return whether this thread is in the second forward pass of a group."""
    return getattr(_state, "depth", 0) > 0


def recompute_group(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return function(x), of whose intermediate tensors none is kept for the backward pass.

    The same operations on the same values: on the CPU losses and gradients are those of plain
    autograd, bit for bit. The backward pass takes one more forward pass of the group.

    Args:
        function: a layer group; random draws in it are repeated exactly.
        x: its input, which is kept; not modified by the function.
    """
    result: Tensor = checkpoint(function, x, use_reentrant=False, context_fn=_contexts)
    return result


def _contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Return what surrounds the first and the second pass."""
    return nullcontext(), _second_pass()


@contextmanager
def _second_pass() -> Iterator[None]:
    _state.depth = getattr(_state, "depth", 0) + 1
    try:
        yield
    finally:
        _state.depth -= 1
