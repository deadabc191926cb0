import os
import re
import shutil
import subprocess
import sys
from html import unescape

import numpy as np
import pytest
from handmade_store import make_frames, make_plan, write_store
from markdown_it import MarkdownIt

from mtut_bench.errors import MtutBenchError, StoreError
from mtut_bench.store.data_card import card_text, write_card
from mtut_bench.store.reader import StoreReader

ODD = ["a|b", "<b>x</b>", "R&D &amp;", "`code`", "*a* _b_ ~~c~~", "[t](u)", "\\", "1\n# two", "a_b"]


@pytest.fixture
def make_card(tmp_path):
    """Return a function that writes a store and returns its card."""

    def make(lengths=(10, 21, 30, 5), modalities=("rgb", "depth", "flow"), frames=None, **changes):
        write_store(tmp_path / "a.zarr", make_plan(lengths, modalities, **changes), frames)
        return card_text(StoreReader(tmp_path / "a.zarr"))

    return make


def read_tables(card):
    """Return the tables of a card as rows of cells, as a reader of the Markdown sees them."""
    page = MarkdownIt("commonmark").enable("table").render(card)
    return [
        [
            [unescape(cell) for cell in re.findall(r"<t[hd]>(.*?)</t[hd]>", row, re.DOTALL)]
            for row in re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)
        ]
        for table in re.findall(r"<table>(.*?)</table>", page, re.DOTALL)
    ]


def facts_of(card):
    """Return the (what, value) tables of a card as one dict."""
    tables = [table for table in read_tables(card) if table[0] == ["what", "value"]]
    return {row[0]: row[1] for table in tables for row in table[1:]}


def table_of(card, head):
    return next(table for table in read_tables(card) if table[0][: len(head)] == head)


def test_card_states_the_facts(make_card):
    facts = {
        "dataset": "handmade",
        "origin": "synthetic",
        "source": "made by hand",
        "licence": "none needed",
        "clips": "4 of 99, a part of the dataset",
        "frames": "66 per modality, 2.2 s at 30 per s",
        "frames per clip": "5 to 30, median 15.5",
        "seconds per clip": "0.1667 to 1, median 0.5167",
        "classes": "3, 3 with clips",
        "persons": "2",
        "folds": "the dataset's own split",
        "modalities": "rgb (3 x uint8), depth (1 x uint8), flow (2 x uint8)",
        "frame size": "4x3 pixels, alike for all modalities",
        "colour": "rgb",
        "depth": "nearer is brighter",
        "alignment: time": "frame by frame",
        "flow: algorithm": "farneback",
        "chunks": "8 frames, shards of 640, zstd with its checksum; lossless",
        "store format version": "1",
        "mtut-bench": "test",
    }
    card = make_card()
    found = facts_of(card)
    assert {what: found[what] for what in facts} == facts
    assert "**Generated, not recorded.**" in card


def test_card_states_digests(make_card, tmp_path):
    facts, attributes = facts_of(make_card()), StoreReader(tmp_path / "a.zarr").attributes
    assert facts["content digest"] == attributes.digest
    assert facts["plan"] == attributes.plan


def test_card_of_recordings_states_their_terms(make_card):
    card = make_card(origin="recorded", licence="research only", complete=True, expected_clips=4)
    assert "pass this store on only if those terms allow it" in card
    assert facts_of(card)["licence"] == "research only"
    assert facts_of(card)["clips"] == "4 of 4, complete"


def test_unknown_terms_are_said_to_be_unknown(make_card):
    facts = facts_of(make_card(origin="recorded", licence="", source=""))
    assert (facts["licence"], facts["source"]) == ("unknown", "unknown")


def test_clips_are_counted_per_class_and_split(make_card):
    assert table_of(make_card(mirror=[-1, 2, 1]), ["label"]) == [
        ["label", "class", "train", "test", "clips", "in a mirror"],
        ["0", "wave", "1", "1", "2", "none"],
        ["1", "swipe left", "0", "1", "1", "swipe right"],
        ["2", "swipe right", "1", "0", "1", "swipe left"],
    ]


def test_class_without_clips_is_listed(make_card):
    card = make_card((3,), classes=["wave", "swipe left", "swipe right"], mirror=None)
    assert table_of(card, ["label"])[2:] == [
        ["1", "swipe left", "0", "0", "unknown"],
        ["2", "swipe right", "0", "0", "unknown"],
    ]


def test_subjects_are_counted_in_order(make_card, tmp_path):
    plan = make_plan([3] * 12, fold_rule="subject")
    rows = [row._replace(subject=str(12 - i), split="") for i, row in enumerate(plan.rows)]
    object.__setattr__(plan, "rows", tuple(rows))
    write_store(tmp_path / "b.zarr", plan)
    table = table_of(card_text(StoreReader(tmp_path / "b.zarr")), ["person"])
    assert table == [["person", "clips"], *([str(n), "1"] for n in range(1, 13))]


def test_flow_of_each_modality_has_its_parameters(make_card):
    flow = {
        "flow": {"algorithm": "farneback", "parameters": {"poly_n": 5}},
        "flow_raft": {"algorithm": "raft"},
    }
    facts = facts_of(make_card(modalities=("rgb", "flow", "flow_raft"), flow=flow))
    assert facts["flow: parameters: poly n"] == "5"
    assert facts["flow_raft: algorithm"] == "raft"
    assert facts["flow code"].startswith("(u - 128) * 20 / 127 pixels")


def test_store_without_flow_has_no_flow_code(make_card):
    assert "flow code" not in facts_of(make_card(modalities=("depth",), flow={}))


def test_assumptions_are_listed(make_card):
    assert table_of(make_card(assumptions=["a", "b"]), ["assumption"])[1:] == [["a"], ["b"]]
    assert "Assumptions" not in make_card(assumptions=[])


def test_skipped_clips_are_listed_without_folders_of_the_machine(tmp_path):
    plan = make_plan([3, 4])
    frames = make_frames(plan)
    frames[1] = "/disk/my_raw/v/clip1.avi ends after 2 of 4 frames; see https://a.b/c/d"
    write_store(tmp_path / "a.zarr", plan, frames)
    card = card_text(StoreReader(tmp_path / "a.zarr"))
    reason = "clip1.avi ends after 2 of 4 frames; see https://a.b/c/d"
    assert table_of(card, ["clip"]) == [["clip", "reason"], ["clip1", reason]]


def test_no_folder_of_the_machine_is_in_a_card(make_card, tmp_path):
    assert str(tmp_path) not in make_card()


def test_odd_names_neither_break_a_table_nor_change(make_card):
    card = make_card(classes=ODD, mirror=None, colour="|".join(ODD), assumptions=ODD)
    shown = [" ".join(name.split()) for name in ODD]
    labels = table_of(card, ["label"])
    assert [row[:2] for row in labels[1:]] == [[str(n), name] for n, name in enumerate(shown)]
    assert {len(row) for row in labels} == {6}
    assert facts_of(card)["colour"] == " ".join("|".join(ODD).split())
    assert table_of(card, ["assumption"])[1:] == [[name] for name in shown]


def test_card_is_the_same_for_the_same_store(make_card, tmp_path):
    before = make_card()
    shutil.rmtree(tmp_path / "a.zarr")
    assert make_card() == before


def test_card_lies_beside_its_store(tmp_path):
    write_store(tmp_path / "my store.zarr", make_plan([3]))
    path = write_card(tmp_path / "my store.zarr")
    assert path == tmp_path / "my store.md"
    card = path.read_text(encoding="utf-8")
    assert card == card_text(StoreReader(tmp_path / "my store.zarr"))
    assert "mtut-bench verify --store 'my store'\n" in card


def test_code_of_a_card_runs(tmp_path):
    plan = make_plan([3], ("ir",))
    write_store(tmp_path / "a'b.zarr", plan)
    (code,) = re.findall(
        r"```python\n(.*?)```", card_text(StoreReader(tmp_path / "a'b.zarr")), re.DOTALL
    )
    code += "print(name, frames.shape, frames.sum())"
    out = subprocess.check_output([sys.executable, "-c", code], text=True, cwd=tmp_path)
    total = make_frames(plan)[0]["ir"].sum(dtype=np.int64)
    assert out == f"wave (3, 3, 4, 1) {total}\n"


def test_card_of_a_missing_store_is_refused(tmp_path):
    with pytest.raises(StoreError, match=r"none\.zarr"):
        write_card(tmp_path / "none.zarr")
    assert list(tmp_path.iterdir()) == []


def test_card_that_cannot_be_written_is_one_error(make_card, tmp_path, monkeypatch):
    make_card()

    def fail(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(MtutBenchError, match=r"a\.md: No space left on device"):
        write_card(tmp_path / "a.zarr")
    assert not list(tmp_path.glob("*.md"))


@pytest.mark.parametrize("make", [lambda p: p.mkdir(), lambda p: p.write_text("my own notes")])
def test_a_card_replaces_nothing_but_a_card(make_store, make):
    store = make_store("viva")
    write_card(store)
    assert write_card(store) == store.with_suffix(".md")
    store.with_suffix(".md").unlink()
    make(store.with_suffix(".md"))
    with pytest.raises(StoreError, match=r"viva\.md"):
        write_card(store)
