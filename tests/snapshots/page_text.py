"""The text of a page as a reader sees it, a line a paragraph or a row of a table; without charts and provenance."""

import re
from html.parser import HTMLParser

_BLOCKS = {"p", "div", "h1", "h2", "h3", "h4", "tr", "li", "summary", "caption", "figcaption", "section", "dt", "dd"}
_CELLS = {"td", "th"}
_SILENT = {"script", "style", "head", "svg"}


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._silent = 0
        self._provenance = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SILENT:
            self._silent += 1
        self._provenance |= tag == "section" and dict(attrs).get("id") == "provenance"
        if tag in _BLOCKS:
            self.parts.append("\n")
        if tag in _CELLS:
            self.parts.append(" | ")

    def handle_endtag(self, tag: str) -> None:
        if tag in _SILENT:
            self._silent -= 1
        self._provenance &= tag != "section"
        if tag in _BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._silent and not self._provenance:
            self.parts.append(re.sub(r"\s+", " ", data))


def page_text(html: str) -> str:
    """The visible text of a page."""
    reader = _Text()
    reader.feed(html)
    lines = (re.sub(r"\s+", " ", line).strip(" |") for line in "".join(reader.parts).split("\n"))
    return "\n".join(line for line in lines if line) + "\n"
