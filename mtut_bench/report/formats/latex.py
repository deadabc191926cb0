"""Tables as LaTeX with booktabs: a file to include, one ``table`` environment for each table."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from mtut_bench.report.formats.plaintext import aligned, parts, plain
from mtut_bench.report.tables.table import Table

__all__ = ["escape", "to_latex_document"]

# Signs that no text has left after `plain`, for what stands between two characters.
_APART, _BREAK = "\1", "\2"
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


def escape(text: str) -> str:
    """Return a text that LaTeX shows as it is, on one line; very long words may be broken.

    A letter that Western fonts lack would stop LaTeX: it is shown by its number, '[U+4E2D]'.
    """
    words = _OPENING_QUOTE.sub("\u2018", plain(text))
    words = _LIGATURES.sub(f"\\1{_APART}", words)
    words = _LONG_WORD.sub(lambda word: _PIECE.sub(f"\\g<0>{_BREAK}", word[0]), words)
    return "".join(map(_escape_one, words))


def _escape_one(character: str) -> str:
    if character in _SPECIAL:
        return _SPECIAL[character]
    if character.isascii() or _LETTERS.match(character):
        return character
    return rf"\texttt{{{{[}}U+{ord(character):04X}{{]}}}}\allowbreak{{}}"


def to_latex_document(tables: Sequence[Table], remarks: Sequence[str]) -> str:
    """Return the content of a file to include; wide tables are shrunk, or shown in parts."""
    return _environment().get_template("tables.tex").render(tables=tables, remarks=remarks)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(__package__, ""),
        undefined=StrictUndefined,
        # LaTeX has its own use for braces before a percent sign.
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"plain": plain, "tex": escape, "parts": _parts}
    return environment


class _Column(NamedTuple):
    align: str
    head: str
    cells: list[str]


def _parts(table: Table) -> Iterator[list[_Column]]:
    """Yield the columns of each tabular."""
    texts = [[head, *(str(row[i]) for row in table.rows)] for i, head in enumerate(table.columns)]
    for part in parts(texts, table.num_labels, _WIDTH):
        yield [_column(table, index) for index in part]


def _column(table: Table, index: int) -> _Column:
    head, cells = escape(table.columns[index]), [row[index] for row in table.rows]
    if index < table.num_labels:
        return _Column("l", head, [escape(str(cell)) for cell in cells])
    padded = aligned(cells)
    with_marks = any(marks for _, marks in padded)
    texts = []
    for text, marks in padded:
        number = text.rstrip()
        texts.append(_number(number) + r"\phantom{0}" * (len(text) - len(number)))
        if with_marks:
            texts[-1] += rf" & \textsuperscript{{{marks.replace(' ', '')}}}" if marks else " & "
    if with_marks:
        return _Column("r@{}l", rf"\multicolumn{{2}}{{r}}{{{head}}}", texts)
    return _Column("r", head, texts)


def _number(text: str) -> str:
    """Return what stands in a column of numbers, with the dash and the minus of LaTeX."""
    if text == "-":
        return "--"
    return escape(f"\u2212{text[1:]}" if text.startswith("-") else text)
