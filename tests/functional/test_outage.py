"""The network of an axon goes away and comes back: a real Redis, killed and started again."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from node import Axon, Dendrite, Keypair, Miner, Wallet
from node.network.redis_network import RedisNetwork
from node.neuron.flags import build_parser
from node.neuron.resolver import resolve
from protocols.prompting import StreamPrompting
from tests.redis_server import RedisServer

from .synapses import Echo, until

NETUID = 8
STALE_S = 60.0
NETWORK_S = 20.0  # what its network may take for an answer


@pytest.fixture
def server(own_redis: RedisServer) -> RedisServer:
    return own_redis


@asynccontextmanager
async def serving(
    server: RedisServer, bob: Keypair, *registered: Keypair, refresh_s: float = 0.1, **options: Any
) -> AsyncIterator[Axon]:
    """Bob's axon on that network, where he and the callers are registered."""

    async def echo(synapse: Echo) -> Echo:
        return synapse

    options = {"max_stale_s": STALE_S, **options}
    async with RedisNetwork(server.url(), timeout_s=NETWORK_S, allow_private=True) as network:
        for keypair in (bob, *registered):
            await network.register(NETUID, keypair)
        axon = Axon(bob, ip="127.0.0.1", port=0, network=network, netuid=NETUID, **options)
        axon.attach(echo)
        axon._standing._refresh_s = refresh_s
        async with axon:
            await network.serve(NETUID, bob, axon.info())
            yield axon


async def call(dendrite: Dendrite, axon: Axon) -> Any:
    reply = await dendrite(axon.info(), Echo(text="x"))
    return reply.dendrite.status_code


async def until_called(dendrite: Dendrite, axon: Axon, status: int, within_s: float = 10) -> None:
    async with asyncio.timeout(within_s):
        while await call(dendrite, axon) != status:
            await asyncio.sleep(0.05)


async def test_served_on_the_last_snapshot_then_refused_then_served_again(
    server: RedisServer, bob: Keypair, alice: Keypair, dendrite: Dendrite,
    caplog: pytest.LogCaptureFixture, skip_ahead: Callable[[float], None],
) -> None:  # fmt: skip
    caplog.set_level(logging.WARNING, "node")
    async with serving(server, bob, alice) as axon:
        assert await call(dendrite, axon) == 200
        await asyncio.to_thread(server.kill)
        for _ in range(4):
            skip_ahead(STALE_S / 6)
            assert await call(dendrite, axon) == 200

        skip_ahead(STALE_S / 3)
        await until_called(dendrite, axon, 503)
        reply = await dendrite(axon.info(), Echo(text="x"))
        assert "can't check its callers now" in (reply.dendrite.status_message or "")

        await asyncio.to_thread(server.start)
        await until_called(dendrite, axon, 200)
        assert axon.metagraph is not None
        assert axon.metagraph.uid_of(alice.ss58_address) == 1
        assert axon.metagraph.axons[0] == axon.info()  # records are still there
    text = caplog.text
    assert text.count("the metagraph could not be refreshed, and is used for 60 s as it was") == 1
    assert text.count("the metagraph is refreshed again") == 1


@pytest.mark.parametrize(
    ("rules", "status"),
    [
        ({"allow_non_registered": True}, 200),
        ({"allow_non_registered": True, "force_validator_permit": True}, 503),
        ({"allow_non_registered": True, "minimum_stake": 1.0}, 503),
        ({}, 503),
    ],
)
async def test_who_is_let_in_without_a_look_at_the_network_is_served_on(
    server: RedisServer,
    bob: Keypair,
    dendrite: Dendrite,
    skip_ahead: Callable[[float], None],
    rules: dict[str, Any],
    status: int,
) -> None:
    async with serving(server, bob, **rules) as axon:
        await asyncio.to_thread(server.kill)
        skip_ahead(STALE_S + 1)
        assert await call(dendrite, axon) == status
        await asyncio.to_thread(server.start)


async def test_a_stranger_is_a_stranger_during_an_outage_too(
    server: RedisServer, bob: Keypair, dendrite: Dendrite
) -> None:
    async with serving(server, bob, max_stale_s=60.0) as axon:
        await asyncio.to_thread(server.kill)
        assert await call(dendrite, axon) == 403
        await asyncio.to_thread(server.start)


async def test_one_that_hangs_is_no_other_than_one_that_is_gone(
    server: RedisServer,
    bob: Keypair,
    alice: Keypair,
    dendrite: Dendrite,
    skip_ahead: Callable[[float], None],
) -> None:
    async with serving(server, bob, alice) as axon:
        server.freeze()
        async with asyncio.timeout(NETWORK_S / 2):  # nobody waits for the network
            for _ in range(5):
                assert await call(dendrite, axon) == 200
                await asyncio.sleep(0.02)
        skip_ahead(STALE_S + 1)
        await until_called(dendrite, axon, 503)
        server.thaw()
        await until_called(dendrite, axon, 200)


async def test_a_change_is_known_at_once_and_after_a_restart_too(
    server: RedisServer, bob: Keypair, alice: Keypair, dendrite: Dendrite
) -> None:
    """The refreshing by the clock is an hour away, so what is known was announced."""
    network = RedisNetwork(server.url())
    async with serving(server, bob, refresh_s=3600.0, max_stale_s=3600.0) as axon, network:
        assert axon.metagraph is not None
        for _ in range(2):
            size = axon.metagraph.n
            await network.register(NETUID, Keypair.generate())
            await until(lambda size=size: axon.metagraph.n == size + 1, within_s=5)  # type: ignore[misc]
            await asyncio.to_thread(server.restart)
        await network.register(NETUID, alice)
        await until(lambda: axon.metagraph.uid_of(alice.ss58_address), within_s=10)  # type: ignore[union-attr]
        assert await call(dendrite, axon) == 200


async def test_an_axon_does_not_start_without_its_network(
    server: RedisServer, bob: Keypair
) -> None:
    from node.errors import NetworkError

    server.stop()
    axon = Axon(bob, ip="127.0.0.1", port=0, network=server.url(), netuid=NETUID)
    with pytest.raises(NetworkError, match="can't be reached"):
        await axon.start()


# A miner ----------------------------------------------------------------------------------------


@pytest.fixture
def make_miner(server: RedisServer, tmp_path: Path) -> Any:
    Wallet("default", "default", tmp_path / "wallets").create()

    async def make(*more: str) -> Miner:
        return await asyncio.to_thread(make_here, *more)  # reads files

    def make_here(*more: str) -> Miner:
        flags = [
            "--netuid", str(NETUID), "--wallet.path", str(tmp_path / "wallets"),
            "--subtensor.network", server.url(), "--subtensor.allow_private",
            "--axon.ip", "127.0.0.1", "--axon.port", "0",
        ]  # fmt: skip
        return Miner(resolve(build_parser("miner", prog="p"), [*flags, *more], {}))

    return make


def question(text: str) -> StreamPrompting:
    return StreamPrompting(roles=["user"], messages=[text])


async def test_a_miner_registers_serves_and_shares_the_networks_redis(
    server: RedisServer, make_miner: Any, alice: Keypair, dendrite: Dendrite
) -> None:
    async with RedisNetwork(server.url(), allow_private=True) as network:
        await network.register(NETUID, alice)
        async with await make_miner("--axon.shared_memory", "auto") as miner:
            listed = (await network.metagraph(NETUID)).axons[miner.uid]
            assert replace(listed, coldkey="") == miner.axon.info()
            stream = await dendrite(listed, question("a b c"), deserialize=False)
            assert (await stream.final()).completion == "a b c"
    keys = await asyncio.to_thread(server.command, "KEYS", "ganglion:once:*")
    assert keys.count(b"ganglion:once:") >= 1


async def test_a_miner_renews_what_it_published_before_it_expires(
    server: RedisServer,
    make_miner: Any,
    skip_ahead: Callable[[float], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()
    monkeypatch.setattr("node.neuron.publishing.time", SimpleNamespace(monotonic=loop.time))
    began_ns, began = time.time_ns(), loop.time()

    def clock_ns() -> int:
        return began_ns + int((loop.time() - began) * 1e9)

    async with RedisNetwork(server.url(), allow_private=True, clock=clock_ns) as network:
        miner = await make_miner()
        miner.network.serve_ttl_s = 60.0
        miner.network._clock = clock_ns
        async with miner:
            graph = await network.metagraph(NETUID)
            # It looks every fifth time, and what is not renewed expires between two looks.
            for _ in range(28):
                skip_ahead(3.5)
                await asyncio.sleep(0.05)
                await graph.sync()
                assert graph.axons[miner.uid].is_serving
        skip_ahead(61.0)
        assert not (await graph.sync()).axons[miner.uid].is_serving


async def test_a_miner_comes_through_a_kill_with_its_record_and_publishes_again_what_was_lost(
    server: RedisServer, make_miner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.neuron.publishing._RETRY_S", 0.1)
    miner = await make_miner()
    miner.network.serve_ttl_s = 1.2
    async with miner, RedisNetwork(server.url(), allow_private=True) as network:
        await asyncio.to_thread(server.kill)
        await asyncio.sleep(1.5)  # its record expires meanwhile
        await asyncio.to_thread(server.start)
        graph = await network.metagraph(NETUID)
        assert graph.uid_of(miner.axon.hotkey) == miner.uid
        async with asyncio.timeout(10):
            while not graph.axons[miner.uid].is_serving:
                await asyncio.sleep(0.05)
                await graph.sync()
        # And all is lost: it registers anew.
        await asyncio.to_thread(server.command, "FLUSHALL")
        async with asyncio.timeout(10):
            while not any(axon.is_serving for axon in (await graph.sync()).axons):
                await asyncio.sleep(0.05)
