"""What a run predicted: scores of every class, for each test clip and modality.

The file is an ``.npz`` without pickle and with constant bytes: equal predictions, equal file. It is
written beside its final name and moved there, so a reader sees all of it or nothing.
"""

import io
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
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

_KINDS = ", ".join(get_args(ScoreKind))

FORMAT_VERSION = 1
"""Version of the file's layout with logits and probabilities."""
_OTHER_KINDS_VERSION = 2
"""With scores of another kind, and its name."""

# Softmax in float32 over a hundred classes is off by about 1e-6; a forgotten softmax by far more.
_SUM_TOLERANCE = 1e-4
_NUM_NAMED = 5
_CURE = "Delete the run's folder and repeat the run."
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
        self._check_shapes()
        self._check_values()

    @property
    def can_be_fused(self) -> bool:
        """Whether modalities may be averaged."""
        return self.probabilities_MNK is not None

    @property
    def num_classes(self) -> int:
        """K."""
        return int(self.scores_MNK.shape[2])

    def _check_shapes(self) -> None:
        num_clips, num_modalities = len(self.clip_ids), len(self.modalities)
        if num_clips == 0 or num_modalities == 0:
            raise PredictionError("Predictions of no clip or no modality.", _CURE)
        if len(set(self.modalities)) != num_modalities:
            raise PredictionError(f"Predictions name a modality twice: {self.modalities}.", _CURE)
        if self.kind not in get_args(ScoreKind):
            raise PredictionError(f"Scores are {self.kind!r}, not one of {_KINDS}.", _CURE)
        if (self.probabilities_MNK is None) != (self.kind == "margins"):
            raise PredictionError(f"Scores are {self.kind}: probabilities do not fit.", _CURE)
        if self.labels_N.shape != (num_clips,) or self.labels_N.dtype != np.int64:
            raise PredictionError(
                f"Labels are {self.labels_N.dtype} {self.labels_N.shape}, "
                f"not int64 ({num_clips},): one for each clip.",
                _CURE,
            )
        for name, scores in self._arrays():
            fits = scores.ndim == 3 and scores.shape[:2] == (num_modalities, num_clips)
            if not fits or scores.shape[2] == 0 or scores.dtype != np.float32:
                raise PredictionError(
                    f"{name} are {scores.dtype} {scores.shape}, "
                    f"not float32 ({num_modalities}, {num_clips}, number of classes).",
                    _CURE,
                )
        if len({scores.shape for _, scores in self._arrays()}) > 1:
            raise PredictionError(
                f"{self.kind.capitalize()} and probabilities differ in the number of classes.",
                _CURE,
            )

    def _arrays(self) -> list[tuple[str, NDArray[np.float32]]]:
        found = [(self.kind.capitalize(), self.scores_MNK)]
        if self.probabilities_MNK is not None:
            found.append(("Probabilities", self.probabilities_MNK))
        return found

    def _check_values(self) -> None:
        num_classes = self.num_classes
        outside = np.flatnonzero((self.labels_N < 0) | (self.labels_N >= num_classes))
        if outside.size:
            raise PredictionError(
                f"Clip {self.clip_ids[outside[0]]} has label {self.labels_N[outside[0]]}, "
                f"outside the {num_classes} classes.",
                _CURE,
            )
        arrays = [scores for _, scores in self._arrays()]
        finite_MN = np.logical_and.reduce([np.all(np.isfinite(x), axis=-1) for x in arrays])
        self._refuse_unless(finite_MN, "are not finite")
        if self.probabilities_MNK is None:
            return
        sums_MN = self.probabilities_MNK.sum(-1, dtype=np.float64)
        proper_MN = np.all(self.probabilities_MNK >= 0.0, axis=-1)
        proper_MN &= np.abs(sums_MN - 1.0) <= _SUM_TOLERANCE
        self._refuse_unless(proper_MN, "are no probabilities")

    def _refuse_unless(self, good_MN: NDArray[np.bool_], complaint: str) -> None:
        places = np.argwhere(~good_MN)
        if places.size:
            modality, clip = places[0]
            raise PredictionError(
                f"Scores of clip {self.clip_ids[clip]}, {self.modalities[modality]}, {complaint} "
                f"({len(places)} such rows).",
                _CURE,
            )


def write(path: StrPath, predictions: Predictions) -> None:
    """Write predictions so that a reader sees all of them or the file is absent.

    Args:
        path: the ``.npz`` file.
        predictions: what to write; equal predictions give equal bytes.

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
    """Return the predictions of a file.

    Args:
        path: an ``.npz`` file that :func:`write` made.

    Raises:
        PredictionError: missing, truncated, corrupt, incomplete or of another format version;
            repeat the run.
    """
    path = Path(path)
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as archive:
            version = int(archive["format_version"])
            names = _SCORES.get(version, ())
            arrays = {name: archive[name] for name in (*_ARRAYS, *names)}
    except FileNotFoundError:
        raise PredictionError(
            f"{path}: no such file.",
            "Correct the path; if the run has lost it, delete the run's folder and repeat the run.",
        ) from None
    except IsADirectoryError:
        raise PredictionError(
            f"{path} is a folder.", f"Name the file in it: {path / 'predictions.npz'}."
        ) from None
    except UNREADABLE_ARRAYS as fault:
        raise PredictionError(f"{path}: truncated or corrupt ({fault}).", _CURE) from fault
    if version not in _SCORES:
        raise PredictionError(
            f"{path} has format version {version}; this release reads "
            f"{' and '.join(map(str, _SCORES))}.",
            "Use the release that wrote them, or repeat the run.",
        )
    try:
        return Predictions(
            clip_ids=tuple(str(clip) for clip in arrays["clip_ids"].ravel()),
            labels_N=arrays["labels"],
            modalities=tuple(str(name) for name in arrays["modalities"].ravel()),
            **_read_scores(arrays),
        )
    except PredictionError as fault:
        raise PredictionError(f"{path}: {fault.what}", _CURE) from fault


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
    """Ensure that every expected clip is predicted exactly once and no other clip is.

    Args:
        predictions: what a run predicted; the order of its clips is free.
        expected_ids: clips of the fold's test side.

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
        raise PredictionError(f"Predictions do not fit the test clips: {'; '.join(faults)}.", _CURE)


def _count(kind: str, clips: Sequence[str]) -> str:
    named = ", ".join(clips[:_NUM_NAMED])
    return f"{len(clips)} {kind} ({named}{', ...' if len(clips) > _NUM_NAMED else ''})"


def fuse(predictions: Predictions, modalities: Sequence[str]) -> Probabilities:
    """Return the mean of the probabilities over modalities, the paper's fusion.

    Of one modality alone, its probabilities, or its margins where there are none.

    Args:
        predictions: what a run predicted.
        modalities: one or more of its modalities, none twice; the order does not matter.

    Returns:
        Probabilities, float64, (N, K).

    Raises:
        PredictionError: a modality that the run does not have, or one that is named twice; margins
            of several.
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
                f"Cannot fuse {list(modalities)}: margins have no mean.",
                "Test each modality alone.",
            )
        return predictions.scores_MNK[wanted[0]].astype(np.float64)
    return predictions.probabilities_MNK[wanted].mean(axis=0, dtype=np.float64)


def average(members: Sequence[Predictions], modality: str) -> Probabilities:
    """Return the mean of the probabilities over runs, by the rule of :func:`fuse`.

    Args:
        members: what some runs predicted, one or more; of the same clips, each in its own order.
        modality: one that every run has.

    Returns:
        Probabilities, float64, (N, K), in the order of the first run's clips.

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
                    _CURE,
                )
        aligned.append(fuse(member, [modality])[order_N])
    if len({scores_NK.shape for scores_NK in aligned}) > 1:
        raise PredictionError("The runs differ in the number of classes.", _CURE)
    return np.mean(aligned, axis=0, dtype=np.float64)


def accuracies(predictions: Predictions) -> dict[str, float]:
    """Return the accuracy of each modality, and 'fused' of all, in [0, 1].

    Args:
        predictions: what a run predicted; margins are not fused.
    """
    labels_N = predictions.labels_N
    found = {m: accuracy(fuse(predictions, [m]), labels_N) for m in predictions.modalities}
    if len(found) > 1 and predictions.can_be_fused:
        found["fused"] = accuracy(fuse(predictions, predictions.modalities), labels_N)
    return found
