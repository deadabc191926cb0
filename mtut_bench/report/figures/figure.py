"""One picture of a report, ready to be written as a file or put into a page."""

from dataclasses import dataclass

__all__ = ["Figure"]


@dataclass(frozen=True)
class Figure:
    """A drawn figure.

    Attributes:
        key: stem of its files; letters, digits and '-'.
        title: a few words.
        caption: what is shown, of which runs, and what it is worth.
        alt: what a reader who cannot see it should know.
        svg: the drawing as SVG.
        png: the drawing as PNG.
    """

    key: str
    title: str
    caption: str
    alt: str
    svg: bytes
    png: bytes
