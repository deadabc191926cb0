import base64
import hashlib
import re
import unicodedata
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from page_bench import (
    HOSTILE,
    comparison,
    figure,
    finished_run,
    several_runs,
    tables_of,
    whole_page,
)
from record_bench import changed, scores_of

from mtut_bench.report.page import grid, render_page
from mtut_bench.report.page.provenance import runs_table
from mtut_bench.report.tables.table import Number, Table

NOTHING = {
    "remarks": (),
    "tables": (),
    "figures": (),
    "comparisons": (),
    "runs": (),
    "confused": (),
}
VOID = {"meta", "link", "img", "input", "br"}


class Page(HTMLParser):
    """Elements of a page, its text, and whether every one that opens is closed."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.open, self.text, self.faults = [], [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(tag)

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.text.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def html():
    return whole_page(render_page)


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def small_table(*rows, **notes):
    columns = ("Method", "Tested on", "Measured")
    return Table("own-1", "A table", columns, rows, num_labels=2, **notes)


def test_same_runs_same_bytes(html):
    assert whole_page(render_page) == html


def test_every_element_is_closed_in_order(page):
    assert (page.open, page.faults) == ([], [])


def test_ids_are_unique_and_references_lead_somewhere(page):
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    wanted = {a["href"][1:] for a in page.all("a")}
    for _, attributes in page.elements:
        for name in ("aria-labelledby", "aria-controls", "for"):
            wanted |= set(attributes.get(name, "").split())
    assert wanted <= set(ids)


def test_nothing_is_loaded_from_anywhere(page):
    for _, attributes in page.elements:
        for name in ("src", "href", "action", "data", "srcset"):
            assert attributes.get(name, "#").startswith(("#", "data:"))


def test_the_policy_allows_this_style_and_this_script_alone(html, page):
    (policy,) = [m["content"] for m in page.all("meta") if m.get("http-equiv")]
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy
    for kind in ("style", "script"):
        (content,) = re.findall(rf"<{kind}>(.*?)</{kind}>", html, flags=re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert not any(name.startswith("on") or name == "style" for _, a in page.elements for name in a)


def test_hostile_names_stay_text():
    hostile = whole_page(render_page, HOSTILE)
    page = Page(hostile)
    assert (page.open, page.faults) == ([], [])
    assert len(page.all("script")) == 1
    assert page.all("img")[0]["alt"] == HOSTILE
    assert "".join(page.text).count(HOSTILE) >= 10
    assert hostile.count("<script") == 1


def test_characters_that_html_may_not_hold_are_replaced():
    name = "a\0b\x07c\x1bd\x7fe\x85f\u202eg\ufffeh\ud800i\tj k\u00a0l\u4e2d"
    html = whole_page(render_page, name)
    kinds = {unicodedata.category(character) for character in html} - {"Cc"}
    assert not kinds & {"Cf", "Cs", "Cn"}
    assert {c for c in html if unicodedata.category(c) == "Cc"} <= set("\n\t")
    seven = "\ufffd".join("abcdefghi")
    assert html.count(f"{seven}\tj k\u00a0l\u4e2d") > 5
    html.encode()
    assert Page(html).faults == []


def test_every_table_has_caption_and_scopes(html, page):
    num_tables = html.count("<table")
    assert num_tables == 7 + 3 + 1 + 1  # published, local, paired, runs
    assert html.count("<caption") == num_tables
    assert {a["scope"] for a in page.all("th")} == {"row", "col"}


def test_a_page_of_nothing_says_so():
    text = " ".join("".join(Page(render_page(**NOTHING)).text).split())
    assert "No measurements yet" in text
    assert "There are no finished runs." in text
    assert "No two methods were compared." in text


def test_the_status_says_what_the_numbers_are_from():
    recorded = finished_run(scores_of([0, 1], [0, 1]), 9, store__origin="recorded")
    for runs, words in (
        (several_runs(), "Every measured number here is from synthetic"),
        ([recorded], "Every measured number here is from a part of a dataset"),
        ([*several_runs(), recorded], "Some numbers here"),
    ):
        html = render_page(**(NOTHING | {"runs": runs, "tables": tables_of(runs)}))
        assert re.findall(r'class="status[^"]*">([^<]*)<', html)[0].startswith(words)


def test_a_table_at_chance_is_called_so(html):
    guessing = [0, 1, 2] * 4
    labels = [0] * 4 + [1] * 4 + [2] * 4
    runs = [finished_run(scores_of(guessing, labels))]
    at_chance = render_page(**(NOTHING | {"runs": runs, "tables": tables_of(runs)}))
    assert "At chance:" in at_chance
    assert "At chance:" not in html


def test_published_figures_with_a_measured_one_are_counted(html):
    printed = sum(c["published"] != "" for t in tables_of([]) for c in t.cells)
    assert f"<dd>0 of {printed}</dd>" in html


@pytest.mark.parametrize(
    ("number", "text", "sort"),
    [
        (Number(71.24, 1, spread=3.14), "71.2 \u00b1 3.1", 71.2),
        (Number(81.333, 2, interval=(77.55, 84.5)), "81.33 [77.5, 84.5]", 81.33),
        (Number(41.0, 1, folds=(1, 8)), "41.0 (1 of 8 folds)", 41.0),
        (Number(7, of=8), "7/8", 7.0),
        (Number(1234.4, form=","), "1,234", 1234.0),
        (Number(-0.5, 2), "-0.50", -0.5),
        (Number(1.2, 2, "+"), "+1.20", 1.2),
        (Number(0.001, 3, below=True), "< 0.001", 0.001),
        (Number(None, interval=(-4.06, 9.3)), "[-4.1, 9.3]", -4.1),
        (Number(None), "-", None),
        (Number(85.48, 2, marks=(1, 3)), "85.48 (1) (3)", 85.48),
    ],
)
def test_a_number_sorts_by_what_is_printed(number, text, sort):
    assert (str(number), number.sort) == (text, sort)


def test_a_continued_line_repeats_the_label_it_continues():
    rows = (("I3D", "rgb", Number(1)), ("", "depth", Number(2)), ("", "flow", Number(None)))
    lines = grid(small_table(*rows), "t").rows
    assert [line[0] for line in lines] == [("I3D", False), ("I3D", True), ("I3D", True)]
    assert [line[1] for line in lines] == [("rgb", False), ("depth", False), ("flow", False)]


def cells_of(*rows, **notes):
    """HTML of each cell of a table without its tags, behind its sort key."""
    html = render_page(**(NOTHING | {"tables": (small_table(*rows, **notes),)}))
    body = re.findall(r"<tbody>(.*?)</tbody>", html, flags=re.DOTALL)[0]
    found = re.findall(r"<t[hd]([^>]*)>(.*?)</t[hd]>", body, flags=re.DOTALL)
    keys = [re.findall(r'data-key="([^"]*)"', attributes) for attributes, _ in found]
    texts = [re.sub(r"<[^>]*>", "", text).strip() for _, text in found]
    return list(zip(keys, texts, strict=True)), html


def test_a_missing_value_has_no_key_and_a_mean_keeps_its_spread_apart():
    rows = (
        ("I3D", "rgb", Number(71.2, 1, spread=3.1)),
        ("C3D", "rgb", Number(None)),
        ("SVM", "rgb", Number(0.0, 1)),
        ("HOG", "rgb", Number(None, interval=(-4.1, 9.3))),
    )
    cells, html = cells_of(*rows)
    assert cells[2::3] == [
        (["71.2"], "71.2 \u00b1 3.1"),
        ([], "-"),
        (["0.0"], "0.0"),
        (["-4.1"], "[-4.1, 9.3]"),
    ]
    assert '71.2<span class="qualifier"> \u00b1 3.1</span>' in html


def test_marks_lead_to_their_notes_and_brackets_of_names_stay():
    marked = Number(85.48, 2, marks=(1,))
    row = ("I3D (1)", "rgb", marked)
    cells, html = cells_of(row, numbered=("An erratum.",), notes=("A legend.",))
    assert cells == [(["I3D (1)"], "I3D (1)"), (["rgb"], "rgb"), (["85.48"], "85.481")]
    assert '<a href="#own-1-note-1" aria-label="note 1">1</a>' in html
    assert '<li id="own-1-note-1"><sup>1</sup> An erratum.</li>' in html
    assert "<li>A legend.</li>" in html


def test_a_column_of_numbers_is_numeric_and_of_names_is_not():
    rows = (("3", "rgb", Number(1, 1)), ("4", "rgb", Number(None)))
    assert grid(small_table(*rows), "t").numeric == (False, False, True)
    assert grid(small_table(*rows, ("5", "rgb", "official")), "t").numeric == (False,) * 3


def images(drawing):
    return Page(render_page(**(NOTHING | {"figures": (drawing,)}))).all("img")


def test_a_light_drawing_is_shown_as_svg_and_a_heavy_one_as_png():
    (light,) = images(figure())
    (heavy,) = images(figure(svg=b"<svg>" + b" " * 300_000 + b"</svg>"))
    assert light["src"].startswith("data:image/svg+xml;base64,")
    assert base64.b64decode(heavy["src"].partition(",")[2]) == figure().png


def test_provenance_shows_the_manifest():
    runs = several_runs()
    text = "".join(Page(whole_page(render_page)).text)
    for run in runs:
        assert run.record.id in text
    assert "2026-01-02 02:04:05" in text  # 03:04:05+01:00 in UTC
    assert "torch 2.11" in text
    assert "batch_size 6" in text


def test_a_run_outside_a_source_tree_has_no_revision():
    run = changed(finished_run(scores_of([0], [0])), {"provenance.git": None})
    text = "".join(Page(render_page(**(NOTHING | {"runs": (run,)}))).text)
    assert "not recorded" in text


def test_comparisons_show_sentences_table_and_notes():
    paired = replace(comparison(), sentences=("First.", "Second."))
    text = "".join(Page(render_page(**(NOTHING | {"comparisons": (paired,)}))).text)
    for words in ("I3D against MTUT", "First.", "Second.", "+1.0", "< 0.001", "Holm."):
        assert words in text


def test_an_id_that_looks_like_a_number_stays_a_name():
    run = changed(several_runs()[0], {"id": "123e45678901" + "0" * 52})
    found = grid(runs_table([run]), "runs")
    numeric = [name for name, of in zip(found.table.columns, found.numeric, strict=True) if of]
    assert numeric == ["Fold", "Seed", "Seconds"]
    assert found.rows[0][0] == ("123e45678901", False)
