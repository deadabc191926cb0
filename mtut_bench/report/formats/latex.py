"""Tables as LaTeX with booktabs: a file to include, one ``table`` environment for each table."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise, zip_longest

from mtut_bench.report.formats.plaintext import aligned, parts, plain
from mtut_bench.report.tables.table import Table, TableCell

__all__ = ["escape", "to_latex", "to_latex_document"]

# Signs that no text has left after `plain`, for what stands between two characters.
_APART, _BREAK = "\1", "\2"
_HEAD = """\
% Written by `mtut-bench report`; edits are lost when it is written again.
% Put \\input{tables} into a document with these packages in its preamble:
%   \\usepackage[T1]{fontenc}   % LaTeX of 2020 or newer, which reads UTF-8
%   \\usepackage{booktabs}
%   \\usepackage{graphicx}
"""
_SPECIAL = {
    "#": r"\#",
    "$": r"\$",
    "%": r"\%",
    "&": r"\&",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    # After the end of a row an asterisk or a bracket would be read as its option.
    "*": "{*}",
    "[": "{[}",
    "]": "{]}",
    _APART: "{}",
    _BREAK: r"\allowbreak{}",
    "\u00b1": r"$\pm$",
    "\u00d7": r"$\times$",
    "\u2212": "$-$",
    "\u2013": r"\textendash{}",
    "\u2014": r"\textemdash{}",
    "\u2018": r"\textquoteleft{}",
    "\u2019": r"\textquoteright{}",
    "\u201c": r"\textquotedblleft{}",
    "\u201d": r"\textquotedblright{}",
    "\u2026": r"\dots{}",
    "\u03b2": r"$\beta$",
    "\u03bb": r"$\lambda$",
    "\u03c1": r"$\rho$",
}
# Two of them in a row are one other sign in T1 fonts.
_LIGATURES = re.compile(r"([-',])(?=\1)")
_OPENING_QUOTE = re.compile(r"(?<![^\s(])'(?=\w)")
# Letters that LaTeX's own UTF-8 tables hold for T1 fonts.
_LETTERS = re.compile(
    "[\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u0107\u010c-\u0111\u0141\u0142\u0152\u0153]"
)
# Characters of a footnote's size that fit beside each other, or nearly.
_WIDTH = 100
_LONG_WORD = re.compile(r"\S{30,}")
_PIECE = re.compile(r".{15}")


def escape(text: str, *, breakable: bool = False) -> str:
    """Return a text that LaTeX shows as it is, on one line.

    A letter that Western fonts lack is shown by its number, as in 'U+4E2D', apart from others: it
    would stop LaTeX.

    Args:
        text: any text.
        breakable: let a very long word, the name of a file say, go on in the next line.
    """
    words = _OPENING_QUOTE.sub("\u2018", plain(text))
    words = _LIGATURES.sub(f"\\1{_APART}", words)
    words = _spaced(words)
    if breakable:
        words = _LONG_WORD.sub(lambda word: _PIECE.sub(f"\\g<0>{_BREAK}", word[0]), words)
    return "".join(map(_escape_one, words))


def _spaced(text: str) -> str:
    """Return a text with letters apart whose numbers would run into each other or into a word."""
    pairs = pairwise(text)
    spaced = (" " if _run_together(one, other) else "" for one, other in pairs)
    return "".join(map("".join, zip_longest(text, spaced, fillvalue="")))


def _run_together(one: str, other: str) -> bool:
    return not (_is_known(one) and _is_known(other)) and all(
        character.isalnum() or not _is_known(character) for character in (one, other)
    )


def _is_known(character: str) -> bool:
    return character in _SPECIAL or character.isascii() or bool(_LETTERS.match(character))


def _escape_one(character: str) -> str:
    if character in _SPECIAL:
        return _SPECIAL[character]
    return character if _is_known(character) else rf"\texttt{{U+{ord(character):04X}}}"


def to_latex(table: Table) -> str:
    """Return a table as one ``table`` environment; shrunk where it is wider than the text.

    Args:
        table: what to write.
    """
    caption = table.heading if table.key.startswith("own") else f"The paper's {table.heading}"
    return "\n".join(
        [
            r"\begin{table}[htbp]",
            r"\centering",
            rf"\caption{{{escape(caption, breakable=True)}}}",
            rf"\label{{tab:mtut-bench-{table.key}}}",
            r"\vspace{0.5ex}",
            r"\footnotesize",
            *(line for part in _parts(table) for line in _tabular(table, part)),
            *_notes(table),
            r"\end{table}",
            "",
        ]
    )


def to_latex_document(tables: Sequence[Table], remarks: Sequence[str]) -> str:
    """Return the content of a file to include.

    Args:
        tables: in order.
        remarks: sentences about the whole; they stand as comments at the top.
    """
    comments = "".join(f"% {plain(remark)}\n" for remark in remarks)
    return "\n".join([_HEAD + comments, *(to_latex(table) for table in tables)])


def _parts(table: Table) -> Iterator[list[int]]:
    columns = [[head, *(str(row[i]) for row in table.rows)] for i, head in enumerate(table.columns)]
    return parts(columns, table.num_labels, _WIDTH)


def _tabular(table: Table, part: Sequence[int]) -> Iterator[str]:
    """Yield the lines of a tabular, shrunk where it is wider than the text."""
    heads, columns, spec = [], [], ""
    for column in part:
        cells, head = [row[column] for row in table.rows], escape(table.columns[column])
        label = column < table.num_labels
        texts, with_marks = ([escape(str(c)) for c in cells], False) if label else _measuring(cells)
        heads.append(rf"\multicolumn{{2}}{{r}}{{{head}}}" if with_marks else head)
        columns.append(texts)
        spec += "l" if label else "r@{}l" if with_marks else "r"
    yield r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
    yield rf"\begin{{tabular}}{{{spec}}}"
    yield r"\toprule"
    yield rf"{' & '.join(heads)} \\"
    yield r"\midrule"
    grouped = any(not row[0] for row in table.rows)
    for line, row in enumerate(table.rows):
        if grouped and line and row[0]:
            yield r"\addlinespace"
        yield rf"{' & '.join(column[line] for column in columns)} \\"
    yield r"\bottomrule"
    yield r"\end{tabular}%"
    yield r"}\par\smallskip"


def _measuring(cells: Sequence[TableCell]) -> tuple[list[str], bool]:
    """Return cells with their points in one line, and whether they are two: figure and marks."""
    padded = aligned(cells)
    with_marks = any(marks for _, marks in padded)
    texts = []
    for cell, (padded_text, marks) in zip(cells, padded, strict=True):
        text = padded_text.rstrip()
        gap = r"\phantom{0}" * (len(padded_text) - len(text))
        shown = _number(cell, text)
        texts.append(f"{shown}{gap} & {_raised(marks)}" if with_marks else f"{shown}{gap}")
    return texts, with_marks


def _number(cell: TableCell, text: str) -> str:
    """Return the text of a cell with the dash and the minus of LaTeX."""
    if isinstance(cell, str) or not text.startswith("-"):
        return escape(text)
    return "--" if cell.value is None else escape(f"\u2212{text[1:]}")


def _raised(marks: str) -> str:
    return rf"\textsuperscript{{{marks.replace(' ', '')}}}" if marks else ""


def _notes(table: Table) -> Iterator[str]:
    if not table.lines:
        return
    yield r"\begin{minipage}{\linewidth}\raggedright"
    for number, note in enumerate(table.numbered, 1):
        yield rf"{_raised(f'({number})')} {escape(note, breakable=True)}\par"
    for note in table.notes:
        yield rf"{escape(note, breakable=True)}\par"
    yield r"\end{minipage}"
