"""Hearing of changes through Redis, across its restarts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from node import Keypair, errors
from node.network.backend import Announcing
from node.network.redis_network import RedisNetwork
from tests.redis_server import RedisServer

from .conftest import key, peer_of

ALICE = key("Alice")
NETUID = 8


class TestChanges:
    async def test_every_write_is_announced_and_a_burst_is_one_item(self, redis_url: str) -> None:
        async with asyncio.timeout(20), RedisNetwork(redis_url, allow_private=True) as network:
            assert isinstance(network, Announcing)
            async with network.changes(NETUID) as changes:
                await anext(changes)
                writes: list[Any] = [
                    lambda: network.register(NETUID, ALICE),
                    lambda: network.serve(NETUID, ALICE, peer_of(ALICE)),
                    lambda: network.set_weights(NETUID, ALICE, [0], [1]),
                    lambda: network.set_stake(NETUID, ALICE.ss58_address, 1.0),
                ]
                for write in writes:
                    await write()
                    await anext(changes)
                await network.register(NETUID, ALICE)  # writes nothing
                await network.register(NETUID + 1, ALICE)  # is another subnet's
                await asyncio.gather(
                    *(network.serve(NETUID, ALICE, peer_of(ALICE, port)) for port in range(1, 20))
                )
                heard = 0
                with pytest.raises(TimeoutError):
                    while True:
                        await asyncio.wait_for(anext(changes), 0.3)
                        heard += 1
                assert 1 <= heard <= 4

    async def test_it_survives_restarts(self, own_redis: RedisServer) -> None:
        async with (
            asyncio.timeout(30),
            RedisNetwork(own_redis.url(), allow_private=True) as network,
            network.changes(NETUID) as changes,
        ):
            await anext(changes)
            for _ in range(2):
                await asyncio.to_thread(own_redis.restart)
                await anext(changes)
                await network.register(NETUID, Keypair.generate())
                await anext(changes)

    async def test_a_connection_that_went_dead_is_found_out(self, own_redis: RedisServer) -> None:
        network = RedisNetwork(own_redis.url(), timeout_s=1.0)
        changes = network.changes(NETUID)
        changes._check_s = 0.2
        async with asyncio.timeout(60):
            await anext(changes)
            own_redis.freeze()
            waiting = asyncio.create_task(changes.__anext__())
            await asyncio.sleep(1.4)
            assert not waiting.done()
            own_redis.thaw()
            await waiting
        await network.close()

    async def test_closing_ends_it_whoever_waits(self, redis_url: str) -> None:
        network = RedisNetwork(redis_url)
        heard: list[None] = []

        async def listen() -> None:
            async for item in network.changes(NETUID):
                heard.append(item)

        listening = asyncio.create_task(listen())
        async with asyncio.timeout(10):
            while not heard:
                await asyncio.sleep(0.01)
            await network.close()
            await listening
        with pytest.raises(errors.NetworkError, match="closed"):
            network.changes(NETUID)

    def test_a_bad_netuid(self, redis_network: RedisNetwork) -> None:
        with pytest.raises(errors.ConfigError, match="netuid"):
            redis_network.changes(-1)
