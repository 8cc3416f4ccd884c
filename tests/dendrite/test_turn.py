from __future__ import annotations

import asyncio

import pytest

from node import Dormancy, Keypair, Peer
from node.dendrite.gate import Gate
from node.dendrite.turn import Turn
from node.errors import PeerDormant, PeerUnreachable


@pytest.fixture
def peer(alice: Keypair) -> Peer:
    return Peer(hotkey=alice.ss58_address, ip="127.0.0.1", port=8091)


def test_who_needs_no_place_enters_now(peer: Peer) -> None:
    dormancy = Dormancy(after=1)
    turn = Turn(peer, None, dormancy)
    assert turn.enter_now()
    turn.leave(PeerUnreachable("gone"))
    assert dormancy.failures(peer) == 1


async def test_who_needs_a_place_does_not_and_has_taken_none(peer: Peer) -> None:
    gate = Gate(at_once=1)
    waiting = Turn(peer, gate.place(peer, "Echo"), None)
    assert not waiting.enter_now()
    inside = Turn(peer, gate.place(peer, "Echo"), None)
    await inside.enter()
    with inside:
        entering = asyncio.create_task(waiting.enter())
        await asyncio.sleep(0)
        assert not entering.done()
    await asyncio.wait_for(entering, 8)
    waiting.leave(None)


def test_a_dormant_peer_is_refused_now(peer: Peer) -> None:
    dormancy = Dormancy(after=1)
    dormancy.failed(peer)
    with pytest.raises(PeerDormant):
        Turn(peer, None, dormancy).enter_now()


def test_a_caller_that_left_says_nothing_of_its_peer(peer: Peer) -> None:
    dormancy = Dormancy(after=1)
    turn = Turn(peer, None, dormancy)
    turn.enter_now()
    turn.leave(asyncio.CancelledError())
    assert dormancy.failures(peer) == 0
