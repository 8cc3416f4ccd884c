"""A slow reader stops the generator, one that stopped is cut, and neither costs memory."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from node import Axon, Dendrite, Keypair
from node.streams import StreamMode
from node.synapse import Send, StreamingReply
from tests.raw_http import RawConnection, signed_request

from .synapses import Words, until

KIB = 1024
MIB = 1024 * KIB


class Miner:
    """Forwards of every form that send much, and note how far they came and how they ended."""

    def __init__(self, chunk: bytes = b"x" * 64 * KIB) -> None:
        self.chunk = chunk
        self.made = 0
        self.ended: list[str] = []

    @contextlib.contextmanager
    def _noted(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self.ended.append(type(error).__name__)
            raise
        else:
            self.ended.append("complete")

    async def generator(self, synapse: Words) -> AsyncIterator[bytes]:
        with self._noted():
            for _ in range(synapse.count):
                self.made += 1
                yield self.chunk

    def sync_generator(self, synapse: Words) -> Iterator[bytes]:
        with self._noted():
            for _ in range(synapse.count):
                self.made += 1
                yield self.chunk

    def streamer(self, synapse: Words) -> StreamingReply:
        async def send_all(send: Send) -> None:
            with self._noted():
                for _ in range(synapse.count):
                    self.made += 1
                    await send({"body": self.chunk, "more_body": True})

        return synapse.create_streaming_response(send_all)

    async def failing(self, synapse: Words) -> AsyncIterator[bytes]:
        with self._noted():
            for _ in range(synapse.count):
                self.made += 1
                yield self.chunk
            raise ValueError("after the last chunk")

    async def settled(self) -> int:
        """Return how many chunks were made, once no more are."""
        before = -1
        while before != self.made:
            before = self.made
            await asyncio.sleep(0.2)
        return before


@pytest.fixture
def miner() -> Miner:
    return Miner()


async def narrow_connection(axon: Axon) -> RawConnection:
    """Connect with small buffers on both sides, and read nothing that is not asked for."""
    assert axon._server is not None
    runner: Any = axon._server._runner
    for site in runner.sites:
        for listening in site._server.sockets:  # whose options a connection inherits
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * KIB)
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * KIB)
    plain.setblocking(False)
    await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", axon.port))
    reader, writer = await asyncio.open_connection(sock=plain, limit=KIB)
    return RawConnection(reader, writer)


@pytest.mark.parametrize(
    ("form", "mode"),
    [*(("generator", mode) for mode in StreamMode), ("sync_generator", "frames"),
     ("streamer", "frames")],
)  # fmt: skip
async def test_a_reader_that_takes_3_of_4000_chunks_costs_under_8_mib(
    axon: Axon, alice: Keypair, miner: Miner, form: str, mode: str
) -> None:
    """Both sides run here, so the bound for each is kept by their sum."""
    axon.attach(getattr(miner, form))
    async with axon, Dendrite(alice, mode=mode) as dendrite:
        tracemalloc.start()
        try:
            stream = await dendrite(axon.info(), Words(count=4000), timeout=None)
            chunks = stream.chunks()
            for _ in range(3):
                assert await anext(chunks)
            made = await miner.settled()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert made < 500  # what the kernel's buffers on both sides hold, and little more
        assert peak < 8 * MIB
        assert miner.ended == []
        await chunks.aclose()
        await until(lambda: miner.ended)
        assert miner.ended != ["complete"]
        assert miner.made < made + 50


async def test_a_reader_that_goes_on_gets_it_all(
    axon: Axon, dendrite: Dendrite, miner: Miner
) -> None:
    axon.attach(miner.generator)
    async with axon:
        stream = await dendrite(axon.info(), Words(count=400), timeout=None)
        assert await miner.settled() < 400
        final = await stream
    assert final.is_success
    assert len(final.completion) == 400 * 64 * KIB


@pytest.mark.parametrize(
    ("form", "taken"),
    [("generator", 0), ("generator", 500 * KIB), ("sync_generator", 0), ("streamer", 0)],
)
async def test_a_reader_that_stops_is_cut_after_the_time_that_was_set(
    bob: Keypair, alice: Keypair, miner: Miner, form: str, taken: int
) -> None:
    axon = Axon(bob, ip="127.0.0.1", port=0, stall_s=0.4).attach(getattr(miner, form))
    async with axon, await narrow_connection(axon) as connection:
        request = signed_request(alice, axon.hotkey, "/Words?stream=frames", b'{"count": 4000}')
        await connection.send(request.encode())
        while taken > 0:
            taken -= len(await connection.reader.read(64 * KIB))
        stopped = time.perf_counter()
        await until(lambda: miner.ended, within_s=3)
        assert time.perf_counter() - stopped > 0.3
        assert miner.ended != ["complete"]
        await until(lambda: axon._slots._free == axon._max_workers)
        assert len(axon._heartbeats) == 0
        assert await connection.is_closed_by_peer()


@pytest.mark.parametrize("form", ["generator", "failing"])
@pytest.mark.parametrize("size", [20 * KIB, 33 * KIB, 60 * KIB])
async def test_a_reader_that_stops_is_cut_wherever_the_reply_stands(
    bob: Keypair, alice: Keypair, form: str, size: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Replies of every length near what the buffers hold: one is stuck at a chunk, one at its END.

    Those that fit into the buffers as a whole are sent, and are no concern of the axon any more.
    """
    caplog.set_level(logging.CRITICAL, "node")
    miner = Miner(b"x" * size)
    axon = Axon(bob, ip="127.0.0.1", port=0, stall_s=0.3, max_workers=100)
    axon.attach(getattr(miner, form))
    async with axon, contextlib.AsyncExitStack() as stack:
        for count in range(1, 16):
            connection = await stack.enter_async_context(await narrow_connection(axon))
            target, body = "/Words?stream=frames", b'{"count": %d}' % count
            request = signed_request(alice, axon.hotkey, target, body)
            await connection.send(request.encode())
        await until(lambda: miner.made, within_s=3)
        await until(lambda: not axon._server._running, within_s=4)  # type: ignore[union-attr]
        assert axon._slots._free == 100
        assert len(axon._heartbeats) == 0
    assert len(miner.ended) == 15
    assert len(set(miner.ended)) == 2  # some were cut, and some were not


async def test_a_slow_reader_is_not_cut_as_long_as_it_reads(
    bob: Keypair, alice: Keypair, miner: Miner
) -> None:
    """Also within one chunk, whose write takes longer than a reader may stop."""
    miner.chunk = b"x" * 2 * MIB
    axon = Axon(bob, ip="127.0.0.1", port=0, stall_s=0.6).attach(miner.generator)
    async with axon, await narrow_connection(axon) as connection:
        request = signed_request(alice, axon.hotkey, "/Words?stream=raw", b'{"count": 1}')
        await connection.send(request.encode())
        began, got = time.perf_counter(), b""
        while len(got) < 2 * MIB:
            piece = await connection.reader.read(32 * KIB)
            assert piece, f"cut after {len(got)} bytes"
            got += piece
            await asyncio.sleep(0.02 * len(piece) / (32 * KIB))
        assert time.perf_counter() - began > 1.0
        await until(lambda: miner.ended == ["complete"])


async def test_a_dendrite_that_does_not_read_is_cut_and_told(
    bob: Keypair, alice: Keypair, miner: Miner
) -> None:
    axon = Axon(bob, ip="127.0.0.1", port=0, stall_s=0.4).attach(miner.generator)
    async with axon, Dendrite(alice) as dendrite:
        stream = await dendrite(axon.info(), Words(count=4000), timeout=None)
        await until(lambda: miner.ended, within_s=5)
        final = await stream
    assert final.dendrite.status_code == 503
    assert 0 < len(final.completion) < 500 * 64 * KIB


@pytest.mark.parametrize("mode", ["frames", "raw"])
async def test_streams_read_one_after_another_all_succeed(
    axon: Axon, alice: Keypair, miner: Miner, mode: str
) -> None:
    """Reading each takes longer than all deadlines, and is nobody's time but the reader's."""
    axon.attach(miner.generator)
    finals: list[Any] = []
    async with axon, Dendrite(alice, mode=mode, first_byte=0.5, idle=0.5) as dendrite:
        streams = await dendrite([axon.info()] * 3, Words(count=40), timeout=0.7)
        for stream in streams:
            began, read = time.perf_counter(), 0
            async for chunk in stream.chunks():
                read += len(chunk)
                if read % MIB < len(chunk):
                    await asyncio.sleep(0.3)
            assert time.perf_counter() - began > 0.55
            finals.append(await stream)
    assert [final.dendrite.status_code for final in finals] == [200] * 3
    assert {len(final.completion) for final in finals} == {40 * 64 * KIB}
