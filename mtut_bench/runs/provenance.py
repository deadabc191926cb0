"""How a result was made: device, versions, revision of the source, command."""

import platform
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
import zarr

from mtut_bench import __version__
from mtut_bench.runs.record import Provenance

__all__ = ["command_line", "provenance"]


def provenance(device: torch.device, command: str) -> Provenance:
    """Return what is recorded with every result that a device computed for a command."""
    cuda = device.type == "cuda"
    return Provenance(
        device=torch.cuda.get_device_name(device) if cuda else "cpu",
        threads=torch.get_num_threads(),
        versions={
            "mtut-bench": __version__,
            "python": platform.python_version(),
            # A subclass of str.
            "torch": str(torch.__version__),
            "numpy": np.__version__,
            "zarr": zarr.__version__,
        },
        git=_git_revision(),
        command=command,
    )


def _git_revision() -> str | None:
    """Return the revision of the source tree this runs from, '+' where it has changes."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        head = _git(root, "rev-parse", "HEAD")
        changes = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return head + ("+" if changes else "")


def _git(root: Path, *words: str) -> str:
    command = ["git", "-C", str(root), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()


def command_line() -> str:
    """Return what the user typed, quoted for a shell."""
    return shlex.join(["mtut-bench", *sys.argv[1:]])
