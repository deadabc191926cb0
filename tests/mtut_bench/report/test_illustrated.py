"""Figures and page as files of a report; what they show is tested where they are made."""

import numpy as np
import pytest
from report_bench import I3D, add_run, names_in, nvgesture, printed

from mtut_bench.errors import ReportError
from mtut_bench.report import Illustration, write_report
from mtut_bench.report.bundle import illustrated
from mtut_bench.report.bundle.folder import FIGURES, PAGE, check_report


def rho(loss_m, loss_n):
    return np.maximum(0.0, np.exp(2.0 * (loss_m - loss_n)) - 1.0)


@pytest.fixture
def means(tmp_path):
    return Illustration(rho, tmp_path / "stores")


@pytest.fixture(autouse=True)
def drawn_once(monkeypatch):
    """Equal runs give equal figures, as test_figures.py shows: they are drawn once."""
    drawn = illustrated.draw_figures

    def draw(runs, **means):
        key = tuple(
            ((run.folder / "manifest.json").read_bytes(), run.scores.scores_MNK.tobytes())
            for run in runs
        )
        if key not in _DRAWN:
            _DRAWN[key] = drawn(runs, **means)
        return _DRAWN[key]

    monkeypatch.setattr(illustrated, "draw_figures", draw)


_DRAWN = {}


def test_figures_and_page_are_written_beside_the_tables(tmp_path, means):
    runs, out = tmp_path / "runs", tmp_path / "out"
    add_run(runs, 3, **nvgesture())
    add_run(runs, 7, method=I3D, **nvgesture())
    result = write_report(runs, out, means)
    assert names_in(out) == {path.relative_to(out).as_posix() for path in result.paths}
    drawings = {name for name in names_in(out) if name.startswith(FIGURES)}
    assert {name.removesuffix(".svg") for name in drawings if name.endswith(".svg")} == {
        name.removesuffix(".png") for name in drawings if name.endswith(".png")
    }
    assert f"{FIGURES}/confusion-1-rgb.png" in drawings
    page = (out / PAGE).read_text()
    assert "MTUT-F" in page
    assert "computed by the function that trains" in page
    assert f"page: {out / PAGE}" in printed(result, width=400)


def test_drawings_of_an_earlier_report_go_and_others_stay(tmp_path, means):
    add_run(tmp_path / "runs", 3, **nvgesture())
    old = add_run(tmp_path / "runs", 7, method=I3D, **nvgesture())
    out = tmp_path / "out"
    write_report(tmp_path / "runs", out, means)
    drawn = names_in(out)
    mine = {"figures/mine.png", "figures/own.svg", "figures/notes.txt", "picture.png"}
    for name in mine:
        (out / name).write_text("mine")
    old.rename(tmp_path / "elsewhere")
    result = write_report(tmp_path / "runs", out, means)
    gone = {path.relative_to(out).as_posix() for path in result.removed}
    assert gone
    assert all(name.startswith("figures/") for name in gone)
    assert names_in(out) == drawn - gone | mine
    check_report(out)


@pytest.mark.parametrize("name", ["index.html", "figures/focal-weight.png"])
def test_check_finds_a_page_or_figure_that_is_gone_or_changed(tmp_path, means, name):
    add_run(tmp_path / "runs", 3, **nvgesture())
    out = tmp_path / "out"
    write_report(tmp_path / "runs", out, means)
    check_report(out)
    (out / name).write_text("other")
    with pytest.raises(ReportError, match=f"{name} has changed"):
        check_report(out)
    (out / name).unlink()
    with pytest.raises(ReportError, match=f"{name} is missing"):
        check_report(out)
    # As the hint says: written again, without runs from the rows.
    write_report(tmp_path / "gone", out, means)
    check_report(out)


def test_rows_without_runs_leave_figures_and_page_as_they_are(tmp_path, means):
    out = tmp_path / "out"
    add_run(tmp_path / "runs", 3, **nvgesture())
    write_report(tmp_path / "runs", out, means)
    before = {name: (out / name).read_bytes() for name in names_in(out)}
    result = write_report(tmp_path / "gone", out, means)
    assert not result.removed
    assert {name: (out / name).read_bytes() for name in names_in(out)} == before
    assert any("are not updated" in remark for remark in result.remarks)
