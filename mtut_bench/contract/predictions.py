"""What a run predicted: scores of every class, for each test clip and modality.

The file is an ``.npz`` without pickle and with constant bytes: equal predictions, equal file.
"""

import io
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mtut_bench.contract.metrics import accuracy
from mtut_bench.errors import PredictionError
from mtut_bench.files import UNREADABLE_ARRAYS, StrPath, write_atomic

__all__ = [
    "FORMAT_VERSION",
    "Predictions",
    "Probabilities",
    "ScoreKind",
    "accuracies",
    "average",
    "check_complete",
    "fuse",
    "read",
    "write",
]

Probabilities = NDArray[np.float64]
"""Of each clip and class, (N, K)."""

ScoreKind = Literal["logits", "probabilities", "margins"]
"""'logits': a softmax makes them probabilities. 'probabilities': each row sums to 1. 'margins':
their order alone has a meaning (an SVM's); they are never averaged."""

FORMAT_VERSION = 1
"""Version of the file's layout with logits and probabilities."""
_OTHER_KINDS_VERSION = 2
"""With scores of another kind, and its name."""

# Softmax in float32 over a hundred classes is off by about 1e-6; a forgotten softmax by far more.
_SUM_TOLERANCE = 1e-4
_NUM_NAMED = 5
_HINT = "Delete the run's folder and repeat the run."
_ARRAYS = ("clip_ids", "labels", "modalities")
_SCORES = {
    FORMAT_VERSION: ("logits", "probabilities"),
    _OTHER_KINDS_VERSION: ("kind", "scores"),
}
"""Further arrays of a file, by its version."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """Scores of one run on its test clips; axes M modality, N clip, K class.

    Attributes:
        clip_ids: id of each clip, (N,).
        labels_N: true class of each clip, int64, (N,), 0 <= label < K.
        modalities: input of each network, (M,), none twice.
        scores_MNK: of the whole clip, float32, (M, N, K), finite.
        probabilities_MNK: float32, (M, N, K), each row sums to 1: softmax of the logits, or the
            scores themselves; None of margins.
        kind: what the scores are.

    Raises:
        PredictionError: on construction, where one of the above does not hold.
    """

    clip_ids: tuple[str, ...]
    labels_N: NDArray[np.int64]
    modalities: tuple[str, ...]
    scores_MNK: NDArray[np.float32]
    probabilities_MNK: NDArray[np.float32] | None
    kind: ScoreKind = "logits"

    def __post_init__(self) -> None:
        if fault := next(self._faults(), ""):
            raise PredictionError(fault, _HINT)

    @property
    def can_be_fused(self) -> bool:
        """Whether modalities may be averaged."""
        return self.probabilities_MNK is not None

    @property
    def num_classes(self) -> int:
        """K."""
        return int(self.scores_MNK.shape[2])

    def _faults(self) -> Iterator[str]:
        """Yield what is wrong; what follows a fault may rely on its absence."""
        shape_MN = (len(self.modalities), len(self.clip_ids))
        labels_N, probabilities_MNK = self.labels_N, self.probabilities_MNK
        if 0 in shape_MN:
            yield "Predictions without clips or modalities."
        if len(set(self.modalities)) != len(self.modalities):
            yield f"Predictions name a modality twice: {self.modalities}."
        are_there = probabilities_MNK is not None
        if self.kind not in get_args(ScoreKind) or are_there == (self.kind == "margins"):
            yield f"Scores are {self.kind!r}, {'with' if are_there else 'without'} probabilities."
        if labels_N.shape != shape_MN[1:] or labels_N.dtype != np.int64:
            yield f"Labels are {labels_N.dtype} {labels_N.shape}, not int64 {shape_MN[1:]}."
        arrays = {self.kind.capitalize(): self.scores_MNK}
        if probabilities_MNK is not None:
            arrays["Probabilities"] = probabilities_MNK
        num_classes = (self.scores_MNK.shape or (0,))[-1]
        shape_MNK = (*shape_MN, max(1, num_classes))
        for name, array in arrays.items():
            if array.shape != shape_MNK or array.dtype != np.float32:
                yield f"{name} are {array.dtype} {array.shape}, not float32 {shape_MNK}."
        for clip, label in zip(self.clip_ids, labels_N, strict=True):
            if not 0 <= label < num_classes:
                yield f"Clip {clip} has label {label}, outside the {num_classes} classes."
        complaint = "are not finite"
        bad_MN = ~np.logical_and.reduce([np.isfinite(x).all(axis=-1) for x in arrays.values()])
        if probabilities_MNK is not None and not bad_MN.any():
            complaint = "are not probabilities"
            sums_MN = probabilities_MNK.sum(-1, dtype=np.float64)
            bad_MN = (probabilities_MNK < 0.0).any(-1) | (np.abs(sums_MN - 1.0) > _SUM_TOLERANCE)
        for modality, clip in np.argwhere(bad_MN):
            yield (
                f"Scores of clip {self.clip_ids[clip]}, {self.modalities[modality]}, {complaint} "
                f"({np.count_nonzero(bad_MN)} such rows)."
            )


def write(path: StrPath, predictions: Predictions) -> None:
    """Write an ``.npz`` file in one step; equal predictions give equal bytes.

    Raises:
        MtutBenchError: the file cannot be written; nothing is left behind.
    """
    plain = predictions.kind == "logits"
    arrays: dict[str, NDArray[np.generic]] = {
        "format_version": np.array(FORMAT_VERSION if plain else _OTHER_KINDS_VERSION, np.int64),
        "clip_ids": np.array(predictions.clip_ids, dtype=np.str_),
        "labels": predictions.labels_N,
        "modalities": np.array(predictions.modalities, dtype=np.str_),
    }
    if plain and predictions.probabilities_MNK is not None:
        arrays["logits"] = np.ascontiguousarray(predictions.scores_MNK)
        arrays["probabilities"] = np.ascontiguousarray(predictions.probabilities_MNK)
    else:
        arrays["kind"] = np.array(predictions.kind, dtype=np.str_)
        arrays["scores"] = np.ascontiguousarray(predictions.scores_MNK)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, array, allow_pickle=False)
            # A ZipInfo made by hand has a constant date; numpy leaves that to its release.
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), content.getvalue())
    write_atomic(path, buffer.getvalue())


def read(path: StrPath) -> Predictions:
    """Return the predictions of an ``.npz`` file that :func:`write` made.

    Raises:
        PredictionError: missing, truncated, corrupt, incomplete or of another format version.
    """
    path = Path(path)
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as archive:
            version = int(archive["format_version"])
            names = _SCORES.get(version, ())
            arrays = {name: archive[name] for name in (*_ARRAYS, *names)}
    except FileNotFoundError:
        raise PredictionError(
            f"{path} does not exist.",
            f"Correct the path. If it was deleted: {_HINT}",
        ) from None
    except IsADirectoryError:
        raise PredictionError(
            f"{path} is a folder.", f"Name the file: {path / 'predictions.npz'}."
        ) from None
    except UNREADABLE_ARRAYS as fault:
        raise PredictionError(f"{path}: truncated or corrupt ({fault}).", _HINT) from fault
    if version not in _SCORES:
        raise PredictionError(
            f"{path} has format version {version}; this release reads "
            f"{' and '.join(map(str, _SCORES))}.",
            "Use the release that wrote it, or repeat the run.",
        )
    try:
        return Predictions(
            clip_ids=tuple(str(clip) for clip in arrays["clip_ids"].ravel()),
            labels_N=arrays["labels"],
            modalities=tuple(str(name) for name in arrays["modalities"].ravel()),
            **_read_scores(arrays),
        )
    except PredictionError as fault:
        raise PredictionError(f"{path}: {fault.what}", _HINT) from fault


def _read_scores(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    if "logits" in arrays:
        return {"scores_MNK": arrays["logits"], "probabilities_MNK": arrays["probabilities"]}
    scores_MNK, kind = arrays["scores"], str(arrays["kind"])
    return {
        "scores_MNK": scores_MNK,
        "probabilities_MNK": scores_MNK if kind == "probabilities" else None,
        "kind": kind,
    }


def check_complete(predictions: Predictions, expected_ids: Iterable[str]) -> None:
    """Ensure that every expected clip is predicted exactly once, in any order, and no other is.

    Raises:
        PredictionError: names the first missing, doubled and foreign clips and their numbers.
    """
    expected = set(expected_ids)
    counts = Counter(predictions.clip_ids)
    faults = [
        _count(kind, clips)
        for kind, clips in (
            ("missing", sorted(expected - counts.keys())),
            ("doubled", sorted(clip for clip, count in counts.items() if count > 1)),
            ("not of this fold", sorted(counts.keys() - expected)),
        )
        if clips
    ]
    if faults:
        raise PredictionError(f"Predictions do not fit the test clips: {'; '.join(faults)}.", _HINT)


def _count(kind: str, clips: Sequence[str]) -> str:
    named = ", ".join(clips[:_NUM_NAMED])
    return f"{len(clips)} {kind} ({named}{', ...' if len(clips) > _NUM_NAMED else ''})"


def fuse(predictions: Predictions, modalities: Sequence[str]) -> Probabilities:
    """Return the mean of the probabilities over modalities (the paper's fusion), float64 (N, K).

    Args:
        predictions: of one run.
        modalities: one or more of its modalities, in any order. Of a single one, its margins are
            returned where it has no probabilities.

    Raises:
        PredictionError: an unknown modality, one named twice, or margins of several.
    """
    unknown = [name for name in modalities if name not in predictions.modalities]
    if unknown or not modalities or len(set(modalities)) != len(modalities):
        raise PredictionError(
            f"Cannot fuse {list(modalities)}: the run has {list(predictions.modalities)}.",
            "Name one or more of the run's modalities, each once.",
        )
    wanted = [index for index, name in enumerate(predictions.modalities) if name in modalities]
    if predictions.probabilities_MNK is None:
        if len(wanted) > 1:
            raise PredictionError(
                f"Cannot fuse {list(modalities)}: margins cannot be averaged.",
                "Test each modality alone.",
            )
        return predictions.scores_MNK[wanted[0]].astype(np.float64)
    return predictions.probabilities_MNK[wanted].mean(axis=0, dtype=np.float64)


def average(members: Sequence[Predictions], modality: str) -> Probabilities:
    """Return the mean over runs of :func:`fuse`, float64 (N, K), in the first run's clip order.

    Args:
        members: predictions of one or more runs on the same clips, each in any order.
        modality: one that every run has.

    Raises:
        PredictionError: a run without the modality, or of other clips, labels or classes.
    """
    first = members[0]
    labels = dict(zip(first.clip_ids, first.labels_N.tolist(), strict=True))
    aligned = []
    for member in members:
        check_complete(member, first.clip_ids)
        place = {clip: index for index, clip in enumerate(member.clip_ids)}
        order_N = [place[clip] for clip in first.clip_ids]
        for clip, label in zip(first.clip_ids, member.labels_N[order_N].tolist(), strict=True):
            if label != labels[clip]:
                raise PredictionError(
                    f"Clip {clip!r} has label {labels[clip]} in one run and {label} in another.",
                    _HINT,
                )
        aligned.append(fuse(member, [modality])[order_N])
    if len({scores_NK.shape for scores_NK in aligned}) > 1:
        raise PredictionError("The runs differ in the number of classes.", _HINT)
    return np.mean(aligned, axis=0, dtype=np.float64)


def accuracies(predictions: Predictions) -> dict[str, float]:
    """Return the accuracy of each modality, and 'fused' of all but margins, in [0, 1]."""
    labels_N = predictions.labels_N
    found = {m: accuracy(fuse(predictions, [m]), labels_N) for m in predictions.modalities}
    if len(found) > 1 and predictions.can_be_fused:
        found["fused"] = accuracy(fuse(predictions, predictions.modalities), labels_N)
    return found
