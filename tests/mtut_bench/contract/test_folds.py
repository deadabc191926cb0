import pytest

from mtut_bench.contract.folds import (
    check_fold,
    choose_folds,
    inner_fold,
    make_folds,
    with_validation,
)
from mtut_bench.contract.types import ClipRow, Fold
from mtut_bench.errors import FoldError, UsageError


def row(clip_id, subject, split=""):
    return ClipRow(clip_id, subject, 0, -1, split, 10)


PERSONS = [row("a", "10"), row("b", "2"), row("c", "1"), row("d", "2"), row("e", "anna")]
LISTED = [
    row("a", "1", "train"),
    row("b", "2", "test"),
    row("c", "1", "train"),
    row("d", "3", "val"),
]


@pytest.mark.parametrize("rows", [PERSONS, PERSONS[::-1]])
def test_one_fold_per_person_in_natural_order_tests_each_clip_once(rows):
    folds = make_folds(rows, "subject", "person")
    assert [fold.name for fold in folds] == ["1", "2", "10", "anna"]
    assert sorted(clip for fold in folds for clip in fold.test) == ["a", "b", "c", "d", "e"]
    for fold in folds:
        assert sorted(fold.train + fold.test) == ["a", "b", "c", "d", "e"]


def test_golden_sides_of_a_left_out_person():
    fold = make_folds(PERSONS, "subject", "person")[1]
    assert fold == Fold("2", train=("a", "c", "e"), test=("b", "d"))


def test_official_lists_are_one_fold():
    assert make_folds(LISTED, "split", "person") == [
        Fold("official", train=("a", "c"), test=("b",), val=("d",))
    ]


def test_folds_by_user_are_made_when_asked_for():
    folds = make_folds(PERSONS, "subject", "user", "user")
    assert folds == make_folds(PERSONS, "subject", "person")


@pytest.mark.parametrize(
    ("rows", "rule", "unit"),
    [(PERSONS, "subject", "person"), (LISTED, "split", "person"), (LISTED, "split", "user")],
)
def test_folds_by_user_are_refused_where_they_do_not_fit(rows, rule, unit):
    with pytest.raises(UsageError, match="--fold-unit user"):
        make_folds(rows, rule, unit, "user")


def test_refusal_of_unknown_persons_names_every_way_out():
    with pytest.raises(FoldError) as caught:
        make_folds(PERSONS, "subject", "user")
    for way in ("viva.json", "--by-user", "--fold-unit user"):
        assert way in caught.value.hint


def test_unknown_rule_is_refused():
    with pytest.raises(FoldError, match="'random'"):
        make_folds(PERSONS, "random", "person")


def test_person_on_two_sides_is_named():
    rows = [*LISTED, row("x", "2", "train")]
    with pytest.raises(FoldError, match="subject 2 is in train and in test"):
        make_folds(rows, "split", "person")


@pytest.mark.parametrize(
    ("split", "where"), [("train", "in train and in val"), ("test", "in val and in test")]
)
def test_validation_is_a_side_too(split, where):
    rows = [*LISTED, row("x", "3", split)]
    with pytest.raises(FoldError, match=f"subject 3 is {where}"):
        make_folds(rows, "split", "person")


def test_clip_on_two_sides_is_named():
    fold = Fold("f", train=("a", "b"), test=("b",))
    with pytest.raises(FoldError, match="clip b is in train and in test"):
        check_fold(fold, LISTED)


def test_clip_twice_in_the_table_is_refused():
    with pytest.raises(FoldError, match="twice"):
        check_fold(Fold("f", ("a",), ("b",)), [*LISTED, LISTED[0]])


@pytest.mark.parametrize("side", ["train", "test"])
def test_empty_side_is_named(side):
    rows = [r._replace(split="train" if side == "test" else "test") for r in LISTED]
    with pytest.raises(FoldError, match=f"no {side} clip"):
        make_folds(rows, "split", "person")


def test_a_single_person_cannot_be_left_out():
    with pytest.raises(FoldError, match="no train clip"):
        make_folds(PERSONS[1:2], "subject", "person")


def test_folds_are_chosen_by_name_or_all():
    folds = make_folds(PERSONS, "subject", "person")
    assert choose_folds(folds, "all") == folds
    assert [f.name for f in choose_folds(folds, "10")] == ["10"]


def test_unknown_fold_names_those_there_are():
    folds = make_folds(PERSONS, "subject", "person")
    with pytest.raises(UsageError, match="'nonsense'") as caught:
        choose_folds(folds, "nonsense")
    assert "1, 2, 10, anna" in caught.value.hint


def test_validation_clips_join_the_training_side_in_the_tables_order():
    rows = [row("d", "3", "val"), *LISTED[:3]]
    (fold,) = make_folds(rows, "split", "person")
    assert with_validation(fold, rows) == Fold("official", train=("d", "a", "c"), test=("b",))


def test_without_validation_clips_there_are_none_to_train_on():
    (fold,) = make_folds(LISTED[:3], "split", "person")
    with pytest.raises(UsageError, match="official has no validation clip") as caught:
        with_validation(fold, LISTED)
    assert "--protocol paper" in caught.value.hint


def test_several_folds_are_named_with_commas_in_the_stores_order():
    folds = make_folds(PERSONS, "subject", "person")
    assert [f.name for f in choose_folds(folds, "anna, 1")] == ["1", "anna"]
    with pytest.raises(UsageError, match="unknown fold '3'"):
        choose_folds(folds, "1,3")


def test_a_fold_whose_name_holds_a_comma_is_found():
    folds = [Fold("a,b", ("x",), ("y",)), Fold("a", ("y",), ("x",))]
    assert choose_folds(folds, "a,b") == folds[:1]


def test_inner_folds_test_each_person_for_one_other_and_leave_the_tested_one_out():
    folds = make_folds(PERSONS, "subject", "person")
    subject = {one.clip_id: one.subject for one in PERSONS}
    inner = [inner_fold(fold, PERSONS, "subject") for fold in folds]
    tested = [{subject[clip] for clip in fold.test} for fold in inner]
    assert [fold.name for fold in inner] == ["1", "2", "10", "anna"]
    assert tested == [{"2"}, {"10"}, {"anna"}, {"1"}]
    for fold, outer in zip(inner, folds, strict=True):
        assert not {*fold.train, *fold.test} & set(outer.test)
        assert {*fold.train, *fold.test} == set(outer.train)
        check_fold(fold, PERSONS)


def test_the_inner_fold_of_a_split_with_a_validation_side_tests_that():
    rows = [row("d", "3", "val"), *LISTED[:3]]
    (fold,) = make_folds(rows, "split", "person")
    assert inner_fold(fold, rows, "split") == Fold("official", train=fold.train, test=("d",))


def test_the_inner_fold_of_a_split_without_one_tests_the_last_fifth_of_the_persons():
    rows = [row(f"c{n}", str(n), "train") for n in range(1, 12)] + [row("t", "99", "test")]
    (fold,) = make_folds(rows, "split", "person")
    inner = inner_fold(fold, rows, "split")
    assert inner.test == ("c10", "c11")
    assert inner.train == tuple(f"c{n}" for n in range(1, 10))


def test_one_person_cannot_be_divided():
    rows = [row("a", "1", "train"), row("t", "2", "test")]
    (fold,) = make_folds(rows, "split", "person")
    with pytest.raises(UsageError, match="trains on 1 person"):
        inner_fold(fold, rows, "split")
