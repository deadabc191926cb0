"""What a method is given to fit a run: clips, modalities, device, log and shared artefacts."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mtut_bench.errors import BusyError
from mtut_bench.files import StrPath, hold_lock, sha256_of_json
from mtut_bench.progress import Reporter
from mtut_bench.runs.machine import Machine
from mtut_bench.runs.plan import RunPlan, artefact_done, shared_folder
from mtut_bench.runs.provenance import provenance
from mtut_bench.runs.record import StageRecord, write_record
from mtut_bench.store.clips import StoreClips, TrainingSide

__all__ = ["RunJob", "remove_leftovers"]


class RunJob:
    """The job of one run; see :class:`mtut_bench.contract.method.Job`.

    Args:
        plan: of the run.
        machine: device, workers.
        reporter: where progress goes.
    """

    def __init__(self, plan: RunPlan, machine: Machine, reporter: Reporter) -> None:
        self.modalities = plan.modalities
        self.classes = plan.reader.attributes.classes
        self.seed = plan.seed
        self.identity: Mapping[str, Any] = plan.identity
        self.source = plan.loaded.source
        self.folder = plan.folder
        self.device = machine.device
        self.precision = plan.precision
        self.weights: Mapping[str, Path] = {m: weights.path for m, weights in plan.weights.items()}
        self.weights_digests: Mapping[str, str] = {
            m: weights.sha256 for m, weights in plan.weights.items()
        }
        self.workers = machine.workers
        self.recompute = machine.recompute
        self.device_cache: Any = machine.device_cache
        self.log = reporter
        self._plan, self._machine = plan, machine
        self._made: set[Path] = set()

    @property
    def train(self) -> TrainingSide:
        """The training side of the fold."""
        return TrainingSide(self._plan.reader, self._plan.fold.train)

    @property
    def test(self) -> StoreClips:
        """The test side of the fold."""
        return StoreClips(self._plan.reader, self._plan.fold.test, "test")

    @property
    def validation(self) -> StoreClips | None:
        """The fold's validation clips; None where it has none."""
        val = self._plan.fold.val
        return StoreClips(self._plan.reader, val, "val") if val else None

    def make_declared(self, name: str) -> None:
        """Make an artefact that the method declares, unless it is there.

        Raises:
            BusyError: another process makes it.
        """
        method, train = self._plan.method, self.train
        folder = self._plan.stage_folder(name)
        with hold_lock(self._lock(folder), f"the artefact {name!r} ({folder.name})"):
            self._make(
                self._plan.shared_keys[name],
                lambda place: method.make_shared(name, train, self, place),
            )

    def shared(
        self,
        key: Mapping[str, Any],
        make: Callable[[Path], Sequence[str]],
        title: str = "artefact",
    ) -> Path:
        """Return the folder of an artefact; make it, or wait for the process that does."""
        folder = shared_folder(self._plan.runs, key)
        if artefact_done(folder):
            remove_leftovers(folder)
            if folder not in self._made:
                self.log.line(f"  {title}: shared ({folder})")
            return folder
        lock, what = self._lock(folder), f"the artefact {title!r} ({folder.name})"
        try:
            with hold_lock(lock, what):
                return self._make(key, make)
        except BusyError as error:
            self.log.line(f"  {error.what}; waiting for it")
        with hold_lock(lock, what, wait=True):
            return self._make(key, make)

    def _lock(self, folder: Path) -> Path:
        return self._plan.runs / ".locks" / folder.name

    def _make(self, key: Mapping[str, Any], make: Callable[[Path], Sequence[str]]) -> Path:
        """Make an artefact unless another process has; the caller holds its lock."""
        folder = shared_folder(self._plan.runs, key)
        if artefact_done(folder):
            return folder
        remove_leftovers(folder)
        files = make(folder)
        record = StageRecord(
            id=sha256_of_json(key),
            identity=dict(key),
            files=tuple(files),
            provenance=provenance(self._machine.device, self._machine.command),
        )
        write_record(folder / "manifest.json", record)
        self._made.add(folder)
        return folder


def remove_leftovers(folder: StrPath) -> None:
    """Remove the temporary files of killed writes; the caller holds the folder's lock."""
    for leftover in Path(folder).glob(".*.tmp"):
        leftover.unlink(missing_ok=True)
