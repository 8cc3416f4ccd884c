"""Cutting off a client that takes nothing more of its reply.

Nearly all that is written leaves at once, so there is a timer for each time in which something
waits. What the kernel holds counts as taken.
"""

from __future__ import annotations

import asyncio
import logging

__all__ = ["StallGuard"]

logger = logging.getLogger(__name__)


class StallGuard:
    """Aborts a transport whose other end takes nothing of what waits in it.

    It looks every quarter of the time, and at least once a second. It ends by itself when nothing
    waits any more, or the transport is lost.

    Args:
        transport: What to guard; also one that is closing, which would else wait for ever.
        stall_s: Seconds without progress after which it is aborted.
    """

    def __init__(self, transport: asyncio.Transport, stall_s: float) -> None:
        self._transport = transport
        self._stall_s = stall_s
        self._pause_s = min(1.0, stall_s / 4)
        self._loop = asyncio.get_running_loop()
        self._unsent = transport.get_write_buffer_size()
        self._moved = self._loop.time()
        self._timer = self._loop.call_later(self._pause_s, self._look)

    def stop(self) -> None:
        """Look no more; safe to call twice."""
        self._timer.cancel()

    def _look(self) -> None:
        unsent, now = self._transport.get_write_buffer_size(), self._loop.time()
        if not unsent:
            return
        if unsent < self._unsent:
            self._moved = now
        self._unsent = unsent
        if now - self._moved >= self._stall_s:
            logger.info("a client took nothing for %g s; its reply is cut", self._stall_s)
            self._transport.abort()
        else:
            self._timer = self._loop.call_later(self._pause_s, self._look)
