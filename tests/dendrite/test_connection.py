"""What a connection makes of what comes on its socket, and whether it can be used again."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
from aiohttp.http_exceptions import HttpProcessingError

from node.dendrite.chunked import ChunkedContent
from node.dendrite.connection import Connection
from node.whole import WholeContent
from tests.raw_http import chunked, reply_head

OK = reply_head("text/plain", "Content-Length: 2") + b"ok"
CHUNKED = reply_head("text/plain", "Transfer-Encoding: chunked")
TO_THE_END = reply_head("text/plain")


class Socket(asyncio.Transport):
    """Stands for a socket; notes what is done with it."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.unsent = 0
        self.aborted = False
        self.paused = False

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


class Open:
    """A connection that has asked, with its socket."""

    def __init__(self) -> None:
        self.socket = Socket()
        self.news = 0
        self.connection = Connection(asyncio.get_running_loop(), bytearray(2**16))
        self.connection.connection_made(self.socket)
        self.connection.ask(b"head", b"body")
        self.connection.on_news = self.count

    def count(self) -> None:
        self.news += 1

    def come(self, *data: bytes) -> None:
        for piece in data:
            buffer = self.connection.get_buffer(-1)
            buffer[: len(piece)] = piece
            self.connection.buffer_updated(len(piece))

    def content(self) -> aiohttp.StreamReader:
        reply = self.connection.reply()
        assert reply is not None
        assert isinstance(reply[1], aiohttp.StreamReader)
        return reply[1]

    async def read(self) -> bytes:
        body, content = b"", self.content()
        while piece := await content.readany():
            body += piece
        return body


async def test_head_and_body_are_one_write_unless_the_body_is_long() -> None:
    it = Open()
    assert it.socket.written == [b"headbody"]
    it.connection.ask(b"head", b"x" * 70_000)
    assert [len(data) for data in it.socket.written] == [8, 4, 70_000]


async def test_a_closed_connection_takes_no_request() -> None:
    it = Open()
    it.connection.close()
    with pytest.raises(aiohttp.ClientConnectionResetError):
        it.connection.ask(b"head", b"")


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_a_reply_may_come_in_pieces_of_any_size(size: int) -> None:
    it = Open()
    whole = b"HTTP/1.1 103 Early Hints\r\n\r\n" + CHUNKED + chunked(b"so", b" it goes")
    pieces = [whole[start : start + size] for start in range(0, len(whole), size)]
    it.come(*pieces)
    assert it.news == len(pieces)
    assert await it.read() == b"so it goes"
    assert it.connection.finish()
    assert not it.socket.aborted


async def test_there_is_no_reply_before_its_head_is_whole() -> None:
    it = Open()
    it.come(OK[:20])
    assert it.connection.reply() is None
    waiting = asyncio.create_task(it.connection.replied())
    await asyncio.sleep(0)
    it.come(OK[20:])
    message, content = await waiting
    assert isinstance(content, aiohttp.StreamReader)
    assert (message.code, content.read_nowait()) == (200, b"ok")


@pytest.mark.parametrize("at_once", [True, False])
async def test_who_waits_alone_goes_on_in_the_callback_of_the_socket(at_once: bool) -> None:
    it = Open()
    log: list[str] = []

    async def wait() -> None:
        await it.connection.replied(at_once=at_once)
        assert it.connection.finish()
        it.connection.ask(b"next", b"")
        log.append("asked again")

    def come() -> None:
        it.connection.on_news = None
        it.come(OK[:20])
        it.come(OK[20:])
        log.append("came")

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_soon(come)
    async with asyncio.timeout(5):
        await waiting
    assert log == (["asked again", "came"] if at_once else ["came", "asked again"])
    it.come(OK)
    assert it.content().read_nowait() == b"ok"


@pytest.mark.parametrize("at_once", [True, False])
async def test_who_waits_alone_gets_what_ends_the_connection(at_once: bool) -> None:
    it = Open()
    waiting = asyncio.create_task(it.connection.replied(at_once=at_once))
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_soon(it.connection.connection_lost, None)
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await waiting


@pytest.mark.parametrize(
    "came",
    [
        OK[:-1],
        OK + OK,
        OK + b"HTT",
        OK + b"HTTP/1.1 200 OK\r\nContent-Le",
        reply_head("text/plain", "Content-Length: 2", "Connection: close") + b"ok",
        TO_THE_END,
    ],
    ids=["cut", "two replies", "a word more", "a head more", "close", "no length"],
)
async def test_what_may_not_be_used_again_is_closed(came: bytes) -> None:
    it = Open()
    it.come(came)
    it.content()
    assert not it.connection.finish()
    assert it.socket.aborted


async def test_a_request_that_was_not_all_sent_ends_the_connection() -> None:
    it = Open()
    it.socket.unsent = 5
    it.come(OK)
    assert not it.connection.finish()


async def test_a_peer_that_speaks_unasked_is_left() -> None:
    it = Open()
    it.come(OK)
    assert it.connection.finish()
    it.come(b"HTTP/1.1 200 OK\r\n")
    assert it.socket.aborted
    assert it.connection.has_ended()


@pytest.mark.parametrize(
    ("lost", "expected"),
    [
        (None, aiohttp.ServerDisconnectedError),
        (ConnectionResetError(104, "reset"), aiohttp.ClientOSError),
    ],
)
async def test_a_connection_that_closes_before_the_head(
    lost: Exception | None, expected: type[Exception]
) -> None:
    it = Open()
    it.come(OK[:20])
    it.connection.connection_lost(lost)
    assert it.news == 2
    with pytest.raises(expected):
        it.connection.reply()


@pytest.mark.parametrize("head", [CHUNKED + chunked(b"ok", end=False), OK[:-1]])
async def test_a_connection_that_closes_within_the_content(head: bytes) -> None:
    it = Open()
    it.come(head)
    content = it.content()
    it.connection.connection_lost(None)
    assert it.news == 2
    with pytest.raises(aiohttp.ClientPayloadError):
        content.read_nowait()


async def test_closing_is_the_end_of_content_without_a_length() -> None:
    it = Open()
    it.come(TO_THE_END + b"o", b"k")
    content = it.content()
    it.connection.connection_lost(None)
    assert content.read_nowait() == b"ok"
    assert content.at_eof()


@pytest.mark.parametrize("came", [b"\0\0\0\r\n\r\n", b"HTTP/1.1 200 OK\r\nA B\r\n\r\n"])
async def test_what_is_no_http_is_told_and_left(came: bytes) -> None:
    it = Open()
    it.come(came)
    with pytest.raises(HttpProcessingError):
        it.connection.reply()
    assert (it.news, it.socket.aborted) == (1, True)


async def test_broken_framing_ends_the_content_and_not_the_head() -> None:
    it = Open()
    it.come(CHUNKED)
    content = it.content()
    it.come(b"no length\r\n")
    with pytest.raises(aiohttp.ClientPayloadError):
        content.read_nowait()
    assert it.socket.aborted


async def test_failing_reaches_whoever_waits_for_the_head() -> None:
    it = Open()
    waiting = asyncio.create_task(it.connection.replied())
    await asyncio.sleep(0)
    it.connection.time_out()
    with pytest.raises(TimeoutError):
        await waiting


async def test_failing_reaches_whoever_waits_for_content_and_stays_the_reason() -> None:
    it = Open()
    it.come(CHUNKED)
    content = it.content()
    waiting = asyncio.create_task(content.readany())
    await asyncio.sleep(0)
    it.connection.time_out()
    it.connection.connection_lost(None)
    with pytest.raises(TimeoutError):
        await waiting
    with pytest.raises(TimeoutError):
        content.read_nowait()


async def test_content_that_is_complete_does_not_fail() -> None:
    it = Open()
    it.come(OK)
    it.connection.time_out()
    assert it.content().read_nowait() == b"ok"


async def test_a_peer_is_held_back_until_its_content_is_read() -> None:
    it = Open()
    sent = [bytes([number]) * 40_000 for number in range(6)]
    it.come(CHUNKED, *[chunked(piece, end=False) for piece in sent[:4]])
    held_back = it.socket.paused
    got = [it.content().read_nowait()]
    assert (held_back, it.socket.paused) == (True, False)
    it.come(*[chunked(piece, end=False) for piece in sent[4:]], b"0\r\n\r\n")
    got.append(await it.read())
    assert b"".join(got) == b"".join(sent)
    assert it.connection.finish()


async def test_waiting_until_it_is_closed() -> None:
    it = Open()
    it.connection.close()
    waiting = asyncio.create_task(it.connection.closed())
    await asyncio.sleep(0)
    assert not waiting.done()
    it.connection.connection_lost(None)
    await waiting
    await it.connection.closed()


def exchange(it: Open, *came: bytes, streams: tuple[str, ...] = ()) -> tuple[object, ...]:
    """Return all that can be seen of a reply, and whether the connection may be used again."""
    it.connection.ask(b"head", b"body", streams)
    it.come(*came)
    seen: list[object] = []
    try:
        reply = it.connection.reply()
        if reply is not None:
            message, content = reply
            seen += [message.code, [*message.headers.items()], message.should_close]
            assert not isinstance(content, ChunkedContent)
            seen += [content.is_eof(), content.read_nowait(), content.at_eof()]
    except (aiohttp.ClientError, HttpProcessingError) as error:
        seen.append(type(error))
    return *seen, it.connection.finish()


REPLIES = [
    OK,
    OK[:-2] + b"no",
    reply_head("text/plain", "Content-Length: 0"),
    reply_head("text/plain", "Content-Length: 3") + b"yes",
    reply_head("text/plain", "Content-Length: 2", "X: y") + b"ok",
    b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK,
    b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n",
    CHUNKED + chunked(b"ok"),
    reply_head("text/plain", "Content-Length: 2", "Transfer-Encoding: chunked") + chunked(b"ok"),
    reply_head("text/plain", "Content-Length: 2", "Content-Length: 2") + b"ok",
    reply_head("text/plain", "Content-Length: 2", "Connection: close") + b"ok",
    reply_head("text/plain", "Content-Length: 2", "Content-Encoding: gzip") + b"ok",
    b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"\r\n" + OK,
    TO_THE_END + b"ok",
    OK[:-1],
    OK + b"k",
    OK + OK,
    OK + b"\r\n",
]


@pytest.mark.parametrize("reply", REPLIES)
@pytest.mark.parametrize("before", REPLIES)
async def test_a_reply_means_the_same_whatever_came_before_it(before: bytes, reply: bytes) -> None:
    it = Open()
    for came in (before, before, reply):
        alone = exchange(Open(), came)
        assert exchange(it, came) == alone
        if not alone[-1]:
            return


@pytest.mark.parametrize("cut", range(1, len(OK)))
async def test_a_reply_in_two_pieces_means_the_same_as_one_before_it(cut: int) -> None:
    it = Open()
    for came in ([OK[:cut], OK[cut:]], [OK[:cut], OK[cut:]], [OK], [OK[:cut], OK[cut:]]):
        assert exchange(it, *came) == exchange(Open(), OK)


async def test_a_known_head_is_known_where_a_stream_is_asked_for() -> None:
    it = Open()
    exchange(it, OK)
    assert exchange(it, OK, streams=("text/plain",)) == exchange(Open(), OK)
    assert exchange(it, OK, b"x", streams=("text/plain",))[-1] is False


async def test_a_head_that_came_before_needs_no_parser() -> None:
    it = Open()
    contents = []
    other = reply_head("text/plain", "Content-Length: 1") + b"x"
    for came in (OK, OK, OK[:-2] + b"no", other, other):
        it.connection.ask(b"head", b"body")
        it.come(came)
        reply = it.connection.reply()
        assert reply is not None
        contents.append(type(reply[1]))
        assert it.connection.finish()
    parsed, known = aiohttp.StreamReader, WholeContent
    assert contents == [parsed, known, known, parsed, known]


@pytest.mark.parametrize("more", [b"HTT", OK, b"\0", b"x" * 100])
async def test_what_comes_after_a_reply_whose_head_was_known_spoils_the_connection(
    more: bytes,
) -> None:
    it = Open()
    exchange(it, OK)
    it.connection.ask(b"head", b"body")
    it.come(OK, more)
    assert not it.connection.finish()
    assert it.socket.aborted


async def test_a_known_reply_that_was_closed_raises_for_whoever_reads_on() -> None:
    it = Open()
    exchange(it, OK)
    it.connection.ask(b"head", b"body")
    it.come(OK)
    reply = it.connection.reply()
    assert reply is not None
    it.connection.fail(ValueError("too late"))
    assert reply[1].read_nowait() == b"ok"  # type: ignore[union-attr]
    reply[1].set_exception(aiohttp.ClientPayloadError("the reply was closed"))
    with pytest.raises(aiohttp.ClientPayloadError):
        reply[1].read_nowait()  # type: ignore[union-attr]
