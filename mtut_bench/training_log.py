"""The log of a training while it runs: JSON lines, and the same numbers for TensorBoard."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mtut_bench.files import write_atomic

__all__ = ["TrainingLog"]

_LABELS = ("stage", "epoch", "modality")


class TrainingLog:
    """Writes ``log.jsonl`` and ``tensorboard/`` of a folder, after every epoch.

    Args:
        folder: of a run or of a first stage; TensorBoard shows each as a curve of its own.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writer: Any = None

    def write(self, log: Sequence[dict[str, Any]], epoch: int) -> None:
        """Write all entries so far as JSON lines and those of an epoch for TensorBoard.

        Args:
            log: entries of the stage, with 'epoch' and 'modality'.
            epoch: the one that has just ended; a resumed training writes it once more.
        """
        lines = "".join(json.dumps(entry) + "\n" for entry in log)
        write_atomic(self.folder / "log.jsonl", lines.encode())
        if self._writer is None:
            # Imported here: it takes a second, and a finished run needs none.
            from torch.utils.tensorboard import SummaryWriter

            # What a killed training wrote of this epoch and later is hidden.
            self._writer = SummaryWriter(str(self.folder / "tensorboard"), purge_step=epoch)
        for entry in log:
            if entry["epoch"] != epoch:
                continue
            for name, value in entry.items():
                if name not in _LABELS:
                    self._writer.add_scalar(f"{entry['modality']}/{name}", value, epoch)
        self._writer.flush()

    def close(self) -> None:
        """Close the TensorBoard file."""
        if self._writer is not None:
            self._writer.close()
