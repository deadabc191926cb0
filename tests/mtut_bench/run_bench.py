"""What the tests of runs share: a machine and a reporter that keeps its lines."""

import contextlib

import torch

from mtut_bench.runs.machine import Machine
from mtut_bench.runs.provenance import provenance
from mtut_bench.runs.record import StageRecord, write_record

MACHINE = Machine(torch.device("cpu"), 0, "mtut-bench run")


def write_stage_record(folder, stage_id, identity):
    """Write the manifest of a stage one."""
    made_by, files = provenance(MACHINE.device, MACHINE.command), ("checkpoint.pt",)
    record = StageRecord(id=stage_id, identity=identity, files=files, provenance=made_by)
    write_record(folder / "manifest.json", record)


class Lines:
    """A reporter that keeps its lines; its tickers may stop the work."""

    def __init__(self, stop_at=None):
        self.lines, self.stop_at = [], stop_at

    def line(self, text):
        self.lines.append(text)

    def ticker(self, title, piece=""):
        def tick(done, total, note=""):
            if self.stop_at is not None and self.stop_at in f"{title} {done}":
                raise KeyboardInterrupt

        return contextlib.nullcontext(tick)

    @property
    def text(self):
        return "\n".join(self.lines)
