from __future__ import annotations

import pytest

from node import Axon, Keypair
from node.axon.budget import BodyBudget
from node.errors import Overloaded
from tests.functional.synapses import Echo, until
from tests.raw_http import RawConnection, ask, signed_request


def test_shares_grow_and_are_given_back() -> None:
    budget = BodyBudget(10)
    with budget.share() as first, budget.share() as second:
        first.grow(6)
        second.grow(4)
        with pytest.raises(Overloaded) as caught:
            second.grow(1)
        assert caught.value.retry_after
    with budget.share() as third:
        third.grow(10)


async def test_bodies_of_strangers_hold_no_more_than_the_budget(
    bob: Keypair, alice: Keypair
) -> None:
    async def echo(synapse: Echo) -> Echo:
        return synapse

    axon = Axon(bob, ip="127.0.0.1", port=0, max_body_bytes=1000, max_unproven_bytes=1500)
    body = b'{"text":"' + b"x" * 900 + b'"}'
    async with axon.attach(echo):
        request = signed_request(alice, axon.hotkey, "/Echo", body).encode()
        async with await RawConnection.open(axon.port) as holding:
            await holding.send(request[:-1])  # all but the last byte is held, nothing is proved
            await until(lambda: axon._budget.free < 1500)
            refused = await ask(axon.port, signed_request(alice, axon.hotkey, "/Echo", body))
            assert (refused.status, refused.json()["code"]) == (503, "overloaded")
        await until(lambda: axon._budget.free == 1500)
        taken = await ask(axon.port, signed_request(alice, axon.hotkey, "/Echo", body))
        assert taken.status == 200
        assert axon._budget.free == 1500
