"""Shows several streams of text while they come: panels on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from node.neuron.terminal_text import one_line, safe_text

if TYPE_CHECKING:
    from node.network import Peer

__all__ = ["Display", "Lines", "Panels", "Target", "Whole", "display_for"]

_LEAST_LINES = 4  # of a panel, with its border
_MOST_LINES = 9
_KEPT_CHARS = 8000


@dataclass(frozen=True, slots=True)
class Target:
    """A peer that is asked, and its uid where it has one."""

    peer: Peer
    uid: int | None = None

    @property
    def label(self) -> str:
        """`uid 3`, or the start of the hotkey."""
        return f"uid {self.uid}" if self.uid is not None else self.peer.hotkey[:8]


class Display(Protocol):
    """Takes pieces of text as they come, inside a `with` block."""

    def add(self, target: Target, text: str) -> None:
        """Shows a piece of a target's reply."""

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

    def add(self, target: Target, text: str) -> None:
        """Writes the piece."""
        sys.stdout.write(safe_text(text))
        sys.stdout.flush()

    def __exit__(self, *exc_info: object) -> None:
        sys.stdout.write("\n")


class Lines(_Plain):
    """Several streams, one line for each piece, with the target's label before it."""

    def __init__(self, targets: Sequence[Target]) -> None:
        self._width = max(len(target.label) for target in targets)

    def add(self, target: Target, text: str) -> None:
        """Writes the piece on a line of its own, line feeds in it made visible."""
        sys.stdout.write(f"{target.label:>{self._width}} | {one_line(text)}\n")
        sys.stdout.flush()


class Panels:
    """Several streams, each in a panel that shows its last lines, redrawn as text comes.

    Args:
        targets: One panel for each, in this order.
        console: A rich console on a terminal.
    """

    def __init__(self, targets: Sequence[Target], console: Any) -> None:
        from rich.live import Live

        self._console = console
        self._texts = dict.fromkeys(targets, "")
        self._height = panel_height(len(targets), console.height)
        self._live = Live(get_renderable=self._draw, console=console, refresh_per_second=15)

    def add(self, target: Target, text: str) -> None:
        """Appends to the target's panel."""
        self._texts[target] = (self._texts[target] + safe_text(text))[-_KEPT_CHARS:]

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._live.stop()

    def _draw(self) -> Any:
        from rich.console import Group

        return Group(*(self._panel(target) for target in self._texts))

    def _panel(self, target: Target) -> Any:
        from rich.panel import Panel
        from rich.text import Text

        lines = Text(self._texts[target]).wrap(self._console, self._console.width - 4)
        body = Text("\n").join(lines[-(self._height - 2) :])
        title = Text(f"{target.label} {target.peer}")
        return Panel(body, title=title, title_align="left", height=self._height)


def panel_height(count: int, terminal_lines: int) -> int:
    """Returns the lines that each of `count` panels may have; 0 where they do not fit."""
    height = min(_MOST_LINES, (terminal_lines - 2) // count)
    return height if height >= _LEAST_LINES else 0


def display_for(targets: Sequence[Target], *, alone: bool = True) -> Display:
    """Returns the display that suits the number of targets and standard output.

    Args:
        targets: Who will be shown, one or more.
        alone: Whether a single target is shown as its bare text.
    """
    if alone and len(targets) == 1:
        return Whole()
    if sys.stdout.isatty():
        from rich.console import Console

        console = Console()
        if panel_height(len(targets), console.height):
            return Panels(targets, console)
    return Lines(targets)
