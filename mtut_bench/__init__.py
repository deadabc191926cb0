"""The core: stores, folds, protocols, training, test, statistics and reports.

Nothing here knows a dataset or a method by name; adapters and methods come in through
:mod:`mtut_bench.cli`. Public names are imported at first use: the package itself imports no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mtut_bench.contract import metrics, predictions
    from mtut_bench.contract.folds import make_folds
    from mtut_bench.contract.method import Clips, Job, LabelledClips, Method, Model, Scores
    from mtut_bench.contract.networks import NetworkOutput, NetworkSpec, Objective, ObjectiveOutput
    from mtut_bench.contract.protocol import PROTOCOLS, Protocol
    from mtut_bench.contract.recipe import Recipe
    from mtut_bench.errors import MtutBenchError
    from mtut_bench.inference.export import export_networks
    from mtut_bench.loading.torch_dataset import StoreDataset
    from mtut_bench.report import write_report
    from mtut_bench.runs.trained import find_run, open_run
    from mtut_bench.store.reader import StoreReader
    from mtut_bench.training.two_stage import TwoStageMethod

__version__ = "0.1.0"

__all__ = [
    "PROTOCOLS",
    "Clips",
    "Job",
    "LabelledClips",
    "Method",
    "Model",
    "MtutBenchError",
    "NetworkOutput",
    "NetworkSpec",
    "Objective",
    "ObjectiveOutput",
    "Protocol",
    "Recipe",
    "Scores",
    "StoreDataset",
    "StoreReader",
    "TwoStageMethod",
    "__version__",
    "export_networks",
    "find_run",
    "make_folds",
    "metrics",
    "open_run",
    "predictions",
    "write_report",
]

_HOMES = {
    "contract": ("metrics", "predictions"),
    "contract.folds": ("make_folds",),
    "contract.method": ("Clips", "Job", "LabelledClips", "Method", "Model", "Scores"),
    "contract.networks": ("NetworkOutput", "NetworkSpec", "Objective", "ObjectiveOutput"),
    "contract.protocol": ("PROTOCOLS", "Protocol"),
    "contract.recipe": ("Recipe",),
    "errors": ("MtutBenchError",),
    "inference.export": ("export_networks",),
    "loading.torch_dataset": ("StoreDataset",),
    "report": ("write_report",),
    "runs.trained": ("find_run", "open_run"),
    "store.reader": ("StoreReader",),
    "training.two_stage": ("TwoStageMethod",),
}


def __getattr__(name: str) -> object:
    """Import a public name from where it is defined (PEP 562)."""
    for home, names in _HOMES.items():
        if name in names:
            if home == "contract":
                return import_module(f"{__name__}.{home}.{name}")
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
