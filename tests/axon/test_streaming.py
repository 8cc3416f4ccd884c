"""Chunks of turns of the loop that follow each other leave together, and none waits for more."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from asyncio import selector_events
from collections.abc import AsyncIterator
from typing import Any

import pytest
from blockbuster import BlockBuster

from node import Axon, Keypair
from node.streams import FrameDecoder, FrameKind
from tests.functional.synapses import Words
from tests.raw_http import RawConnection, ask, signed_request

WAIT_S = 5.0


def words_request(alice: Keypair, axon: Axon, mode: str, count: int = 3) -> bytes:
    body = json.dumps({"count": count}).encode()
    return signed_request(alice, axon.hotkey, f"/Words?stream={mode}", body).encode()


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What goes to a socket, a piece for each write."""
    pieces: list[bytes] = []
    transport: Any = selector_events._SelectorSocketTransport  # type: ignore[attr-defined]
    write = transport.write

    def noted(self: Any, data: bytes) -> None:
        pieces.append(bytes(data))
        write(self, data)

    monkeypatch.setattr(transport, "write", noted)
    return pieces


@pytest.mark.parametrize("turns", ["one", "one after another"])
@pytest.mark.parametrize("mode", ["frames", "sse"])
async def test_chunks_leave_in_few_writes(
    axon: Axon, alice: Keypair, written: list[bytes], mode: str, turns: str
) -> None:
    async def words(synapse: Words) -> AsyncIterator[str]:
        for number in range(synapse.count):
            yield f"{number} "
            if turns != "one":
                await asyncio.sleep(0)

    async with axon.attach(words), await RawConnection.open(axon.port) as connection:
        await connection.send(words_request(alice, axon, mode, count=1000))
        reply = await connection.read_reply()
    assert reply.complete
    for number in (0, 1, 500, 999):
        assert f"{number} ".encode() in reply.body
    assert reply.body.index(b"998 ") < reply.body.index(b"999 ")
    # The request is one, the first chunk another; a batch ends after a millisecond.
    assert len(written) < 500


async def test_chunks_leave_where_there_is_one_in_every_turn(
    axon: Axon, alice: Keypair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.axon.streaming._GATHER_BYTES", 2**30)
    seen = asyncio.Event()

    async def words(synapse: Words) -> AsyncIterator[str]:
        yield "first "
        yield "second "
        while not seen.is_set():
            yield "word "
            await asyncio.sleep(0)

    async with axon.attach(words), await RawConnection.open(axon.port) as connection:
        await connection.send(words_request(alice, axon, "frames"))
        async with asyncio.timeout(WAIT_S):
            await connection.reader.readuntil(b"second ")
        seen.set()


@pytest.mark.parametrize("mode", ["frames", "sse", "raw"])
@pytest.mark.parametrize("chunk_s", [0.0001, 0.004])
@pytest.mark.parametrize("chunk", ["word ", ""])
async def test_a_forward_that_never_awaits_does_not_keep_the_loop_to_itself(
    axon: Axon, alice: Keypair, mode: str, chunk_s: float, chunk: str
) -> None:
    turn, at_chunk = 0, list[int]()

    async def others() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    async def words(synapse: Words) -> AsyncIterator[str]:
        for _ in range(synapse.count):
            end = time.perf_counter() + chunk_s
            while time.perf_counter() < end:
                pass
            at_chunk.append(turn)
            yield chunk

    waiting = asyncio.create_task(others())
    async with axon.attach(words), await RawConnection.open(axon.port) as connection:
        await connection.send(words_request(alice, axon, mode, count=round(0.2 / chunk_s)))
        reply = await connection.read_reply()
    waiting.cancel()
    assert reply.complete
    assert len(set(at_chunk)) > 5  # in 0.2 s


async def test_gathered_frames_are_whole_and_in_order(axon: Axon, alice: Keypair) -> None:
    chunks = [b"a", b"", "é".encode(), b"x" * 70_000, b"b", b"y" * 65_536, b"c"]

    async def words(synapse: Words) -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    async with axon.attach(words):
        reply = await ask(
            axon.port, signed_request(alice, axon.hotkey, "/Words?stream=frames", b"{}")
        )
    *found, end = FrameDecoder().feed(reply.body)
    assert [frame.payload for frame in found] == [chunk for chunk in chunks if chunk]
    assert end.kind is FrameKind.END
    assert json.loads(end.payload)["chunks"] == len(found)


async def test_raw_gathers_nothing(axon: Axon, alice: Keypair, written: list[bytes]) -> None:
    async def words(synapse: Words) -> AsyncIterator[str]:
        for _ in range(synapse.count):
            yield "word"

    async with axon.attach(words), await RawConnection.open(axon.port) as connection:
        await connection.send(words_request(alice, axon, "raw", count=50))
        await connection.read_reply()
    assert sum(piece.count(b"4\r\nword\r\n") for piece in written) == 50
    assert max(piece.count(b"word") for piece in written) == 1


@pytest.mark.parametrize("mode", ["frames", "sse", "raw"])
async def test_no_chunk_waits_for_the_next(axon: Axon, alice: Keypair, mode: str) -> None:
    seen = asyncio.Event()

    async def words(synapse: Words) -> AsyncIterator[str]:
        yield "one "
        yield "two "
        yield "three"
        await seen.wait()

    async with axon.attach(words), await RawConnection.open(axon.port) as connection:
        await connection.send(words_request(alice, axon, mode))
        async with asyncio.timeout(WAIT_S):
            await connection.reader.readuntil(b"three")
        seen.set()


def test_chunks_leave_one_by_one_where_the_forward_never_lets_go(
    alice: Keypair, bob: Keypair, no_blocking_calls: BlockBuster
) -> None:
    """The forward goes on only when its reader, in another thread, has what it yielded."""
    no_blocking_calls.deactivate()
    arrived = threading.Semaphore(0)
    in_time: list[bool] = []

    async def words(synapse: Words) -> AsyncIterator[str]:
        for number in range(3):
            yield f"word{number}"
            in_time.append(arrived.acquire(timeout=WAIT_S))
            pause = time.monotonic() + 0.002  # as a model that computes on the loop
            while time.monotonic() < pause:
                pass

    def read(port: int, request: bytes) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as connection:
            connection.sendall(request)
            data = b""
            for awaited in (b"word0", b"word1", b"word2", b"\r\n0\r\n\r\n"):
                while awaited not in data:
                    piece = connection.recv(65536)
                    assert piece
                    data += piece
                arrived.release()

    async def serve() -> None:
        async with Axon(bob, ip="127.0.0.1", port=0).attach(words) as axon:
            await asyncio.to_thread(read, axon.port, words_request(alice, axon, "frames"))

    asyncio.run(serve())
    assert in_time == [True, True, True]


@pytest.mark.parametrize("mode", ["frames", "sse"])
async def test_what_has_gathered_leaves_before_an_error(
    axon: Axon, alice: Keypair, written: list[bytes], mode: str
) -> None:
    async def words(synapse: Words) -> AsyncIterator[str]:
        yield "one "
        yield "two "
        yield "three "
        raise ValueError("now")

    async with axon.attach(words), await RawConnection.open(axon.port) as connection:
        await connection.send(words_request(alice, axon, mode))
        reply = await connection.read_reply()
    places = [reply.body.index(word) for word in (b"one", b"two", b"three", b"forward_failed")]
    assert places == sorted(places)
    assert reply.complete


async def test_headers_leave_with_the_first_chunk(
    axon: Axon, alice: Keypair, written: list[bytes]
) -> None:
    async def words(synapse: Words) -> AsyncIterator[str]:
        yield "word"
        await asyncio.sleep(0)

    async with axon.attach(words), await RawConnection.open(axon.port) as connection:
        await connection.send(words_request(alice, axon, "frames"))
        await connection.read_reply()
    first = next(piece for piece in written if piece.startswith(b"HTTP/1.1 200"))
    assert first.endswith(b"\x10\x00\x00\x00\x04word\r\n")


async def test_small_chunks_wait_for_a_reader_that_does_not_read(
    axon: Axon, alice: Keypair
) -> None:
    made, enough = 0, 1_500_000

    async def words(synapse: Words) -> AsyncIterator[bytes]:
        nonlocal made
        while made < enough:
            made += 1
            yield b"small"

    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    plain.setblocking(False)
    async with axon.attach(words):
        await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", axon.port))
        async with RawConnection(*await asyncio.open_connection(sock=plain, limit=1)) as connection:
            await connection.send(words_request(alice, axon, "frames"))
            before = 0
            while before != made or not made:
                before = made
                await asyncio.sleep(0.2)
    # In frames it is 15 MB; a machine's two sockets hold a part of that.
    assert made < enough
