"""What was asked for: small, serialisable, enough to plan and do a run in any process."""

import shlex
from pathlib import Path

import msgspec

__all__ = ["RunSpec"]


class RunSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One method on one store, as typed.

    Attributes:
        method: its name, or 'path/to/file.py:function' of a user's own.
        store: path of the store.
        protocol: its name.
        dataset: that the store must hold; "" for any.
        fold: name of a fold, or several joined by commas, or 'all'; of a planned run one.
        fold_unit: who is left out, 'person' or 'user'; 'user' is a marked variant.
        modalities: to learn; empty for all of the store's.
        seed: of every draw.
        settings: ``name=value`` texts that change settings of the protocol or the method.
        precision: 'fp32' or 'bf16'; ignored by methods that only compute in fp32.
        runs: root folder of runs.
        weights: folder of pretrained weights.
    """

    method: str
    store: str
    protocol: str
    dataset: str = ""
    fold: str = "all"
    fold_unit: str = "person"
    modalities: tuple[str, ...] = ()
    seed: int = 0
    settings: tuple[str, ...] = ()
    precision: str = "fp32"
    runs: str = "runs"
    weights: str = "weights"

    def command(self) -> str:
        """Return the command that does it, without folders that are the defaults."""
        store = Path(self.store)
        words = ["--method", self.method, "--store", store.stem, "--protocol", self.protocol]
        words += ["--fold", self.fold, "--seed", str(self.seed)]
        words += ["--modalities", ",".join(self.modalities)] if self.modalities else []
        words += ["--precision", self.precision]
        words += ["--fold-unit", self.fold_unit] if self.fold_unit != "person" else []
        for text in self.settings:
            words += ["--set", text]
        data = store.parent.parent
        words += ["--data", str(data)] if str(data) != "data" else []
        return shlex.join(["mtut-bench", "run", *words])
