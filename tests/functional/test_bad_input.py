"""Whatever a peer sends is one typed error that names it, costs little and disturbs no other."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from node import Axon, Dendrite, Keypair
from node.errors import (
    BadReceipt,
    BadReply,
    CallError,
    PeerRefused,
    PeerUnreachable,
    StreamInterrupted,
)
from node.streams import StreamMode
from tests.raw_http import Script, chunked, read_request, reply_head, scripted_peer

from .stream_bytes import NATIVE, StreamBytes, chunked_reply, sends, sized_reply
from .synapses import Echo, Words

MIB = 2**20
HOTKEY = Keypair.from_uri("//Mallory").ss58_address
MODES = pytest.mark.parametrize("mode", NATIVE)
BOMB = gzip.compress(b"0" * 64 * MIB)


def in_mode(body: Callable[[StreamBytes], bytes]) -> Callable[[StreamMode], bytes]:
    """Return what makes a right HTTP reply of a body that is wrong."""
    return lambda mode: chunked_reply(mode, body(StreamBytes(mode)))


def other(*lines: str, status: str = "200 OK", body: bytes = b"") -> Callable[[StreamMode], bytes]:
    """Return what makes a reply whose head is wrong."""
    content = "text/html" if not lines or "Content-Type" not in lines[0] else ""
    head = [f"HTTP/1.1 {status}", f"Content-Type: {content}" if content else "", *lines,
            f"Content-Length: {len(body)}", "", ""]  # fmt: skip
    data = "\r\n".join(line for line in head[:-2] if line).encode() + b"\r\n\r\n" + body
    return lambda mode: data


def encoded(coding: str, body: bytes) -> Callable[[StreamMode], bytes]:
    lines = (f"Content-Encoding: {coding}", f"Content-Length: {len(body)}")
    return lambda mode: reply_head(mode.content_type, *lines) + body


def json_of(body: bytes) -> Callable[[StreamMode], bytes]:
    return other("Content-Type: application/json", body=body)


TABLE: dict[str, tuple[type[CallError], Callable[[StreamMode], bytes]]] = {
    "garbage instead of HTTP": (BadReply, lambda mode: b"\x00\xff\xfe" * 50 + b"\r\n\r\n"),
    "nothing at all": (PeerUnreachable, lambda mode: b""),
    "half a head": (PeerUnreachable, lambda mode: sized_reply(mode, b"")[:20]),
    "garbage instead of frames": (BadReply, in_mode(lambda maker: b"\xde\xad\xbe\xef\n\n" * 20)),
    "text instead of frames": (BadReply, in_mode(lambda maker: b"Hello, this is text.\n\n")),
    "an empty stream": (StreamInterrupted, lambda mode: sized_reply(mode, b"")),
    "half a frame": (StreamInterrupted, in_mode(lambda maker: maker.chunk(b"a" * 50)[:30])),
    "a frame and a half": (StreamInterrupted, in_mode(
        lambda maker: maker.chunk(b"a") + maker.chunk(b"b" * 50)[:30])),
    "a chunk and no END": (StreamInterrupted, in_mode(lambda maker: maker.chunk(b"a"))),
    "a cut in the middle of HTTP": (StreamInterrupted, lambda mode: sized_reply(
        mode, StreamBytes(mode).chunk(b"a"), 5000)),
    "an END whose count is wrong": (BadReceipt, in_mode(
        lambda maker: maker.chunk(b"a") + maker.end(b"a", chunks=7))),
    "an END whose digest is wrong": (BadReceipt, in_mode(
        lambda maker: maker.chunk(b"a") + maker.end(b"b"))),
    "a chunk after the END": (BadReply, in_mode(
        lambda maker: maker.whole(b"a") + maker.chunk(b"b"))),
    "an empty chunk": (BadReply, in_mode(
        lambda maker: maker.chunk(b"a") + maker.chunk(b"") + maker.end(b"a", b""))),
    "invalid UTF-8": (BadReply, in_mode(lambda maker: maker.whole(b"a", b"\xff\xfe"))),
    "a character that is cut": (BadReply, in_mode(lambda maker: maker.whole(b"a\xc3"))),
    "JSON that is none": (BadReply, json_of(b"{")),
    "JSON of a list": (BadReply, json_of(b"[]")),
    "JSON of null": (BadReply, json_of(b"null")),
    "JSON of a string": (BadReply, json_of(b'"text"')),
    "JSON of another type": (BadReply, json_of(b'{"completion": 5, "answer": 5}')),
    "JSON of invalid UTF-8": (BadReply, json_of(b'{"completion": "\xff", "answer": "\xff"}')),
    "JSON so deep": (BadReply, json_of(b"[" * 50_000)),
    "a gzip bomb": (BadReply, encoded("gzip", BOMB)),
    "a deflate bomb": (BadReply, encoded("deflate", zlib.compress(b"0" * 64 * MIB))),
    "an unknown coding": (BadReply, encoded("br", b"\x8b\x02\x80")),
    "two codings": (BadReply, encoded("gzip, gzip", gzip.compress(BOMB))),
    "a coding that it is not in": (BadReply, encoded("gzip", b"plain")),
    "HTML": (BadReply, other(body=b"<html>a proxy's own page</html>")),
    "no content type": (BadReply, lambda mode: b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"),
    "a content type of garbage": (BadReply, other("Content-Type: ;;;", body=b"a")),
    "the content type of raw text": (BadReply, other("Content-Type: text/plain", body=b"a")),
    "another mode than was asked for": (BadReply, lambda mode: sized_reply(
        next(one for one in NATIVE if one is not mode),
        StreamBytes(next(one for one in NATIVE if one is not mode)).whole(b"a"))),
    **{f"a redirect {status}": (PeerRefused, other(
        "Location: http://127.0.0.1:1/Words", status=f"{status} Elsewhere"))
        for status in (301, 302, 303, 307, 308)},
    "no content": (PeerRefused, lambda mode: b"HTTP/1.1 204 No Content\r\n\r\n"),
    "a part": (PeerRefused, other(status="206 Partial Content", body=b"a")),
    "an error that is no document": (PeerRefused, other(status="500 No", body=b"\xff\xfe")),
    "an error with a bomb": (PeerRefused, other(
        "Content-Encoding: gzip", status="500 No", body=BOMB)),
    "a broken HTTP chunk": (BadReply, lambda mode: reply_head(
        mode.content_type, "Transfer-Encoding: chunked") + b"xyz\r\na\r\n"),
    "a head that is too long": (BadReply, lambda mode: (
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"y" * 100_000 + b"\r\n\r\n")),
}  # fmt: skip


@pytest.fixture
async def honest(axon: Axon) -> AsyncIterator[Axon]:
    async def words(synapse: Words) -> AsyncIterator[str]:
        for word in ("an ", "honest ", "answer"):
            await asyncio.sleep(0.01)
            yield word

    async def echo(synapse: Echo) -> Echo:
        synapse.answer = "honest"
        return synapse

    axon.attach(words).attach(echo)
    async with axon:
        yield axon


@MODES
@pytest.mark.parametrize("kind", TABLE)
async def test_bad_input_is_one_named_error_and_the_others_go_on(
    honest: Axon, alice: Keypair, mode: StreamMode, kind: str
) -> None:
    expected, reply = TABLE[kind]
    async with (
        scripted_peer(sends(reply(mode)), HOTKEY) as peer,
        Dendrite(alice, mode=mode) as dendrite,
        dendrite.fan_out(
            [honest.info(), peer, honest.info()], Words(), timeout=5, raise_errors=True
        ) as streams,
    ):
        with pytest.raises(CallError) as caught:
            await streams[1]
        for stream in (streams[0], streams[2]):
            assert (await stream).completion == "an honest answer"
    assert type(caught.value) is expected
    assert caught.value.peer == str(peer)
    assert str(caught.value).startswith(str(peer))
    assert len(str(caught.value)) < 1000
    assert streams[1].receipt is None


ANYWHERE = ("JSON", "a gzip", "a redirect", "HTML", "two", "no content", "garbage instead of HTTP")
UNARY = [kind for kind in TABLE if kind.startswith(ANYWHERE)]


@pytest.mark.parametrize("kind", UNARY)
async def test_bad_input_to_a_unary_call_is_one_named_error_too(
    honest: Axon, alice: Keypair, kind: str
) -> None:
    expected, reply = TABLE[kind]
    script = sends(reply(StreamMode.FRAMES))
    async with scripted_peer(script, HOTKEY) as peer, Dendrite(alice) as dendrite:
        with pytest.raises(CallError) as caught:
            await dendrite.call(peer, Echo(text="x"), timeout=5, raise_errors=True)
        replies = await dendrite([honest.info(), peer, honest.info()], Echo(text="x"), timeout=5)
    assert type(caught.value) is expected
    assert caught.value.peer == str(peer)
    assert [one.answer for one in replies] == ["honest", "", "honest"]
    assert [one.is_success for one in replies] == [True, False, True]


# What has no end.


def endless(head: bytes, piece: bytes) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(head)
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(piece)
                await writer.drain()

    return script


def in_chunks(mode: StreamMode, first: bytes, piece: bytes) -> Script:
    head = chunked_reply(mode, first, end=False) if first else reply_head(
        mode.content_type, "Transfer-Encoding: chunked")  # fmt: skip
    return endless(head, chunked(piece, end=False))


FRAMES, SSE = StreamMode.FRAMES, StreamMode.SSE
GIGABYTE = bytes([16]) + (2**30).to_bytes(4, "big")
JUST_UNDER = bytes([16]) + (2**20).to_bytes(4, "big")
ENDLESS: dict[str, tuple[type[CallError], StreamMode, Script]] = {
    "a frame of a gigabyte": (BadReply, FRAMES, in_chunks(FRAMES, GIGABYTE, b"x" * 65_536)),
    "garbage": (BadReply, FRAMES, in_chunks(FRAMES, b"", b"\xff" * 65_536)),
    "heartbeats": (BadReply, FRAMES, in_chunks(FRAMES, b"", b"\x11\0\0\0\0" * 1000)),
    "heartbeats with a load": (BadReply, FRAMES, in_chunks(
        FRAMES, b"", b"\x11\0\0\xff\xff" + b"x" * 65_535)),
    "empty chunks": (BadReply, FRAMES, in_chunks(FRAMES, b"", b"\x10\0\0\0\0" * 1000)),
    "an END without end": (BadReply, FRAMES, in_chunks(
        FRAMES, b"\x13\xff\xff\xff\xff", b"x" * 65_536)),
    "an event without end": (BadReply, SSE, in_chunks(SSE, b"event: chunk\ndata: ", b"x" * 65_536)),
    "lines without an event": (BadReply, SSE, in_chunks(SSE, b"", b"data: x\n" * 8000)),
    "comments": (BadReply, SSE, in_chunks(SSE, b"", b": beat\n\n" * 1000)),
    "a comment without end": (BadReply, SSE, in_chunks(SSE, b":", b"x" * 65_536)),
    "JSON": (BadReply, FRAMES, endless(
        reply_head("application/json", "Connection: close"), b" " * 65_536)),
    "an error's body": (PeerRefused, FRAMES, endless(
        reply_head("text/plain", "Connection: close", status="500 No"), b"x" * 65_536)),
    "a head": (BadReply, FRAMES, endless(b"HTTP/1.1 200 OK\r\n", b"X-More: yyyy\r\n" * 5000)),
}  # fmt: skip


@contextlib.contextmanager
def bounded(limit: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < limit


@pytest.mark.parametrize("kind", ENDLESS)
async def test_what_has_no_end_is_cut_off_and_not_held(
    honest: Axon, alice: Keypair, kind: str
) -> None:
    expected, mode, script = ENDLESS[kind]
    options = {"max_chunk_bytes": MIB, "max_reply_bytes": MIB}
    with bounded(8 * MIB):
        async with (
            scripted_peer(script, HOTKEY) as peer,
            Dendrite(alice, mode=mode, **options) as dendrite,  # type: ignore[arg-type]
            dendrite.fan_out(
                [peer, honest.info()], Words(), timeout=10, raise_errors=True
            ) as streams,
        ):
            with pytest.raises(CallError) as caught:
                await streams[0]
            assert (await streams[1]).is_success
    assert type(caught.value) is expected
    assert caught.value.peer == str(peer)


async def test_a_bomb_is_not_unpacked(alice: Keypair) -> None:
    with bounded(4 * MIB):
        for kind in ("a gzip bomb", "two codings", "an error with a bomb"):
            script = sends(TABLE[kind][1](StreamMode.FRAMES))
            async with scripted_peer(script, HOTKEY) as peer, Dendrite(alice) as dendrite:
                for question in (Words(), Echo(text="x")):
                    assert (await dendrite.call(peer, question)).is_failure


async def test_chunks_of_the_limit_are_held_one_at_a_time(alice: Keypair) -> None:
    """A reader that stopped holds one window and one frame, whatever the peer sends."""
    frame = JUST_UNDER + b"x" * MIB
    script = endless(reply_head(FRAMES.content_type, "Connection: close"), frame)
    with bounded(12 * MIB):
        async with (
            scripted_peer(script, HOTKEY) as peer,
            Dendrite(alice, max_chunk_bytes=MIB) as dendrite,
        ):
            stream = await dendrite(peer, Words(), timeout=None)
            await asyncio.sleep(0.5)
            assert stream.timing.chunks <= 2
            await stream.aclose()
