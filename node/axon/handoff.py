"""Passing items from a worker thread to the event loop, a bounded number at a time."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

__all__ = ["Handoff"]

# Sixty-four short texts, or eight of what is long or of unknown size.
_PLACES = 64
_MOST_PLACES = 8
_PLACE_CHARACTERS = 1024
_CLOSED = RuntimeError


class Handoff:
    """Items that a thread puts and a coroutine takes, in order.

    The thread waits when eight items are not taken yet, or 64 if they are texts of less than
    1 KiB, so a slow reader slows the generator. One thread runs `walk`, one coroutine iterates;
    `stop` ends the walk at its next item.

    Args:
        loop: The loop that iterates.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._room = threading.Semaphore(_PLACES)
        self._stopped = threading.Event()
        self._items: deque[Any] = deque()
        self._arrived = asyncio.Event()
        self._told = False  # whether the loop will look at the items without being told
        self._ended = False
        self._error: BaseException | None = None

    def walk(self, items: Iterator[Any]) -> None:
        """Take every item of `items`; runs in a thread. Closes a generator in that thread.

        An exception of the generator is raised to whoever iterates, not here.
        """
        error: BaseException | None = None
        try:
            for item in items:
                for _ in range(_places_of(item)):
                    self._room.acquire()
                if self._stopped.is_set():
                    break
                self._items.append(item)
                if not self._told:
                    # Telling takes a write to the loop's own socket, 10 us.
                    self._told = True
                    self._call_loop(self._arrive)
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
        self._room.release(_MOST_PLACES)

    async def __aiter__(self) -> AsyncIterator[Any]:
        """Yield the items, then raise what the generator raised, if it did."""
        while True:
            taken = 0
            while self._items:
                item = self._items.popleft()
                taken += _places_of(item)
                yield item
            if taken:
                # Together: the thread is not woken for one item and then has to wait again.
                self._room.release(taken)
            if self._ended:
                break
            await self._arrived.wait()
            self._arrived.clear()
        if self._error is not None:
            raise self._error

    def _call_loop(self, function: Callable[..., None], *arguments: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except _CLOSED:
            # The loop is gone, and with it whoever would have taken the item.
            self._stopped.set()

    def _arrive(self) -> None:
        self._told = False  # before the items are looked at: what comes from here on tells again
        self._arrived.set()

    def _end(self, error: BaseException | None) -> None:
        self._ended = True
        self._error = error
        self._arrived.set()


def _places_of(item: Any) -> int:
    """Return how much of the room an item takes."""
    if isinstance(item, str | bytes):
        return min(_MOST_PLACES, 1 + len(item) // _PLACE_CHARACTERS)
    return _MOST_PLACES
