"""Places for requests: in all, per peer and per route, in order, given back whatever happens."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from node import Keypair, Peer
from node.dendrite.gate import Gate, Place


def peer_of(name: str, **capacity: int) -> Peer:
    address = Keypair.from_uri(f"//{name}").ss58_address
    return Peer(hotkey=address, ip="127.0.0.1", port=1, capacity=capacity)


A, B = peer_of("A"), peer_of("B")


class Crowd:
    """Tasks that take a place and keep it until they are let go."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.inside: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.order: list[int] = []
        self.go = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []

    async def enter(self, *peers: Peer, route: str = "Echo") -> None:
        """Let tasks ask for places, and wait until those that get one are in."""
        for peer in peers:
            self.tasks.append(asyncio.create_task(self._hold(peer, route, len(self.tasks))))
        await self.rest()

    async def rest(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    async def _hold(self, peer: Peer, route: str, number: int) -> None:
        place = self.gate.place(peer, route)
        if place is not None:
            await place.take()
        names = (peer.hotkey, route, "all")
        try:
            self.order.append(number)
            self.inside.update(names)
            self.most |= self.inside
            await self.go.wait()
        finally:
            self.inside.subtract(names)
            if place is not None:
                place.leave()

    async def leave(self) -> None:
        self.go.set()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def rooms(self) -> int:
        return len(self.gate._rooms)


async def place_in(gate: Gate, peer: Peer, route: str = "Echo") -> Place:
    """Take a place, which must be there."""
    place = gate.place(peer, route)
    assert place is not None
    async with asyncio.timeout(8):
        await place.take()
    return place


async def test_without_limits_nobody_has_or_needs_a_place() -> None:
    gate = Gate()
    assert gate.place(A, "Echo") is None
    assert gate.place(peer_of("A", Other=1), "Echo") is None
    crowd = Crowd(gate)
    await crowd.enter(*[A] * 50, *[B] * 50)
    assert crowd.inside["all"] == 100
    await crowd.leave()


@pytest.mark.parametrize("limit", [1, 2, 7])
async def test_no_more_in_all_than_the_limit(limit: int) -> None:
    crowd = Crowd(Gate(at_once=limit))
    await crowd.enter(*[A, B] * 10)
    assert crowd.inside["all"] == limit
    await crowd.leave()
    assert crowd.most["all"] == limit
    assert crowd.order == list(range(20))


@pytest.mark.parametrize("limit", [1, 2, 7])
async def test_no_more_to_a_peer_than_the_limit(limit: int) -> None:
    crowd = Crowd(Gate(per_peer=limit))
    await crowd.enter(*[A] * 10, *[B] * 10)
    assert (crowd.inside[A.hotkey], crowd.inside[B.hotkey]) == (limit, limit)
    await crowd.leave()
    assert (crowd.most[A.hotkey], crowd.most[B.hotkey]) == (limit, limit)


async def test_no_more_for_a_route_of_a_peer_than_it_declares() -> None:
    crowd = Crowd(Gate())
    a, b = peer_of("A", Echo=2, Words=3), peer_of("B", Echo=1)
    await crowd.enter(*[a] * 9)
    await crowd.enter(*[a] * 9, route="Words")
    await crowd.enter(*[b] * 9)
    await crowd.enter(*[b] * 9, route="Words")  # of which b declares nothing
    assert crowd.inside[a.hotkey] == 2 + 3
    assert crowd.inside[b.hotkey] == 1 + 9
    await crowd.leave()
    assert crowd.most["Echo"] == 2 + 1
    assert len(crowd.order) == 36
    assert crowd.rooms() == 0


async def test_the_narrower_of_capacity_and_limit_counts() -> None:
    for declared, per_peer, inside in ((2, 5, 2), (5, 2, 2)):
        crowd = Crowd(Gate(per_peer=per_peer))
        await crowd.enter(*[peer_of("A", Echo=declared)] * 9)
        assert crowd.inside["all"] == inside
        await crowd.leave()


async def test_who_waits_for_a_peer_takes_no_place_from_the_others() -> None:
    crowd = Crowd(Gate(at_once=2, per_peer=1))
    await crowd.enter(A, A, A, A, B)
    assert (crowd.inside[A.hotkey], crowd.inside[B.hotkey]) == (1, 1)
    await crowd.leave()
    assert crowd.most["all"] <= 2


async def test_who_waits_for_a_route_takes_no_place_from_the_other_routes() -> None:
    crowd = Crowd(Gate(per_peer=2))
    peer = peer_of("A", Echo=1)
    await crowd.enter(*[peer] * 5)
    await crowd.enter(peer, route="Words")
    assert (crowd.inside["Echo"], crowd.inside["Words"]) == (1, 1)
    await crowd.leave()


async def test_a_capacity_that_changes_counts_for_those_that_wait_too() -> None:
    crowd = Crowd(Gate())
    await crowd.enter(*[peer_of("A", Echo=1)] * 6)
    assert crowd.inside["all"] == 1
    await crowd.enter(peer_of("A", Echo=3))
    assert crowd.inside["all"] == 3
    assert crowd.order == [0, 1, 2]
    await crowd.enter(peer_of("A", Echo=2))
    crowd.tasks[0].cancel()
    await crowd.rest()
    assert crowd.inside["all"] == 2
    await crowd.leave()
    assert crowd.order == [0, 1, 2, 3, 4, 5, 6, 7]


async def test_a_place_is_given_back_after_an_error() -> None:
    gate = Gate(at_once=1, per_peer=1)
    peer = peer_of("A", Echo=1)
    for _ in range(3):
        place = await place_in(gate, peer)
        place.leave()
        place.leave()  # once is enough, twice is no more
    first = await place_in(gate, peer)
    second = gate.place(peer, "Echo")
    assert second is not None
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await second.take()
    first.leave()


@pytest.mark.parametrize(
    "where", ["inside", "waiting for all", "waiting for the peer", "waiting for the route"]
)
async def test_a_place_is_given_back_by_who_is_cancelled(where: str) -> None:
    gate = Gate(at_once=1, per_peer=1)
    a = replace(A, capacity={"Echo": 1})
    crowd = Crowd(gate)
    await crowd.enter(a)
    if where == "waiting for the peer":
        await crowd.enter(a, route="Words")
    elif where != "inside":
        await crowd.enter(B if where == "waiting for all" else a)
    crowd.tasks[-1].cancel()
    await crowd.rest()
    assert crowd.tasks[-1].cancelled()
    assert crowd.inside[A.hotkey] == (where != "inside")
    await crowd.leave()
    assert crowd.rooms() == 0
    for peer in (a, B):
        (await place_in(gate, peer)).leave()


async def test_a_place_given_to_somebody_who_is_cancelled_at_that_moment_is_not_lost() -> None:
    gate = Gate(at_once=1)
    first = await place_in(gate, A)
    gone, stays = gate.place(A, "Echo"), gate.place(A, "Echo")
    assert gone is not None
    assert stays is not None
    leaving = asyncio.create_task(gone.take())
    staying = asyncio.create_task(stays.take())
    await asyncio.sleep(0)
    first.leave()  # the place is gone's, which has not run yet
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    async with asyncio.timeout(8):
        await staying
    stays.leave()
    assert not gate._rooms


async def test_cancelled_and_given_back_in_one_moment_leaves_the_count_right() -> None:
    gate = Gate(at_once=2)
    held = [await place_in(gate, A), await place_in(gate, A)]
    gone = gate.place(A, "Echo")
    assert gone is not None
    leaving = asyncio.create_task(gone.take())
    await asyncio.sleep(0)
    leaving.cancel()
    for place in held:  # while the cancelled one is still in the queue
        place.leave()
    await asyncio.gather(leaving, return_exceptions=True)
    crowd = Crowd(gate)
    await crowd.enter(A, A, A)
    assert crowd.inside["all"] == 2
    await crowd.leave()
    assert crowd.rooms() == 0


async def test_who_is_cancelled_leaves_nothing_behind_in_the_queue() -> None:
    gate = Gate(at_once=1)
    crowd = Crowd(gate)
    await crowd.enter(*[A] * 50)
    for task in crowd.tasks[1:]:
        task.cancel()
    await crowd.rest()
    assert [len(room._waiters) for room in gate._rooms.values()] == [0]
    await crowd.leave()


async def test_who_is_cancelled_does_not_take_away_the_place_of_who_came_next() -> None:
    gate = Gate(at_once=1)
    first = await place_in(gate, A)
    gone, next_one = gate.place(A, "Echo"), gate.place(A, "Echo")
    assert gone is not None
    assert next_one is not None
    leaving = asyncio.create_task(gone.take())
    await asyncio.sleep(0)
    leaving.cancel()
    first.leave()
    with pytest.raises(StopIteration):  # it has its place before the cancelled one runs again
        next_one.take().send(None)
    await asyncio.gather(leaving, return_exceptions=True)
    crowd = Crowd(gate)
    await crowd.enter(A)
    assert crowd.order == []
    next_one.leave()
    await crowd.rest()
    assert crowd.order == [0]
    await crowd.leave()


async def test_peers_that_were_asked_once_are_forgotten() -> None:
    crowd = Crowd(Gate(per_peer=2))
    await crowd.enter(*(peer_of(str(number), Echo=1) for number in range(100)))
    assert crowd.rooms() == 200
    await crowd.leave()
    assert crowd.rooms() == 0


def test_a_gate_serves_one_event_loop_after_another() -> None:
    gate = Gate(at_once=1)

    async def fill() -> int:
        crowd = Crowd(gate)
        await crowd.enter(A, A)
        await crowd.leave()
        return len(crowd.order)

    assert [asyncio.run(fill()) for _ in range(3)] == [2, 2, 2]


@pytest.mark.parametrize(
    ("gate", "peers", "together"),
    [
        (Gate(), [A, A, B], 3),
        (Gate(at_once=2), [A, A, B], 2),
        (Gate(per_peer=1), [A, A, B], 2),
        (Gate(), [peer_of("A", Echo=2)] * 5 + [B] * 2, 4),
        (Gate(per_peer=1, at_once=9), [peer_of("A", Echo=2)] * 5 + [B] * 2, 2),
        (Gate(), [], 0),
    ],
)
def test_how_many_can_be_out_together(gate: Gate, peers: list[Peer], together: int) -> None:
    assert gate.together(peers, "Echo") == together
