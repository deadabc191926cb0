"""Faults that a user can mend: what is wrong, where, and what to do about it.

The command line prints the message alone and exits with :attr:`MtutBenchError.exit_code`; anything
else that escapes is a defect of ours and keeps its traceback.

A command that a hint suggests stands between backticks and can be typed as it is printed; the
command line adds the folders that the user gave (``--data``, ``--runs``).
"""

import difflib
from collections.abc import Iterable

__all__ = [
    "BusyError",
    "ClipError",
    "ComparisonError",
    "DatasetError",
    "ExportError",
    "FoldError",
    "InterruptedRunError",
    "MtutBenchError",
    "PrecisionError",
    "PredictionError",
    "ReportError",
    "RunError",
    "StoreError",
    "TrainingDivergedError",
    "UsageError",
    "did_you_mean",
]


class MtutBenchError(Exception):
    """Base of every fault a user can mend.

    Args:
        what: one sentence that names the value or file at fault.
        hint: one sentence that says what to do; printed on a line of its own.
    """

    exit_code = 1

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.what}\n{self.hint}" if self.hint else self.what

    def __reduce__(self) -> tuple[type["MtutBenchError"], tuple[str, str]]:
        # Errors cross process borders; the default would lose the second argument.
        return type(self), (self.what, self.hint)


class UsageError(MtutBenchError):
    """An option, a name or a combination of them that does not exist or fit."""

    exit_code = 2


class DatasetError(MtutBenchError):
    """A raw dataset folder, list or table that is missing or malformed."""


class ClipError(MtutBenchError):
    """One recording that cannot be read: missing, damaged, or shorter than its window."""


class StoreError(MtutBenchError):
    """A prepared store that is missing, truncated, changed or of a newer format."""


class FoldError(MtutBenchError):
    """A division into folds that would put a person or a clip on two sides, or does not exist."""


class RunError(MtutBenchError):
    """A run that cannot start or be read: missing parts, a half-written or foreign folder."""


class PrecisionError(RunError):
    """A device that computes something else in a precision than in fp32."""


class ExportError(MtutBenchError):
    """A network that cannot be exported, or whose exported form computes something else."""


class PredictionError(MtutBenchError):
    """Predictions that are incomplete, doubled or do not belong to the clips they are scored on."""


class ReportError(MtutBenchError):
    """Rows of a report that are damaged, or tables that are not what its rows give."""


class ComparisonError(MtutBenchError):
    """Two sets of predictions that were not made under the same conditions, or are not there."""


class TrainingDivergedError(MtutBenchError):
    """A loss that is no longer finite; names step, modality and every term."""


class BusyError(MtutBenchError):
    """Another process holds the lock of the store or run."""


class InterruptedRunError(MtutBenchError):
    """Ctrl-C or a termination signal; what was finished is on disk and the next call resumes."""

    exit_code = 130


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a question that begins the hint for an unknown name, or "" where none is near.

    Args:
        name: what the user typed.
        known: the names that there are; small and capital letters are alike.

    Returns:
        Up to two names, the nearest first: ``"Did you mean mtut? "``, with a space behind it.
    """
    spelt = {one.casefold(): one for one in known}
    near = difflib.get_close_matches(name.casefold(), spelt, n=2)
    return f"Did you mean {' or '.join(spelt[one] for one in near)}? " if near else ""
