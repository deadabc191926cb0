"""RAFT optical flow (Teed and Deng, ECCV 2020) with torchvision's networks and a file of weights.

torch is imported where it is needed: other flows never load it. The weights come from a file that
the user names; its SHA-256 is part of what the store records.
"""

import hashlib
import io
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mtut_bench.errors import MtutBenchError, UsageError
from mtut_bench.files import StrPath
from mtut_preprocess.derive.flow import code_clip, flow_record

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["NETWORKS", "Raft", "open_raft"]

NETWORKS = ("raft_small", "raft_large")

_NUM_FLOW_UPDATES = 12
"""torchvision's default, and that of RAFT's training."""

_PAIRS_AT_ONCE = 8
"""Frame pairs per batch. Fixed: a batch of another size may round in another way."""

_SHORTEST_PX = 128
"""torchvision refuses less: of the last of four correlation levels less than 2 x 2 is left."""

_HINT = (
    "Give the state_dict of torchvision's raft_small or raft_large (.pth or .safetensors), for"
    " instance https://download.pytorch.org/models/raft_small_C_T_V2-01064c6d.pth (4 MB); files of"
    " RAFT's authors name their tensors otherwise."
)


@dataclass(frozen=True)
class Raft:
    """RAFT with the weights of a file. Picklable: each process reads the file itself, once.

    Attributes:
        weights: the file.
        sha256: of the file, 64 hexadecimal digits.
        network: one of NETWORKS.
        device: 'cpu', 'cuda' or 'cuda:N'.
    """

    weights: Path
    sha256: str
    network: str
    device: str

    name = "raft"
    modality = "flow_raft"

    def attributes(self, source: str) -> dict[str, Any]:
        """See FlowAlgorithm."""
        import torch
        import torchvision

        return {
            "algorithm": self.name,
            "parameters": {
                "network": self.network,
                "weights_sha256": self.sha256,
                "num_flow_updates": _NUM_FLOW_UPDATES,
                "pairs_at_once": _PAIRS_AT_ONCE,
                "precision": "fp32",
                "padding": "edges replicated, alike on both sides, to multiples of 8 and at least"
                f" {_SHORTEST_PX}; cropped again",
            },
            "library": f"torchvision {torchvision.__version__}, torch {torch.__version__}",
            "device": self.device.partition(":")[0],
            **flow_record(source),
        }

    def compute(self, rgb_THWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """See FlowAlgorithm.

        Raises:
            MtutBenchError: the weight file is gone or changed, or the device's memory is full.
        """
        import torch

        try:
            return code_clip(rgb_THWC, self._flows(rgb_THWC))
        except torch.OutOfMemoryError as error:
            raise MtutBenchError(
                f"{self.network} flow of frames of {rgb_THWC.shape[2]}x{rgb_THWC.shape[1]} does not"
                f" fit into the memory of device {self.device}",
                "Run with fewer --workers, or set CUDA_VISIBLE_DEVICES= to run on the CPU.",
            ) from error

    def _flows(self, rgb_THWC: NDArray[np.uint8]) -> Iterator[NDArray[np.float32]]:
        for first in range(0, len(rgb_THWC) - 1, _PAIRS_AT_ONCE):
            yield from self._flows_at_once(rgb_THWC[first : first + _PAIRS_AT_ONCE + 1])

    def _flows_at_once(self, rgb_THWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the T - 1 flows of a few frames, float32 (T - 1, H, W, 2), pixels."""
        import torch
        from torch.nn.functional import pad

        height, width = rgb_THWC.shape[1:3]
        (left, right), (top, bottom) = _padding(width), _padding(height)
        with _plain_arithmetic():
            network = _load(self)
            frames_NCHW = torch.from_numpy(rgb_THWC.copy()).to(self.device).permute(0, 3, 1, 2)
            # As torchvision's transform of these networks: to -1..1.
            frames_NCHW = frames_NCHW.float().div(255).sub(0.5).div(0.5)
            frames_NCHW = pad(frames_NCHW, (left, right, top, bottom), mode="replicate")
            flow_NCHW = network(frames_NCHW[:-1], frames_NCHW[1:], _NUM_FLOW_UPDATES)[-1]
            flow_NCHW = flow_NCHW[..., top : top + height, left : left + width]
            flow_NHWC: NDArray[np.float32] = flow_NCHW.permute(0, 2, 3, 1).cpu().numpy()
        return flow_NHWC


def _padding(size: int) -> tuple[int, int]:
    """Return the pixels before and after that bring a side to a size that RAFT takes."""
    missing = max(_SHORTEST_PX, -(-size // 8) * 8) - size
    return missing // 2, missing - missing // 2


@contextmanager
def _plain_arithmetic() -> Iterator[None]:
    """Compute in fp32, without gradients, the same for any number of workers, for a block.

    One thread, as sums are split by threads; there is a worker per core. Without TF32, which
    convolutions on a GPU take by default and which keeps 10 bits.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with (
            torch.inference_mode(),
            torch.backends.cudnn.flags(
                enabled=True, benchmark=False, deterministic=True, allow_tf32=False
            ),
        ):
            yield
    finally:
        torch.set_num_threads(threads)


def open_raft(weights: StrPath | None, device: str) -> Raft:
    """Return RAFT with the weights of a file, read and checked; as :func:`build_flow`."""
    import torch

    if weights is None:
        raise UsageError("raft flow needs a file of weights, and none is given", _HINT)
    weights = Path(weights)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    sha256, tensors = _read(weights)
    name, _ = _recognise(weights, tensors)
    return Raft(weights, sha256, name, device)


def _read(path: Path) -> tuple[str, "dict[str, Tensor]"]:
    """Return the SHA-256 and the tensors of a weight file; code in it is never run."""
    import torch
    from safetensors.torch import load

    try:
        data = path.read_bytes()
    except OSError as error:
        raise MtutBenchError(f"{path} cannot be read: {error.strerror or error}", _HINT) from error
    try:
        # safetensors: eight bytes of length, then a JSON object.
        if data[8:9] == b"{":
            tensors = load(data)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of TorchScript archives, which then are refused
                tensors = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:
        # torch.load raises whatever its zip and pickle readers meet, and advises to run the code
        # in the file: its words are not passed on.
        raise MtutBenchError(
            f"{path} is not a file of weights, or damaged ({type(error).__name__})", _HINT
        ) from error
    if not isinstance(tensors, Mapping) or not all(map(torch.is_tensor, tensors.values())):
        raise MtutBenchError(f"{path} is not a mapping of names to tensors", _HINT)
    return hashlib.sha256(data).hexdigest(), {str(key): value for key, value in tensors.items()}


def _recognise(path: Path, tensors: "Mapping[str, Tensor]") -> tuple[str, Any]:
    """Return which of NETWORKS the tensors are of, and it with them."""
    from torchvision.models import optical_flow

    for name in NETWORKS:
        network = getattr(optical_flow, name)(weights=None)
        try:
            missing, unexpected = network.load_state_dict(tensors, strict=False)
        except RuntimeError:  # other shapes
            continue
        # Old files lack the counters of batches.
        if not unexpected and all(key.endswith("num_batches_tracked") for key in missing):
            break
    else:
        raise MtutBenchError(f"{path} fits neither raft_small nor raft_large", _HINT)
    bad = next((key for key, tensor in tensors.items() if not tensor.isfinite().all()), None)
    if bad:
        raise MtutBenchError(f"{path} has values in {bad} that are not finite", _HINT)
    return name, network


@cache
def _load(raft: Raft) -> Any:  # noqa: ANN401 - torchvision has no types
    """Return the network on its device, for evaluation."""
    sha256, tensors = _read(raft.weights)
    if sha256 != raft.sha256:
        raise MtutBenchError(
            f"{raft.weights} has changed since it was opened", "Run the command again."
        )
    _, network = _recognise(raft.weights, tensors)
    return network.requires_grad_(False).eval().to(raft.device)
