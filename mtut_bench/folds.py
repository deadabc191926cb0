"""Divisions of a store's clips into training and test sides. A person is never on both."""

from collections.abc import Iterable, Sequence

from mtut_bench.errors import FoldError, UsageError
from mtut_bench.types import ClipRow, Fold

__all__ = ["check_fold", "choose_folds", "make_folds"]


def make_folds(rows: Sequence[ClipRow], rule: str, subject_unit: str) -> list[Fold]:
    """Return all folds of a clip table.

    Args:
        rows: the clip table.
        rule: 'split': the dataset's own split, one fold 'official'. 'subject': one fold per
            subject, which is left out for the test; named after it.
        subject_unit: 'person', or 'user' where one person may have several subject names.

    Raises:
        FoldError: the rule is unknown, the persons are unknown, a side is empty, or a person or
            clip would be on two sides.
    """
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
        if subject_unit != "person":
            raise FoldError(
                "it is unknown which users of this dataset are one person, so leaving out a user"
                " could leave the same person on both sides",
                "Fill in 'persons' (user -> person) in viva.json in the raw folder and prepare the"
                " store again, with --overwrite.",
            )
        subjects = sorted({row.subject for row in rows}, key=_natural)
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
                "A store needs clips on both sides: two persons, or both lists.",
            )
    for first, second in (("train", "test"), ("train", "val"), ("val", "test")):
        clips = set(sides[first]) & set(sides[second])
        if clips:
            raise FoldError(
                f"fold {fold.name}: clip {min(clips)} is in {first} and in {second}",
                "Correct the lists and prepare the store again.",
            )
        persons = {subject[i] for i in sides[first]} & {subject[i] for i in sides[second]}
        if persons:
            raise FoldError(
                f"fold {fold.name}: subject {min(persons, key=_natural)} is in {first} and in"
                f" {second}",
                "Correct the lists and prepare the store again.",
            )


def choose_folds(folds: Sequence[Fold], name: str) -> list[Fold]:
    """Return the folds that a user named: all of them for 'all'.

    Raises:
        UsageError: there is no such fold; names those there are.
    """
    if name == "all":
        return list(folds)
    chosen = [fold for fold in folds if fold.name == name]
    if not chosen:
        known = ", ".join(fold.name for fold in folds)
        raise UsageError(f"there is no fold {name!r}", f"Choose one of: {known}, or all.")
    return chosen


def _ids(rows: Iterable[ClipRow]) -> tuple[str, ...]:
    return tuple(row.clip_id for row in rows)


def _natural(subject: str) -> tuple[int, int, str]:
    """Sort key: numbers by value, before names."""
    return (0, int(subject), subject) if subject.isdecimal() else (1, 0, subject)
