"""The requests that a dendrite writes, and which connections it uses again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from node import Keypair, Peer
from node.dendrite.connection import Connection
from node.dendrite.deadlines import Deadlines, PhaseClock
from node.dendrite.http_reply import HttpReply
from node.dendrite.session import CallTrace, Session
from node.dendrite.timing import StreamTiming
from tests.raw_http import Script, read_request, reply_head, scripted_peer

OK = reply_head("text/plain", "Content-Length: 2") + b"ok"


class Served:
    """A session and a peer, and how many connections that peer got."""

    def __init__(self) -> None:
        self.session = Session()
        self.peer: Peer
        self.connections = 0

    async def post(self, body: bytes = b"{}", headers: Mapping[str, str] = {}) -> HttpReply:
        trace = CallTrace(PhaseClock(Deadlines()), StreamTiming())
        head = self.session.head(self.peer, "/Echo?timeout=1.0", body, headers)
        return await self.session.reply_on(await self.session.start(self.peer, head, body, trace))

    async def get(self) -> HttpReply:
        return await self.session.get(self.peer, CallTrace(PhaseClock(Deadlines()), StreamTiming()))


@asynccontextmanager
async def served(script: Script, alice: Keypair) -> AsyncIterator[Served]:
    it = Served()

    async def counted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        it.connections += 1
        await script(reader, writer)

    async with scripted_peer(counted, alice.ss58_address) as it.peer:
        try:
            yield it
        finally:
            await it.session.close()


async def answer_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await read_request(reader)
        writer.write(OK)


async def read(reply: HttpReply) -> bytes:
    body = await reply.read_body(2**20)
    reply.release()
    return body


@pytest.mark.parametrize("size", [2, 70_000])
async def test_a_request_is_what_http_asks_for(alice: Keypair, size: int) -> None:
    seen: list[tuple[bytes, bytes]] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await read_request(reader))
        writer.write(OK)

    async with served(script, alice) as it:
        assert await read(await it.post(b"x" * size, {"X-Name": "é"})) == b"ok"
        port = it.peer.port
    ((head, body),) = seen
    lines = head.decode().split("\r\n")
    assert lines[:2] == ["POST /Echo?timeout=1.0 HTTP/1.1", f"Host: 127.0.0.1:{port}"]
    assert {"Accept-Encoding: identity", "X-Name: é", f"Content-Length: {size}"} <= set(lines)
    assert "Content-Type: application/json" in lines
    assert len(lines) == 10
    assert body == b"x" * size


@pytest.mark.parametrize("value", ["a\r\nX-Other: b", "a\nb", "a\rb", "a\0b"])
async def test_a_header_holds_no_second_one(alice: Keypair, value: str) -> None:
    async with served(answer_all, alice) as it:
        with pytest.raises(ValueError, match="line break"):
            await it.post(headers={"X-Name": value})
        assert it.connections == 0


async def test_a_connection_is_used_again(alice: Keypair) -> None:
    async with served(answer_all, alice) as it:
        for _ in range(3):
            assert await read(await it.post()) == b"ok"
        assert it.connections == 1


async def test_a_reply_that_was_not_read_ends_its_connection(alice: Keypair) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(reply_head("text/plain", "Content-Length: 9") + b"ok")
        await reader.read()

    async with served(script, alice) as it:
        (await it.post()).release()
        (await it.post()).release()
        assert it.connections == 2


async def test_a_request_that_was_answered_early_ends_its_connection(alice: Keypair) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await asyncio.sleep(5)

    async with served(script, alice) as it:
        for _ in range(2):
            assert await read(await it.post(b"x" * 16 * 2**20)) == b"ok"
        assert it.connections == 2


async def test_a_kept_connection_that_the_peer_closed_is_not_written_to(alice: Keypair) -> None:
    writers: list[asyncio.StreamWriter] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await read_request(reader)
        writer.write(OK)
        await reader.read()

    async with served(script, alice) as it:
        await read(await it.post())
        sock = writers[0].get_extra_info("socket")
        sock.shutdown(1)  # SHUT_WR; the dendrite's loop has had no turn since
        assert await read(await it.post()) == b"ok"
        assert it.connections == 2


async def test_what_a_peer_says_before_its_reply_is_passed_over(alice: Keypair) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + OK)

    async with served(script, alice) as it:
        reply = await it.post()
        assert (reply.status, reply.content_type) == (200, "text/plain")
        assert await read(reply) == b"ok"


async def test_a_get_is_sent_again_but_a_post_is_not(alice: Keypair) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if it.connections == 1:
            await reader.readuntil(b"\r\n\r\n")
            return
        await answer_all(reader, writer)

    async with served(script, alice) as it:
        assert await read(await it.get()) == b"ok"
    async with served(script, alice) as it:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await it.post()


async def test_a_closed_session_opens_again(alice: Keypair) -> None:
    async with served(answer_all, alice) as it:
        await read(await it.post())
        assert not it.session.closed
        await it.session.close()
        await it.session.close()
        assert await read(await it.post()) == b"ok"
        assert it.connections == 2


async def test_of_two_kept_connections_the_last_is_used_first(alice: Keypair) -> None:
    async with served(answer_all, alice) as it:
        replies = [await it.post(), await it.post()]
        for reply in replies:
            await read(reply)
        (first, last) = it.session._open
        assert it.session.take(it.peer) is last
        assert it.session.take(it.peer) is first
        assert it.session.take(it.peer) is None


async def test_a_connection_is_not_kept_for_long(alice: Keypair) -> None:
    async with served(answer_all, alice) as it:
        await read(await it.post())
        (connection,) = it.session._open
        connection.kept_at -= 16
        assert await read(await it.post()) == b"ok"
        assert it.connections == 2
        assert connection.transport is None or connection.transport.is_closing()


async def test_sweeping_closes_what_was_kept_for_long_and_keeps_the_rest(alice: Keypair) -> None:
    async with served(answer_all, alice) as it:
        for reply in [await it.post(), await it.post()]:
            await read(reply)
        (old, young) = it.session._open
        old.kept_at -= 16
        it.session.sweep()
        assert set(it.session._open) == {young}
        young.kept_at -= 16
        it.session.sweep()
        assert not it.session._open
        assert it.session._sweeping is None


async def test_closing_ends_what_is_under_way(alice: Keypair) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with served(script, alice) as it:
        waiting = asyncio.create_task(it.post())
        while not it.session._open:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        await it.session.close()
        with pytest.raises(aiohttp.ClientConnectionResetError):
            await waiting


class Left:
    """A session with one kept connection, and what is known of it when the session is gone."""

    def __init__(self) -> None:
        self.session: Session | None = Session()
        self.left = asyncio.Event()

    async def script(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK)
        await reader.read()
        self.left.set()

    async def use(self, peer: Peer) -> tuple[Connection, asyncio.TimerHandle]:
        assert self.session is not None
        trace = CallTrace(PhaseClock(Deadlines()), StreamTiming())
        await read(await self.session.get(peer, trace))
        (connection,) = self.session._open
        assert self.session._sweeping is not None
        return connection, self.session._sweeping

    def drop(self) -> None:
        with pytest.warns(ResourceWarning, match="unclosed session"):
            self.session = None


@pytest.mark.parametrize("in_thread", [False, True])
async def test_a_session_that_nobody_closed_complains_and_is_closed(
    alice: Keypair, in_thread: bool
) -> None:
    it = Left()
    async with scripted_peer(it.script, alice.ss58_address) as peer:
        connection, sweeping = await it.use(peer)
        if in_thread:
            await asyncio.to_thread(it.drop)
        else:
            it.drop()
        async with asyncio.timeout(10):
            await it.left.wait()
            await connection.closed()
        assert sweeping.cancelled()


def test_a_session_may_outlive_its_loop(alice: Keypair) -> None:
    it = Left()

    async def use() -> None:
        async with scripted_peer(it.script, alice.ss58_address) as peer:
            connection, _ = await it.use(peer)
            assert connection.transport is not None
            connection.transport.close()  # else the transport would complain as well
            await connection.closed()

    asyncio.run(use())
    it.drop()


async def test_only_who_waits_alone_goes_on_at_once(
    alice: Keypair, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    replied = Connection.replied

    async def noted(connection: Connection, *, at_once: bool = False) -> Any:
        seen.append(at_once)
        return await replied(connection, at_once=at_once)

    async def answer_together(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            _, body = await read_request(reader)
            if body == b"{}":
                await asked.wait()
            writer.write(OK)

    monkeypatch.setattr(Connection, "replied", noted)
    asked = asyncio.Event()
    async with served(answer_together, alice) as it:
        await read(await it.post(b"[]"))
        three = [asyncio.create_task(it.post()) for _ in range(3)]
        async with asyncio.timeout(5):
            while len(seen) < 4:
                await asyncio.sleep(0.001)
        asked.set()
        for task in three:
            await read(await task)
        await read(await it.post())
    assert seen == [True, True, False, False, True]
