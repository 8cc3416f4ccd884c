"""The board of a running validator: a live table on a terminal, log lines elsewhere."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import IO, Any, Self

from node.neuron.board import Board, LogBoard

from .board_state import BoardState
from .board_view import draw_board

__all__ = ["LiveBoard", "board_for"]

_DRAWN_PER_S = 4


class LiveBoard:
    """A table below the log lines, redrawn a few times a second by a thread of its own.

    What is logged to the terminal meanwhile goes above it. At the end the last table stays.

    Args:
        console: A rich console on a terminal.
        clock: Seconds, for how long a step takes.
    """

    def __init__(self, console: Any, clock: Callable[[], float] = time.monotonic) -> None:
        from rich.live import Live

        self._console = console
        self._state = BoardState(clock)
        self._using = threading.Lock()  # the validator's thread writes, the drawing one reads
        self._moved: list[tuple[Any, Any]] = []
        self._live = Live(
            get_renderable=self._draw, console=console, refresh_per_second=_DRAWN_PER_S
        )

    def begin_step(self, step: int) -> None:
        """As `Board.begin_step`."""
        with self._using:
            self._state.begin_step(step)

    def synced(self, block: int, weights_block: int | None = None) -> None:
        """As `Board.synced`."""
        with self._using:
            self._state.synced(block, weights_block)

    def asked(self, peers: Sequence[tuple[int, str]]) -> None:
        """As `Board.asked`."""
        with self._using:
            self._state.asked(peers)

    def replied(self, uid: int) -> None:
        """As `Board.replied`."""
        with self._using:
            self._state.replied()

    def judged(
        self,
        uid: int,
        reward: float,
        reason: str,
        first_byte_s: float | None = None,
        tokens_per_s: float | None = None,
    ) -> None:
        """As `Board.judged`."""
        with self._using:
            self._state.judged(uid, reward, reason, first_byte_s, tokens_per_s)

    def end_step(
        self, step: int, note: str = "", scores: Iterable[tuple[int, str, float]] = ()
    ) -> None:
        """As `Board.end_step`."""
        rows = list(scores)
        with self._using:
            self._state.end_step(note, rows)

    def weights_set(self, block: int) -> None:
        """As `Board.weights_set`."""
        with self._using:
            self._state.weights_set_block = block

    def __enter__(self) -> Self:
        before = sys.stderr
        self._live.start(refresh=True)
        # While it is drawn, standard error is a file that writes above it; handlers of the log
        # still have the one from before.
        for handler in logging.getLogger().handlers:
            if isinstance(handler, logging.StreamHandler) and handler.stream is before:
                handler.setStream(sys.stderr)
                self._moved.append((handler, before))
        return self

    def __exit__(self, *exc_info: object) -> None:
        for handler, stream in self._moved:
            handler.setStream(stream)
        self._moved.clear()
        self._live.stop()

    def _draw(self) -> Any:
        with self._using:
            return draw_board(self._state, self._console.width, self._console.height)


def board_for(stream: IO[str]) -> Board:
    """Returns the board that suits a stream.

    Args:
        stream: Standard error, where log lines go too. The live table is for a terminal.
    """
    if stream.isatty():
        from rich.console import Console

        console = Console(file=stream)
        if not console.is_dumb_terminal:
            return LiveBoard(console)
    return LogBoard()
