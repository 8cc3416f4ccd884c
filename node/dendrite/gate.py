"""How many requests a dendrite has out at once: in all, per peer, and per route of a peer.

Rule 1: who waits for a peer's route holds no place that another route could use, and who waits
for a peer holds none that another peer could use: places are taken from narrow to wide.
Rule 2: a request that nothing limits has no place and waits for nothing, not even for the loop.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Sequence

from node.network import Peer

__all__ = ["Gate", "Place"]

# A place in all, with a peer, or on a route of a peer.
_Key = tuple[()] | tuple[bytes] | tuple[bytes, str]


class Gate:
    """Makes requests wait for a place before their clock starts, in order of arrival.

    Belongs to one event loop at a time: to another only when nobody is in it.

    Args:
        at_once: Requests that may be out in all, or None.
        per_peer: Requests that may be out to one peer, or None.
    """

    def __init__(self, *, at_once: int | None = None, per_peer: int | None = None) -> None:
        self._at_once = at_once
        self._per_peer = per_peer
        self._limited = at_once is not None or per_peer is not None
        self._rooms: dict[_Key, _Room] = {}

    def place(self, peer: Peer, route: str) -> Place | None:
        """Return a place for one request, which is still to be taken; None if nothing limits it.

        Args:
            peer: Who is asked; what it declares as its capacity for the route is a limit.
            route: What it is asked.
        """
        if not self._limited and not peer.capacity:
            return None
        limits: list[tuple[_Key, int]] = []
        declared = peer.capacity_of(route)
        if declared is not None:
            limits.append(((peer.public_key, route), declared))
        if self._per_peer is not None:
            limits.append(((peer.public_key,), self._per_peer))
        if self._at_once is not None:
            limits.append(((), self._at_once))
        return Place(self._rooms, limits) if limits else None

    def together(self, peers: Sequence[Peer], route: str) -> int:
        """Return how many of these requests can be out at the same time if no others are."""
        counts = Counter(peer.public_key for peer in peers)
        limits = {
            peer.public_key: [
                limit for limit in (peer.capacity_of(route), self._per_peer) if limit is not None
            ]
            for peer in peers
        }
        inside = sum(min([count, *limits[key]]) for key, count in counts.items())
        return inside if self._at_once is None else min(inside, self._at_once)


class Place:
    """One request's place in up to three rooms; taken once, and then left once.

    Args:
        rooms: Those that somebody is in or waits for.
        limits: The rooms to enter, in this order, and how many each holds.
    """

    __slots__ = ("_entered", "_limits", "_rooms")

    def __init__(self, rooms: dict[_Key, _Room], limits: list[tuple[_Key, int]]) -> None:
        self._rooms = rooms
        self._limits = limits
        self._entered: list[_Key] = []

    async def take(self) -> None:
        """Wait until there is a place in every room; who is cancelled meanwhile holds none."""
        try:
            for key, limit in self._limits:
                room = self._rooms.get(key)
                if room is None:
                    room = self._rooms[key] = _Room()
                room.set_limit(limit)
                try:
                    await room.enter()
                finally:
                    self._forget_if_empty(key, room)
                self._entered.append(key)
        except BaseException:
            self.leave()
            raise

    def leave(self) -> None:
        """Give the place back."""
        while self._entered:
            key = self._entered.pop()
            room = self._rooms[key]
            room.leave()
            self._forget_if_empty(key, room)

    def _forget_if_empty(self, key: _Key, room: _Room) -> None:
        # Somebody who was cancelled may come here after the room was forgotten and made anew.
        if room.is_empty and self._rooms.get(key) is room:
            del self._rooms[key]


class _Room:
    """A semaphore whose limit may change: a peer may publish another capacity.

    There are never waiters while there is a free place.
    """

    __slots__ = ("_inside", "_limit", "_waiters")

    def __init__(self) -> None:
        self._limit = 0
        self._inside = 0
        self._waiters: OrderedDict[asyncio.Future[None], None] = OrderedDict()

    @property
    def is_empty(self) -> bool:
        """Whether nobody is inside or waits."""
        return not self._inside and not self._waiters

    def set_limit(self, limit: int) -> None:
        self._limit = limit
        self._admit()

    async def enter(self) -> None:
        if self._inside < self._limit:
            self._inside += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters[turn] = None
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                # The place was given in the very moment in which its taker was cancelled.
                self.leave()
            else:
                self._waiters.pop(turn, None)
            raise

    def leave(self) -> None:
        self._inside -= 1
        self._admit()

    def _admit(self) -> None:
        while self._waiters and self._inside < self._limit:
            turn, _ = self._waiters.popitem(last=False)
            if not turn.cancelled():
                self._inside += 1
                turn.set_result(None)
