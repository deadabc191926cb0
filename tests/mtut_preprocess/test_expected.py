import json
from collections import Counter
from pathlib import Path

import pytest

from mtut_bench.contract.folds import inner_fold, make_folds
from mtut_bench.errors import UsageError
from mtut_preprocess import DATASETS
from mtut_preprocess.expected import expected_store

SPLITS = Path(__file__).parents[3] / "shared" / "reference" / "splits.json"


@pytest.fixture(scope="module")
def published():
    """The authors' lists, transcribed: (split, subject) of every clip."""
    if not SPLITS.exists():
        pytest.skip("../shared/reference is absent")
    lists = json.loads(SPLITS.read_text())

    def sides(dataset, subject_of):
        splits = {k: v for k, v in lists[dataset].items() if k in ("train", "val", "test")}
        return Counter((side, subject_of(line)) for side, lines in splits.items() for line in lines)

    return {
        "nvgesture": sides("nvgesture", lambda line: str(line["subject"])),
        "egogesture": sides(
            "egogesture", lambda line: str(int(line["path"].split("/")[0].removeprefix("Subject")))
        ),
    }


@pytest.mark.real
@pytest.mark.parametrize("dataset", ["nvgesture", "egogesture"])
def test_each_side_has_the_clips_of_each_subject_in_the_authors_lists(published, dataset):
    expected = expected_store(dataset)
    found = Counter((row.split, row.subject) for row in expected.rows)
    assert found == published[dataset]


@pytest.mark.parametrize(
    ("dataset", "sides", "classes"),
    [
        ("nvgesture", {"train": 1050, "test": 482}, 25),
        ("egogesture", {"train": 14416, "val": 4768, "test": 4977}, 83),
    ],
)
def test_published_splits_are_planned_clip_by_clip(dataset, sides, classes):
    expected = expected_store(dataset)
    assert Counter(row.split for row in expected.rows) == sides
    assert expected.num_classes == classes
    assert all(f"{count:,}" in expected.counts for count in sides.values())
    (fold,) = make_folds(expected.rows, expected.fold_rule, expected.subject_unit)
    assert (len(fold.train), len(fold.val), len(fold.test)) == tuple(
        sides.get(side, 0) for side in ("train", "val", "test")
    )


def test_options_are_chosen_on_the_last_fifth_of_nvgestures_training_subjects():
    expected = expected_store("nvgesture")
    (fold,) = make_folds(expected.rows, "split", "person")
    inner = inner_fold(fold, expected.rows, "split")
    # Of twelve training subjects the last two, 17 and 18, have 46 and 70 clips.
    assert (len(inner.train), len(inner.test)) == (1050 - 116, 116)


@pytest.mark.parametrize(("unit", "count"), [("person", 8), ("user", 16)])
def test_vivas_clips_are_shared_out_evenly_and_nothing_else_is_claimed(unit, count):
    expected = expected_store("viva", fold_unit=unit)
    folds = make_folds(expected.rows, expected.fold_rule, expected.subject_unit, unit)
    sizes = [len(fold.test) for fold in folds]
    assert len(sizes) == count
    assert sum(sizes) == 885
    assert max(sizes) - min(sizes) == 1
    assert f"mean, {885 / count:.1f}" in expected.counts
    assert "is not public" in expected.counts


def test_a_synthetic_dataset_has_the_clips_of_its_size():
    sizes = {size: len(expected_store("viva-synthetic", size).rows) for size in ("tiny", "mini")}
    assert sizes == {"tiny": 38, "mini": 152}
    full = expected_store("viva-synthetic")
    assert len(full.rows) == len(expected_store("viva-synthetic", "full").rows) == 885
    assert "size full" in full.counts


def test_a_size_that_a_dataset_lacks_is_refused():
    with pytest.raises(UsageError, match="'demo'"):
        expected_store("nvgesture-synthetic", "demo")


def test_all_but_a_users_own_recordings_are_known_beforehand():
    unknown = [name for name in DATASETS if expected_store(name) is None]
    assert unknown == [name for name, dataset in DATASETS.items() if dataset.needs_table]
