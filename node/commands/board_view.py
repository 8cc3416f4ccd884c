"""Draws the live board for a terminal of some size: a step's progress, its reasons, and peers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from node.neuron.board import Tally
from node.neuron.scoring import Reason
from node.neuron.terminal_text import one_line

from .board_state import BoardState, PeerLine

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

__all__ = ["draw_board"]

_BLOCK_S = 12
_DOT = " · "
_WIDE = 118  # columns from which on the reasons have a table of their own
_REASON_CHARS = 20
_TABLE_LINES = 6  # of a table with two sections and no rows
_CURSOR_LINES = 1  # below the last frame, which stays when the program ends
_LEAST_ROWS, _MOST_ROWS = 2, 20
_SHORT_HOTKEY = 11


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of the peers' table.

    Attributes:
        heading: Its name.
        cell: What it shows of a peer.
        least: Columns of the terminal from which on it is there.
        style: Of all its cells.
    """

    heading: str
    cell: Callable[[PeerLine], str]
    least: int = 0
    style: str = ""


_COLUMNS = (
    _Column("uid", lambda line: str(line.uid)),
    _Column("hotkey", lambda line: _short(line.hotkey), 46, "dim"),
    _Column("score", lambda line: _number(line.score, 3), 0, "bold"),
    _Column("reward", lambda line: _number(line.reward, 3), 56),
    _Column("first byte", lambda line: _milliseconds(line.first_byte_s), 68),
    _Column("tokens/s", lambda line: _number(line.tokens_per_s, 0), 80),
)


def draw_board(state: BoardState, width: int, height: int) -> Any:
    """Returns what rich is to draw.

    Args:
        state: What is known.
        width: Columns of the terminal.
        height: Its lines; all but one are used at most.
    """
    from rich.console import Group
    from rich.table import Table

    head: list[Any] = [*_title(state, width), _progress(state, width)]
    if state.tally is not None:
        head.append(_summary(state))
    if width < _WIDE and state.tally is not None:
        head.append(_reasons_line(state.tally.reasons))
    if state.note and not state.is_running:
        head.append(_line(f"note: {one_line(state.note)}", "yellow"))
    room = min(_MOST_ROWS, height - len(head) - _TABLE_LINES - _CURSOR_LINES)
    tables: list[Table] = []
    foot: list[Text] = []
    if room >= _LEAST_ROWS and state.best:
        tables.append(_peers_table(state, width, room))
        foot = _caption(state, room)
    if room >= _LEAST_ROWS and width >= _WIDE and state.tally is not None:
        tables.append(_reasons_table(state, room))
    if not tables:
        return Group(*head)
    side_by_side = Table.grid(padding=(0, 2))
    side_by_side.add_row(*tables)
    return Group(*head, side_by_side, *foot)


def _title(state: BoardState, width: int) -> list[Text]:
    """One line, or two where one has no room for all."""
    parts = ["starting" if state.tally is None else f"step {state.tally.step:,}"]
    if state.block is not None:
        parts.append(f"block {state.block:,}")
        parts.append(_weights(state, state.block))
    parts.append(f"up {_duration(state.total_s)}")
    lines = [parts] if len(_DOT.join(parts)) <= width else [parts[:2], parts[2:]]
    return [_line(_DOT.join(line), "bold") for line in lines if line]


def _weights(state: BoardState, block: int) -> str:
    if state.weights_block is None:
        return "sets no weights"
    left = state.weights_block - block
    due = (
        f"weights in {left:,} blocks ({_duration(left * _BLOCK_S)})" if left > 0 else "weights due"
    )
    if state.weights_set_block is not None:
        due += f", last at {state.weights_set_block:,}"
    return due


def _progress(state: BoardState, width: int) -> Any:
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    tally = state.tally or Tally(0)
    words = f"{tally.replied}/{tally.asked} replied, {state.step_s:.1f} s"
    if not state.is_running and state.tally is not None:
        words += ", waiting"
    bar = ProgressBar(
        total=max(1, tally.asked),
        completed=tally.replied,
        width=max(4, min(60, width - len(words) - 2)),
        complete_style="cyan",
        finished_style="green",
    )
    row = Table.grid(padding=(0, 2, 0, 0))
    row.add_row(bar, _line(words))
    return row


def _summary(state: BoardState) -> Text:
    tally = state.tally
    assert tally is not None
    parts = [f"{tally.judged} judged"]
    if tally.mean_reward is not None:
        parts.append(f"mean reward {tally.mean_reward:.3f}")
    if tally.median_first_byte_s is not None:
        parts.append(f"median first byte {_milliseconds(tally.median_first_byte_s)}")
    return _line(", ".join(parts), "dim")


def _reasons_line(reasons: Counter[str]) -> Text:
    from rich.text import Text

    line = Text(no_wrap=True, overflow="ellipsis")
    for reason, count in _ordered(reasons):
        line.append(f"{one_line(reason)} {count}", _style(reason)).append("  ")
    return line


def _reasons_table(state: BoardState, room: int) -> Table:
    """Reasons of the step and since the start; as many as there is room for."""
    table = _table()
    table.add_column("reason", no_wrap=True, overflow="ellipsis", max_width=_REASON_CHARS)
    table.add_column("this step", justify="right")
    table.add_column("in all", justify="right")
    now = state.tally.reasons if state.tally is not None else Counter[str]()
    both = state.totals + now if state.is_running else state.totals
    for reason, count in _ordered(both)[:room]:
        table.add_row(_word(reason), str(now[reason]) if now[reason] else "-", f"{count:,}")
    return table


def _peers_table(state: BoardState, width: int, room: int) -> Table:
    table = _table()
    columns = [column for column in _COLUMNS if width >= column.least]
    for column in columns:
        justify: Any = "left" if column.heading == "hotkey" else "right"
        table.add_column(column.heading, justify=justify, no_wrap=True, style=column.style)
    table.add_column("reason", no_wrap=True, overflow="ellipsis", max_width=_REASON_CHARS)
    best, worst = _shown(state, room)
    for place, line in enumerate([*best, *worst]):
        table.add_row(
            *(column.cell(line) for column in columns),
            _word(line.reason),
            end_section=bool(worst) and place == len(best) - 1,
        )
    return table


def _caption(state: BoardState, room: int) -> list[Text]:
    best, worst = _shown(state, room)
    text = f"best {len(best)}, worst {len(worst)} of {state.scored:,} peers"
    return [_line(text, "dim")] if worst else []


def _shown(state: BoardState, room: int) -> tuple[list[PeerLine], list[PeerLine]]:
    if state.scored <= room:
        return [*state.best, *state.worst], []
    half = room // 2
    ranked = [*state.best, *state.worst]
    return ranked[: room - half], ranked[-half:]


def _table() -> Table:
    from rich import box
    from rich.table import Table

    return Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, header_style="dim")


def _ordered(reasons: Counter[str]) -> list[tuple[str, int]]:
    return sorted(reasons.items(), key=lambda item: (item[0] != Reason.OK, -item[1], item[0]))


def _word(reason: str) -> Text:
    from rich.text import Text

    # Text, not str: rich would take square brackets for markup.
    return Text(one_line(reason) or "-", _style(reason))


def _style(reason: str) -> str:
    if not reason:
        return "dim"
    return "green" if reason == Reason.OK else "red"


def _line(text: str, style: str = "") -> Text:
    from rich.text import Text

    return Text(text, style, no_wrap=True, overflow="ellipsis")


def _short(hotkey: str) -> str:
    shown = one_line(hotkey)
    return shown if len(shown) <= _SHORT_HOTKEY else f"{shown[:6]}…{shown[-4:]}"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:,.0f} ms"


def _duration(seconds: float) -> str:
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
