"""Training states on disk, written in one step and read without pickle."""

import io
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as encode_tensors
from torch import Tensor

from mtut_bench.errors import RunError
from mtut_bench.files import StrPath, write_atomic

__all__ = ["load_checkpoint", "save_checkpoint", "save_network"]


def save_checkpoint(path: StrPath, state: dict[str, Any]) -> None:
    """Write a training state, nested dicts and lists of tensors, numbers and texts."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomic(path, buffer.getvalue())


def load_checkpoint(path: StrPath) -> dict[str, Any]:
    """Return a training state, its tensors on the CPU; no code in the file is run.

    Raises:
        RunError: the file is damaged.
    """
    path = Path(path)
    try:
        state = _read(path)
    except MemoryError:
        raise
    except Exception as error:
        # torch.load raises whatever its zip and pickle readers raise.
        raise RunError(
            f"{path} is damaged: {error}",
            "Delete the file; training then starts from the beginning.",
        ) from error
    if not isinstance(state, dict):
        raise RunError(f"{path} holds no training state", "Delete the file.")
    return state


def _read(path: Path) -> Any:  # noqa: ANN401 - whatever the file holds
    with zipfile.ZipFile(path) as archive:
        # torch.load compares no checksum.
        bad = archive.testzip()
    if bad is not None:
        raise zipfile.BadZipFile(f"checksum of {bad}")
    return torch.load(path, map_location="cpu", weights_only=True)


def save_network(path: StrPath, tensors: dict[str, Tensor]) -> None:
    """Write a network's parameters and buffers as safetensors."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomic(path, encode_tensors(plain))
