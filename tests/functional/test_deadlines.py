"""Deadlines by phase: connect, first byte, idle, and the total over all of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest

from node import Axon, Dendrite, Keypair, Peer
from node.errors import CallError, ConfigError, PeerTimeout
from node.streams import FrameKind, encode_frame
from tests.raw_http import Script, read_request, reply_head, scripted_peer

from .synapses import Echo, Words, until

FRAMES = "application/x-ganglion-frames"


def stalling(*sent: bytes, pause_s: float = 3600.0) -> Script:
    """Return a peer's script that sends some bytes, pausing after each, and never ends."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        for data in sent:
            writer.write(data)
            await writer.drain()
            await asyncio.sleep(pause_s)
        await asyncio.sleep(3600)

    return script


def in_chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


HEAD = reply_head(FRAMES, "Transfer-Encoding: chunked")
JSON_HEAD = reply_head("application/json", "Content-Length: 100")
CHUNK = in_chunk(encode_frame(FrameKind.CHUNK, b"x"))


async def expect(
    dendrite: Dendrite,
    peer: Peer,
    phase: str,
    *,
    streamed: bool,
    timeout: float | None = 60.0,
) -> PeerTimeout:
    """Make a call that must run into the deadline of one phase; all others are far away."""
    question = Words() if streamed else Echo(text="")
    began = time.perf_counter()
    with pytest.raises(PeerTimeout) as caught:
        await dendrite.call(peer, question, timeout=timeout, raise_errors=True)
    assert time.perf_counter() - began < 20
    assert (caught.value.phase, caught.value.status) == (phase, 408)
    assert phase.replace("_", " ") in caught.value.detail.replace("_", " ")
    return caught.value


@pytest.mark.parametrize("streamed", [True, False])
async def test_connect(alice: Keypair, black_hole: Peer, streamed: bool) -> None:
    async with Dendrite(alice, connect=0.3) as dendrite:
        error = await expect(dendrite, black_hole, "connect", streamed=streamed)
    assert error.retry_safe  # nothing was sent


@pytest.mark.parametrize("streamed", [True, False])
async def test_first_byte_of_a_peer_that_never_answers(alice: Keypair, streamed: bool) -> None:
    async with (
        scripted_peer(stalling(), alice.ss58_address) as peer,
        Dendrite(alice, first_byte=0.3) as dendrite,
    ):
        error = await expect(dendrite, peer, "first_byte", streamed=streamed)
    assert not error.retry_safe


async def test_first_byte_of_a_peer_that_sends_only_a_head(alice: Keypair) -> None:
    async with (
        scripted_peer(stalling(HEAD), alice.ss58_address) as peer,
        Dendrite(alice, first_byte=0.3, idle=60) as dendrite,
    ):
        await expect(dendrite, peer, "first_byte", streamed=True)


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("status", ["200 OK", "500 Internal Server Error"])
async def test_a_head_is_no_first_byte_of_a_document(
    alice: Keypair, status: str, streamed: bool
) -> None:
    head = reply_head("application/json", "Content-Length: 100", status=status)
    async with (
        scripted_peer(stalling(head), alice.ss58_address) as peer,
        Dendrite(alice, first_byte=0.3) as dendrite,
    ):
        await expect(dendrite, peer, "first_byte", streamed=streamed)


async def test_heartbeats_are_no_first_byte(alice: Keypair) -> None:
    beats = [in_chunk(encode_frame(FrameKind.HEARTBEAT, b""))] * 1000
    async with (
        scripted_peer(stalling(HEAD, *beats, pause_s=0.05), alice.ss58_address) as peer,
        Dendrite(alice, first_byte=0.4) as dendrite,
    ):
        await expect(dendrite, peer, "first_byte", streamed=True)


async def test_an_accepted_connection_ends_the_connect_phase(
    alice: Keypair, skip_ahead: Callable[[float], None]
) -> None:
    async def skipping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        skip_ahead(61.0)  # past the one, and not yet at the other
        await asyncio.sleep(0.05)
        skip_ahead(60.0)
        await asyncio.sleep(3600)

    async with (
        scripted_peer(skipping, alice.ss58_address) as peer,
        Dendrite(alice, connect=60, first_byte=120) as dendrite,
    ):
        await expect(dendrite, peer, "first_byte", streamed=False, timeout=None)


async def test_idle_after_something_came_of_a_refusal(alice: Keypair) -> None:
    head = reply_head("application/json", "Content-Length: 100", status="500 No")
    async with (
        scripted_peer(stalling(head + b'{"co'), alice.ss58_address) as peer,
        Dendrite(alice, first_byte=50, idle=0.3) as dendrite,
    ):
        await expect(dendrite, peer, "idle", streamed=False)


@pytest.mark.parametrize("streamed", [True, False])
async def test_idle_after_something_came(alice: Keypair, streamed: bool) -> None:
    sent = [HEAD + CHUNK] if streamed else [JSON_HEAD + b'{"ans']
    async with (
        scripted_peer(stalling(*sent), alice.ss58_address) as peer,
        Dendrite(alice, first_byte=50, idle=0.3) as dendrite,
    ):
        await expect(dendrite, peer, "idle", streamed=streamed)


async def test_idle_is_between_two_reads_and_not_in_all(
    alice: Keypair, bob: Keypair, skip_ahead: Callable[[float], None]
) -> None:
    read = asyncio.Semaphore(0)

    async def forward(synapse: Words) -> AsyncIterator[str]:
        for _ in range(8):
            yield "x"
            await read.acquire()

    axon = Axon(bob, ip="127.0.0.1", port=0, heartbeat_s=3600.0).attach(forward)
    async with axon, Dendrite(alice, first_byte=60, idle=60) as dendrite:
        stream = await dendrite(axon.info(), Words(), timeout=None)
        for number in range(8):
            await until(lambda number=number: stream.timing.chunks > number)  # type: ignore[misc]
            skip_ahead(40.0)
            await asyncio.sleep(0.01)
            read.release()
        assert (await stream).completion == "x" * 8


@pytest.mark.parametrize("streamed", [True, False])
async def test_total_of_a_peer_that_never_answers(
    alice: Keypair, dendrite: Dendrite, streamed: bool
) -> None:
    async with scripted_peer(stalling(), alice.ss58_address) as peer:
        await expect(dendrite, peer, "total", streamed=streamed, timeout=0.3)


async def test_total_of_a_connection_that_never_comes(dendrite: Dendrite, black_hole: Peer) -> None:
    await expect(dendrite, black_hole, "total", streamed=True, timeout=0.3)


@pytest.mark.parametrize("streamed", [True, False])
async def test_total_of_a_peer_that_trickles(
    alice: Keypair, dendrite: Dendrite, streamed: bool
) -> None:
    sent = [HEAD, *[CHUNK] * 500] if streamed else [JSON_HEAD, *[b" "] * 90]
    async with scripted_peer(stalling(*sent, pause_s=0.05), alice.ss58_address) as peer:
        await expect(dendrite, peer, "total", streamed=streamed, timeout=0.5)


async def test_what_came_before_a_deadline_is_kept(
    alice: Keypair, dendrite: Dendrite, skip_ahead: Callable[[float], None]
) -> None:
    async with scripted_peer(
        stalling(HEAD, CHUNK, CHUNK, pause_s=0.01), alice.ss58_address
    ) as peer:
        stream = await dendrite(peer, Words(), timeout=60)
        await until(lambda: stream.timing.chunks == 2)
        skip_ahead(61.0)
        *chunks, final = [item async for item in stream]
    assert chunks == ["x", "x"]
    assert (final.completion, final.is_timeout, final.is_success) == ("xx", True, False)


async def test_no_deadline_at_all_waits(alice: Keypair, axon: Axon) -> None:
    async def forward(synapse: Echo) -> Echo:
        await asyncio.sleep(0.3)
        return synapse

    axon.attach(forward)
    async with axon, Dendrite(alice, connect=None) as dendrite:
        assert (await dendrite(axon.info(), Echo(text=""), timeout=None)).is_success


async def test_one_slow_peer_times_out_alone(
    alice: Keypair, axon: Axon, skip_ahead: Callable[[float], None]
) -> None:
    async def forward(synapse: Words) -> AsyncIterator[str]:
        yield "x"

    axon.attach(forward)
    async with (
        axon,
        scripted_peer(stalling(), alice.ss58_address) as slow,
        Dendrite(alice) as dendrite,
    ):
        streams = await dendrite([slow, axon.info()], Words(), timeout=60)
        await until(lambda: streams[1].timing.total_s is not None)
        assert streams[0].timing.total_s is None
        skip_ahead(61.0)
        replies = [await stream for stream in streams]
    assert [reply.dendrite.status_code for reply in replies] == [408, 200]


@pytest.mark.parametrize("name", ["connect", "first_byte", "idle"])
@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf")])
def test_a_deadline_that_is_none_is_refused(alice: Keypair, name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=name):
        Dendrite(alice, **{name: value})  # type: ignore[arg-type]


async def test_an_outer_timeout_is_the_callers_own(alice: Keypair, dendrite: Dendrite) -> None:
    async with scripted_peer(stalling(), alice.ss58_address) as peer:
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.2):
                await dendrite.call(peer, Echo(text=""), raise_errors=True)
    assert not isinstance(caught.value, CallError)
