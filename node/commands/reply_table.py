"""The table of how each peer did: the same for replies that are over and for those that run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Self

from node.neuron.terminal_text import one_line

from .replies import Reply

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

__all__ = ["print_table", "table_of"]

_HOTKEY_CHARS = 48
_SHORT_HOTKEY_CHARS = 9
_UID_CHARS = 3
_RECEIPT_CHARS = 7
_STATUS_CHARS = 60
_SHORT_STATUS_CHARS = 11  # "200 Success"
_LIVE_STATUS_CHARS = 32
_PIPE_WIDTH = 200
_NO_LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class _Number:
    """A column of numbers.

    Attributes:
        heading: Broken at its first space where the terminal is narrow.
        cell: The number as text; "-" where there is none.
        least: Least width, so that a live table does not move at every digit.
    """

    heading: str
    cell: Callable[[Reply], str]
    least: int = 0


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.1f}"


def _rate(reply: Reply) -> str:
    return "-" if reply.tokens_per_s is None else f"{reply.tokens_per_s:.0f}"


def _burst(reply: Reply) -> str:
    return f"{reply.timing.burstiness:.2f}" if reply.timing.chunks else "-"


def _longest_gap(reply: Reply) -> str:
    return _milliseconds(reply.timing.longest_gap_s) if reply.timing.gaps else "-"


_NUMBERS = (
    _Number("first byte ms", lambda reply: _milliseconds(reply.timing.first_byte_s), 7),
    _Number("tokens/s", _rate),
    _Number("chunks", lambda reply: str(reply.timing.chunks)),
    _Number("bytes", lambda reply: str(reply.timing.bytes), 6),
    _Number("burst", _burst),
)
_WIDE_NUMBERS = (*_NUMBERS, _Number("longest gap ms", _longest_gap, 7))


def print_table(replies: Sequence[Reply], *, wide: bool = False) -> None:
    """Prints one row a reply: uid, hotkey, numbers, receipt, status.

    The numbers are first byte ms, tokens/s, chunks, bytes, and burst: the share of chunks that came
    in one read with others. A terminal that is too narrow shows the start of each hotkey; a file
    or pipe gets all of it.

    Args:
        replies: Those that are over.
        wide: Whether the longest gap between two chunks has a column too.
    """
    from rich.console import Console

    width = Console().width if sys.stdout.isatty() else _PIPE_WIDTH
    # Lines that a terminal breaks are better than columns that rich leaves out.
    Console(width=_NO_LIMIT).print(table_of(replies, width, wide=wide))


def table_of(
    replies: Sequence[Reply], width: int, *, wide: bool = False, live: bool = False
) -> Table:
    """Returns the table.

    Args:
        replies: One row for each.
        width: Columns of the terminal.
        wide: As for `print_table`.
        live: Whether it is one of several, drawn one after another: each row is then one line.
    """
    from rich.table import Table

    numbers = _WIDE_NUMBERS if wide else _NUMBERS
    cells = [[number.cell(reply) for number in numbers] for reply in replies]
    layout = _Layout.of(numbers, cells, width)
    longest = max((len(one_line(reply.state)) for reply in replies), default=0)
    status_chars = layout.status_chars(_LIVE_STATUS_CHARS if live else longest)
    hotkey_chars = layout.hotkey_chars(status_chars)
    table = Table(padding=(0, layout.padding))
    table.add_column("uid", justify="right", no_wrap=True, min_width=_UID_CHARS)
    table.add_column("hotkey", no_wrap=True, width=hotkey_chars)
    for heading, chars in zip(layout.headings, layout.widths, strict=True):
        table.add_column(heading, justify="right", no_wrap=True, min_width=chars)
    table.add_column("receipt", no_wrap=True, min_width=_RECEIPT_CHARS)
    table.add_column(
        "status", no_wrap=live, overflow="ellipsis" if live else "fold", width=status_chars
    )
    for reply, row in zip(replies, cells, strict=True):
        uid = "-" if reply.target.uid is None else str(reply.target.uid)
        hotkey = _short(reply.target.peer.hotkey, hotkey_chars)
        table.add_row(uid, hotkey, *row, _receipt(reply), _status(reply))
    return table


class _Layout(NamedTuple):
    """How the columns of numbers are laid out, and what is left for hotkeys and statuses."""

    headings: list[str]
    widths: list[int]
    padding: int
    spare: int

    @classmethod
    def of(cls, numbers: Sequence[_Number], cells: Sequence[Sequence[str]], width: int) -> Self:
        """Return the roomiest of three layouts that fits the terminal, or else the last."""
        others = [_UID_CHARS, _SHORT_HOTKEY_CHARS, _RECEIPT_CHARS, _SHORT_STATUS_CHARS]
        columns = len(numbers) + len(others)
        for breaks, padding in ((False, 1), (True, 1), (True, 0)):
            headings = [
                number.heading.replace(" ", "\n", 1) if breaks else number.heading
                for number in numbers
            ]
            widths = [
                max(number.least, *map(len, [*heading.split("\n"), *column]))
                for number, heading, column in zip(
                    numbers, headings, zip(*cells, strict=True), strict=True
                )
            ]
            spare = width - sum(widths) - sum(others) - 2 * padding * columns - columns - 1
            if spare >= 0:
                break
        return cls(headings, widths, padding, max(0, spare))

    def status_chars(self, wanted: int) -> int:
        """Return the width of statuses, of which the longest has `wanted` characters."""
        most = min(_STATUS_CHARS, _SHORT_STATUS_CHARS + self.spare)
        return max(_SHORT_STATUS_CHARS, min(wanted, most))

    def hotkey_chars(self, status_chars: int) -> int:
        """Return the width of hotkeys beside statuses of that width."""
        spare = self.spare - (status_chars - _SHORT_STATUS_CHARS)
        return min(_HOTKEY_CHARS, _SHORT_HOTKEY_CHARS + spare)


def _short(hotkey: str, chars: int) -> str:
    return hotkey if len(hotkey) <= chars else hotkey[: chars - 1] + "…"


def _receipt(reply: Reply) -> Text:
    from rich.text import Text

    style = {"ok": "green", "bad": "bold red", "none": "dim"}.get(reply.receipt, "")
    return Text(reply.receipt or "-", style)


def _status(reply: Reply) -> Text:
    from rich.text import Text

    # Text, not str: rich would take square brackets in a peer's words for markup.
    if reply.status is None:
        return Text(reply.state, "cyan" if reply.state == "answering" else "dim")
    return Text(one_line(reply.state), "green" if reply.is_good else "red")
