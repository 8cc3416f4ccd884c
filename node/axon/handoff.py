"""Passing items from a worker thread to the event loop, a bounded number at a time."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterator
from typing import Any

__all__ = ["Handoff"]

_DEPTH = 8
_CLOSED = RuntimeError


class Handoff:
    """Items that a thread puts and a coroutine takes, in order.

    The thread waits when eight items are not taken yet, so a slow reader slows the generator.
    One thread runs `walk`, one coroutine iterates; `stop` ends the walk at its next item.

    Args:
        loop: The loop that iterates.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._room = threading.Semaphore(_DEPTH)
        self._stopped = threading.Event()
        self._items: deque[Any] = deque()
        self._arrived = asyncio.Event()
        self._ended = False
        self._error: BaseException | None = None

    def walk(self, items: Iterator[Any]) -> None:
        """Take every item of `items`; runs in a thread. Closes a generator in that thread.

        An exception of the generator is raised to whoever iterates, not here.
        """
        error: BaseException | None = None
        try:
            for item in items:
                self._room.acquire()
                if self._stopped.is_set():
                    break
                self._call_loop(self._arrive, item)
        except BaseException as raised:  # noqa: BLE001  border: the user's generator
            error = raised
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()
            self._call_loop(self._end, error)

    def stop(self) -> None:
        """End the walk; safe to call twice and from the loop only."""
        self._stopped.set()
        self._room.release()

    async def __aiter__(self) -> AsyncIterator[Any]:
        """Yield the items, then raise what the generator raised, if it did."""
        while True:
            while self._items:
                item = self._items.popleft()
                self._room.release()
                yield item
            if self._ended:
                break
            self._arrived.clear()
            await self._arrived.wait()
        if self._error is not None:
            raise self._error

    def _call_loop(self, function: Any, argument: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(function, argument)
        except _CLOSED:
            # The loop is gone, and with it whoever would have taken the item.
            self._stopped.set()

    def _arrive(self, item: Any) -> None:
        self._items.append(item)
        self._arrived.set()

    def _end(self, error: BaseException | None) -> None:
        self._ended = True
        self._error = error
        self._arrived.set()
