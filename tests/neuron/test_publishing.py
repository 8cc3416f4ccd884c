"""Looking after what a neuron published ends when it is told to."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from node import Keypair
from node.network import Peer, ending
from node.neuron.publishing import Publisher
from tests.functional.synapses import until


class LosingNetwork:
    """Stands for a network whose client loses a cancellation, as redis-py may on Python 3.11."""

    def __init__(self, here: Peer) -> None:
        self.looks = 0
        self.graph = SimpleNamespace(uid_of=lambda hotkey: 0, axons=[here])

    async def metagraph(self, netuid: int) -> Any:
        self.looks += 1
        if self.looks > 1:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                if self.looks > 2:
                    raise
        return self.graph


async def test_a_lost_cancellation_does_not_keep_it_from_stopping(
    bob: Keypair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "_AGAIN_S", 0.05)
    here = Peer(bob.ss58_address, "127.0.0.1", 10_000)
    network: Any = LosingNetwork(here)
    axon: Any = SimpleNamespace(info=lambda: here)
    publisher = Publisher(network, 8, bob, axon, look_every_s=0.01)  # type: ignore[arg-type]
    assert await publisher.start() == 0
    await until(lambda: network.looks == 2)
    stopping = asyncio.create_task(publisher.stop())
    done, _ = await asyncio.wait([stopping], timeout=20)
    stopping.cancel()
    assert done
