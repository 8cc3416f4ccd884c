"""Chunked content survives any split, is strict, and is held no longer than it must be."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest
from aiohttp.http_exceptions import TransferEncodingError
from hypothesis import given
from hypothesis import strategies as st

from node import Axon, Dendrite, Keypair
from node.dendrite.chunked import ChunkedContent
from node.dendrite.connection import Connection
from tests.functional.synapses import Words
from tests.raw_http import chunked, read_request, reply_head, scripted_peer

HEAD = reply_head("application/x-ganglion-frames", "Transfer-Encoding: chunked")
KIND = ("application/x-ganglion-frames",)


def content_of(*reads: bytes) -> ChunkedContent:
    content = ChunkedContent(lambda: None)
    for data in reads:
        content.feed(data)
    return content


def joined(content: ChunkedContent) -> bytes:
    return b"".join(content.take())


def reads_of(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@given(st.lists(st.binary(min_size=1, max_size=9000), max_size=6), st.integers(1, 9000))
def test_content_survives_any_split(chunks: list[bytes], size: int) -> None:
    content = ChunkedContent(lambda: None)
    found = b""
    for data in reads_of(chunked(*chunks), size):
        assert not content.is_eof()
        content.feed(data)
        found += joined(content)
    assert found == b"".join(chunks)
    assert content.is_eof()
    assert content.at_eof()
    assert not content.surplus


@given(
    st.lists(st.binary(min_size=1, max_size=20), max_size=6),
    st.integers(1, 40),
    st.sampled_from([b"\r\n", b"\n", b"\r", b"5\r\n", b"0\r\n\r\n", b";x\r\n"]),
)
def test_what_the_read_before_left_behind_is_not_read_again(
    chunks: list[bytes], size: int, left: bytes
) -> None:
    content = ChunkedContent(lambda: None)
    found = b""
    for data in reads_of(chunked(*chunks), size):
        content.feed(bytearray(data + left), len(data))
        found += joined(content)
    assert found == b"".join(chunks)
    assert content.at_eof()
    assert not content.surplus


def test_sizes_may_be_spelt_as_http_allows() -> None:
    content = content_of(b'0A\r\n0123456789\r\n00a;x=1;y="z"\r\n0123456789\r\n1 \r\n!\r\n')
    assert joined(content) == b"0123456789" * 2 + b"!"
    content.feed(b"000\r\nDigest: x\r\nOther: y\r\n\r\n")
    assert content.at_eof()


@pytest.mark.parametrize(
    "bad",
    [
        b"\r\n", b"g\r\n", b"-1\r\n", b"+1\r\nx\r\n", b"0x1\r\nx\r\n", b"1_0\r\n", b" 1\r\nx\r\n",
        b"1\nx\r\n", b"1\r\nxy\r\n", b"1\r\nx\n", b"1\r\nx\r\r\n", b"1;a\rb\r\nx\r\n",
        b"1111111111111111\r\n", b"0\r\nTrailer: x\n\r\n",
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [1, 1000])
def test_what_is_no_framing_is_refused(bad: bytes, size: int) -> None:
    content = content_of(b"2\r\nok\r\n")
    with pytest.raises(TransferEncodingError):
        for data in reads_of(bad, size):
            content.feed(data)
    assert joined(content) in (b"ok", b"okx")
    assert not content.is_eof()


@pytest.mark.parametrize("endless", [b"1" * 100, b"1;" + b"x" * 98, b"0\r\n" + b"a: b\r\n" * 16])
def test_framing_without_end_is_not_held(endless: bytes) -> None:
    content = ChunkedContent(lambda: None)
    rest = itertools.repeat(endless[-96:] if endless.startswith(b"0") else b"x" * 96)
    with pytest.raises(TransferEncodingError):
        for data in itertools.chain([endless], itertools.islice(rest, 200)):
            content.feed(data)


def test_bytes_beyond_the_end_are_told() -> None:
    assert content_of(chunked(b"a") + b"H").surplus
    assert content_of(chunked(b"a"), b"H").surplus


def test_an_error_comes_after_what_came_before_it() -> None:
    content = content_of(b"1\r\na\r\n")
    content.set_exception(ConnectionError("gone"))
    assert joined(content) == b"a"
    with pytest.raises(ConnectionError, match="gone"):
        content.take()


def test_taking_makes_room() -> None:
    taken = []
    content = ChunkedContent(lambda: taken.append(True))
    assert content.take() == []
    content.feed(b"3\r\nabc\r\n")
    assert (content.held, len(taken)) == (3, 0)
    content.take()
    assert (content.held, len(taken)) == (0, 1)


class Wire(asyncio.Transport):
    """Stands for a transport."""

    aborted = False

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def write(self, data: object) -> None: ...

    def is_closing(self) -> bool:
        return self.aborted

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")

    def abort(self) -> None:
        self.aborted = True


async def asked(wire: Wire) -> Connection:
    connection = Connection(asyncio.get_running_loop(), bytearray(2**18))
    connection.connection_made(wire)
    connection.ask(b"GET / HTTP/1.1\r\n\r\n", b"", KIND)
    return connection


def arrive(connection: Connection, data: bytes) -> None:
    """Let bytes come as a loop does; what was read before and is read next is in the same place."""
    buffer = connection.get_buffer(-1)
    for read in reads_of(data, len(buffer)):
        buffer[:] = b"\r\n" * (len(buffer) // 2)
        buffer[: len(read)] = read
        connection.buffer_updated(len(read))
    buffer[:] = b"\n0" * (len(buffer) // 2)


def the_content(connection: Connection) -> object:
    reply = connection.reply()
    assert reply is not None
    return reply[1]


async def streaming(wire: Wire) -> tuple[Connection, ChunkedContent]:
    """Return a connection on which a stream has begun, and the stream's content."""
    connection = await asked(wire)
    arrive(connection, HEAD)
    content = the_content(connection)
    assert isinstance(content, ChunkedContent)
    return connection, content


async def test_a_peer_is_held_back_until_its_content_is_taken() -> None:
    wire = Wire()
    connection, content = await streaming(wire)
    arrive(connection, chunked(b"x" * 100_000, end=False))
    assert wire.calls == []
    arrive(connection, chunked(b"x" * 100_000, end=False))
    assert wire.calls == ["pause"]
    content.take()
    assert wire.calls == ["pause", "resume"]
    arrive(connection, b"0\r\n\r\n")
    assert connection.finish()


async def test_a_peer_whose_content_is_taken_at_once_is_never_held_back() -> None:
    wire = Wire()
    connection, content = await streaming(wire)
    connection.on_news = lambda: content.take().clear()
    for _ in range(3):
        arrive(connection, chunked(b"x" * 200_000, end=False))
    assert wire.calls == []


@pytest.mark.parametrize("early", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Hints\r\n\r\n"])
async def test_what_is_said_before_a_reply_is_passed_over(early: bytes) -> None:
    connection = await asked(Wire())
    arrive(connection, early + early + HEAD + chunked(b"abc"))
    content = the_content(connection)
    assert isinstance(content, ChunkedContent)
    assert joined(content) == b"abc"
    assert connection.finish()


@pytest.mark.parametrize("size", range(1, len(HEAD) + 4))
async def test_a_reply_whose_head_comes_in_parts_is_the_same(size: int) -> None:
    connection = await asked(Wire())
    for data in reads_of(HEAD + chunked(b"\r\n\r\n", b"b"), size):
        arrive(connection, data)
    content = the_content(connection)
    if isinstance(content, ChunkedContent):
        assert joined(content) == b"\r\n\r\nb"
    else:
        assert content.read_nowait() == b"\r\n\r\nb"  # type: ignore[attr-defined]
    assert connection.finish()


@pytest.mark.parametrize("after", [b"x", b"HTTP/1.1 200 OK\r\n\r\n"])
async def test_bytes_beyond_a_stream_end_its_connection(after: bytes) -> None:
    wire = Wire()
    connection = await asked(wire)
    arrive(connection, HEAD + chunked(b"abc") + after)
    assert not connection.finish()
    assert wire.aborted


async def test_a_stream_that_is_cut_says_so() -> None:
    connection = await asked(Wire())
    arrive(connection, HEAD + chunked(b"abc", end=False))
    connection.connection_lost(None)
    content = the_content(connection)
    assert isinstance(content, ChunkedContent)
    assert joined(content) == b"abc"
    with pytest.raises(Exception, match="not complete"):
        content.take()


@pytest.mark.parametrize("size", [1, 7, 4096, 100_000])
async def test_long_and_short_chunks_arrive_as_they_were_sent(
    axon: Axon, alice: Keypair, bob: Keypair, size: int
) -> None:
    chunks = [b"a", b"y" * 70_000, b"", b"b" * 4096, b"c", b"z" * 300_001, b"d"]

    async def words(synapse: Words) -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass a real axon's reply on in reads of one size."""
        head, body = await read_request(reader)
        back, forth = await asyncio.open_connection("127.0.0.1", axon.port)
        forth.write(head + body)
        try:
            while data := await back.read(size):
                writer.write(data)
                if size > 1000:
                    await writer.drain()
                    await asyncio.sleep(0)
        finally:
            forth.close()

    async with (
        axon.attach(words),
        Dendrite(alice) as dendrite,
        scripted_peer(relay, bob.ss58_address) as peer,
    ):
        stream = await dendrite.stream(peer, Words(), timeout=60)
        stream.keep_chunks()
        reply = await stream.final()
    assert reply.is_success, reply.dendrite
    assert stream.kept_chunks == tuple(chunk for chunk in chunks if chunk)
    assert stream.receipt is not None


@pytest.mark.parametrize("size", [1, 3000, 5000, 70_000])
async def test_what_is_held_stays_as_it_came_while_others_are_read(size: int) -> None:
    buffer = bytearray(2**18)
    loop = asyncio.get_running_loop()
    both = [Connection(loop, buffer), Connection(loop, buffer)]
    contents: list[ChunkedContent] = []
    for connection in both:
        connection.connection_made(Wire())
        connection.ask(b"GET / HTTP/1.1\r\n\r\n", b"", KIND)
        arrive(connection, HEAD)
        content = the_content(connection)
        assert isinstance(content, ChunkedContent)
        contents.append(content)
    parts = [bytes([number]) * size for number in range(6)]
    for number, part in enumerate(parts):
        arrive(both[number % 2], chunked(*[part] * (120_000 // size), end=False))
    for first, content in enumerate(contents):
        held = b"".join(content.take())
        assert held == b"".join(part * (120_000 // size) for part in parts[first::2])


async def test_what_came_before_the_framing_broke_stays_as_it_came() -> None:
    connection, content = await streaming(Wire())
    arrive(connection, chunked(b"good" * 20_000, end=False) + b"no size\r\n")
    arrive(connection, b"anything")
    assert b"".join(content.take()) == b"good" * 20_000
    with pytest.raises(Exception, match="framing is broken"):
        content.take()
