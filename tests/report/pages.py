"""A report read back: its elements, as a browser's parser would meet them."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

from node.neuron.state import StateReader
from node.report import Digest, page_of

NOW_NS = 1_770_000_000 * 10**9


def report_of(path: Path) -> str:
    """The page of a state."""
    return page_of(Digest.read(StateReader(path)), NOW_NS).decode()


class Page(HTMLParser):
    """Tags with their attributes, the text of each, and the rows of the table."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.rows: list[list[str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        for tag in self._open:
            self.texts.setdefault(tag, []).append(data)
        if {"td", "th"} & set(self._open):
            self.rows[-1][-1] += data

    def count(self, tag: str) -> int:
        """How often a tag comes."""
        return sum(name == tag for name, _ in self.tags)

    def all(self, attribute: str) -> list[str]:
        """Every value of an attribute."""
        return [attrs[attribute] or "" for _, attrs in self.tags if attribute in attrs]

    def text(self, tag: str) -> str:
        """All text inside of a tag."""
        return "".join(self.texts.get(tag, []))
