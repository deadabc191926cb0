"""Reading weight files: tensors by name and nothing else; no code in a file is ever run."""

import hashlib
import pickle
import pickletools
import warnings
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from mtut_bench.errors import MtutBenchError
from mtut_bench.files import StrPath

__all__ = ["WeightFile", "WeightsError", "read_weights", "sha256_of_file"]

_DOWNLOAD_AGAIN = "Download the file again (`mtut-bench weights fetch`)."
_RESAVE = (
    "If you trust its author, run once at your own risk: "
    "torch.save(torch.load(FILE, weights_only=False), NEW) with a plain dict of tensors "
    "(for a whole module: its state_dict()), and give the new file."
)


class WeightsError(MtutBenchError):
    """A weight file that is missing, damaged, unsafe, or made for another network."""


@dataclass(frozen=True)
class WeightFile:
    """The content of a weight file.

    Attributes:
        path: where it was read.
        sha256: of the whole file, 64 hexadecimal digits.
        tensors: by the file's own names, on the CPU.
        metadata: texts that a safetensors file carries; empty for other formats.
    """

    path: Path
    sha256: str
    tensors: dict[str, Tensor]
    metadata: dict[str, str] = field(default_factory=dict)


def sha256_of_file(path: StrPath) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    path = Path(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_weights(path: StrPath) -> WeightFile:
    """Return the tensors of a safetensors file or of one written by ``torch.save``.

    Every tensor must be finite where it is floating point.

    Args:
        path: the file; its content decides the format, not its name.

    Raises:
        WeightsError: the file is missing, truncated, a web page, a Git LFS pointer, holds
            something other than named tensors, or would run code when unpickled.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            head = file.read(512)
        sha256 = sha256_of_file(path)
    except OSError as error:
        raise WeightsError(
            f"{path} cannot be read: {error.strerror or error}",
            "Give the path of a weight file; `mtut-bench weights fetch` downloads the public ones.",
        ) from error
    _refuse_text(path, head)
    if _is_safetensors(head):
        tensors, metadata = _read_safetensors(path)
    else:
        tensors, metadata = _named_tensors(path, _read_torch(path)), {}
    bad = [name for name, tensor in tensors.items() if not _is_finite(tensor)]
    if bad:
        raise WeightsError(
            f"{path}: {len(bad)} tensors with non-finite values, first {bad[0]}",
            _DOWNLOAD_AGAIN,
        )
    return WeightFile(path, sha256, tensors, metadata)


def _is_finite(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or bool(tensor.isfinite().all())


def _refuse_text(path: Path, head: bytes) -> None:
    """Name the two things that servers send in the place of a weight file."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not start:
        raise WeightsError(f"{path} is empty", _DOWNLOAD_AGAIN)
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise WeightsError(
            f"{path} is a web page, not a weight file",
            "The server may need a login or a confirmation: download the file in a browser.",
        )
    if start.startswith(b"version https://git-lfs"):
        raise WeightsError(
            f"{path} is a Git LFS pointer, not the weights themselves",
            "Run `git lfs pull` in the repository it comes from, or download the file directly.",
        )


def _is_safetensors(head: bytes) -> bool:
    """Return whether a file starts as safetensors: eight bytes of length, then a JSON object."""
    return len(head) > 8 and head[8:9] == b"{"


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, dict(file.metadata() or {})
    except (SafetensorError, OSError, ValueError) as error:
        raise _damaged(path, error) from error


def _read_torch(path: Path) -> Any:  # noqa: ANN401 - whatever the file holds
    try:
        _check_archive(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of TorchScript archives, which then are refused
            return torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:
        # torch.load raises whatever its zip and pickle readers meet.
        if _wants_code(path, error):
            raise WeightsError(
                f"{path} holds more than tensors, and reading it would run code from the file: "
                f"{_reason(error)}",
                _RESAVE,
            ) from error
        raise _damaged(path, error) from error


def _check_archive(path: Path) -> None:
    """Raise BadZipFile where a checksum fails: torch.load compares none, so a bit would flip."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
        if bad is not None:
            raise zipfile.BadZipFile(f"checksum of {bad}")


def _wants_code(path: Path, error: Exception) -> bool:
    """Return whether torch's reader refused the content, as opposed to broken bytes."""
    if isinstance(error, pickle.UnpicklingError):
        return zipfile.is_zipfile(path) or _is_whole_pickle(path)
    return "TorchScript" in str(error) or "legacy .tar format" in str(error)


def _is_whole_pickle(path: Path) -> bool:
    """Return whether the first pickle of a file that names a class or function has an end.

    Only the opcodes are read: nothing is built and nothing called.
    """
    with path.open("rb") as file:
        try:
            while True:
                # A list: all opcodes up to the end, or a ValueError.
                names = [opcode.name for opcode, _, _ in pickletools.genops(file)]
                if any("GLOBAL" in name or name == "INST" for name in names):
                    return True
        except (ValueError, IndexError, UnicodeDecodeError):
            return False


def _reason(error: Exception) -> str:
    """Return the sentence of torch's long message that names the offending object."""
    # torch ends such messages with advice to switch its protection off, which is not ours.
    text = str(error).split("Re-running `torch.load`")[0].split("In PyTorch 2.6")[0]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    named = [line for line in lines if "GLOBAL" in line or "blocked" in line]
    return (named or lines or [type(error).__name__])[0][:300]


def _damaged(path: Path, error: Exception) -> WeightsError:
    return WeightsError(
        f"{path} is damaged or not a weight file: {_reason(error)} ({type(error).__name__})",
        _DOWNLOAD_AGAIN,
    )


def _named_tensors(path: Path, content: Any) -> dict[str, Tensor]:  # noqa: ANN401
    """Return the content if it is a state dict, or the one it keeps under 'state_dict'."""
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not content:
        raise WeightsError(f"{path} has no named tensors", "Give a state dict.")
    odd = [name for name, value in content.items() if not _is_named_tensor(name, value)]
    if odd:
        raise WeightsError(
            f"{path} has {len(odd)} entries that are not named tensors, first {odd[0]!r}",
            "Give a state dict of named tensors.",
        )
    return {name: tensor.detach() for name, tensor in content.items()}


def _is_named_tensor(name: Any, value: Any) -> bool:  # noqa: ANN401
    return isinstance(name, str) and isinstance(value, Tensor) and value.layout == torch.strided
