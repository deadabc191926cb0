"""The referee: stores, folds, protocols, training, evaluation and reports.

Importing it imports no torch. Nothing here knows a dataset or a method by name; adapters and
players come in through :mod:`mtut_bench.cli`, the composition root.
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
