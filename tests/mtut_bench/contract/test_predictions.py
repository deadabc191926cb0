import dataclasses
import re
import zipfile

import numpy as np
import pytest

from mtut_bench.contract import predictions
from mtut_bench.contract.predictions import Predictions
from mtut_bench.errors import PredictionError


def make(num_clips=4, num_classes=3, modalities=("rgb", "depth"), seed=0):
    rng = np.random.default_rng(seed)
    shape = (len(modalities), num_clips, num_classes)
    logits = rng.normal(size=shape).astype(np.float32)
    exp = np.exp(logits)
    return Predictions(
        clip_ids=tuple(f"clip-{n}" for n in range(num_clips)),
        labels_N=np.arange(num_clips, dtype=np.int64) % num_classes,
        modalities=tuple(modalities),
        scores_MNK=logits,
        probabilities_MNK=exp / exp.sum(-1, keepdims=True),
    )


def test_what_is_written_is_read(tmp_path):
    path, written = tmp_path / "p.npz", make()
    predictions.write(path, written)
    found = predictions.read(path)
    assert found.clip_ids == written.clip_ids
    assert found.modalities == written.modalities
    for name in ("labels_N", "scores_MNK", "probabilities_MNK"):
        np.testing.assert_array_equal(getattr(found, name), getattr(written, name), strict=True)
    assert [file.name for file in tmp_path.iterdir()] == ["p.npz"]


def test_equal_predictions_give_equal_bytes(tmp_path):
    for name in "ab":
        predictions.write(tmp_path / name, make())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("share", [0.0, 0.6, 0.999])
def test_a_truncated_file_is_named_with_its_hint(tmp_path, share):
    path = tmp_path / "p.npz"
    predictions.write(path, make())
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(PredictionError, match=r"p\.npz") as fault:
        predictions.read(path)
    assert "repeat the run" in fault.value.hint


def test_no_changed_byte_passes_as_other_numbers(tmp_path):
    path, written = tmp_path / "p.npz", make()
    predictions.write(path, written)
    data = path.read_bytes()
    rng = np.random.default_rng(1)
    for place in rng.choice(len(data), 300, replace=False):
        changed = bytearray(data)
        changed[place] ^= 0xFF
        path.write_bytes(changed)
        try:
            found = predictions.read(path)
        except PredictionError:
            continue
        np.testing.assert_array_equal(found.probabilities_MNK, written.probabilities_MNK)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(PredictionError, match=r"absent\.npz"):
        predictions.read(tmp_path / "absent.npz")


def test_an_array_that_is_missing_is_named(tmp_path):
    path = tmp_path / "p.npz"
    predictions.write(path, make())
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "q.npz", "w") as new:
        for name in old.namelist():
            if name != "logits.npy":
                new.writestr(name, old.read(name))
    with pytest.raises(PredictionError, match="logits"):
        predictions.read(tmp_path / "q.npz")


def test_pickles_are_not_opened(tmp_path):
    path = tmp_path / "p.npz"
    np.savez(path, format_version=1, clip_ids=np.array([{}], dtype=object))
    with pytest.raises(PredictionError, match=r"p\.npz"):
        predictions.read(path)


def test_another_format_version_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(predictions, "FORMAT_VERSION", 3)
    predictions.write(tmp_path / "p.npz", make())
    monkeypatch.undo()
    with pytest.raises(PredictionError, match="format version 3"):
        predictions.read(tmp_path / "p.npz")


def other(kind):
    """Return the predictions of a method that gives no logits."""
    found = make()
    if kind == "probabilities":
        scores = found.probabilities_MNK
        return dataclasses.replace(found, scores_MNK=scores, kind=kind)
    return dataclasses.replace(found, probabilities_MNK=None, kind=kind)


@pytest.mark.parametrize("kind", ["probabilities", "margins"])
def test_scores_of_other_kinds_are_read_as_written(tmp_path, kind):
    written = other(kind)
    predictions.write(tmp_path / "p.npz", written)
    found = predictions.read(tmp_path / "p.npz")
    assert found.kind == kind
    np.testing.assert_array_equal(found.scores_MNK, written.scores_MNK)
    if kind == "margins":
        assert found.probabilities_MNK is None
    else:
        np.testing.assert_array_equal(found.probabilities_MNK, written.scores_MNK)


def test_margins_are_never_averaged():
    found = other("margins")
    assert not found.can_be_fused
    alone = predictions.fuse(found, ["depth"])
    np.testing.assert_array_equal(alone, found.scores_MNK[1].astype(np.float64))
    with pytest.raises(PredictionError, match=r"depth.*margins"):
        predictions.fuse(found, found.modalities)
    assert predictions.accuracies(found).keys() == {"rgb", "depth"}
    assert predictions.accuracies(make()).keys() == {"rgb", "depth", "fused"}


@pytest.mark.parametrize("kind", ["margins", "odds"])
def test_probabilities_belong_to_their_kinds(kind):
    with pytest.raises(PredictionError, match=f"'{kind}'"):
        dataclasses.replace(make(), kind=kind)


def test_faults_name_missing_doubled_and_foreign_clips():
    found = dataclasses.replace(make(), clip_ids=("a", "a", "b", "x"))
    expected = ["a", "b", *(f"c{n}" for n in range(7))]
    with pytest.raises(PredictionError) as fault:
        predictions.check_complete(found, expected)
    assert "7 missing (c0, c1, c2, c3, c4, ...)" in fault.value.what
    assert "1 doubled (a)" in fault.value.what
    assert "1 not of this fold (x)" in fault.value.what


def test_the_order_of_clips_is_free():
    found = make()
    predictions.check_complete(found, reversed(found.clip_ids))


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("clip_ids", (), "without clips"),
        ("clip_ids", ("a", "b"), "Labels"),
        ("modalities", ("rgb", "rgb"), "twice"),
        ("modalities", ("rgb",), "Logits"),
        ("labels_N", np.zeros(4, np.int32), "int32"),
        ("labels_N", np.array([0, 1, 3, 0]), "clip-2 has label 3"),
        ("labels_N", np.array([0, -1, 2, 0]), "clip-1 has label -1"),
        ("scores_MNK", np.zeros((2, 4, 3)), "float64"),
        ("scores_MNK", np.zeros((2, 4, 5), np.float32), r"Probabilities .*\(2, 4, 5\)"),
        ("scores_MNK", np.zeros((2, 4), np.float32), r"Logits are float32 \(2, 4\)"),
        ("scores_MNK", np.full((2, 4, 3), np.nan, np.float32), "not finite"),
        ("probabilities_MNK", np.full((2, 4, 3), 0.5, np.float32), "not probabilities"),
        ("probabilities_MNK", np.full((2, 4, 3), [2, -1, 0], np.float32), "not probabilities"),
    ],
)
def test_malformed_predictions_cannot_be_made(field, value, words):
    with pytest.raises(PredictionError, match=words):
        dataclasses.replace(make(), **{field: value})


def test_fusion_is_the_mean_of_probabilities():
    found = make(modalities=("rgb", "depth", "flow"))
    expected = (found.probabilities_MNK[0].astype(float) + found.probabilities_MNK[2]) / 2
    np.testing.assert_allclose(predictions.fuse(found, ("flow", "rgb")), expected, rtol=1e-12)
    np.testing.assert_array_equal(
        predictions.fuse(found, ("flow", "rgb")), predictions.fuse(found, ("rgb", "flow"))
    )


@pytest.mark.parametrize("names", [(), ("rgb", "rgb"), ("rgb", "infrared")])
def test_fusion_wants_known_modalities_once(names):
    with pytest.raises(PredictionError, match=re.escape(repr(list(names)))):
        predictions.fuse(make(), names)
