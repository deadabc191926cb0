"""The core: stores, folds, protocols, training, test, statistics and reports.

Nothing here knows a dataset or a method by name; adapters and methods come in through
:mod:`mtut_bench.cli`. The public names below are imported when they are first used: importing the
package imports no torch.
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
    "MtutBenchError": "errors",
    "make_folds": "contract.folds",
    "Clips": "contract.method",
    "Job": "contract.method",
    "LabelledClips": "contract.method",
    "Method": "contract.method",
    "Model": "contract.method",
    "Scores": "contract.method",
    "NetworkOutput": "contract.networks",
    "NetworkSpec": "contract.networks",
    "Objective": "contract.networks",
    "ObjectiveOutput": "contract.networks",
    "Recipe": "contract.recipe",
    "TwoStageMethod": "training.two_stage",
    "PROTOCOLS": "contract.protocol",
    "Protocol": "contract.protocol",
    "StoreReader": "store.reader",
    "StoreDataset": "loading.torch_dataset",
    "find_run": "runs.trained",
    "open_run": "runs.trained",
    "write_report": "report",
    "export_networks": "inference.export",
}
_MODULES = {"metrics": "contract.metrics", "predictions": "contract.predictions"}


def __getattr__(name: str) -> object:
    """Import a public name from where it lives (PEP 562)."""
    if name in _MODULES:
        return import_module(f"{__name__}.{_MODULES[name]}")
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
