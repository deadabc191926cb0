import json
from pathlib import Path

import pytest

from mtut_bench.contract import predictions
from mtut_bench.contract.published import load_published
from mtut_bench.report.tables.slips import figure_note, footnotes
from mtut_bench.report.tables.table import Number

PAPER = Path(__file__).parents[4] / "shared" / "paper" / "published_tables.json"


@pytest.mark.real
def test_published_numbers_are_the_papers_transcription():
    if not PAPER.exists():
        pytest.skip("../shared/paper is absent")
    ours = Path(predictions.__file__).with_name("published.json")
    assert json.loads(ours.read_text()) == json.loads(PAPER.read_text())


def test_every_published_table_is_loaded():
    published = load_published()
    assert list(published.tables) == list("1234567")
    assert published.tables["3"].rows[0].values == (24.5, 36.3, None)
    assert published.tables["6"].rows[2].trained_on == ("rgb", "depth")


def test_systems_that_train_their_networks_alone_come_from_the_tables():
    alone = load_published().trained_alone
    assert "I3D" in alone
    assert "MTUT-F" not in alone


def test_slips_are_computed_from_the_tables():
    tables = load_published().tables
    marked = {number: footnotes(table) for number, table in tables.items()}
    (odd,) = [note for note in marked["3"] if "1/482" in note.text]
    assert [tables["3"].rows[line].values[column] for line, column in odd.places] == [82.28]
    assert not any("1/482" in note.text for note in marked["6"])
    (below,) = [note for note in marked["6"] if "85.68" in note.text]
    assert {tables["6"].rows[line].values[0] for line, _ in below.places} == {85.48}
    assert "3.08 (rgb) and 6.85 (depth); the table agrees." in str(marked["1"])
    assert "1.09 (depth); the table gives 2.15 and 1.36" in str(marked["2"])
    assert ["5 of 6" in str(marked["1"]), "12 of 12" in str(marked["7"])] == [True, True]


def words_of(number):
    return " ".join(note.text for note in footnotes(load_published().tables[number]))


@pytest.mark.parametrize(
    ("number", "words"),
    [
        ("2", "1.09 (depth); the table gives 2.15 and 1.36"),
        ("3", "20 subjects; the dataset's lists hold 18"),
        ("3", "trained on all three modalities is inferred"),
        ("3", "No multiple of 1/482"),
        ("6", "the result of five sensors; 81.5"),
        ("6", "does not hold across modality sets"),
        *((number, "Which column is rgb and which is depth is inferred") for number in "127"),
    ],
)
def test_every_slip_that_was_found_in_reading_is_a_footnote(number, words):
    assert words in words_of(number)


def test_the_swapped_caption_belongs_to_its_figure():
    assert "swaps (a) and (b)" in figure_note("6")
    assert figure_note("3") == ""


# Typed from the paper's pages, lines of Tables 4 and 6 whose last digit JSON drops among them.
@pytest.mark.parametrize(
    ("number", "line", "figures"),
    [
        ("1", 0, ["52.3", "58.6"]),
        ("1", 1, ["57.0", "65.0"]),
        ("3", 1, ["54.6", "-", "68.0"]),
        ("3", 6, ["81.33", "84.85", "83.40"]),
        ("4", 3, ["77.4"]),
        ("4", 4, ["83.10"]),
        ("6", 3, ["86.10"]),
        ("6", 9, ["83.8"]),
        ("7", 3, ["65.72", "67.30"]),
    ],
)
def test_figures_have_the_digits_that_the_paper_prints(number, line, figures):
    table = load_published().tables[number]
    row = table.rows[line]
    assert [str(Number(value, row.digits)) for value in row.values] == figures
