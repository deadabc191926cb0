"""Divisions of a store's clips into training and test sides. A person is never on both.

The one exception, ``fold_unit`` 'user', must be asked for and is marked with every number.
"""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace

from mtut_bench.contract.types import ClipRow, Fold
from mtut_bench.errors import FoldError, UsageError, did_you_mean

__all__ = [
    "FOLD_UNIT",
    "check_fold",
    "choose_folds",
    "inner_fold",
    "make_folds",
    "natural_order",
    "with_validation",
]

FOLD_UNIT = "fold_unit"
"""Name among a run's overrides of who is left out, if not a person."""


def make_folds(
    rows: Sequence[ClipRow],
    rule: str,
    subject_unit: str,
    fold_unit: str = "person",
    *,
    store: str = "",
) -> list[Fold]:
    """Return all folds of a clip table.

    Args:
        rows: the clip table.
        rule: 'split': the dataset's own split, one fold 'official'. 'subject': one fold per
            subject, which is left out for the test; named after it.
        subject_unit: 'person', or 'user' where one person may have several subject names.
        fold_unit: who is left out, 'person' or 'user'; by user, one person may be on both sides.
        store: name of the store, for the hint.

    Raises:
        UsageError: folds by user of a store that has its own split or knows its persons.
        FoldError: the rule is unknown, the persons are unknown, a side is empty, or a person or
            clip would be on two sides.
    """
    if fold_unit != "person" and (rule, subject_unit, fold_unit) != ("subject", "user", "user"):
        raise UsageError(
            f"--fold-unit {fold_unit} is not possible: this store"
            + (" comes with its own split" if rule == "split" else " identifies its persons"),
            "Leave --fold-unit out.",
        )
    if rule == "split":
        folds = [
            Fold(
                "official",
                train=_ids(row for row in rows if row.split == "train"),
                test=_ids(row for row in rows if row.split == "test"),
                val=_ids(row for row in rows if row.split == "val"),
            )
        ]
    elif rule == "subject":
        if subject_unit != fold_unit:
            named = f" --store {shlex.quote(store)}" if store else ""
            raise FoldError(
                "some users of this dataset may be the same person, so "
                "leaving out a user could put one person on both sides",
                "Fill in 'persons' (user -> person) in viva.json in the raw folder and prepare the"
                f" store again, with --overwrite; `mtut-bench inspect --by-user{named}` draws the"
                " users and writes the table. Or leave out users, reported "
                "as a variant: --fold-unit user.",
            )
        subjects = sorted({row.subject for row in rows}, key=natural_order)
        folds = [
            Fold(
                subject,
                train=_ids(row for row in rows if row.subject != subject),
                test=_ids(row for row in rows if row.subject == subject),
            )
            for subject in subjects
        ]
    else:
        raise FoldError(f"the store names an unknown fold rule {rule!r}", "Prepare it again.")
    for fold in folds:
        check_fold(fold, rows)
    return folds


def check_fold(fold: Fold, rows: Sequence[ClipRow]) -> None:
    """Refuse a fold that would make a result meaningless.

    Raises:
        FoldError: a side is empty, or a clip or person is on two sides; names it.
    """
    subject = {row.clip_id: row.subject for row in rows}
    if len(subject) != len(rows):
        raise FoldError("the clip table lists a clip twice", "Prepare the store again.")
    sides = {"train": fold.train, "val": fold.val, "test": fold.test}
    for name in ("train", "test"):
        if not sides[name]:
            raise FoldError(
                f"fold {fold.name} has no {name} clip",
                "A fold needs training and test clips: two persons, or both lists.",
            )
    for first, second in (("train", "test"), ("train", "val"), ("val", "test")):
        clips = set(sides[first]) & set(sides[second])
        persons = {subject[i] for i in sides[first]} & {subject[i] for i in sides[second]}
        # A clip on two sides puts its person there too; the clip says more.
        for kind, doubled in (("clip", clips), ("subject", persons)):
            if doubled:
                raise FoldError(
                    f"fold {fold.name}: {kind} {min(doubled, key=natural_order)} is in {first} and"
                    f" in {second}",
                    "Correct the lists and prepare the store again.",
                )


def choose_folds(folds: Sequence[Fold], name: str) -> list[Fold]:
    """Return the folds that a user named ('a', 'a,b' or 'all'), in the store's order.

    Raises:
        UsageError: there is no such fold; lists those there are.
    """
    if name == "all":
        return list(folds)
    known = [fold.name for fold in folds]
    # A name may itself hold a comma: folds of a user's own recordings are named after persons.
    wanted = [name] if name in known else [part.strip() for part in name.split(",")]
    for one in wanted:
        if one not in known:
            raise UsageError(
                f"unknown fold {one!r}",
                f"{did_you_mean(one, known)}Choose from: {', '.join(known)} (several joined by"
                " commas), or all.",
            )
    return [fold for fold in folds if fold.name in wanted]


def with_validation(fold: Fold, rows: Sequence[ClipRow]) -> Fold:
    """Return the fold with its validation clips among the training clips, in the table's order.

    Raises:
        UsageError: it has none.
    """
    if not fold.val:
        raise UsageError(
            f"fold {fold.name} has no validation clips to train on",
            "Choose a protocol that trains on the training side only "
            "(--protocol paper), or a dataset with a validation split.",
        )
    side = {*fold.train, *fold.val}
    return replace(fold, train=_ids(row for row in rows if row.clip_id in side), val=())


def inner_fold(fold: Fold, rows: Sequence[ClipRow], fold_rule: str) -> Fold:
    """Return the fold for choosing options: it tests persons of the fold's training side.

    These are the validation split where there is one; where each person is left out in turn, the
    next one in natural order, so that each person is tested for one other; else the last fifth of
    the training persons. The fold's test clips are on neither side.

    Raises:
        UsageError: fewer than two persons are on the training side.
    """
    if fold.val:
        return replace(fold, test=fold.val, val=())
    side = set(fold.train)
    subjects = sorted({row.subject for row in rows if row.clip_id in side}, key=natural_order)
    if len(subjects) < 2:
        raise UsageError(
            f"fold {fold.name} trains on {len(subjects)} person, who cannot also be tested",
            "Choosing options (train_on=inner) needs two persons on the training side.",
        )
    if fold_rule == "subject":
        after = [s for s in subjects if natural_order(s) > natural_order(fold.name)]
        tested = {(after or subjects)[0]}
    else:
        tested = set(subjects[-max(1, len(subjects) // 5) :])
    return replace(
        fold,
        train=_ids(row for row in rows if row.clip_id in side and row.subject not in tested),
        test=_ids(row for row in rows if row.clip_id in side and row.subject in tested),
    )


def _ids(rows: Iterable[ClipRow]) -> tuple[str, ...]:
    return tuple(row.clip_id for row in rows)


def natural_order(subject: str) -> tuple[int, int, str]:
    """Return a sort key of subjects: numbers by value, before names."""
    return (0, int(subject), subject) if subject.isdecimal() else (1, 0, subject)
