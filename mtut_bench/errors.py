"""Errors that a user can fix: what is wrong, where, and a hint.

The command line prints the message alone and exits with :attr:`MtutBenchError.exit_code`; any other
exception is a bug and keeps its traceback. Commands in a hint stand between backticks; the command
line adds the folders that the user gave (``--data``, ``--runs``).
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
    """An error that a user can fix.

    Args:
        what: one sentence that names the value or file at fault.
        hint: one sentence that says what to do; printed on the next line.
    """

    exit_code = 1

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.what}\n{self.hint}" if self.hint else self.what

    def __reduce__(self) -> tuple[type["MtutBenchError"], tuple[str, str]]:
        # Errors are pickled between processes; the default would lose the hint.
        return type(self), (self.what, self.hint)


class UsageError(MtutBenchError):
    """An unknown option or name, or a combination that does not fit."""

    exit_code = 2


class DatasetError(MtutBenchError):
    """A raw dataset folder, list or table that is missing or malformed."""


class ClipError(MtutBenchError):
    """One recording that cannot be read: missing, damaged, or shorter than its window."""


class StoreError(MtutBenchError):
    """A prepared store that is missing, truncated, changed or of a newer format."""


class FoldError(MtutBenchError):
    """Folds that do not exist, or would put a person or a clip on two sides."""


class RunError(MtutBenchError):
    """A run that cannot start or be read."""


class PrecisionError(RunError):
    """A device whose results in a precision differ from those in fp32."""


class ExportError(MtutBenchError):
    """A network that cannot be exported, or whose exported form gives other results."""


class PredictionError(MtutBenchError):
    """Predictions that are malformed or not of the clips they are scored on."""


class ReportError(MtutBenchError):
    """Rows of a report that are damaged, or tables that differ from its rows."""


class ComparisonError(MtutBenchError):
    """Predictions that are missing or not made under the same conditions."""


class TrainingDivergedError(MtutBenchError):
    """A loss that is not finite; names step, modality and every term."""


class BusyError(MtutBenchError):
    """Another process holds the lock of the store or run."""


class InterruptedRunError(MtutBenchError):
    """Ctrl-C or a termination signal; the next call resumes from what is on disk."""

    exit_code = 130


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``"Did you mean mtut or i3d? "``, of the one or two known names nearest, or "".

    The case of letters does not matter.
    """
    spelt = {one.casefold(): one for one in known}
    near = difflib.get_close_matches(name.casefold(), spelt, n=2)
    return f"Did you mean {' or '.join(spelt[one] for one in near)}? " if near else ""
