"""One question to many peers: eager, in order, each apart from the others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from node import Axon, Dendrite, Keypair, Peer
from node.errors import ConfigError
from tests.raw_http import read_request, scripted_peer

from .synapses import PATIENCE_S, Echo, Words, until


class Crowd:
    """Axons that run in this loop, each with a number."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self.pause_s = 0.0
        self.together: asyncio.Barrier | None = None
        self.started: list[int] = []
        self.cancelled: list[int] = []
        self.peers: list[Peer] = []

    async def add(self, count: int) -> list[Peer]:
        for number in range(len(self.peers), len(self.peers) + count):
            axon = Axon(Keypair.from_uri(f"//Miner{number}"), ip="127.0.0.1", port=0)
            axon.attach(self._words(number)).attach(self._echo(number))  # type: ignore[arg-type]
            await self._stack.enter_async_context(axon)
            self.peers.append(axon.info())
        return self.peers

    def _words(self, number: int) -> object:
        async def words(synapse: Words) -> AsyncIterator[str]:
            self.started.append(number)
            try:
                await asyncio.sleep(self.pause_s)
                if self.together is not None:
                    await self.together.wait()
                for word in range(synapse.count):
                    yield f"{number}.{word} "
            except asyncio.CancelledError:
                self.cancelled.append(number)
                raise

        return words

    def _echo(self, number: int) -> object:
        async def echo(synapse: Echo) -> Echo:
            self.started.append(number)
            try:
                await asyncio.sleep(self.pause_s)
            except asyncio.CancelledError:
                self.cancelled.append(number)
                raise
            synapse.answer = str(number)
            return synapse

        return echo


@pytest.fixture
async def crowd() -> AsyncIterator[Crowd]:
    async with AsyncExitStack() as stack:
        yield Crowd(stack)


def dead_peer() -> Peer:
    """Return a peer at a port where nothing listens."""
    hotkey = Keypair.from_uri("//Dead").ss58_address
    return Peer(hotkey=hotkey, ip="127.0.0.1", port=1)


async def test_three_miners_think_at_the_same_time_though_they_are_read_one_after_another(
    crowd: Crowd, dendrite: Dendrite
) -> None:
    peers = await crowd.add(3)
    crowd.together = asyncio.Barrier(3)  # nobody answers before all were asked
    firsts: list[str] = []
    async with asyncio.timeout(PATIENCE_S):
        for stream in await dendrite(peers, Words()):  # as the seed's client does
            async for chunk in stream.chunks():
                if not firsts or not firsts[-1].startswith(chunk[:2]):
                    firsts.append(chunk)
    assert [first[:2] for first in firsts] == ["0.", "1.", "2."]


async def test_all_requests_are_on_the_wire_when_the_call_returns(
    dendrite: Dendrite, bob: Keypair
) -> None:
    arrived: list[bytes] = []

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.append((await read_request(reader))[0])
        await asyncio.sleep(60)

    async with scripted_peer(silent, bob.ss58_address) as peer:
        streams = await dendrite([peer] * 5, Words())
        assert all(stream.timing.sent_s is not None for stream in streams)
        # Nobody iterates; what is sent has only to be read on the other side.
        await until(lambda: len(arrived) == 5)
        for stream in streams:
            await stream.aclose()


async def test_a_peer_that_takes_no_connection_does_not_hold_up_the_call(
    crowd: Crowd, alice: Keypair, black_hole: Peer
) -> None:
    peers = await crowd.add(1)
    async with asyncio.timeout(PATIENCE_S), Dendrite(alice, connect=60) as dendrite:
        streams = await dendrite([black_hole, peers[0]], Words(), timeout=60)
        assert (await streams[1]).is_success
        assert streams[0].timing.connected_s is None
        await streams[0].aclose()


async def test_no_peers_give_no_replies(dendrite: Dendrite) -> None:
    assert await dendrite([], Words()) == []
    assert await dendrite([], Echo(text="")) == []
    assert await dendrite((), Words(), streaming=False) == []
    assert await dendrite([], Words(), run_async=False) == []


@pytest.mark.parametrize("streaming", [True, False])
async def test_one_dead_peer_of_two_gives_a_503_in_its_place(
    crowd: Crowd, dendrite: Dendrite, streaming: bool
) -> None:
    (alive,) = await crowd.add(1)
    replies = await dendrite([dead_peer(), alive], Words(), streaming=streaming)
    dead, good = [await reply if streaming else reply for reply in replies]
    assert (dead.dendrite.status_code, dead.is_success) == (503, False)
    assert dead.axon.hotkey == dead_peer().hotkey
    assert (good.completion, good.is_success) == ("0.0 0.1 0.2 ", True)


async def test_one_dead_peer_of_two_of_a_unary_call_is_a_503_too(
    crowd: Crowd, dendrite: Dendrite
) -> None:
    (alive,) = await crowd.add(1)
    good, dead = await dendrite([alive, dead_peer()], Echo(text=""))
    assert (good.answer, good.is_success) == ("0", True)
    assert dead.dendrite.status_code == 503
    assert "refused" in dead.dendrite.status_message


async def test_a_peer_without_a_port_is_a_503_and_nothing_is_sent(dendrite: Dendrite) -> None:
    peer = Peer(hotkey=dendrite.hotkey, ip="127.0.0.1", port=0)
    reply = await dendrite(peer, Echo(text=""))
    assert reply.dendrite.status_code == 503
    assert "address" in reply.dendrite.status_message


@pytest.mark.parametrize("run_async", [True, False])
async def test_replies_come_in_the_order_of_the_peers(
    crowd: Crowd, dendrite: Dendrite, run_async: bool
) -> None:
    peers = (await crowd.add(4))[::-1]
    unary = await dendrite(peers, Echo(text=""), run_async=run_async)
    streams = await dendrite(peers, Words(count=1), run_async=run_async)
    assert [reply.answer for reply in unary] == ["3", "2", "1", "0"]
    assert [(await stream).completion for stream in streams] == ["3.0 ", "2.0 ", "1.0 ", "0.0 "]
    assert [stream.peer for stream in streams] == peers


async def test_run_async_false_asks_one_after_another(crowd: Crowd, dendrite: Dendrite) -> None:
    peers = await crowd.add(3)
    crowd.pause_s = 0.1
    began = time.perf_counter()
    await dendrite(peers, Echo(text=""), run_async=False)
    assert time.perf_counter() - began >= 0.3
    assert crowd.started == [0, 1, 2]


@pytest.mark.parametrize("run_async", [True, False])
@pytest.mark.parametrize("streaming", [True, False])
async def test_a_cancelled_fan_out_cancels_every_peers_work(
    crowd: Crowd, dendrite: Dendrite, streaming: bool, run_async: bool
) -> None:
    peers = await crowd.add(3)
    crowd.pause_s = 30
    asked = dendrite(peers, Words(), run_async=run_async, streaming=streaming)
    call = asyncio.ensure_future(asked)
    await until(lambda: crowd.started)
    if run_async:
        await until(lambda: len(crowd.started) == 3)
    call.cancel()
    results = await asyncio.gather(call, return_exceptions=True)
    streams = results[0] if isinstance(results[0], list) else []
    for stream in streams:
        await stream.aclose()
    await until(lambda: sorted(crowd.cancelled) == sorted(crowd.started))


@pytest.mark.parametrize("run_async", [True, False])
async def test_a_cancelled_unary_fan_out_leaves_nothing_behind(
    crowd: Crowd, dendrite: Dendrite, run_async: bool
) -> None:
    peers = await crowd.add(3)
    crowd.pause_s = 30
    call = asyncio.ensure_future(dendrite(peers, Echo(text=""), run_async=run_async))
    await until(lambda: len(crowd.started) == (3 if run_async else 1))
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await until(lambda: sorted(crowd.cancelled) == sorted(crowd.started))


async def test_breaking_off_one_stream_leaves_the_others(crowd: Crowd, dendrite: Dendrite) -> None:
    peers = await crowd.add(2)
    first, second = await dendrite(peers, Words(count=12))
    async for _ in first:
        break
    assert (await second).completion == "".join(f"1.{word} " for word in range(12))


@pytest.mark.parametrize("wrong", [5, None, "not a peer", b"bytes", object()])
async def test_what_is_no_peer_is_refused_before_anything_is_sent(
    crowd: Crowd, dendrite: Dendrite, wrong: object
) -> None:
    (peer,) = await crowd.add(1)
    with pytest.raises(ConfigError):
        await dendrite([peer, wrong], Words())
    with pytest.raises(ConfigError):
        await dendrite([peer, wrong], Echo(text=""))
    assert crowd.started == []


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf")])
async def test_a_timeout_that_is_none_is_refused(
    crowd: Crowd, dendrite: Dendrite, timeout: float
) -> None:
    (peer,) = await crowd.add(1)
    for synapse in (Words(), Echo(text="")):
        with pytest.raises(ConfigError, match="deadline"):
            await dendrite(peer, synapse, timeout=timeout)
    assert crowd.started == []
