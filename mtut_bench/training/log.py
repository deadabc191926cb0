"""The log of a training in progress: JSON lines, and the same numbers for TensorBoard."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mtut_bench.files import StrPath, write_atomic

__all__ = ["TrainingLog"]

_LABELS = ("stage", "epoch", "modality")


class TrainingLog:
    """Writes ``log.jsonl`` and ``tensorboard/`` of a folder, after every epoch.

    Args:
        folder: of a run or of a stage one; TensorBoard shows one curve for each.
    """

    def __init__(self, folder: StrPath) -> None:
        self.folder = Path(folder)
        self._writer: Any = None

    def write(self, log: Sequence[dict[str, Any]], epoch: int) -> None:
        """Write all entries so far as JSON lines and those of an epoch for TensorBoard.

        Args:
            log: entries of the stage, with 'epoch' and 'modality'.
            epoch: the one that has just ended.
        """
        lines = "".join(json.dumps(entry) + "\n" for entry in log)
        write_atomic(self.folder / "log.jsonl", lines.encode())
        new = [entry for entry in log if entry["epoch"] == epoch]
        if self._writer is None:
            # Imported here: it takes a second, and a finished run needs none.
            from torch.utils.tensorboard import SummaryWriter

            # A resumed training rewrites its curves: two files of one second have no order.
            new, board = list(log), self.folder / "tensorboard"
            for path in board.glob("events.out.tfevents.*"):
                path.unlink()
            # A running TensorBoard forgets what it has read of the old file.
            self._writer = SummaryWriter(str(board), purge_step=log[0]["epoch"])
        for entry in new:
            for name, value in entry.items():
                if name not in _LABELS:
                    self._writer.add_scalar(f"{entry['modality']}/{name}", value, entry["epoch"])
        self._writer.flush()

    def close(self) -> None:
        """Close the TensorBoard file."""
        if self._writer is not None:
            self._writer.close()
