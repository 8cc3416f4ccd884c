"""Whoever pads the chunks of HTTP makes a dendrite hold little more than what counts.

A peer may let what counts come in reads that are full of what is thrown away: extensions of chunks,
and chunks of one byte. Whatever is kept of a read must not keep the read, nor cost an object for
each byte.
"""

from __future__ import annotations

import asyncio
import contextlib
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from node import Dendrite, Keypair
from node.dendrite.chunked import ChunkedContent, Piece
from node.streams import FrameDecoder, FrameKind, encode_frame
from tests.functional.stream_bytes import end_payload
from tests.functional.synapses import Words
from tests.raw_http import chunked, read_request, reply_head, scripted_peer

HEAD = reply_head("application/x-ganglion-frames", "Transfer-Encoding: chunked")
MOST = 6  # bytes held for each that counts
PAYLOAD_BYTES = 2**20
READ_BYTES = 512 * 1024  # the most that is read at once


@pytest.fixture
def held_bytes() -> Iterator[Callable[[], int]]:
    """What is held now beyond what was at the start."""
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    yield lambda: tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()


def padding(size: int) -> bytes:
    """Return about as many bytes of chunks, with one that counts in each 8,000."""
    return (b"1;" + b"x" * 8000 + b"\r\n!\r\n") * (size // 8000)


def block_of(chunk_bytes: int, padding_bytes: int) -> tuple[bytes, int]:
    """Return a chunk with padding after it, and how many bytes of it count."""
    pad = padding(padding_bytes)
    return chunked(b"y" * chunk_bytes, end=False) + pad, chunk_bytes + pad.count(b"!")


def tiny_then_long() -> tuple[bytes, int]:
    """Return chunks of one byte each, and then one that is just long enough to be a view."""
    return chunked(*[b"z"] * 400, b"y" * 4096, end=False), 400 + 4096


BLOCKS = {
    "a small share": block_of(4096, 60_000),
    "a tiny share": block_of(4096, READ_BYTES),
    "a quarter": block_of(16_384, 48_000),
    "tiny chunks, then long ones": tiny_then_long(),
}


@pytest.mark.parametrize("kind", BLOCKS)
async def test_an_unfinished_frame_costs_little_more_than_what_has_come_of_it(
    alice: Keypair, held_bytes: Callable[[], int], kind: str
) -> None:
    block, counts = BLOCKS[kind]
    blocks = PAYLOAD_BYTES // counts
    tag = encode_frame(FrameKind.CHUNK, b"y" * (blocks * counts + 1))[:5]
    all_sent, measured = asyncio.Event(), asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(HEAD + chunked(tag, end=False))
        for _ in range(blocks):
            writer.write(block)
            await writer.drain()
        all_sent.set()
        await measured.wait()

    async with scripted_peer(script, alice.ss58_address) as peer, Dendrite(alice) as dendrite:
        stream = await dendrite.stream(peer, Words(), timeout=60)
        async with asyncio.timeout(60):
            await all_sent.wait()
            while held_bytes() < PAYLOAD_BYTES * 0.9:  # which comes to be held in any case
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.2)
        held = held_bytes()
        measured.set()
        final = await stream
    assert final.dendrite.status_code == 503
    assert held < MOST * PAYLOAD_BYTES, f"{held / 2**20:.1f} MiB"


async def test_a_reader_that_keeps_all_chunks_keeps_nothing_beside_them(
    alice: Keypair, held_bytes: Callable[[], int]
) -> None:
    payload = b"y" * 5000
    frame = encode_frame(FrameKind.CHUNK, payload)
    count = PAYLOAD_BYTES // len(payload)
    end = encode_frame(FrameKind.END, end_payload([payload] * count))
    beat = b"5;%b\r\n%b\r\n" % (b"x" * 8000, encode_frame(FrameKind.HEARTBEAT, b""))
    block = chunked(frame, end=False) + beat * 8

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(HEAD)
        for _ in range(count):
            writer.write(block)
            await writer.drain()
        writer.write(chunked(end))
        await writer.drain()

    async with scripted_peer(script, alice.ss58_address) as peer, Dendrite(alice) as dendrite:
        stream = await dendrite.stream(peer, Words(), timeout=60)
        stream.keep_chunks()
        final = await stream
        held = held_bytes()
    assert final.is_success, final.dendrite
    assert stream.kept_chunks == (payload,) * count
    assert held < MOST * count * len(payload), f"{held / 2**20:.1f} MiB"


async def test_tiny_chunks_that_nobody_takes_hold_little_more_than_long_ones(
    alice: Keypair, held_bytes: Callable[[], int]
) -> None:
    block = chunked(encode_frame(FrameKind.CHUNK, b"ab") * 10_000, end=False)
    held_back = asyncio.Event()
    measured = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(HEAD)
        with contextlib.suppress(TimeoutError):
            while True:
                writer.write(block)
                await asyncio.wait_for(writer.drain(), 0.5)
        held_back.set()
        await measured.wait()

    async with scripted_peer(script, alice.ss58_address) as peer, Dendrite(alice) as dendrite:
        stream = await dendrite.stream(peer, Words(), timeout=60)
        chunks = stream.chunks()
        async with asyncio.timeout(60):
            assert await anext(chunks) == "ab"
            await held_back.wait()
        held = held_bytes()
        measured.set()
    assert held < 4 * 2**20, f"{held / 2**20:.1f} MiB"  # most of it is of one read


@pytest.mark.parametrize("chunk_bytes", [4096, 5000, 16_384, 65_536])
def test_pieces_that_wait_to_be_taken_hold_little_more_than_themselves(
    held_bytes: Callable[[], int], chunk_bytes: int
) -> None:
    block, counts = block_of(chunk_bytes, READ_BYTES - chunk_bytes)
    content = ChunkedContent(lambda: None)
    pieces: list[Piece] = []
    for _ in range(32):
        content.feed(bytes(bytearray(block)))  # each read is one object
        content.keep()
        pieces += content.take()
    assert sum(map(len, pieces)) == 32 * counts
    assert held_bytes() < MOST * 32 * counts


def test_the_begin_of_a_frame_holds_little_more_than_itself(
    held_bytes: Callable[[], int],
) -> None:
    part = 8192
    whole = encode_frame(FrameKind.CHUNK, b"y" * (READ_BYTES - part))
    begun = encode_frame(FrameKind.CHUNK, b"y" * 2**20)[: 5 + part]
    decoders = [FrameDecoder() for _ in range(16)]
    before = held_bytes()
    for decoder in decoders:
        for _ in decoder.runs(memoryview(whole + begun)):
            pass
    assert all(decoder.mid_frame for decoder in decoders)
    assert held_bytes() - before < MOST * 16 * part
