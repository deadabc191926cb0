"""Tables as GitHub Markdown."""

import re
from collections.abc import Sequence

from mtut_bench.report.formats.plaintext import plain
from mtut_bench.report.tables.table import Table

__all__ = ["escape", "to_markdown_document"]

_SPECIAL = re.compile(r"([\\|*_<>`\[\]&#~$])")
# What opens a list, a heading or a rule at the start of a line.
_OPENING = re.compile(r"^(?:([-+=])|(\d+)([.)]))")


def escape(text: str) -> str:
    """Return a text that Markdown shows as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", plain(text))


def to_markdown_document(tables: Sequence[Table], remarks: Sequence[str]) -> str:
    """Return a page of tables."""
    lines = ["# Results", "", "Accuracy in percent; a dash where there is no number.", ""]
    lines += _list(remarks)
    for table in tables:
        lines += ["", f"## {escape(table.heading)}", ""]
        align = ["---" if i < table.num_labels else "---:" for i in range(len(table.columns))]
        heads, *rows = ([escape(str(cell)) for cell in row] for row in (table.columns, *table.rows))
        lines += [f"| {' | '.join(texts)} |" for texts in (heads, align, *rows)]
        lines += ["", *_list(table.lines)] if table.lines else []
    return "\n".join(lines) + "\n"


def _list(sentences: Sequence[str]) -> list[str]:
    return [f"- {_OPENING.sub(_close, escape(sentence))}" for sentence in sentences]


def _close(opening: re.Match[str]) -> str:
    sign, number, behind = opening.groups()
    return f"\\{sign}" if sign else f"{number}\\{behind}"
