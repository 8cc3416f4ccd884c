"""Places for requests: in all and per peer, in order, given back whatever happens."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from node.dendrite.gate import Gate

A, B = b"a" * 32, b"b" * 32


class Crowd:
    """Tasks that take a place and keep it until they are let go."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.inside: Counter[bytes] = Counter()
        self.most: Counter[bytes] = Counter()
        self.order: list[int] = []
        self.go = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []

    async def enter(self, *keys: bytes) -> None:
        """Let tasks ask for places, and wait until those that get one are in."""
        for key in keys:
            self.tasks.append(asyncio.create_task(self._hold(key, len(self.tasks))))
        await self.rest()

    async def rest(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    async def _hold(self, key: bytes, number: int) -> None:
        async with self.gate.place(key):
            self.order.append(number)
            self.inside[key] += 1
            self.most[key] = max(self.most[key], self.inside[key])
            self.most[b"all"] = max(self.most[b"all"], self.inside.total())
            await self.go.wait()
            self.inside[key] -= 1

    async def leave(self) -> None:
        self.go.set()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def test_without_limits_everybody_is_in_at_once() -> None:
    crowd = Crowd(Gate(at_once=None, per_peer=None))
    await crowd.enter(*[A] * 50, *[B] * 50)
    assert crowd.inside.total() == 100
    await crowd.leave()


@pytest.mark.parametrize("limit", [1, 2, 7])
async def test_no_more_in_all_than_the_limit(limit: int) -> None:
    crowd = Crowd(Gate(at_once=limit, per_peer=None))
    await crowd.enter(*[A, B] * 10)
    assert crowd.inside.total() == limit
    await crowd.leave()
    assert crowd.most[b"all"] == limit
    assert crowd.order == list(range(20))


@pytest.mark.parametrize("limit", [1, 2, 7])
async def test_no_more_to_a_peer_than_the_limit(limit: int) -> None:
    crowd = Crowd(Gate(at_once=None, per_peer=limit))
    await crowd.enter(*[A] * 10, *[B] * 10)
    assert crowd.inside == {A: limit, B: limit}
    await crowd.leave()
    assert (crowd.most[A], crowd.most[B]) == (limit, limit)


async def test_who_waits_for_a_peer_takes_no_place_from_the_others() -> None:
    crowd = Crowd(Gate(at_once=2, per_peer=1))
    await crowd.enter(A, A, A, A, B)
    assert crowd.inside == {A: 1, B: 1}
    await crowd.leave()
    assert crowd.most[b"all"] <= 2


async def test_a_place_is_given_back_after_an_error() -> None:
    gate = Gate(at_once=1, per_peer=1)
    for _ in range(3):
        with pytest.raises(KeyError):
            async with gate.place(A):
                raise KeyError
    async with asyncio.timeout(1), gate.place(A):
        pass


@pytest.mark.parametrize("where", ["inside", "waiting for all", "waiting for the peer"])
async def test_a_place_is_given_back_by_who_is_cancelled(where: str) -> None:
    gate = Gate(at_once=1, per_peer=1)
    crowd = Crowd(gate)
    await crowd.enter(A)
    if where != "inside":
        await crowd.enter(B if where == "waiting for all" else A)
    crowd.tasks[-1].cancel()
    await crowd.rest()
    assert crowd.tasks[-1].cancelled()
    assert crowd.inside[A] == 1
    await crowd.leave()
    for key in (A, B):
        async with asyncio.timeout(1), gate.place(key):
            pass


async def test_peers_that_were_asked_once_are_forgotten() -> None:
    gate = Gate(at_once=None, per_peer=2)
    crowd = Crowd(gate)
    await crowd.enter(*(bytes([number]) * 32 for number in range(100)))
    assert len(gate._peers) == 100
    await crowd.leave()
    assert len(gate._peers) == 0
