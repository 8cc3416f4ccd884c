"""Shows several replies while they come: a live table on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Protocol, Self

from node.neuron.terminal_text import one_line, safe_text

from .replies import Reply
from .reply_table import table_of

__all__ = ["Display", "Lines", "LiveTable", "Whole", "display_for", "pane_height", "rows_shown"]

_LEAST_LINES = 4  # of a pane, with its border
_MOST_LINES = 9
_MOST_PANES = 4
_KEPT_CHARS = 8000
_TABLE_LINES = 6  # of a table without rows, with a heading of two lines, and of its summary
_PANES_PER_S = 10
_TABLES_PER_S = 4
_KINDS = ("connecting", "waiting", "answering", "done", "failed")


class Display(Protocol):
    """Takes pieces of text as they come, inside a `with` block."""

    def add(self, reply: Reply, text: str) -> None:
        """Shows a piece of a reply."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class _Plain:
    """A display that writes to standard output and has nothing to put back."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        pass


class Whole(_Plain):
    """One stream as it is: its text and nothing else, and a line feed at the end."""

    def add(self, reply: Reply, text: str) -> None:
        """Writes the piece."""
        sys.stdout.write(safe_text(text))
        sys.stdout.flush()

    def __exit__(self, *exc_info: object) -> None:
        sys.stdout.write("\n")


class Lines(_Plain):
    """Several streams, one line for each piece, with the target's label before it."""

    def __init__(self, replies: Sequence[Reply]) -> None:
        self._width = max(len(reply.target.label) for reply in replies)

    def add(self, reply: Reply, text: str) -> None:
        """Writes the piece on a line of its own, line feeds in it made visible."""
        sys.stdout.write(f"{reply.target.label:>{self._width}} | {one_line(text)}\n")
        sys.stdout.flush()


class LiveTable:
    """A table of all replies, redrawn a few times a second, and for a few of them their text.

    The text is in panes above the table, which show its last lines. At the end the panes stay and
    the table goes, for the finished one follows; after an error everything stays as it was.

    Args:
        replies: One row for each, in this order. Where the terminal has too few lines those that
            are over give way, and a line below counts them all.
        console: A rich console on a terminal.
    """

    def __init__(self, replies: Sequence[Reply], console: Any) -> None:
        from rich.live import Live

        self._replies = list(replies)
        self._console = console
        self._texts: dict[Reply, str] = {}
        self._pane_lines = pane_height(len(self._replies), console.height)
        if self._pane_lines:
            self._texts = dict.fromkeys(self._replies, "")
        self._ended = False
        self._live = Live(
            get_renderable=self._draw,
            console=console,
            refresh_per_second=_PANES_PER_S if self._texts else _TABLES_PER_S,
        )

    def add(self, reply: Reply, text: str) -> None:
        """Appends to the reply's pane, if it has one."""
        if reply in self._texts:
            self._texts[reply] = (self._texts[reply] + safe_text(text))[-_KEPT_CHARS:]

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended = kind is None
        self._live.stop()

    def _draw(self) -> Any:
        from rich.console import Group

        parts = [self._pane(reply) for reply in self._texts]
        if not self._ended:
            lines = self._console.height - self._pane_lines * len(parts)
            shown = rows_shown(self._replies, lines - _TABLE_LINES)
            parts += [
                table_of(shown, self._console.width, live=True),
                self._summary(len(self._replies) - len(shown)),
            ]
        return Group(*parts)

    def _pane(self, reply: Reply) -> Any:
        from rich.panel import Panel
        from rich.text import Text

        lines = Text(self._texts[reply]).wrap(self._console, self._console.width - 4)
        body = Text("\n").join(lines[-(self._pane_lines - 2) :])
        title = Text(f"{reply.target.label} {reply.target.peer}")
        return Panel(body, title=title, title_align="left", height=self._pane_lines)

    def _summary(self, hidden: int) -> Any:
        from rich.text import Text

        counts = Counter(_kind(reply) for reply in self._replies)
        words = [f"{counts[kind]} {kind}" for kind in _KINDS if counts[kind]]
        note = f" ({hidden} not shown)" if hidden else ""
        text = f"{len(self._replies)} peers{note}: {', '.join(words)}"
        return Text(text, "dim", no_wrap=True, overflow="ellipsis")


def _kind(reply: Reply) -> str:
    if reply.status is None:
        return reply.state
    return "done" if reply.is_good else "failed"


def rows_shown(replies: Sequence[Reply], room: int) -> list[Reply]:
    """Returns the replies to show in `room` lines, at least one, those that are over last."""
    if len(replies) <= room:
        return list(replies)
    ranked = sorted(range(len(replies)), key=lambda n: replies[n].status is not None)
    return [replies[n] for n in sorted(ranked[: max(1, room)])]


def pane_height(count: int, terminal_lines: int) -> int:
    """Returns the lines of each of `count` panes above a table; 0 where they do not fit."""
    if count > _MOST_PANES:
        return 0
    height = min(_MOST_LINES, (terminal_lines - count - _TABLE_LINES - 1) // count)
    return height if height >= _LEAST_LINES else 0


def display_for(replies: Sequence[Reply], *, alone: bool = True) -> Display:
    """Returns the display that suits the number of replies and standard output.

    Args:
        replies: Those that will be shown, one or more.
        alone: Whether a single one is shown as its bare text.
    """
    if alone and len(replies) == 1:
        return Whole()
    if sys.stdout.isatty():
        from rich.console import Console

        console = Console()
        if not console.is_dumb_terminal:
            return LiveTable(replies, console)
    return Lines(replies)
