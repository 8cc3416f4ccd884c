"""Places for running forwards, and a bounded queue by priority for those that wait.

A higher priority starts first, equal ones in order of arrival. When the queue is full a newcomer
is refused, unless it outranks the lowest in the queue, which is then refused in its stead: so
callers without standing can't crowd out those with it.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from dataclasses import dataclass, field

from node.errors import Overloaded

__all__ = ["Slots"]

_RETRY_AFTER_S = 1.0


@dataclass(order=True, slots=True)
class _Waiter:
    rank: tuple[float, int]
    turn: asyncio.Future[None] = field(compare=False)


class Slots:
    """Counts running forwards and starts waiting ones by priority.

    Belongs to one event loop. Every `acquire` that returned is matched by one `release`.

    Args:
        size: How many may run at once.
        max_waiting: How many may wait at the most.
    """

    def __init__(self, size: int, max_waiting: int) -> None:
        self._free = size
        self._max_waiting = max_waiting
        self._waiters: list[_Waiter] = []
        self._arrivals = itertools.count()

    @property
    def waiting(self) -> int:
        """How many wait now."""
        return len(self._waiters)

    async def acquire(self, priority: float) -> None:
        """Wait for a place.

        Args:
            priority: Higher starts first; finite.

        Raises:
            Overloaded: No place in the queue, now or because a higher priority took it.
        """
        if self._free:
            self._free -= 1
            return
        waiter = _Waiter((-priority, next(self._arrivals)), self._new_turn())
        if len(self._waiters) >= self._max_waiting:
            self._make_room(waiter)
        heapq.heappush(self._waiters, waiter)
        try:
            await waiter.turn
        except asyncio.CancelledError:
            self._withdraw(waiter)
            raise

    def release(self) -> None:
        """Give a place back; the waiter with the highest priority takes it."""
        while self._waiters:
            turn = heapq.heappop(self._waiters).turn
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    @staticmethod
    def _new_turn() -> asyncio.Future[None]:
        return asyncio.get_running_loop().create_future()

    def _make_room(self, newcomer: _Waiter) -> None:
        lowest = max(self._waiters, default=newcomer)
        if newcomer >= lowest:
            raise Overloaded("the queue is full", retry_after=_RETRY_AFTER_S)
        self._remove(lowest)
        if not lowest.turn.done():
            lowest.turn.set_exception(
                Overloaded("a higher priority took the place", retry_after=_RETRY_AFTER_S)
            )

    def _withdraw(self, waiter: _Waiter) -> None:
        """Forget a waiter that was cancelled; hand its place on if it had just got one."""
        if waiter in self._waiters:
            self._remove(waiter)
        elif waiter.turn.done() and not waiter.turn.cancelled() and not waiter.turn.exception():
            self.release()

    def _remove(self, waiter: _Waiter) -> None:
        self._waiters.remove(waiter)
        heapq.heapify(self._waiters)
