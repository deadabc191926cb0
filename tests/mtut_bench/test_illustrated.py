"""Figures and page as files of a report; what they show is tested where they are made."""

import numpy as np
import pytest
from report_bench import I3D, add_run, nvgesture, printed

from mtut_bench.report import Illustration, write_report
from mtut_bench.report.illustrated import FIGURES, PAGE


def rho(loss_m, loss_n):
    return np.maximum(0.0, np.exp(2.0 * (loss_m - loss_n)) - 1.0)


@pytest.fixture
def means(tmp_path):
    return Illustration(rho, tmp_path / "stores")


def names(out):
    return {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}


def test_figures_and_page_are_written_beside_the_tables(tmp_path, means):
    runs, out = tmp_path / "runs", tmp_path / "out"
    add_run(runs, 3, **nvgesture())
    add_run(runs, 7, method=I3D, **nvgesture())
    result = write_report(runs, out, ("6",), means)
    assert names(out) == {path.relative_to(out).as_posix() for path in result.paths}
    drawings = {name for name in names(out) if name.startswith(FIGURES)}
    assert {name.removesuffix(".svg") for name in drawings if name.endswith(".svg")} == {
        name.removesuffix(".png") for name in drawings if name.endswith(".png")
    }
    assert f"{FIGURES}/confusion-1-rgb.png" in drawings
    page = (out / PAGE).read_text()
    assert "MTUT-F" in page
    assert "computed by the function that trains" in page
    assert f"page: {out / PAGE}" in printed(result, width=400)


def test_without_runs_the_page_shows_the_published_tables_and_equation_3(tmp_path, means):
    result = write_report(tmp_path / "runs", tmp_path / "out", None, means)
    assert "RSTTM" in (tmp_path / "out" / PAGE).read_text()
    drawings = [path.name for path in result.paths if path.parent.name == FIGURES]
    assert drawings == ["focal-weight.svg", "focal-weight.png"]


def test_the_same_runs_give_the_same_bytes(tmp_path, means):
    add_run(tmp_path / "runs", 3, **nvgesture())
    for out in ("a", "b"):
        write_report(tmp_path / "runs", tmp_path / out, ("6",), means)
    for name in names(tmp_path / "a") - {"tables.md"}:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_drawings_of_an_earlier_report_go_and_others_stay(tmp_path, means):
    add_run(tmp_path / "runs", 3, **nvgesture())
    out = tmp_path / "out"
    write_report(tmp_path / "runs", out, ("6",), means)
    (out / FIGURES / "confusion-9-rgb.png").write_bytes(b"old")
    (out / FIGURES / "notes.txt").write_text("mine")
    (out / "picture.png").write_bytes(b"mine")
    result = write_report(tmp_path / "runs", out, ("6",), means)
    assert [path.name for path in result.removed] == ["confusion-9-rgb.png"]
    assert (out / FIGURES / "notes.txt").exists()
    assert (out / "picture.png").exists()


def test_rows_without_runs_leave_figures_and_page_as_they_are(tmp_path, means):
    out = tmp_path / "out"
    add_run(tmp_path / "runs", 3, **nvgesture())
    write_report(tmp_path / "runs", out, ("6",), means)
    before = {name: (out / name).read_bytes() for name in names(out)}
    result = write_report(tmp_path / "gone", out, ("6",), means)
    assert not result.removed
    assert {name: (out / name).read_bytes() for name in names(out)} == before
    assert any("an earlier report wrote them" in remark for remark in result.remarks)
