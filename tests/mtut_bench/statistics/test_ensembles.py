"""Two seeds averaged: against plain sums, which seeds are pairs, and where their lines stand."""

import hashlib
import json
from dataclasses import replace
from itertools import permutations
from math import sqrt

import numpy as np
import pytest
from report_bench import I3D, MTUT, add_folds, add_run, edit, measured, own, read_csv, report

from mtut_bench.contract import predictions
from mtut_bench.errors import PredictionError, RunError
from mtut_bench.report.bundle.folder import check_report
from mtut_bench.report.bundle.row_files import read_rows, sort_rows
from mtut_bench.runs.finished import find_runs
from mtut_bench.statistics.cells import not_mixed
from mtut_bench.statistics.ensembles import ensemble_rows, is_ensemble
from mtut_bench.statistics.rows import result_rows

Z2 = 3.841458820694124
NUM_CLIPS, NUM_CLASSES = 60, 5
# What an ensemble shares with its members: all else is its own.
SHARED = ("store", "store_digest", "dataset", "origin", "complete", "num_clips", "num_classes")
SHARED += ("protocol", "tables", "overrides", "settings", "modalities", "fold", "num_folds")
SHARED += ("precision", "weights_digest", "padded_clips", "metric", "tested_on", "device", "total")


def add_random(runs, seed, modalities=("rgb", "depth"), **changes):
    """A run of I3D whose scores are drawn, its clips in an order of its own, of three persons."""
    folder = add_run(
        runs, method=I3D, seed=seed, modalities=modalities, num_test_clips=NUM_CLIPS, **changes
    )
    rng = np.random.default_rng(seed)
    # Labels win a little, so that accuracies are neither 0 nor 1.
    labels = np.arange(NUM_CLIPS, dtype=np.int64) % NUM_CLASSES
    logits = rng.normal(size=(len(modalities), NUM_CLIPS, NUM_CLASSES))
    logits[:, np.arange(NUM_CLIPS), labels] += 1.0
    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    order = rng.permutation(NUM_CLIPS)
    found = predictions.Predictions(
        tuple(f"fold{changes.get('fold', '1')}-{n}" for n in order),
        labels[order],
        tuple(modalities),
        logits[:, order].astype(np.float32),
        shares[:, order].astype(np.float32),
    )
    predictions.write(folder / "predictions.npz", found)
    edit(folder, test_subjects=[f"person {n % 3}" for n in range(NUM_CLIPS)])
    return folder, found


def rows_of(runs):
    found = find_runs(runs).runs
    return ensemble_rows(found, result_rows(found))


def places(rows):
    return [(row["fold"], row["seed"], row["tested_on"]) for row in sort_rows(rows)]


def means(found, modality):
    """Mean probabilities and label of each clip by its id, summed one by one in float64."""
    sums, labels = {}, {}
    for scores in found:
        part = scores.probabilities_MNK[scores.modalities.index(modality)]
        for clip, label, row in zip(scores.clip_ids, scores.labels_N, part, strict=True):
            before = sums.get(clip, [0.0] * NUM_CLASSES)
            sums[clip] = [a + float(b) / len(found) for a, b in zip(before, row, strict=True)]
            labels[clip] = int(label)
    return sums, labels


@pytest.mark.parametrize("modality", ["rgb", "depth"])
def test_numbers_are_those_of_plain_sums(tmp_path, modality):
    (first, scores_0), (second, scores_1) = (add_random(tmp_path, seed) for seed in (0, 1))
    sums, labels = means([scores_0, scores_1], modality)
    right = {clip: max(range(5), key=row.__getitem__) == labels[clip] for clip, row in sums.items()}
    (row,) = (row for row in rows_of(tmp_path) if row["tested_on"] == modality)
    total, correct = len(right), sum(right.values())
    assert (row["correct"], row["total"], row["value"]) == (correct, total, correct / total)
    share = correct / total
    centre = (share + Z2 / (2 * total)) / (1 + Z2 / total)
    half = sqrt(Z2 * (share * (1 - share) / total + Z2 / (4 * total**2))) / (1 + Z2 / total)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((centre - half, centre + half))
    by_class = [[right[c] for c in right if labels[c] == k] for k in range(NUM_CLASSES)]
    assert row["macro"] == pytest.approx(sum(sum(one) / len(one) for one in by_class) / 5)
    persons = {f"person {n}": [c for c in right if int(c[6:]) % 3 == n] for n in range(3)}
    assert json.loads(row["per_subject"]) == {
        person: [sum(right[clip] for clip in clips), len(clips)]
        for person, clips in persons.items()
    }
    # No member alone, and not their mean accuracy: the scores are averaged, not who is right.
    alone = [r for r in result_rows(find_runs(tmp_path).runs) if r["tested_on"] == modality]
    assert correct not in {one["correct"] for one in alone}
    assert correct != sum(one["correct"] for one in alone) / 2
    text = f'["{first.name}","{second.name}"]'
    assert row["run"] == hashlib.sha256(text.encode()).hexdigest()[:12]
    assert (row["method"], row["title"], row["printed_as"]) == ("i3d x2", *["I3D, two seeds"] * 2)
    assert [dict(row)[name] for name in SHARED] == [dict(alone[0])[name] for name in SHARED]


def test_one_sure_network_outweighs_one_that_doubts(tmp_path):
    found = []
    for seed, sure in enumerate(([0.9, 0.1], [0.4, 0.6])):
        stack = np.array([[sure]], dtype=np.float32)
        labels = np.zeros(1, dtype=np.int64)
        found.append(predictions.Predictions(("c",), labels, ("rgb",), np.log(stack), stack))
        add_run(tmp_path, method=I3D, seed=seed, modalities=("rgb",), num_test_clips=1)
    averaged = predictions.average(found, "rgb")
    # Float32 holds 0.9 and 0.4 to 6e-8.
    np.testing.assert_allclose(averaged, [[0.65, 0.35]], atol=1e-7)
    assert averaged.dtype == np.float64


def test_the_order_of_runs_does_not_matter(tmp_path):
    for seed in (0, 1, 2, 3):
        add_random(tmp_path, seed)
    runs = find_runs(tmp_path).runs
    rows = [ensemble_rows(some, result_rows(some)) for some in permutations(runs)]
    assert len(rows[0]) == 4
    assert all(some == rows[0] for some in rows)


@pytest.mark.parametrize(
    ("seeds", "pairs"), [((0,), []), ((1, 2), []), ((0, 1, 2), [0]), ((0, 1, 2, 3, 5), [0, 1])]
)
def test_a_pair_is_fixed_by_its_numbers_and_shares_no_run(tmp_path, seeds, pairs):
    for seed in seeds:
        add_random(tmp_path, seed, modalities=("rgb",))
    assert [row["seed"] for row in rows_of(tmp_path)] == pairs


def test_a_pair_is_of_the_same_seeds_in_every_fold(tmp_path):
    for fold, seeds in {"1": (0, 1), "2": (1, 2, 3), "3": (0, 1, 2, 3), "4": (1, 2)}.items():
        for seed in seeds:
            add_random(tmp_path / "runs", seed, modalities=("rgb",), fold=fold, origin="synthetic")
    found = [("1", 0, "rgb"), ("3", 0, "rgb"), ("2", 1, "rgb"), ("3", 1, "rgb")]
    assert places(rows_of(tmp_path / "runs")) == found
    (table,) = own(report(tmp_path))
    (cell,) = (cell for cell in table.cells if cell["method"] == "I3D, two seeds")
    assert (cell["seeds"], cell["num_folds_done"]) == ("0", 2)
    assert (
        "I3D, two seeds: Not counted, since their finished folds differ: seed 1 (2) of 8."
        in table.notes
    )


def test_other_sets_devices_and_kinds_make_no_pair(tmp_path):
    cases = {
        "sets": ({"modalities": ("rgb",)}, {"modalities": ("rgb", "depth")}),
        "devices": ({}, {"provenance": {"device": "NVIDIA H200"}}),
        "precision": ({}, {"identity": {"precision": "bf16"}}),
        "folds": ({}, {"fold": "2"}),
        "store": ({}, {"digest": "e" * 64, "identity": {"store_digest": "e" * 64}}),
        "origin": ({}, {"origin": "synthetic"}),
        "none": ({}, {}),
    }
    numbers = {}
    for name, changes in cases.items():
        for seed, change in enumerate(changes):
            add_random(tmp_path / name, seed, **change)
        numbers[name] = len(rows_of(tmp_path / name))
    assert numbers == dict.fromkeys(cases, 0) | {"none": 2}


def test_each_set_of_modalities_has_its_own(tmp_path):
    for modalities in (("rgb",), ("rgb", "depth"), ("rgb", "depth", "flow")):
        for seed in (0, 1):
            add_random(tmp_path, seed, modalities=modalities)
    rows = rows_of(tmp_path)
    assert sorted((row["modalities"], row["tested_on"]) for row in rows) == [
        ("rgb", "rgb"),
        ("rgb+depth", "depth"),
        ("rgb+depth", "rgb"),
        ("rgb+depth+flow", "depth"),
        ("rgb+depth+flow", "flow"),
        ("rgb+depth+flow", "rgb"),
    ]
    assert len({row["run"] for row in rows}) == 3


@pytest.mark.parametrize("name", ["mtut", "i3d+ssa", "i3d-again", "i3d x2"])
def test_networks_that_are_no_plain_baseline_are_not_averaged(tmp_path, name):
    for seed in (0, 1):
        add_run(tmp_path, method={"name": name, "title": "T", "fusion_title": "T"}, seed=seed)
    assert rows_of(tmp_path) == ()
    assert not any(is_ensemble(row) for row in result_rows(find_runs(tmp_path).runs))


def test_two_runs_of_one_seed_are_not_chosen_between(tmp_path):
    for modalities in (("rgb", "depth"), ("depth", "rgb")):
        add_random(tmp_path, 0, modalities=modalities)
    add_random(tmp_path, 1)
    assert len(find_runs(tmp_path).runs) == 3
    assert rows_of(tmp_path) == ()


def test_rates_that_differ_are_both_said(tmp_path):
    for seed, rate in ((0, 0.01), (1, 0.001)):
        folder, _ = add_random(tmp_path, seed)
        edit(folder, joint_learning_rate={"rgb": rate, "depth": 0.1})
    rates = {row["tested_on"]: row["learning_rate"] for row in rows_of(tmp_path)}
    assert rates == {"rgb": "0.01/0.001", "depth": "0.1"}


def changed(runs, **changes):
    """Two seeds as they are found, the second with other predictions or persons."""
    for seed in (0, 1):
        add_random(runs, seed)
    first, second = sorted(find_runs(runs).runs, key=lambda run: run.record.identity.seed)
    scores = replace(second.scores, **changes.pop("scores", {}))
    return [first, replace(second, scores=scores, **changes)]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"scores": {"clip_ids": tuple(f"other-{n}" for n in range(NUM_CLIPS))}},
            "60 missing (fold1-0, fold1-1, fold1-10, fold1-11, fold1-12, ...); 60 not of this fold",
        ),
        ({"scores": {"labels_N": np.zeros(NUM_CLIPS, dtype=np.int64)}}, "in one run and 0 in an"),
        ({"subjects": ("nobody",) * NUM_CLIPS}, "in one run and 'nobody' in another."),
    ],
)
def test_members_of_other_clips_are_refused(tmp_path, changes, words):
    runs = changed(tmp_path, **changes)
    for some in (runs, runs[::-1]):
        with pytest.raises(RunError) as fault:
            ensemble_rows(some, result_rows(some))
        assert words in fault.value.what
        assert all(str(run.folder) in fault.value.what for run in runs)
        assert fault.value.hint


def test_an_average_wants_one_modality_and_number_of_classes(tmp_path):
    _, found = add_random(tmp_path, 0)
    with pytest.raises(PredictionError, match="Cannot fuse"):
        predictions.average([found, found], "flow")
    wider = {
        name: np.pad(getattr(found, name), ((0, 0), (0, 0), (0, 1)))
        for name in ("scores_MNK", "probabilities_MNK")
    }
    with pytest.raises(PredictionError, match="number of classes"):
        predictions.average([found, replace(found, **wider)], "rgb")


def test_rows_are_read_as_they_were_written_and_checked(tmp_path):
    for seed in (0, 1, 2):
        add_random(tmp_path / "runs", seed, origin="synthetic")
    result = report(tmp_path)
    assert sum(map(is_ensemble, result.rows)) == 2
    assert read_rows(tmp_path / "out" / "rows") == sort_rows(result.rows)
    check_report(tmp_path / "out")
    assert "Measured: 3 runs, 1 pair of seeds, 11 numbers." in result.remarks
    # What is gone is counted in runs.
    for folder in (tmp_path / "runs" / "viva").iterdir():
        folder.rename(tmp_path / folder.name)
    add_run(tmp_path / "runs", origin="synthetic")
    assert (
        f"No longer in {tmp_path / 'out'}: 3 runs of an earlier report." in report(tmp_path).remarks
    )


def test_what_is_said_of_runs_counts_no_ensemble(tmp_path):
    other = {"digest": "e" * 64, "identity": {"store_digest": "e" * 64}}
    for seed in (0, 1):
        add_random(tmp_path / "runs", seed, origin="synthetic")
        add_random(tmp_path / "runs", seed, origin="synthetic", **other)
    said = " ".join(report(tmp_path).remarks)
    assert "Measured: 4 runs, 2 pairs of seeds, 16 numbers." in said
    assert "has changed between runs: 2 runs on dddddddddddd, 2 runs on eeeeeeeeeeee." in said


def test_its_line_follows_its_method_and_a_note_says_what_it_is(tmp_path):
    settings = {"method": {"name": "i3d", "network": "i3d", "settings": {}}}
    for seed in (0, 1):
        add_random(tmp_path / "runs", seed, origin="synthetic", identity=settings)
    for name in ("i3d+ssa", "i3d-again", "mtut"):
        method = MTUT | {"name": name, "title": name}
        add_run(tmp_path / "runs", method=method, origin="synthetic", num_test_clips=NUM_CLIPS)
    (table,) = own(report(tmp_path))
    assert [row[0] for row in table.rows] == [
        "I3D",
        "I3D, two seeds",
        "i3d+ssa",
        "i3d-again",
        "mtut",
    ]
    assert str(table.rows[1][-1]) == "-"
    assert table.rows[1][-2] != table.rows[0][-2]
    said = [note for note in table.notes if note.startswith("I3D, two seeds")]
    assert len(said) == 1
    assert "two networks of the same modality that differ in seed; as many networks as a" in said[0]
    assert [note for note in table.notes if note.startswith("I3D:")] == ["I3D: network i3d."]
    assert not any("beside printed" in note for note in table.notes)


def test_a_mean_never_holds_members_and_pairs(tmp_path):
    for seed in (0, 1):
        add_random(tmp_path, seed)
    (alone, *_), (pair, _) = result_rows(find_runs(tmp_path).runs), rows_of(tmp_path)
    assert alone["family"] != pair["family"]
    assert "not mixed" in not_mixed([alone, pair])


def test_no_printed_cell_holds_an_ensemble(tmp_path):
    for seed in (0, 1):
        add_folds(tmp_path / "runs", range(1 + seed, 9 + seed), method=I3D, seed=seed)
    result = report(tmp_path)
    assert measured(result) == {
        ("1", "I3D", "rgb"): pytest.approx(50.0),
        ("1", "I3D", "depth"): pytest.approx(50.0),
        ("4", "I3D", "rgb+depth"): pytest.approx(50.0),
    }
    pairs = {row["run"] for row in result.rows if is_ensemble(row)}
    assert len(pairs) == 8
    for number in "1234567":
        for cell in read_csv(tmp_path / "out" / f"table-{number}.csv"):
            assert not pairs & set(cell["runs"].split())
    (table,) = own(result)
    assert table.heading == (
        "Real recordings (viva, all 80 clips), protocol paper: no published counterpart"
    )
    assert [row[0] for row in table.rows] == ["I3D, two seeds"]
    # Seed 1 has one clip more right. There the two are equally sure of the true class and of the
    # next, and the lower one counts: the true one, but in fold 4, where it is the last.
    assert [cell["tested_on"] for cell in table.cells] == ["rgb", "depth"]
    assert [cell["measured"] for cell in table.cells] == pytest.approx([100 * 43 / 80] * 2)
    note = "Numbers of I3D that are not here, alone or fused, have their place beside printed ones."
    assert note in table.notes
