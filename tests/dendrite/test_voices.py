from __future__ import annotations

import dataclasses

from node import Axon, Dendrite, Keypair
from tests.functional.synapses import Echo


async def test_a_node_that_stops_speaking_a_protocol_is_asked_again(
    alice: Keypair, bob: Keypair
) -> None:
    async def echo(synapse: Echo) -> Echo:
        return synapse

    async with Dendrite(alice, protocols=("synapse", "btauth")) as dendrite:
        async with Axon(bob, ip="127.0.0.1", port=0, protocols=("synapse", "btauth")).attach(
            echo
        ) as axon:
            unknown = dataclasses.replace(axon.info(), protocols=())
            assert (await dendrite(unknown, Echo(text="x"))).is_success
        later = Axon(bob, ip="127.0.0.1", port=unknown.port, protocols=("btauth",)).attach(echo)
        async with later:
            statuses = [
                (await dendrite(unknown, Echo(text="x"))).dendrite.status_code for _ in range(3)
            ]
    assert 401 in statuses
    assert statuses[-1] == 200
