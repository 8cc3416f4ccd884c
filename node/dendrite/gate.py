"""How many requests a dendrite has out at once, in all and per peer."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

__all__ = ["Gate"]


class Gate:
    """Makes requests wait for a place before their clock starts.

    Args:
        at_once: Requests that may be out in all, or None.
        per_peer: Requests that may be out to one peer, or None.
    """

    def __init__(self, *, at_once: int | None = None, per_peer: int | None = None) -> None:
        self._all = asyncio.Semaphore(at_once) if at_once else None
        self._per_peer = per_peer
        self._peers: defaultdict[bytes, _PeerPlace] = defaultdict(self._new_place)

    def _new_place(self) -> _PeerPlace:
        return _PeerPlace(asyncio.Semaphore(self._per_peer or 1))

    @asynccontextmanager
    async def place(self, public_key: bytes) -> AsyncIterator[None]:
        """Hold a place for as long as the block runs."""
        async with self._peer_place(public_key):
            if self._all is None:
                yield
                return
            async with self._all:
                yield

    @asynccontextmanager
    async def _peer_place(self, public_key: bytes) -> AsyncIterator[None]:
        if not self._per_peer:
            yield
            return
        place = self._peers[public_key]
        place.users += 1
        try:
            async with place.semaphore:
                yield
        finally:
            place.users -= 1
            if not place.users:
                self._peers.pop(public_key, None)


class _PeerPlace:
    """A peer's semaphore, kept for as long as somebody holds or waits for it."""

    def __init__(self, semaphore: asyncio.Semaphore) -> None:
        self.semaphore = semaphore
        self.users = 0
