"""Places for running forwards, and a bounded queue by priority for those that wait.

A higher priority starts first, equal ones in order of arrival. When the queue is full a newcomer
is refused, unless it outranks the lowest in the queue, which is then refused in its stead: so
callers without standing can't crowd out those with it.

A route may have a capacity of its own below the number of places. The requests of each route wait
in a lane of their own, so that a route at its capacity holds up nothing but itself; all lanes share
the bound of the queue.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
from collections import defaultdict
from dataclasses import dataclass, field
from operator import itemgetter

from node.errors import Overloaded

__all__ = ["Slots"]

_RETRY_AFTER_S = 1.0


@dataclass(order=True, slots=True)
class _Waiter:
    rank: tuple[float, int]
    turn: asyncio.Future[None] = field(compare=False)


@dataclass(slots=True)
class _Lane:
    """What runs and waits of one route.

    Attributes:
        capacity: How many may run at once.
        running: How many do.
        waiters: A heap.
    """

    capacity: float = math.inf
    running: int = 0
    waiters: list[_Waiter] = field(default_factory=list)

    @property
    def has_room(self) -> bool:
        """Whether one more may run."""
        return self.running < self.capacity


class Slots:
    """Counts running forwards and starts waiting ones by priority.

    Belongs to one event loop. Every `acquire` that returned, and every `take` that
    was true, is matched by one `release`.

    Args:
        size: How many may run at once.
        max_waiting: How many may wait at the most.
    """

    def __init__(self, size: int, max_waiting: int) -> None:
        self._free = size
        self._max_waiting = max_waiting
        self._waiting = 0
        self._lanes: defaultdict[str, _Lane] = defaultdict(_Lane)
        self._arrivals = itertools.count()

    @property
    def waiting(self) -> int:
        """How many wait now."""
        return self._waiting

    def limit(self, route: str, capacity: int) -> None:
        """Start no more of a route while `capacity` of its forwards run; may be called again."""
        self._lanes[route].capacity = capacity
        self._start_waiting()

    def take(self, route: str = "") -> bool:
        """Take a place if one is free now, and return whether it was; as `acquire` otherwise."""
        lane = self._lanes[route]
        if self._free and lane.has_room:
            self._free -= 1
            lane.running += 1
            return True
        return False

    async def acquire(self, priority: float, route: str = "") -> None:
        """Wait for a place.

        Args:
            priority: Higher starts first; finite.
            route: What is to run; one of those that there are, since each is remembered.

        Raises:
            Overloaded: No place in the queue, now or because a higher priority took it.
        """
        if self.take(route):
            return
        lane = self._lanes[route]
        waiter = _Waiter((-priority, next(self._arrivals)), self._new_turn())
        if self._waiting >= self._max_waiting:
            self._make_room(waiter)
        heapq.heappush(lane.waiters, waiter)
        self._waiting += 1
        try:
            await waiter.turn
        except asyncio.CancelledError:
            self._withdraw(waiter, route)
            raise

    def release(self, route: str = "") -> None:
        """Give a place back; the waiter with the highest priority that may start takes it.

        Args:
            route: As it was given to `acquire`.
        """
        self._lanes[route].running -= 1
        self._free += 1
        self._start_waiting()

    def _start_waiting(self) -> None:
        while self._free and self._waiting:
            ready = [lane for lane in self._lanes.values() if lane.waiters and lane.has_room]
            if not ready:
                return
            lane = min(ready, key=lambda lane: lane.waiters[0])
            turn = heapq.heappop(lane.waiters).turn
            self._waiting -= 1
            if not turn.done():
                self._free -= 1
                lane.running += 1
                turn.set_result(None)

    @staticmethod
    def _new_turn() -> asyncio.Future[None]:
        return asyncio.get_running_loop().create_future()

    def _make_room(self, newcomer: _Waiter) -> None:
        waiting = [(max(lane.waiters), lane) for lane in self._lanes.values() if lane.waiters]
        lowest, lane = max(waiting, key=itemgetter(0), default=(newcomer, None))
        if lane is None or newcomer >= lowest:
            raise Overloaded("the queue is full", retry_after=_RETRY_AFTER_S)
        self._remove(lane, lowest)
        if not lowest.turn.done():
            lowest.turn.set_exception(
                Overloaded("a higher priority took the place", retry_after=_RETRY_AFTER_S)
            )

    def _withdraw(self, waiter: _Waiter, route: str) -> None:
        """Forget a waiter that was cancelled; hand its place on if it had just got one."""
        lane = self._lanes[route]
        if waiter in lane.waiters:
            self._remove(lane, waiter)
        elif waiter.turn.done() and not waiter.turn.cancelled() and not waiter.turn.exception():
            self.release(route)

    def _remove(self, lane: _Lane, waiter: _Waiter) -> None:
        lane.waiters.remove(waiter)
        heapq.heapify(lane.waiters)
        self._waiting -= 1
