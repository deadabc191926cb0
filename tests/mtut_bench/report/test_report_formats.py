import csv
import io
import shutil
import subprocess

import pytest
from report_bench import add_folds, add_run, nvgesture, own, printed, read_csv, report
from rich.console import Console

from mtut_bench.report.formats import latex, markdown
from mtut_bench.report.formats.plaintext import aligned, plain
from mtut_bench.report.formats.render import print_table, to_csv
from mtut_bench.report.tables.table import Number, Table

NASTY = r"""a#b$c%d&e_f{g}h~i^j\k<l>m"n|o`p'q''r--s*t[u]v"""
HOSTILE = (
    NASTY,
    "[starts",
    "*star",
    r"\end{tabular}",
    "\u00e9 \u00df \u00b1 \u00d7 \u03bb \u0141",
    "\u624b \U0001f600 \x1b[31m",
    "100% \\\\ {",
    "``quoted'' ,, !` ?`",
    "two\nlines",
    "A" * 60,
)
MARKED = (Number(82.28, 2, marks=(1, 2)), Number(45.1, 1), Number(None))


def hostile_tables():
    """A local table with hostile names everywhere, and a published one with marks."""
    cells = (Number(1, of=2), Number(5.3, 1, spread=0.0), Number(45.0, 1, folds=(1, 8)))
    rows = tuple((name, *cells) for name in HOSTILE)
    heading = f"Heading {NASTY} {'x/y_z' * 30}"
    notes = (f"- note {NASTY}", "1. one", f"source {'f' * 64}", "# [x] & y")
    first = Table("own-1", heading, ("Method", "Folds", "rgb", "de_pth#"), rows, notes, 2)
    gain = Number(3.2, 2, "+")
    lines = tuple((name, figure, gain) for name, figure in zip("xyz", MARKED, strict=True))
    notes = ("first note", "second note " * 20)
    heads = ("Method", "Published", "Difference")
    return first, Table("3", f"Table 3. {NASTY}", heads, lines, numbered=notes)


def markdown_of(table):
    return markdown.to_markdown_document([table], [])


def tex_of(table):
    return latex.to_latex_document([table], [])


def test_csv_holds_raw_numbers_in_constant_columns(tmp_path):
    add_folds(tmp_path / "runs", [1, 2, 2, 3, 3, 4, 4, 5])
    report(tmp_path)
    cells = [read_csv(tmp_path / "out" / f"table-{number}.csv") for number in "1234567"]
    assert len({tuple(table[0]) for table in cells}) == 1
    assert float(cells[0][-1]["measured"]) == pytest.approx(30.0)
    assert cells[0][0]["measured"] == ""
    assert float(cells[0][0]["published"]) == 52.3


def test_csv_quotes_what_would_break_it():
    rows = [{"a": name, "b": 1} for name in HOSTILE]
    found = csv.DictReader(io.StringIO(to_csv(["a", "b"], rows).decode(), newline=""))
    assert [row["a"] for row in found] == list(HOSTILE)


@pytest.mark.parametrize("character", "\\|*_<>`[]&#~$")
def test_markdown_escapes(character):
    assert markdown.escape(f"a{character}b") == f"a\\{character}b"


def test_markdown_rows_keep_their_number_of_cells():
    table = hostile_tables()[0]
    lines = [line for line in markdown_of(table).splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(HOSTILE)
    assert {line.replace("\\|", "").count("|") for line in lines} == {5}


def test_markdown_notes_open_no_list_or_heading_of_their_own():
    text = markdown_of(hostile_tables()[0])
    assert "\n- \\- note" in text
    assert "\n- 1\\. one" in text
    assert "\n- \\# \\[x\\] \\& y" in text


def test_plain_text_steers_no_terminal():
    assert plain("a\x1b[31m\tb\n\u202ec") == "a\ufffd[31m b \ufffdc"
    console = Console(file=io.StringIO(), width=200, force_terminal=True, color_system=None)
    print_table(hostile_tables()[0], console)
    assert "\x1b[31m" not in console.file.getvalue()


def test_a_terminal_shows_names_as_they_are():
    console = Console(file=io.StringIO(), width=200)
    print_table(hostile_tables()[0], console)
    text = console.file.getvalue()
    assert all(name in text for name in (NASTY, "[starts", "*star", "A" * 60))


def test_marks_stand_apart_and_points_in_one_line():
    cells = [MARKED[0], Number(45.1, 1), Number(7), Number(None), Number(70.0, 1, folds=(3, 8))]
    assert aligned([*cells, "a net (1)", Number(7, of=8), Number(0.001, 3, below=True)]) == [
        ("82.28", "(1) (2)"),
        ("45.1 ", ""),
        ("7   ", ""),
        ("-", ""),
        ("70.0 (3 of 8 folds)", ""),
        ("a net (1)", ""),
        ("7/8", ""),
        ("< 0.001", ""),
    ]


def test_points_stand_in_one_line_on_a_terminal(tmp_path):
    lines = printed(report(tmp_path), published=("3",)).splitlines()
    figures = [line for line in lines if "82.28" in line or "80.3" in line or "83.40" in line]
    assert len(figures) == 3
    assert len({line.rindex(".") for line in figures}) == 1


LATEX = {
    "#$%&{}^<>": r"\#\$\%\&\{\}\textasciicircum{}\textless{}\textgreater{}",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "\\": r"\textbackslash{}",
    '"': r"\textquotedbl{}",
    "\u00b1": r"$\pm$",
    "--": "-{}-",
    "[": "{[}",
    "*": "{*}",
    "\u00e9": "\u00e9",
    "\u624b\u4e2d": r"\texttt{{[}U+624B{]}}\allowbreak{}\texttt{{[}U+4E2D{]}}\allowbreak{}",
    "\x00": r"\texttt{{[}U+FFFD{]}}\allowbreak{}",
    "don't": "don't",
    "''": "'{}'",
}


@pytest.mark.parametrize("text", LATEX)
def test_latex_escapes(text):
    assert latex.escape(text) == LATEX[text]


def test_latex_has_a_raised_mark_beside_its_figure_and_its_note():
    text = tex_of(hostile_tables()[1])
    assert r"x & 82.28 & \textsuperscript{(1)(2)} & +3.20 \\" in text
    assert r"y & 45.1\phantom{0} &  & +3.20 \\" in text
    assert r"\textsuperscript{(1)} first note\par" in text
    assert r"\begin{tabular}{lr@{}lr}" in text


def test_latex_shows_a_wide_table_in_parts_that_can_be_read(tmp_path):
    three = {"modalities": ("rgb", "depth", "flow")}
    add_run(tmp_path / "runs", 6, origin="synthetic", **three, **nvgesture())
    text = tex_of(own(report(tmp_path))[0])
    heads = [line for line in text.splitlines() if line.startswith("Method &")]
    assert len(heads) == 2
    names = [name.strip(" \\") for line in heads for name in line.split("&")[3:]]
    assert names == ["rgb", "depth", "flow", *("rgb+depth", "rgb+flow", "depth+flow"), names[-1]]
    assert names[-1] == "rgb+depth+flow"


def test_latex_writes_a_minus_before_a_negative_number():
    rows = (("x-y", Number(-3.2, 2, "+")), ("z", Number(None)), ("-1", Number(-0.001, 2)))
    table = Table("1", "Table 1. x", ("a", "b"), rows)
    text = tex_of(table)
    assert r"x-y & $-$3.20 \\" in text
    assert r"z & -- \\" in text
    assert r"-1 & $-$0.00 \\" in text


def test_latex_holds_every_table_once(tmp_path):
    add_run(tmp_path / "runs", origin="synthetic")
    report(tmp_path)
    text = (tmp_path / "out" / "tables.tex").read_text()
    keys = [*"1234567", "own-1"]
    assert [f"\\label{{tab:mtut-bench-{key}}}" in text for key in keys] == [True] * 8
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 8


DOCUMENT = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage{booktabs}
\usepackage{graphicx}
\begin{document}
\input{tables}
\end{document}
"""


def compile_latex(folder):
    """Run pdflatex on the folder's tables; return what it printed."""
    (folder / "document.tex").write_text(DOCUMENT)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "document.tex"]
    result = subprocess.run(command, cwd=folder, capture_output=True)
    output = result.stdout.decode(errors="replace")
    assert result.returncode == 0, output
    return output


needs_latex = pytest.mark.skipif(
    shutil.which("pdflatex") is None,
    reason="pdflatex is absent (Debian: texlive-latex-base texlive-latex-recommended)",
)


@needs_latex
def test_latex_compiles_without_a_line_too_wide(tmp_path):
    add_run(tmp_path / "runs", modalities=("rgb", "depth", "flow"), origin="synthetic")
    report(tmp_path)
    assert "Overfull" not in compile_latex(tmp_path / "out")


@needs_latex
def test_latex_compiles_with_hostile_names(tmp_path):
    text = latex.to_latex_document(hostile_tables(), ["a % remark\n\\end{document}"])
    (tmp_path / "tables.tex").write_text(text)
    assert "Overfull" not in compile_latex(tmp_path)


@pytest.mark.parametrize("width", [60, 80, 100])
def test_no_line_is_wider_than_the_terminal_and_no_number_is_cut(tmp_path, width):
    for seed in (0, 1):
        add_run(tmp_path / "runs", 6, seed=seed, modalities=("rgb", "depth", "flow"), **nvgesture())
    add_run(
        tmp_path / "runs",
        6,
        modalities=("rgb", "depth", "flow"),
        **nvgesture(name="drawn", origin="synthetic"),
    )
    lines = printed(report(tmp_path), width).splitlines()
    assert max(len(line.rstrip()) for line in lines if not line.startswith("wrote")) <= width
    assert not any("\u2026" in line for line in lines)
