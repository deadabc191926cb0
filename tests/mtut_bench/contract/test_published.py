import json
from pathlib import Path

import pytest

from mtut_bench.contract import predictions
from mtut_bench.contract.published import load_published
from mtut_bench.report.tables.errata import errata
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


def odd_places(table, num_clips):
    """Figures with two decimals that lie a unit of the last or more from every share of clips."""
    shares = [100.0 * right / num_clips for right in range(num_clips + 1)]
    precise = {
        (line, column): value
        for line, row in enumerate(table.rows)
        for column, value in enumerate(row.values)
        if value is not None and row.digits == 2
    }
    # The paper both rounds and cuts off.
    odd = {at for at, value in precise.items() if min(abs(s - value) for s in shares) >= 0.01}
    return odd, len(precise)


def test_errata_on_single_figures_follow_from_the_tables():
    tables = load_published().tables
    texts = {number: str(errata(table)) for number, table in tables.items()}
    for number, num_clips in (("2", 4977), ("3", 482), ("5", 4977), ("6", 482)):
        odd, _ = odd_places(tables[number], num_clips)
        noted = [note.places for note in errata(tables[number]) if "multiple of 1/" in note.text]
        assert [set(places) for places in noted] == ([odd] if odd else [])
    for number in "147":
        odd, of_all = odd_places(tables[number], 885)
        assert (
            f"{len(odd)} of {of_all} values with two decimals are not multiples of 1/885"
            in texts[number]
        )
    rows = tables["6"].rows
    best = max(row.values[0] for row in rows if not row.trained_on)
    (below,) = [note for note in errata(tables["6"]) if note.text.startswith("Below")]
    assert f"({best:.2f})" in below.text
    assert set(below.places) == {
        (line, 0) for line, row in enumerate(rows) if row.trained_on and row.values[0] < best
    }
    ((line, _),) = [note.places[0] for note in errata(tables["6"]) if "five sensors" in note.text]
    assert rows[line].method == "R3DCNN"


def test_errata_on_gains_follow_from_the_tables():
    tables = load_published().tables
    values = {number: {row.method: row.values for row in tables[number].rows} for number in "12"}
    ours = values["1"].pop("MTUT")
    gains = [f"{a - b:.2f}" for a, b in zip(ours, values["1"]["I3D"], strict=True)]
    assert f"as {gains[0]} (rgb) and {gains[1]} (depth); the table agrees" in str(
        errata(tables["1"])
    )
    ours = values["2"].pop("MTUT")
    best = [max(other[column] or 0.0 for other in values["2"].values()) for column in (0, 1)]
    gains = [f"{a - b:.2f}" for a, b in zip(ours, best, strict=True)]
    assert f"as {gains[0]} (rgb) and 1.09 (depth); the table gives {' and '.join(gains)}" in str(
        errata(tables["2"])
    )


@pytest.mark.parametrize(
    ("number", "words"),
    [
        ("3", "20 subjects; the dataset's lists hold 18"),
        ("3", "trained on all three modalities is inferred"),
        *((number, "Which column is rgb and which is depth is inferred") for number in "127"),
    ],
)
def test_errata_that_were_found_in_reading_are_footnotes(number, words):
    assert words in " ".join(note.text for note in errata(load_published().tables[number]))


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
